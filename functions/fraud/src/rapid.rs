//! The limit on a member's redemptions within a short time.

use jiff::{SignedDuration, Timestamp};

/// The rule's name.
pub(crate) const RAPID_REDEMPTION: &str = "rapid_redemption";

/// The limit: this number of redemptions within this time is too many for one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rapid {
    pub(crate) count: usize,
    pub(crate) window_s: i64,
}

impl Rapid {
    pub(crate) fn window(self) -> SignedDuration {
        SignedDuration::from_secs(self.window_s)
    }

    pub(crate) fn before(self, at: Timestamp) -> Timestamp {
        at.checked_sub(self.window()).unwrap_or(Timestamp::MIN)
    }

    pub(crate) fn after(self, at: Timestamp) -> Timestamp {
        at.checked_add(self.window()).unwrap_or(Timestamp::MAX)
    }

    /// The count in a sentence.
    pub(crate) fn details(self, count: usize, at: Timestamp) -> String {
        format!(
            "at least {count} redemptions of the member in the {} s up to {at}",
            self.window_s
        )
    }
}
