//! Notes on attempts at repeated messages. A process that dies can log nothing, so the worker
//! writes a note before an attempt begins and after it ends. The notes show how many attempts began
//! and never ended.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::{SignedDuration, Timestamp};

use crate::config::{Aws, CallLimits, Environment};
use crate::invocation::Invocation;
use crate::ledger::unique_id;

/// A note must not delay the work for long.
const LIMITS: CallLimits = CallLimits {
    attempt: Duration::from_millis(1000),
    call: Duration::from_millis(2500),
    attempts: 3,
};

/// How long a note is kept, because a message lives for 14 days.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 15);

/// The longest time that Lambda gives an invocation, in milliseconds. It limits an attempt whose
/// note does not name the end of its invocation; older code wrote such notes.
const INVOCATION_MAX_MS: i64 = 15 * 60 * 1000;

/// The field of the attempts that began and did not end.
const BEGUN: &str = "begun";
/// The field of the attempts that were taken back.
const SPARED: &str = "spared";

/// The notes on a queue's messages: rows of the events table with keys that no event has.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    client: Client,
    table: String,
    queue: String,
}

/// An attempt that began.
#[derive(Debug)]
pub(super) struct Attempt {
    id: String,
    /// How many earlier attempts began and did not end.
    pub(super) unended: usize,
    /// How many earlier attempts were taken back.
    pub(super) spared: usize,
    /// How many of the unended attempts are certainly dead, because the time of their invocations
    /// is over. The others may be alive, because SQS may deliver a message several times at once.
    pub(super) dead: usize,
}

impl Attempts {
    pub(super) fn read(environment: &mut Environment, aws: &Aws, queue: &str) -> Self {
        Self {
            client: Client::new(&aws.sdk_config(LIMITS)),
            table: environment.text("EVENTS_TABLE"),
            queue: queue.to_owned(),
        }
    }

    /// Notes that an attempt on a message begins.
    pub(super) async fn begin(
        &self,
        message: &str,
        invocation: Invocation,
    ) -> anyhow::Result<Attempt> {
        let now = invocation.now();
        let id = id_of(now, invocation.ends_at());
        let forget_at = now.checked_add(KEPT_FOR).unwrap_or(Timestamp::MAX);
        let forget_at = AttributeValue::N(forget_at.as_second().to_string());
        let noted = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(message)))
            // A set holds an attempt once, even if the SDK repeats the call.
            .update_expression("SET #ttl = :ttl ADD #begun :attempt")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#begun", BEGUN)
            .expression_attribute_values(":ttl", forget_at)
            .expression_attribute_values(":attempt", AttributeValue::Ss(vec![id.clone()]))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .context("noting that an attempt begins")?;
        let others = |name: &str| {
            let set = noted
                .attributes()
                .and_then(|row| row.get(name)?.as_ss().ok());
            set.into_iter().flatten().filter(|it| **it != id)
        };
        Ok(Attempt {
            unended: others(BEGUN).count(),
            spared: others(SPARED).count(),
            dead: others(BEGUN).filter(|id| is_over(id, now)).count(),
            id,
        })
    }

    /// Takes back the note that an attempt began, because the worker puts off the message.
    pub(super) async fn take_back(&self, message: &str, attempt: &Attempt) -> anyhow::Result<()> {
        let expression = "DELETE #begun :attempt ADD #spared :attempt";
        self.update(message, expression, Some(attempt)).await
    }

    /// Notes again that an attempt begins.
    pub(super) async fn begin_again(&self, message: &str, attempt: &Attempt) -> anyhow::Result<()> {
        let expression = "ADD #begun :attempt DELETE #spared :attempt";
        self.update(message, expression, Some(attempt)).await
    }

    /// Notes that a message's attempt ended, with any outcome. This also clears the notes of
    /// earlier attempts.
    pub(super) async fn end(&self, message: &str) -> anyhow::Result<()> {
        self.update(message, "REMOVE #begun, #spared", None).await
    }

    async fn update(
        &self,
        message: &str,
        expression: &str,
        attempt: Option<&Attempt>,
    ) -> anyhow::Result<()> {
        let attempt = attempt.map(|it| AttributeValue::Ss(vec![it.id.clone()]));
        let values = attempt.map(|it| HashMap::from([(":attempt".to_owned(), it)]));
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(message)))
            .update_expression(expression)
            .expression_attribute_names("#begun", BEGUN)
            .expression_attribute_names("#spared", SPARED)
            .set_expression_attribute_values(values)
            .send()
            .await
            .context("noting how an attempt ended")?;
        Ok(())
    }

    fn key(&self, message: &str) -> HashMap<String, AttributeValue> {
        let coupon = format!("message#{message}");
        HashMap::from([
            ("coupon".to_owned(), AttributeValue::S(coupon)),
            ("entry".to_owned(), AttributeValue::S(self.queue.clone())),
        ])
    }
}

/// An attempt's id: when it began, when its invocation ends, and a unique part.
fn id_of(now: Timestamp, ends_at: Timestamp) -> String {
    let (began_ms, ends_ms) = (now.as_millisecond(), ends_at.as_millisecond());
    format!("{began_ms}-{ends_ms}-{}", unique_id())
}

/// Whether the invocation of an attempt is over. The clocks of two machines differ by less than the
/// time for which SQS hides a message after a death.
fn is_over(id: &str, now: Timestamp) -> bool {
    let parts: Vec<_> = id.split('-').collect();
    let ms = |part: &str| part.parse::<i64>().ok();
    let ends_ms = match parts[..] {
        [_, ends, _] => ms(ends),
        [began, _] => ms(began).map(|it| it.saturating_add(INVOCATION_MAX_MS)),
        _ => None,
    };
    ends_ms.is_none_or(|ends_ms| ends_ms < now.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_over_once_its_invocation_is() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let id = id_of(at(0), at(30));
        for (second, expected) in [(0, false), (2, false), (30, false), (31, true)] {
            assert_eq!(is_over(&id, at(second)), expected, "after {second} s");
        }
        let of_older_code = format!("{}-{}", at(0).as_millisecond(), unique_id());
        for (second, expected) in [(2, false), (900, false), (901, true)] {
            assert_eq!(
                is_over(&of_older_code, at(second)),
                expected,
                "after {second} s"
            );
        }
    }

    /// Older code reads the first part as the time at which an attempt began.
    #[test]
    fn older_code_reads_when_an_attempt_began() {
        let id = id_of(Timestamp::UNIX_EPOCH, Timestamp::MAX);
        assert_eq!(id.split_once('-').map(|(began, _)| began), Some("0"));
    }
}
