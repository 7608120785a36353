//! The totals of a period, each with its change against the other period.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use webhooks::figures::Day;

use crate::amount::{Change, Changed, amount, sum};
use crate::period::{Compare, Period};
use crate::table::Table;
use crate::tenant::OfTenant;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    pub redemptions: Changed<u64>,
    pub uses: Changed<u64>,
    pub points_spent: Changed<i64>,
    pub discount_applied: DiscountApplied,
}

/// The discounts of uses: in the currency with most uses, and in each currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiscountApplied {
    #[serde(flatten)]
    pub changed: Changed<String>,
    pub currency: Option<String>,
    pub by_currency: Vec<OfCurrency>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfCurrency {
    pub currency: String,
    #[serde(flatten)]
    pub changed: Changed<String>,
}

#[derive(Debug, Clone, Default)]
struct Sums {
    redemptions: u64,
    uses: u64,
    points: i64,
    discount: BTreeMap<String, Decimal>,
}

pub const COLUMNS: &[&str] = &["total", "value", "previous", "change_percent", "currency"];

impl Totals {
    pub fn of(tenants: &[OfTenant], period: Period, compare: Compare) -> Self {
        let (mut now, mut before) = (Sums::default(), Sums::default());
        for tenant in tenants {
            tenant.days.values().for_each(|day| now.add_day(day));
            before.add_compared(tenant, period, compare);
        }
        let is_compared = compare != Compare::None;
        let before = is_compared.then_some(before);
        let before = before.as_ref();
        Self {
            redemptions: Changed::<u64>::of(now.redemptions, before.map(|it| it.redemptions)),
            uses: Changed::<u64>::of(now.uses, before.map(|it| it.uses)),
            points_spent: Changed::<i64>::of(now.points, before.map(|it| it.points)),
            discount_applied: DiscountApplied::of(&now, before, main_currency(tenants)),
        }
    }

    pub fn table(&self) -> Table {
        #[derive(Serialize)]
        struct Row<T> {
            total: &'static str,
            #[serde(flatten)]
            changed: T,
            currency: Option<String>,
        }
        let row = |total, changed: &Changed<u64>| {
            let changed = changed.clone();
            serde_json::to_value(Row {
                total,
                changed,
                currency: None,
            })
        };
        let mut rows = vec![
            row("redemptions", &self.redemptions),
            row("uses", &self.uses),
        ];
        rows.push(serde_json::to_value(Row {
            total: "points_spent",
            changed: self.points_spent.clone(),
            currency: None,
        }));
        let amounts = self.discount_applied.by_currency.iter().map(|sum| {
            serde_json::to_value(Row {
                total: "discount_applied",
                changed: sum.changed.clone(),
                currency: Some(sum.currency.clone()),
            })
        });
        rows.extend(amounts);
        Table::of(COLUMNS, rows.into_iter().flatten())
    }
}

impl DiscountApplied {
    fn of(now: &Sums, before: Option<&Sums>, main: Option<String>) -> Self {
        let of_currency = |currency: &str| {
            let zero = Decimal::ZERO;
            let value = now.discount.get(currency).copied().unwrap_or(zero);
            let previous = before.map(|it| it.discount.get(currency).copied().unwrap_or(zero));
            Changed::of_amount(value, previous)
        };
        let currencies: BTreeSet<_> = now
            .discount
            .keys()
            .chain(before.into_iter().flat_map(|it| it.discount.keys()))
            .collect();
        // The other period may have uses, even if the period has none.
        let currency = main.or_else(|| currencies.first().map(|it| (*it).clone()));
        let changed = match &currency {
            Some(currency) => of_currency(currency),
            None => Changed {
                value: amount(Decimal::ZERO),
                previous: before.map(|_| amount(Decimal::ZERO)),
                change_percent: Change::of(Decimal::ZERO, before.map(|_| Decimal::ZERO)),
            },
        };
        let by_currency = currencies.into_iter().map(|currency| OfCurrency {
            currency: currency.clone(),
            changed: of_currency(currency),
        });
        Self {
            changed,
            by_currency: by_currency.collect(),
            currency,
        }
    }
}

impl Sums {
    fn add_day(&mut self, day: &Day) {
        for sums in day.redemptions.values() {
            self.redemptions = self.redemptions.saturating_add(sums.count);
            self.points = self.points.saturating_add(sums.points);
        }
        for (group, sums) in &day.uses {
            self.uses = self.uses.saturating_add(sums.count);
            self.add_discount(&group.currency, sums.discount_applied);
        }
    }

    /// The hours from midnight up to and including this one.
    fn add_hours(&mut self, day: &Day, last: u8) {
        for sums in day.hours.range(..=last).map(|(_, sums)| sums) {
            self.redemptions = self.redemptions.saturating_add(sums.redemptions);
            self.uses = self.uses.saturating_add(sums.uses);
            self.points = self.points.saturating_add(sums.points);
            for (currency, discount) in &sums.discount_applied {
                self.add_discount(currency, *discount);
            }
        }
    }

    fn add_discount(&mut self, currency: &str, discount: Decimal) {
        // A use without an amount has no currency.
        if currency.is_empty() && discount.is_zero() {
            return;
        }
        let total = self.discount.entry(currency.to_owned()).or_default();
        *total = sum(*total, discount);
    }

    /// The other period, up to the point that the period itself has reached. The day that
    /// corresponds to today counts up to the same hour. Later days do not count.
    fn add_compared(&mut self, tenant: &OfTenant, period: Period, compare: Compare) {
        let today = tenant.now.date();
        let until: Option<Date> = match today {
            today if today > period.to => None,
            today if today < period.from => return,
            today => period.counterpart(today, compare),
        };
        for (date, day) in &tenant.compared {
            match until {
                Some(until) if *date > until => {}
                Some(until) if *date == until => {
                    let hour = u8::try_from(tenant.now.hour()).unwrap_or(23);
                    self.add_hours(day, hour);
                }
                _ => self.add_day(day),
            }
        }
    }
}

/// The currency with most uses; of two, the first in the alphabet.
pub fn main_currency(tenants: &[OfTenant]) -> Option<String> {
    let mut uses: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, day) in crate::tenant::days(tenants) {
        for (group, sums) in day
            .uses
            .iter()
            .filter(|(group, _)| !group.currency.is_empty())
        {
            let count = uses.entry(&group.currency).or_default();
            *count = count.saturating_add(sums.count);
        }
    }
    let most = uses.values().max().copied()?;
    let mut uses = uses.into_iter();
    uses.find(|(_, count)| *count == most)
        .map(|(currency, _)| currency.to_owned())
}
