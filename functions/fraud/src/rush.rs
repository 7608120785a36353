//! Rushes: a member redeems so fast that every further redemption is a finding.
//!
//! Each finding stays on its own record. But a rush gets one alert, and another whenever its count
//! has doubled: at 5, 10, 20, 40 redemptions. A row of the member lists the alerted rushes. An
//! alert changes that row in the transaction that writes the record. So of several workers at the
//! same time, only one raises the alert.

use std::cmp::Reverse;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use webhooks::ledger::{Change, Item, ItemKey};

use crate::rapid::{RAPID_REDEMPTION, Rapid};

/// How many rushes of a member the row holds: the latest ones.
const RUSHES_MAX: usize = 50;

/// A rush with an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rush {
    /// The earliest known redemption of the rush.
    from: Timestamp,
    /// The time until which a redemption is part of the rush.
    until: Timestamp,
    /// How many redemptions the last alert counted.
    count: usize,
}

/// A member's alerted rushes, as the member's row holds them.
#[derive(Debug, Default)]
pub(crate) struct Rushes {
    /// The row's text at its reading. If the text differs later, another worker has changed the
    /// row.
    seen: Option<String>,
    alerted: Vec<Rush>,
}

/// The effect of a finding on its member's rushes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The rush has an alert, and its count has not doubled since.
    Covered,
    /// As with `Covered`, and the rush goes on.
    Extends(Vec<Rush>),
    /// An alert with this count is due.
    Raises(usize, Vec<Rush>),
}

impl Rushes {
    pub(crate) fn read(row: Option<&Item>) -> Self {
        let seen = row.and_then(|row| row.get("rushes")?.as_s().ok()).cloned();
        let alerted = seen.as_deref().map(serde_json::from_str);
        Self {
            alerted: alerted.and_then(Result::ok).unwrap_or_default(),
            seen,
        }
    }

    /// The effect of a redemption at this time: the `count`th within the rule's window, and one too
    /// many.
    pub(crate) fn step(&self, at: Timestamp, count: usize, rapid: Rapid) -> Step {
        let alerted_at = level(count, rapid.count);
        let mut rushes = self.alerted.clone();
        let of_it = rushes.iter_mut().filter(|it| it.holds(at, rapid));
        let Some(rush) = of_it.max_by_key(|it| it.count) else {
            rushes.push(Rush {
                from: at,
                until: rapid.after(at),
                count: alerted_at,
            });
            rushes.sort_by_key(|it| Reverse(it.until));
            rushes.truncate(RUSHES_MAX);
            return Step::Raises(alerted_at, rushes);
        };
        let is_doubled = alerted_at >= rush.count.saturating_mul(2);
        if is_doubled {
            rush.count = alerted_at;
        }
        // The end moves in steps of half the window, so most redemptions of a rush need not change
        // the row.
        let is_extended = rush.is_extended_by(at, rapid);
        rush.from = rush.from.min(at);
        rush.until = rush.until.max(rapid.after(at));
        match (is_doubled, is_extended) {
            (true, _) => Step::Raises(alerted_at, rushes),
            (false, true) => Step::Extends(rushes),
            (false, false) => Step::Covered,
        }
    }

    /// Writes the row, if nobody has changed it since its reading.
    pub(crate) fn change(&self, key: ItemKey, rushes: &[Rush], forget_at: i64) -> Change {
        let rushes = serde_json::to_string(rushes).expect("times and counts are JSON");
        let change = Change::of(key)
            .set("rushes", AttributeValue::S(rushes))
            .set("ttl", AttributeValue::N(forget_at.to_string()));
        match &self.seen {
            None => change.only_if("attribute_not_exists(#entry)", &[]),
            Some(seen) => {
                let seen = ("seen", AttributeValue::S(seen.clone()));
                change.only_if("#rushes = :seen", &[seen])
            }
        }
    }
}

impl Rush {
    fn holds(&self, at: Timestamp, rapid: Rapid) -> bool {
        rapid.before(self.from) <= at && at <= self.until
    }

    fn is_extended_by(&self, at: Timestamp, rapid: Rapid) -> bool {
        let half = rapid.window() / 2;
        let late = self.until.checked_sub(half).unwrap_or(Timestamp::MIN);
        let early = self.from.checked_sub(half).unwrap_or(Timestamp::MIN);
        at > late || at < early
    }
}

/// The greatest of 5, 10, 20, 40, ... that is at most this count.
fn level(count: usize, first: usize) -> usize {
    let first = first.max(1);
    match (count / first).checked_ilog2() {
        Some(doublings) => first << doublings,
        None => first,
    }
}

/// The name of a rush's alert in a record's list of alerts.
pub(crate) fn name(count: usize) -> String {
    format!("{RAPID_REDEMPTION}/{count}")
}

/// The rule of an alert, and the count if it is a rush's. Records of older code name no count.
pub(crate) fn parse(name: &str) -> (&str, Option<usize>) {
    match name.split_once('/') {
        Some((rule, count)) => (rule, count.parse().ok()),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAPID: Rapid = Rapid {
        count: 5,
        window_s: 3600,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    /// The counts of the alerts that redemptions at these seconds raise.
    fn alerts(redemptions: &[(i64, usize)]) -> Vec<usize> {
        let mut rushes = Rushes::default();
        let mut alerts = Vec::new();
        for (second, count) in redemptions {
            match rushes.step(at(*second), *count, RAPID) {
                Step::Covered => {}
                Step::Extends(alerted) => rushes.alerted = alerted,
                Step::Raises(count, alerted) => {
                    alerts.push(count);
                    rushes.alerted = alerted;
                }
            }
        }
        alerts
    }

    #[test]
    fn a_rush_is_alerted_once_and_whenever_it_has_doubled() {
        let rush: Vec<_> = (5..=300).map(|n| (i64::try_from(n).unwrap(), n)).collect();
        assert_eq!(alerts(&rush), [5, 10, 20, 40, 80, 160]);
        let backwards: Vec<_> = rush.iter().rev().copied().collect();
        assert_eq!(alerts(&backwards), [160]);
    }

    #[test]
    fn a_rush_that_goes_on_for_hours_is_one() {
        let steady: Vec<_> = (0..100).map(|n| (n * 900, 5)).collect();
        assert_eq!(alerts(&steady), [5]);
        let backwards: Vec<_> = steady.iter().rev().copied().collect();
        assert_eq!(alerts(&backwards), [5]);
    }

    #[test]
    fn after_an_hour_without_a_finding_another_rush_begins() {
        assert_eq!(alerts(&[(0, 5), (3600, 5)]), [5]);
        assert_eq!(alerts(&[(0, 5), (3601, 5)]), [5, 5]);
        assert_eq!(alerts(&[(3601, 5), (0, 5)]), [5, 5]);
    }

    #[test]
    fn the_row_is_written_seldom() {
        let rush: Vec<_> = (5..1500).map(|n| (n, 9)).collect();
        let mut rushes = Rushes::default();
        let mut writes = 0;
        for (second, count) in rush {
            match rushes.step(at(second), count, RAPID) {
                Step::Covered => {}
                Step::Extends(alerted) | Step::Raises(_, alerted) => {
                    writes += 1;
                    rushes.alerted = alerted;
                }
            }
        }
        assert_eq!(writes, 1);
    }

    #[test]
    fn few_rushes_are_remembered() {
        let many: Vec<_> = (0..200).map(|n| (n * 10_000, 5)).collect();
        assert_eq!(alerts(&many).len(), 200);
        let mut rushes = Rushes::default();
        for (second, count) in many {
            if let Step::Raises(_, alerted) = rushes.step(at(second), count, RAPID) {
                rushes.alerted = alerted;
            }
        }
        assert_eq!(rushes.alerted.len(), RUSHES_MAX);
        assert_eq!(rushes.step(at(1_990_000), 5, RAPID), Step::Covered);
    }

    #[test]
    fn an_alert_is_named_with_its_count() {
        assert_eq!(parse(&name(40)), (RAPID_REDEMPTION, Some(40)));
        assert_eq!(parse("rapid_redemption"), (RAPID_REDEMPTION, None));
        assert_eq!(parse("final_value"), ("final_value", None));
    }
}
