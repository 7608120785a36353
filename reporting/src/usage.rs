//! Uses: by reward, location and platform; by location; by member of staff; and by Aghanim's codes.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use webhooks::figures::{CodeSums, UseSums};

use crate::amount::{amount, average, sum};
use crate::order::most_first;
use crate::tenant::{OfTenant, days};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    pub reward_name: String,
    pub location: String,
    pub platform: String,
    #[serde(flatten)]
    pub figures: Figures,
}

pub const COLUMNS: &[&str] = &[
    "reward_name",
    "location",
    "platform",
    "count",
    "discount_applied",
    "average_order_value",
    "order_value",
    "final_value",
    "items",
    "currency",
];

/// The sums of uses in one currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    pub count: u64,
    pub discount_applied: String,
    pub average_order_value: Option<String>,
    pub order_value: String,
    pub final_value: String,
    pub items: u64,
    pub currency: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Location {
    pub location: String,
    pub coupons_processed: u64,
    pub discount_given: String,
    pub average_order_value: Option<String>,
    pub order_value: String,
    pub final_value: String,
    pub items: u64,
    pub currency: Option<String>,
}

pub const LOCATION_COLUMNS: &[&str] = &[
    "location",
    "coupons_processed",
    "discount_given",
    "average_order_value",
    "order_value",
    "final_value",
    "items",
    "currency",
];

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Staff {
    pub staff_member: String,
    #[serde(flatten)]
    pub figures: Figures,
}

pub const STAFF_COLUMNS: &[&str] = &[
    "staff_member",
    "count",
    "discount_applied",
    "average_order_value",
    "order_value",
    "final_value",
    "items",
    "currency",
];

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Code {
    pub code: String,
    pub item_sku: String,
    pub item_name: String,
    pub count: u64,
    pub quantity: i64,
    pub value: String,
    pub currency: Option<String>,
}

pub const CODE_COLUMNS: &[&str] = &[
    "code",
    "item_sku",
    "item_name",
    "count",
    "quantity",
    "value",
    "currency",
];

pub fn usage(tenants: &[OfTenant]) -> Vec<Usage> {
    let mut groups: BTreeMap<_, UseSums> = BTreeMap::new();
    for (group, sums) in days(tenants).flat_map(|(_, day)| &day.uses) {
        let key = (
            &group.reward_name,
            &group.location,
            &group.platform,
            &group.currency,
        );
        add(groups.entry(key).or_default(), sums);
    }
    let rows = groups
        .into_iter()
        .map(|((reward, location, platform, currency), sums)| Usage {
            reward_name: reward.clone(),
            location: location.clone(),
            platform: platform.clone(),
            figures: Figures::of(&sums, currency),
        });
    most_first(rows, |row| row.figures.count)
}

pub fn locations(tenants: &[OfTenant]) -> Vec<Location> {
    let mut groups: BTreeMap<_, UseSums> = BTreeMap::new();
    for (group, sums) in days(tenants).flat_map(|(_, day)| &day.uses) {
        let key = (&group.location, &group.currency);
        add(groups.entry(key).or_default(), sums);
    }
    let rows = groups.into_iter().map(|((location, currency), sums)| {
        let figures = Figures::of(&sums, currency);
        Location {
            location: location.clone(),
            coupons_processed: figures.count,
            discount_given: figures.discount_applied,
            average_order_value: figures.average_order_value,
            order_value: figures.order_value,
            final_value: figures.final_value,
            items: figures.items,
            currency: figures.currency,
        }
    });
    most_first(rows, |row| row.coupons_processed)
}

pub fn staff(tenants: &[OfTenant]) -> Vec<Staff> {
    let mut groups: BTreeMap<_, UseSums> = BTreeMap::new();
    for (group, sums) in days(tenants).flat_map(|(_, day)| &day.uses_by_staff) {
        let key = (&group.staff_member, &group.currency);
        add(groups.entry(key).or_default(), sums);
    }
    let rows = groups.into_iter().map(|((name, currency), sums)| Staff {
        staff_member: name.clone(),
        figures: Figures::of(&sums, currency),
    });
    most_first(rows, |row| row.figures.count)
}

pub fn codes(tenants: &[OfTenant]) -> Vec<Code> {
    let mut groups: BTreeMap<_, CodeSums> = BTreeMap::new();
    for (group, sums) in days(tenants).flat_map(|(_, day)| &day.codes) {
        let total = groups.entry(group).or_default();
        total.count = total.count.saturating_add(sums.count);
        total.quantity = total.quantity.saturating_add(sums.quantity);
        total.value = sum(total.value, sums.value);
    }
    let rows = groups.into_iter().map(|(group, sums)| Code {
        code: group.code.clone(),
        item_sku: group.item_sku.clone(),
        item_name: group.item_name.clone(),
        count: sums.count,
        quantity: sums.quantity,
        value: amount(sums.value),
        currency: named(&group.currency),
    });
    most_first(rows, |row| row.count)
}

impl Figures {
    pub fn of(sums: &UseSums, currency: &str) -> Self {
        Self {
            count: sums.count,
            discount_applied: amount(sums.discount_applied),
            average_order_value: average(sums.order_value, sums.order_count),
            order_value: amount(sums.order_value),
            final_value: amount(sums.final_value),
            items: sums.items,
            currency: named(currency),
        }
    }
}

fn named(currency: &str) -> Option<String> {
    (!currency.is_empty()).then(|| currency.to_owned())
}

pub fn add(total: &mut UseSums, more: &UseSums) {
    let add = |total: &mut Decimal, more: Decimal| *total = sum(*total, more);
    total.count = total.count.saturating_add(more.count);
    add(&mut total.discount_applied, more.discount_applied);
    add(&mut total.order_value, more.order_value);
    total.order_count = total.order_count.saturating_add(more.order_count);
    add(&mut total.final_value, more.final_value);
    total.items = total.items.saturating_add(more.items);
}
