//! Records an event and sends one message for its tasks. If SQS refuses the message, the outbox
//! sends it later.

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

/// Records events and dispatches their tasks.
#[derive(Debug)]
pub struct Receiver {
    /// The tenants' time zones, in which a date without a time ends.
    pub zones: Zones,
    /// The table that events are recorded in.
    pub ledger: Ledger,
    /// The queue that gets one message for all tasks of an event.
    pub work: WorkQueue,
}

/// The outcome of an event. In each case the recorded event is durable, and its tasks will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The event was recorded now.
    New,
    /// The event was recorded before, with the same contents.
    Duplicate,
    /// The event contradicts the recorded event with its key. The contradicting body is kept for
    /// support.
    Conflict,
}

impl Receiver {
    /// Reads the settings from the environment.
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

    /// Takes an event, which gets the key of its row. `trace` is the trace header of the request.
    ///
    /// If a crash comes between recording and sending, the next attempt finds the event recorded
    /// and tasks without a record, and sends those tasks. The provider may render that attempt
    /// anew. The tasks always work on the first recorded body, even if the attempt contradicts that
    /// body.
    ///
    /// If a crash comes after a contradiction was kept, the sender gets no answer. So the sender
    /// tries again, and the receiver sends the tasks of the conflict again.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. Nothing is promised then, and the caller may make the
    /// same call again.
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
                // This event has the same contents. So it can replace a recorded body that this
                // code cannot read any more.
                let first = first.as_ref().unwrap_or(event);
                let at = standing.received_at().unwrap_or(received_at);
                self.dispatch_missing(first, at, trace, &[], now).await?;
                return Ok(Taken::Duplicate);
            }
            Recorded::Differs(standing) => standing,
        };
        let first = standing.event();
        let hash = content_hash(event);
        // If the contents are the same, older code wrote the row's hash.
        let is_same = first.as_ref().is_some_and(|it| content_hash(it) == hash);
        if !is_same {
            self.ledger
                .keep_conflict(event, body, &standing, (received_at, now))
                .await?;
        }
        match &first {
            Some(first) => {
                let at = standing.received_at().unwrap_or(received_at);
                // These tasks run even if their records say done, because the contradiction is new
                // to them.
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
                    "Cannot read the recorded body, so its missing tasks were not sent: replay the event with newer code"
                );
            }
        }
        match is_same {
            true => Ok(Taken::Duplicate),
            false => Ok(Taken::Conflict),
        }
    }

    /// Sends one message for these tasks, and for the tasks that left no record beneath the
    /// recorded event.
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

    /// Sends one message for the tasks. If SQS refuses the message, the event's row gets the
    /// outbox's mark.
    async fn dispatch(&self, message: &Message<'_>, tasks: &[Task]) -> anyhow::Result<()> {
        let Err(refused) = self.work.send(message, tasks).await else {
            return Ok(());
        };
        let key = &message.event.key;
        tracing::error!(event.key = %key, "Left to the outbox: {refused:#}");
        self.ledger.mark_undispatched(key).await
    }
}
