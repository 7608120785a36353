//! A restaurant's coupon, and the webhooks by which its provider reports its events.

use jiff::Timestamp;
use serde_json::{Value, json};
use webhooks::provider::zupy;
use webhooks::verify::Scheme;

use super::{Event, Kind, Line, Reach, Variant, ZUPY, ZUPY_REDEEMED, ZUPY_USED};

/// A restaurant's coupon, in its provider's terms.
#[derive(Clone)]
pub(super) struct Coupon {
    pub(super) company: &'static str,
    pub(super) secret: String,
    pub(super) code: String,
    pub(super) member: String,
    pub(super) reach: Reach,
    pub(super) precious: bool,
    pub(super) now: Timestamp,
    /// The type of discount, if the redemption has one.
    pub(super) discount: Option<&'static str>,
    pub(super) expires_at: Timestamp,
    pub(super) maximum: Option<i64>,
    pub(super) minimum: Option<i64>,
}

impl Coupon {
    /// The same coupon, for an event that happened at this time.
    pub(super) fn at(&self, now: Timestamp) -> Self {
        Self {
            now,
            ..self.clone()
        }
    }

    pub(super) fn event(&self, entry: String, kind: Kind, variants: Vec<Variant>) -> Event {
        Event {
            key: format!("zupy#{}#{}/{entry}", self.company, self.code),
            account: Some((
                format!("zupy#{}#{}", self.company, self.member),
                format!("coupon#{}", self.code),
            )),
            kind,
            variants,
            is_numbered: false,
            forged: false,
            sandbox: false,
        }
    }

    pub(super) fn redeemed(&self, newer: bool, reward: &str) -> Variant {
        let data = json!({
            "customer_id": self.member, "coupon_code": self.code, "reward_name": reward,
            "reward_id": "rw",
            "points_spent": 200, "valid_until": self.expires_at,
        });
        if newer {
            let mut variant = self.v2("reward.redeemed", "redeemed", data);
            variant.reward = Some(reward.into());
            variant.expires_at = Some(self.expires_at);
            return variant;
        }
        let coupon = json!({
            "coupon_code": self.code, "reward_id": "rw", "reward_name": reward, "points_spent": 200,
            "expires_at": self.expires_at,
        });
        let mut variant = self.v1(ZUPY_REDEEMED, "coupon.redeemed", "coupon", coupon, None);
        variant.reach = self.reach;
        variant.reward = Some(reward.into());
        variant.precious = self.precious;
        variant.discount = self.discount;
        variant.expires_at = Some(self.expires_at);
        variant.maximum = self.maximum;
        variant.minimum = self.minimum;
        variant
    }

    pub(super) fn used(
        &self,
        order: &str,
        amounts: [Option<i64>; 3],
        discount: Option<&'static str>,
        items: Vec<Line>,
    ) -> Variant {
        self.used_for(Some(order), amounts, discount, items)
    }

    /// A use in format v2, by a webhook with this id.
    pub(super) fn used_without_order(&self, id: &str) -> Variant {
        let data = json!({
            "customer_id": self.member, "coupon_code": self.code, "reward_name": "Pizza Grátis",
        });
        self.v2("coupon.used", id, data)
    }

    pub(super) fn used_for(
        &self,
        order: Option<&str>,
        amounts: [Option<i64>; 3],
        discount: Option<&'static str>,
        items: Vec<Line>,
    ) -> Variant {
        let affected = items.iter().map(|line| {
            let discount = if line.is_free { 35.0 } else { 5.0 };
            json!({
                "name": line.spelled, "quantity": line.halves as f64 / 2.0, "unit_price": 35.00,
                "discount_applied": discount,
            })
        });
        let usage = json!({
            "coupon_code": self.code, "reward_name": "Pizza Grátis", "discount_type": discount,
            "discount_applied": amounts[0].map(money), "order_value": amounts[1].map(money),
            "final_value": amounts[2].map(money), "location": "Loja Centro", "platform": "pos",
            "order_id": order,
            "items_affected": affected.collect::<Vec<_>>(),
        });
        let mut variant = self.v1(ZUPY_USED, "coupon.used", "usage", usage, None);
        variant.discount = discount;
        variant.items = items;
        variant.amounts = amounts;
        variant
    }

    pub(super) fn notice(&self, name: &str) -> Variant {
        let data = json!({
            "customer_id": self.member, "coupon_code": self.code, "reward_name": "Pizza Grátis",
            "valid_until": self.expires_at, "cancelled_at": self.now, "expired_at": self.now,
        });
        self.v2(&format!("coupon.{name}"), name, data)
    }

    pub(super) fn v1(
        &self,
        path: &'static str,
        kind: &str,
        section: &str,
        contents: Value,
        beside: Option<(&str, Value)>,
    ) -> Variant {
        let mut body = json!({
            "event": kind, "timestamp": self.now, "company_id": self.company,
            "customer": {
                "member_id": self.member, "name": "Ana Lima", "email": self.reach.email,
                "whatsapp": self.reach.phone,
            },
            "discount_details": {
                "discount_type": self.discount.unwrap_or("fixed_amount"),
                "discount_value": if self.precious { 50 } else { 49 },
                "maximum_discount": self.maximum.map(money),
                "minimum_purchase": self.minimum.map(money),
            },
        });
        body[section] = contents;
        if let Some((section, contents)) = beside {
            body[section] = contents;
        }
        self.variant(path, zupy::V1, &body)
    }

    pub(super) fn v2(&self, kind: &str, id: &str, data: Value) -> Variant {
        let webhook_id = format!("{id}-{}", self.code);
        let body =
            json!({"event": kind, "webhook_id": webhook_id, "timestamp": self.now, "data": data});
        self.variant(ZUPY, zupy::V2, &body)
    }

    pub(super) fn variant(&self, path: &'static str, scheme: Scheme, body: &Value) -> Variant {
        Variant {
            path,
            scheme,
            secret: self.secret.clone(),
            body: body.to_string().into_bytes(),
            reach: Reach::NOT,
            reward: None,
            precious: false,
            discount: None,
            expires_at: None,
            items: Vec::new(),
            at: self.now,
            amounts: [None; 3],
            maximum: None,
            minimum: None,
        }
    }
}

/// Cents as units of the currency.
pub(super) fn money(cents: i64) -> f64 {
    cents as f64 / 100.0
}
