//! Records an event and sends one message for its tasks, with the outbox for a message that SQS will not take.

mod refused;

use jiff::Timestamp;

use crate::config::{Aws, CallLimits, Environment};
use crate::dispatch::WorkQueue;
use crate::event::Event;
use crate::ledger::{Ledger, Recorded, content_hash};
use crate::per_tenant::Zones;
use crate::task::{Message, Task, tasks, tasks_of_conflict};
use crate::telemetry::{Count, count};
use crate::verify::Verified;

pub use refused::Retaken;

#[derive(Debug)]
pub struct Receiver {
    /// Where a date without a time ends.
    pub zones: Zones,
    pub ledger: Ledger,
    pub work: WorkQueue,
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
        let zones = Zones::read_zones(environment);
        let ledger = Ledger::read(environment, aws, limits);
        let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config(limits));
        let work = WorkQueue::read(environment, sqs);
        Self {
            zones,
            ledger,
            work,
        }
    }

    /// Takes an event, whose key becomes that of its row. The next attempt heals a crash between recording the event and
    /// sending its tasks: it finds the event recorded, and tasks without a record. That attempt may be rendered anew by its
    /// provider: what was recorded first is worked on in any case, also where the other contradicts it.
    ///
    /// A crash after a contradiction was kept leaves its sender without an answer. So it is sent again, and its tasks too.
    ///
    /// # Errors
    /// DynamoDB refuses; nothing is promised then, and the same call may be made again.
    pub async fn take(
        &self,
        event: &mut Event,
        body: &Verified<'_>,
        received_at: Timestamp,
        trace: Option<&str>,
        now: Timestamp,
    ) -> anyhow::Result<Taken> {
        let recorded = self.ledger.record(event, body, received_at, now).await?;
        let event = &*event;
        let standing = match recorded {
            Recorded::New => {
                let message = Message::new(event, received_at, trace);
                self.dispatch(&message, tasks(event)).await?;
                return Ok(Taken::New);
            }
            Recorded::Duplicate(standing) => {
                let first = standing.event();
                // It says the same, so it stands in where this code does not read the recorded body any more.
                let first = first.as_ref().unwrap_or(event);
                let at = standing.received_at().unwrap_or(received_at);
                self.dispatch_missing(first, at, trace, &[], now).await?;
                return Ok(Taken::Duplicate);
            }
            Recorded::Differs(standing) => standing,
        };
        let first = standing.event();
        let hash = content_hash(event);
        // Where the contents are the same, the row's hash is one of older code.
        let is_same = first.as_ref().is_some_and(|it| content_hash(it) == hash);
        if !is_same {
            self.ledger
                .keep_conflict(event, body, &standing, (received_at, now))
                .await?;
        }
        match &first {
            Some(first) => {
                let at = standing.received_at().unwrap_or(received_at);
                // However often their records say that they are done: a contradiction is new to these.
                let besides = if is_same {
                    &[]
                } else {
                    tasks_of_conflict(first)
                };
                self.dispatch_missing(first, at, trace, besides, now)
                    .await?;
            }
            None => {
                count(Count::UnreadableRecord);
                tracing::error!(
                    event.key = %event.key,
                    "The recorded body cannot be read, so its missing tasks were not sent: replay it with newer code"
                );
            }
        }
        match is_same {
            true => Ok(Taken::Duplicate),
            false => Ok(Taken::Conflict),
        }
    }

    /// Sends one message for those tasks of a recorded event that have left no record, and for these.
    async fn dispatch_missing(
        &self,
        event: &Event,
        received_at: Timestamp,
        trace: Option<&str>,
        besides: &[Task],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let mut missing = self
            .ledger
            .without_record(&event.key, tasks(event), now)
            .await?;
        let besides = besides.iter().filter(|task| !missing.contains(task));
        missing.extend(besides.copied().collect::<Vec<_>>());
        let message = Message::new(event, received_at, trace);
        self.dispatch(&message, &missing).await
    }

    /// Sends one message for the tasks. If SQS does not take it, the event's row is marked for the outbox.
    async fn dispatch(&self, message: &Message<'_>, tasks: &[Task]) -> anyhow::Result<()> {
        let Err(refused) = self.work.send(message, tasks).await else {
            return Ok(());
        };
        let key = &message.event.key;
        tracing::error!(event.key = %key, "Left to the outbox: {refused:#}");
        self.ledger.mark_undispatched(key).await
    }
}
