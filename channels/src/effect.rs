//! An effect outside, made once: the claim comes before the effect, the settling after it.

use std::time::Duration;

use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use webhooks::event::Event;
use webhooks::invocation::Invocation;
use webhooks::ledger::{Claim, Lease, Ledger, Status};
use webhooks::worker::Failure;

use crate::channel::{NotNow, Outcome};
use crate::time::{CLAIM, SEND, has_time};

/// Why the worker did not try an effect.
pub const NO_TIME: &str = "no time was left to try it";

/// The pauses after an attempt that got no answer: it may have succeeded, and another one would
/// double it. Each pause is four times the one before; a day has room for eleven.
const IN_DOUBT_FIRST: Duration = Duration::from_secs(5);
const IN_DOUBT_MAX: Duration = Duration::from_secs(4 * 3600);

/// An effect outside, with the record that holds its outcome.
#[derive(Debug, Clone, Copy)]
pub struct OutsideEffect<'a> {
    /// The ledger that holds the record.
    pub ledger: &'a Ledger,
    /// The event that causes the effect.
    pub event: &'a Event,
    /// The record's name: `delivery/email`.
    pub record: &'a str,
    /// The invocation that makes the attempt.
    pub invocation: Invocation,
}

impl OutsideEffect<'_> {
    /// Makes the effect, unless an earlier attempt settled it.
    ///
    /// # Errors
    /// The effect has not happened so far, or its outcome is unknown. The worker must retry the
    /// message.
    pub async fn make(
        &self,
        attempt: impl AsyncFnOnce() -> anyhow::Result<Outcome>,
    ) -> Result<(), Failure> {
        match self.claim().await? {
            Some(lease) => self.make_claimed(lease, attempt).await,
            None => Ok(()),
        }
    }

    /// Makes the effect under a lease of its record.
    ///
    /// # Errors
    /// The same as those of [`make`](Self::make).
    pub async fn make_claimed(
        &self,
        lease: Lease,
        attempt: impl AsyncFnOnce() -> anyhow::Result<Outcome>,
    ) -> Result<(), Failure> {
        if !has_time(self.invocation, SEND) {
            lease.release(NO_TIME, None).await?;
            return Err(anyhow!("{NO_TIME}: {}", self.record).into());
        }
        match attempt().await {
            Ok(outcome) => self.settle(lease, outcome).await,
            // No message went out, because one of our own steps failed before.
            Err(error) => {
                lease.release("not tried", None).await?;
                Err(error.into())
            }
        }
    }

    /// Ends an effect that nobody needs any more, unless it has happened.
    ///
    /// # Errors
    /// Writing the record failed, or another attempt holds it.
    pub async fn skip(&self, reason: &str) -> Result<(), Failure> {
        match self.claim().await? {
            Some(lease) => Ok(settle_skipped(lease, reason).await?),
            None => Ok(()),
        }
    }

    /// The right to make the effect; `None` if it has happened. No effect begins that the
    /// invocation's end could cut off, because its outcome would be unknown.
    ///
    /// # Errors
    /// Another attempt holds the claim, it is too early, or there is no time.
    pub async fn claim(&self) -> Result<Option<Lease>, Failure> {
        let (record, invocation) = (self.record, self.invocation);
        if !has_time(invocation, CLAIM + SEND) {
            return Err(anyhow!("{NO_TIME}: {record}").into());
        }
        match self.ledger.claim(self.event, record, invocation).await? {
            Claim::Granted(lease) => Ok(Some(lease)),
            Claim::Settled => Ok(None),
            Claim::Taken { until } => {
                let taken = anyhow!("another worker holds {record} until {until} at most");
                Err(taken.into())
            }
            Claim::Early { until } => Err(Failure::Early(from_until(invocation.now(), until))),
        }
    }

    /// Records the outcome of the effect.
    ///
    /// # Errors
    /// The effect did not happen now, or writing the record failed.
    pub async fn settle(&self, lease: Lease, outcome: Outcome) -> Result<(), Failure> {
        let record = self.record;
        match outcome {
            Outcome::Taken(id) => {
                lease.settle(Status::Done, &id).await?;
                tracing::info!(event.key = %self.event.key, record, message.id = id, "Sent");
                Ok(())
            }
            Outcome::Refused(reason) => {
                tracing::error!(event.key = %self.event.key, record, reason, "Cannot be delivered");
                Ok(lease.settle(Status::Failed, &reason).await?)
            }
            Outcome::NotNow(not_now) => self.release(lease, not_now).await,
        }
    }

    /// Gives the claim back, and says when to try again.
    ///
    /// # Errors
    /// Always, because the worker must retry the message.
    pub async fn release(&self, lease: Lease, not_now: NotNow) -> Result<(), Failure> {
        let NotNow {
            reason,
            hint,
            in_doubt,
            after,
        } = not_now;
        let pause = match in_doubt {
            true => Some(in_doubt_pause(lease.in_doubt())),
            false => after,
        };
        let not_before = pause.map(|pause| self.invocation.now() + pause);
        match (in_doubt, not_before) {
            (true, Some(at)) => lease.release_in_doubt(&reason, at).await?,
            _ => lease.release(&reason, not_before).await?,
        }
        Err(Failure::Outside {
            error: anyhow!("{}: {reason}{hint}", self.record),
            after: pause,
        })
    }
}

/// Records that an effect did not happen, and whether an earlier attempt may have made it.
///
/// # Errors
/// Writing the record failed.
pub async fn settle_skipped(lease: Lease, reason: &str) -> anyhow::Result<()> {
    match lease.in_doubt() {
        0 => lease.settle(Status::Skipped, reason).await,
        _ => {
            let reason =
                format!("{reason}; an earlier attempt had no answer, and may have been sent");
            lease.settle(Status::Skipped, &reason).await
        }
    }
}

fn in_doubt_pause(before: u32) -> Duration {
    let times = 4_u32.saturating_pow(before);
    IN_DOUBT_FIRST.saturating_mul(times).min(IN_DOUBT_MAX)
}

/// How long it is from `now` until then; zero if the time has passed.
pub fn from_until(now: Timestamp, until: Timestamp) -> Duration {
    let left = until.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(left).unwrap_or_default()
}

/// Unites several outcomes. If any of them asks for a retry, the worker retries the message, at the
/// earliest time that one of them names.
///
/// # Errors
/// One of the outcomes is a failure.
pub fn all_of(outcomes: impl IntoIterator<Item = Result<(), Failure>>) -> Result<(), Failure> {
    let failures = outcomes.into_iter().filter_map(Result::err);
    match failures.reduce(Failure::and) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}
