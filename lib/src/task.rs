//! Which tasks an event causes, and the message that each of them gets.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Fact};

/// Slow work behind a queue, done by the function of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    Delivery,
}

impl Task {
    pub const ALL: [Task; 1] = [Task::Delivery];

    /// The name of its function, its queue and its records in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Task::Delivery => "delivery",
        }
    }

    /// The environment variable that holds its queue's URL.
    pub fn queue_variable(self) -> &'static str {
        match self {
            Task::Delivery => "DELIVERY_QUEUE_URL",
        }
    }
}

/// The tasks that an event causes. A new consumer of events is a line here, and a function.
pub fn tasks(event: &Event) -> &'static [Task] {
    match &event.fact {
        // In-game items are credited by the game itself: there is nothing to bring to a person.
        Fact::Redeemed(redemption) if redemption.reward.items.is_empty() => &[Task::Delivery],
        Fact::Redeemed(_) | Fact::Used(_) => &[],
    }
}

/// The version of [`Message`] that this code writes, and the newest that it reads.
pub const MESSAGE_VERSION: u32 = 1;

/// What a task gets: the same body for every queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message<'a> {
    pub version: u32,
    pub event: Cow<'a, Event>,
    pub received_at: Timestamp,
    /// The X-Ray trace header of the invocation that received the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    pub fn new(event: &'a Event, received_at: Timestamp, trace: Option<&'a str>) -> Self {
        Self {
            version: MESSAGE_VERSION,
            event: Cow::Borrowed(event),
            received_at,
            trace: trace.map(Cow::Borrowed),
        }
    }

    /// The message as a queue takes it. SQS refuses U+FFFE and U+FFFF, which JSON lets through unescaped.
    pub fn to_body(&self) -> String {
        let body = serde_json::to_string(self).expect("a message holds nothing that JSON cannot");
        if body.contains(['\u{FFFE}', '\u{FFFF}']) {
            return body
                .replace('\u{FFFE}', "\\ufffe")
                .replace('\u{FFFF}', "\\uffff");
        }
        body
    }
}

/// Why a message cannot be worked on, now or ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Never quotes the message: it holds personal data.
    #[error("the message is not one that a webhook function writes (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error("the message has version {0}, this function reads up to {MESSAGE_VERSION}")]
    Newer(u32),
}

impl Message<'static> {
    pub fn read(body: &str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed = |error: serde_json::Error| Unreadable::Malformed {
            line: error.line(),
            column: error.column(),
        };
        let Versioned { version } = serde_json::from_str(body).map_err(malformed)?;
        if version > MESSAGE_VERSION {
            return Err(Unreadable::Newer(version));
        }
        serde_json::from_str(body).map_err(malformed)
    }
}
