//! The safety net for an outage of SQS: sends the tasks that were written on their event's row instead.

use anyhow::Context;
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
const MARGIN_MS: i64 = 5_000;

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

/// Sends what is there, oldest first. One event that cannot be sent does not hold up the others.
async fn empty(receiver: &Receiver, deadline_ms: i64) -> anyhow::Result<Value> {
    let (mut sent, mut failed) = (0, 0);
    for undispatched in receiver.ledger.undispatched().await? {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        if now_ms + MARGIN_MS > deadline_ms {
            break;
        }
        match send(receiver, &undispatched).await {
            Ok(()) => sent += 1,
            Err(error) => {
                failed += 1;
                tracing::warn!(event.key = %undispatched.key, "Stays in the outbox: {error:#}");
            }
        }
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
        anyhow::bail!("this version of the code reads no event in the recorded body");
    };
    let message = Message::new(&event, undispatched.received_at, None);
    receiver
        .dispatcher
        .send(&message, &undispatched.tasks)
        .await
        .context("SQS still refuses")?;
    receiver.ledger.clear_undispatched(undispatched).await
}
