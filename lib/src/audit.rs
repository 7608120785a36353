//! The daily audit: compares the figures with the recorded events, and reports how many counters
//! differ.
//!
//! A large table takes longer than one invocation. If an invocation runs out of time, it stores
//! where it stopped, and the next invocation continues there.

use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::config::{Aws, CallLimits, Environment};
use crate::figures::{Audit, Audited, Figures};
use crate::invocation::{Invocation, serve};
use crate::telemetry::{self, Measure, measure};

/// The name under which the scheduled audit stores where it stopped.
const NAME: &str = "daily";

/// The time before an invocation's end at which the audit stops counting. In this time, the audit
/// reads a last page and stores where it stopped.
const MARGIN: Duration = Duration::from_secs(60);

/// The shortest time from the beginning of one audit to that of the next.
const EVERY: SignedDuration = SignedDuration::from_hours(23);

/// Compares the figures with the recorded events.
#[derive(Debug)]
pub struct Auditor {
    figures: Figures,
    /// How many days an event is recorded after its receipt.
    retention_days: i64,
    /// How many days a day's counters are kept.
    report_days: i64,
}

/// What an invocation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "audit")]
pub enum Came {
    /// The last audit began less than 23 hours ago.
    NotDue,
    /// The time was up. The next invocation continues.
    Interrupted {
        /// How many rows of the events table the audit has read so far.
        rows: u64,
    },
    /// All counters are judged.
    Finished {
        /// How many events the audit counted.
        events: u64,
        /// How many counters differ from these events.
        differ: u64,
    },
}

/// Continues the audit on every invocation, until Lambda ends the function.
///
/// # Errors
/// A setting is missing or not valid, or Lambda ends the runtime.
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
    /// Reads the tables and the settings from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            figures: Figures::read(environment, aws, CallLimits::TASK),
            retention_days: environment.number("RETENTION_DAYS", 1),
            report_days: environment.number("REPORT_DAYS", 1),
        }
    }

    /// Continues an interrupted audit, or begins one if it is time.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn go_on(&self, invocation: Invocation) -> anyhow::Result<Came> {
        let now = invocation.now();
        let figures = &self.figures.as_of(now);
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
        let figures = &self.figures.as_of(now);
        if !is_counted {
            figures.keep_interrupted_audit(NAME, &audit, now).await?;
            tracing::info!(
                "Stopped after {} rows; the next invocation goes on",
                audit.rows
            );
            return Ok(Came::Interrupted { rows: audit.rows });
        }
        // The first days' events may have expired while the others were read.
        audit.leave_out_before(self.days(now)?.0);
        let (drift, counters) = audit.judge(figures).await?;
        let audited = Audited::new(&audit, (&drift, counters), now);
        figures.keep_audited(&audited).await?;
        figures.forget_interrupted_audit(NAME).await?;
        let Audited { events, differ, .. } = audited;
        measure(Measure::FiguresDrift, differ);
        match audited.drift.first() {
            None => tracing::info!("{counters} counters agree with {events} events"),
            Some(first) => tracing::error!(
                tenant = first.tenant,
                day = %first.day,
                section = first.section,
                "{differ} of {counters} counters differ from the events: run `coupons analytics rebuild`"
            ),
        }
        Ok(Came::Finished { events, differ })
    }

    /// The first and the last day to judge. All events of these days are recorded, and all counters
    /// kept.
    fn days(&self, now: Timestamp) -> anyhow::Result<(Date, Date)> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let kept_from = today.checked_sub(self.report_days.days())?;
        let from = Audit::recorded_from(now, self.retention_days)?.max(kept_from);
        // A tenant's day may be ahead of UTC's.
        Ok((from, today.checked_add(1.day())?))
    }
}
