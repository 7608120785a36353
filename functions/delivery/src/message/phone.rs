//! Phone numbers as the networks take them.

use super::clean::is_invisible;

/// The number in E.164, `+5511965958122`, without what people put between its digits. A number that cannot be one is
/// refused with a reason for an operator, which never quotes it.
pub fn e164(number: &str) -> Result<String, &'static str> {
    let number: String = number.chars().filter(|c| !separates(*c)).collect();
    if number.is_empty() {
        return Err("no phone number");
    }
    let digits = number.strip_prefix('+');
    if digits
        .unwrap_or(&number)
        .contains(|c: char| !c.is_ascii_digit())
    {
        return Err("a phone number with other characters than digits");
    }
    match digits {
        None => Err("a phone number without + and a country code"),
        Some(digits) if digits.starts_with('0') => {
            Err("a phone number whose country code begins with 0")
        }
        // E.164 allows 15; no country's numbers have less than 8 with its code.
        Some(digits) if !(8..=15).contains(&digits.len()) => {
            Err("a phone number of less than 8 or more than 15 digits")
        }
        Some(_) => Ok(number),
    }
}

/// Stands between digits, or comes along when a number is copied.
fn separates(character: char) -> bool {
    let is_dash = matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    is_dash
        || matches!(character, '.' | '(' | ')')
        || character.is_whitespace()
        || is_invisible(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(number: &str, expected: Result<&str, &'static str>) {
        assert_eq!(
            e164(number).as_deref(),
            expected.as_ref().copied(),
            "{number:?}"
        );
    }

    #[test]
    fn takes_out_what_stands_between_digits() {
        check("+5511965958122", Ok("+5511965958122"));
        check(" +55 (11) 96595-8122\n", Ok("+5511965958122"));
        check("+55.11.96595.8122", Ok("+5511965958122"));
        check("+55\u{a0}11\u{a0}96595\u{2011}8122", Ok("+5511965958122"));
        // As copied from an address book.
        check("\u{202a}+55 11 96595-8122\u{202c}", Ok("+5511965958122"));
    }

    #[test]
    fn a_number_has_8_to_15_digits() {
        const LENGTH: &str = "a phone number of less than 8 or more than 15 digits";
        check("+1234567", Err(LENGTH));
        check("+12345678", Ok("+12345678"));
        check("+123456789012345", Ok("+123456789012345"));
        check("+1234567890123456", Err(LENGTH));
        check("+", Err(LENGTH));
    }

    #[test]
    fn a_number_needs_its_country_code() {
        const CODE: &str = "a phone number without + and a country code";
        check("11965958122", Err(CODE));
        check("(11) 96595-8122", Err(CODE));
        check("005511965958122", Err(CODE));
        check(
            "+011965958122",
            Err("a phone number whose country code begins with 0"),
        );
    }

    #[test]
    fn a_number_has_only_digits() {
        const OTHER: &str = "a phone number with other characters than digits";
        check("+55 11 96595-812a", Err(OTHER));
        check("+5511965958122+", Err(OTHER));
        check("++5511965958122", Err(OTHER));
        check("+55 11 96595 8122 ramal 3", Err(OTHER));
        check("whatsapp", Err(OTHER));
        check("+٥٥١١٩٦٥٩٥٨١٢٢", Err(OTHER));
        check("+5511965958122;+5511965958123", Err(OTHER));
        check("", Err("no phone number"));
        check(" - ", Err("no phone number"));
    }

    proptest! {
        #[test]
        fn whatever_comes_out_is_e_164(number in "\\PC{0,20}|\\+?[0-9 ().-]{6,24}") {
            if let Ok(number) = e164(&number) {
                let digits = number.strip_prefix('+').unwrap();
                prop_assert!((8..=15).contains(&digits.len()));
                prop_assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(e164(&number), Ok(number));
            }
        }
    }
}
