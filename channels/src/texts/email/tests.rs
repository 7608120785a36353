//! The mail about a coupon, as its reader sees it.

mod foreign;

use insta::assert_snapshot;

use super::super::samples::{Sample, bare, percentage, pizza, sao_paulo, zone};
use super::*;

fn written(sample: &Sample) -> Email {
    email(
        Language::PtBr,
        Occasion::Redeemed,
        &sample.coupon(),
        &sao_paulo(),
    )
}

fn written_in_english(sample: &Sample) -> Email {
    email(
        Language::En,
        Occasion::Redeemed,
        &sample.coupon(),
        &sao_paulo(),
    )
}

fn reminder(sample: &Sample) -> Email {
    email(
        Language::PtBr,
        Occasion::Expiring,
        &sample.coupon(),
        &sao_paulo(),
    )
}

/// The page's texts as the HTML spells them, title and preview included, each on a line of its own.
/// The mail leaves out empty cells.
fn readable(html: &str) -> String {
    let texts = html.split('<').filter_map(|part| part.split_once('>'));
    let texts = texts.map(|(_, text)| text.trim());
    let texts: Vec<_> = texts
        .filter(|text| !["", "&nbsp;"].contains(text))
        .collect();
    texts.join("\n")
}

fn subject(reward: &str) -> String {
    written(&pizza().reward(Some(reward))).subject
}

#[test]
fn the_text_reads_like_a_letter() {
    let email = written(&pizza());
    assert_eq!(email.subject, "Seu cupom: Pizza Margherita Grátis");
    assert_snapshot!(email.text, @"
    Olá, Maria! Seu cupom está pronto.

    Pizza Margherita Grátis
    Grátis
    Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

    Código: CP-A1B2C3D4
    Apresente este código no caixa.
    Válido até 26/09/2025 às 11:20.

    Condições
    Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

    --
    Você recebeu este e-mail porque um cupom foi emitido em seu nome.
    ");
}

#[test]
fn the_text_reads_like_a_letter_in_english() {
    let email = written_in_english(&percentage().expires_at("2025-09-01T02:59:59Z"));
    assert_eq!(email.subject, "Your coupon: 15% de Desconto");
    assert_snapshot!(email.text, @"
    Hello, João! Your coupon is ready.

    15% de Desconto
    15% off up to R$75.00, orders above R$30.00
    15% de desconto em qualquer pedido

    Code: CP-X9Y8Z7W6
    Show this code when you pay.
    Valid until 31 August 2025, 23:59.

    Terms
    Válido para pedidos acima de R$ 30,00. Não cumulativo com outras promoções.

    --
    You got this e-mail because a coupon was issued in your name.
    ");

    assert_snapshot!(written_in_english(&bare("CP-1")).text, @"
    Hello! Your coupon is ready.

    Your coupon

    Code: CP-1
    Show this code when you pay.

    --
    You got this e-mail because a coupon was issued in your name.
    ");
}

#[test]
fn the_page_is_in_english_too() {
    let html = written_in_english(&pizza()).html;
    assert!(html.contains(r#"<html lang="en" dir="ltr">"#), "{html}");
    assert_snapshot!(readable(&html), @"
    Your coupon: Pizza Margherita Grátis
    Code CP-A1B2C3D4. Valid until 26 September 2025, 11:20.
    Hello, Maria!
    Your coupon is ready.
    Pizza Margherita Grátis
    Free
    Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco
    Your code
    CP-A1B2C3D4
    Show this code when you pay.
    Valid until 26 September 2025, 11:20
    Terms
    Válido apenas para consumo no local. Não pode ser combinado com outras promoções.
    You got this e-mail because a coupon was issued in your name.
    ");
}

#[test]
fn no_language_leaves_a_place_empty() {
    for language in Language::ALL {
        for occasion in [Occasion::Redeemed, Occasion::Expiring] {
            let email = email(*language, occasion, &pizza().coupon(), &sao_paulo());
            for tag in ["title", "h1", "h2", "h3", "p"] {
                assert!(
                    !email.html.contains(&format!("></{tag}>")),
                    "{}",
                    email.html
                );
            }
            assert!(!email.subject.contains('\n') && !email.subject.is_empty());
        }
    }
}

#[test]
fn a_reminder_says_so_at_once() {
    let email = reminder(&pizza());
    assert_eq!(
        email.subject,
        "Seu cupom expira em breve: Pizza Margherita Grátis"
    );
    assert_snapshot!(email.text, @"
    Olá, Maria! Seu cupom expira em breve.

    Pizza Margherita Grátis
    Grátis
    Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

    Código: CP-A1B2C3D4
    Apresente este código no caixa.
    Válido até 26/09/2025 às 11:20.

    Condições
    Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

    --
    Você recebeu este e-mail porque um cupom foi emitido em seu nome.
    ");
    assert_snapshot!(readable(&email.html), @"
    Seu cupom expira em breve: Pizza Margherita Grátis
    Código CP-A1B2C3D4. Válido até 26 de setembro de 2025, às 11h20.
    Olá, Maria!
    Seu cupom expira em breve.
    Pizza Margherita Grátis
    Grátis
    Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco
    Seu código
    CP-A1B2C3D4
    Apresente este código no caixa.
    Válido até 26 de setembro de 2025, às 11h20
    Condições
    Válido apenas para consumo no local. Não pode ser combinado com outras promoções.
    Você recebeu este e-mail porque um cupom foi emitido em seu nome.
    ");

    let email = reminder(&bare("CP-1"));
    assert_eq!(email.subject, "Seu cupom expira em breve");

    let coupon = pizza();
    let email = super::email(
        Language::En,
        Occasion::Expiring,
        &coupon.coupon(),
        &sao_paulo(),
    );
    assert_eq!(
        email.subject,
        "Your coupon expires soon: Pizza Margherita Grátis"
    );
    assert_snapshot!(email.text, @"
    Hello, Maria! Your coupon expires soon.

    Pizza Margherita Grátis
    Free
    Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

    Code: CP-A1B2C3D4
    Show this code when you pay.
    Valid until 26 September 2025, 11:20.

    Terms
    Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

    --
    You got this e-mail because a coupon was issued in your name.
    ");
    assert_snapshot!(readable(&email.html), @"
    Your coupon expires soon: Pizza Margherita Grátis
    Code CP-A1B2C3D4. Valid until 26 September 2025, 11:20.
    Hello, Maria!
    Your coupon expires soon.
    Pizza Margherita Grátis
    Free
    Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco
    Your code
    CP-A1B2C3D4
    Show this code when you pay.
    Valid until 26 September 2025, 11:20
    Terms
    Válido apenas para consumo no local. Não pode ser combinado com outras promoções.
    You got this e-mail because a coupon was issued in your name.
    ");
}

#[test]
fn the_page_shows_all_of_the_coupon() {
    let html = written(&pizza()).html;
    assert!(html.contains(r#"<html lang="pt-BR" dir="ltr">"#), "{html}");
    assert_snapshot!(readable(&html), @"
    Seu cupom: Pizza Margherita Grátis
    Código CP-A1B2C3D4. Válido até 26 de setembro de 2025, às 11h20.
    Olá, Maria!
    Seu cupom está pronto.
    Pizza Margherita Grátis
    Grátis
    Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco
    Seu código
    CP-A1B2C3D4
    Apresente este código no caixa.
    Válido até 26 de setembro de 2025, às 11h20
    Condições
    Válido apenas para consumo no local. Não pode ser combinado com outras promoções.
    Você recebeu este e-mail porque um cupom foi emitido em seu nome.
    ");
}

#[test]
fn the_discount_stands_beneath_the_reward() {
    let email = written(&percentage());
    let words = "15% de desconto até R$ 75,00, pedidos acima de R$ 30,00";
    assert!(
        email
            .text
            .contains(&format!("\n15% de Desconto\n{words}\n"))
    );
    assert!(email.html.contains(&format!(">{words}</td>")));
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let html = written(&pizza()).html;
    for part in [
        "http", "<img", "<link", "<script", "<style", "url(", "src=", "href=",
    ] {
        assert!(!html.contains(part), "has {part}:\n{html}");
    }
}

#[test]
fn a_missing_value_leaves_no_trace() {
    let email = written(&bare("CP-1"));
    assert_eq!(email.subject, "Seu cupom está pronto");
    assert_snapshot!(email.text, @"
    Olá! Seu cupom está pronto.

    Seu cupom

    Código: CP-1
    Apresente este código no caixa.

    --
    Você recebeu este e-mail porque um cupom foi emitido em seu nome.
    ");
    assert_snapshot!(readable(&email.html), @"
    Seu cupom está pronto
    Código CP-1.
    Olá!
    Seu cupom está pronto.
    Seu cupom
    Seu código
    CP-1
    Apresente este código no caixa.
    Você recebeu este e-mail porque um cupom foi emitido em seu nome.
    ");
    assert!(!email.html.contains("></p>"));
}

#[test]
fn a_blank_value_is_a_missing_one() {
    let blank = bare("CP-1").name(Some(" ")).reward(Some("  "));
    let blank = written(&blank.description("\n \n").terms(""));
    let missing = written(&bare("CP-1"));
    assert_eq!(blank.subject, missing.subject);
    assert_eq!(blank.html, missing.html);
    assert_eq!(blank.text, missing.text);
}

#[test]
fn greets_by_the_first_name() {
    let check = |name: &str, greeting: &str| {
        let text = written(&pizza().name(Some(name))).text;
        assert_eq!(text.lines().next(), Some(greeting), "{name:?}");
    };
    check("Maria Silva", "Olá, Maria! Seu cupom está pronto.");
    check("  João\tSantos", "Olá, João! Seu cupom está pronto.");
    check("Silva, Ana-Clara", "Olá, Silva! Seu cupom está pronto.");
    check("D'Ávila", "Olá, D'Ávila! Seu cupom está pronto.");
    check("Zé\r\nBcc: x", "Olá, Zé! Seu cupom está pronto.");
}

#[test]
fn greets_nobody_by_a_word_that_is_no_name() {
    for name in [
        "",
        " \n",
        "-",
        "🍕",
        "+5511965958122",
        "customer@example.com",
        "https://example.com/premio",
        "www.example.com",
        "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        let text = written(&pizza().name(Some(name))).text;
        assert!(text.starts_with("Olá! Seu cupom"), "{name:?}: {text}");
    }
}

#[test]
fn a_code_stays_on_one_line_where_a_phone_has_room_for_it() {
    let unbroken = |code: &str| {
        let html = written(&bare(code)).html;
        assert!(html.contains(&format!(">{code}</p>")));
        html.contains("white-space:nowrap")
    };
    assert!(unbroken("CP-A1B2C3D4"));
    assert!(!unbroken(&"CP-A1B2C3D4".repeat(5)));
}

#[test]
fn descriptions_and_terms_keep_their_lines() {
    let email = written(&pizza().terms("\r\nUm por mesa.\r\n\r\n\r\nSó <às> terças.\0 \n"));
    assert!(
        email
            .text
            .contains("Condições\nUm por mesa.\n\nSó <às> terças.\n\n--")
    );
    assert!(
        email
            .html
            .contains(">Um por mesa.<br/><br/>Só &#60;às&#62; terças.</p>")
    );
}

#[test]
fn a_coupon_ends_when_its_reader_s_clock_says() {
    let check = |time_zone: &str, in_words: &str, in_digits: &str| {
        let sample = pizza().expires_at("2025-09-01T02:59:59Z");
        let email = email(
            Language::PtBr,
            Occasion::Redeemed,
            &sample.coupon(),
            &zone(time_zone),
        );
        let (html, text) = (email.html, email.text);
        assert!(
            html.contains(&format!(">Válido até {in_words}</p>")),
            "{html}"
        );
        assert!(
            text.contains(&format!("\nVálido até {in_digits}.\n")),
            "{text}"
        );
    };
    check(
        "America/Sao_Paulo",
        "31 de agosto de 2025, às 23h59",
        "31/08/2025 às 23:59",
    );
    check(
        "America/Manaus",
        "31 de agosto de 2025, às 22h59",
        "31/08/2025 às 22:59",
    );
    check(
        "America/Noronha",
        "1º de setembro de 2025, à 0h59",
        "01/09/2025 à 00:59",
    );
}

#[test]
fn every_month_has_its_name() {
    let months = [
        "janeiro",
        "fevereiro",
        "março",
        "abril",
        "maio",
        "junho",
        "julho",
        "agosto",
        "setembro",
        "outubro",
        "novembro",
        "dezembro",
    ];
    for (month, name) in (1..=12).zip(months) {
        let html = written(&pizza().expires_at(&format!("2025-{month:02}-15T15:00:00Z"))).html;
        let expected = format!(">Válido até 15 de {name} de 2025, às 12h00</p>");
        assert!(html.contains(&expected), "lacks {expected}:\n{html}");
    }
}
