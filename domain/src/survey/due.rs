//! The messages of the queue of `surveys`: those of uses, and those that a schedule sends when a
//! survey is due.

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::event::EventKey;
use crate::message::{QueueMessage, Unreadable, queue_body, read_versioned};
use crate::task::Queued;

/// The version of [`Due`] that this code writes, and the newest that it reads.
const DUE_VERSION: u32 = 1;

/// The message that a survey is due. It names the use and no person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    version: u32,
    kind: Kind,
    /// The key of the use.
    pub event: EventKey,
    /// The time for which the message was scheduled.
    pub due_at: Timestamp,
}

/// The field that distinguishes this message from an event's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "survey due")]
    SurveyDue,
}

impl Due {
    /// The message for the survey of this use.
    pub fn new(event: &EventKey, due_at: Timestamp) -> Self {
        Self {
            version: DUE_VERSION,
            kind: Kind::SurveyDue,
            event: event.clone(),
            due_at,
        }
    }

    /// The message as a queue takes it.
    pub fn to_body(&self) -> String {
        queue_body(self)
    }
}

/// A message of the queue of `surveys`.
#[derive(Debug, Clone, PartialEq)]
pub enum SurveyMessage {
    /// A coupon was used.
    Used(Queued),
    /// A survey is due.
    Due(Due),
}

impl QueueMessage for SurveyMessage {
    fn read(body: &str) -> Result<Self, Unreadable> {
        // A message of an event has no kind.
        #[derive(Deserialize)]
        struct Shape {
            kind: Option<IgnoredAny>,
        }
        let shape: Option<Shape> = serde_json::from_str(body).ok();
        match shape.and_then(|it| it.kind) {
            Some(_) => read_versioned(body, DUE_VERSION).map(Self::Due),
            None => Queued::read(body).map(Self::Used),
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Used(queued) => queued.key(),
            Self::Due(due) => due.event.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Envelope, Event, Fact, Member, Usage};
    use crate::task::{Message, Unknown};

    fn key() -> EventKey {
        EventKey::used("zupy", "comp#1", "CP/1", "ord 1")
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let due = Due::new(&key(), "2026-11-25T14:00:00Z".parse().unwrap());
        let read = SurveyMessage::read(&due.to_body()).unwrap();
        assert_eq!(read.key(), key().to_string());
        assert_eq!(read, SurveyMessage::Due(due));
    }

    #[test]
    fn an_event_s_message_differs_from_that_of_a_due_survey() {
        let event = Event {
            key: key(),
            provider: "zupy".into(),
            tenant: "comp#1".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            sandbox: false,
            member: Member::default(),
            fact: Fact::Used(Usage::default()),
            envelope: Envelope::default(),
            warnings: Vec::new(),
            received_at: None,
        };
        let message = Message::new(&event, Timestamp::UNIX_EPOCH, None);
        let read = SurveyMessage::read(&message.to_body());
        assert!(matches!(read, Ok(SurveyMessage::Used(Queued::Whole(_)))));
    }

    #[test]
    fn what_newer_code_wrote_waits_for_it() {
        let body = Due::new(&key(), Timestamp::UNIX_EPOCH).to_body();
        let newer = SurveyMessage::read(&body.replace("\"version\":1", "\"version\":2"));
        let expected = Unreadable::Newer {
            version: 2,
            newest: 1,
        };
        assert_eq!(newer, Err(expected));
        let kind = SurveyMessage::read(&body.replace("survey due", "survey closed"));
        assert_eq!(kind, Err(Unreadable::Unknown(Unknown::Variant)));
        let field = SurveyMessage::read(&body.replace("\"due_at\"", "\"by\":1,\"due_at\""));
        assert_eq!(field, Err(Unreadable::Unknown(Unknown::Field)));
        let nothing = SurveyMessage::read("{}");
        assert!(matches!(nothing, Err(Unreadable::Malformed { .. })));
    }
}
