//! The counters of a day, one by one: each is a number that changes only by additions, in a group
//! of a section.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

/// What a group of counters is about. Each variant lists the names of its groups in order.
/// `docs/tables.md` lists the letters of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Redemptions, by the reward's id, the reward's name, type of discount and currency.
    Redemption,
    /// Redemptions, by method.
    Method,
    /// Redemptions, by the member's tier.
    Tier,
    /// Redemptions as a signal of satisfaction, by the reward's type and the method.
    Signal,
    /// Uses, by the reward's name, location, platform and currency.
    Use,
    /// Uses, by location, member of staff and currency.
    Staff,
    /// Coupons that were used, cancelled or expired, by the reward's id and name. They count on
    /// the day of their redemption.
    Cohort,
    /// Durations from redemption to use, by the number of the bucket of a [`Sketch`].
    ///
    /// [`Sketch`]: super::Sketch
    TimeToUse,
    /// Redemptions, points and uses, by the tenant's hour in two digits.
    Hour,
    /// Discounts of uses, by the tenant's hour in two digits and by currency.
    HourDiscount,
    /// Redeemed items, by code, the item's SKU, the item's name and currency.
    Code,
    /// Fraud's findings, by rule.
    Finding,
    /// Alerts of low stock, without a name.
    LowStock,
    /// Messages about events, by channel and result.
    Delivery,
    /// Surveys and answers, by the reward's name, location and member of staff.
    Survey,
    /// Surveys that were not sent, by the reason's word.
    SurveyUnsent,
}

impl Section {
    const ALL: [(Self, &'static str); 16] = [
        (Self::Redemption, "redemption"),
        (Self::Method, "method"),
        (Self::Tier, "tier"),
        (Self::Signal, "signal"),
        (Self::Use, "use"),
        (Self::Staff, "staff"),
        (Self::Cohort, "cohort"),
        (Self::TimeToUse, "time_to_use"),
        (Self::Hour, "hour"),
        (Self::HourDiscount, "hour_discount"),
        (Self::Code, "code"),
        (Self::Finding, "finding"),
        (Self::LowStock, "low_stock"),
        (Self::Delivery, "delivery"),
        (Self::Survey, "survey"),
        (Self::SurveyUnsent, "survey_unsent"),
    ];

    /// The section's name in the dictionaries of groups, and in the results of audits.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(section, _)| *section == self);
        found.expect("every section has a name").1
    }

    /// The section of this name; `None` if only newer code knows the name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, it)| *it == name);
        found.map(|(section, _)| *section)
    }
}

/// A section and the names within it: a reward, a location, a code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// What the group's counters count.
    pub section: Section,
    /// The names in the section's order. A name is empty if the event has no such value.
    pub names: Vec<String>,
}

/// The longest name of a group, in bytes. A longer name is cut, so groups that differ only after
/// that point are the same group.
const NAME_MAX_BYTES: usize = 200;

impl Group {
    /// The group with these names, each cut to its maximum length.
    pub fn new<'a>(section: Section, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter();
        let cut = |name: &str| name[..name.floor_char_boundary(NAME_MAX_BYTES)].to_owned();
        Self {
            section,
            names: names.map(cut).collect(),
        }
    }

    /// One of the names; empty if the group has fewer.
    pub(super) fn name(&self, index: usize) -> String {
        self.names.get(index).cloned().unwrap_or_default()
    }

    /// The name of the day's item that holds the group. An update costs as much as the whole item,
    /// so each item is small. Events that are counted together share items.
    pub fn item(&self) -> String {
        let bucket = |name: &str, count: u8| Sha256::digest(name)[0] % count;
        let name = |index: usize| self.names.get(index).map_or("", String::as_str);
        match self.section {
            Section::Redemption => format!("redemptions{}", bucket(name(0), 4)),
            Section::Method | Section::Tier | Section::Signal => "choices".to_owned(),
            // Few rewards are used at one location, but a company may have a thousand locations.
            Section::Use => {
                format!("uses#{}", hex::encode(&Sha256::digest(name(1))[..6]))
            }
            Section::Staff => format!("staff{}", bucket(name(0), 2)),
            Section::Cohort => "cohort".to_owned(),
            Section::TimeToUse => "time_to_use".to_owned(),
            Section::Hour | Section::HourDiscount => "hours".to_owned(),
            Section::Code => format!("codes{}", bucket(&self.names.join("\n"), 8)),
            // Each task has its own item, so that tasks do not conflict.
            Section::Finding => "findings".to_owned(),
            Section::LowStock => "low_stock".to_owned(),
            Section::Delivery => "deliveries".to_owned(),
            // Surveys are counted one by one, so each adds to a small item.
            Section::Survey => {
                let place = [name(0), name(1)].join("\n");
                format!("surveys#{}", hex::encode(&Sha256::digest(place)[..6]))
            }
            Section::SurveyUnsent => "surveys_unsent".to_owned(),
        }
    }
}

/// One counter of one day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The tenant's own day.
    pub day: Date,
    /// The group to which the counter belongs.
    pub group: Group,
    /// The letter of one of the group's sums, as `docs/tables.md` lists the letters.
    pub field: char,
}

/// Additions to counters. A sum of 0 is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Cell, Decimal>);

impl Tally {
    /// Adds to a counter; a negative number takes from it. A sum has at most 28 digits, and stays
    /// at that limit, which no real day reaches.
    pub fn add(&mut self, day: Date, group: &Group, field: char, by: impl Into<Decimal>) {
        let cell = Cell {
            day,
            group: group.clone(),
            field,
        };
        let sum = self.0.get(&cell).copied().unwrap_or_default();
        match sum.saturating_add(by.into()) {
            sum if sum.is_zero() => _ = self.0.remove(&cell),
            sum => _ = self.0.insert(cell, sum.normalize()),
        }
    }

    /// Adds another tally's additions.
    pub fn merge(&mut self, other: &Self) {
        for (cell, by) in &other.0 {
            self.add(cell.day, &cell.group, cell.field, *by);
        }
    }

    /// The days with additions.
    pub fn days(&self) -> BTreeSet<Date> {
        self.0.keys().map(|cell| cell.day).collect()
    }

    /// The groups with additions.
    pub fn groups(&self) -> BTreeSet<Group> {
        self.0.keys().map(|cell| cell.group.clone()).collect()
    }

    /// The additions that turn `self` into `other`.
    pub fn difference(&self, other: &Self) -> Self {
        let mut difference = other.clone();
        for (cell, by) in &self.0 {
            difference.add(cell.day, &cell.group, cell.field, -*by);
        }
        difference
    }

    /// Each counter with its sum, which is never 0.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, Decimal)> + '_ {
        self.0.iter().map(|(cell, by)| (cell, *by))
    }

    /// A counter's sum; 0 if the tally lacks the counter.
    pub fn get(&self, cell: &Cell) -> Decimal {
        self.0.get(cell).copied().unwrap_or_default()
    }

    /// Leaves out the counters of other days than these, both included.
    pub fn keep_days(&mut self, (from, to): (Date, Date)) {
        self.0.retain(|cell, _| (from..=to).contains(&cell.day));
    }

    /// The number of counters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the tally counts nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
