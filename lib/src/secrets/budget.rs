//! A budget that limits the actions that strangers can cause.

use std::time::Duration;

use tokio::time::Instant;

/// Allows `max` actions at once, and one more after each pause.
#[derive(Debug)]
pub(super) struct Budget {
    max: u32,
    pause: Duration,
    left: u32,
    /// When the oldest pause that still runs began.
    since: Instant,
}

impl Budget {
    pub(super) fn new(max: u32, pause: Duration, now: Instant) -> Self {
        Self {
            max,
            pause,
            left: max,
            since: now,
        }
    }

    /// Whether an action is allowed now. An allowed action counts as done.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        let pauses = elapsed.as_nanos() / self.pause.as_nanos().max(1);
        let pauses = u32::try_from(pauses).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(pauses).min(self.max);
        self.since = match self.left == self.max {
            true => now,
            false => self.since + self.pause * pauses,
        };
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_one_more_after_each_pause() {
        let start = Instant::now();
        let mut budget = Budget::new(2, Duration::from_secs(5), start);
        let mut check = |ms: u64, expected: bool| {
            let now = start + Duration::from_millis(ms);
            assert_eq!(budget.take(now), expected, "after {ms} ms");
        };
        check(0, true);
        check(0, true);
        check(0, false);
        check(4_999, false);
        check(5_000, true);
        check(5_001, false);
        // Unused actions are saved up to `max`.
        check(1_000_000, true);
        check(1_000_000, true);
        check(1_000_000, false);
        check(1_004_999, false);
        check(1_005_000, true);
    }
}
