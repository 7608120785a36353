//! The e-mail that brings a redeemed coupon to a restaurant's customer.

use jiff::tz::TimeZone;

use super::clean::shorten;
use super::shown::Shown;
use super::templates::File;
use super::{Coupon, Language};

/// An e-mail, ready to send.
pub struct Email {
    pub subject: String,
    pub html: String,
    pub text: String,
}

/// Writes the e-mail for a coupon. `time_zone` is where its reader lives.
pub fn email(language: Language, coupon: &Coupon<'_>, time_zone: &TimeZone) -> Email {
    let coupon = Shown::of(language, coupon, time_zone);
    Email {
        html: File::EmailHtml.fill(&coupon),
        text: File::EmailText.fill(&coupon),
        subject: subject(coupon),
    }
}

/// So much of a reward's name does an inbox show on a computer, after "Seu cupom: ".
const SUBJECT_REWARD_MAX_CHARS: usize = 50;

fn subject(mut coupon: Shown) -> String {
    let reward = coupon.reward.as_deref();
    coupon.reward = reward.map(|name| shorten(name, SUBJECT_REWARD_MAX_CHARS, "…"));
    File::Subject.fill(&coupon)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;
    use webhooks::event::{Member, Redemption, Reward};

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
        written_in(member, redemption, "America/Sao_Paulo")
    }

    fn written_in(member: &Member, redemption: &Redemption, time_zone: &str) -> Email {
        let coupon = Coupon {
            name: member.name.as_deref(),
            code: &redemption.coupon_code,
            reward: &redemption.reward,
            expires_at: redemption.expires_at,
        };
        email(Language::PtBr, &coupon, &zone(time_zone))
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
            let email = written_in(&maria(), &redemption, time_zone);
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
            let mut redemption = pizza();
            redemption.expires_at = Some(format!("2025-{month:02}-15T15:00:00Z").parse().unwrap());
            let html = written(&maria(), &redemption).html;
            let expected = format!(">Válido até 15 de {name} de 2025, às 12h00</p>");
            assert!(html.contains(&expected), "lacks {expected}:\n{html}");
        }
    }
}
