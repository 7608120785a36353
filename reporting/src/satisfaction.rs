//! How content members are, by two signals: what they choose to redeem, and how they answer
//! surveys.

use std::collections::BTreeMap;

use serde::Serialize;
use webhooks::figures::SignalSums;

use crate::order::most_first;
use crate::surveys::Surveys;
use crate::tenant::{OfTenant, days};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Satisfaction {
    pub implicit: Vec<Implicit>,
    pub surveys: Surveys,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Implicit {
    pub reward_type: String,
    pub redemption_method: String,
    pub count: u64,
    pub points_spent: i64,
}

pub const COLUMNS: &[&str] = &["reward_type", "redemption_method", "count", "points_spent"];

impl Satisfaction {
    pub fn of(tenants: &[OfTenant]) -> Self {
        let mut groups: BTreeMap<_, SignalSums> = BTreeMap::new();
        for (group, sums) in days(tenants).flat_map(|(_, day)| &day.satisfaction) {
            let total = groups.entry(group).or_default();
            total.count = total.count.saturating_add(sums.count);
            total.points = total.points.saturating_add(sums.points);
        }
        let rows = groups.into_iter().map(|(group, sums)| Implicit {
            reward_type: group.reward_type.clone(),
            redemption_method: group.method.clone(),
            count: sums.count,
            points_spent: sums.points,
        });
        Self {
            implicit: most_first(rows, |row| row.count),
            surveys: Surveys::of(tenants),
        }
    }
}
