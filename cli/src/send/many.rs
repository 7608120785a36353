//! Many distinct coupons at a time, and a summary of the answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::send::{Draft, milliseconds, parse, write};

#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) count: u32,
    pub(super) concurrency: usize,
    /// Each coupon is sent again once it is answered.
    pub(super) repeat: bool,
}

/// Sends copies of a draft that differ in what names them, also from the copies of any other run.
pub(super) async fn send(client: &Client, draft: &Draft, plan: Plan) -> anyhow::Result<Summary> {
    let body = parse(&draft.body).context("--count gives each copy a name of its own")?;
    let run = run_id(draft.now);
    let copy = |index: u32| {
        let mut body = body.clone();
        draft.sender.rename(&mut body, &format!("-{run}-{index}"))?;
        anyhow::Ok(draft.sign(write(&body)))
    };
    copy(1)?;
    let attempts = if plan.repeat { 2 } else { 1 };
    let progress = progress_bar(u64::from(plan.count) * attempts)?;
    let start = Instant::now();
    let answers = stream::iter(1..=plan.count).map(|index| async move {
        let request = copy(index);
        let mut answers = Vec::new();
        for _ in 0..attempts {
            answers.push(match &request {
                Ok(request) => client.post(request).await,
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            });
        }
        answers
    });
    let mut answers = answers.buffer_unordered(plan.concurrency);
    let mut summary = Summary::default();
    while let Some(answers) = answers.next().await {
        for answer in answers {
            summary.add(answer);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(summary.after(start.elapsed()))
}

/// Short text that differs between runs: milliseconds since 1970 in base 36.
fn run_id(now: Timestamp) -> String {
    let mut rest = now.as_millisecond().unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        digits.push(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize] as char);
        rest /= 36;
    }
    digits.iter().rev().collect()
}

/// Shows nothing where standard error is no terminal.
fn progress_bar(length: u64) -> anyhow::Result<ProgressBar> {
    let style = "{wide_bar} {pos}/{len}, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).context("the progress bar's template")?;
    Ok(ProgressBar::new(length).with_style(style))
}

/// What came of all requests.
#[derive(Debug, Default)]
pub(super) struct Summary {
    statuses: BTreeMap<u16, u32>,
    /// By the word in the body that says what became of the event: `accepted`, `invalid_payload`.
    outcomes: BTreeMap<String, u32>,
    /// Of the requests that were answered; in ascending order at the end.
    durations: Vec<Duration>,
    errors: u32,
    first_error: Option<String>,
    took: Duration,
}

impl Summary {
    fn add(&mut self, answer: anyhow::Result<Answer>) {
        match answer {
            Ok(answer) => {
                *self.statuses.entry(answer.status.as_u16()).or_default() += 1;
                *self.outcomes.entry(outcome(&answer.body)).or_default() += 1;
                self.durations.push(answer.duration);
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }

    /// With no more to come.
    fn after(mut self, took: Duration) -> Self {
        self.durations.sort_unstable();
        self.took = took;
        self
    }

    /// Whether every request was answered with a 2xx.
    pub(super) fn is_success(&self) -> bool {
        self.errors == 0 && self.statuses.keys().all(|status| status / 100 == 2)
    }

    fn sent(&self) -> usize {
        self.durations.len() + self.errors as usize
    }

    fn per_second(&self) -> f64 {
        let seconds = self.took.as_secs_f64().max(f64::EPSILON);
        (self.sent() as f64 / seconds * 10.0).round() / 10.0
    }

    fn latencies(&self) -> Option<[(&'static str, f64); 4]> {
        let percentile = |percent| percentile(&self.durations, percent).map(milliseconds);
        Some([
            ("min", percentile(0)?),
            ("p50", percentile(50)?),
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
        let latencies: Option<BTreeMap<_, _>> = self.latencies().map(|all| all.into());
        json!({
            "sent": self.sent(),
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
        writeln!(
            f,
            "sent      {} in {:.2} s, {} per second",
            self.sent(),
            self.took.as_secs_f64(),
            self.per_second()
        )?;
        if !self.statuses.is_empty() {
            writeln!(f, "status    {}", counts(&self.statuses))?;
            writeln!(f, "outcome   {}", counts(&self.outcomes))?;
        }
        if let Some(latencies) = self.latencies() {
            let latencies = latencies.map(|(name, ms)| format!("{name} {ms:.1} ms"));
            writeln!(f, "latency   {}", latencies.join(", "))?;
        }
        if let Some(first) = &self.first_error {
            writeln!(f, "errors    {}, the first: {first}", self.errors)?;
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

fn outcome(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = body["status"].as_str().or(body["error"]["code"].as_str());
    word.unwrap_or("none").to_owned()
}

/// By nearest rank. The durations are in ascending order.
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

    #[test]
    fn a_summary_counts_answers_by_status_and_by_outcome() {
        let mut summary = Summary::default();
        summary.add(answer(200, r#"{"status":"accepted"}"#, 9));
        summary.add(answer(200, r#"{"status":"duplicate"}"#, 3));
        assert!(summary.is_success());
        summary.add(answer(401, r#"{"error":{"code":"invalid_signature"}}"#, 1));
        assert!(!summary.is_success());
        summary.add(Err(anyhow::anyhow!("nothing listens")));
        summary.add(Err(anyhow::anyhow!("no answer")));
        let summary = summary.after(Duration::from_secs(2));
        assert_eq!(
            summary.to_string(),
            "sent      5 in 2.00 s, 2.5 per second\n\
             status    200: 2, 401: 1\n\
             outcome   accepted: 1, duplicate: 1, invalid_signature: 1\n\
             latency   min 1.0 ms, p50 3.0 ms, p99 9.0 ms, max 9.0 ms\n\
             errors    2, the first: nothing listens\n"
        );
        let json = summary.to_json();
        assert_eq!(json["statuses"]["200"], 2);
        assert_eq!(json["latency_ms"]["max"], 9.0);
        assert_eq!(json["first_error"], "nothing listens");
    }

    #[test]
    fn two_runs_have_different_ids() {
        let at = |ms| run_id(Timestamp::from_millisecond(ms).unwrap());
        assert_eq!(at(0), "0");
        assert_eq!(at(36 * 36 + 1), "101");
        assert_ne!(at(1_900_000_000_000), at(1_900_000_000_001));
    }
}
