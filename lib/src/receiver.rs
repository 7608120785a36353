//! Records an event and sends its tasks, with the outbox for tasks that SQS will not take.

use jiff::Timestamp;

use crate::config::{Aws, CallLimits, Environment};
use crate::dispatch::Dispatcher;
use crate::event::Event;
use crate::ledger::{Ledger, Recorded, content_hash};
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::task::{Message, Task, tasks};
use crate::verify::Verified;

#[derive(Debug)]
pub struct Receiver {
    pub ledger: Ledger,
    pub dispatcher: Dispatcher,
}

/// What came of an event. In each case it is durable, and so are its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    New,
    Duplicate,
    /// Something else stands under its key; what it says is kept for support.
    Conflict,
}

impl Receiver {
    pub fn read(environment: &mut Environment, aws: &Aws, limits: CallLimits) -> Self {
        let ledger = Ledger::read(environment, aws, limits);
        let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config(limits));
        let dispatcher = Dispatcher::read(environment, sqs);
        Self { ledger, dispatcher }
    }

    /// Takes an event. A crash between recording it and sending its tasks is healed by the next attempt, which finds a
    /// duplicate whose tasks left no record.
    ///
    /// # Errors
    /// DynamoDB refuses; nothing is promised then, and the same call may be made again.
    pub async fn take(
        &self,
        event: &Event,
        body: &Verified<'_>,
        received_at: Timestamp,
        trace: Option<&str>,
    ) -> anyhow::Result<Taken> {
        let message = Message::new(event, received_at, trace);
        let recorded = self.ledger.record(event, body, received_at).await?;
        match recorded {
            Recorded::New => {
                self.dispatch(&message, tasks(event)).await?;
                return Ok(Taken::New);
            }
            Recorded::Duplicate => {}
            Recorded::Differs(recorded) if says_the_same(&recorded.as_ref(), event) => {}
            Recorded::Differs(_) => {
                self.ledger.keep_conflict(event, body, received_at).await?;
                return Ok(Taken::Conflict);
            }
        }
        let missing = self.ledger.without_record(&event.key, tasks(event)).await?;
        self.dispatch(&message, &missing).await?;
        Ok(Taken::Duplicate)
    }

    /// Sends the tasks; those that SQS does not take are written on the event's row, for the outbox.
    async fn dispatch(&self, message: &Message<'_>, tasks: &[Task]) -> anyhow::Result<()> {
        let Err(undispatched) = self.dispatcher.send(message, tasks).await else {
            return Ok(());
        };
        tracing::error!(event.key = %message.event.key, "Left to the outbox: {undispatched}");
        let tasks = undispatched.tasks();
        self.ledger
            .mark_undispatched(&message.event.key, &tasks)
            .await
    }
}

/// Reads the recorded body as this version of the code does, so that a new field in the hash is no conflict.
fn says_the_same(recorded: &RecordedBody<'_>, event: &Event) -> bool {
    match read_recorded(recorded) {
        Some(Content::Event(recorded)) => content_hash(&recorded) == content_hash(event),
        _ => false,
    }
}
