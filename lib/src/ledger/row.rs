//! Rows of the tables, and reading and writing their fields.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

pub type Item = HashMap<String, AttributeValue>;

/// A row that is being built; missing values leave out their field.
#[derive(Debug, Default)]
pub struct Row(pub Item);

/// The longest copy of a body's field beside the body. All copies together stay below DynamoDB's
/// 400 KB.
pub(super) const COPY_MAX_BYTES: usize = 4096;

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

    pub fn set(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.insert(name.into(), text(value.to_string()));
        }
    }

    pub fn json(&mut self, name: &str, value: Option<impl Serialize>) {
        self.set(
            name,
            value.and_then(|value| serde_json::to_string(&value).ok()),
        );
    }
}

pub(super) fn is(item: &Item, name: &str, value: &str) -> bool {
    read_text(item, name).is_some_and(|found| found == value)
}

pub(super) fn read_text<'a>(item: &'a Item, name: &str) -> Option<&'a String> {
    item.get(name)?.as_s().ok()
}

/// Reads hexadecimal digits, also from older rows that hold them as text.
pub(super) fn digits(item: &Item, name: &str) -> Option<String> {
    match item.get(name)? {
        AttributeValue::B(bytes) => Some(hex::encode(bytes.as_ref())),
        AttributeValue::S(digits) => Some(digits.clone()),
        _ => None,
    }
}

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
