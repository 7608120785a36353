//! Effects outside with counted results, by day and channel, each in the transaction of its record.

use channels::{Outcome, OutsideEffect, settle_skipped};
use webhooks::event::Event;
use webhooks::figures::{day_and_hour, tasks};
use webhooks::ledger::{Attached, Ends, Lease, Note, Status};
use webhooks::worker::Failure;

use crate::attempt::{Attempt, FORWARD, REMINDER};

/// An effect outside that the figures count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CountedEffect<'a> {
    pub(crate) attempt: Attempt<'a>,
    pub(crate) effect: OutsideEffect<'a>,
}

impl CountedEffect<'_> {
    /// Makes the effect, unless an earlier attempt settled it.
    pub(crate) async fn make(
        &self,
        attempt: impl AsyncFnOnce() -> anyhow::Result<Outcome>,
    ) -> Result<(), Failure> {
        match self.claim().await? {
            Some(lease) => self.effect.make_claimed(lease, attempt).await,
            None => Ok(()),
        }
    }

    /// Ends an effect that nobody needs any more, unless it has happened.
    pub(crate) async fn skip(&self, reason: &str) -> Result<(), Failure> {
        match self.claim().await? {
            Some(lease) => Ok(settle_skipped(lease, reason).await?),
            None => Ok(()),
        }
    }

    /// The right to make the effect, or `None` if it has happened.
    pub(crate) async fn claim(&self) -> Result<Option<Lease>, Failure> {
        // The preparation comes before the claim, so an error here leaves no lease behind.
        let ends = self.attempt.ends(self.effect.record).await?;
        let lease = self.effect.claim().await?;
        Ok(lease.map(|lease| lease.ending_with(ends)))
    }

    /// Records the outcome of the effect.
    pub(crate) async fn settle(&self, lease: Lease, outcome: Outcome) -> Result<(), Failure> {
        self.effect.settle(lease, outcome).await
    }
}

impl<'a> Attempt<'a> {
    /// Writes a record that needs no effect.
    pub(crate) async fn note(&self, record: &str, note: Note) -> anyhow::Result<()> {
        let Self {
            delivery,
            event,
            invocation,
        } = self;
        let counts = self.counts(record, note.status).await?;
        delivery
            .ledger
            .note_with(event, record, note, counts, *invocation)
            .await
    }

    /// The effect outside that a record is about.
    pub(crate) fn effect(&self, record: &'a str) -> CountedEffect<'a> {
        CountedEffect {
            attempt: *self,
            effect: OutsideEffect {
                ledger: &self.delivery.ledger,
                event: self.event,
                record,
                invocation: self.invocation,
            },
        }
    }
    async fn ends(&self, record: &str) -> anyhow::Result<Ends> {
        Ok(Ends {
            done: self.counts(record, Status::Done).await?,
            skipped: self.counts(record, Status::Skipped).await?,
            failed: self.counts(record, Status::Failed).await?,
        })
    }

    /// The changes that count a record with this end. A sandbox's record and a record that is no
    /// message count nothing.
    pub(crate) async fn counts(&self, record: &str, status: Status) -> anyhow::Result<Attached> {
        let Self {
            delivery,
            event,
            invocation,
        } = self;
        let Some(channel) = channel(event, record) else {
            return Ok(Attached::default());
        };
        let (day, _) = day_and_hour(delivery.zones.of(&event.tenant), event.occurred_at);
        let tally = tasks::delivery(day, channel, status);
        if tally.is_empty() {
            return Ok(Attached::default());
        }
        let tenant = (event.provider.as_str(), event.tenant.as_str());
        delivery
            .book
            .attach(tenant, &tally, &event.key, invocation.now())
            .await
    }
}

/// The figures' name for the channel of a record.
fn channel<'a>(event: &Event, record: &'a str) -> Option<&'a str> {
    let is_message = channels::Channel::ALL
        .iter()
        .map(|channel| channel.record())
        .chain([REMINDER, FORWARD])
        .any(|it| it == record);
    let name = record.strip_prefix("delivery/")?;
    (is_message && !event.sandbox).then_some(name)
}
