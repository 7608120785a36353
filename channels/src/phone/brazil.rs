//! The prefixes that Brazilians type before a number, and the ninth digit of mobiles from before
//! 2016.

use rlibphonenumber::{PhoneNumber, get_national_significant_number_owned as national_digits};

/// Brazil's country code.
pub(super) const CODE: &str = "55";

/// The most prefixes before an area code, each at most once: the country's code, a 0, a carrier.
const PREFIXES_MAX: usize = 3;

/// The possible readings of a number within Brazil: as it is and, if it may be an old mobile, with
/// the ninth digit. Between 2012 and 2016, Anatel put a 9 before every mobile's eight digits, which
/// begin with 6 to 9.
pub(super) fn readings(digits: &str) -> Vec<String> {
    let national = without_prefixes(digits);
    let mut readings = vec![format!("+{CODE}{national}")];
    if let (10, Some((area, number))) = (national.len(), national.split_at_checked(2))
        && number.starts_with(['6', '7', '8', '9'])
    {
        readings.push(format!("+{CODE}{area}9{number}"));
    }
    readings
}

/// An area code and its number: 10 digits, or 11 for a mobile.
fn without_prefixes(mut digits: &str) -> &str {
    for _ in 0..PREFIXES_MAX {
        let rest = match digits.strip_prefix('0') {
            // A carrier's two digits stand between the 0 and the area: 0 15 11 96595-8122.
            Some(rest) if matches!(rest.len(), 12 | 13) => rest.get(2..),
            Some(rest) => Some(rest),
            None if digits.len() > 11 => digits.strip_prefix(CODE),
            None => None,
        };
        match rest {
            Some(rest) => digits = rest,
            None => break,
        }
    }
    digits
}

/// Whether it is a Brazilian number as people call it within its area: 8 digits, or 9 for a mobile.
pub(super) fn lacks_area(number: &PhoneNumber) -> bool {
    number.country_code.to_string() == CODE && matches!(national_digits(number).len(), 8 | 9)
}
