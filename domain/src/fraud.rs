//! Findings: what the fraud rules report about events, as the tables hold it.

use serde::{Deserialize, Serialize};

use crate::event::{EventKey, part};
use crate::record;

/// The name of the task's record beneath an event. A coupon's own row among its events has this
/// name too; it holds the version of all the coupon's findings.
pub const RECORD: &str = record::FRAUD;

/// The prefix of the sort keys of a member's flags.
pub const FLAG: &str = "flag#";
/// The prefix of the sort keys of a member's redemptions in the last days.
pub const HISTORY: &str = "redeemed@";

/// The sort key of the row that lists the rushes of a member that were alerted.
pub const RUSHES: &str = "rushes";

/// The names of all rules.
pub const RULES: [&str; 10] = [
    "rapid_redemption",
    "duplicate_usage",
    "conflicting_usage",
    "expired_usage",
    "cancelled_usage",
    "unknown_coupon",
    "excessive_discount",
    "maximum_discount",
    "minimum_purchase",
    "final_value",
];

/// How serious a finding is. The variants go from harmless to serious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The event is unusual, but may be genuine.
    Medium,
    /// A use that should not have been possible, such as a second one.
    High,
    /// Only this severity flags the member.
    Critical,
}

impl Severity {
    /// The severity as tables and alerts spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One thing that a fraud rule reports about an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The type that alerts name, such as `excessive_discount`. Several rules may share it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The severity that the rule has. All findings of one rule have the same.
    pub severity: Severity,
    /// A sentence that names coupons, orders, times and amounts, and no personal data.
    pub details: String,
    /// The rule that reports the finding, as in [`RULES`].
    pub rule: String,
}

/// The sort key of a flag. Each critical finding has its own, so a repeated finding raises no
/// second flag.
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
