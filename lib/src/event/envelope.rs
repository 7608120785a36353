//! What a provider tells around an event: kept for whoever passes it on, and no part of what the event says.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Ids and circumstances of a telling. They may differ between two tellings of one event, so no key and no comparison
/// uses them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Aghanim's `event_id`, `webhook_id` of Zupy's v2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Of the API request that caused the event, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// May be shared by several events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// `hub.redeem`, `test`, or what the provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Aghanim's `context`, whose parts have no published schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Verbatim>,
    /// The time zone in which we read a date without a time, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl Envelope {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// JSON as the provider wrote it, digit by digit. It may hold personal data: it prints nothing of itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Box<RawValue>")]
pub struct Verbatim(Box<RawValue>);

impl Verbatim {
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl From<Box<RawValue>> for Verbatim {
    /// U+FFFE and U+FFFF become escapes, as in a queue's message: else one that went through a queue would differ.
    fn from(raw: Box<RawValue>) -> Self {
        if !raw.get().contains(['\u{FFFE}', '\u{FFFF}']) {
            return Self(raw);
        }
        let text = raw.get().replace('\u{FFFE}', "\\ufffe");
        let escaped = RawValue::from_string(text.replace('\u{FFFF}', "\\uffff"));
        Self(escaped.unwrap_or(raw))
    }
}

impl PartialEq for Verbatim {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl fmt::Debug for Verbatim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verbatim(..)")
    }
}
