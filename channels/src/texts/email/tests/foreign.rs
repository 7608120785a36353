//! Providers' values that hold markup, control characters, or too many words.

use super::*;

#[test]
fn markup_in_a_value_is_shown_and_not_obeyed() {
    let hostile = r#"<script>alert("1")</script> & 'co'"#;
    let sample = bare(hostile)
        .name(Some("<b>&\"Maria'"))
        .reward(Some(hostile))
        .description(hostile)
        .terms(hostile);
    let email = written(&sample);

    let escaped = "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62; &#38; &#39;co&#39;";
    // The code stands twice, because it is also in the preview; the name too, because it is
    // also in the title.
    assert_eq!(email.html.matches(escaped).count(), 6);
    assert!(!email.html.contains("<script"));
    assert!(email.html.contains(">Olá, b&#62;&#38;&#34;Maria!</h1>"));

    assert_eq!(email.text.matches(hostile).count(), 4);
    assert!(email.text.contains("Olá, b>&\"Maria!"));
    assert_eq!(email.subject, format!("Seu cupom: {hostile}"));
}

#[test]
fn markup_in_a_discount_s_currency_is_shown_and_not_obeyed() {
    let mut discount = percentage().redemption.discount.unwrap();
    let maximum = discount.maximum.as_mut().unwrap();
    maximum.currency = "<b>\r\nX".into();
    let email = written(&percentage().discount(Some(discount)));
    let words = "15% de desconto até &#60;b&#62; X 75,00, pedidos acima de R$ 30,00";
    assert!(email.html.contains(words), "{}", email.html);
    assert!(email.text.contains("até <b> X 75,00,"), "{}", email.text);
}

#[test]
fn a_reward_cannot_add_a_header_to_the_email() {
    let subject = subject("Pizza\r\nBcc: all@example.com\0\u{85}\u{2028}\tX: y\u{7f}");
    assert_eq!(subject, "Seu cupom: Pizza Bcc: all@example.com X: y");
}

#[test]
fn no_mark_turns_the_direction_of_the_text() {
    let sample = bare("CP-\u{202e}1").reward(Some("Pizza \u{202e}\u{2066}grátis\u{feff}"));
    let email = written(&sample);
    assert_eq!(email.subject, "Seu cupom: Pizza grátis");
    assert!(email.text.contains("Código: CP-1\n"));
}

#[test]
fn a_long_reward_name_is_cut_between_words_in_the_subject_alone() {
    let name =
        "Pizza Margherita grande, com borda recheada de catupiry e refrigerante de dois litros";
    let email = written(&pizza().reward(Some(name)));
    assert_eq!(
        email.subject,
        "Seu cupom: Pizza Margherita grande, com borda recheada de…"
    );
    assert!(email.html.contains(&format!(">{name}</h2>")));
    assert!(email.text.contains(name));
}

#[test]
fn a_long_word_is_cut_within() {
    let subject = subject(&"á".repeat(80));
    assert_eq!(subject, format!("Seu cupom: {}…", "á".repeat(49)));
}

#[test]
fn a_name_that_just_fits_is_not_cut() {
    let name = "a".repeat(SUBJECT_REWARD_MAX_CHARS);
    assert_eq!(subject(&name), format!("Seu cupom: {name}"));
}

#[test]
fn gmail_cuts_no_mail_off() {
    let long = "<>&'\"\n".repeat(40_000);
    let sample = bare(&"<".repeat(500))
        .name(Some(&long))
        .reward(Some(&long))
        .description(&long)
        .terms(&long);
    let html = written(&sample).html;
    assert!(html.len() < 102 * 1024, "{} bytes", html.len());
    assert!(html.ends_with("</html>"));
}
