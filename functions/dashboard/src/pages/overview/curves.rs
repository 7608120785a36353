//! Redemptions and uses over time: by day or month, by hour, and by weekday. Each is a chart and a
//! table.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use reporting::Period;
use reporting::days::days;
use reporting::patterns::{Patterns, WEEKDAYS};
use reporting::tenant::OfTenant;

use crate::chart::{Chart, Spread, Value};
use crate::words::overview::Overview;
use crate::written::Written;

/// The most days that a chart draws one by one. A chart draws a longer period by months.
const DAYS_MAX: i32 = 92;

/// A chart with its table.
pub(super) struct Curve {
    pub(super) name: &'static str,
    /// The title of the first column.
    pub(super) of: &'static str,
    pub(super) chart: Chart,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) redemptions: String,
    pub(super) uses: String,
}

/// A point of a chart: its label, and the numbers of redemptions and uses.
struct Point {
    name: String,
    redemptions: u64,
    uses: u64,
}

impl Curve {
    pub(super) fn of_days(
        words: &'static Overview,
        written: Written,
        tenants: &[OfTenant],
        period: Period,
    ) -> Self {
        let days = days(tenants, period, None);
        let days = days
            .into_iter()
            .map(|day| (day.date, day.redemptions, day.uses));
        if period.days() <= DAYS_MAX {
            let points = days.map(|(date, redemptions, uses)| Point {
                name: written.date(date),
                redemptions,
                uses,
            });
            let labels = ends(period).map(|it| written.day(it)).collect();
            let points = points.collect();
            let named = (words.by_day, words.day);
            return Self::new(words, written, named, points, (labels, Spread::Ends));
        }
        let mut months: BTreeMap<Date, (u64, u64)> = BTreeMap::new();
        for (date, redemptions, uses) in days {
            let month = months.entry(date.first_of_month()).or_default();
            month.0 = month.0.saturating_add(redemptions);
            month.1 = month.1.saturating_add(uses);
        }
        let labels = vec![written.month(period.from), written.month(period.to)];
        let points = months.into_iter().map(|(date, (redemptions, uses))| Point {
            name: written.month(date),
            redemptions,
            uses,
        });
        let points = points.collect();
        let named = (words.by_month, words.month);
        Self::new(words, written, named, points, (labels, Spread::Ends))
    }

    pub(super) fn of_hours(
        words: &'static Overview,
        written: Written,
        patterns: &Patterns,
    ) -> Self {
        let points = patterns.hours.iter().map(|hour| Point {
            name: written.hour(hour.hour),
            redemptions: hour.redemptions,
            uses: hour.uses,
        });
        let points = points.collect();
        let labels = [0, 6, 12, 18, 23].map(|hour| written.hour(hour)).into();
        let named = (words.by_hour, words.hour);
        Self::new(words, written, named, points, (labels, Spread::Ends))
    }

    pub(super) fn of_weekdays(
        words: &'static Overview,
        written: Written,
        patterns: &Patterns,
    ) -> Self {
        let weekday = |name: &str| {
            let found = WEEKDAYS.iter().find(|(_, own)| *own == name);
            written.weekday(found.map_or(Weekday::Monday, |(weekday, _)| *weekday))
        };
        let points = patterns.weekdays.iter().map(|day| Point {
            name: weekday(day.weekday).to_owned(),
            redemptions: day.redemptions,
            uses: day.uses,
        });
        let points: Vec<_> = points.collect();
        let labels = points.iter().map(|it| it.name.clone()).collect();
        let named = (words.by_weekday, words.weekday);
        Self::new(words, written, named, points, (labels, Spread::Shares))
    }

    fn new(
        words: &'static Overview,
        written: Written,
        (name, of): (&'static str, &'static str),
        points: Vec<Point>,
        (labels, spread): (Vec<String>, Spread),
    ) -> Self {
        let values = points.iter().map(|point| Value {
            line: point.redemptions,
            bar: point.uses,
            hint: format!("{}: {} / {}", point.name, point.redemptions, point.uses),
        });
        let shapes = (words.line_is, words.bars_are);
        let count = |value| written.count(value);
        let chart = Chart::new(values.collect(), labels, spread, shapes, count);
        let rows = points.into_iter().map(|point| Row {
            name: point.name,
            redemptions: written.count(point.redemptions),
            uses: written.count(point.uses),
        });
        Self {
            name,
            of,
            chart,
            rows: rows.collect(),
        }
    }
}

/// The first, the middle and the last day, without repetitions.
fn ends(period: Period) -> impl Iterator<Item = Date> {
    let days: Vec<_> = period.iter().collect();
    let mut ends = vec![days.first(), days.get(days.len() / 2), days.last()];
    if days.len() < 5 {
        ends.remove(1);
    }
    ends.dedup();
    let ends: Vec<_> = ends.into_iter().flatten().copied().collect();
    ends.into_iter()
}
