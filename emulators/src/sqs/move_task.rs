//! A message move task: which messages it moves, how fast, and how far it is.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MoveTask {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) destination: Option<String>,
    pub(super) messages_per_s: Option<u32>,
    pub(super) status: MoveStatus,
    pub(super) moved: u64,
    pub(super) to_move: u64,
    pub(super) started_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum MoveStatus {
    Running,
    Completed,
    Cancelled,
    Failed(String),
}

impl MoveTask {
    /// When the task moves its next message, if its rate makes it wait.
    pub(super) fn next_step_ms(&self) -> Option<i64> {
        let messages_per_s = self
            .messages_per_s
            .filter(|_| self.status == MoveStatus::Running)?;
        let elapsed_ms = ((self.moved + 1) * 1000).div_ceil(u64::from(messages_per_s));
        Some(self.started_ms + elapsed_ms as i64)
    }

    /// How many messages the task may have moved by now.
    pub(super) fn allowed(&self, now_ms: i64) -> u64 {
        let elapsed_ms = u64::try_from(now_ms - self.started_ms).unwrap_or_default();
        let by_rate = self
            .messages_per_s
            .map(|rate| elapsed_ms * u64::from(rate) / 1000);
        by_rate.map_or(self.to_move, |by_rate| by_rate.min(self.to_move))
    }
}
