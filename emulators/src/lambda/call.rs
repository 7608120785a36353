//! What a process asks of the Runtime API, and the event that it gets.

use axum::body::Bytes;
use tokio::sync::oneshot;

use super::{Failure, Invoked};

/// A request of the process to the Runtime API.
pub(super) enum Call {
    Next(oneshot::Sender<Handed>),
    Answer {
        request_id: String,
        outcome: Invoked,
        accepted: oneshot::Sender<bool>,
    },
    InitError(Failure),
}

/// An event for the process.
pub(super) struct Handed {
    pub(super) request_id: String,
    pub(super) deadline_ms: i64,
    pub(super) function_arn: String,
    pub(super) trace: String,
    pub(super) payload: Bytes,
}
