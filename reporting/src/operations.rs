//! The results of tasks: findings of fraud, alerts of low stock, and deliveries by channel.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::tenant::{OfTenant, days};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operations {
    pub findings: Vec<Finding>,
    pub low_stock_alerts: u64,
    pub deliveries: Vec<Delivery>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub rule: String,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    pub channel: String,
    pub result: String,
    pub count: u64,
}

pub const FINDING_COLUMNS: &[&str] = &["rule", "count"];
pub const DELIVERY_COLUMNS: &[&str] = &["channel", "result", "count"];

impl Operations {
    pub fn of(tenants: &[OfTenant]) -> Self {
        let mut findings: BTreeMap<&str, u64> = BTreeMap::new();
        let mut deliveries: BTreeMap<_, u64> = BTreeMap::new();
        let mut low_stock_alerts = 0_u64;
        for (_, day) in days(tenants) {
            for (rule, count) in &day.findings {
                let total = findings.entry(rule).or_default();
                *total = total.saturating_add(*count);
            }
            for (group, count) in &day.deliveries {
                let total = deliveries.entry(group).or_default();
                *total = total.saturating_add(*count);
            }
            low_stock_alerts = low_stock_alerts.saturating_add(day.low_stock_alerts);
        }
        let findings = findings.into_iter().map(|(rule, count)| Finding {
            rule: rule.to_owned(),
            count,
        });
        let deliveries = deliveries.into_iter().map(|(group, count)| Delivery {
            channel: group.channel.clone(),
            result: group.result.clone(),
            count,
        });
        Self {
            findings: findings.collect(),
            low_stock_alerts,
            deliveries: deliveries.collect(),
        }
    }
}
