//! The audit of the figures: compares them with the recorded events once a day, and reports how many counters differ.
//!
//! A large table takes longer than one invocation has. An invocation that runs out of time keeps where it stopped, and the
//! next one goes on there.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::config::{Aws, CallLimits, Environment};
use crate::figures::{Audit, Audited, Figures};
use crate::invocation::{Invocation, serve};
use crate::telemetry::{self, Measure, measure};

/// The name of the audit that the schedule runs.
const NAME: &str = "daily";

/// What is left of an invocation's time when it keeps where it stopped: reading a page and writing what is held.
const MARGIN: Duration = Duration::from_secs(60);

/// An audit begins so long after the one before it began.
const EVERY: SignedDuration = SignedDuration::from_hours(23);

/// Compares the figures with the recorded events.
#[derive(Debug)]
pub struct Auditor {
    figures: Figures,
    retention_days: i64,
}

/// What an invocation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "audit")]
pub enum Came {
    /// The last audit is less than a day old.
    NotDue,
    /// The next invocation goes on, after so many rows.
    Interrupted {
        rows: u64,
    },
    Finished {
        events: u64,
        differ: u64,
    },
}

/// Goes on with the audit on every invocation, until Lambda ends the function.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let auditor = Auditor::read(&mut environment, &aws);
    environment.check()?;
    let auditor = &auditor;
    serve(|_: Box<RawValue>, context| async move { auditor.go_on(Invocation::of(&context)).await })
        .await
}

impl Auditor {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            figures: Figures::read(environment, aws, CallLimits::TASK),
            retention_days: environment.number("RETENTION_DAYS", 1),
        }
    }

    /// Goes on with the audit that was interrupted, or begins one if it is time.
    pub async fn go_on(&self, invocation: Invocation) -> anyhow::Result<Came> {
        let now = invocation.now();
        let figures = &self.figures;
        let mut audit = match figures.interrupted_audit(NAME, now).await? {
            Some(audit) => audit,
            None => {
                let last = figures.audited().await?;
                if last.is_some_and(|it| now.duration_since(it.started_at) < EVERY) {
                    return Ok(Came::NotDue);
                }
                Audit::begin(figures, self.days(now)?, now).await?
            }
        };
        let end = invocation.before_end(MARGIN);
        let is_counted = audit.count(figures, |_| Instant::now() < end).await?;
        let now = invocation.now();
        if !is_counted {
            figures.keep_interrupted_audit(NAME, &audit, now).await?;
            tracing::info!("Keeps where it stopped, after {} rows", audit.rows);
            return Ok(Came::Interrupted { rows: audit.rows });
        }
        let (drift, counters) = audit.judge(figures).await?;
        let audited = Audited::new(&audit, (&drift, counters), now);
        figures.keep_audited(&audited).await?;
        figures.forget_interrupted_audit(NAME).await?;
        let Audited { events, differ, .. } = audited;
        measure(Measure::FiguresDrift, differ);
        match audited.drift.first() {
            None => tracing::info!("{counters} counters are what {events} events say"),
            Some(first) => tracing::error!(
                tenant = first.tenant,
                day = %first.day,
                section = first.section,
                "{differ} of {counters} counters differ: run `coupons analytics rebuild`"
            ),
        }
        Ok(Came::Finished { events, differ })
    }

    /// The days whose events are all remembered.
    fn days(&self, now: Timestamp) -> anyhow::Result<(jiff::civil::Date, jiff::civil::Date)> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let from = today.checked_sub((self.retention_days - 1).days())?;
        // A tenant's day may be ahead of the one here.
        Ok((from, today.checked_add(1.day())?))
    }
}
