//! Changes JSON as JSON. A mutator that knows only bytes makes mostly inputs that end at the first
//! missing comma.

use std::ops::Range;

/// Values that a field may hold by accident or by malice, and values with special readings.
const ODD_VALUES: [&str; 25] = [
    "null",
    "true",
    "0",
    "-1",
    "1.0",
    "35.00",
    "1e3",
    "1e28",
    "1e-28",
    "-0.0",
    "9223372036854775807",
    "9223372036854775808",
    "79228162514264337593543950335",
    "[]",
    "{}",
    "[null,{}]",
    r#""""#,
    r#"" \t""#,
    r##""#/%@""##,
    r#""\ud83c""#,
    r#""\ud83c\udf55\u0000""#,
    "\"\u{FFFE}\u{7F}é\"",
    r#""9999-12-31T23:59:59Z""#,
    r#""2025-09-26T14:20:00.123456789123-03:00""#,
    r#""-009999-01-01T00:00:00Z""#,
];

/// Changes one place of a JSON text. The text stays if it has no such place, or if it would become
/// longer than `longest`.
pub fn mutate(text: &[u8], longest: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let changed = change(text, &Places::find(text), &mut random);
    let changed = changed.filter(|changed| changed.len() <= longest);
    changed.unwrap_or_else(|| text.to_vec())
}

fn change(text: &[u8], places: &Places, random: &mut fastrand::Rng) -> Option<Vec<u8>> {
    let value = random.choice(&places.values)?.clone();
    let other = random.choice(&places.values)?.clone();
    let odd = random.choice(ODD_VALUES)?.as_bytes();
    Some(match random.u8(..7) {
        0 | 1 => replace(text, value, odd),
        2 => replace(text, value, &text[other]),
        3 => {
            let wrapped = [b"[", &text[value.clone()], b"]"].concat();
            replace(text, value, &wrapped)
        }
        4 => {
            let within = text[value.clone()]
                .strip_prefix(b"\"")?
                .strip_suffix(b"\"")?;
            let longer = within.repeat(1 << random.u8(..8));
            replace(text, value.start + 1..value.end - 1, &longer)
        }
        5 => {
            let member = random.choice(&places.members)?;
            replace(text, with_comma(text, member.place.clone()), b"")
        }
        _ => {
            let member = random.choice(&places.members)?;
            let alike = places.members.iter();
            let alike: Vec<_> = alike.filter(|it| it.is_field == member.is_field).collect();
            let other = random.choice(alike)?;
            // An array may be long.
            let times = if member.is_field {
                1
            } else {
                1 << random.u8(..8)
            };
            let added = [b",", &text[other.place.clone()]].concat().repeat(times);
            replace(text, member.place.end..member.place.end, &added)
        }
    })
}

fn replace(text: &[u8], place: Range<usize>, by: &[u8]) -> Vec<u8> {
    [&text[..place.start], by, &text[place.end..]].concat()
}

/// The member with the comma that separates it from its neighbour.
fn with_comma(text: &[u8], member: Range<usize>) -> Range<usize> {
    let is_word = |byte: &u8| !byte.is_ascii_whitespace();
    let before = text[..member.start].iter().rposition(is_word);
    let after = text[member.end..].iter().position(is_word);
    match (before, after.map(|offset| member.end + offset)) {
        (_, Some(comma)) if text[comma] == b',' => member.start..comma + 1,
        (Some(comma), _) if text[comma] == b',' => comma..member.end,
        _ => member,
    }
}

/// The places of values, and of members of objects and arrays. The function finds them in any
/// bytes, also in broken JSON.
#[derive(Default)]
struct Places {
    values: Vec<Range<usize>>,
    members: Vec<Member>,
}

/// A field of an object with its name, or an element of an array.
struct Member {
    place: Range<usize>,
    is_field: bool,
}

impl Places {
    fn find(text: &[u8]) -> Self {
        let mut places = Self::default();
        // Each with its own start and, for a field, the start of its name.
        let mut open: Vec<(usize, Option<usize>)> = Vec::new();
        let mut name = None;
        for token in tokens(text) {
            let (start, name) = match text[token.start] {
                b'{' | b'[' => {
                    open.push((token.start, name.take()));
                    continue;
                }
                b'}' | b']' => match open.pop() {
                    Some(opened) => opened,
                    None => continue,
                },
                b'"' if text[token.end..].trim_ascii_start().starts_with(b":") => {
                    name = Some(token.start);
                    continue;
                }
                byte if byte == b'"' || is_bare(byte) => (token.start, name.take()),
                _ => continue,
            };
            places.values.push(start..token.end);
            if !open.is_empty() {
                places.members.push(Member {
                    place: name.unwrap_or(start)..token.end,
                    is_field: name.is_some(),
                });
            }
        }
        places
    }
}

/// The same JSON in another spelling: escapes the first letter of each string, and gives fractions
/// another zero.
pub(crate) fn respelled(text: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::with_capacity(2 * text.len());
    for token in tokens(text) {
        match &text[token] {
            [b'"', letter, rest @ ..] if letter.is_ascii_alphanumeric() => {
                spelled.extend(format!("\"\\u{letter:04x}").bytes());
                spelled.extend(rest);
            }
            number if is_short_fraction(number) => {
                spelled.extend(number);
                spelled.push(b'0');
            }
            other => spelled.extend(other),
        }
    }
    spelled
}

/// Strings, numbers and literals; every other byte is a token of its own.
fn tokens(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        at += match *text.get(start)? {
            b'"' => string(&text[start..]),
            byte if is_bare(byte) => {
                let end = text[start..].iter().position(|&byte| !is_bare(byte));
                end.unwrap_or(text.len() - start)
            }
            _ => 1,
        };
        Some(start..at)
    })
}

/// A byte that a number or a literal may have.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// Whether a fraction stays readable with one more digit.
fn is_short_fraction(number: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_digit() || b"-.".contains(byte);
    number.len() < 20 && number.contains(&b'.') && number.iter().all(is_plain)
}

/// The length of the string that begins here, with its quotes.
fn string(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::value::RawValue;

    use super::*;

    const SAMPLE: &[u8] = include_bytes!("../../../events/samples/zupy-coupon-used.json");

    #[test]
    fn changed_json_is_other_json() {
        let changed: BTreeSet<_> = (0..2000).map(|seed| mutate(SAMPLE, 10_000, seed)).collect();
        for text in &changed {
            let read = serde_json::from_slice::<&RawValue>(text);
            assert!(read.is_ok(), "{}", String::from_utf8_lossy(text));
        }
        assert!(changed.len() > 500, "{} of 2000", changed.len());
    }

    #[test]
    fn another_spelling_is_the_same_json() {
        let check = |text: &str, expected: &str| {
            let spelled = respelled(text.as_bytes());
            assert_eq!(String::from_utf8(spelled).unwrap(), expected);
        };
        check(
            r#"{"a": [1.5, 2, 1.0e3]}"#,
            r#"{"\u0061": [1.50, 2, 1.0e3]}"#,
        );
        check(r#"["\"a.5", "", "é", null]"#, r#"["\"a.5", "", "é", null]"#);
        let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&respelled(SAMPLE)), value(SAMPLE));
    }

    #[test]
    fn any_bytes_are_accepted_and_never_become_too_long() {
        for length in 0..SAMPLE.len() {
            for seed in 0..10 {
                let cut = &SAMPLE[length..];
                assert!(mutate(cut, cut.len(), seed).len() <= cut.len());
            }
        }
        for odd in [
            &b"\\"[..],
            b"\"",
            b"}]",
            b"{\"a\"",
            b"\"a\\",
            b"[,",
            b"\xff",
        ] {
            (0..50).for_each(|seed| drop(mutate(odd, 100, seed)));
        }
    }
}
