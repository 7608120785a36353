//! The parameters of the WhatsApp template that Meta approved.

use jiff::tz::TimeZone;

use super::clean::{full_name, shorten};
use super::shown::Shown;
use super::templates::File;
use super::{Coupon, Language, Occasion};

/// Name, reward, code and short date, in the order of the approved template's `{{1}}` to `{{4}}`.
/// WhatsApp refuses an empty parameter, and one with a line break, a tab or more than four spaces
/// in a row. So a word replaces each missing value.
pub fn whatsapp_parameters(
    language: Language,
    coupon: &Coupon<'_>,
    time_zone: &TimeZone,
) -> [String; 4] {
    let name = coupon.name.and_then(full_name);
    // The template's own text names the occasion.
    let mut coupon = Shown::of(language, Occasion::Redeemed, coupon, time_zone);
    coupon.name = name.map(|name| shorten(&name, NAME_MAX_CHARS, "…"));
    let parameters = File::WhatsApp.fill(&coupon);
    let mut parameters = parameters.lines().map(str::to_owned);
    std::array::from_fn(|_| parameters.next().expect(A_LINE_EACH))
}

const A_LINE_EACH: &str = "the template has a line for each, and no value breaks one";

/// WhatsApp takes 1,024 characters in all. A reward has at most 200 characters and a code at most
/// 500. So the template's own words keep 250.
const NAME_MAX_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{Sample, bare, pizza, sao_paulo, zone};
    use super::*;

    fn check(language: Language, sample: &Sample, expected: [&str; 4]) {
        let parameters = whatsapp_parameters(language, &sample.coupon(), &sao_paulo());
        assert_eq!(parameters, expected);
    }

    #[test]
    fn are_name_reward_code_and_short_date() {
        check(
            Language::PtBr,
            &pizza(),
            [
                "Maria Silva",
                "Pizza Margherita Grátis",
                "CP-A1B2C3D4",
                "26/09/2025",
            ],
        );
        check(
            Language::En,
            &pizza(),
            [
                "Maria Silva",
                "Pizza Margherita Grátis",
                "CP-A1B2C3D4",
                "26 Sep 2025",
            ],
        );
    }

    #[test]
    fn what_the_provider_leaves_out_is_a_word() {
        check(
            Language::PtBr,
            &bare("CP-1"),
            ["cliente", "seu cupom", "CP-1", "data não informada"],
        );
        check(
            Language::En,
            &bare("\u{200b}").name(Some(" ")).reward(Some("\t")),
            ["customer", "your coupon", "-", "date not given"],
        );
    }

    #[test]
    fn a_name_is_sent_as_far_as_it_is_one() {
        let check = |name: &str, expected: &str| {
            let sample = pizza().name(Some(name));
            let parameters = whatsapp_parameters(Language::PtBr, &sample.coupon(), &sao_paulo());
            assert_eq!(parameters[0], expected, "{name:?}");
        };
        check("Maria  da\tSilva", "Maria da Silva");
        check("Silva, Ana-Clara", "Silva Ana-Clara");
        check("Maria www.example.com", "Maria");
        check("customer@example.com", "cliente");
        check(
            &"Maria ".repeat(30),
            "Maria Maria Maria Maria Maria Maria Maria Maria Maria Maria…",
        );
    }

    #[test]
    fn the_date_is_the_one_where_the_reader_lives() {
        let sample = pizza().expires_at("2025-09-01T02:59:59Z");
        let on = |time_zone: &str| {
            let [.., date] =
                whatsapp_parameters(Language::PtBr, &sample.coupon(), &zone(time_zone));
            date
        };
        assert_eq!(on("America/Sao_Paulo"), "31/08/2025");
        assert_eq!(on("America/Noronha"), "01/09/2025");
    }

    proptest! {
        #[test]
        fn whatsapp_takes_them(
            name in proptest::option::of("(.|\\PC|\\s){0,200}"),
            reward in proptest::option::of("(.|\\PC|\\s){0,300}"),
            code in "(.|\\s){0,100}",
        ) {
            let sample = bare(&code).name(name.as_deref()).reward(reward.as_deref());
            let parameters = whatsapp_parameters(Language::PtBr, &sample.coupon(), &sao_paulo());
            for parameter in parameters {
                prop_assert!(!parameter.trim().is_empty());
                prop_assert!(!parameter.contains(char::is_control), "{parameter:?}");
                prop_assert!(!parameter.contains("  "), "{parameter:?}");
                prop_assert!(parameter.chars().count() <= 200);
            }
        }
    }
}
