//! Moves messages without SQS's move tasks, which need a dead-letter queue that another queue
//! redrives to.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_sqs::types::Message;

use super::Move;
use crate::target::{DeadLetterQueue, Target};

/// How long SQS hides a received message, in seconds. If this program ends before it deletes the
/// message, SQS shows the message again after this time.
const HIDDEN_S: i32 = 30;

/// SQS receives at most ten messages in one call.
const BATCH: i32 = 10;

/// Sends each message to the source, then deletes it. If this program ends in between, the message
/// arrives twice, which tasks allow. Returns whether Ctrl-C ended the move.
pub(super) async fn run(
    target: &Target,
    queue: &DeadLetterQueue,
    rate: Option<i32>,
) -> anyhow::Result<(Move, bool)> {
    let pause = rate.map(|per_s| Duration::from_secs(1) / per_s.unsigned_abs().max(1));
    let mut state = Move {
        queue: queue.name.clone(),
        to: queue.source.clone(),
        status: "COMPLETED".to_owned(),
        moved: 0,
        to_move: None,
        failure: None,
    };
    let (outcome, is_cancelled) = tokio::select! {
        outcome = move_all(target, queue, pause, &mut state.moved) => (outcome, false),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("listening for Ctrl-C")?;
            (Ok(()), true)
        }
    };
    if is_cancelled {
        state.status = "CANCELLED".to_owned();
    }
    if let Err(error) = outcome {
        state.status = "FAILED".to_owned();
        state.failure = Some(format!("{error:#}"));
    }
    Ok((state, is_cancelled))
}

/// Ends when the queue shows no more messages.
async fn move_all(
    target: &Target,
    queue: &DeadLetterQueue,
    pause: Option<Duration>,
    moved: &mut u64,
) -> anyhow::Result<()> {
    loop {
        let answer = target
            .sqs
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(BATCH)
            .visibility_timeout(HIDDEN_S)
            // A wait makes SQS ask all of its servers.
            .wait_time_seconds(1)
            .send()
            .await
            .map_err(|error| target.explain(error))
            .with_context(|| format!("receiving from {}", queue.name))?;
        let messages = answer.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(());
        }
        for message in &messages {
            move_one(target, queue, message).await?;
            *moved += 1;
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn move_one(
    target: &Target,
    queue: &DeadLetterQueue,
    message: &Message,
) -> anyhow::Result<()> {
    target
        .sqs
        .send_message()
        .queue_url(&queue.source_url)
        .message_body(message.body().unwrap_or_default())
        .send()
        .await
        .map_err(|error| target.explain(error))
        .with_context(|| format!("sending to {}", queue.source))?;
    target
        .sqs
        .delete_message()
        .queue_url(&queue.url)
        .set_receipt_handle(message.receipt_handle.clone())
        .send()
        .await
        .map_err(|error| target.explain(error))
        .with_context(|| format!("deleting from {}", queue.name))?;
    Ok(())
}
