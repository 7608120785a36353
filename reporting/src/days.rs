//! The days of a period, one after another, for drawing a curve.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use webhooks::figures::{Day, UseSums};

use crate::patterns::WEEKDAYS;
use crate::period::Period;
use crate::tenant::OfTenant;
use crate::usage::{self, Figures};

/// A row for one day; a day without events has one too. Amounts are in one currency, which the row
/// names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayRow {
    pub date: Date,
    pub weekday: &'static str,
    pub redemptions: u64,
    pub reversed: u64,
    pub net: u64,
    pub points_spent: i64,
    /// In any currency.
    pub uses: u64,
    pub discount_applied: String,
    pub average_order_value: Option<String>,
    pub order_value: String,
    pub final_value: String,
    pub currency: Option<String>,
    pub findings: u64,
    pub low_stock_alerts: u64,
}

pub const COLUMNS: &[&str] = &[
    "date",
    "weekday",
    "redemptions",
    "reversed",
    "net",
    "points_spent",
    "uses",
    "discount_applied",
    "average_order_value",
    "order_value",
    "final_value",
    "currency",
    "findings",
    "low_stock_alerts",
];

/// The rows of a period. `currency` is that of the amounts.
pub fn days(tenants: &[OfTenant], period: Period, currency: Option<&str>) -> Vec<DayRow> {
    let mut by_date: BTreeMap<Date, Vec<&Day>> = BTreeMap::new();
    for (date, day) in crate::tenant::days(tenants) {
        by_date.entry(date).or_default().push(day);
    }
    let rows = period.iter().map(|date| {
        let of_date = by_date.get(&date).map_or(&[][..], Vec::as_slice);
        row(date, of_date, currency)
    });
    rows.collect()
}

fn row(date: Date, days: &[&Day], currency: Option<&str>) -> DayRow {
    let (mut redemptions, mut reversed, mut points_spent) = (0_u64, 0_u64, 0_i64);
    let (mut uses, mut findings, mut low_stock_alerts) = (0_u64, 0_u64, 0_u64);
    let mut of_currency = UseSums::default();
    for day in days {
        for sums in day.redemptions.values() {
            redemptions = redemptions.saturating_add(sums.count);
            reversed = reversed.saturating_add(sums.reversed);
            points_spent = points_spent.saturating_add(sums.points);
        }
        for (group, sums) in &day.uses {
            uses = uses.saturating_add(sums.count);
            if Some(group.currency.as_str()) == currency {
                usage::add(&mut of_currency, sums);
            }
        }
        findings = day
            .findings
            .values()
            .fold(findings, |a, b| a.saturating_add(*b));
        low_stock_alerts = low_stock_alerts.saturating_add(day.low_stock_alerts);
    }
    let weekday = WEEKDAYS.iter().find(|(it, _)| *it == date.weekday());
    let figures = Figures::of(&of_currency, currency.unwrap_or_default());
    DayRow {
        date,
        weekday: weekday.map_or("", |(_, name)| name),
        redemptions,
        reversed,
        net: redemptions.saturating_sub(reversed),
        points_spent,
        uses,
        discount_applied: figures.discount_applied,
        average_order_value: figures.average_order_value,
        order_value: figures.order_value,
        final_value: figures.final_value,
        currency: figures.currency,
        findings,
        low_stock_alerts,
    }
}
