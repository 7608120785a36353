//! Which schedules are due, what their targets get, and what follows a failure: a retry, and
//! finally a message in the dead-letter queue.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Scheduler;
use super::schedule::Schedule;
use crate::AwsError;

/// The pause before the first retry; each further pause is twice as long, up to the longest.
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 300_000;

fn queue(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

impl Scheduler {
    /// The next due schedule. No other caller gets it until [`Scheduler::settle`].
    pub(crate) fn take_due(&self, now_ms: i64) -> Option<Schedule> {
        let mut schedules = self.lock();
        let (due_ms, key) = schedules.due.first().cloned()?;
        if due_ms > now_ms {
            return None;
        }
        schedules.due.pop_first();
        schedules.in_delivery.insert(key.clone());
        schedules.by_key.get(&key).cloned()
    }

    /// Ends a delivery: the next call comes at `next_ms`, or never.
    pub(crate) fn settle(&self, schedule: Schedule, next_ms: Option<i64>) {
        let mut schedules = self.lock();
        schedules.in_delivery.remove(&schedule.key);
        let kept = schedules.by_key.get(&schedule.key);
        // A request deleted or replaced the schedule during the call.
        if kept.is_none_or(|kept| *kept != schedule) {
            return;
        }
        let written = if next_ms.is_none() && schedule.deletes_itself() {
            schedules.remove(&schedule.key).map(|_| ())
        } else {
            let failures = schedule.failures + u32::from(next_ms.is_some());
            schedules.keep(Schedule {
                next_ms,
                failures,
                ..schedule
            })
        };
        if let Err(error) = written {
            tracing::error!("{}", error.message);
        }
    }
}

impl Schedule {
    /// The request to SQS that puts the message into the dead-letter queue after the last failure;
    /// `None` without such a queue.
    pub(crate) fn dead_letter(&self, failure: &AwsError, now_ms: i64) -> Option<Value> {
        let Schedule { key, target, .. } = self;
        let dead_letter_arn = target.dead_letter_arn.as_ref()?;
        let scheduled_at = Timestamp::from_millisecond(self.scheduled_ms);
        let mut attributes = json!({
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": failure.message,
            "EXECUTION_ID": Uuid::new_v4().to_string(),
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": self.failures.to_string(),
            "SCHEDULED_TIME": scheduled_at.map(|at| format!("{at:.0}")).unwrap_or_default(),
            "SCHEDULE_ARN": key.arn(),
            "TARGET_ARN": target.arn,
        });
        if let Some(condition) = give_up(self, failure, now_ms).flatten() {
            attributes["EXHAUSTED_RETRY_CONDITION"] = condition.into();
        }
        let attributes: Map<_, _> = attributes
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let value = json!({"DataType": "String", "StringValue": value});
                (name.clone(), value)
            })
            .collect();
        Some(json!({
            "QueueUrl": queue(dead_letter_arn),
            "MessageBody": target.input,
            "MessageAttributes": attributes,
        }))
    }

    /// The request to SQS.
    pub(crate) fn message(&self) -> Value {
        let target = &self.target;
        let mut message = json!({"QueueUrl": queue(&target.arn), "MessageBody": target.input});
        if let Some(group) = &target.message_group_id {
            message["MessageGroupId"] = group.clone().into();
        }
        message
    }

    pub(crate) fn arn(&self) -> String {
        self.key.arn()
    }

    /// The role of the call.
    pub(crate) fn role_arn(&self) -> &str {
        &self.target.role_arn
    }

    /// The time of the next call after this failure; `None` means never.
    pub(crate) fn retry_ms(&self, failure: &AwsError, now_ms: i64) -> Option<i64> {
        let is_over = give_up(self, failure, now_ms).is_some();
        (!is_over).then(|| now_ms + pause_ms(self.failures))
    }
}

/// The reason for no further retry; `None` means a retry. A missing or forbidden target gets no
/// retry.
fn give_up(schedule: &Schedule, failure: &AwsError, now_ms: i64) -> Option<Option<&'static str>> {
    let target = &schedule.target;
    let again_ms = now_ms + pause_ms(schedule.failures);
    let is_permanent = (400..500).contains(&failure.status) && !is_throttling(&failure.code);
    if is_permanent {
        Some(None)
    } else if schedule.failures >= target.attempts_max {
        Some(Some("MaximumRetryAttempts"))
    } else if again_ms - schedule.scheduled_ms > i64::from(target.age_max_s) * 1000 {
        Some(Some("MaximumEventAgeInSeconds"))
    } else {
        None
    }
}

fn is_throttling(code: &str) -> bool {
    code.contains("Throttl") || code.contains("TooManyRequests")
}

fn pause_ms(failures: u32) -> i64 {
    let doubled = FIRST_PAUSE_MS.checked_shl(failures.min(16));
    doubled.map_or(LONGEST_PAUSE_MS, |ms| ms.min(LONGEST_PAUSE_MS))
}
