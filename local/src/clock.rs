//! What time it is for the emulators.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    #[default]
    Wall,
    /// As much later than a first moment as tokio's clock has gone on since: a paused runtime jumps from timer to timer.
    Simulated { began_at: Timestamp, began: Instant },
}

impl Clock {
    /// Simulated time that begins here.
    pub fn simulated(began_at: Timestamp) -> Clock {
        Clock::Simulated {
            began_at,
            began: Instant::now(),
        }
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Clock::Wall => Timestamp::now(),
            Clock::Simulated { began_at, began } => {
                let elapsed = SignedDuration::try_from(began.elapsed());
                let now = elapsed.ok().and_then(|it| began_at.checked_add(it).ok());
                now.unwrap_or(Timestamp::MAX)
            }
        }
    }
}
