//! The safety net for an outage of SQS: sends the tasks that were written on their event's row instead.

use anyhow::Context;
use futures_util::future::join_all;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::config::{Aws, CallLimits, Environment};
use crate::ledger::Undispatched;
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::receiver::Receiver;
use crate::task::Message;
use crate::telemetry;

/// What is left of an invocation's time when it stops; the next one goes on.
const MARGIN_MS: i64 = 20_000;

/// Empties the outbox on every invocation, until Lambda ends the function.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::default();
    let aws = Aws::read(&mut environment);
    let receiver = Receiver::read(&mut environment, &aws, CallLimits::TASK);
    environment.check()?;
    let receiver = &receiver;
    lambda_runtime::run(service_fn(
        |invocation: LambdaEvent<Box<RawValue>>| async move {
            let deadline_ms = i64::try_from(invocation.context.deadline).unwrap_or(i64::MAX);
            empty(receiver, deadline_ms)
                .await
                .map_err(lambda_runtime::Error::from)
        },
    ))
    .await
    .map_err(|error| anyhow::anyhow!("the Lambda runtime ended: {error}"))
}

/// Sends what is there, oldest first, until the time is up; the next invocation goes on. What cannot be sent stays, and
/// does not hold up what comes after it.
async fn empty(receiver: &Receiver, deadline_ms: i64) -> anyhow::Result<Value> {
    let (mut sent, mut failed) = (0, 0);
    let mut from = None;
    loop {
        let (page, next) = receiver.ledger.undispatched(from).await?;
        for outcome in join_all(page.iter().map(|it| send(receiver, it))).await {
            match outcome {
                Ok(()) => sent += 1,
                Err(error) => {
                    failed += 1;
                    tracing::warn!("Stays in the outbox: {error:#}");
                }
            }
        }
        let now_ms = jiff::Timestamp::now().as_millisecond();
        if next.is_none() || now_ms + MARGIN_MS > deadline_ms {
            break;
        }
        from = next;
    }
    if sent + failed > 0 {
        tracing::info!("Sent the tasks of {sent} events; {failed} stay");
    }
    Ok(json!({"sent": sent, "failed": failed}))
}

/// Sends the tasks, then clears the mark: a crash in between sends them once more, which tasks are made for.
async fn send(receiver: &Receiver, undispatched: &Undispatched) -> anyhow::Result<()> {
    let recorded: RecordedBody<'_> = undispatched.body.as_ref();
    let Some(Content::Event(event)) = read_recorded(&recorded) else {
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
