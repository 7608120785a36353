//! What does not look right: one function for each rule, over an event and what is known beside it, in one table.
//!
//! What a rule says depends on nothing but what it sees, so that it says the same of an event whenever it is asked, once all is
//! known. A new one is a function, its test, and a line in the table.
//!
//! A code of Aghanim's is shared by players, and each redemption of it is a coupon of its own here, which is never told to be
//! used: of all rules only `rapid_redemption` can apply.

use jiff::{SignedDuration, Timestamp};
use webhooks::event::{Event, Fact, Money, Redemption, Usage};
use webhooks::fraud::{Finding, Severity};

use crate::coupon::Coupon;
use crate::history::Redeemed;
use crate::parameters::Settings;

/// Something to look for.
pub(crate) struct Rule {
    /// By which it is switched on and off.
    pub(crate) name: &'static str,
    /// The type of its findings.
    kind: &'static str,
    severity: Severity,
    /// What is not right about the event, if anything is.
    check: fn(&Sight<'_>) -> Option<String>,
}

/// What a rule sees.
pub(crate) struct Sight<'a> {
    pub(crate) event: &'a Event,
    /// All that is known of its coupon, this event included.
    pub(crate) coupon: &'a Coupon,
    /// Of a redemption: all of the member's about its time, this one included.
    pub(crate) history: &'a [Redeemed],
    /// Of a use: its redemption was waited for long enough.
    pub(crate) overdue: bool,
    pub(crate) settings: &'a Settings,
}

pub(crate) const RAPID_REDEMPTION: &str = "rapid_redemption";
pub(crate) const UNKNOWN_COUPON: &str = "unknown_coupon";
const EXCESSIVE_DISCOUNT: &str = "excessive_discount";

pub(crate) const RULES: [Rule; 9] = [
    Rule::new(RAPID_REDEMPTION, Severity::Medium, rapid_redemption),
    Rule::new("duplicate_usage", Severity::High, duplicate_usage),
    Rule::new("expired_usage", Severity::High, expired_usage),
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

    /// Its findings have the type of another rule's.
    const fn finds(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}

/// All that is found, in the table's order.
pub(crate) fn look(sight: &Sight<'_>) -> Vec<Finding> {
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

/// Where a rule stands in the table; behind it, where it is one of other code.
pub(crate) fn place(rule: &str) -> usize {
    let found = RULES.iter().position(|it| it.name == rule);
    found.unwrap_or(RULES.len())
}

/// The member redeemed often within a short time up to this redemption. Those before it that are not too many yet are not
/// found fault with, whatever came after them.
fn rapid_redemption(sight: &Sight<'_>) -> Option<String> {
    let Fact::Redeemed(_) = sight.event.fact else {
        return None;
    };
    let rapid = sight.settings.rapid;
    let at = sight.event.occurred_at;
    rapid.is_reached(sight.history, at).then(|| {
        // How many more there are is not told: others may come late.
        format!(
            "at least {} redemptions of the member in the {} s up to {at}",
            rapid.count, rapid.window_s
        )
    })
}

/// The coupon was used before, for another order.
fn duplicate_usage(sight: &Sight<'_>) -> Option<String> {
    let usage = usage(sight.event)?;
    let first = sight.coupon.uses().into_iter().next()?;
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

fn expired_usage(sight: &Sight<'_>) -> Option<String> {
    usage(sight.event)?;
    let expires_at = redemption(sight)?.expires_at?;
    let used_at = sight.event.occurred_at;
    (used_at > expires_at).then(|| format!("used at {used_at}, expired at {expires_at}"))
}

fn cancelled_usage(sight: &Sight<'_>) -> Option<String> {
    usage(sight.event)?;
    let cancelled_at = sight.coupon.cancelled()?.occurred_at;
    let used_at = sight.event.occurred_at;
    (used_at > cancelled_at).then(|| format!("used at {used_at}, cancelled at {cancelled_at}"))
}

fn unknown_coupon(sight: &Sight<'_>) -> Option<String> {
    usage(sight.event)?;
    let is_unknown = sight.overdue && sight.coupon.redemption().is_none();
    is_unknown.then(|| "used, and no redemption of it was ever told".to_owned())
}

/// More was taken off than the order was worth.
fn excessive_discount(sight: &Sight<'_>) -> Option<String> {
    let usage = usage(sight.event)?;
    let (discount, value) = (
        usage.discount_applied.as_ref()?,
        usage.order_value.as_ref()?,
    );
    exceeds(discount, value).then(|| {
        format!(
            "a discount of {} on an order of {}",
            told(discount),
            told(value)
        )
    })
}

/// More was taken off than the coupon was good for.
fn maximum_discount(sight: &Sight<'_>) -> Option<String> {
    let discount = usage(sight.event)?.discount_applied.as_ref()?;
    let maximum = redemption(sight)?.discount.as_ref()?.maximum.as_ref()?;
    exceeds(discount, maximum).then(|| {
        format!(
            "a discount of {}, where {} is the coupon's maximum",
            told(discount),
            told(maximum)
        )
    })
}

/// The order was too small for the coupon.
fn minimum_purchase(sight: &Sight<'_>) -> Option<String> {
    let value = usage(sight.event)?.order_value.as_ref()?;
    let discount = redemption(sight)?.discount.as_ref()?;
    let minimum = discount.minimum_purchase.as_ref()?;
    exceeds(minimum, value).then(|| {
        format!(
            "an order of {}, where {} is the coupon's minimum",
            told(value),
            told(minimum)
        )
    })
}

/// What the customer paid is not what was left. Nobody gets money back: of a discount above the order's value nothing is
/// left.
fn final_value(sight: &Sight<'_>) -> Option<String> {
    let usage = usage(sight.event)?;
    let discount = usage.discount_applied.as_ref()?;
    let (value, paid) = (usage.order_value.as_ref()?, usage.final_value.as_ref()?);
    if discount.currency != value.currency || paid.currency != value.currency {
        return None;
    }
    let left = value.amount.checked_sub(discount.amount)?.max(0.into());
    (paid.amount != left).then(|| {
        format!(
            "{} was paid, where an order of {} with a discount of {} leaves {}",
            told(paid),
            told(value),
            told(discount),
            told(&Money::new(left, &value.currency))
        )
    })
}

fn usage(event: &Event) -> Option<&Usage> {
    match &event.fact {
        Fact::Used(usage) => Some(usage),
        _ => None,
    }
}

fn redemption<'a>(sight: &Sight<'a>) -> Option<&'a Redemption> {
    match &sight.coupon.redemption()?.fact {
        Fact::Redeemed(redemption) => Some(redemption),
        _ => None,
    }
}

/// Amounts of two currencies cannot be compared.
fn exceeds(more: &Money, less: &Money) -> bool {
    more.currency == less.currency && more.amount > less.amount
}

fn told(money: &Money) -> String {
    format!("{} {}", money.amount, money.currency)
}

/// How many redemptions of one member within how long are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rapid {
    pub(crate) count: usize,
    pub(crate) window_s: i64,
}

impl Rapid {
    pub(crate) fn window(self) -> SignedDuration {
        SignedDuration::from_secs(self.window_s)
    }

    /// Whether one at this time is one too many.
    pub(crate) fn is_reached(self, history: &[Redeemed], at: Timestamp) -> bool {
        let since = at.checked_sub(self.window()).unwrap_or(Timestamp::MIN);
        let within = history.iter().filter(|it| since <= it.at && it.at <= at);
        within.count() >= self.count
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use webhooks::event::{Discount, DiscountKind, Envelope, EventKey, Member, Notice};

    use super::*;

    fn event(key: EventKey, at: &str, fact: Fact) -> Event {
        Event {
            key,
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: at.parse().unwrap(),
            sandbox: false,
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

    /// What is found of the first of some events of a coupon, with all else that may matter.
    fn look_at(events: &[Event], history: &[Redeemed], overdue: bool) -> Vec<Finding> {
        let mut coupon = Coupon::default();
        for event in events {
            coupon.ensure(event, event.occurred_at);
        }
        look(&Sight {
            event: &events[0],
            coupon: &coupon,
            history,
            overdue,
            settings: &Settings::default(),
        })
    }

    #[track_caller]
    fn check(events: &[Event], expected: &[(&str, Severity, &str)]) {
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

    /// Looks at a redemption at 7,200 s, after others.
    #[track_caller]
    fn check_rapid(others: &[i64], is_found: bool) {
        let history: Vec<_> = others
            .iter()
            .chain(&[7200])
            .enumerate()
            .map(|(index, second)| Redeemed {
                at: at(*second),
                coupon: format!("zupy#comp#CP-{index}"),
                is_told: false,
            })
            .collect();
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
        // What comes later does not make it one too many.
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

    #[test]
    fn what_was_cancelled_is_not_used_after_that() {
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
        let details = "used, and no redemption of it was ever told";
        check_found(
            look_at(std::slice::from_ref(&used), &[], true),
            &[(UNKNOWN_COUPON, Severity::High, details)],
        );
        check_found(look_at(&[used, redeemed], &[], true), &[]);
    }

    /// Amounts are `discount, order, paid`, empty where they are not told.
    fn paid(amounts: [&str; 3]) -> Event {
        let mut event = used("1", "2026-11-22T10:00:00Z");
        let [discount, order, paid] = amounts.map(money);
        if let Fact::Used(usage) = &mut event.fact {
            usage.discount_applied = discount;
            usage.order_value = order;
            usage.final_value = paid;
        }
        event
    }

    fn money(amount: &str) -> Option<Money> {
        let (amount, currency) = match amount.split_once(' ') {
            Some(both) => both,
            None => (amount, "BRL"),
        };
        (!amount.is_empty()).then(|| Money::new(amount.parse().unwrap(), currency))
    }

    fn good_for(maximum: &str, minimum: &str) -> Event {
        let mut event = redeemed("CP-1", "2026-11-01T10:00:00Z");
        if let Fact::Redeemed(redemption) = &mut event.fact {
            redemption.discount = Some(Discount {
                kind: DiscountKind::Percentage,
                value: None,
                maximum: money(maximum),
                minimum_purchase: money(minimum),
            });
        }
        event
    }

    #[test]
    fn a_discount_is_at_most_the_whole_order() {
        check(&[paid(["34.99", "35", ""])], &[]);
        check(&[paid(["35.00", "35", "0"])], &[]);
        let details = "a discount of 35.01 BRL on an order of 35 BRL";
        let expected = [(EXCESSIVE_DISCOUNT, Severity::Critical, details)];
        check(&[paid(["35.01", "35", ""])], &expected);
        // And nothing is left to be paid.
        check(&[paid(["35.01", "35", "0"])], &expected);
        check(&[paid(["35.01 USD", "35", ""])], &[]);
        check(&[paid(["35.01", "", "1"])], &[]);
    }

    #[test]
    fn a_discount_is_at_most_what_the_coupon_is_good_for() {
        check(&[paid(["20", "100", "80"]), good_for("20.00", "")], &[]);
        check(
            &[paid(["20.01", "100", ""]), good_for("20.00", "")],
            &[(
                EXCESSIVE_DISCOUNT,
                Severity::Medium,
                "a discount of 20.01 BRL, where 20 BRL is the coupon's maximum",
            )],
        );
        check(&[paid(["20.01", "100", ""]), good_for("20 USD", "")], &[]);
    }

    #[test]
    fn an_order_is_at_least_what_the_coupon_asks_for() {
        check(&[paid(["1", "50", ""]), good_for("", "50.00")], &[]);
        check(
            &[paid(["1", "49.99", ""]), good_for("", "50.00")],
            &[(
                EXCESSIVE_DISCOUNT,
                Severity::Medium,
                "an order of 49.99 BRL, where 50 BRL is the coupon's minimum",
            )],
        );
    }

    #[test]
    fn what_is_paid_is_what_is_left_to_the_cent() {
        check(&[paid(["17.50", "50", "32.5"])], &[]);
        for amount in ["32.51", "32.49"] {
            let details = format!(
                "{amount} BRL was paid, where an order of 50 BRL with a discount of 17.5 BRL leaves 32.5 BRL"
            );
            let expected = [(EXCESSIVE_DISCOUNT, Severity::Medium, details.as_str())];
            check(&[paid(["17.50", "50", amount])], &expected);
        }
        check(&[paid(["17.50", "50", "1 USD"])], &[]);
    }

    #[test]
    fn no_rule_has_the_name_of_another() {
        let names: std::collections::BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn a_rule_that_is_switched_off_finds_nothing() {
        let settings = crate::parameters::Parameters::parse("excessive_discount=off").unwrap();
        let used = paid(["36", "35", ""]);
        let coupon = Coupon::default();
        let sight = Sight {
            event: &used,
            coupon: &coupon,
            history: &[],
            overdue: false,
            settings: settings.of("comp"),
        };
        assert_eq!(look(&sight), []);
    }
}
