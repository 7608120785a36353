//! The digits of a typed number.

use rlibphonenumber::PHONE_NUMBER_UTIL as LIBRARY;

use super::reason;
use webhooks::identifier::is_invisible;

/// A longer text is no number.
const TEXT_MAX_BYTES: usize = 250;

/// A number has at most 15 digits (E.164). A prefix for calls abroad and a carrier's code may stand
/// before them.
const DIGITS_MAX: usize = 24;

/// A second number has at least as many digits; an extension has fewer.
const SECOND_NUMBER_MIN: usize = 8;

/// How many digits may stand before a stroke that separates an area code from the rest:
/// `11/96595-8122`.
const AREA_MAX: usize = 4;

/// Words that stand before an extension's digits, in lower case.
const EXTENSIONS: [&str; 12] = [
    "extension",
    "extensión",
    "extensao",
    "extensão",
    "ext",
    "ramal",
    "ram",
    "rml",
    "anexo",
    "r",
    "x",
    "#",
];

/// The digits of a number, in ASCII.
#[derive(Debug, PartialEq)]
pub(super) struct Typed {
    /// Whether the digits begin with a country's code.
    pub(super) is_international: bool,
    pub(super) digits: String,
}

/// Removes what people type around and between digits. Leaves out an extension, because no message
/// reaches one.
pub(super) fn read(text: &str) -> Result<Typed, &'static str> {
    if text.len() > TEXT_MAX_BYTES {
        return Err(reason::OTHER_CHARACTERS);
    }
    let text: String = text.chars().filter_map(plain).collect();
    let (text, context) = without_context(&text);
    let Some(start) = text.find(|c: char| c == '+' || c.is_ascii_digit()) else {
        let is_empty = !text.contains(char::is_alphanumeric);
        return Err(if is_empty {
            reason::NONE
        } else {
            reason::OTHER_CHARACTERS
        });
    };
    let (label, number) = text.split_at(start);
    let bare = number.trim_start_matches(['+', ' ', '(', ')']);
    let has_plus = number[..number.len() - bare.len()].contains('+');
    let (digits, rest) = digits(bare);
    check_rest(bare, rest)?;
    if digits.is_empty() {
        return Err(reason::NONE);
    }
    if digits.len() > DIGITS_MAX {
        return Err(reason::TOO_LONG);
    }
    Ok(Typed {
        is_international: has_plus || context.is_some() || label.ends_with("wa.me/"),
        digits: match context.filter(|_| !has_plus) {
            Some(context) => format!("{context}{digits}"),
            None => digits,
        },
    })
}

/// A character in its simplest form, in lower case; `None` if it is invisible.
fn plain(character: char) -> Option<char> {
    Some(match character {
        _ if is_invisible(character) => return None,
        _ if character.is_whitespace() => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '\u{ff0b}' | '\u{fe62}' | '\u{207a}' | '\u{2795}' => '+',
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        '\u{ff0e}' | '\u{2024}' | '\u{b7}' => '.',
        '\u{ff0f}' => '/',
        _ if !character.is_ascii() && character.is_numeric() => digit(character),
        _ => character.to_lowercase().next().unwrap_or(character),
    })
}

/// The ASCII digit of a decimal digit in any script; other characters stay.
fn digit(character: char) -> char {
    let digits = LIBRARY.normalize_digits_only(character.encode_utf8(&mut [0; 4]));
    digits.chars().next().unwrap_or(character)
}

/// A link's number without its parameters, and the country's code if a parameter names it (RFC
/// 3966): `tel:11965958122;phone-context=+55`.
fn without_context(text: &str) -> (&str, Option<&str>) {
    let Some((number, parameters)) = text.split_once(";phone-context=") else {
        return (text, None);
    };
    let context = parameters.split(';').next().unwrap_or_default();
    let code = context.strip_prefix('+');
    let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
    (number, code)
}

/// The digits up to the first character that no number contains, and the rest.
fn digits(text: &str) -> (String, &str) {
    let mut digits = String::new();
    for (at, character) in text.char_indices() {
        match character {
            '0'..='9' => digits.push(character),
            '/' if digits.len() <= AREA_MAX => {}
            // `0xx11` leaves the choice of a carrier to the caller.
            'x' if digits.len() <= AREA_MAX && digits.ends_with('0') => {}
            ' ' | '-' | '.' | '(' | ')' | '[' | ']' | '_' | '~' | '\'' | '*' => {}
            _ => return (digits, &text[at..]),
        }
    }
    (digits, "")
}

/// Checks the rest after a number: nothing, an extension, or separate words such as a name.
fn check_rest(number: &str, rest: &str) -> Result<(), &'static str> {
    let has_digits = |text: &str| text.contains(|c: char| c.is_ascii_digit());
    let word = rest.trim_start_matches([',', ';', '/', ' ']);
    let extension = EXTENSIONS.iter().find_map(|it| word.strip_prefix(it));
    let extension = extension.map(|it| it.trim_start_matches([' ', '.', ':', '-', '=']));
    let is_extension = extension.is_some_and(|text| {
        let digits = text.trim_end_matches([' ', ')', '.']);
        let is_short = (1..SECOND_NUMBER_MIN).contains(&digits.len());
        is_short && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let before = &number[..number.len() - rest.len()];
    let stands_apart = !before.ends_with(|c: char| c.is_ascii_digit());
    if rest.is_empty() || is_extension || (stands_apart && !has_digits(rest)) {
        return Ok(());
    }
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    Err(if digits >= SECOND_NUMBER_MIN {
        reason::SEVERAL
    } else {
        reason::OTHER_CHARACTERS
    })
}
