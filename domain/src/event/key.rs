//! The permanent names of events, and the parts that keys are made of.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::steering::steers;

/// The permanent name of an event, which is the key of the event's row in the ledger.
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

    /// A redemption in a sandbox or from a test button. `space` separates the key from those of
    /// live coupons and other trials, because a live event may follow under the same name.
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

    /// A fact about a member and no coupon, sent once for each `by`. A fourth part separates the
    /// partition key from every coupon's.
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

    /// The partition key of the event's row: `<provider>#<tenant>#<coupon>`, each part escaped.
    pub fn coupon(&self) -> &str {
        &self.coupon
    }

    /// The sort key of the event's row, such as `redeemed`.
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

/// A key as one part of another key. If the key is too long for a part, the key's hash is the part.
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
    fn a_members_key_differs_from_every_coupons() {
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
    fn characters_that_steer_a_terminal_are_escaped_and_ordinary_text_is_not() {
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

    proptest! {
        #[test]
        fn an_escaped_part_is_read_back(part in any::<String>(), odd in "[#/%0-9A-F\u{1}]{0,6}") {
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
