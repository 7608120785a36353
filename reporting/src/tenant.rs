//! What a report is made of: the figures of each tenant, each by its own days.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use serde::Serialize;
use webhooks::figures::Day;

/// One tenant, its clock, and what was counted of it.
#[derive(Debug, Clone, PartialEq)]
pub struct OfTenant {
    pub tenant: Tenant,
    /// Now, on the tenant's own clock.
    pub now: DateTime,
    pub days: BTreeMap<Date, Day>,
    /// The days of the period that is compared.
    pub compared: BTreeMap<Date, Day>,
}

/// A tenant, as answers name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tenant {
    pub provider: String,
    pub tenant: String,
    /// IANA name of the zone whose days are its days.
    pub time_zone: String,
}

/// All days of all tenants, the oldest of each first.
pub fn days(tenants: &[OfTenant]) -> impl Iterator<Item = (Date, &Day)> {
    tenants
        .iter()
        .flat_map(|it| it.days.iter().map(|(date, day)| (*date, day)))
}

/// The tenants' zones, each named once: `America/Sao_Paulo`.
pub fn zones(tenants: &[OfTenant], otherwise: &str) -> String {
    let mut zones: Vec<_> = tenants
        .iter()
        .map(|it| it.tenant.time_zone.as_str())
        .collect();
    zones.sort_unstable();
    zones.dedup();
    match zones.is_empty() {
        true => otherwise.to_owned(),
        false => zones.join(", "),
    }
}
