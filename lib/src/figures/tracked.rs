//! The tracked fields of one event, which the analytics task keeps on its record.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::EventKey;
use crate::ledger::{Item, Row};

/// One event as reports show it. A field is absent if the event's kind does not have the field, or
/// if the provider did not send it. A text is cut to 300 bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// The event's key, which the record's own keys hold.
    pub key: EventKey,
    /// Which of the tracked facts the event is.
    pub kind: TrackedKind,
    /// `zupy` or `aghanim`.
    pub provider: String,
    /// The company (Zupy) or the game (Aghanim).
    pub tenant: String,
    /// When the event occurred, by the provider's clock.
    pub timestamp: Timestamp,
    /// The member's id, uncut.
    pub customer_id: String,
    /// The member's tier, as the event states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_tier: Option<String>,
    /// The coupon's code, or the code that a player redeemed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// Of a redemption: Zupy's reward id, or Aghanim's SKU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_id: Option<String>,
    /// The reward's name, which every kind of event can state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    /// Of a redemption: the points that it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_spent: Option<i64>,
    /// Of a redemption or a use: the type of discount, as the provider spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_type: Option<String>,
    /// Of a redemption: percentage points if `discount_type` is `percentage`, else an amount in
    /// `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_value: Option<Decimal>,
    /// Of a redemption: how the coupon was redeemed, such as `app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption_method: Option<String>,
    /// Whole days from the redemption to the coupon's expiry, rounded up as on the provider's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<i64>,
    /// The currency of the event's amounts, in ISO 4217. For Zupy's discounts it is BRL unless an
    /// amount states another; for in-game items it is the first item's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Of a use: what the coupon took off the order, in `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_applied: Option<Decimal>,
    /// Of a use: the order's value before the discount, in `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_value: Option<Decimal>,
    /// Of a use: what was left to pay, in `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_value: Option<Decimal>,
    /// Of a use: the store's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Of a use: the system through which the coupon was used, such as `pos` or `ifood`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Of a use: the name of the person at the till.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff_member: Option<String>,
    /// Of a use: the number of order lines to which the discount applied; 0 if none is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_count: Option<u64>,
    /// Of a use: the seconds since the redemption; absent until the redemption is known. The
    /// number is negative if the two clocks differ that much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_usage_s: Option<i64>,
    /// The same time in hours, rounded half up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_usage_hours: Option<i64>,
    /// Of a cancellation or an expiry: the key of the redemption, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<EventKey>,
    /// Fields of only one provider, by that provider's names: Aghanim's `item_sku`, `trigger`,
    /// `transaction_id` and others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, String>,
}

/// The kinds of events that are tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackedKind {
    /// The coupon came to be.
    Redeemed,
    /// The member used the coupon.
    Used,
    /// The coupon was cancelled before anybody used it.
    Cancelled,
    /// The coupon's time ended without a use.
    Expired,
}

/// Fields that the record's keys already contain.
const OF_THE_KEY: [&str; 1] = ["key"];

impl Tracked {
    /// The fields of the record beneath the event, each by its name, and the tenant's day and hour.
    pub fn write(&self, (day, hour): (Date, u8)) -> Row {
        let mut row = Row::default();
        let fields = serde_json::to_value(self).unwrap_or_default();
        for (name, value) in fields.as_object().into_iter().flatten() {
            let value = match value {
                _ if OF_THE_KEY.contains(&name.as_str()) => continue,
                Value::String(text) => AttributeValue::S(text.clone()),
                Value::Number(number) => AttributeValue::N(number.to_string()),
                other => AttributeValue::S(other.to_string()),
            };
            row.0.insert(name.clone(), value);
        }
        row.set("day", Some(day));
        row.set("hour", Some(hour));
        row
    }

    /// The tracked fields of a record, with its day and hour; `None` for other rows, and for a
    /// sandbox's.
    pub fn read(row: &Item) -> Option<(Self, (Date, u8))> {
        let text = |name: &str| row.get(name)?.as_s().ok();
        let entry = text("entry")?.strip_suffix("/analytics")?;
        let day = (text("day")?.parse().ok()?, text("hour")?.parse().ok()?);
        let mut fields = serde_json::Map::new();
        for (name, value) in row {
            let value = match value {
                AttributeValue::N(number) => Value::Number(number.parse().ok()?),
                AttributeValue::S(text) if name == "other" || name == "reverses" => {
                    serde_json::from_str(text).ok()?
                }
                AttributeValue::S(text) => Value::String(text.clone()),
                _ => continue,
            };
            fields.insert(name.clone(), value);
        }
        let key = EventKey::recorded(text("coupon")?, entry);
        fields.insert("key".into(), serde_json::to_value(key).ok()?);
        Some((serde_json::from_value(Value::Object(fields)).ok()?, day))
    }
}
