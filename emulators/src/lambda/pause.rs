//! Lets time pass between invocations, and never within one.

use std::sync::Arc;
use std::time::Duration;

use super::pool::Function;
use super::{Lambda, Shared, lock};

/// How often a pause checks whether the last invocation has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// While this value exists, no invocation starts; new ones wait.
pub struct Paused {
    shared: Arc<Shared>,
}

impl Lambda {
    /// Starts no further invocation, and waits for the end of the running ones. Returns `None` if
    /// one of them takes longer than `within`.
    pub async fn pause(&self, within: Duration) -> Option<Paused> {
        let shared = Arc::clone(&self.shared);
        shared.set_paused(true);
        // From here on, dropping the value resumes.
        let paused = Paused { shared };
        let ended = async {
            while paused.shared.functions().iter().any(|it| it.has_busy()) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(within, ended).await.ok()?;
        Some(paused)
    }
}

impl Paused {
    /// Ends all processes, because each has the clock of its start. The next invocations start new
    /// processes.
    pub fn renew_processes(&self) {
        self.shared.generation.send_modify(|it| *it += 1);
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.shared.set_paused(false);
    }
}

impl Shared {
    fn functions(&self) -> Vec<Arc<Function>> {
        lock(&self.functions).values().cloned().collect()
    }

    fn set_paused(self: &Arc<Self>, is_paused: bool) {
        for function in self.functions() {
            function.set_paused(is_paused);
            self.add_capacity(&function);
        }
    }
}
