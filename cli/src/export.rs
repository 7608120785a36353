//! `coupons export`: prints the tracked events as CSV or JSON lines, page by page.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use reporting::{
    Cursor, EVENT_COLUMNS, Filter, Listing, Refused, Scope, Table, csv_line, event_row, list,
};
use serde_json::Value;
use webhooks::steering::escaped;

use crate::report_sources::{explain_with, open, parameters};
use crate::target;

/// How many events one page has.
const PAGE: usize = 500;

const EXAMPLES: &str = "\
Examples:
  coupons export > events.csv
  coupons export --since 2026-11-01 --until 2026-11-30 --tenant comp_bella_vista > november.csv
  coupons export --json | jq 'select(.type == \"used\")'";

/// Print the tracked events, the newest first, as CSV or as JSON lines.
///
/// Days are those of the system's parameter TimeZone. The variable TIME_ZONE, in the same format,
/// has priority. With --deployed or --aws-port, set the variable [default: America/Sao_Paulo].
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The first day, such as 2026-11-01 [default: 30 days ago]
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// The last day [default: today]
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// The company or the game; all by default
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// aghanim or zupy
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Print a JSON object on each line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let sources = open(&arguments.target).await?;
    let scope = Scope::all();
    let mut asked = parameters([
        ("from", arguments.since.as_deref()),
        ("to", arguments.until.as_deref()),
        ("tenant", arguments.tenant.as_deref()),
        ("provider", arguments.provider.as_deref()),
    ]);
    let (question, _) = sources.ask(&mut asked, &scope, Timestamp::now());
    asked.finish().map_err(explain)?;
    let (tenant, provider) = (question.tenant.as_deref(), question.provider.as_deref());
    let tenants = sources.tenants(&scope, tenant, provider).await;
    let tenants = tenants.map_err(explain)?;
    let period = question.period;
    let progress = progress_bar(period.days().unsigned_abs().into())?;
    let mut out = std::io::stdout().lock();
    let mut text = match arguments.json {
        true => String::new(),
        false => csv_line(EVENT_COLUMNS.iter().map(|&it| it.to_owned())),
    };
    let mut cursor = Some(Cursor::start(period));
    let mut count = 0_u64;
    while let Some(start) = cursor {
        let done = (period.to - start.day()).get_days();
        progress.set_position(done.unsigned_abs().into());
        progress.set_message(format!("{count} events"));
        let listing = list(&sources, &tenants, period, &Filter::default(), start, PAGE).await?;
        count += u64::try_from(listing.events.len())?;
        write_page(&mut text, &listing, arguments.json)?;
        // A reader that closes early, such as `head`, is no error.
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written.context("writing to standard output")?,
        }
        text.clear();
        cursor = listing.next;
    }
    progress.finish_and_clear();
    Ok(ExitCode::SUCCESS)
}

/// Explains a refusal, with the names of this command's options.
fn explain(refused: Refused) -> anyhow::Error {
    explain_with(refused, |field| match field {
        "from" => "since",
        "to" => "until",
        other => other,
    })
}

fn write_page(text: &mut String, listing: &Listing, json: bool) -> anyhow::Result<()> {
    for (tracked, status) in &listing.events {
        let row = event_row(tracked, status.as_deref());
        if json {
            let line = serde_json::to_string(&Value::Object(row)).context("writing JSON")?;
            text.push_str(&escaped(&line));
            text.push('\n');
        } else {
            let cells = EVENT_COLUMNS.iter().map(|column| Table::text(&row, column));
            text.push_str(&csv_line(cells));
        }
    }
    Ok(())
}

/// Draws on standard error, and only if standard error is a terminal.
fn progress_bar(days: u64) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} days, {msg}, {elapsed}")
        .context("the progress bar's template")?;
    let progress = ProgressBar::new(days).with_style(style);
    progress.enable_steady_tick(Duration::from_millis(200));
    Ok(progress)
}
