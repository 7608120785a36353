//! The current time: the real clock, which the local system can set ahead.

use std::sync::OnceLock;

use domain::environment::AHEAD_MS;
use jiff::{SignedDuration, Timestamp};

static AHEAD: OnceLock<SignedDuration> = OnceLock::new();

/// The current time. Code reads it at the edge of a process, and passes it as an argument
/// everywhere else.
pub fn now() -> Timestamp {
    let ahead = AHEAD.get_or_init(|| ahead(std::env::var(AHEAD_MS).ok().as_deref()));
    let now = Timestamp::now().checked_add(*ahead);
    now.unwrap_or(Timestamp::MAX)
}

/// Sets this process's clock as far ahead as the local system's. Only the first setting counts, and
/// only before the time is first read.
pub fn set_ahead(ahead: SignedDuration) {
    let _ = AHEAD.set(ahead);
}

fn ahead(milliseconds: Option<&str>) -> SignedDuration {
    let milliseconds = milliseconds.and_then(|text| text.parse::<i64>().ok());
    SignedDuration::from_millis(milliseconds.unwrap_or_default().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_variable_sets_the_clock_ahead() {
        assert_eq!(ahead(Some("7200000")), SignedDuration::from_hours(2));
        for text in [None, Some(""), Some("-1"), Some("soon")] {
            assert_eq!(ahead(text), SignedDuration::ZERO, "{text:?}");
        }
    }
}
