//! How long a use waits for its redemption before the coupon counts as unknown.
//!
//! The grace counts from the recording of the use. After an outage a use and its redemption wait in
//! one queue, in no order. The ledger may record them minutes apart. The use's own message is the
//! timer. If the message comes much later than planned, a store or a queue was down, and the
//! redemption may still be on its way. Then the grace begins again, a few times at most.

use jiff::{SignedDuration, Timestamp};

/// How late a message comes in ordinary times.
const PUNCTUAL: SignedDuration = SignedDuration::from_secs(60);

/// The longest delay of a message that waits for the end of an outage, with some reserve.
const RETRIED_WITHIN: SignedDuration = SignedDuration::from_mins(16);

/// The most waits of a use.
const WAITS_MAX: u32 = 5;

/// A use that waits for its redemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) until: Timestamp,
    /// How many waits began.
    pub(crate) number: u32,
}

impl Wait {
    pub(crate) fn new(recorded_at: Timestamp, grace: SignedDuration) -> Self {
        let until = recorded_at.checked_add(grace).unwrap_or(Timestamp::MAX);
        Self { until, number: 1 }
    }

    /// The wait that remains now; `None` after the grace.
    pub(crate) fn at(self, now: Timestamp, grace: SignedDuration) -> Option<Self> {
        let late = now.duration_since(self.until);
        if late < SignedDuration::ZERO {
            return Some(self);
        }
        if late <= PUNCTUAL || grace.is_zero() || self.number >= WAITS_MAX {
            return None;
        }
        Some(Self {
            number: self.number + 1,
            // No message of an outage has a delay longer than the outage.
            ..Self::new(now, grace.max(late.min(RETRIED_WITHIN)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    #[track_caller]
    fn check(grace_s: i64, now: i64, until: Option<i64>) {
        let grace = SignedDuration::from_secs(grace_s);
        let wait = Wait::new(at(0), grace).at(at(now), grace);
        assert_eq!(wait.map(|it| it.until), until.map(at));
    }

    #[test]
    fn a_use_waits_until_its_grace_is_over() {
        check(3600, 0, Some(3600));
        check(3600, 3599, Some(3600));
        check(3600, 3600, None);
        check(3600, 3660, None);
        check(0, 1, None);
        check(0, 86_400, None);
    }

    #[test]
    fn a_message_that_comes_late_comes_after_an_outage() {
        check(3600, 3661, Some(3661 + 3600));
        check(3600, 86_400, Some(86_400 + 3600));
        // With a short grace, the wait is as long as the outage may delay messages.
        check(10, 110, Some(110 + 100));
        check(10, 86_400, Some(86_400 + 16 * 60));
    }

    #[test]
    fn it_does_not_wait_for_ever() {
        let mut wait = Wait::new(at(0), HOUR);
        let mut now = at(0);
        while let Some(next) = wait.at(now, HOUR) {
            wait = next;
            now = wait.until + SignedDuration::from_hours(24);
        }
        assert_eq!(wait.number, WAITS_MAX);
    }
}
