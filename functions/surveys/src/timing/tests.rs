//! When surveys are due, over nights of any length.

use std::collections::BTreeMap;

use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;

/// EventBridge Scheduler's smallest quota of invocations per second in a Region
/// ([quotas](https://docs.aws.amazon.com/general/latest/gr/eventbridgescheduler.html)).
const INVOCATIONS_PER_SECOND: usize = 500;

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key(number: u32) -> EventKey {
    EventKey::used("zupy", "comp", &format!("CP-{number}"), "order")
}

fn timing<'a>(zone: &'a TimeZone, quiet: &str) -> Timing<'a> {
    Timing {
        delay: SignedDuration::from_hours(2),
        spread: SignedDuration::from_hours(1),
        quiet: Quiet::parse(quiet).unwrap(),
        zone,
    }
}

/// A use at this time, with an event that comes at once, gets its survey between these times.
#[track_caller]
fn check(zone_name: &str, quiet: &str, used_at: &str, earliest: &str, latest: &str) {
    let zone = zone(zone_name);
    let timing = timing(&zone, quiet);
    let due = timing.due_at(&key(1), at(used_at), at(used_at));
    assert!(at(earliest) <= due && due <= at(latest), "{due}");
}

#[test]
fn a_survey_is_due_two_hours_after_the_use() {
    let check = |used_at, due_at| {
        check("America/Sao_Paulo", "22:00-08:00", used_at, due_at, due_at);
    };
    check("2026-11-25T12:00:00-03:00", "2026-11-25T14:00:00-03:00");
    check("2026-11-25T19:59:59-03:00", "2026-11-25T21:59:59-03:00");
    check("2026-11-25T06:00:00-03:00", "2026-11-25T08:00:00-03:00");
}

#[test]
fn the_quiet_hours_move_it_to_the_morning() {
    let check = |used_at, earliest, latest| {
        check(
            "America/Sao_Paulo",
            "22:00-08:00",
            used_at,
            earliest,
            latest,
        );
    };
    let morning = ("2026-11-26T08:00:00-03:00", "2026-11-26T08:59:59-03:00");
    check("2026-11-25T20:00:00-03:00", morning.0, morning.1);
    check("2026-11-25T23:30:00-03:00", morning.0, morning.1);
    check("2026-11-26T05:59:59-03:00", morning.0, morning.1);
}

#[test]
fn quiet_hours_may_lie_within_a_day() {
    let check = |used_at, earliest, latest| {
        check("UTC", "12:00-14:00", used_at, earliest, latest);
    };
    check(
        "2026-11-25T10:30:00Z",
        "2026-11-25T14:00:00Z",
        "2026-11-25T14:59:59Z",
    );
    let due = "2026-11-25T23:00:00Z";
    check("2026-11-25T21:00:00Z", due, due);
}

#[test]
fn a_night_of_a_clock_change_ends_by_the_clock_on_the_wall() {
    // Nights of 23 and of 25 hours' days.
    check(
        "Europe/Berlin",
        "22:00-08:00",
        "2026-03-28T21:00:00+01:00",
        "2026-03-29T08:00:00+02:00",
        "2026-03-29T08:59:59+02:00",
    );
    check(
        "Europe/Berlin",
        "22:00-08:00",
        "2026-10-24T21:00:00+02:00",
        "2026-10-25T08:00:00+01:00",
        "2026-10-25T08:59:59+01:00",
    );
    // The clock shows 02:30 twice, and the quiet hours end with the second.
    check(
        "Europe/Berlin",
        "22:00-02:30",
        "2026-10-24T22:15:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T02:29:59Z",
    );
    // The day began at one.
    check(
        "America/Sao_Paulo",
        "20:00-00:00",
        "2018-11-03T20:00:00-03:00",
        "2018-11-04T03:00:00Z",
        "2018-11-04T04:00:00Z",
    );
}

#[test]
fn a_use_that_comes_late_is_asked_about_soon() {
    let utc = TimeZone::UTC;
    let timing = timing(&utc, "22:00-08:00");
    let now = at("2026-11-25T12:00:00Z");
    let due = |used_at: &str| timing.due_at(&key(1), at(used_at), now);
    assert_eq!(due("2026-11-25T09:00:00Z"), now + LEAD);
    assert_eq!(due("2026-11-18T12:00:00Z"), now + LEAD);
    // A till with a clock that is a year ahead.
    let delay = SignedDuration::from_hours(2);
    assert_eq!(due("2027-11-25T12:00:00Z"), now + delay);
    let night = at("2026-11-25T23:00:00Z");
    let due = timing.due_at(&key(1), at("2026-11-24T12:00:00Z"), night);
    assert!(due >= at("2026-11-26T08:00:00Z"));
}

#[test]
fn a_use_is_too_long_ago_after_seven_days() {
    let now = at("2026-11-25T12:00:00Z");
    assert!(!is_too_late(at("2026-11-18T12:00:00Z"), now));
    assert!(is_too_late(at("2026-11-18T11:59:59Z"), now));
}

#[test]
fn what_a_parameter_says_is_read_or_refused() {
    let parse = Quiet::parse;
    let quiet = parse(" 22:00 - 08:00 ").unwrap();
    assert_eq!(quiet.length(), SignedDuration::from_hours(10));
    assert!(quiet.holds(Time::constant(23, 0, 0, 0)));
    assert_eq!(parse("off"), Some(Quiet::OFF));
    assert!(!Quiet::OFF.holds(Time::MIN) && !Quiet::OFF.holds(Time::MAX));
    for text in [
        "",
        "22-8",
        "22:00",
        "24:00-08:00",
        "08:00-08:00",
        "08:00-02:01",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
    assert!(parse("08:00-02:00").is_some());
}

#[test]
fn fifty_thousand_held_surveys_keep_to_half_of_the_quota_in_every_second() {
    let zone = zone("America/Sao_Paulo");
    let timing = timing(&zone, "22:00-08:00");
    let used_at = at("2026-11-25T21:00:00-03:00");
    let mut of_seconds: BTreeMap<Timestamp, usize> = BTreeMap::new();
    for number in 0..50_000 {
        let due = timing.due_at(&key(number), used_at, used_at);
        *of_seconds.entry(due).or_default() += 1;
    }
    let most = of_seconds.values().max().unwrap();
    assert!(*most <= INVOCATIONS_PER_SECOND / 2, "{most} in a second");
    let (first, last) = (of_seconds.keys().next(), of_seconds.keys().last());
    assert!(*first.unwrap() >= at("2026-11-26T08:00:00-03:00"));
    assert!(*last.unwrap() < at("2026-11-26T09:00:00-03:00"));
}

fn any_quiet() -> impl Strategy<Value = Quiet> {
    let time = (0_i8..24, 0_i8..60).prop_map(|(hour, minute)| Time::constant(hour, minute, 0, 0));
    let quiet = (time.clone(), time).prop_map(|(from, until)| Quiet { from, until });
    quiet.prop_filter("leaves too little", |quiet| quiet.length() <= QUIET_MAX)
}

proptest! {
    #[test]
    fn a_survey_is_never_due_in_the_quiet_hours_nor_before_its_time(
        second in 1_500_000_000_i64..1_900_000_000,
        quiet in any_quiet(),
        late_s in 0_i64..100_000,
        spread_s in 0_i64..10_800,
        number in any::<u32>(),
        zone_name in prop_oneof![
            Just("America/Sao_Paulo"), Just("Europe/Berlin"), Just("Australia/Lord_Howe"),
            Just("America/New_York"), Just("Asia/Kathmandu"), Just("UTC"),
        ],
    ) {
        let zone = zone(zone_name);
        let timing = Timing {
            delay: SignedDuration::from_hours(2),
            spread: SignedDuration::from_secs(spread_s),
            quiet,
            zone: &zone,
        };
        let used_at = Timestamp::from_second(second).unwrap();
        let now = used_at + SignedDuration::from_secs(late_s);
        let due = timing.due_at(&key(number), used_at, now);
        let earliest = (used_at + timing.delay).max(now + LEAD);
        prop_assert!(due >= earliest);
        let local = due.to_zoned(zone.clone());
        prop_assert!(!quiet.holds(local.time()), "{local} {quiet:?}");
        // A clock change makes a night at most an hour longer.
        let longest = quiet.length() + SignedDuration::from_hours(1) + timing.spread;
        prop_assert!(due <= earliest + longest, "{local} {quiet:?}");
        // The same use always has the same place.
        prop_assert_eq!(timing.due_at(&key(number), used_at, now), due);
    }
}
