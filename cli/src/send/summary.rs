//! The figures of a run: the system's answers, and the verdict on the events that it accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Answer;
use crate::send::milliseconds;

/// The results of all webhooks. Each webhook counts once, by its last answer; each earlier attempt
/// counts as retried.
#[derive(Debug, Default)]
pub(super) struct Summary {
    events: u32,
    seed: Option<u64>,
    sent: u32,
    accepted: u32,
    duplicates: u32,
    ignored: u32,
    /// Webhooks that would get the same answer after a retry.
    refused: u32,
    /// Webhooks that got no answer, or a 5xx to the last.
    failed: u32,
    retried: u32,
    /// Of all attempts.
    statuses: BTreeMap<u16, u32>,
    /// Of all attempts, by the word in the answer's body: `accepted`, `invalid_payload`.
    outcomes: BTreeMap<String, u32>,
    /// Of all answered attempts; in ascending order at the end.
    durations: Vec<Duration>,
    /// Attempts without an answer.
    errors: u32,
    first_error: Option<String>,
    took: Duration,
    /// Events that got a 2xx: each event's key, and the number of its webhook in the run.
    pub(super) taken: BTreeSet<(String, u32)>,
}

/// One webhook, and the result of each attempt to send it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) index: u32,
    pub(super) attempts: Vec<anyhow::Result<Answer>>,
}

impl Summary {
    /// An empty summary of a run of this many webhooks. The seed chose the repeated ones.
    pub(super) fn new(events: u32, seed: Option<u64>) -> Self {
        Self {
            events,
            seed,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, delivery: Delivery) {
        self.sent += 1;
        self.retried += delivery.attempts.len().saturating_sub(1) as u32;
        let mut last = None;
        for attempt in delivery.attempts {
            last = self.attempt(attempt);
        }
        let Some((status, said)) = last.filter(|(status, _)| !status.is_server_error()) else {
            self.failed += 1;
            return;
        };
        if !status.is_success() {
            self.refused += 1;
            return;
        }
        match said.word.as_str() {
            "duplicate" => self.duplicates += 1,
            "ignored" => self.ignored += 1,
            _ => self.accepted += 1,
        }
        if let Some(event) = said.event {
            self.taken.insert((event, delivery.index));
        }
    }

    /// Counts an attempt. Returns the answer, if there was one.
    fn attempt(&mut self, attempt: anyhow::Result<Answer>) -> Option<(http::StatusCode, Said)> {
        match attempt {
            Ok(answer) => {
                let said = Said::read(&answer.body);
                *self.statuses.entry(answer.status.as_u16()).or_default() += 1;
                *self.outcomes.entry(said.word.clone()).or_default() += 1;
                self.durations.push(answer.duration);
                Some((answer.status, said))
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| format!("{error:#}"));
                None
            }
        }
    }

    /// Completes the summary after the last attempt.
    pub(super) fn after(mut self, took: Duration) -> Self {
        self.durations.sort_unstable();
        self.took = took;
        self
    }

    /// Whether every webhook finally got a 2xx.
    pub(super) fn is_success(&self) -> bool {
        self.failed == 0 && self.refused == 0
    }

    /// Whether the system may hold anything of the run. A webhook without an answer may have
    /// arrived too.
    pub(super) fn left_something(&self) -> bool {
        !self.taken.is_empty() || self.failed > 0
    }

    fn per_second(&self) -> f64 {
        let seconds = self.took.as_secs_f64().max(f64::EPSILON);
        (f64::from(self.sent) / seconds * 10.0).round() / 10.0
    }

    fn latencies(&self) -> Option<[(&'static str, f64); 5]> {
        let percentile = |percent| percentile(&self.durations, percent).map(milliseconds);
        Some([
            ("min", percentile(0)?),
            ("p50", percentile(50)?),
            ("p90", percentile(90)?),
            ("p99", percentile(99)?),
            ("max", percentile(100)?),
        ])
    }

    pub(super) fn to_json(&self) -> Value {
        let statuses: BTreeMap<_, _> = self
            .statuses
            .iter()
            .map(|(status, count)| (status.to_string(), count))
            .collect();
        let latencies: Option<serde_json::Map<_, _>> = self.latencies().map(|all| {
            let named = all.into_iter();
            named
                .map(|(name, ms)| (name.to_owned(), json!(ms)))
                .collect()
        });
        json!({
            "events": self.events,
            "seed": self.seed,
            "sent": self.sent,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "ignored": self.ignored,
            "refused": self.refused,
            "retried": self.retried,
            "failed": self.failed,
            "statuses": statuses,
            "outcomes": self.outcomes,
            "errors": self.errors,
            "first_error": self.first_error,
            "duration_ms": milliseconds(self.took),
            "per_second": self.per_second(),
            "latency_ms": latencies,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed.map(|seed| format!(" (--seed {seed})"));
        writeln!(
            f,
            "sent        {} in {:.2} s, {} per second{}",
            self.sent,
            self.took.as_secs_f64(),
            self.per_second(),
            seed.unwrap_or_default()
        )?;
        writeln!(f, "accepted    {}", self.accepted)?;
        writeln!(f, "duplicates  {}", self.duplicates)?;
        for (name, count) in [("ignored", self.ignored), ("refused", self.refused)] {
            if count > 0 {
                writeln!(f, "{name:<12}{count}")?;
            }
        }
        writeln!(f, "retried     {}", self.retried)?;
        writeln!(f, "failed      {}", self.failed)?;
        if !self.statuses.is_empty() {
            writeln!(f, "status      {}", counts(&self.statuses))?;
            writeln!(f, "outcome     {}", counts(&self.outcomes))?;
        }
        if let Some(latencies) = self.latencies() {
            let latencies = latencies.map(|(name, ms)| format!("{name} {ms:.1} ms"));
            writeln!(f, "latency     {}", latencies.join(", "))?;
        }
        if let Some(first) = &self.first_error {
            writeln!(f, "unanswered  {}, the first: {first}", self.errors)?;
        }
        Ok(())
    }
}

fn counts<K: fmt::Display>(counts: &BTreeMap<K, u32>) -> String {
    let counts: Vec<_> = counts
        .iter()
        .map(|(what, n)| format!("{what}: {n}"))
        .collect();
    counts.join(", ")
}

/// The contents of an answer.
#[derive(Debug)]
struct Said {
    word: String,
    /// The event that the answer confirms as durable.
    event: Option<String>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let word = body["status"].as_str().or(body["error"]["code"].as_str());
        Self {
            word: word.unwrap_or("none").to_owned(),
            event: body["event"].as_str().map(str::to_owned),
        }
    }
}

/// The percentile by nearest rank. The durations are in ascending order.
fn percentile(durations: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (durations.len() * percent).div_ceil(100).max(1);
    durations.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_durations() {
        let durations = |count: u64| (1..=count).map(Duration::from_millis).collect::<Vec<_>>();
        let check = |count, percent, expected: Option<u64>| {
            let found = percentile(&durations(count), percent);
            assert_eq!(
                found,
                expected.map(Duration::from_millis),
                "{percent} of {count}"
            );
        };
        check(0, 50, None);
        check(1, 0, Some(1));
        check(1, 99, Some(1));
        check(2, 50, Some(1));
        check(3, 50, Some(2));
        check(100, 0, Some(1));
        check(100, 99, Some(99));
        check(101, 99, Some(100));
        check(100, 100, Some(100));
    }

    fn answer(status: u16, body: &str, ms: u64) -> anyhow::Result<Answer> {
        Ok(Answer {
            status: http::StatusCode::from_u16(status)?,
            headers: http::HeaderMap::new(),
            body: body.into(),
            duration: Duration::from_millis(ms),
        })
    }

    fn summary(deliveries: Vec<Vec<anyhow::Result<Answer>>>) -> Summary {
        let mut summary = Summary::new(deliveries.len() as u32, Some(7));
        for (index, attempts) in deliveries.into_iter().enumerate() {
            let index = index as u32;
            summary.add(Delivery { index, attempts });
        }
        summary.after(Duration::from_secs(2))
    }

    #[test]
    fn each_webhook_counts_once_as_it_was_answered_in_the_end() {
        let accepted = || answer(200, r#"{"status":"accepted","event":"a/redeemed"}"#, 9);
        let duplicate = answer(200, r#"{"status":"duplicate","event":"b/redeemed"}"#, 3);
        let crashed = || answer(500, r#"{"message":"Internal Server Error"}"#, 2);
        let silence = || Err(anyhow::anyhow!("no answer"));
        let taken = summary(vec![
            vec![accepted()],
            vec![silence(), crashed(), duplicate],
        ]);
        assert!(taken.is_success());
        let expected = [("a/redeemed".to_owned(), 0), ("b/redeemed".to_owned(), 1)];
        assert_eq!(taken.taken, BTreeSet::from(expected));

        let summary = summary(vec![
            vec![crashed(), accepted()],
            vec![answer(202, r#"{"status":"ignored","type":"ping"}"#, 1)],
            vec![answer(401, r#"{"error":{"code":"invalid_signature"}}"#, 1)],
            vec![crashed(), crashed()],
            vec![silence(), silence()],
        ]);
        assert!(!summary.is_success());
        assert_eq!(summary.taken.len(), 1);
        assert_eq!(
            summary.to_string(),
            "sent        5 in 2.00 s, 2.5 per second (--seed 7)\n\
             accepted    1\n\
             duplicates  0\n\
             ignored     1\n\
             refused     1\n\
             retried     3\n\
             failed      2\n\
             status      200: 1, 202: 1, 401: 1, 500: 3\n\
             outcome     accepted: 1, ignored: 1, invalid_signature: 1, none: 3\n\
             latency     min 1.0 ms, p50 2.0 ms, p90 9.0 ms, p99 9.0 ms, max 9.0 ms\n\
             unanswered  2, the first: no answer\n"
        );
        let json = summary.to_json();
        assert_eq!(json["statuses"]["500"], 3);
        assert_eq!(json["latency_ms"]["max"], 9.0);
        assert_eq!(json["first_error"], "no answer");
        let counts = [
            "sent", "accepted", "ignored", "refused", "retried", "failed",
        ];
        assert_eq!(
            counts.map(|name| json[name].as_u64().unwrap()),
            [5, 1, 1, 1, 3, 2]
        );
    }
}
