//! The report on coupons: a pure function of the tenants' days.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::conversion::{self, Conversion, conversion};
use crate::operations::{self, Operations};
use crate::patterns::Patterns;
use crate::period::{Compare, DAYS_MAX, Period, Today};
use crate::redemptions::{self, By, Redemption};
use crate::satisfaction::{self, Satisfaction};
use crate::table::Table;
use crate::tenant::{OfTenant, Tenant, zones};
use crate::totals::Totals;
use crate::usage::{self, Code, Staff, Usage};

/// The parameters of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub period: Period,
    pub compare: Compare,
    /// The named tenant; `None` if the report covers all tenants that the token may read.
    pub tenant: Option<String>,
    pub provider: Option<String>,
}

/// The head of every answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Head {
    pub from: Date,
    pub to: Date,
    pub time_zone: String,
    pub tenant: Option<String>,
    pub provider: Option<String>,
    pub generated_at: Timestamp,
    pub tenants: Vec<Tenant>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub head: Head,
    pub compared: Option<Compared>,
    pub totals: Totals,
    pub redemptions: Vec<Redemption>,
    pub usage: Vec<Usage>,
    pub conversion: Vec<Conversion>,
    pub patterns: Patterns,
    pub satisfaction: Satisfaction,
    pub methods: Vec<By>,
    pub tiers: Vec<By>,
    pub staff: Vec<Staff>,
    pub codes: Vec<Code>,
    pub operations: Operations,
}

/// The other period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    pub with: Compare,
    pub from: Date,
    pub to: Date,
    /// Whether the table may still have the figures of all its days.
    pub complete: bool,
}

impl Head {
    pub fn new(asked: &Asked, tenants: &[OfTenant], zone: &str, now: Timestamp) -> Self {
        Self {
            from: asked.period.from,
            to: asked.period.to,
            time_zone: zones(tenants, zone),
            tenant: asked.tenant.clone(),
            provider: asked.provider.clone(),
            generated_at: now,
            tenants: tenants.iter().map(|it| it.tenant.clone()).collect(),
        }
    }
}

impl Report {
    /// `zone` is the time zone of the days if there are no tenants.
    pub fn new(
        asked: &Asked,
        tenants: &[OfTenant],
        zone: &str,
        today: Today,
        now: Timestamp,
    ) -> Self {
        let kept = Period::new(Date::MIN, today.latest);
        let other = asked.period.compared(asked.compare);
        let compared = other.map(|other| Compared {
            with: asked.compare,
            from: other.from,
            to: other.to,
            complete: Period::new(other.from, kept.to).days() <= DAYS_MAX,
        });
        Self {
            head: Head::new(asked, tenants, zone, now),
            compared,
            totals: Totals::of(tenants, asked.period, asked.compare),
            redemptions: redemptions::redemptions(tenants),
            usage: usage::usage(tenants),
            conversion: conversion(tenants),
            patterns: Patterns::of(tenants),
            satisfaction: Satisfaction::of(tenants),
            methods: redemptions::by_method(tenants),
            tiers: redemptions::by_tier(tenants),
            staff: usage::staff(tenants),
            codes: usage::codes(tenants),
            operations: Operations::of(tenants),
        }
    }

    pub fn section(&self, section: Section) -> Table {
        match section {
            Section::Totals => self.totals.table(),
            Section::Redemptions => Table::of(redemptions::COLUMNS, &self.redemptions),
            Section::Usage => Table::of(usage::COLUMNS, &self.usage),
            Section::Conversion => Table::of(conversion::COLUMNS, &self.conversion),
            Section::Patterns => self.patterns.table(),
            Section::Satisfaction => Table::of(satisfaction::COLUMNS, &self.satisfaction.implicit),
            Section::Surveys => self.satisfaction.surveys.table(),
            Section::Methods => Table::of(redemptions::BY_COLUMNS, &self.methods),
            Section::Tiers => Table::of(redemptions::BY_COLUMNS, &self.tiers),
            Section::Staff => Table::of(usage::STAFF_COLUMNS, &self.staff),
            Section::Codes => Table::of(usage::CODE_COLUMNS, &self.codes),
            Section::Findings => Table::of(operations::FINDING_COLUMNS, &self.operations.findings),
            Section::Deliveries => {
                Table::of(operations::DELIVERY_COLUMNS, &self.operations.deliveries)
            }
        }
    }
}

/// A part of the report that is a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Totals,
    Redemptions,
    Usage,
    Conversion,
    Patterns,
    Satisfaction,
    Surveys,
    Methods,
    Tiers,
    Staff,
    Codes,
    Findings,
    Deliveries,
}

impl Section {
    pub const CHOICES: [(&str, Self); 13] = [
        ("totals", Self::Totals),
        ("redemptions", Self::Redemptions),
        ("usage", Self::Usage),
        ("conversion", Self::Conversion),
        ("patterns", Self::Patterns),
        ("satisfaction", Self::Satisfaction),
        ("surveys", Self::Surveys),
        ("methods", Self::Methods),
        ("tiers", Self::Tiers),
        ("staff", Self::Staff),
        ("codes", Self::Codes),
        ("findings", Self::Findings),
        ("deliveries", Self::Deliveries),
    ];

    pub fn named(name: &str) -> Option<Self> {
        let found = Self::CHOICES.iter().find(|(own, _)| *own == name);
        found.map(|(_, section)| *section)
    }
}
