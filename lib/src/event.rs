//! The domain: what happened to which coupon, whoever told us.

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
    /// The company or the game.
    pub tenant: String,
    /// When it happened, by the provider's clock.
    pub occurred_at: Timestamp,
    /// From a sandbox or a test button: runs through everything, reaches no customer, counts in no report.
    #[serde(default)]
    pub sandbox: bool,
    pub member: Member,
    pub fact: Fact,
    /// What the provider tells around it.
    #[serde(default, skip_serializing_if = "Envelope::is_empty")]
    pub envelope: Envelope,
    /// What could not be read as it was told, and was left out or mended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
    /// When we received it first. It is beside the event in a message, and on the event's row; nothing where it is
    /// just being received.
    #[serde(skip)]
    pub received_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Redeemed(Redemption),
    Used(Usage),
    /// Taken back before it was used.
    Cancelled(Notice),
    /// It will expire in a few days.
    Expiring(Notice),
    Expired(Notice),
    /// A customer has joined, or is told anew: of a member and of no coupon.
    Enrolled,
}

impl Fact {
    /// The code of the coupon that it is about, if it is about one.
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

/// The customer or the player. Personal data: never in a log.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// As the provider has it; Zupy names the field `whatsapp`.
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

/// A coupon came to be: points were turned into it, or a player redeemed a code.
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
    /// How it was redeemed: `automatic`, `manual`, `app`, `website`, or what the provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
}

/// What the coupon is good for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reward {
    /// Zupy's reward id, Aghanim's SKU.
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
    /// `item`, `bundle`, or what the provider adds.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// The price as Aghanim tells it beside that: in the smallest unit of its currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_minor: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<Item>,
    /// What the player gets where the item cannot be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Item>>,
}

/// What the coupon takes off an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discount {
    pub kind: DiscountKind,
    /// Percent for a percentage, else an amount of the order's currency.
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
    /// One that the provider has added since.
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

/// A coupon was handed in for an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub coupon_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_kind: Option<DiscountKind>,
    /// Zupy's v2 tells no amounts.
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
    /// `pos`, `manual`, `goomer`, `ifood`, `repediu`, or what the provider adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<AffectedItem>,
}

/// What became of a coupon without anybody using it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub coupon_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A line of the order that the discount touched.
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
    /// Normalised: 35.00 and 35 are one amount.
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

    /// An amount in the smallest unit of its currency: 9499 cents are 94.99 dollars, 9499 yen are yen.
    pub fn of_minor(amount: i64, currency: impl Into<String>) -> Self {
        let currency = currency.into();
        Self::new(Decimal::new(amount, minor_digits(&currency)), currency)
    }
}

/// Decimals of a currency's smallest unit. Source: ISO 4217's list one (2025).
fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// Names an event for good: the key of its row in the ledger.
///
/// `coupon` holds all entries of one coupon, `entry` is one of them. Parts are escaped, so that a `#` or a `/`
/// inside a code cannot make two events share a key, nor an event pass for a task's record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    coupon: String,
    entry: String,
}

/// Longest key part, in bytes once escaped: four of them stay below DynamoDB's 2,048 for a partition key and
/// 1,024 for a sort key.
pub const KEY_PART_MAX_BYTES: usize = 500;

impl EventKey {
    /// A coupon's redemption. `coupon` is the code where a code is one customer's own, else what names the redemption.
    pub fn redeemed(provider: &str, tenant: &str, coupon: &str) -> Self {
        Self::new(provider, tenant, coupon, "redeemed".into())
    }

    /// A redemption in a sandbox, or one that a test button makes. `space` keeps it apart from every live coupon, and from
    /// other trials: a live event may follow its trial under the same name.
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

    /// A member's use of the coupon that names no order. Such uses are numbered from 1: which number a use has is decided
    /// when it is recorded. No bare `#` follows an `@` in any other entry.
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

    /// Something that is told of a coupon once for each `by`: a time, or a webhook's id.
    pub fn told(provider: &str, tenant: &str, coupon: &str, what: &str, by: &str) -> Self {
        Self::new(provider, tenant, coupon, format!("{what}@{}", escape(by)))
    }

    /// Something that happens to a coupon at most once: `cancelled`, `expired`.
    pub fn once(provider: &str, tenant: &str, coupon: &str, what: &'static str) -> Self {
        Self::new(provider, tenant, coupon, what.into())
    }

    /// Something that is told of a member and not of a coupon, once for each `by`. The fourth part of its partition key
    /// keeps it apart from every coupon.
    pub fn of_member(provider: &str, tenant: &str, member_id: &str, what: &str, by: &str) -> Self {
        Self {
            coupon: format!("{provider}#{}#member#{}", escape(tenant), escape(member_id)),
            entry: format!("{what}@{}", escape(by)),
        }
    }

    /// A key as a row of the ledger has it.
    pub fn recorded(coupon: &str, entry: &str) -> Self {
        Self {
            coupon: coupon.into(),
            entry: entry.into(),
        }
    }

    /// A key as text has it: `zupy#comp#CP-1/redeemed`. Neither of its halves holds a bare `/`.
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

    /// The key of the redemption of the same coupon.
    pub fn redemption(&self) -> Self {
        Self::recorded(&self.coupon, "redeemed")
    }

    /// The key of a record beneath this event: `redeemed/delivery/email`.
    pub fn beneath(&self, name: &str) -> String {
        format!("{}/{name}", self.entry)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.coupon, self.entry)
    }
}

/// Names a tenant among those of all providers: `zupy#comp_bella_vista`.
pub fn tenant_key(provider: &str, tenant: &str) -> String {
    format!("{provider}#{}", escape(tenant))
}

/// The partition key of a member's own rows.
pub fn member_key(provider: &str, tenant: &str, member_id: &str) -> String {
    format!("{provider}#{}#{}", escape(tenant), escape(member_id))
}

/// A key as part of another one: what would be too long for that is named by its hash.
pub fn part(key: &str) -> String {
    let escaped = escape(key);
    if escaped.len() <= KEY_PART_MAX_BYTES {
        return escaped;
    }
    // No key begins so: an escaped one has its provider first.
    format!("sha256:{}", hex::encode(Sha256::digest(key)))
}

/// Percent-encodes what separates key parts, and what could steer whoever shows a key: control characters and marks of
/// direction.
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

/// The part that was escaped; what is no escape stays as it is.
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

/// The character whose escape a text begins with, and the length of that.
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
        // What is no escape stays, also where it is one in part.
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
