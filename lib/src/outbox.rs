//! The safety net for an outage of SQS: sends the tasks that were written on their event's row instead.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::config::{Aws, CallLimits, Environment};
use crate::invocation::{Invocation, serve};
use crate::ledger::Undispatched;
use crate::receiver::Receiver;
use crate::task::Message;
use crate::telemetry;

/// What is left of an invocation's time when it stops; the next one goes on.
const MARGIN: Duration = Duration::from_secs(20);

/// Sends what SQS refused when its event came.
#[derive(Debug)]
pub struct Outbox {
    receiver: Receiver,
}

/// How many events' tasks were sent, and how many could not be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Emptied {
    pub sent: u32,
    pub failed: u32,
}

/// Empties the outbox on every invocation, until Lambda ends the function.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let outbox = Outbox::read(&mut environment, &aws);
    environment.check()?;
    let outbox = &outbox;
    serve(|_: Box<RawValue>, context| async move { outbox.empty(Invocation::of(&context)).await })
        .await
}

impl Outbox {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            receiver: Receiver::read(environment, aws, CallLimits::TASK),
        }
    }

    /// Sends what is there, oldest first, until the time is up; the next invocation goes on. What cannot be sent stays,
    /// and does not hold up what comes after it.
    pub async fn empty(&self, invocation: Invocation) -> anyhow::Result<Emptied> {
        let mut emptied = Emptied::default();
        let mut from = None;
        loop {
            let (page, next) = self.receiver.ledger.undispatched(from).await?;
            for outcome in join_all(page.iter().map(|it| send(&self.receiver, it))).await {
                match outcome {
                    Ok(()) => emptied.sent += 1,
                    Err(error) => {
                        emptied.failed += 1;
                        tracing::warn!("Stays in the outbox: {error:#}");
                    }
                }
            }
            if next.is_none() || Instant::now() > invocation.before_end(MARGIN) {
                break;
            }
            from = next;
        }
        let Emptied { sent, failed } = emptied;
        if sent + failed > 0 {
            tracing::info!("Sent the tasks of {sent} events; {failed} stay");
        }
        Ok(emptied)
    }
}

/// Sends the tasks, then clears the mark: a crash in between sends them once more, which tasks are made for.
async fn send(receiver: &Receiver, undispatched: &Undispatched) -> anyhow::Result<()> {
    let Some(event) = undispatched.standing.event() else {
        anyhow::bail!("no event is read in the body of {}", undispatched.key);
    };
    let message = Message::new(&event, undispatched.received_at, None);
    receiver
        .dispatcher
        .send(&message, &undispatched.tasks)
        .await
        .with_context(|| format!("SQS still refuses {}", undispatched.key))?;
    receiver.ledger.clear_undispatched(undispatched).await
}
