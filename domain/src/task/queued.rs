//! A task queue's contents: the message itself or, if its event is too large for a queue, the
//! event's key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{MESSAGE_VERSION, Message};
use crate::event::EventKey;
use crate::message::{QueueMessage, Unreadable, queue_body, read_versioned, version_of};

/// The version of [`Elsewhere`] that this code writes, and the newest message version that it
/// reads.
pub const QUEUED_VERSION: u32 = 2;

/// The longest message that holds its event, in bytes. SQS takes 1 MiB, and charges for each 64
/// KiB, for each task.
pub const MESSAGE_MAX_BYTES: usize = 256 * 1024;

/// A message as its queue holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Queued {
    /// The message with its event.
    Whole(Box<Message<'static>>),
    /// The name of an event that is too large for a queue.
    Elsewhere(Elsewhere),
}

/// A message whose event must be read from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The version of the message's shape, as in [`Message`].
    pub version: u32,
    /// The key of the event's row in the ledger.
    pub key: EventKey,
    /// When a webhook function received the event first.
    pub received_at: Timestamp,
    /// As in [`Message::trace`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// As in [`Message::only`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

impl Message<'_> {
    /// The body for a queue: the message, or the key of its event. The event must be recorded
    /// before the body is sent.
    pub fn to_queue(&self) -> String {
        let body = self.to_body();
        if body.len() <= MESSAGE_MAX_BYTES {
            return body;
        }
        queue_body(&Elsewhere {
            version: QUEUED_VERSION,
            key: self.event.key.clone(),
            received_at: self.received_at,
            trace: self.trace.as_deref().map(str::to_owned),
            only: self.only.clone(),
        })
    }
}

impl QueueMessage for Queued {
    fn read(body: &str) -> Result<Self, Unreadable> {
        match version_of(body)? {
            0..=MESSAGE_VERSION => Message::read(body).map(|it| Self::Whole(Box::new(it))),
            _ => read_versioned(body, QUEUED_VERSION).map(Self::Elsewhere),
        }
    }

    fn key(&self) -> String {
        match self {
            Queued::Whole(message) => message.key(),
            Queued::Elsewhere(elsewhere) => elsewhere.key.to_string(),
        }
    }
}
