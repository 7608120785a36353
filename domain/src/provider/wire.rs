//! Fields as they come over the wire: absent, null, of the right type or not. One reading finds
//! every problem.

mod problems;

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::event::Verbatim;
use crate::identifier::clean;

pub use crate::problem::Problem;
pub use problems::{PROBLEMS_MAX, Problems};

/// A field of a JSON object.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Field<T> {
    /// The object has no field of this name.
    #[default]
    Absent,
    /// The field is there, but its `null` counts as absent.
    Null,
    /// A value of the expected type.
    Value(T),
    /// A value that could be read although its form is wrong, and how it was read.
    Mended(T, &'static str),
    /// A value of another type, and the type that was expected.
    Wrong(&'static str),
}

impl<T> Field<T> {
    /// The value, if the field could be read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Field::Value(value) | Field::Mended(value, _) => Some(value),
            Field::Absent | Field::Null | Field::Wrong(_) => None,
        }
    }
}

/// A type that a [`Field`] can hold.
pub trait Wire: Sized {
    /// Reads a field of any type. A value of another type becomes a problem of the field.
    ///
    /// # Errors
    /// The input ends early, or is not JSON.
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error>;
}

impl<'de, T: Wire> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::field(deserializer)
    }
}

impl Wire for String {
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        leaf(deserializer, "must be a string", |text| {
            serde_json::from_str(text)
                .ok()
                .or_else(|| serde_json::from_str(&without_lone_surrogates(text)?).ok())
        })
    }
}

impl Wire for bool {
    /// Reads what other software writes for a truth value, too. If `"true"` counted as absent, a
    /// sandbox event would be a live one.
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        mendable_leaf(deserializer, "must be true or false", |text| {
            if let Ok(truth) = text.parse() {
                return Some((truth, None));
            }
            let text = match text.starts_with('"') {
                true => serde_json::from_str::<String>(text).ok()?,
                false => text.to_owned(),
            };
            match clean(&text).to_ascii_lowercase().as_str() {
                "true" | "1" => Some((true, Some("must be true or false: read as true"))),
                "false" | "0" => Some((false, Some("must be true or false: read as false"))),
                _ => None,
            }
        })
    }
}

impl Wire for i64 {
    /// A whole number in any form: 1000, 1000.0, 1e3.
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        leaf(
            deserializer,
            "must be a whole number of at most 64 bits",
            |text| {
                let number = decimal(text)?;
                number
                    .is_integer()
                    .then(|| number.normalize().mantissa().try_into().ok())?
            },
        )
    }
}

impl Wire for Decimal {
    /// Reads the digits themselves, because a float in between would round. If there are more
    /// digits than can be kept, the number is rounded.
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        mendable_leaf(
            deserializer,
            "must be a number of at most 28 digits",
            |text| {
                decimal(text).map(|number| (number, None)).or_else(|| {
                    let text = number_text(text)?;
                    let rounded = match text.contains(['e', 'E']) {
                        true => Decimal::from_scientific(&text).ok()?,
                        false => text.parse().ok()?,
                    };
                    Some((rounded, Some("has more digits than are kept: rounded")))
                })
            },
        )
    }
}

impl Wire for Timestamp {
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        mendable_leaf(
            deserializer,
            "must be an RFC 3339 time such as 2025-09-26T14:20:00Z",
            |text| {
                let text = serde_json::from_str::<String>(text).ok()?;
                let text = clean(&text);
                timestamp(text).map(|at| (at, None)).or_else(|| {
                    let at = timestamp_in_utc(text)?;
                    Some((at, Some(WITHOUT_ZONE)))
                })
            },
        )
    }
}

/// Until when something is valid: a moment, or a whole day without a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Until {
    /// Valid until this moment.
    Moment(Timestamp),
    /// Valid until the end of this day in the tenant's time zone.
    Day(Date),
}

impl Wire for Until {
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        mendable_leaf(
            deserializer,
            "must be an RFC 3339 time such as 2025-09-26T14:20:00Z, or a date such as 2025-09-26",
            |text| {
                let text = serde_json::from_str::<String>(text).ok()?;
                let text = clean(&text);
                let (moment, how) = match (timestamp(text), timestamp_in_utc(text)) {
                    (Some(at), _) => (at, None),
                    (None, Some(at)) => (at, Some(WITHOUT_ZONE)),
                    (None, None) => return Some((Self::Day(date(text)?), None)),
                };
                Some((Self::Moment(moment), how))
            },
        )
    }
}

/// The warning about a time without a zone.
const WITHOUT_ZONE: &str = "has no time zone: read as UTC";

/// A date of exactly the form 2025-09-26.
fn date(text: &str) -> Option<Date> {
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split('-');
    let is_date = digits(parts.next()?, 4) && digits(parts.next()?, 2) && digits(parts.next()?, 2);
    (is_date && parts.next().is_none()).then(|| text.parse().ok())?
}

/// The last second of a day, or the last moment that a timestamp can hold.
fn end_of(day: Date, zone: &TimeZone) -> Timestamp {
    let end = day.at(23, 59, 59, 0).to_zoned(zone.clone());
    end.map_or(Timestamp::MAX, |end| end.timestamp())
}

/// A date and a time without a zone.
fn timestamp_in_utc(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    pieces.time()?;
    let names_zone = pieces.offset().is_some() || pieces.time_zone_annotation().is_some();
    (!names_zone).then(|| timestamp(&format!("{text}Z")))?
}

/// Reads a time, also in forms that RFC 3339 allows and a `Timestamp` cannot hold. More than nine
/// digits of a fraction are cut off. The end of the year 9999, which stands for never, becomes the
/// last moment that a timestamp can hold.
fn timestamp(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse() {
        return Some(timestamp);
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut text = text.to_owned();
    if let Some(fraction) = text.find('.').map(|dot| dot + 1) {
        let end = fraction + digits(&text[fraction..]);
        if end - fraction > 9 {
            text.replace_range(fraction + 9..end, "");
        }
    }
    let pieces = Pieces::parse(&text).ok()?;
    let civil = pieces.date().to_datetime(pieces.time()?);
    let moment = pieces.to_numeric_offset()?.to_timestamp(civil).ok();
    moment.or_else(|| (civil.year() == 9999).then_some(Timestamp::MAX))
}

/// Replaces half characters by U+FFFD; `None` if the text has none. JavaScript and Python write
/// half a character as an escape, if a text was cut in the middle of an emoji.
fn without_lone_surrogates(text: &str) -> Option<String> {
    let unit = |at: usize| -> Option<u16> {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(escape, 16).ok()
    };
    let mut mended = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let step = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                mended.push_str("\\ufffd");
                at += 6;
                continue;
            }
            (Some(_), _) => 6,
            // Another escape, such as an escaped backslash, is not half a character.
            (None, _) if text[at..].starts_with('\\') => {
                text[at..].chars().take(2).map(char::len_utf8).sum()
            }
            (None, _) => text[at..].chars().next().map_or(1, char::len_utf8),
        };
        mended.push_str(&text[at..at + step]);
        at += step;
    }
    (mended != text).then_some(mended)
}

/// Seconds since 1970 as a JSON number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnixSeconds(pub Timestamp);

impl Wire for UnixSeconds {
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        leaf(
            deserializer,
            "must be a time in seconds since 1970",
            |text| {
                let seconds = decimal(text)?.trunc().try_into().ok()?;
                Timestamp::from_second(seconds).ok().map(Self)
            },
        )
    }
}

/// An object that the provider does not describe stays as it is.
impl Wire for Verbatim {
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        leaf(deserializer, "must be an object", |text| {
            let object = text.starts_with('{').then(|| text.to_owned())?;
            Some(RawValue::from_string(object).ok()?.into())
        })
    }
}

/// An object whose fields are [`Field`]s.
pub trait Object: DeserializeOwned {}

impl<T: Object> Wire for T {
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        leaf(
            deserializer,
            "must be an object that has no field twice",
            |text| serde_json::from_str(text.starts_with('{').then_some(text)?).ok(),
        )
    }
}

impl<T: Wire> Wire for Vec<Field<T>> {
    fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field<Self>, D::Error> {
        leaf(deserializer, "must be an array", |text| {
            serde_json::from_str(text).ok()
        })
    }
}

/// Reads a field from its own text. So a wrong type is this field's problem and does not end the
/// parse. Nested fields are read again within it; [`parse`] limits the depth.
fn leaf<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Field<T>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(match raw.get() {
        "null" => Field::Null,
        text => read(text).map_or(Field::Wrong(expected), Field::Value),
    })
}

/// Like [`leaf`], for values that can be read although their form is wrong.
fn mendable_leaf<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<(T, Option<&'static str>)>,
) -> Result<Field<T>, D::Error> {
    Ok(match leaf(deserializer, expected, read)? {
        Field::Value((value, None)) => Field::Value(value),
        Field::Value((value, Some(how))) | Field::Mended((value, _), how) => {
            Field::Mended(value, how)
        }
        Field::Absent => Field::Absent,
        Field::Null => Field::Null,
        Field::Wrong(expected) => Field::Wrong(expected),
    })
}

/// The digits of a JSON number, or of a string that holds a plain decimal number: `"35.00"`, but
/// not `"35,00"` or `"1e5"`.
fn number_text(text: &str) -> Option<Cow<'_, str>> {
    if !text.starts_with('"') {
        return Some(Cow::Borrowed(text));
    }
    let text: String = serde_json::from_str(text).ok()?;
    let unsigned = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    (is_digits(whole) && is_digits(fraction)).then_some(Cow::Owned(text))
}

fn decimal(text: &str) -> Option<Decimal> {
    let text = &*number_text(text)?;
    if let Some((digits, _)) = text.split_once(['e', 'E']) {
        // `from_scientific` rounds digits that do not fit.
        Decimal::from_str_exact(digits).ok()?;
        return Decimal::from_scientific(text).ok();
    }
    Decimal::from_str_exact(text).ok()
}

/// The deepest nesting of objects and arrays that is read. The deepest documented payload, a bundle
/// in a bundle, has 8 levels.
const MAX_DEPTH: usize = 64;

/// The body without the byte order mark that some software writes before UTF-8.
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

/// Reads a whole body. A problem names a place and never quotes the body.
///
/// # Errors
/// The body is no JSON object, is nested too deep, or has a field twice.
pub fn parse<T: Object>(body: &[u8]) -> Result<T, Problem> {
    let problem = |problem: String| Problem {
        field: "body".into(),
        problem,
    };
    let text = std::str::from_utf8(without_mark(body))
        .map_err(|error| problem(format!("is not UTF-8 from byte {} on", error.valid_up_to())))?;
    if depth(text) > MAX_DEPTH {
        return Err(problem(format!("is nested deeper than {MAX_DEPTH} levels")));
    }
    if !text.trim_start().starts_with('{') {
        return Err(problem("is not a JSON object".into()));
    }
    serde_json::from_str(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "has a field twice",
            _ => "is not JSON",
        };
        problem(format!(
            "{what}: line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
