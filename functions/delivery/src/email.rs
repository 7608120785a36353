//! The e-mail that brings a redeemed coupon to a restaurant's customer.

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use webhooks::event::{Member, Redemption};

/// An e-mail, ready to send.
pub(crate) struct Email {
    pub(crate) subject: String,
    pub(crate) html: String,
    pub(crate) text: String,
}

/// Writes the e-mail for a redemption. `time_zone` is where its reader lives.
pub(crate) fn write(member: &Member, redemption: &Redemption, time_zone: &TimeZone) -> Email {
    let reward = &redemption.reward;
    let reward_name = reward.name.as_deref().and_then(line);
    let subject = match &reward_name {
        Some(name) => format!("Seu cupom: {}", shorten(name, SUBJECT_REWARD_MAX_CHARS)),
        None => "Seu cupom está pronto".into(),
    };
    let greeting = match member.name.as_deref().and_then(first_name) {
        Some(name) => format!("Olá, {name}!"),
        None => "Olá!".into(),
    };
    let code = line(&redemption.coupon_code).unwrap_or_default();
    let description = reward.description.as_deref().and_then(lines);
    let terms = reward.terms.as_deref().and_then(lines);
    let expiry = redemption.expires_at.map(|at| expiry(at, time_zone));

    let coupon = Coupon {
        subject: &subject,
        greeting: &greeting,
        announcement: "Seu cupom está pronto.",
        reward_name: reward_name.as_deref().unwrap_or("Seu cupom"),
        description: description.as_deref(),
        code: &code,
        code_fits_a_line: code.chars().count() <= CODE_LINE_CHARS,
        expiry: expiry.as_ref(),
        terms: terms.as_deref(),
    };
    let html = Html { coupon }.render();
    let text = Text { coupon }.render();
    Email {
        html: html.expect(RENDERS),
        text: text.expect(RENDERS),
        subject,
    }
}

const RENDERS: &str = "the templates hold only text, and a string takes any amount of it";

/// So much of a reward's name does an inbox show on a computer, after "Seu cupom: ".
const SUBJECT_REWARD_MAX_CHARS: usize = 50;

/// So much of a code fits the template's large type on a phone 360 pixels wide.
const CODE_LINE_CHARS: usize = 13;

/// What the templates show.
#[derive(Clone, Copy)]
struct Coupon<'a> {
    subject: &'a str,
    greeting: &'a str,
    announcement: &'a str,
    reward_name: &'a str,
    description: Option<&'a str>,
    code: &'a str,
    code_fits_a_line: bool,
    expiry: Option<&'a Expiry>,
    terms: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "coupon.html")]
struct Html<'a> {
    coupon: Coupon<'a>,
}

#[derive(Template)]
#[template(path = "coupon.txt")]
struct Text<'a> {
    coupon: Coupon<'a>,
}

/// The end of a coupon on its reader's calendar and clock.
struct Expiry {
    /// `26 de setembro de 2025, às 11h20`
    in_words: String,
    /// `26/09/2025 às 11:20`
    in_digits: String,
}

const MONTHS: [&str; 12] = [
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

fn expiry(at: Timestamp, time_zone: &TimeZone) -> Expiry {
    let local = at.to_zoned(time_zone.clone());
    let (day, month, year) = (local.day(), local.month(), local.year());
    let (hour, minute) = (local.hour(), local.minute());

    let ordinal = if day == 1 { "º" } else { "" };
    let month_name = MONTHS[month as usize - 1];
    let at = if hour <= 1 { "à" } else { "às" };
    Expiry {
        in_words: format!("{day}{ordinal} de {month_name} de {year}, {at} {hour}h{minute:02}"),
        in_digits: format!("{day:02}/{month:02}/{year} {at} {hour:02}:{minute:02}"),
    }
}

/// The text on one line and without control characters, if anything is left: it can end no header of an e-mail.
fn line(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The text with its own line breaks, at most one blank line between two, if anything is left.
fn lines(text: &str) -> Option<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|text| line(text).unwrap_or_default())
        .collect();
    lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
    let text = lines.join("\n");
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first name, if there is one: people also leave a number, an address or a link where they are asked for it.
fn first_name(name: &str) -> Option<String> {
    let name = line(name)?;
    let first = name.split(' ').next()?;
    let first = first.trim_matches(|character: char| character.is_ascii_punctuation());
    let is_name = !first.is_empty()
        && first.chars().count() <= 30
        && !first.contains(|character: char| "@/:.".contains(character) || character.is_numeric());
    is_name.then(|| first.to_owned())
}

/// At most `max_chars` characters of the text, cut between two words where that leaves at least half of them.
fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max_chars - 1).collect();
    let kept = match kept.rfind(' ') {
        Some(end) if end >= kept.len() / 2 => &kept[..end],
        _ => &kept,
    };
    let kept = kept.trim_end_matches(|character: char| " ,;:-–(".contains(character));
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;
    use webhooks::event::Reward;

    use super::*;

    fn member(name: Option<&str>) -> Member {
        Member {
            id: "ZP-4F95FB0A".into(),
            name: name.map(str::to_owned),
            email: Some("customer@example.com".into()),
            phone: Some("+5511965958122".into()),
            tier: Some("silver".into()),
        }
    }

    fn maria() -> Member {
        member(Some("Maria Silva"))
    }

    /// `events/samples/zupy-coupon-redeemed.json`
    fn pizza() -> Redemption {
        Redemption {
            coupon_code: "CP-A1B2C3D4".into(),
            reward: Reward {
                id: Some("rw_pizza_margherita".into()),
                name: Some("Pizza Margherita Grátis".into()),
                description: Some(
                    "Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco".into(),
                ),
                terms: Some(
                    "Válido apenas para consumo no local. Não pode ser combinado com outras promoções.".into(),
                ),
                items: Vec::new(),
            },
            points_spent: Some(1000),
            new_balance: Some(350),
            expires_at: Some("2025-09-26T14:20:00Z".parse().unwrap()),
            method: Some("app".into()),
            discount: None,
        }
    }

    fn bare(coupon_code: &str) -> Redemption {
        Redemption {
            coupon_code: coupon_code.into(),
            reward: Reward::default(),
            points_spent: None,
            new_balance: None,
            expires_at: None,
            method: None,
            discount: None,
        }
    }

    fn named(reward_name: &str) -> Redemption {
        let mut redemption = pizza();
        redemption.reward.name = Some(reward_name.into());
        redemption
    }

    /// Never the machine's own zones: the function finds none where it runs.
    fn zone(name: &str) -> TimeZone {
        TimeZoneDatabase::bundled().get(name).unwrap()
    }

    fn written(member: &Member, redemption: &Redemption) -> Email {
        write(member, redemption, &zone("America/Sao_Paulo"))
    }

    fn subject(redemption: &Redemption) -> String {
        written(&maria(), redemption).subject
    }

    #[test]
    fn the_text_reads_like_a_letter() {
        let email = written(&maria(), &pizza());
        assert_eq!(email.subject, "Seu cupom: Pizza Margherita Grátis");
        let expected = "\
Olá, Maria! Seu cupom está pronto.

Pizza Margherita Grátis
Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

Código: CP-A1B2C3D4
Apresente este código no caixa.
Válido até 26/09/2025 às 11:20.

Condições
Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

--
Você recebeu este e-mail porque um cupom foi emitido em seu nome.";
        assert_eq!(email.text, expected);
    }

    #[test]
    fn the_page_shows_all_of_the_coupon() {
        let html = written(&maria(), &pizza()).html;
        for part in [
            r#"<html lang="pt-BR" dir="ltr">"#,
            ">Olá, Maria!</h1>",
            ">Seu cupom está pronto.</p>",
            ">Pizza Margherita Grátis</h2>",
            "mussarela e manjericão fresco</p>",
            ">CP-A1B2C3D4</p>",
            ">Apresente este código no caixa.</p>",
            ">Válido até 26 de setembro de 2025, às 11h20</p>",
            ">Condições</h3>",
            "Válido apenas para consumo no local.",
            "Código CP-A1B2C3D4. Válido até 26 de setembro de 2025, às 11h20.",
        ] {
            assert!(html.contains(part), "lacks {part}:\n{html}");
        }
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let html = written(&maria(), &pizza()).html;
        for part in [
            "http", "<img", "<link", "<script", "<style", "url(", "src=", "href=",
        ] {
            assert!(!html.contains(part), "has {part}:\n{html}");
        }
    }

    #[test]
    fn what_the_provider_leaves_out_leaves_no_trace() {
        let email = written(&member(None), &bare("CP-1"));
        assert_eq!(email.subject, "Seu cupom está pronto");
        let expected = "\
Olá! Seu cupom está pronto.

Seu cupom

Código: CP-1
Apresente este código no caixa.

--
Você recebeu este e-mail porque um cupom foi emitido em seu nome.";
        assert_eq!(email.text, expected);
        assert!(email.html.contains(">Seu cupom</h2>"));
        assert!(!email.html.contains("Válido até"));
        assert!(!email.html.contains("Condições"));
        assert!(!email.html.contains("></p>"));
    }

    #[test]
    fn a_blank_value_is_a_missing_one() {
        let mut redemption = bare("CP-1");
        redemption.reward.name = Some("  ".into());
        redemption.reward.description = Some("\n \n".into());
        redemption.reward.terms = Some(String::new());
        let blank = written(&member(Some(" ")), &redemption);
        let missing = written(&member(None), &bare("CP-1"));
        assert_eq!(blank.subject, missing.subject);
        assert_eq!(blank.html, missing.html);
        assert_eq!(blank.text, missing.text);
    }

    #[test]
    fn markup_in_a_value_is_shown_and_not_obeyed() {
        let hostile = r#"<script>alert("1")</script> & 'co'"#;
        let mut redemption = bare(hostile);
        redemption.reward.name = Some(hostile.into());
        redemption.reward.description = Some(hostile.into());
        redemption.reward.terms = Some(hostile.into());
        let email = written(&member(Some("<b>&\"Maria'")), &redemption);

        let escaped = "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62; &#38; &#39;co&#39;";
        // The code twice: it also stands in the preview. The name twice: it also stands in the title, there shortened or not.
        assert_eq!(email.html.matches(escaped).count(), 6);
        assert!(!email.html.contains("<script"));
        assert!(email.html.contains(">Olá, b&#62;&#38;&#34;Maria!</h1>"));

        assert_eq!(email.text.matches(hostile).count(), 4);
        assert!(email.text.contains("Olá, b>&\"Maria!"));
        assert_eq!(email.subject, format!("Seu cupom: {hostile}"));
    }

    #[test]
    fn a_reward_cannot_add_a_header_to_the_email() {
        let subject = subject(&named(
            "Pizza\r\nBcc: all@example.com\0\u{85}\u{2028}\tX: y\u{7f}",
        ));
        assert_eq!(subject, "Seu cupom: Pizza Bcc: all@example.com X: y");
    }

    #[test]
    fn a_long_reward_name_is_cut_between_words_in_the_subject_alone() {
        let name =
            "Pizza Margherita grande, com borda recheada de catupiry e refrigerante de dois litros";
        let email = written(&maria(), &named(name));
        assert_eq!(
            email.subject,
            "Seu cupom: Pizza Margherita grande, com borda recheada de…"
        );
        assert!(email.html.contains(&format!(">{name}</h2>")));
        assert!(email.text.contains(name));
    }

    #[test]
    fn a_long_word_is_cut_within() {
        let subject = subject(&named(&"á".repeat(80)));
        assert_eq!(subject, format!("Seu cupom: {}…", "á".repeat(49)));
    }

    #[test]
    fn a_name_that_just_fits_is_not_cut() {
        let name = "a".repeat(SUBJECT_REWARD_MAX_CHARS);
        assert_eq!(subject(&named(&name)), format!("Seu cupom: {name}"));
    }

    #[test]
    fn greets_by_the_first_name() {
        let check = |name: &str, greeting: &str| {
            let text = written(&member(Some(name)), &pizza()).text;
            assert_eq!(text.lines().next(), Some(greeting), "{name:?}");
        };
        check("Maria Silva", "Olá, Maria! Seu cupom está pronto.");
        check("  João\tSantos", "Olá, João! Seu cupom está pronto.");
        check("Silva, Ana-Clara", "Olá, Silva! Seu cupom está pronto.");
        check("D'Ávila", "Olá, D'Ávila! Seu cupom está pronto.");
        check("Zé\r\nBcc: x", "Olá, Zé! Seu cupom está pronto.");
    }

    #[test]
    fn greets_nobody_by_what_is_no_name() {
        for name in [
            "",
            " \n",
            "-",
            "+5511965958122",
            "customer@example.com",
            "https://example.com/premio",
            "www.example.com",
            "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            let text = written(&member(Some(name)), &pizza()).text;
            assert!(text.starts_with("Olá! Seu cupom"), "{name:?}: {text}");
        }
    }

    #[test]
    fn a_code_stays_on_one_line_where_a_phone_has_room_for_it() {
        let unbroken = |code: &str| {
            let html = written(&maria(), &bare(code)).html;
            assert!(html.contains(&format!(">{code}</p>")));
            html.contains("white-space:nowrap")
        };
        assert!(unbroken("CP-A1B2C3D4"));
        assert!(!unbroken(&"CP-A1B2C3D4".repeat(5)));
    }

    #[test]
    fn descriptions_and_terms_keep_their_lines() {
        let mut redemption = pizza();
        redemption.reward.terms = Some("\r\nUm por mesa.\r\n\r\n\r\nSó <às> terças.\0 \n".into());
        let email = written(&maria(), &redemption);
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
            let mut redemption = pizza();
            redemption.expires_at = Some("2025-09-01T02:59:59Z".parse().unwrap());
            let email = write(&maria(), &redemption, &zone(time_zone));
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
        let names: Vec<String> = (1..=12)
            .map(|month| {
                let at = format!("2025-{month:02}-15T12:00:00Z").parse().unwrap();
                expiry(at, &TimeZone::UTC).in_words
            })
            .collect();
        assert_eq!(names[0], "15 de janeiro de 2025, às 12h00");
        assert_eq!(names[2], "15 de março de 2025, às 12h00");
        assert_eq!(names[11], "15 de dezembro de 2025, às 12h00");
    }
}
