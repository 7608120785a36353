//! The domain: what happened to which coupon, in the same words for every provider.

mod envelope;

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::steering::steers;

use crate::provider::wire::Problem;
pub use envelope::{Envelope, Verbatim};

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

/// An amount in the main unit of its currency, exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Normalised: 35.00 and 35 are the same amount.
    pub amount: Decimal,
    /// ISO 4217, upper case.
    pub currency: String,
}

impl Money {
    pub fn new(amount: Decimal, currency: impl Into<String>) -> Self {
        Self {
            amount: amount.normalize(),
            currency: currency.into(),
        }
    }

    /// An amount from the smallest unit of its currency: 9499 cents are 94.99 dollars, 9499 yen are
    /// 9499 yen.
    pub fn of_minor(amount: i64, currency: impl Into<String>) -> Self {
        let currency = currency.into();
        Self::new(Decimal::new(amount, minor_digits(&currency)), currency)
    }
}

/// How many decimals the smallest unit of a currency has. Source: ISO 4217's list one (2025).
fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// The permanent name of an event: the key of its row in the ledger.
///
/// `coupon` is the same for all entries of one coupon, and `entry` is one of them. Parts are
/// escaped. So a `#` or a `/` inside a code cannot make two events share a key, or an event look
/// like a task's record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    coupon: String,
    entry: String,
}

/// The longest key part, in bytes after escaping. Four parts stay below DynamoDB's limits: 2,048
/// for a partition key and 1,024 for a sort key.
pub const KEY_PART_MAX_BYTES: usize = 500;

impl EventKey {
    /// The redemption of a coupon. `coupon` is the coupon's code if each code belongs to one
    /// customer, else the name of the redemption.
    pub fn redeemed(provider: &str, tenant: &str, coupon: &str) -> Self {
        Self::new(provider, tenant, coupon, "redeemed".into())
    }

    /// A redemption in a sandbox or from a test button. `space` separates it from live coupons and
    /// from other trials, because a live event may follow under the same name.
    pub fn trial(provider: &str, tenant: &str, space: &'static str, named_by: &str) -> Self {
        Self {
            coupon: format!("{provider}#{}#{space}#{}", escape(tenant), escape(named_by)),
            entry: "redeemed".into(),
        }
    }

    /// A use of the coupon for an order.
    pub fn used(provider: &str, tenant: &str, coupon: &str, order_id: &str) -> Self {
        let entry = format!("used#{}", escape(order_id));
        Self::new(provider, tenant, coupon, entry)
    }

    /// A member's use of the coupon that names no order. Such uses have numbers from 1; the number
    /// is decided when the use is recorded. No other entry has a bare `#` after an `@`.
    pub fn used_by(
        provider: &str,
        tenant: &str,
        coupon: &str,
        member_id: &str,
        number: u32,
    ) -> Self {
        let entry = format!("used@{}#{number}", escape(member_id));
        Self::new(provider, tenant, coupon, entry)
    }

    /// A fact that is sent for a coupon once for each `by`: a time, or a webhook's id.
    pub fn repeatable(provider: &str, tenant: &str, coupon: &str, what: &str, by: &str) -> Self {
        Self::new(provider, tenant, coupon, format!("{what}@{}", escape(by)))
    }

    /// A fact that happens to a coupon at most once: `cancelled`, `expired`.
    pub fn once(provider: &str, tenant: &str, coupon: &str, what: &'static str) -> Self {
        Self::new(provider, tenant, coupon, what.into())
    }

    /// A fact about a member and no coupon, sent once for each `by`. The fourth part of its
    /// partition key separates it from every coupon.
    pub fn of_member(provider: &str, tenant: &str, member_id: &str, what: &str, by: &str) -> Self {
        Self {
            coupon: format!("{provider}#{}#member#{}", escape(tenant), escape(member_id)),
            entry: format!("{what}@{}", escape(by)),
        }
    }

    /// A key from the two halves that a row of the ledger holds.
    pub fn recorded(coupon: &str, entry: &str) -> Self {
        Self {
            coupon: coupon.into(),
            entry: entry.into(),
        }
    }

    /// A key from its text: `zupy#comp#CP-1/redeemed`. Neither half holds a bare `/`.
    pub fn parse(text: &str) -> Option<Self> {
        let (coupon, entry) = text.split_once('/')?;
        Some(Self::recorded(coupon, entry))
    }

    fn new(provider: &str, tenant: &str, coupon: &str, entry: String) -> Self {
        Self {
            coupon: format!("{}#{}#{}", provider, escape(tenant), escape(coupon)),
            entry,
        }
    }

    pub fn coupon(&self) -> &str {
        &self.coupon
    }

    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// The key of the same coupon's redemption.
    pub fn redemption(&self) -> Self {
        Self::recorded(&self.coupon, "redeemed")
    }

    /// The entry of a record beneath this event: `redeemed/delivery/email`.
    pub fn beneath(&self, name: &str) -> String {
        format!("{}/{name}", self.entry)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.coupon, self.entry)
    }
}

/// The name of a tenant among the tenants of all providers: `zupy#comp_bella_vista`.
pub fn tenant_key(provider: &str, tenant: &str) -> String {
    format!("{provider}#{}", escape(tenant))
}

/// The partition key of a member's own rows.
pub fn member_key(provider: &str, tenant: &str, member_id: &str) -> String {
    format!("{provider}#{}#{}", escape(tenant), escape(member_id))
}

/// A key as one part of another key. If it is too long for that, its hash replaces it.
pub fn part(key: &str) -> String {
    let escaped = escape(key);
    if escaped.len() <= KEY_PART_MAX_BYTES {
        return escaped;
    }
    // No other key begins like this: an escaped key begins with its provider.
    format!("sha256:{}", hex::encode(Sha256::digest(key)))
}

/// Percent-encodes the characters that separate key parts, and those that could steer a terminal or
/// a page: control characters and marks of direction.
pub fn escape(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for character in part.chars() {
        if !matches!(character, '%' | '#' | '/') && !steers(character) {
            escaped.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The inverse of [`escape`]. A text that is no escape stays as it is.
pub fn unescape(escaped: &str) -> String {
    let mut part = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('%') {
        part.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, length) = escaped_character(rest).unwrap_or(('%', 1));
        part.push(character);
        rest = &rest[length..];
    }
    part.push_str(rest);
    part
}

/// The character whose escape the text begins with, and the length of that escape.
fn escaped_character(text: &str) -> Option<(char, usize)> {
    let mut bytes = [0; 4];
    for index in 0..bytes.len() {
        let code = text.get(3 * index..3 * index + 3)?.strip_prefix('%')?;
        let is_hex = code.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes[index] = u8::from_str_radix(code, 16).ok().filter(|_| is_hex)?;
        let read = std::str::from_utf8(&bytes[..=index]).ok();
        if let Some(character) = read.and_then(|read| read.chars().next()) {
            return Some((character, 3 * index + 3));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_read_like_the_ledger_in_the_documents() {
        let key = EventKey::redeemed("zupy", "comp_bella_vista", "CP-A1B2C3D4");
        assert_eq!(
            key.to_string(),
            "zupy#comp_bella_vista#CP-A1B2C3D4/redeemed"
        );
        let key = EventKey::used("zupy", "comp", "CP-1", "ord_POS_789");
        assert_eq!(key.to_string(), "zupy#comp#CP-1/used#ord_POS_789");
        assert_eq!(key.beneath("fraud"), "used#ord_POS_789/fraud");
    }

    #[test]
    fn a_members_key_is_no_coupons() {
        let of_member = EventKey::of_member("zupy", "comp", "ZP-1", "enrolled", "id");
        assert_eq!(of_member.to_string(), "zupy#comp#member#ZP-1/enrolled@id");
        let coupon = EventKey::redeemed("zupy", "comp", "member#ZP-1");
        assert_eq!(coupon.coupon(), "zupy#comp#member%23ZP-1");
    }

    #[test]
    fn separators_inside_a_part_are_escaped() {
        let key = EventKey::used("zupy", "a#b", "50%/off", "1/delivery\n");
        assert_eq!(key.coupon(), "zupy#a%23b#50%25%2Foff");
        assert_eq!(key.entry(), "used#1%2Fdelivery%0A");
    }

    #[test]
    fn what_could_steer_a_terminal_is_escaped_and_ordinary_text_is_not() {
        let key = EventKey::redeemed("zupy", "comp", "A\u{202E}B\u{9B}C\u{7F}\u{2066}\u{200F}");
        assert_eq!(
            key.coupon(),
            "zupy#comp#A%E2%80%AEB%C2%9BC%7F%E2%81%A6%E2%80%8F"
        );
        for text in [
            "CP-1",
            "Pão é 🍕👨\u{200D}👩",
            "שלום",
            "a b+c=d",
            "\u{A0}",
            "می\u{200C}خ",
        ] {
            assert_eq!(escape(text), text);
        }
        // A text stays if it is no escape, or only a part of one.
        for text in [
            "%", "%C", "%C2", "%C2%", "%C2%20", "%FF", "%é", "%+1", "100%",
        ] {
            let expected = text.replace("%20", " ");
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

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

    proptest! {
        #[test]
        fn what_is_escaped_is_read_back(part in any::<String>(), odd in "[#/%0-9A-F\u{1}]{0,6}") {
            let part = part + &odd;
            prop_assert_eq!(unescape(&escape(&part)), part);
        }

        #[test]
        fn different_parts_never_make_one_key(
            a in (".{0,8}", ".{0,8}", ".{0,8}"),
            b in (".{0,8}", ".{0,8}", ".{0,8}"),
        ) {
            let key = |(tenant, coupon, order): &(String, String, String)| {
                EventKey::used("zupy", tenant, coupon, order).to_string()
            };
            prop_assert_eq!(a == b, key(&a) == key(&b));
        }

        #[test]
        fn few_separators_in_many_orders_never_make_one_key(
            a in ("[#/%@a]{0,4}", "[#/%@a]{0,4}", "[#/%@a]{0,4}"),
            b in ("[#/%@a]{0,4}", "[#/%@a]{0,4}", "[#/%@a]{0,4}"),
        ) {
            let key = |(tenant, coupon, order): &(String, String, String)| {
                EventKey::used("zupy", tenant, coupon, order).to_string()
            };
            prop_assert_eq!(a == b, key(&a) == key(&b));
        }
    }
}
