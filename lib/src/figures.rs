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
pub(crate) use decode::days;
pub use directory::Directory;
pub use findings::{Found, FoundPlace};
pub use line::Share;
pub use listed::Page;
pub use lists::{List, Listed, Lists};
pub use recount::Drift;
pub use sketch::Sketch;
pub use store::{Figures, RECORD, Tables};
pub use survey::{SurveyGroup, SurveySums};
pub use track::{day_and_hour, hours, time_to_usage_s, track};
pub use tracked::{Tracked, TrackedKind};

/// All figures of one day of one tenant. The day is the tenant's own, by the time at which the
/// event occurred. `docs/reports.md` says how reports show these figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Day {
    /// Redemptions by reward, type of discount and currency.
    pub redemptions: BTreeMap<RedemptionGroup, RedemptionSums>,
    /// Redemptions by method, such as `app`; empty if the provider sends none. The sums of
    /// discounts' values stay 0 here.
    pub redemptions_by_method: BTreeMap<String, RedemptionSums>,
    /// Redemptions by the tier that the event states for its member; empty if the event states
    /// none. The sums of discounts' values stay 0 here.
    pub redemptions_by_tier: BTreeMap<String, RedemptionSums>,
    /// Uses by reward, location, platform and currency.
    pub uses: BTreeMap<UseGroup, UseSums>,
    /// The same uses by member of staff and currency.
    pub uses_by_staff: BTreeMap<StaffGroup, UseSums>,
    /// The coupons that were redeemed on this day, by their state so far.
    pub cohorts: BTreeMap<Reward, Cohort>,
    /// The durations from redemption to use, for the uses of this day.
    pub time_to_use: Sketch,
    /// The day's totals by the tenant's hour, 0 to 23. If a clock repeats an hour, both count as
    /// one.
    pub hours: BTreeMap<u8, HourSums>,
    /// Redemptions by what members chose. A reversal changes nothing here.
    pub satisfaction: BTreeMap<SignalGroup, SignalSums>,
    /// Aghanim's redemptions by code and item.
    pub codes: BTreeMap<CodeGroup, CodeSums>,
    /// Fraud's current findings about events of this day, by rule.
    pub findings: BTreeMap<String, u64>,
    /// Alerts of low stock that uses of this day caused.
    pub low_stock_alerts: u64,
    /// Messages about events of this day, by channel and result. A message that waits counts once
    /// it has a result.
    pub deliveries: BTreeMap<DeliveryGroup, u64>,
    /// Surveys about the uses of this day, whenever they were sent and answered.
    pub surveys: BTreeMap<SurveyGroup, SurveySums>,
    /// Scheduled surveys that were not sent, by the reason's word
    /// ([`Unsent::word`](survey::Unsent::word)).
    pub surveys_unsent: BTreeMap<String, u64>,
}

/// A reward as reports name it: by its id, or by its name if the provider sends no id.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reward {
    /// Zupy's reward id, or Aghanim's SKU; the name if the provider sends neither.
    pub id: String,
    /// The name on that day; empty if the provider sends none.
    pub name: String,
}

/// The group in which a redemption counts. A name is empty if the event has no such value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedemptionGroup {
    /// The redeemed reward.
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
    /// All redemptions, including those that were reversed later.
    pub count: u64,
    /// The points that members spent on all of `count`.
    pub points: i64,
    /// The sum of the discounts' values: an amount, or percentage points.
    pub discount_value: Decimal,
    /// How many redemptions had a discount's value: the divisor of the average.
    pub discount_count: u64,
    /// How many of `count` had their coupon cancelled or expired, at any time.
    pub reversed: u64,
    /// The points of `reversed`, which `points` contains too.
    pub reversed_points: i64,
    /// The discounts' values of `reversed`, which `discount_value` contains too.
    pub reversed_discount_value: Decimal,
}

/// The group in which a use counts. A name is empty if the event has no such value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UseGroup {
    /// The reward's name alone, because a use states no id.
    pub reward_name: String,
    /// The store's name.
    pub location: String,
    /// The system through which the coupon was used, such as `pos` or `ifood`.
    pub platform: String,
    /// The currency of all amounts of the use, in ISO 4217.
    pub currency: String,
}

/// The group in which a use counts for the person at the till, at whatever location.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StaffGroup {
    /// The person's name as the provider sends it; empty if the provider sends none.
    pub staff_member: String,
    /// The currency of all amounts of the use, in ISO 4217; empty if the use states no amount.
    pub currency: String,
}

/// The sums of a group's uses, in the group's currency. A use that lacks an amount adds 0 to its
/// sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UseSums {
    /// All uses of the group.
    pub count: u64,
    /// The sum of what the coupons took off the orders.
    pub discount_applied: Decimal,
    /// The sum of the orders' values before the discounts.
    pub order_value: Decimal,
    /// How many uses had an order's value: the divisor of the average.
    pub order_count: u64,
    /// The sum of what was left to pay, as the provider states it.
    pub final_value: Decimal,
    /// The order lines to which the discounts applied, whatever their quantities.
    pub items: u64,
}

/// The coupons redeemed on a day, by their state so far, also by events of later days. A used
/// coupon counts as used, whatever else happened to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cohort {
    /// All coupons of the cohort, in whatever state.
    pub redeemed: u64,
    /// The coupons with at least one use.
    pub used: u64,
    /// The coupons that were cancelled, and not used.
    pub cancelled: u64,
    /// The coupons that expired, and were neither used nor cancelled.
    pub expired: u64,
}

/// The totals of an hour, because a period can be compared up to the same hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HourSums {
    /// Redemptions of the hour, including those that were reversed later.
    pub redemptions: u64,
    /// Uses of the hour.
    pub uses: u64,
    /// The points of the hour's redemptions.
    pub points: i64,
    /// The discounts of the hour's uses, by currency in ISO 4217.
    pub discount_applied: BTreeMap<String, Decimal>,
}

/// The group of an implicit signal of satisfaction: what members choose to redeem, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalGroup {
    /// The type of Aghanim's first item, else the type of the discount, as the provider spells
    /// it; empty without both.
    pub reward_type: String,
    /// How the coupon was redeemed, such as `app`; empty if the provider sends none.
    pub method: String,
}

/// The sums of a group's redemptions, as a signal of satisfaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalSums {
    /// All redemptions of the group.
    pub count: u64,
    /// The points that members spent on them.
    pub points: i64,
}

/// The group in which a player's code counts, with one item that it brings.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeGroup {
    /// The code that the player redeemed. Many players can redeem one code.
    pub code: String,
    /// The item's SKU; empty for the items that one redemption brings beyond the twentieth.
    pub item_sku: String,
    /// The item's name; `(more items)` for the items beyond the twentieth.
    pub item_name: String,
    /// The currency of the item's price, in ISO 4217; empty for an item without a price.
    pub currency: String,
}

/// The sums of an item in the redemptions of its code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeSums {
    /// How many entries for the item the redemptions had. A redemption that lists an item twice
    /// counts twice.
    pub count: u64,
    /// The sum of the quantities.
    pub quantity: i64,
    /// The sum of price times quantity. An item without a price adds 0.
    pub value: Decimal,
}

/// The group in which a message to a member counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryGroup {
    /// `email`, `whatsapp`, `sms`, `reminder` or `forward`.
    pub channel: String,
    /// `sent`, `skipped` or `failed`.
    pub result: String,
}

/// A member's profile, from all redemptions and uses that are kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// When the member redeemed a coupon first; `None` without a redemption.
    pub first_redemption: Option<jiff::Timestamp>,
    /// When the member redeemed a coupon last; `None` without a redemption.
    pub last_redemption: Option<jiff::Timestamp>,
    /// All redemptions, including those that were reversed later.
    pub redemptions: u64,
    /// The points that the member spent on all of `redemptions`.
    pub points: i64,
    /// All uses of coupons by the member.
    pub uses: u64,
    /// The discounts of the uses, by currency in ISO 4217.
    pub money_saved: BTreeMap<String, Decimal>,
    /// Redemptions by category, which is [`SignalGroup::reward_type`].
    pub categories: BTreeMap<String, u64>,
}
