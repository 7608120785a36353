//! The `work` queue's contents: an event's message, and the tasks that it is for.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Message, Task};
use crate::event::EventKey;
use crate::message::{QueueMessage, Unknown, Unreadable, queue_body, read_versioned};

/// The version of [`WorkMessage`] that this code writes, and the newest that this code reads.
pub const WORK_VERSION: u32 = 1;

/// An event's message as its tasks' queues take it, and the data to send it there. `dispatch` does
/// not read the message itself, so its shape may change without a change of `dispatch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkMessage {
    /// The tasks whose queues get the message.
    pub tasks: Vec<Task>,
    /// The event's tenant. Fair queues group messages by tenant.
    pub tenant: String,
    /// The event's key, for the log.
    pub key: EventKey,
    /// The X-Ray trace header of the invocation that received the event.
    pub trace: Option<String>,
    /// The body for the tasks' queues.
    pub message: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    tasks: Vec<String>,
    tenant: String,
    key: EventKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    message: Box<RawValue>,
}

impl WorkMessage {
    /// An event's message for these tasks.
    pub fn new(message: &Message<'_>, tasks: &[Task]) -> Self {
        Self {
            tasks: tasks.to_vec(),
            tenant: message.event.tenant.clone(),
            key: message.event.key.clone(),
            trace: message.trace.as_deref().map(str::to_owned),
            message: message.to_queue(),
        }
    }

    /// The message as the `work` queue takes it.
    pub fn into_body(self) -> String {
        let message = RawValue::from_string(self.message);
        queue_body(&Wire {
            version: WORK_VERSION,
            tasks: self.tasks.iter().map(|it| it.name().into()).collect(),
            tenant: self.tenant,
            key: self.key,
            trace: self.trace,
            message: message.expect("a task's message is JSON"),
        })
    }
}

impl QueueMessage for WorkMessage {
    fn read(body: &str) -> Result<Self, Unreadable> {
        let wire: Wire = read_versioned(body, WORK_VERSION)?;
        let tasks = wire.tasks.iter().map(|name| Task::named(name));
        let tasks: Option<_> = tasks.collect();
        Ok(Self {
            tasks: tasks.ok_or(Unreadable::Unknown(Unknown::Task))?,
            tenant: wire.tenant,
            key: wire.key,
            trace: wire.trace,
            message: String::from(Box::<str>::from(wire.message)),
        })
    }

    fn key(&self) -> String {
        self.key.to_string()
    }
}
