//! The messages that ask a member, in each language.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

const LINK: &str = "https://example.com/surveys/MDEyMzQ1Njc4OWFiY2RlZg";

fn ratings() -> [String; 5] {
    ["Péssima", "Ruim", "Regular", "Boa", "Ótima"].map(str::to_owned)
}

fn invitation(ratings: &[String; 5]) -> Invitation<'_> {
    Invitation {
        name: Some("Maria Silva"),
        reward: Some("Pizza Margherita Grátis"),
        location: Some("Bella Vista Centro"),
        question: "Como foi sua experiência ao usar o cupom?",
        ratings,
        link: LINK,
        link_days: 14,
    }
}

#[test]
fn the_text_reads_like_a_letter() {
    let email = survey_email(Language::PtBr, &invitation(&ratings()));
    assert_eq!(email.subject, "Como foi: Pizza Margherita Grátis?");
    assert_snapshot!(email.text, @"
    Olá, Maria! Você usou um cupom em Bella Vista Centro: Pizza Margherita Grátis.

    Como foi sua experiência ao usar o cupom?
    Responda aqui, em um minuto:
    https://example.com/surveys/MDEyMzQ1Njc4OWFiY2RlZg

    O link vale por 14 dias e é só seu.

    --
    Você recebeu este e-mail porque usou um cupom. Perguntamos uma vez só.
    ");
}

#[test]
fn the_text_reads_like_a_letter_in_english() {
    let ratings = ratings();
    let bare = Invitation {
        name: None,
        reward: None,
        location: None,
        question: "How was it?",
        ..invitation(&ratings)
    };
    let email = survey_email(Language::En, &bare);
    assert_eq!(email.subject, "How was your visit?");
    assert_snapshot!(email.text, @"
    Hello! You used a coupon.

    How was it?
    Answer here, in a minute:
    https://example.com/surveys/MDEyMzQ1Njc4OWFiY2RlZg

    The link works for 14 days and is yours alone.

    --
    You got this e-mail because you used a coupon. We ask only once.
    ");
}

#[test]
fn each_rating_is_a_tap_that_only_preselects() {
    let ratings = ratings();
    for language in Language::ALL {
        let html = survey_email(*language, &invitation(&ratings)).html;
        for (index, label) in ratings.iter().enumerate() {
            let link = format!("href=\"{LINK}?rating={}\"", index + 1);
            assert!(html.contains(&link), "lacks {link}:\n{html}");
            assert!(html.contains(label.as_str()), "lacks {label}");
        }
        assert!(html.contains(&format!("href=\"{LINK}\"")));
        for tag in ["title", "h1", "h2", "p", "a"] {
            assert!(!html.contains(&format!("></{tag}>")), "{html}");
        }
    }
}

#[test]
fn what_a_provider_sends_is_text_and_no_markup() {
    let ratings = ratings();
    let hostile = Invitation {
        name: Some("<b>Maria</b>"),
        reward: Some("<img src=x onerror=alert(1)>\r\nBcc: x@example.com"),
        location: Some("\u{202e}\"><script>"),
        ..invitation(&ratings)
    };
    let email = survey_email(Language::PtBr, &hostile);
    assert!(!email.html.contains("<img") && !email.html.contains("<script"));
    assert!(!email.subject.contains(['\r', '\n']));
    assert!(!email.text.contains('\u{202e}'));
}

#[test]
fn whatsapp_gets_name_reward_and_link() {
    let ratings = ratings();
    let parameters = survey_whatsapp_parameters(Language::PtBr, &invitation(&ratings));
    assert_eq!(parameters, ["Maria Silva", "Pizza Margherita Grátis", LINK]);
    let bare = Invitation {
        name: Some("N/A"),
        reward: None,
        ..invitation(&ratings)
    };
    let parameters = survey_whatsapp_parameters(Language::En, &bare);
    assert_eq!(parameters, ["customer", "your coupon", LINK]);
}

proptest! {
    #[test]
    fn whatsapp_takes_the_parameters(
        name in proptest::option::of("(.|\\PC|\\s){0,200}"),
        reward in proptest::option::of("(.|\\PC|\\s){0,300}"),
    ) {
        let ratings = ratings();
        let any = Invitation {
            name: name.as_deref(),
            reward: reward.as_deref(),
            ..invitation(&ratings)
        };
        for parameter in survey_whatsapp_parameters(Language::PtBr, &any) {
            prop_assert!(!parameter.trim().is_empty());
            prop_assert!(!parameter.contains(char::is_control), "{parameter:?}");
            prop_assert!(!parameter.contains("  "), "{parameter:?}");
            prop_assert!(parameter.chars().count() <= 200);
        }
    }
}
