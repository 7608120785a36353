//! The whole system's clock, which people and tests can move ahead. The clock stays ahead after a
//! restart of the system.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use emulators::clock::Clock;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

/// The furthest that the clock can be ahead: ten years, within which every calculated date is
/// valid.
pub(crate) const AHEAD_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[derive(Debug)]
pub(crate) struct KeptClock {
    clock: Clock,
    /// The file with the milliseconds that the clock is ahead.
    file: Option<PathBuf>,
    /// Held while time passes, so that one move ends before the next begins.
    moving: Mutex<()>,
}

impl KeptClock {
    /// Opens the real clock, or with a directory a clock that is as far ahead as before.
    pub(crate) fn open(data_dir: Option<&Path>) -> anyhow::Result<KeptClock> {
        let file = data_dir.map(|directory| directory.join("clock"));
        let ahead_ms = match &file {
            Some(path) if path.exists() => {
                let place = || format!("reading {}", path.display());
                let text = std::fs::read_to_string(path).with_context(place)?;
                text.trim().parse().with_context(place)?
            }
            _ => 0,
        };
        Ok(KeptClock {
            clock: Clock::wall(Duration::from_millis(ahead_ms)),
            file,
            moving: Mutex::default(),
        })
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn ahead(&self) -> Duration {
        self.clock.ahead()
    }

    /// Lets one move end before the next begins.
    pub(crate) async fn begin_move(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().await
    }

    /// Writes how far ahead the clock is about to be.
    pub(crate) fn keep(&self, ahead: Duration) -> anyhow::Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let place = || format!("writing {}", path.display());
        let beside = path.with_extension("new");
        std::fs::write(&beside, ahead.as_millis().to_string()).with_context(place)?;
        std::fs::rename(&beside, path).with_context(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_as_far_ahead_as_before_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let open = || KeptClock::open(Some(directory.path()));
        let clock = open().unwrap();
        assert_eq!(clock.ahead(), Duration::ZERO);
        let ahead = Duration::from_secs(7_200);
        clock.keep(ahead).unwrap();
        assert_eq!(open().unwrap().ahead(), ahead);
        std::fs::write(directory.path().join("clock"), "soon").unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("clock"), "{error}");
    }
}
