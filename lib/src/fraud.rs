//! What was found out about events that do not look right, as the tables have it.

use serde::{Deserialize, Serialize};

use crate::event::{EventKey, part};

/// The name of the task's record beneath an event, and of a coupon's own row among its events, which says the version
/// of all its findings.
pub const RECORD: &str = "fraud";

/// How the sort keys of a member's flags begin, and those of their redemptions in the last days.
pub const FLAG: &str = "flag#";
pub const HISTORY: &str = "redeemed@";

/// The sort key of the row that says which rushes of a member were alerted.
pub const RUSHES: &str = "rushes";

/// How bad it is. Of two the later in this list is the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Medium,
    High,
    /// The member is flagged.
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Something about an event that does not look right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    #[serde(rename = "type")]
    pub kind: String,
    pub severity: Severity,
    /// In a sentence. Names coupons, orders, times and amounts, and no personal data.
    pub details: String,
    /// The rule that it is by, one of several of its type.
    pub rule: String,
}

/// The sort key of a flag: one for each critical finding, so that the same is raised once.
pub fn flag(event: &EventKey, rule: &str) -> String {
    format!("{FLAG}{}#{rule}", part(&event.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_names_its_event_however_long_that_is() {
        let key = |order: &str| EventKey::used("zupy", "comp", "CP-1", order);
        assert_eq!(
            flag(&key("1"), "excessive_discount"),
            "flag#zupy%23comp%23CP-1%2Fused%231#excessive_discount"
        );
        let long = |last: &str| flag(&key(&format!("{}{last}", "#".repeat(160))), "rule");
        assert_eq!(long("1").len(), "flag#sha256:#rule".len() + 64);
        assert_ne!(long("1"), long("2"));
    }
}
