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

/// One event as reports show it. A field is absent if the event's kind does not have it, or if the
/// provider did not send it.
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
    /// Whole days from the redemption to the coupon's expiry, rounded up as on the provider's page.
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
    /// The time from redemption to use; absent until both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_usage_s: Option<i64>,
    /// The same time in hours, rounded half up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_usage_hours: Option<i64>,
    /// For a reversal: the redemption that it takes back, if known.
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
    Redeemed,
    Used,
    Cancelled,
    Expired,
}

/// The record's keys already contain these fields.
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
