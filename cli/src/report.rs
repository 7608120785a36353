//! `coupons report`: prints the counted figures as tables in the terminal.

use std::process::ExitCode;

use jiff::Timestamp;
use reporting::{Report, Scope, Section, Table};

use crate::output::{harmless, say, say_json};
use crate::report_sources::{explain, open, parameters};
use crate::target;

const EXAMPLES: &str = "\
Examples:
  coupons report
  coupons report --timeframe 7d --tenant comp_bella_vista
  coupons report --from 2026-11-01 --to 2026-11-30 --compare year
  coupons report --section usage --csv > usage.csv
  coupons report --stack coupons --json";

/// Show the figures of redemptions and uses: totals, rewards, locations, conversion, patterns and
/// more.
///
/// Days are those of the system's parameter TimeZone. The variable TIME_ZONE, in the same format,
/// has priority. With --deployed or --aws-port, set the variable [default: America/Sao_Paulo].
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The last days up to today, such as 30d; at most 400d [default: 30d]
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["from", "to"])]
    timeframe: Option<String>,
    /// The first day, such as 2026-11-01
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day [default: today]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// The company or the game; all by default
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// aghanim or zupy
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Compare the totals with this period: previous, year or none [default: previous]
    #[arg(long, value_name = "PERIOD")]
    compare: Option<String>,
    /// Show only this section: totals, redemptions, usage, conversion, patterns, satisfaction,
    /// surveys, methods, tiers, staff, codes, findings or deliveries
    #[arg(long, value_name = "SECTION", value_parser = section)]
    section: Option<Section>,
    /// Print JSON in the format of the reports' API
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print one section as CSV [default section: redemptions]
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    target: target::Arguments,
}

fn section(text: &str) -> Result<Section, String> {
    let names: Vec<_> = Section::CHOICES.iter().map(|(name, _)| *name).collect();
    Section::named(text).ok_or_else(|| format!("there are {}", names.join(", ")))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let sources = open(&arguments.target).await?;
    let asked = parameters([
        ("timeframe", arguments.timeframe.as_deref()),
        ("from", arguments.from.as_deref()),
        ("to", arguments.to.as_deref()),
        ("tenant", arguments.tenant.as_deref()),
        ("provider", arguments.provider.as_deref()),
        ("compare", arguments.compare.as_deref()),
    ]);
    let report = sources.report(asked, &Scope::all(), Timestamp::now()).await;
    let report = report.map_err(explain)?;
    if arguments.csv {
        let section = arguments.section.unwrap_or(Section::Redemptions);
        say(&harmless(&report.section(section).csv()))?;
    } else if arguments.json {
        say_json(&report)?;
    } else {
        say(&harmless(&describe(&report, arguments.section)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(report: &Report, only: Option<Section>) -> String {
    let head = &report.head;
    let mut text = format!("{} to {}", head.from, head.to);
    if let Some(compared) = &report.compared {
        text.push_str(&format!(
            ", compared with {} to {}",
            compared.from, compared.to
        ));
        if !compared.complete {
            text.push_str(", of which some days may have expired");
        }
    }
    text.push_str(&format!(" ({})\n", head.time_zone));
    for (name, section) in Section::CHOICES {
        if only.is_some_and(|only| only != section) {
            continue;
        }
        let table = report.section(section);
        if table.rows.is_empty() && only.is_none() {
            continue;
        }
        text.push_str(&format!("\n{name}\n{}", drawn(&table)));
    }
    if head.tenants.is_empty() {
        text.push_str("\nThe system has counted no event so far.\n");
    }
    text
}

/// Draws a table with aligned columns, numbers to the right. The table leaves out a column without
/// values.
fn drawn(table: &Table) -> String {
    // Every row takes one line, even if a name contains line breaks.
    let one_line = |text: String| text.replace(char::is_control, " ");
    let records: Vec<Vec<String>> = table
        .records()
        .map(|record| record.into_iter().map(one_line).collect())
        .collect();
    let filled: Vec<usize> = (0..table.columns.len())
        .filter(|&column| records.iter().any(|record| !record[column].is_empty()))
        .collect();
    let mut text = String::new();
    let mut lines = vec![
        table
            .columns
            .iter()
            .map(|it| it.replace('_', " "))
            .collect(),
    ];
    lines.extend(records.iter().cloned());
    for line in &lines {
        let mut row = String::new();
        for &column in &filled {
            let width = lines
                .iter()
                .map(|it: &Vec<String>| it[column].chars().count());
            let width = width.max().unwrap_or_default();
            let cells = records.iter().map(|it| it[column].as_str());
            let is_number = cells
                .clone()
                .all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok());
            let cell = &line[column];
            match is_number {
                true => row.push_str(&format!("  {cell:>width$}")),
                false => row.push_str(&format!("  {cell:<width$}")),
            }
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_empty_columns_are_left_out() {
        let rows = [
            json!({"reward_name": "Pizza", "count": 12, "value": "35.00"}),
            json!({"reward_name": "Su\nco", "count": 7}),
        ];
        let table = Table::of(&["reward_name", "count", "value", "currency"], rows);
        let expected =
            "  reward name  count  value\n  Pizza           12  35.00\n  Su co            7\n";
        assert_eq!(drawn(&table), expected);
    }
}
