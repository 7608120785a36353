//! `coupons analytics`: compares the counters with the recorded events, and repairs them.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::Serialize;
use webhooks::figures::{Audit, Book, Drift, Figures, Tables};

use crate::output::{harmless, say, say_json};
use crate::target::{self, Target};

const EXAMPLES: &str = "\
Examples:
  coupons analytics verify
  coupons analytics verify --days 7 --json
  coupons analytics rebuild --stack coupons";

/// Compare the counters that reports read with the recorded events, and repair them if asked.
///
/// `verify` and `rebuild` read the whole events table, and can run while events arrive. Both skip a
/// counter that changes meanwhile; the next run compares that counter. After an interruption, run
/// the command again: it continues where it stopped, and repaired counters stay repaired.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// `verify` lists every counter that differs; `rebuild` also repairs each one
    #[arg(value_enum)]
    what: What,
    /// How many days to compare, up to today: fewer than --retention-days, because older events
    /// expire
    #[arg(long, default_value_t = 34, value_parser = clap::value_parser!(u16).range(1..=3660))]
    days: u16,
    /// How many days the system keeps events: the value of the parameter RetentionDays [default:
    /// 35, and 3660 on this machine]
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=36500))]
    retention_days: Option<u16>,
    /// How many days the system keeps counters: the value of the parameter ReportDays
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u16).range(1..=36500))]
    report_days: u16,
    /// Start over, even after an interrupted run
    #[arg(long)]
    anew: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Verify,
    Rebuild,
}

#[derive(Debug, Serialize)]
struct Outcome {
    /// How many events the command counted again.
    events: u64,
    drift: Vec<Differs>,
}

/// A counter that differs from the recorded events.
#[derive(Debug, Serialize)]
struct Differs {
    tenant: String,
    day: String,
    section: &'static str,
    group: Vec<String>,
    field: char,
    counted: String,
    recorded: String,
    /// Whether the command repaired the counter. The command skips a counter that changed
    /// meanwhile.
    repaired: bool,
}

impl Differs {
    fn of(drift: &Drift, repaired: bool) -> Self {
        Self {
            tenant: drift.tenant.clone(),
            day: drift.cell.day.to_string(),
            section: drift.cell.group.section.name(),
            group: drift.cell.group.names.clone(),
            field: drift.cell.field,
            counted: drift.counted.to_string(),
            recorded: drift.recorded.to_string(),
            repaired,
        }
    }

    fn describe(&self) -> String {
        let Self {
            tenant,
            day,
            section,
            field,
            counted,
            recorded,
            ..
        } = self;
        let group = self.group.join(", ");
        let repaired = match self.repaired {
            true => ", repaired",
            false => "",
        };
        format!(
            "{tenant} {day} {section} ({group}) {field}: {counted}, should be \
             {recorded}{repaired}\n"
        )
    }
}

/// The template's default for `RetentionDays`, and that of the local system.
const RETENTION_DAYS: u16 = 35;
const LOCAL_RETENTION_DAYS: u16 = 3660;

impl Arguments {
    fn retention_days(&self, is_local: bool) -> u16 {
        self.retention_days.unwrap_or(match is_local {
            true => LOCAL_RETENTION_DAYS,
            false => RETENTION_DAYS,
        })
    }
}

/// Refuses days that may have expired events. Counted again without these events, correct counters
/// would seem wrong, and `rebuild` would erase them.
fn check_days(days: u16, kept: u16) -> anyhow::Result<()> {
    ensure!(
        days < kept,
        "--days is {days}, it must be at most {}: the system keeps events for {kept} days; if its \
         parameter RetentionDays is another, name that with --retention-days",
        kept - 1
    );
    Ok(())
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let kept = arguments.retention_days(target.is_local());
    check_days(arguments.days, kept)?;
    let tables = Tables {
        figures: target.table("figures")?.to_owned(),
        events: target.table("events")?.to_owned(),
        members: target.table("members")?.to_owned(),
    };
    let book = Book::new(
        target.dynamodb.clone(),
        tables.figures.clone(),
        arguments.report_days.into(),
        1,
    );
    let figures = Figures::new(target.dynamodb.clone(), tables);
    let mut audit = count(&figures, &arguments, kept).await?;
    // The first days' events may have expired during the reading of the others, or during an
    // interruption.
    audit.leave_out_before(Audit::recorded_from(Timestamp::now(), kept.into())?);
    let (drift, _) = audit.judge(&figures).await?;
    let mut differs = Vec::new();
    for drifted in &drift {
        let repaired = match arguments.what {
            What::Verify => false,
            What::Rebuild => figures.repair(&book, drifted, Timestamp::now()).await?,
        };
        differs.push(Differs::of(drifted, repaired));
    }
    figures.forget_interrupted_audit(&name(&arguments)).await?;
    let outcome = Outcome {
        events: audit.events(),
        drift: differs,
    };
    if arguments.json {
        say_json(&outcome)?;
    } else {
        let lines: String = outcome.drift.iter().map(Differs::describe).collect();
        let (events, count) = (outcome.events, outcome.drift.len());
        say(&harmless(&format!(
            "{lines}{events} events, {count} counters that differ\n"
        )))?;
    }
    let left = outcome.drift.iter().filter(|it| !it.repaired).count();
    if left > 0 && arguments.what == What::Rebuild {
        bail!("{left} counters changed meanwhile: run the command again");
    }
    Ok(match left {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// How often the command stores an unfinished run.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// Counts the recorded events, from the place where an earlier run stopped.
async fn count(figures: &Figures, arguments: &Arguments, kept: u16) -> anyhow::Result<Audit> {
    let now = Timestamp::now();
    let name = name(arguments);
    let interrupted = match arguments.anew {
        true => None,
        false => figures.interrupted_audit(&name, now).await?,
    };
    let mut audit = match interrupted {
        Some(audit) => {
            let (rows, at) = (audit.rows, audit.started_at);
            eprintln!("Continues the run of {at:.0} after {rows} rows; --anew begins another");
            audit
        }
        None => {
            // One more day, because a tenant's day may be ahead of the day here.
            let today = now.to_zoned(TimeZone::UTC).date() + 1.day();
            let from = today.checked_sub(i64::from(arguments.days + 1).days())?;
            let from = from.max(Audit::recorded_from(now, kept.into())?);
            Audit::begin(figures, (from, today), now).await?
        }
    };
    let progress = Progress::start();
    loop {
        let end = Instant::now() + KEPT_EVERY;
        let goes_on = |rows| {
            progress.show(rows);
            Instant::now() < end
        };
        let is_counted = audit.count(figures, goes_on).await?;
        if is_counted {
            progress.end();
            return Ok(audit);
        }
        figures
            .keep_interrupted_audit(&name, &audit, Timestamp::now())
            .await?;
    }
}

/// A run over other days does not continue this one.
fn name(arguments: &Arguments) -> String {
    format!("command-{}-days", arguments.days)
}

/// Prints the number of rows read so far, if standard error is a terminal.
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn start() -> Self {
        Self {
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, rows: u64) {
        if self.is_shown {
            eprint!("\r{rows} rows read");
        }
    }

    fn end(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_whose_events_may_have_expired_are_refused() {
        let check = |days: u16, kept: u16, expected: bool| {
            let checked = check_days(days, kept);
            assert_eq!(checked.is_ok(), expected, "{days} of {kept}");
        };
        check(34, RETENTION_DAYS, true);
        check(35, RETENTION_DAYS, false);
        check(89, 90, true);
        check(34, 30, false);
        check(3000, LOCAL_RETENTION_DAYS, true);
        check(36, 36, false);
        let refused = check_days(100, RETENTION_DAYS).unwrap_err().to_string();
        assert!(
            refused.starts_with("--days is 100, it must be at most 34: "),
            "{refused}"
        );
    }
}
