//! What time it is: the clock on the wall, which the local system sets ahead of itself.

use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};

/// How far a process's clock is ahead, in milliseconds. The local system gives this variable to the
/// processes that it starts after somebody has let time pass; nothing sets it on AWS.
pub const AHEAD_MS: &str = "LOCAL_CLOCK_AHEAD_MS";

static AHEAD: OnceLock<SignedDuration> = OnceLock::new();

/// The time. It is read at the edge of a process, and an argument everywhere else.
pub fn now() -> Timestamp {
    let ahead = AHEAD.get_or_init(|| ahead(std::env::var(AHEAD_MS).ok().as_deref()));
    let now = Timestamp::now().checked_add(*ahead);
    now.unwrap_or(Timestamp::MAX)
}

/// Sets this process's clock as far ahead as the local system's, which the process works on. The
/// first setting counts, and only before the time is first read.
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
    fn a_clock_is_ahead_by_what_the_variable_says_and_else_not_at_all() {
        assert_eq!(ahead(Some("7200000")), SignedDuration::from_hours(2));
        for text in [None, Some(""), Some("-1"), Some("soon")] {
            assert_eq!(ahead(text), SignedDuration::ZERO, "{text:?}");
        }
    }
}
