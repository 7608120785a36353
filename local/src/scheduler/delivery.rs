//! Calls the targets of due schedules, retries failures, and finally sends to the dead-letter
//! queue.
//!
//! As on AWS, a target may be called twice: after a call without an answer, or if this program ends
//! during a call.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Scheduler;
use super::schedule::Schedule;
use crate::AwsError;
use crate::aws::{Aws, random_id};

/// How many targets are called at the same time.
const AT_ONCE: usize = 10;

/// The pause before the first retry; each further pause is twice as long, up to the longest.
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 300_000;

/// Calls targets until `stop` becomes true (or its sender is dropped).
pub(crate) async fn run(aws: Arc<Aws>, mut stop: watch::Receiver<bool>) {
    let scheduler = aws.scheduler.clone();
    let mut calls = JoinSet::new();
    loop {
        let changed = scheduler.shared.changed.notified();
        while calls.len() < AT_ONCE
            && let Some(schedule) = scheduler.take_due(aws.clock().now().as_millisecond())
        {
            let (aws, scheduler) = (Arc::clone(&aws), scheduler.clone());
            calls.spawn(async move {
                let outcome = aws
                    .call_target(&schedule.target.role_arn, &message(&schedule))
                    .await;
                scheduler.settle(&aws, schedule, outcome).await;
            });
        }
        let (_, next) = scheduler.overview();
        let wake_at = next.unwrap_or(Timestamp::MAX);
        let is_full = calls.len() >= AT_ONCE;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            Some(_) = calls.join_next() => {}
            () = changed => {}
            () = aws.clock().until(wake_at), if !is_full => {}
        }
    }
}

/// The request to SQS.
fn message(schedule: &Schedule) -> Value {
    let target = &schedule.target;
    let mut message = json!({"QueueUrl": queue(&target.arn), "MessageBody": target.input});
    if let Some(group) = &target.message_group_id {
        message["MessageGroupId"] = group.clone().into();
    }
    message
}

fn queue(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

impl Scheduler {
    /// The next due schedule. No other caller gets it until [`Scheduler::settle`].
    fn take_due(&self, now_ms: i64) -> Option<Schedule> {
        let mut schedules = self.lock();
        let (due_ms, key) = schedules.due.first().cloned()?;
        if due_ms > now_ms {
            return None;
        }
        schedules.due.pop_first();
        schedules.in_delivery.insert(key.clone());
        schedules.by_key.get(&key).cloned()
    }

    async fn settle(&self, aws: &Aws, schedule: Schedule, outcome: Result<(), AwsError>) {
        let now_ms = aws.clock().now().as_millisecond();
        let next_ms = match outcome {
            Ok(()) => None,
            Err(failure) => match give_up(&schedule, &failure, now_ms) {
                None => Some(now_ms + pause_ms(schedule.failures)),
                Some(condition) => {
                    bury(aws, &schedule, &failure, condition).await;
                    None
                }
            },
        };
        let mut schedules = self.lock();
        schedules.in_delivery.remove(&schedule.key);
        let kept = schedules.by_key.get(&schedule.key);
        // The schedule was deleted or replaced while its target was called.
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

/// The reason for no further retry; `None` means a retry. A missing or forbidden target is not
/// retried.
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

/// Sends a failed schedule's message to its dead-letter queue, without faults: AWS documents no
/// retries for this call.
async fn bury(aws: &Aws, schedule: &Schedule, failure: &AwsError, condition: Option<&str>) {
    let Schedule { key, target, .. } = schedule;
    let Some(dead_letter_arn) = &target.dead_letter_arn else {
        tracing::error!("{} failed for good: {}", key.arn(), failure.message);
        return;
    };
    let scheduled_at = Timestamp::from_millisecond(schedule.scheduled_ms);
    let mut attributes = json!({
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message,
        "EXECUTION_ID": random_id(),
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": schedule.failures.to_string(),
        "SCHEDULED_TIME": scheduled_at.map(|at| format!("{at:.0}")).unwrap_or_default(),
        "SCHEDULE_ARN": key.arn(),
        "TARGET_ARN": target.arn,
    });
    if let Some(condition) = condition {
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
    let letter = json!({
        "QueueUrl": queue(dead_letter_arn),
        "MessageBody": target.input,
        "MessageAttributes": attributes,
    });
    if let Err(error) = aws.bury(&target.role_arn, &letter).await {
        tracing::error!(
            "{} failed for good, and its dead-letter queue did not take it: {}",
            key.arn(),
            error.message
        );
    }
}
