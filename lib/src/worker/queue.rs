//! A task's queue: delays, deletes and gives up messages.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
};
use futures_util::future::join_all;

use super::attempts::Attempts;
use crate::characters::sendable_within;
use crate::config::{Aws, CallLimits, Environment};

/// The longest delay before the first retry.
const DELAY_FIRST_S: u32 = 2;
/// The longest delay before any retry. The queues' receive counts allow for days of retries.
const DELAY_MAX_S: u32 = 900;

/// The longest time for which SQS can hide a message after its receipt (12 hours), less the time
/// that has passed already.
const VISIBILITY_MAX_S: u32 = 43_000;

/// The attribute of a dead letter that holds the reason.
pub const REASON: &str = "Reason";
/// The longest reason, in bytes.
const REASON_MAX_BYTES: usize = 1000;

/// The most bytes of a message: its body, and for each attribute the name, the type and the value.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;
const TEXT: &str = "String";

/// The most messages of one request to SQS.
const BATCH_MAX: usize = 10;

/// A task's queue and its dead-letter queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
    dead_letter_url: String,
    pub(super) attempts: Attempts,
}

impl Queue {
    /// Reads `<NAME>_QUEUE_URL`, `<NAME>_DEAD_LETTER_QUEUE_URL` and `EVENTS_TABLE` from the
    /// environment, where `<NAME>` is the function's name in upper case with `_` for `-`.
    pub fn read(environment: &mut Environment, aws: &Aws, name: &str) -> Self {
        let attempts = Attempts::read(environment, aws, name);
        let name = name.to_uppercase().replace('-', "_");
        Self {
            client: Client::new(&aws.sdk_config(CallLimits::TASK)),
            url: environment.text(&format!("{name}_QUEUE_URL")),
            dead_letter_url: environment.text(&format!("{name}_DEAD_LETTER_QUEUE_URL")),
            attempts,
        }
    }

    /// Moves a message that can never be done to the dead-letter queue.
    pub(super) async fn give_up(&self, body: &str, reason: &str) -> anyhow::Result<()> {
        let mut send = self
            .client
            .send_message()
            .queue_url(&self.dead_letter_url)
            .message_body(body);
        if let Some(reason) = reason_beside(body, reason) {
            let reason = MessageAttributeValue::builder()
                .data_type(TEXT)
                .string_value(reason);
            send = send.message_attributes(REASON, reason.build()?);
        }
        send.send()
            .await
            .context("sending to the dead-letter queue")?;
        Ok(())
    }

    /// Hides messages, each given by its receipt, for some seconds. If that fails, the messages
    /// come again after the queue's visibility timeout.
    pub(super) async fn delay(&self, delayed: &[(String, u32)]) {
        let batches = delayed.chunks(BATCH_MAX);
        for outcome in join_all(batches.map(|batch| self.delay_batch(batch))).await {
            if let Err(error) = outcome {
                tracing::warn!("The retry's delay is not set: {error:#}");
            }
        }
    }

    /// Deletes messages that are done. If that fails, SQS delivers the messages again.
    pub(super) async fn delete(&self, receipts: &[String]) {
        let batches = receipts.chunks(BATCH_MAX);
        for outcome in join_all(batches.map(|batch| self.delete_batch(batch))).await {
            if let Err(error) = outcome {
                tracing::warn!("Finished messages are not deleted: {error:#}");
            }
        }
    }

    async fn delete_batch(&self, receipts: &[String]) -> anyhow::Result<()> {
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .build()
        });
        self.client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect::<Result<_, _>>()?))
            .send()
            .await?;
        Ok(())
    }

    async fn delay_batch(&self, delayed: &[(String, u32)]) -> anyhow::Result<()> {
        let entries = delayed
            .iter()
            .enumerate()
            .map(|(index, (receipt, delay_s))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(receipt)
                    .visibility_timeout(delay_s.cast_signed())
                    .build()
            });
        self.client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect::<Result<_, _>>()?))
            .send()
            .await?;
        Ok(())
    }
}

/// As much of a reason as SQS takes beside a body. The reason may quote a text from outside, and
/// the body may leave no room.
fn reason_beside(body: &str, reason: &str) -> Option<String> {
    let reason = match reason {
        "" => "no reason was given",
        reason => reason,
    };
    let room = MESSAGE_MAX_BYTES.checked_sub(body.len() + REASON.len() + TEXT.len())?;
    let reason = sendable_within(reason, room.min(REASON_MAX_BYTES));
    (!reason.is_empty()).then_some(reason)
}

/// The delay in seconds before a message is retried. The longest delay doubles with every receive.
/// The delay is random, so that messages that failed together do not come back together.
pub(super) fn delay_s(received: u32) -> u32 {
    let doublings = received.saturating_sub(1).min(16);
    let longest = (DELAY_FIRST_S << doublings).min(DELAY_MAX_S);
    fastrand::u32(longest.div_ceil(2)..=longest)
}

/// Whole seconds, up to the longest time that a message can be hidden.
pub(super) fn seconds(by: Duration) -> u32 {
    let whole = by
        .as_secs()
        .saturating_add(u64::from(by.subsec_nanos() > 0));
    u32::try_from(whole).map_or(VISIBILITY_MAX_S, |it| it.min(VISIBILITY_MAX_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_hidden_for_whole_seconds_and_no_longer_than_sqs_can() {
        for (by, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_millis(1), 1),
            (Duration::from_secs(60), 60),
            (Duration::from_secs(100_000), VISIBILITY_MAX_S),
            (Duration::MAX, VISIBILITY_MAX_S),
        ] {
            assert_eq!(seconds(by), expected);
        }
    }

    #[test]
    fn the_delay_doubles_up_to_a_quarter_of_an_hour() {
        for (received, longest) in [(1, 2), (2, 4), (5, 32), (10, 900), (1000, 900)] {
            for _ in 0..100 {
                let delay_s = delay_s(received);
                assert!(
                    (longest / 2..=longest).contains(&delay_s),
                    "{received}: {delay_s}"
                );
            }
        }
    }
}
