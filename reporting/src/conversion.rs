//! Conversion: how the coupons redeemed in the period have ended so far, by reward.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use webhooks::figures::Cohort;

use crate::amount::percent;
use crate::order::most_first;
use crate::tenant::{OfTenant, days};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conversion {
    pub reward_id: String,
    pub reward_name: String,
    pub redeemed: u64,
    pub used: u64,
    pub cancelled: u64,
    pub expired: u64,
    pub conversion_rate: f64,
}

pub const COLUMNS: &[&str] = &[
    "reward_id",
    "reward_name",
    "redeemed",
    "used",
    "cancelled",
    "expired",
    "conversion_rate",
];

pub fn conversion(tenants: &[OfTenant]) -> Vec<Conversion> {
    let mut groups: BTreeMap<&str, (&str, Cohort)> = BTreeMap::new();
    let mut days: Vec<_> = days(tenants).collect();
    days.sort_by_key(|(date, _)| *date);
    for (reward, cohort) in days.into_iter().flat_map(|(_, day)| &day.cohorts) {
        let (name, total) = groups.entry(&reward.id).or_default();
        // A renamed reward has its last name.
        if !reward.name.is_empty() {
            *name = &reward.name;
        }
        total.redeemed = total.redeemed.saturating_add(cohort.redeemed);
        total.used = total.used.saturating_add(cohort.used);
        total.cancelled = total.cancelled.saturating_add(cohort.cancelled);
        total.expired = total.expired.saturating_add(cohort.expired);
    }
    let rows = groups.into_iter().map(|(id, (name, total))| Conversion {
        reward_id: id.to_owned(),
        reward_name: name.to_owned(),
        redeemed: total.redeemed,
        used: total.used,
        cancelled: total.cancelled,
        expired: total.expired,
        conversion_rate: percent(Decimal::from(total.used), Decimal::from(total.redeemed)),
    });
    most_first(rows, |row| row.redeemed)
}
