//! Lets time pass between invocations, and never within one.

use std::sync::Arc;
use std::time::Duration;

use super::pool::Function;
use super::{Lambda, Shared, lock};

/// How often a pause looks whether the last invocation has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// While this lives, no invocation is handed to a process; what is invoked waits.
pub(crate) struct Paused {
    shared: Arc<Shared>,
}

impl Lambda {
    /// Hands over no further invocation, and waits for the end of those that run. `None` if one of
    /// them takes longer than `within`.
    pub(crate) async fn pause(&self, within: Duration) -> Option<Paused> {
        let shared = Arc::clone(&self.shared);
        shared.set_paused(true);
        // From here on dropping it resumes.
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
    /// Ends all processes, since each has the clock that it was started with. The next invocations
    /// start others.
    pub(crate) fn renew_processes(&self) {
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
