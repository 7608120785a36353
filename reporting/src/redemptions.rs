//! Redemptions: by reward and discount type, by method, and by tier.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use webhooks::figures::RedemptionSums;

use crate::amount::{average, sum};
use crate::order::most_first;
use crate::tenant::{OfTenant, days};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Redemption {
    pub reward_id: String,
    pub reward_name: String,
    pub discount_type: String,
    pub count: u64,
    pub reversed: u64,
    pub net: u64,
    pub points_spent: i64,
    pub net_points_spent: i64,
    pub average_discount_value: Option<String>,
    pub currency: Option<String>,
}

pub const COLUMNS: &[&str] = &[
    "reward_id",
    "reward_name",
    "discount_type",
    "count",
    "reversed",
    "net",
    "points_spent",
    "net_points_spent",
    "average_discount_value",
    "currency",
];

/// Redemptions by a single field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct By {
    /// The method or the tier; empty if the event names none.
    pub name: String,
    pub count: u64,
    pub reversed: u64,
    pub net: u64,
    pub points_spent: i64,
}

pub const BY_COLUMNS: &[&str] = &["name", "count", "reversed", "net", "points_spent"];

pub fn redemptions(tenants: &[OfTenant]) -> Vec<Redemption> {
    let mut groups: BTreeMap<(&str, &str, &str), (&str, RedemptionSums)> = BTreeMap::new();
    let mut days: Vec<_> = days(tenants).collect();
    days.sort_by_key(|(date, _)| *date);
    for (_, day) in days {
        for (group, sums) in &day.redemptions {
            let key = (
                group.reward.id.as_str(),
                group.discount_kind.as_str(),
                group.currency.as_str(),
            );
            let (name, total) = groups.entry(key).or_default();
            // A renamed reward has its last name.
            if !group.reward.name.is_empty() {
                *name = &group.reward.name;
            }
            add(total, sums);
        }
    }
    let rows = groups
        .into_iter()
        .map(|((id, kind, currency), (name, sums))| Redemption {
            reward_id: id.to_owned(),
            reward_name: name.to_owned(),
            discount_type: kind.to_owned(),
            count: sums.count,
            reversed: sums.reversed,
            net: sums.count.saturating_sub(sums.reversed),
            points_spent: sums.points,
            net_points_spent: sums.points.saturating_sub(sums.reversed_points),
            average_discount_value: average(sums.discount_value, sums.discount_count),
            currency: (!currency.is_empty()).then(|| currency.to_owned()),
        });
    most_first(rows, |row| row.count)
}

pub fn by_method(tenants: &[OfTenant]) -> Vec<By> {
    by(days(tenants).map(|(_, day)| &day.redemptions_by_method))
}

pub fn by_tier(tenants: &[OfTenant]) -> Vec<By> {
    by(days(tenants).map(|(_, day)| &day.redemptions_by_tier))
}

fn by<'a>(days: impl Iterator<Item = &'a BTreeMap<String, RedemptionSums>>) -> Vec<By> {
    let mut groups: BTreeMap<&str, RedemptionSums> = BTreeMap::new();
    for (name, sums) in days.flatten() {
        add(groups.entry(name).or_default(), sums);
    }
    let rows = groups.into_iter().map(|(name, sums)| By {
        name: name.to_owned(),
        count: sums.count,
        reversed: sums.reversed,
        net: sums.count.saturating_sub(sums.reversed),
        points_spent: sums.points,
    });
    most_first(rows, |row| row.count)
}

fn add(total: &mut RedemptionSums, more: &RedemptionSums) {
    let add = |total: &mut Decimal, more: Decimal| *total = sum(*total, more);
    total.count = total.count.saturating_add(more.count);
    total.points = total.points.saturating_add(more.points);
    add(&mut total.discount_value, more.discount_value);
    total.discount_count = total.discount_count.saturating_add(more.discount_count);
    total.reversed = total.reversed.saturating_add(more.reversed);
    total.reversed_points = total.reversed_points.saturating_add(more.reversed_points);
    add(
        &mut total.reversed_discount_value,
        more.reversed_discount_value,
    );
}
