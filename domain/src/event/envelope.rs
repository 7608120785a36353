//! The envelope: what a provider sends around an event. Whoever passes the event on needs the
//! envelope, but it is not part of the event.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Ids and circumstances of one webhook. Two webhooks of one event may have different envelopes, so
/// neither the key nor the comparison uses an envelope.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// `event_id` of Aghanim, or `webhook_id` of Zupy's v2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The id of the API request that caused the event, if a request did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The id of a transaction, which several events may share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// `hub.redeem`, `test`, or a word that the provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Aghanim's `context`; its parts have no published schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Verbatim>,
    /// The time zone in which we read dates without a time, if the event had such a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl Envelope {
    /// Whether the provider sent no part of an envelope.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// JSON exactly as the provider wrote it. `Debug` prints no contents, because they may be personal
/// data.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Box<RawValue>")]
pub struct Verbatim(Box<RawValue>);

impl Verbatim {
    /// The JSON as the provider wrote it.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl From<Box<RawValue>> for Verbatim {
    /// Writes U+FFFE and U+FFFF as escapes, as a queue's message does. Otherwise JSON that went
    /// through a queue would differ.
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
