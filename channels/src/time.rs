//! The time that a step may take. No step begins that the invocation's end could cut off, because
//! then nobody would know its outcome.

use std::time::Duration;

use tokio::time::Instant;
use webhooks::config::CallLimits;
use webhooks::invocation::Invocation;
use webhooks::worker;

/// The time to claim an effect.
pub const CLAIM: Duration = CallLimits::TASK.call;

/// The time to send something, on any channel.
pub const SEND: Duration = CallLimits::ONCE.call;

/// The time after a step: to record its outcome, before the worker gives back unfinished messages.
const SETTLING: Duration = CallLimits::TASK.call.saturating_add(worker::MARGIN);

/// Whether a step that takes at most `step` ends in time to record its outcome.
pub fn has_time(invocation: Invocation, step: Duration) -> bool {
    Instant::now() < invocation.before_end(step + SETTLING)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    #[test]
    fn nothing_is_begun_that_the_invocations_end_could_cut_off() {
        let now = Timestamp::UNIX_EPOCH;
        let ending_in = |s| Invocation::new(now, now + SignedDuration::from_secs(s));
        // 18 s to send, 7 s to record the outcome, 4 s for the worker.
        assert!(has_time(ending_in(30), SEND));
        assert!(!has_time(ending_in(29), SEND));
        assert!(has_time(ending_in(37), CLAIM + SEND));
        assert!(!has_time(ending_in(36), CLAIM + SEND));
        assert!(!has_time(ending_in(1), Duration::ZERO));
    }

    #[test]
    fn a_reminder_has_time_for_its_reads_though_each_is_as_slow_as_it_may_be() {
        let reads = CallLimits::TASK.call * 3;
        assert!(CLAIM + reads + SEND + SETTLING < Duration::from_secs(60));
    }
}
