//! Work on messages whose events may be in the ledger only. It reads these events before the work
//! begins.

use std::future::Future;

use futures_util::future::join_all;

use super::{BatchWork, Failure, Work};
use crate::config::{Aws, CallLimits, Environment};
use crate::invocation::Invocation;
use crate::ledger::Ledger;
use crate::task::{Message, Queued};

/// A task's work, and the ledger that holds the events that its queue does not.
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
        let message = queued.load(&self.ledger, invocation.now()).await?;
        self.work.work(message, invocation).await
    }
}

impl<W: BatchWork<Message = Message<'static>>> BatchWork for FromLedger<W> {
    type Message = Queued;

    async fn work(&self, queued: Vec<Queued>, invocation: Invocation) -> Vec<Result<(), Failure>> {
        let loads = queued
            .into_iter()
            .map(|it| it.load(&self.ledger, invocation.now()));
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
