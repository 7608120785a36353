//! Invocations: a function takes them from Lambda one after another, each with its own time limit.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::clock;

/// Answers invocations until Lambda ends the function.
///
/// # Errors
/// The Lambda runtime ended.
pub async fn serve<E, A, F>(answer: impl Fn(E, Context) -> F) -> anyhow::Result<()>
where
    E: DeserializeOwned,
    A: Serialize,
    F: Future<Output = anyhow::Result<A>>,
{
    let answer = &answer;
    lambda_runtime::run(service_fn(|event: LambdaEvent<E>| async move {
        // Boxed, because the compiler would otherwise follow the types of everything that is
        // awaited inside.
        Box::pin(answer(event.payload, event.context))
            .await
            .map_err(lambda_runtime::Error::from)
    }))
    .await
    .map_err(|error| anyhow::anyhow!("the Lambda runtime ended: {error}"))
}

/// The longest time that Lambda gives an invocation, in milliseconds: 15 minutes (Lambda's quotas).
const LONGEST_MS: i64 = 15 * 60 * 1000;

/// When an invocation ends, by the header `Lambda-Runtime-Deadline-Ms`. Lambda writes a Unix time
/// there, but `cargo lambda watch` (1.9.2) writes a duration.
fn deadline(ms: u64, now: Timestamp) -> Timestamp {
    let ends_at = match i64::try_from(ms) {
        Ok(ms @ ..=LONGEST_MS) => now.checked_add(SignedDuration::from_millis(ms)).ok(),
        Ok(ms) => Timestamp::from_millisecond(ms).ok(),
        Err(_) => None,
    };
    ends_at.unwrap_or(Timestamp::MAX)
}

/// The time that one invocation has. The wall clock is read once, when the invocation begins; after
/// that tokio's clock counts. So time never jumps within an invocation, and a simulation can set
/// it.
#[derive(Debug, Clone, Copy)]
pub struct Invocation {
    began_at: Timestamp,
    began: Instant,
    ends_at: Timestamp,
}

impl Invocation {
    /// The invocation that Lambda has just begun.
    pub fn of(context: &Context) -> Self {
        let now = clock::now();
        Self::new(now, deadline(context.deadline, now))
    }

    /// An invocation that begins now.
    pub fn new(now: Timestamp, ends_at: Timestamp) -> Self {
        Self {
            began_at: now,
            began: Instant::now(),
            ends_at,
        }
    }

    /// When the invocation began, by the wall clock.
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        self.began_at.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// When Lambda ends the invocation.
    pub fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// Whether at least `time` is left.
    pub fn has_left(&self, time: Duration) -> bool {
        Instant::now() < self.before_end(time)
    }

    /// The moment at which half of the invocation's time is over.
    pub fn middle(&self) -> Instant {
        let left = self.ends_at.duration_since(self.began_at);
        self.before_end(Duration::try_from(left / 2).unwrap_or_default())
    }

    /// The moment `margin` before the invocation ends.
    pub fn before_end(&self, margin: Duration) -> Instant {
        let left = self.ends_at.duration_since(self.began_at);
        let left = Duration::try_from(left).unwrap_or_default();
        // Later than anything waits for.
        let far = Duration::from_secs(24 * 3600);
        self.began + left.saturating_sub(margin).min(far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_time_and_from_cargo_lambda_a_duration() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let check = |ms: u64, expected: &str| {
            assert_eq!(deadline(ms, now).to_string(), expected, "{ms}");
        };
        check(1_795_341_610_000, "2026-11-22T10:00:10Z");
        check(600_000, "2026-11-22T10:10:00Z");
        check(900_001, "1970-01-01T00:15:00.001Z");
        assert_eq!(deadline(u64::MAX, now), Timestamp::MAX);
    }
}
