//! The safety net for an outage of SQS: sends the messages that SQS refused. The receiver marked
//! their events' rows.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::config::{Aws, CallLimits, Environment};
use crate::invocation::{Invocation, serve};
use crate::ledger::{OutboxPage, Undispatched};
use crate::receiver::Receiver;
use crate::task::{Message, Task, tasks, tasks_of_conflict};
use crate::telemetry;

/// The time before an invocation's end at which the outbox stops. The next invocation continues.
const MARGIN: Duration = Duration::from_secs(20);

/// The most pages of the index that one invocation reads.
const PAGES_MAX: usize = 400;

/// Sends the messages that SQS refused when their events arrived.
#[derive(Debug)]
pub struct Outbox {
    receiver: Receiver,
}

/// What an invocation did with the waiting messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Emptied {
    /// Messages that SQS took, and whose events' marks were cleared.
    pub sent: u32,
    /// Attempts that failed, at the message or at the mark. The mark stays.
    pub failed: u32,
}

/// Empties the outbox on every invocation, until Lambda ends the function.
///
/// # Errors
/// The environment has problems, or the Lambda runtime ended.
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
    /// Reads the settings from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            receiver: Receiver::read(environment, aws, CallLimits::TASK),
        }
    }

    /// Sends waiting messages until the time is up. An invocation begins at the place where the one
    /// before stopped. So events that cannot be sent hold up no others, even if they are many.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. A message that SQS refuses is no error: the message
    /// stays.
    pub async fn empty(&self, invocation: Invocation) -> anyhow::Result<Emptied> {
        let ledger = &self.receiver.ledger;
        let mut emptied = Emptied::default();
        let place = ledger.outbox_place().await?;
        let begin = place.as_ref().and_then(|it| it.received_at().cloned());
        let mut has_place = place.is_some();
        let mut from = place;
        let mut is_second_round = from.is_none();
        for _ in 0..PAGES_MAX {
            let page = match ledger.undispatched(from.take()).await {
                Err(error) if has_place && emptied == Emptied::default() => {
                    tracing::warn!(
                        "Begins at the oldest event, because its place is unknown: {error:#}"
                    );
                    ledger.keep_outbox_place(None).await?;
                    (has_place, is_second_round) = (false, true);
                    continue;
                }
                page => page?,
            };
            let failed = self.send_page(&page, &mut emptied).await;
            // After each page, because the invocation may end at any time.
            if has_place || failed && page.next.is_some() {
                ledger.keep_outbox_place(page.next.as_ref()).await?;
                has_place = page.next.is_some();
            }
            let is_round = match (&page.next, is_second_round) {
                (None, is_second_round) => is_second_round,
                (Some(_), true) => begin.is_some() && page.until >= begin,
                (Some(_), false) => false,
            };
            if is_round || Instant::now() > invocation.before_end(MARGIN) {
                break;
            }
            is_second_round |= page.next.is_none();
            from = page.next;
        }
        let Emptied { sent, failed } = emptied;
        if sent + failed > 0 {
            tracing::info!("Sent the messages of {sent} events; {failed} stay");
        }
        Ok(emptied)
    }

    /// Sends the messages of a page at the same time. Returns whether one failed.
    async fn send_page(&self, page: &OutboxPage, emptied: &mut Emptied) -> bool {
        let failed_before = emptied.failed;
        let sends = page.events.iter().map(|it| send(&self.receiver, it));
        for outcome in join_all(sends).await {
            match outcome {
                Ok(()) => emptied.sent += 1,
                Err(error) => {
                    emptied.failed += 1;
                    tracing::warn!("The event stays in the outbox: {error:#}");
                }
            }
        }
        emptied.failed > failed_before
    }
}

/// Sends the message, then clears the mark. After a crash in between, the message is sent once
/// more, which is safe for tasks.
async fn send(receiver: &Receiver, undispatched: &Undispatched) -> anyhow::Result<()> {
    let Some(event) = undispatched.standing.event() else {
        anyhow::bail!("no event can be read in the body of {}", undispatched.key);
    };
    let message = Message::new(&event, undispatched.received_at, None);
    let tasks = match &undispatched.tasks {
        Some(tasks) => tasks.clone(),
        None => all_tasks(tasks(&event), tasks_of_conflict(&event)),
    };
    receiver
        .work
        .send(&message, &tasks)
        .await
        .with_context(|| format!("SQS still refuses {}", undispatched.key))?;
    receiver.ledger.clear_undispatched(undispatched).await
}

/// The tasks that the refused message may have been for: those of the event, and those of a
/// conflict.
fn all_tasks(of_event: &[Task], of_conflict: &[Task]) -> Vec<Task> {
    let mut all = of_event.to_vec();
    all.extend(of_conflict.iter().filter(|task| !of_event.contains(task)));
    all
}
