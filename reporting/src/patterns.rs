//! Patterns of time: from redemption to use, by hour of the day, and by day of the week.

use jiff::civil::Weekday;
use serde::Serialize;
use webhooks::figures::Sketch;

use crate::amount::hours;
use crate::table::Table;
use crate::tenant::{OfTenant, days};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Patterns {
    pub time_to_usage: TimeToUsage,
    /// All 24 hours, from midnight on.
    pub hours: Vec<Hour>,
    /// All seven days, from Monday on.
    pub weekdays: Vec<OfWeekday>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeToUsage {
    pub count: u64,
    pub median_hours: Option<f64>,
    pub p90_hours: Option<f64>,
    pub median_s: Option<u64>,
    pub p90_s: Option<u64>,
    pub histogram: Vec<Bucket>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    pub from_s: u64,
    pub to_s: u64,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hour {
    pub hour: u8,
    pub redemptions: u64,
    pub uses: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfWeekday {
    pub weekday: &'static str,
    pub redemptions: u64,
    pub uses: u64,
}

/// One table of all patterns: `pattern` names the columns that a row fills.
pub const COLUMNS: &[&str] = &[
    "pattern",
    "hour",
    "weekday",
    "from_s",
    "to_s",
    "hours",
    "redemptions",
    "uses",
    "count",
];

pub const WEEKDAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "monday"),
    (Weekday::Tuesday, "tuesday"),
    (Weekday::Wednesday, "wednesday"),
    (Weekday::Thursday, "thursday"),
    (Weekday::Friday, "friday"),
    (Weekday::Saturday, "saturday"),
    (Weekday::Sunday, "sunday"),
];

impl Patterns {
    pub fn of(tenants: &[OfTenant]) -> Self {
        let mut sketch = Sketch::default();
        let mut by_hour = [(0_u64, 0_u64); 24];
        let mut by_weekday = [(0_u64, 0_u64); 7];
        for (date, day) in days(tenants) {
            sketch.merge(&day.time_to_use);
            for (hour, sums) in &day.hours {
                if let Some(sum) = by_hour.get_mut(usize::from(*hour)) {
                    add(sum, sums.redemptions, sums.uses);
                }
            }
            let redemptions = day.redemptions.values().map(|it| it.count).sum();
            let uses = day.uses.values().map(|it| it.count).sum();
            let index = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
            add(&mut by_weekday[index], redemptions, uses);
        }
        let hours = by_hour.iter().zip(0..);
        let weekdays = by_weekday.iter().zip(WEEKDAYS);
        Self {
            time_to_usage: TimeToUsage::of(&sketch),
            hours: hours
                .map(|(&(redemptions, uses), hour)| Hour {
                    hour,
                    redemptions,
                    uses,
                })
                .collect(),
            weekdays: weekdays
                .map(|(&(redemptions, uses), (_, weekday))| OfWeekday {
                    weekday,
                    redemptions,
                    uses,
                })
                .collect(),
        }
    }

    pub fn table(&self) -> Table {
        let with = |pattern: &str, row: serde_json::Result<serde_json::Value>| {
            let mut row = row.unwrap_or_default();
            row["pattern"] = pattern.into();
            row
        };
        let time = &self.time_to_usage;
        let quantile = |pattern, hours: Option<f64>| {
            with(
                pattern,
                Ok(serde_json::json!({"hours": hours, "count": time.count})),
            )
        };
        let mut rows = vec![
            quantile("median_time_to_usage", time.median_hours),
            quantile("p90_time_to_usage", time.p90_hours),
        ];
        let buckets = time.histogram.iter().map(serde_json::to_value);
        rows.extend(buckets.map(|row| with("time_to_usage", row)));
        rows.extend(
            self.hours
                .iter()
                .map(|it| with("hour", serde_json::to_value(it))),
        );
        rows.extend(
            self.weekdays
                .iter()
                .map(|it| with("weekday", serde_json::to_value(it))),
        );
        Table::of(COLUMNS, rows)
    }
}

fn add(sum: &mut (u64, u64), redemptions: u64, uses: u64) {
    *sum = (
        sum.0.saturating_add(redemptions),
        sum.1.saturating_add(uses),
    );
}

impl TimeToUsage {
    fn of(sketch: &Sketch) -> Self {
        // The number is below 400 days, so it fits.
        let seconds = |q: f64| sketch.quantile(q).map(|it| it.round() as u64);
        let buckets = sketch.buckets().map(|(bucket, count)| {
            let (from, to) = Sketch::bounds(bucket);
            Bucket {
                from_s: from.round() as u64,
                to_s: to.round() as u64,
                count,
            }
        });
        Self {
            count: sketch.count(),
            median_hours: sketch.quantile(0.5).map(hours),
            p90_hours: sketch.quantile(0.9).map(hours),
            median_s: seconds(0.5),
            p90_s: seconds(0.9),
            histogram: buckets.collect(),
        }
    }
}
