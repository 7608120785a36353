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
    /// The event's permanent name, which is the same for every retry by the provider.
    pub key: EventKey,
    /// The provider's name: `aghanim`, `zupy`.
    pub provider: String,
    /// The company (Zupy) or the game (Aghanim).
    pub tenant: String,
    /// When the event happened, by the provider's clock.
    pub occurred_at: Timestamp,
    /// Whether the event comes from a sandbox or a test button. Such an event runs through every
    /// task, but reaches no customer and no report.
    #[serde(default)]
    pub sandbox: bool,
    /// The customer or player whom the event is about.
    pub member: Member,
    /// What happened, with the fields of its kind.
    pub fact: Fact,
    /// What the provider sends around the event.
    #[serde(default, skip_serializing_if = "Envelope::is_empty")]
    pub envelope: Envelope,
    /// Problems of fields that were left out or mended because they could not be read as sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
    /// When we received the event first; `None` while the event is being received. A message and
    /// the event's row hold this time beside the event.
    #[serde(skip)]
    pub received_at: Option<Timestamp>,
}

/// What happened to the coupon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A member got a coupon, or a player redeemed a code.
    Redeemed(Redemption),
    /// A member used a coupon for an order.
    Used(Usage),
    /// The coupon was cancelled before anybody used it.
    Cancelled(Notice),
    /// The coupon will expire in a few days.
    Expiring(Notice),
    /// The coupon expired without a use.
    Expired(Notice),
    /// A customer has joined, or the provider sends a known customer again. An enrolment is about a
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
    /// The provider's id: `member_id` or `customer_id` of Zupy, `player_id` of Aghanim.
    pub id: String,
    /// The name as the provider knows it. Aghanim sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address as the provider spells it, even if it is no address. Aghanim sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The number as the provider spells it, in Zupy's field `whatsapp`. Aghanim sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The member's level in Zupy's program, such as `silver`. Aghanim sends none.
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
    /// The code without blanks at its ends. Aghanim's players share codes, Zupy's customers do not.
    pub coupon_code: String,
    /// What the member gets for the coupon.
    pub reward: Reward,
    /// The points that the member paid: more than 0 in Zupy's v1, at least 0 in v2. Aghanim sends
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_spent: Option<i64>,
    /// The points that the member has left. Only Zupy's v1 sends them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_balance: Option<i64>,
    /// When the coupon ends. Zupy always sends an expiry, and Aghanim never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How the coupon was redeemed: `automatic`, `manual`, `app`, `website`, or a word that the
    /// provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `None` if the provider sends no details of a discount, as Aghanim and Zupy's v2 do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
}

/// What the coupon is good for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reward {
    /// Zupy's reward id, or Aghanim's SKU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// As members read it. Of Aghanim, the name of the first item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A longer text for members. Of Aghanim, the description of the first item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The conditions of the coupon's use, for members. Only Zupy's v1 sends them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// In-game items; empty for a discount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
}

/// An in-game item, or a bundle of items that may be bundles again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Aghanim's id for the item, as in `itm_exTBZQmIlDz`, or a blank.
    pub id: String,
    /// The name as players read it, or a blank.
    pub name: String,
    /// A longer text for players.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The item's SKU, the same in the game and at Aghanim, or a blank.
    pub sku: String,
    /// How many the player gets. Any number that Aghanim sends is taken, so it may be 0 or
    /// negative.
    pub quantity: i64,
    /// `item`, `bundle`, or a word that the provider adds.
    pub kind: String,
    /// `None` if Aghanim sends no price, or a price without a currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// The price in the smallest unit of its currency, which Aghanim sends as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_minor: Option<i64>,
    /// The items of a bundle; empty for an item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<Item>,
    /// What the player gets if the item cannot be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Item>>,
}

/// What the coupon takes off an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discount {
    /// The kind decides what `value` means.
    pub kind: DiscountKind,
    /// Percent for a percentage, else an amount in the order's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    /// The most that the coupon takes off; `None` if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Money>,
    /// The least value of an order that the coupon is good for; `None` if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_purchase: Option<Money>,
}

/// What a discount's value means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum DiscountKind {
    /// The value is percent of the order.
    Percentage,
    /// The value is an amount off the order.
    FixedAmount,
    /// The reward's product is free. The value, if any, is what the product is worth.
    ProductFree,
    /// A second product is free for one that is paid.
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
    /// The word as the provider spells it.
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
    /// The code without blanks at its ends. The code's redemption may arrive later, or never.
    pub coupon_code: String,
    /// As in the redemption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    /// The kind that the till applied. Zupy's v2 sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_kind: Option<DiscountKind>,
    /// Zupy's v2 sends no amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_applied: Option<Money>,
    /// The order's value before the discount. Zupy's v2 sends no amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_value: Option<Money>,
    /// What the member paid. Zupy's v2 sends no amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_value: Option<Money>,
    /// The store's name. Zupy's v2 sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The person who took the coupon, by name: personal data. Zupy's v2 sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff_member: Option<String>,
    /// `pos`, `manual`, `goomer`, `ifood`, `repediu`, or a word that the provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The provider's id for the order. Without it, the member and a number name the use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The lines of the order that got the discount. Zupy's v2 sends none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<AffectedItem>,
}

/// A coupon that nobody used was cancelled, will expire soon, or has expired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The code without blanks at its ends.
    pub coupon_code: String,
    /// As in the redemption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    /// Of a reminder, when the coupon will end; of an expiry, when it ended. A cancellation has
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A line of the order to which the discount applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AffectedItem {
    /// The product, as the till names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A number of units, or a fraction such as 0.5. A missing quantity counts as 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    /// The price of one unit before the discount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
    /// The discount of one unit or of the whole line. Tills differ, and both are recognised.
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
