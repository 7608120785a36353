use proptest::prelude::*;

use super::super::samples::{Sample, bare, pizza, sao_paulo};
use super::*;

fn written(sample: &Sample) -> Result<String, &'static str> {
    written_in(Language::PtBr, Occasion::Redeemed, sample)
}

fn written_in(
    language: Language,
    occasion: Occasion,
    sample: &Sample,
) -> Result<String, &'static str> {
    sms(language, occasion, &sample.coupon(), &sao_paulo())
}

fn check(sample: &Sample, expected: &str) {
    assert_eq!(written(sample).as_deref(), Ok(expected));
}

fn with_reward(name: &str) -> Sample {
    pizza().reward(Some(name))
}

#[test]
fn each_language_and_occasion_has_its_words() {
    let check = |language, occasion, expected| {
        assert_eq!(
            written_in(language, occasion, &pizza()).as_deref(),
            Ok(expected)
        );
    };
    check(
        Language::PtBr,
        Occasion::Redeemed,
        "Maria, seu cupom CP-A1B2C3D4 esta pronto! Pizza Margherita Gratis. Valido até 26/09/2025.",
    );
    check(
        Language::PtBr,
        Occasion::Expiring,
        "Maria, seu cupom CP-A1B2C3D4 expira em breve! Pizza Margherita Gratis. Valido até 26/09/2025.",
    );
    check(
        Language::En,
        Occasion::Redeemed,
        "Maria, your coupon CP-A1B2C3D4 is ready! Pizza Margherita Gratis. Valid until 26 Sep 2025.",
    );
    check(
        Language::En,
        Occasion::Expiring,
        "Maria, your coupon CP-A1B2C3D4 expires soon! Pizza Margherita Gratis. Valid until 26 Sep 2025.",
    );
}

#[test]
fn accents_stay_where_there_is_room_for_them() {
    check(
        &pizza().reward(None),
        "Maria, seu cupom CP-A1B2C3D4 está pronto! Válido até 26/09/2025.",
    );
    check(&bare("CP-1"), "Seu cupom CP-1 está pronto!");
}

#[test]
fn a_long_reward_is_cut_between_words() {
    check(
        &with_reward(
            "Pizza Margherita grande, com borda recheada de catupiry e refrigerante de dois litros, e sobremesa",
        ),
        "Maria, seu cupom CP-A1B2C3D4 esta pronto! Pizza Margherita grande, com borda recheada de catupiry e \
         refrigerante de dois litros, e... Valido até 26/09/2025.",
    );
}

#[test]
fn a_reward_ends_like_a_sentence_once() {
    check(
        &with_reward("Grátis!"),
        "Maria, seu cupom CP-A1B2C3D4 esta pronto! Gratis! Valido até 26/09/2025.",
    );
    check(
        &with_reward("Uma esfiha."),
        "Maria, seu cupom CP-A1B2C3D4 esta pronto! Uma esfiha. Valido até 26/09/2025.",
    );
}

#[test]
fn characters_that_gsm_7_lacks_are_left_out_or_replaced() {
    check(
        &with_reward("🍕 Pizza – “da casa” 🍕🎉 e café"),
        "Maria, seu cupom CP-A1B2C3D4 esta pronto! Pizza - \"da casa\" e café. Valido até 26/09/2025.",
    );
    check(
        &with_reward("🍕🍕🍕🍕🍕🍕🍕🍕"),
        "Maria, seu cupom CP-A1B2C3D4 esta pronto! Valido até 26/09/2025.",
    );
}

#[test]
fn a_name_in_another_script_goes_before_the_reward() {
    check(
        &pizza().name(Some("Иван")),
        "Seu cupom CP-A1B2C3D4 esta pronto! Pizza Margherita Gratis. Valido até 26/09/2025.",
    );
}

#[test]
fn a_reward_in_another_script_keeps_its_script() {
    check(
        &with_reward("ピザ・マルゲリータ"),
        "Seu cupom CP-A1B2C3D4 está pronto! ピザ・マルゲリータ. Válido até 26/09/2025.",
    );
    check(
        &bare("CP-1").reward(Some(&"ピザ".repeat(40))),
        &format!(
            "Seu cupom CP-1 está pronto! {}...",
            "ピザ".repeat(19) + "ピ"
        ),
    );
}

#[test]
fn a_code_is_never_cut_nor_spelled_otherwise() {
    // Forty characters and more take the room of the reward, and then that of the name.
    let forty = "CP-".to_owned() + &"A1B2C3D4".repeat(5);
    check(
        &pizza().code(&forty),
        &format!(
            "Maria, seu cupom {forty} esta pronto! Pizza Margherita Gratis. Valido até 26/09/2025."
        ),
    );
    let hundred = "X".repeat(100);
    check(
        &pizza().code(&hundred),
        &format!("Seu cupom {hundred} esta pronto! Pizza... Valido até 26/09/2025."),
    );
    let longest = "X".repeat(114);
    check(
        &pizza().code(&longest),
        &format!("Seu cupom {longest} esta pronto! Valido até 26/09/2025."),
    );
    assert!(written(&pizza().code(&"X".repeat(115))).is_err());

    // GSM-7 cannot write this code, so the message has only the room of UCS-2.
    check(
        &pizza().code("AÇÃO-DE-GRAÇAS"),
        "Seu cupom AÇÃO-DE-GRAÇAS está pronto! Pizza... Válido até 26/09/2025.",
    );
    assert!(written(&pizza().code(&"Ã".repeat(25))).is_err());
    // Each character of the extension table takes two septets.
    assert!(written(&pizza().code(&"[".repeat(57))).is_ok());
    assert!(written(&pizza().code(&"[".repeat(58))).is_err());
}

#[test]
fn a_long_code_in_gsm_7_goes_before_a_reward_in_another_script() {
    let code = "X".repeat(60);
    check(
        &pizza().code(&code).reward(Some("ピザ")),
        &format!("Maria, seu cupom {code} esta pronto! Valido até 26/09/2025."),
    );
}

#[test]
fn no_value_brings_a_line_or_a_control_character() {
    let sample = pizza()
        .name(Some("Maria\r\nBcc: x"))
        .code("CP-1\0\n2")
        .reward(Some("Pizza\r\n\tgrande\u{7}\u{202e}"));
    check(
        &sample,
        "Maria, seu cupom CP-1 2 esta pronto! Pizza grande. Valido até 26/09/2025.",
    );
}

proptest! {
    #[test]
    fn is_one_message_with_its_code_and_date(
        name in proptest::option::of("(\\PC{0,12}|[A-Za-zÀ-ÿ]{1,40})( \\PC{0,8})?"),
        code in "[A-Za-z0-9_/.-]{1,60}",
        reward in proptest::option::of("(\\PC{0,200}|([a-zà-ÿ]{1,12} ){0,40})"),
        english in any::<bool>(),
        expiring in any::<bool>(),
    ) {
        let language = if english { Language::En } else { Language::PtBr };
        let occasion = if expiring { Occasion::Expiring } else { Occasion::Redeemed };
        let sample = pizza().name(name.as_deref()).code(&code).reward(reward.as_deref());
        let text = written_in(language, occasion, &sample).unwrap();
        let is_one = match gsm::septets(&text) {
            Some(septets) => septets <= 160,
            None => text.encode_utf16().count() <= 70,
        };
        prop_assert!(is_one, "{text:?}");
        prop_assert!(text.contains(&code), "{text:?}");
        let date = if english { "26 Sep 2025." } else { "26/09/2025." };
        prop_assert!(text.ends_with(date), "{text:?}");
        prop_assert!(!text.contains(char::is_control), "{text:?}");
    }

    #[test]
    fn any_code_is_whole_or_refused(code in "\\PC{1,9}|[A-Z0-9À-ÿ★’ -]{1,130}", reward in "\\PC{0,100}") {
        let sample = pizza().code(&code).reward(Some(&reward));
        if let Ok(text) = written(&sample) {
            prop_assert!(text.contains(&line(&code).unwrap_or("-".into())), "{text:?}");
            prop_assert!(Alphabet::Gsm7.holds(&text) || Alphabet::Ucs2.holds(&text), "{text:?}");
        }
    }
}
