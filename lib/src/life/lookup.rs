//! Looks up a coupon, or one of its events, by key or code.

/// How a coupon, or one of its events, is looked up.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// By key: `zupy#comp#CP-1`, or one event: `zupy#comp#CP-1/redeemed`.
    Key {
        /// The partition key of the coupon's rows.
        coupon: String,
        /// The sort key of one event's row; `None` for the whole coupon.
        entry: Option<String>,
    },
    /// By code, of any provider and tenant: `CP-1`.
    Code(String),
}

impl Lookup {
    /// Reads a key or a code. A coupon's key has three parts between `#`; a member's and a trial's
    /// have four. Inside a part, `#` and `/` are escaped.
    pub fn parse(text: &str) -> Self {
        let (coupon, beneath) = match text.split_once('/') {
            Some((coupon, beneath)) => (coupon, Some(beneath)),
            None => (text, None),
        };
        let parts: Vec<_> = coupon.split('#').collect();
        let is_key = parts.len() == 3
            || (parts.len() == 4 && ["member", "sandbox", "test"].contains(&parts[2]));
        if !is_key || parts.iter().any(|part| part.is_empty()) {
            return Self::Code(text.to_owned());
        }
        // A record's key begins with its event's.
        let entry = beneath.and_then(|beneath| beneath.split('/').next());
        Self::Key {
            coupon: coupon.to_owned(),
            entry: entry.filter(|entry| !entry.is_empty()).map(str::to_owned),
        }
    }
}
