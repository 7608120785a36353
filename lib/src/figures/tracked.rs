//! What is tracked of one event: the fields that the analytics task keeps on its record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::event::EventKey;

/// One event as reports show it. Fields that an event's kind does not have, or that its provider did not tell, are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    pub key: EventKey,
    pub kind: TrackedKind,
    pub provider: String,
    pub tenant: String,
    pub timestamp: Timestamp,
    pub customer_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_spent: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_value: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption_method: Option<String>,
    /// Whole days from the redemption to the coupon's expiry, rounded up as the provider's page does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_applied: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_value: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_value: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff_member: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_count: Option<u64>,
    /// From redemption to use; absent until both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_usage_s: Option<i64>,
    /// The same in hours, rounded half up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_usage_hours: Option<i64>,
    /// Of a reversal: the redemption that it takes back, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<EventKey>,
    /// What only one provider tells, by its name there: Aghanim's `item_sku`, `trigger`, `transaction_id`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackedKind {
    Redeemed,
    Used,
    Cancelled,
    Expired,
}
