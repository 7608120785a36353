//! Work on messages whose events may be in the ledger only: reads these events before the work
//! begins.

use std::borrow::Cow;
use std::future::Future;

use anyhow::Context;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::{BatchWork, Work};
use crate::config::{Aws, CallLimits, Environment};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::ledger::Ledger;
use crate::task::{Elsewhere, MESSAGE_VERSION, Message, Queued};

/// A task's work, and the ledger that holds the events that are too large for its queue.
#[derive(Debug)]
pub struct FromLedger<W> {
    ledger: Ledger,
    work: W,
}

/// Makes a task's work from the environment, as [`run`](super::run) takes it.
pub fn from_ledger<W>(
    read: impl FnOnce(&mut Environment, &Aws) -> W,
) -> impl FnOnce(&mut Environment, &Aws) -> FromLedger<W> {
    |environment, aws| FromLedger {
        ledger: Ledger::read(environment, aws, CallLimits::TASK),
        work: read(environment, aws),
    }
}

impl<W: Work<Message = Message<'static>>> Work for FromLedger<W> {
    type Message = Queued;

    fn start(&self) -> impl Future<Output = anyhow::Result<()>> + Send {
        self.work.start()
    }

    async fn work(&self, queued: Queued, invocation: Invocation) -> Result<(), Failure> {
        let message = load(queued, &self.ledger, invocation.now()).await?;
        self.work.work(message, invocation).await
    }
}

impl<W: BatchWork<Message = Message<'static>>> BatchWork for FromLedger<W> {
    type Message = Queued;

    async fn work(&self, queued: Vec<Queued>, invocation: Invocation) -> Vec<Result<(), Failure>> {
        let loads = queued
            .into_iter()
            .map(|it| load(it, &self.ledger, invocation.now()));
        let mut messages = Vec::new();
        let mut outcomes = Vec::new();
        for loaded in join_all(loads).await {
            outcomes.push(loaded.map(|message| messages.push(message)));
        }
        let mut worked = Vec::new();
        if !messages.is_empty() {
            worked = self.work.work(messages, invocation).await;
        }
        let mut worked = worked.into_iter();
        let no_outcome = || Err(anyhow::anyhow!("the work gave no outcome for the message").into());
        outcomes
            .into_iter()
            .map(|loaded| loaded.and_then(|()| worked.next().unwrap_or_else(no_outcome)))
            .collect()
    }
}

/// The message with its event, which is read from the ledger if the queue does not hold it.
///
/// # Errors
/// The ledger does not answer, has no such event, or holds a body that only newer code can read.
pub async fn load(
    queued: Queued,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<Message<'static>, Failure> {
    let Elsewhere {
        key,
        received_at,
        trace,
        only,
        ..
    } = match queued {
        Queued::Whole(message) => return Ok(*message),
        Queued::Elsewhere(elsewhere) => elsewhere,
    };
    let standing = ledger.standing(&key, now).await?;
    let standing = standing
        .with_context(|| format!("{key} is not in the ledger"))
        .map_err(Failure::Permanent)?;
    // The row held an event when it was recorded, so newer code wrote it. During a deployment
    // the message waits for newer code.
    let event = standing.event().with_context(|| {
        format!("this version of the code reads no event in the body of {key}; the message waits for newer code")
    })?;
    Ok(Message {
        version: MESSAGE_VERSION,
        event: Cow::Owned(event),
        received_at,
        trace: trace.map(Cow::Owned),
        only,
    })
}
