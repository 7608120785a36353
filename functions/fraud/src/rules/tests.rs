use jiff::Timestamp;
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
        .map(|finding| {
            (
                finding.kind.as_str(),
                finding.severity,
                finding.details.as_str(),
            )
        })
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
    // Readers of findings know these names.
    assert_eq!(names, webhooks::fraud::RULES.into_iter().collect());
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
