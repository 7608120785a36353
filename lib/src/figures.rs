//! The figures of a tenant's days: sums that merge by addition, in any order and any grouping.

mod audit;
mod book;
mod cell;
mod count;
mod counted_on;
mod decode;
mod dictionaries;
mod directory;
mod findings;
mod groups;
pub mod line;
mod listed;
mod lists;
mod names;
mod reading;
mod recount;
mod sketch;
mod store;
pub mod survey;
pub mod tasks;
mod track;
mod tracked;

use std::collections::BTreeMap;

use rust_decimal::Decimal;

pub use audit::{Audit, Audited, Differs};
pub use book::{Book, Opened};
pub use cell::{Cell, Group, Section, Tally};
pub use count::{Counted, count};
pub use counted_on::COUNTED_ON;
pub use decode::days;
pub use directory::Directory;
pub use findings::{Found, FoundPlace};
pub use line::Share;
pub use listed::Page;
pub use lists::{List, Listed, Lists};
pub use names::Names;
pub use recount::{Drift, Recount};
pub use sketch::{LONGEST_S, SHORTEST_S, Sketch};
pub use store::{Figures, RECORD, Tables};
pub use survey::{SurveyGroup, SurveySums};
pub use track::{day_and_hour, hours, time_to_usage_s, track};
pub use tracked::{Tracked, TrackedKind};

/// All figures of one day of one tenant. The day is the tenant's own, by the time at which the
/// event occurred.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Day {
    pub redemptions: BTreeMap<RedemptionGroup, RedemptionSums>,
    pub redemptions_by_method: BTreeMap<String, RedemptionSums>,
    pub redemptions_by_tier: BTreeMap<String, RedemptionSums>,
    pub uses: BTreeMap<UseGroup, UseSums>,
    pub uses_by_staff: BTreeMap<StaffGroup, UseSums>,
    /// The coupons that were redeemed on this day, by their state so far.
    pub cohorts: BTreeMap<Reward, Cohort>,
    /// The durations from redemption to use, for the uses of this day.
    pub time_to_use: Sketch,
    /// By the tenant's hour, 0 to 23. If a clock repeats an hour, both count as one.
    pub hours: BTreeMap<u8, HourSums>,
    pub satisfaction: BTreeMap<SignalGroup, SignalSums>,
    /// Aghanim's redemptions by code and item.
    pub codes: BTreeMap<CodeGroup, CodeSums>,
    /// Fraud's findings by rule.
    pub findings: BTreeMap<String, u64>,
    pub low_stock_alerts: u64,
    pub deliveries: BTreeMap<DeliveryGroup, u64>,
    /// Surveys about the uses of this day, whenever they were sent and answered.
    pub surveys: BTreeMap<SurveyGroup, SurveySums>,
    /// Scheduled surveys that were not sent, by the reason.
    pub surveys_unsent: BTreeMap<String, u64>,
}

/// A reward as reports name it: by its id, or by its name if the provider sends no id.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reward {
    pub id: String,
    pub name: String,
}

/// The group in which a redemption counts. A name is empty if the event has no such value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedemptionGroup {
    pub reward: Reward,
    /// The type as the provider spells it; empty if the provider sends none.
    pub discount_kind: String,
    /// The currency of the discount's value, in ISO 4217; empty for a percentage, or without a
    /// value.
    pub currency: String,
}

/// The sums of a group's redemptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedemptionSums {
    pub count: u64,
    pub points: i64,
    /// The sum of the discounts' values: an amount, or percentage points.
    pub discount_value: Decimal,
    /// How many redemptions had a discount's value: the divisor of the average.
    pub discount_count: u64,
    /// How many of `count` had their coupon cancelled or expired, at any time.
    pub reversed: u64,
    pub reversed_points: i64,
    pub reversed_discount_value: Decimal,
}

/// The group in which a use counts. A name is empty if the event has no such value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UseGroup {
    pub reward_name: String,
    pub location: String,
    pub platform: String,
    pub currency: String,
}

/// The group in which a use counts for the person at the till.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StaffGroup {
    pub staff_member: String,
    pub currency: String,
}

/// The sums of a group's uses, in the group's currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UseSums {
    pub count: u64,
    pub discount_applied: Decimal,
    pub order_value: Decimal,
    /// How many uses had an order's value: the divisor of the average.
    pub order_count: u64,
    pub final_value: Decimal,
    pub items: u64,
}

/// The coupons redeemed on a day, by their state so far. A used coupon counts as used, whatever
/// else happened to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cohort {
    pub redeemed: u64,
    pub used: u64,
    pub cancelled: u64,
    pub expired: u64,
}

/// The totals of an hour, because a period can be compared up to the same hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HourSums {
    pub redemptions: u64,
    pub uses: u64,
    pub points: i64,
    /// By currency.
    pub discount_applied: BTreeMap<String, Decimal>,
}

/// The implicit signal of satisfaction: what members choose to redeem, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalGroup {
    pub reward_type: String,
    pub method: String,
}

/// The sums of a group's redemptions, as a signal of satisfaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalSums {
    pub count: u64,
    pub points: i64,
}

/// The group in which a player's code counts, with one item that it brings.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeGroup {
    pub code: String,
    pub item_sku: String,
    pub item_name: String,
    pub currency: String,
}

/// The sums of a code's redemptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeSums {
    pub count: u64,
    pub quantity: i64,
    /// Price times quantity.
    pub value: Decimal,
}

/// The group in which a message to a member counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryGroup {
    /// `email`, `whatsapp`, `sms` or `forward`.
    pub channel: String,
    /// `sent`, `skipped` or `failed`.
    pub result: String,
}

/// A member's profile, from all redemptions and uses of all days.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    pub first_redemption: Option<jiff::Timestamp>,
    pub last_redemption: Option<jiff::Timestamp>,
    pub redemptions: u64,
    pub points: i64,
    pub uses: u64,
    /// By currency.
    pub money_saved: BTreeMap<String, Decimal>,
    /// Redemptions by category.
    pub categories: BTreeMap<String, u64>,
}
