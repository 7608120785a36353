//! A tracked event as a row. Every field is there; it is `null` if the event's kind or its provider
//! has no value for it.

use serde_json::{Map, Value, json};
use webhooks::figures::{Tracked, TrackedKind};

pub const COLUMNS: &[&str] = &[
    "event",
    "type",
    "status",
    "provider",
    "tenant",
    "timestamp",
    "customer_id",
    "customer_tier",
    "coupon_code",
    "reward_id",
    "reward_name",
    "points_spent",
    "discount_type",
    "discount_value",
    "redemption_method",
    "expires_days",
    "currency",
    "discount_applied",
    "order_value",
    "final_value",
    "location",
    "platform",
    "staff_member",
    "items_count",
    "time_to_usage_hours",
    "time_to_usage_s",
    "reverses",
    "other",
];

pub const TYPES: [(&str, TrackedKind); 4] = [
    ("redeemed", TrackedKind::Redeemed),
    ("used", TrackedKind::Used),
    ("cancelled", TrackedKind::Cancelled),
    ("expired", TrackedKind::Expired),
];

/// `status`: the state of the coupon in its member's account now.
pub fn row(tracked: &Tracked, status: Option<&str>) -> Map<String, Value> {
    let kind = TYPES.iter().find(|(_, kind)| *kind == tracked.kind);
    let mut fields = match serde_json::to_value(tracked) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let mut take = |column: &str| match column {
        "event" => json!(tracked.key.to_string()),
        "type" => json!(kind.map(|(name, _)| name)),
        "status" => json!(status),
        "reverses" => json!(tracked.reverses.as_ref().map(ToString::to_string)),
        "other" => json!(tracked.other),
        other => fields.remove(other).unwrap_or_default(),
    };
    let row = COLUMNS
        .iter()
        .map(|&column| (column.to_owned(), take(column)));
    row.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use webhooks::event::EventKey;

    use super::*;

    #[test]
    fn every_field_has_its_column() {
        let text = || Some("x".to_owned());
        let decimal = Some(rust_decimal::Decimal::new(350, 1));
        let key = EventKey::redeemed("zupy", "comp", "CP-1");
        let tracked = Tracked {
            key: EventKey::once("zupy", "comp", "CP-1", "cancelled"),
            kind: TrackedKind::Cancelled,
            provider: "zupy".into(),
            tenant: "comp".into(),
            timestamp: "2026-11-25T12:00:00Z".parse().unwrap(),
            customer_id: "ZP-1".into(),
            customer_tier: text(),
            coupon_code: text(),
            reward_id: text(),
            reward_name: text(),
            points_spent: Some(1),
            discount_type: text(),
            discount_value: decimal,
            redemption_method: text(),
            expires_days: Some(1),
            currency: text(),
            discount_applied: decimal,
            order_value: decimal,
            final_value: decimal,
            location: text(),
            platform: text(),
            staff_member: text(),
            items_count: Some(1),
            time_to_usage_s: Some(1),
            time_to_usage_hours: Some(1),
            reverses: Some(key),
            other: BTreeMap::from([("trigger".into(), "x".into())]),
        };
        let fields = serde_json::to_value(&tracked).unwrap();
        for field in fields.as_object().unwrap().keys() {
            let renamed = ["key", "kind"].contains(&field.as_str());
            assert!(renamed || COLUMNS.contains(&field.as_str()), "{field}");
        }
        let row = row(&tracked, Some("cancelled"));
        assert!(row.values().all(|it| !it.is_null()), "{row:?}");
        assert_eq!(row["event"], "zupy#comp#CP-1/cancelled");
        assert_eq!(row["reverses"], "zupy#comp#CP-1/redeemed");
        assert_eq!(row["type"], "cancelled");
        assert_eq!(row["discount_value"], "35.0");
        assert!(row.keys().eq(COLUMNS.iter().copied()));
    }
}
