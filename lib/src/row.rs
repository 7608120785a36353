//! Rows of the tables, and reading and writing their fields.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;

/// A row: its attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// A row that is being built; missing values leave out their field.
#[derive(Debug, Default)]
pub struct Row(pub Item);

/// The longest copy of a body's field beside the body. All copies together stay below DynamoDB's
/// 400 KB.
pub(crate) const COPY_MAX_BYTES: usize = 4096;

impl Row {
    /// Copies a field of the body for queries. A long value is cut.
    pub fn copy(&mut self, name: &str, value: Option<&String>) {
        self.copy_within(name, value, COPY_MAX_BYTES);
    }

    /// Like [`Row::copy`], with another limit.
    pub fn copy_within(&mut self, name: &str, value: Option<&String>, max_bytes: usize) {
        let cut = |value: &String| value[..value.floor_char_boundary(max_bytes)].to_owned();
        self.set(name, value.map(cut));
    }

    /// Sets a field to the bytes that hexadecimal digits stand for, because bytes take half the
    /// room.
    pub fn digits(&mut self, name: &str, digits: &str) {
        let bytes = hex::decode(digits).expect("they are digits that we made");
        let bytes = AttributeValue::B(Blob::new(bytes));
        self.0.insert(name.into(), bytes);
    }

    /// Sets a field to a text. Without a value, the field is left out.
    pub fn set(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.insert(name.into(), text(value.to_string()));
        }
    }

    /// Sets a field to JSON. Without a value, the field is left out.
    pub fn json(&mut self, name: &str, value: Option<impl Serialize>) {
        self.set(
            name,
            value.and_then(|value| serde_json::to_string(&value).ok()),
        );
    }
}

/// Whether a field holds this text.
pub fn is(item: &Item, name: &str, value: &str) -> bool {
    read_text(item, name).is_some_and(|found| found == value)
}

/// Reads a text; `None` if the field is missing or of another type.
pub fn read_text<'a>(item: &'a Item, name: &str) -> Option<&'a String> {
    item.get(name)?.as_s().ok()
}

/// Reads a whole number; `None` if the field is missing or of another type.
pub fn read_number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Reads a time that is written as text; `None` if the field is missing or holds no time.
pub fn read_time(item: &Item, name: &str) -> Option<Timestamp> {
    read_text(item, name)?.parse().ok()
}

/// Reads hexadecimal digits, also from older rows that hold them as text.
pub(crate) fn digits(item: &Item, name: &str) -> Option<String> {
    match item.get(name)? {
        AttributeValue::B(bytes) => Some(hex::encode(bytes.as_ref())),
        AttributeValue::S(digits) => Some(digits.clone()),
        _ => None,
    }
}

/// A text as an attribute.
pub fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A whole number as an attribute.
pub fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
