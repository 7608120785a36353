//! The figures of each tenant, by the tenant's own days: the source of reports.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use serde::Serialize;
use webhooks::figures::Day;

/// One tenant, its clock, and its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct OfTenant {
    pub tenant: Tenant,
    /// The current time on the tenant's own clock.
    pub now: DateTime,
    pub days: BTreeMap<Date, Day>,
    /// The days of the other period.
    pub compared: BTreeMap<Date, Day>,
}

/// A tenant, as answers name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tenant {
    pub provider: String,
    pub tenant: String,
    /// The IANA name of the zone that sets the tenant's days.
    pub time_zone: String,
}

/// All days of all tenants, the oldest of each tenant first.
pub fn days(tenants: &[OfTenant]) -> impl Iterator<Item = (Date, &Day)> {
    tenants
        .iter()
        .flat_map(|tenant| tenant.days.iter().map(|(date, day)| (*date, day)))
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
