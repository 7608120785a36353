//! A task's record beneath an event, for people.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::text;
use crate::event::Event;
use crate::ledger::Item;
use crate::task::Task;

/// A task's record of its work on an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Record {
    /// The key of the event beneath which the record stands.
    pub event: String,
    /// The record's name: the task, and its channel, as in `delivery/email`.
    pub task: String,
    /// The record's word: a [status](crate::ledger::Status), `running` or `released`.
    pub status: String,
    /// How often the effect was claimed; `None` if nothing had to be claimed.
    pub attempts: Option<u32>,
    /// The outcome in words: a message's id or a reason, without personal data.
    pub result: Option<String>,
    /// When the first attempt began, as RFC 3339; `None` if nothing had to be claimed.
    pub started_at: Option<String>,
    /// When the last attempt ended, or the record was written without one, as RFC 3339.
    pub finished_at: Option<String>,
    /// When another worker may take over a running effect.
    pub lease_until: Option<Timestamp>,
    /// The earliest time of the next try after a failure.
    pub not_before: Option<Timestamp>,
    /// How many attempts got no answer. Each of them may have succeeded.
    #[serde(skip)]
    pub in_doubt: u32,
    /// How many attempts a failed record had when an operator asked for another try.
    #[serde(skip)]
    pub asked_after_attempts: Option<u32>,
    /// The records that follow this one.
    #[serde(skip)]
    pub then: Vec<String>,
    /// The message that would have been sent, if the event were no trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_send: Option<Value>,
}

impl Record {
    /// Reads the record of this name beneath an event.
    pub fn read(row: &Item, event: String, task: &str) -> Self {
        let number = |name: &str| row.get(name).and_then(|value| value.as_n().ok());
        let time = |name: &str| Timestamp::from_millisecond(number(name)?.parse().ok()?).ok();
        let count = |name: &str| number(name)?.parse().ok();
        Self {
            event,
            task: task.to_owned(),
            status: text(row, "status").unwrap_or_default(),
            attempts: count("attempts"),
            result: text(row, "result").filter(|result| !result.is_empty()),
            started_at: text(row, "started_at"),
            finished_at: text(row, "finished_at"),
            lease_until: time("lease_until_ms"),
            not_before: time("not_before_ms"),
            in_doubt: count("in_doubt").unwrap_or(0),
            asked_after_attempts: count("asked_after_attempts"),
            then: text(row, "then")
                .map(|names| names.split(' ').map(str::to_owned).collect())
                .unwrap_or_default(),
            would_send: text(row, "would_send").and_then(|it| serde_json::from_str(&it).ok()),
        }
    }

    /// Whether the record belongs to the task or to one of its channels.
    pub fn is_of(&self, event: &str, task: &str) -> bool {
        let rest = self.task.strip_prefix(task);
        self.event == event && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether the record is done or given up for good, so that the task will not touch it again.
    pub fn is_settled(&self) -> bool {
        matches!(
            self.status.as_str(),
            "done" | "skipped" | "waiting" | "failed"
        )
    }

    /// Whether the effect failed for good. An operator may have asked for another try that has not
    /// begun yet.
    pub fn failed_for_good(&self) -> bool {
        let asked = self.asked_after_attempts;
        self.status == "failed"
            || (self.status == "released" && asked == Some(self.attempts.unwrap_or(0)))
    }

    /// `delivery/email released: Throttling (3 attempts)`
    pub fn summary(&self) -> String {
        let mut summary = format!("{} {}", self.task, self.status);
        if let Some(result) = &self.result {
            summary.push_str(&format!(": {result}"));
        }
        if let Some(attempts) = self.attempts.filter(|&attempts| attempts > 1) {
            summary.push_str(&format!(" ({attempts} attempts)"));
        }
        summary
    }
}

/// The records that a finished task leaves beneath an event: always the first, and those that the
/// first names.
pub fn expected<'a>(
    task: Task,
    event: &Event,
    records: impl IntoIterator<Item = &'a Record>,
) -> Vec<String> {
    let first = task.first_record(event);
    let record = records.into_iter().find(|it| it.task == first);
    let then = record.into_iter().flat_map(|it| it.then.iter().cloned());
    std::iter::once(first.to_owned()).chain(then).collect()
}
