//! The emulators' clock, and how time passes on it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

/// The longest single wait before another look at the clock, because tokio's timers have a limit.
const LOOK_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// A clock that moves ahead on request, never back; clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    base: Base,
    /// How far the clock is ahead of its base, in milliseconds.
    ahead_ms: Arc<watch::Sender<i64>>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Base {
    #[default]
    Wall,
    /// The first moment plus the time that has passed on tokio's clock. A paused runtime jumps from
    /// timer to timer.
    Simulated { began_at: Timestamp, began: Instant },
}

impl Default for Clock {
    /// The real clock.
    fn default() -> Clock {
        Clock::wall(Duration::ZERO)
    }
}

impl Clock {
    /// A clock that is this far ahead of the real one.
    pub fn wall(ahead: Duration) -> Clock {
        Clock {
            base: Base::Wall,
            ahead_ms: Arc::new(watch::Sender::new(milliseconds(ahead))),
        }
    }

    /// Simulated time that begins here.
    pub fn simulated(began_at: Timestamp) -> Clock {
        Clock {
            base: Base::Simulated {
                began_at,
                began: Instant::now(),
            },
            ..Clock::default()
        }
    }

    pub fn now(&self) -> Timestamp {
        let base = match self.base {
            Base::Wall => Timestamp::now(),
            Base::Simulated { began_at, began } => {
                let elapsed = SignedDuration::try_from(began.elapsed());
                let now = elapsed.ok().and_then(|it| began_at.checked_add(it).ok());
                now.unwrap_or(Timestamp::MAX)
            }
        };
        let ahead = SignedDuration::from_millis(*self.ahead_ms.borrow());
        base.checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// How far the clock is ahead.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis((*self.ahead_ms.borrow()).unsigned_abs())
    }

    /// Lets this much time pass at once, which wakes every wait for a time in between.
    pub fn advance(&self, by: Duration) {
        let by_ms = milliseconds(by);
        self.ahead_ms
            .send_modify(|ahead_ms| *ahead_ms = ahead_ms.saturating_add(by_ms));
    }

    /// Changes with every move of the clock.
    pub(crate) fn moves(&self) -> watch::Receiver<i64> {
        self.ahead_ms.subscribe()
    }

    /// Waits until the clock shows this time.
    pub async fn until(&self, at: Timestamp) {
        let mut moves = self.moves();
        loop {
            let left = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            // The sender lives in `self`, so the channel cannot close meanwhile.
            let _ = tokio::time::timeout(left.min(LOOK_AGAIN), moves.changed()).await;
        }
    }

    /// Waits for this long.
    pub async fn sleep(&self, time: Duration) {
        let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        let at = self.now().checked_add(time).unwrap_or(Timestamp::MAX);
        self.until(at).await;
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn noon() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn goes_on_and_is_moved_ahead_in_every_clone() {
        let clock = Clock::simulated(noon());
        tokio::time::sleep(HOUR).await;
        assert_eq!(clock.now().to_string(), "2026-11-28T13:00:00Z");
        clock.clone().advance(2 * HOUR);
        assert_eq!(clock.now().to_string(), "2026-11-28T15:00:00Z");
        assert_eq!(clock.ahead(), 2 * HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_the_clock_moves_past_its_time() {
        let clock = Clock::simulated(noon());
        let waits = clock.clone();
        let waiting = tokio::spawn(async move { waits.sleep(5 * HOUR).await });
        tokio::time::sleep(HOUR).await;
        clock.advance(3 * HOUR);
        tokio::time::sleep(HOUR / 2).await;
        assert!(!waiting.is_finished());
        clock.advance(HOUR);
        waiting.await.unwrap();
        // The wait ended with the move past 17:00, five hours after noon.
        assert_eq!(clock.now().to_string(), "2026-11-28T17:30:00Z");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_years_ends() {
        let clock = Clock::simulated(noon());
        let later = "2031-01-01T00:00:00Z".parse().unwrap();
        clock.until(later).await;
        assert_eq!(clock.now(), later);
    }
}
