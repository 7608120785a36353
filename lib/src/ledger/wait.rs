//! How long a worker waits for what another worker holds.

use std::time::Duration;

use tokio::time::Instant;

/// The longest wait for another worker's lease.
const LONGEST: Duration = Duration::from_secs(3);

/// The first pause between two attempts. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A wait that began before the first attempt.
#[derive(Debug)]
pub(crate) struct Wait {
    ends_at: Instant,
    pause: Duration,
}

impl Wait {
    pub(crate) fn begin() -> Self {
        Self {
            ends_at: Instant::now() + LONGEST,
            pause: FIRST_PAUSE,
        }
    }

    /// Pauses before the next attempt. Returns false at once if the pause would be too long.
    pub(crate) async fn pause(&mut self) -> bool {
        if Instant::now() + self.pause > self.ends_at {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause *= 2;
        true
    }

    /// Whether the next attempt may come at once.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() <= self.ends_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end_after_three_seconds() {
        let began = Instant::now();
        let mut wait = Wait::begin();
        let mut pauses = Vec::new();
        while wait.pause().await {
            pauses.push(began.elapsed().as_millis());
        }
        assert_eq!(pauses, [50, 150, 350, 750, 1550]);
        assert!(wait.goes_on());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!wait.goes_on());
    }
}
