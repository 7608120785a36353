//! The fraud rules: one function for each, over an event and what is known around it, in one table.
//!
//! A rule depends only on its [`Sight`]. So it gives the same finding for an event at any time,
//! once everything is known. A new rule is a function, its test, and a line in the table.
//!
//! Players share a code of Aghanim's. Each redemption of it is a coupon of its own here, and
//! Aghanim never reports a use. So only `rapid_redemption` applies to Aghanim.

mod amounts;

use jiff::{SignedDuration, Timestamp};
use webhooks::event::{Event, Fact, Redemption, Usage};
use webhooks::fraud::{Finding, Severity};

use crate::conflict::{self, Conflict};
use crate::coupon::Overview;
use crate::history::{self, Redeemed};
use crate::parameters::Settings;
use amounts::{excessive_discount, final_value, maximum_discount, minimum_purchase};

/// A rule that is checked for every event.
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

pub(crate) const RAPID_REDEMPTION: &str = "rapid_redemption";
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
/// below the limit get no finding, whatever came after them.
fn rapid_redemption(sight: &Sight<'_>) -> Option<String> {
    let Fact::Redeemed(_) = sight.event.fact else {
        return None;
    };
    let rapid = sight.settings.rapid;
    let at = sight.event.occurred_at;
    let is_reached = rapid.count_at(sight.history, at) >= rapid.count;
    // The details name the limit and no greater count, because more redemptions may come late.
    is_reached.then(|| rapid.details(rapid.count, at))
}

/// The coupon was used before, for another order.
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

/// How many redemptions of one member within what time are too many.
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

    /// How many redemptions there are in the window that ends at this time. The history is sorted
    /// by time.
    pub(crate) fn count_at(self, history: &[Redeemed], at: Timestamp) -> usize {
        history::count(history, (self.before(at), at))
    }

    /// The count in a sentence.
    pub(crate) fn details(self, count: usize, at: Timestamp) -> String {
        format!(
            "at least {count} redemptions of the member in the {} s up to {at}",
            self.window_s
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use webhooks::event::{Envelope, EventKey, Member, Notice};

    use super::*;
    use crate::coupon::Coupon;

    fn event(key: EventKey, at: &str, fact: Fact) -> Event {
        Event {
            key,
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: at.parse().unwrap(),
            sandbox: false,
            received_at: None,
            member: Member {
                id: "ZP-1".into(),
                name: Some("Maria Silva".into()),
                email: Some("maria@example.com".into()),
                phone: Some("+5511965958122".into()),
                tier: None,
            },
            fact,
            envelope: Envelope::default(),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn redeemed(coupon: &str, at: &str) -> Event {
        let redemption = Redemption {
            coupon_code: coupon.into(),
            ..Redemption::default()
        };
        let key = EventKey::redeemed("zupy", "comp", coupon);
        event(key, at, Fact::Redeemed(redemption))
    }

    pub(crate) fn used(order: &str, at: &str) -> Event {
        let usage = Usage {
            coupon_code: "CP-1".into(),
            order_id: Some(order.into()),
            ..Usage::default()
        };
        let key = EventKey::used("zupy", "comp", "CP-1", order);
        event(key, at, Fact::Used(usage))
    }

    fn cancelled(at: &str) -> Event {
        let notice = Notice {
            coupon_code: "CP-1".into(),
            reward_name: None,
            expires_at: None,
        };
        let key = EventKey::once("zupy", "comp", "CP-1", "cancelled");
        event(key, at, Fact::Cancelled(notice))
    }

    /// The findings of the first of these events, with everything else that may matter.
    fn look_at(events: &[Event], history: &[Redeemed], overdue: bool) -> Vec<Finding> {
        let mut coupon = Coupon::default();
        for event in events {
            coupon.ensure(event, event.occurred_at);
        }
        check_all(&Sight {
            event: &events[0],
            coupon: &coupon.overview(),
            conflicts: &[],
            history,
            overdue,
            settings: &Settings::default(),
        })
    }

    #[track_caller]
    pub(crate) fn check(events: &[Event], expected: &[(&str, Severity, &str)]) {
        check_found(look_at(events, &[], false), expected);
    }

    #[track_caller]
    fn check_found(found: Vec<Finding>, expected: &[(&str, Severity, &str)]) {
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.kind.as_str(), it.severity, it.details.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    /// Checks a redemption at 7,200 s, after others.
    #[track_caller]
    fn check_rapid(others: &[i64], is_found: bool) {
        let mut history: Vec<_> = others
            .iter()
            .chain(&[7200])
            .enumerate()
            .map(|(index, second)| Redeemed {
                at: at(*second),
                coupon: format!("zupy#comp#CP-{index}").into(),
                is_settled: false,
            })
            .collect();
        history.sort();
        let redeemed = redeemed("CP-1", &at(7200).to_string());
        let found = look_at(&[redeemed], &history, false);
        let details = format!(
            "at least 5 redemptions of the member in the 3600 s up to {}",
            at(7200)
        );
        let expected = [(RAPID_REDEMPTION, Severity::Medium, details.as_str())];
        check_found(found, &expected[..usize::from(is_found)]);
    }

    #[test]
    fn the_fifth_redemption_in_an_hour_is_one_too_many() {
        check_rapid(&[], false);
        check_rapid(&[7000, 7050, 7100], false);
        check_rapid(&[7000, 7050, 7100, 7150], true);
        check_rapid(&[7000, 7050, 7100, 7150, 7160], true);
    }

    #[test]
    fn an_hour_is_an_hour_before_it() {
        check_rapid(&[3600, 7000, 7100, 7150], true);
        check_rapid(&[3599, 7000, 7100, 7150], false);
        check_rapid(&[7200, 7200, 7200, 7200], true);
        // A later redemption does not make this one too many.
        check_rapid(&[7000, 7100, 7150, 7201], false);
    }

    #[test]
    fn a_second_order_is_a_second_use() {
        let (first, second) = (
            used("ord_1", "2026-11-22T10:00:00Z"),
            used("ord_2", "2026-11-22T11:00:00Z"),
        );
        check(&[first.clone(), second.clone()], &[]);
        check(
            &[second, first],
            &[(
                "duplicate_usage",
                Severity::High,
                "used for order ord_2 at 2026-11-22T11:00:00Z, and before for order ord_1 at 2026-11-22T10:00:00Z",
            )],
        );
    }

    #[test]
    fn every_use_but_the_first_is_a_second_one_and_names_the_first() {
        let uses = ["a", "b", "c"].map(|order| used(order, "2026-11-22T10:00:00Z"));
        let [a, b, c] = uses.clone();
        check(&uses, &[]);
        for later in [b, c] {
            let found = look_at(&[later, a.clone()], &[], false);
            assert!(
                found[0]
                    .details
                    .ends_with("before for order a at 2026-11-22T10:00:00Z")
            );
        }
    }

    #[test]
    fn a_use_in_a_sandbox_is_none() {
        let mut trial = used("ord_0", "2026-11-22T09:00:00Z");
        trial.sandbox = true;
        check(&[used("ord_1", "2026-11-22T10:00:00Z"), trial], &[]);
    }

    fn expiring(at: &str) -> Event {
        let mut event = redeemed("CP-1", "2026-11-01T10:00:00Z");
        if let Fact::Redeemed(redemption) = &mut event.fact {
            redemption.expires_at = Some(at.parse().unwrap());
        }
        event
    }

    #[test]
    fn a_coupon_is_good_until_it_expires_and_not_a_second_longer() {
        let coupon = || expiring("2026-11-22T10:00:00Z");
        check(&[used("1", "2026-11-22T09:59:59Z"), coupon()], &[]);
        check(&[used("1", "2026-11-22T10:00:00Z"), coupon()], &[]);
        check(
            &[used("1", "2026-11-22T10:00:01Z"), coupon()],
            &[(
                "expired_usage",
                Severity::High,
                "used at 2026-11-22T10:00:01Z, expired at 2026-11-22T10:00:00Z",
            )],
        );
        check(
            &[
                used("1", "2026-11-22T10:00:01Z"),
                redeemed("CP-1", "2026-11-01T10:00:00Z"),
            ],
            &[],
        );
    }

    /// A notice at its own time that moves the coupon's expiry.
    fn moved(at: &str, expires_at: &str) -> Event {
        let notice = Notice {
            coupon_code: "CP-1".into(),
            reward_name: None,
            expires_at: Some(expires_at.parse().unwrap()),
        };
        let key = EventKey::repeatable("zupy", "comp", "CP-1", "expiring", expires_at);
        event(key, at, Fact::Expiring(notice))
    }

    #[test]
    fn the_latest_stated_expiry_counts() {
        let coupon = || expiring("2026-11-22T10:00:00Z");
        let used = || used("1", "2026-11-22T12:00:00Z");
        let later = || moved("2026-11-20T10:00:00Z", "2026-11-30T10:00:00Z");
        let earlier = || moved("2026-11-21T10:00:00Z", "2026-11-22T11:00:00Z");
        check(&[used(), coupon(), later()], &[]);
        check(&[used(), later(), coupon()], &[]);
        let expected = [(
            EXPIRED_USAGE,
            Severity::High,
            "used at 2026-11-22T12:00:00Z, expired at 2026-11-22T11:00:00Z",
        )];
        check(&[used(), coupon(), later(), earlier()], &expected);
        check(&[used(), earlier(), later(), coupon()], &expected);
    }

    #[test]
    fn a_cancelled_coupon_must_not_be_used() {
        let cancelled = || cancelled("2026-11-22T10:00:00Z");
        check(&[used("1", "2026-11-22T09:59:59Z"), cancelled()], &[]);
        check(&[used("1", "2026-11-22T10:00:00Z"), cancelled()], &[]);
        check(
            &[used("1", "2026-11-22T10:00:01Z"), cancelled()],
            &[(
                "cancelled_usage",
                Severity::High,
                "used at 2026-11-22T10:00:01Z, cancelled at 2026-11-22T10:00:00Z",
            )],
        );
        check(&[cancelled(), used("1", "2026-11-22T10:00:01Z")], &[]);
    }

    #[test]
    fn a_coupon_is_unknown_once_its_redemption_was_waited_for() {
        let used = used("1", "2026-11-22T10:00:00Z");
        let redeemed = redeemed("CP-1", "2026-11-22T09:00:00Z");
        check_found(look_at(std::slice::from_ref(&used), &[], false), &[]);
        let details = "used, but no redemption was ever received";
        check_found(
            look_at(std::slice::from_ref(&used), &[], true),
            &[(UNKNOWN_COUPON, Severity::High, details)],
        );
        check_found(look_at(&[used, redeemed], &[], true), &[]);
    }

    #[test]
    fn no_rule_has_the_name_of_another() {
        let names: std::collections::BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn a_rule_that_is_switched_off_finds_nothing() {
        let settings = crate::parameters::Parameters::parse("duplicate_usage=off").unwrap();
        let uses = ["1", "2"].map(|order| used(order, "2026-11-22T10:00:00Z"));
        let mut coupon = Coupon::default();
        for used in &uses {
            coupon.ensure(used, used.occurred_at);
        }
        let sight = Sight {
            event: &uses[1],
            coupon: &coupon.overview(),
            conflicts: &[],
            history: &[],
            overdue: false,
            settings: settings.of("comp"),
        };
        assert_eq!(check_all(&sight), []);
    }
}
