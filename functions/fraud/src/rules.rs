//! The fraud rules, in one table. Each rule is a function over an event and the facts around it.
//!
//! A rule depends only on its [`Sight`]. So a rule gives the same finding for an event at any time,
//! once the tables have all events. A new rule is a function, its test, and a line in the table.
//!
//! Players share a code of Aghanim's. Each redemption of it is a coupon of its own here, and
//! Aghanim never reports a use. So only `rapid_redemption` applies to Aghanim.

mod amounts;

use webhooks::event::{Event, Fact, Redemption, Usage};
use webhooks::fraud::{Finding, Severity};

use crate::conflict::{self, Conflict};
use crate::coupon::Overview;
use crate::history::{Redeemed, count_at};
use crate::rapid::RAPID_REDEMPTION;
use crate::settings::Settings;
use amounts::{excessive_discount, final_value, maximum_discount, minimum_purchase};

/// A rule that fraud checks for every event.
pub(crate) struct Rule {
    /// The name that switches the rule on and off.
    pub(crate) name: &'static str,
    /// The type of the rule's findings.
    kind: &'static str,
    severity: Severity,
    /// Returns the details of a finding, if the event breaks the rule.
    check: fn(&Sight<'_>) -> Option<String>,
}

/// What a rule can see.
pub(crate) struct Sight<'a> {
    pub(crate) event: &'a Event,
    /// The overview of the event's coupon.
    pub(crate) coupon: &'a Overview<'a>,
    /// The bodies that contradict the event.
    pub(crate) conflicts: &'a [Conflict],
    /// For a redemption: all redemptions of the member around its time, including itself.
    pub(crate) history: &'a [Redeemed],
    /// For a use: whether the grace for its redemption is over.
    pub(crate) overdue: bool,
    pub(crate) settings: &'a Settings,
}

pub(crate) const UNKNOWN_COUPON: &str = "unknown_coupon";
pub(crate) const EXPIRED_USAGE: &str = "expired_usage";
const EXCESSIVE_DISCOUNT: &str = "excessive_discount";

pub(crate) const RULES: [Rule; 10] = [
    Rule::new(RAPID_REDEMPTION, Severity::Medium, rapid_redemption),
    Rule::new("duplicate_usage", Severity::High, duplicate_usage),
    Rule::new("conflicting_usage", Severity::High, conflicting_usage),
    Rule::new(EXPIRED_USAGE, Severity::High, expired_usage),
    Rule::new("cancelled_usage", Severity::High, cancelled_usage),
    Rule::new(UNKNOWN_COUPON, Severity::High, unknown_coupon),
    Rule::new(EXCESSIVE_DISCOUNT, Severity::Critical, excessive_discount),
    Rule::new("maximum_discount", Severity::Medium, maximum_discount).finds(EXCESSIVE_DISCOUNT),
    Rule::new("minimum_purchase", Severity::Medium, minimum_purchase).finds(EXCESSIVE_DISCOUNT),
    Rule::new("final_value", Severity::Medium, final_value).finds(EXCESSIVE_DISCOUNT),
];

impl Rule {
    const fn new(
        name: &'static str,
        severity: Severity,
        check: fn(&Sight<'_>) -> Option<String>,
    ) -> Self {
        Self {
            name,
            kind: name,
            severity,
            check,
        }
    }

    /// Gives the rule's findings the type of another rule.
    const fn finds(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}

/// All findings of an event, in the table's order.
pub(crate) fn check_all(sight: &Sight<'_>) -> Vec<Finding> {
    let rules = RULES.iter().filter(|rule| sight.settings.runs(rule.name));
    let findings = rules.filter_map(|rule| {
        Some(Finding {
            kind: rule.kind.to_owned(),
            severity: rule.severity,
            details: (rule.check)(sight)?,
            rule: rule.name.to_owned(),
        })
    });
    findings.collect()
}

/// A rule's index in the table; the table's length for a rule of other code.
pub(crate) fn place(rule: &str) -> usize {
    let found = RULES.iter().position(|it| it.name == rule);
    found.unwrap_or(RULES.len())
}

/// The member redeemed too often within a short time up to this redemption. Earlier redemptions
/// below the limit get no finding, for any later redemptions.
fn rapid_redemption(sight: &Sight<'_>) -> Option<String> {
    let Fact::Redeemed(_) = sight.event.fact else {
        return None;
    };
    let rapid = sight.settings.rapid;
    let at = sight.event.occurred_at;
    let is_reached = count_at(rapid, sight.history, at) >= rapid.count;
    // The details name the limit and no greater count, because more redemptions may come late.
    is_reached.then(|| rapid.details(rapid.count, at))
}

/// The coupon had a use before, for another order.
fn duplicate_usage(sight: &Sight<'_>) -> Option<String> {
    let usage = usage(sight.event)?;
    let first = sight.coupon.first_use?;
    if first.key == sight.event.key {
        return None;
    }
    let order = |event: &Event, usage: &Usage| match &usage.order_id {
        Some(order) => format!("for order {order}"),
        None => format!("as {}", event.key.entry()),
    };
    Some(format!(
        "used {} at {}, and before {} at {}",
        order(sight.event, usage),
        sight.event.occurred_at,
        order(first, self::usage(first)?),
        first.occurred_at
    ))
}

/// The same order came again with other contents. The first recorded contents stand.
fn conflicting_usage(sight: &Sight<'_>) -> Option<String> {
    conflict::details(usage(sight.event)?, sight.conflicts)
}

fn expired_usage(sight: &Sight<'_>) -> Option<String> {
    usage(sight.event)?;
    let expires_at = sight.coupon.expires_at?;
    let used_at = sight.event.occurred_at;
    (used_at > expires_at).then(|| format!("used at {used_at}, expired at {expires_at}"))
}

fn cancelled_usage(sight: &Sight<'_>) -> Option<String> {
    usage(sight.event)?;
    let cancelled_at = sight.coupon.cancelled?.occurred_at;
    let used_at = sight.event.occurred_at;
    (used_at > cancelled_at).then(|| format!("used at {used_at}, cancelled at {cancelled_at}"))
}

fn unknown_coupon(sight: &Sight<'_>) -> Option<String> {
    usage(sight.event)?;
    let is_unknown = sight.overdue && sight.coupon.redemption.is_none();
    is_unknown.then(|| "used, but no redemption was ever received".to_owned())
}

fn usage(event: &Event) -> Option<&Usage> {
    match &event.fact {
        Fact::Used(usage) => Some(usage),
        _ => None,
    }
}

fn redemption<'a>(sight: &Sight<'a>) -> Option<&'a Redemption> {
    match &sight.coupon.redemption?.fact {
        Fact::Redeemed(redemption) => Some(redemption),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
