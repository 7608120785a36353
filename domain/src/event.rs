//! The domain: what happened to which coupon, in the same words for every provider.

mod envelope;
mod key;

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

pub use crate::money::Money;
pub use envelope::{Envelope, Verbatim};
pub use key::{EventKey, KEY_PART_MAX_BYTES, escape, member_key, part, tenant_key, unescape};

/// One fact about one coupon, as every task gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub key: EventKey,
    /// The provider's name: `aghanim`, `zupy`.
    pub provider: String,
    /// The company (Zupy) or the game (Aghanim).
    pub tenant: String,
    /// When the event happened, by the provider's clock.
    pub occurred_at: Timestamp,
    /// From a sandbox or a test button. Such an event runs through every task, but reaches no
    /// customer and no report.
    #[serde(default)]
    pub sandbox: bool,
    pub member: Member,
    pub fact: Fact,
    /// What the provider sends around the event.
    #[serde(default, skip_serializing_if = "Envelope::is_empty")]
    pub envelope: Envelope,
    /// Problems of fields that were left out or mended because they could not be read as sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
    /// When we received the event first. A message holds it beside the event, and so does the
    /// event's row. While the event is being received, it is `None`.
    #[serde(skip)]
    pub received_at: Option<Timestamp>,
}

/// What happened to the coupon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Redeemed(Redemption),
    Used(Usage),
    /// The coupon was cancelled before anybody used it.
    Cancelled(Notice),
    /// The coupon will expire in a few days.
    Expiring(Notice),
    Expired(Notice),
    /// A customer has joined, or the provider sends a known customer again. This fact is about a
    /// member and no coupon.
    Enrolled,
}

impl Fact {
    /// The coupon's code, if the fact is about a coupon.
    pub fn coupon_code(&self) -> Option<&str> {
        match self {
            Fact::Redeemed(redemption) => Some(&redemption.coupon_code),
            Fact::Used(usage) => Some(&usage.coupon_code),
            Fact::Cancelled(notice) | Fact::Expiring(notice) | Fact::Expired(notice) => {
                Some(&notice.coupon_code)
            }
            Fact::Enrolled => None,
        }
    }
}

/// A customer or a player. Personal data: never log it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// As the provider spells it; Zupy names the field `whatsapp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A coupon came to be: a member turned points into it, or a player redeemed a code.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Redemption {
    pub coupon_code: String,
    pub reward: Reward,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_spent: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_balance: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How the coupon was redeemed: `automatic`, `manual`, `app`, `website`, or a word that the
    /// provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
}

/// What the coupon is good for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reward {
    /// Zupy's reward id, or Aghanim's SKU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// In-game items; empty for a discount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
}

/// An in-game item, or a bundle of items that may be bundles again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub sku: String,
    pub quantity: i64,
    /// `item`, `bundle`, or a word that the provider adds.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// The price in the smallest unit of its currency, which Aghanim sends as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_minor: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<Item>,
    /// What the player gets if the item cannot be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Item>>,
}

/// What the coupon takes off an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discount {
    pub kind: DiscountKind,
    /// Percent for a percentage, else an amount in the order's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_purchase: Option<Money>,
}

/// What a discount's value means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum DiscountKind {
    Percentage,
    FixedAmount,
    ProductFree,
    BuyOneGetOne,
    /// A kind that the provider has added since.
    Other(String),
}

impl From<String> for DiscountKind {
    fn from(text: String) -> Self {
        match text.as_str() {
            "percentage" => Self::Percentage,
            "fixed_amount" => Self::FixedAmount,
            "product_free" => Self::ProductFree,
            "buy_one_get_one" => Self::BuyOneGetOne,
            _ => Self::Other(text),
        }
    }
}

impl DiscountKind {
    /// As the provider spells it.
    pub fn text(&self) -> &str {
        match self {
            Self::Percentage => "percentage",
            Self::FixedAmount => "fixed_amount",
            Self::ProductFree => "product_free",
            Self::BuyOneGetOne => "buy_one_get_one",
            Self::Other(text) => text,
        }
    }
}

impl From<DiscountKind> for String {
    fn from(kind: DiscountKind) -> Self {
        kind.text().to_owned()
    }
}

/// A member used a coupon for an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub coupon_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_kind: Option<DiscountKind>,
    /// Zupy's v2 sends no amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_applied: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_value: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_value: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff_member: Option<String>,
    /// `pos`, `manual`, `goomer`, `ifood`, `repediu`, or a word that the provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<AffectedItem>,
}

/// The end of a coupon, or of its last days, without a use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub coupon_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A line of the order to which the discount applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AffectedItem {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_applied: Option<Money>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_of_discount_keeps_its_text() {
        let kind: DiscountKind = serde_json::from_str(r#""mystery""#).unwrap();
        assert_eq!(kind, DiscountKind::Other("mystery".into()));
        assert_eq!(serde_json::to_string(&kind).unwrap(), r#""mystery""#);
    }

    #[test]
    fn a_member_prints_no_personal_data() {
        let member = Member {
            id: "ZP-1".into(),
            name: Some("Maria Silva".into()),
            email: Some("maria@example.com".into()),
            phone: Some("+5511965958122".into()),
            tier: None,
        };
        assert_eq!(format!("{member:?}"), r#"Member { id: "ZP-1", .. }"#);
    }
}
