//! Lambda's event source mapping for SQS: receives batches, invokes a function, and deletes the
//! messages that succeeded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::lambda::{ACCOUNT, Event, Invoked, Lambda, MAXIMUM_PAYLOAD_BYTES, REGION, Running};
use crate::sqs::{Received, Sqs};
use crate::template::QueueSource;

/// The longest long poll that SQS allows.
const LONG_POLL: Duration = Duration::from_secs(20);

/// The maximum number of messages of one ReceiveMessage.
const MAXIMUM_RECEIVED: usize = 10;

/// Polls until `stop` becomes true (or its sender ends). Returns after all received batches have
/// settled.
pub async fn run(
    source: QueueSource,
    function: String,
    sqs: Sqs,
    lambda: Lambda,
    mut stop: watch::Receiver<bool>,
) {
    // A message that waits for a free process would only use up its visibility timeout.
    let at_once = source
        .maximum_concurrency
        .clamp(1, lambda.maximum_processes().max(1));
    let free = Arc::new(Semaphore::new(at_once));
    let mapping = Arc::new(Mapping {
        source,
        function,
        sqs,
        lambda,
    });
    let mut batches = JoinSet::new();
    loop {
        let next = async {
            let permit = free.clone().acquire_owned().await;
            let batch = mapping.next_batch().await;
            (permit, batch)
        };
        let (permit, (batch, running)) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => next,
        };
        let mapping = mapping.clone();
        batches.spawn(async move {
            mapping.settle(batch, running).await;
            drop(permit);
        });
        // Removes finished batches, so that the set stays small.
        while batches.try_join_next().is_some() {}
    }
    batches.join_all().await;
}

struct Mapping {
    source: QueueSource,
    function: String,
    sqs: Sqs,
    lambda: Lambda,
}

impl Mapping {
    /// Waits for messages, then for more until the batching window ends. The batch counts as
    /// running from its first message on.
    async fn next_batch(&self) -> (Vec<Received>, Running) {
        let (mut batch, running) = loop {
            if let (batch, Some(running)) = self.receive(self.source.batch_size, LONG_POLL).await {
                break (batch, running);
            }
        };
        let window_ends =
            Instant::now() + Duration::from_secs(self.source.batching_window_s.into());
        loop {
            let wanted = self.source.batch_size.saturating_sub(batch.len());
            let left = window_ends.saturating_duration_since(Instant::now());
            if wanted == 0 || left.is_zero() {
                return (batch, running);
            }
            let (more, _) = self.receive(wanted, left.min(LONG_POLL)).await;
            batch.extend(more);
        }
    }

    async fn receive(&self, wanted: usize, wait: Duration) -> (Vec<Received>, Option<Running>) {
        let wanted = wanted.clamp(1, MAXIMUM_RECEIVED);
        let hold = || self.lambda.hold();
        let queue = &self.source.queue;
        self.sqs.receive_holding(queue, wanted, wait, hold).await
    }

    async fn settle(&self, batch: Vec<Received>, running: Running) {
        let ids = batch.iter().map(|message| message.message_id.clone());
        let ids: Vec<String> = ids.collect();
        for (payload, messages) in events(&self.source.queue, batch) {
            let event = Event {
                payload: payload.into(),
                trigger: self.source.queue.clone(),
                trace: None,
            };
            let invoked = self
                .lambda
                .invoke_held(&self.function, event, running.clone())
                .await;
            let ids: BTreeSet<_> = messages
                .iter()
                .map(|message| message.message_id.as_str())
                .collect();
            match failed(&invoked, self.source.reports_batch_item_failures, &ids) {
                // The messages stay until their visibility timeout ends.
                Err(reason) => tracing::warn!(
                    "function `{}` failed {} message(s) of queue `{}`: {reason}",
                    self.function,
                    messages.len(),
                    self.source.queue
                ),
                Ok(failed) => {
                    let succeeded = messages
                        .iter()
                        .filter(|message| !failed.contains(&message.message_id));
                    for message in succeeded {
                        self.sqs.delete(&self.source.queue, &message.receipt_handle);
                    }
                }
            }
        }
        self.sqs.finished(&self.source.queue, &ids);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(flatten)]
    message: &'a Received,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'static str,
}

/// The batch as a function's events: one event, or several if the messages exceed the size of one
/// invocation.
pub fn events(queue: &str, batch: Vec<Received>) -> Vec<(String, Vec<Received>)> {
    const FRAME: &str = "{\"Records\":[]}";
    let event_source_arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}");
    let mut events: Vec<(String, Vec<Received>)> = Vec::new();
    for message in batch {
        let record = serde_json::to_string(&Record {
            message: &message,
            event_source: "aws:sqs",
            event_source_arn: &event_source_arn,
            aws_region: REGION,
        })
        .expect("strings and JSON values always serialise");
        match events.last_mut() {
            Some((records, messages))
                if records.len() + record.len() + FRAME.len() < MAXIMUM_PAYLOAD_BYTES =>
            {
                records.push(',');
                records.push_str(&record);
                messages.push(message);
            }
            _ => events.push((record, vec![message])),
        }
    }
    for (records, _) in &mut events {
        *records = format!("{{\"Records\":[{records}]}}");
    }
    events
}

/// The messages that failed, or the reason why all of them failed.
pub fn failed(
    invoked: &Invoked,
    reports_batch_item_failures: bool,
    ids: &BTreeSet<&str>,
) -> Result<BTreeSet<String>, String> {
    let payload = invoked.as_ref().map_err(ToString::to_string)?;
    if !reports_batch_item_failures || payload.is_empty() {
        return Ok(BTreeSet::new());
    }
    let answer: Value =
        serde_json::from_slice(payload).map_err(|_| "its answer is not JSON".to_owned())?;
    if !answer.is_null() && !answer.is_object() {
        return Err("its answer is not a batch response".to_owned());
    }
    let failures = match &answer["batchItemFailures"] {
        Value::Null => return Ok(BTreeSet::new()),
        Value::Array(failures) => failures,
        _ => return Err("`batchItemFailures` in its answer is not an array".to_owned()),
    };
    let identifier = |failure: &Value| match failure["itemIdentifier"].as_str() {
        Some(id) if ids.contains(id) => Ok(id.to_owned()),
        Some(id) => Err(format!(
            "its answer names a message that is not in the batch: {id:?}"
        )),
        None => {
            Err("an entry of `batchItemFailures` in its answer has no `itemIdentifier`".to_owned())
        }
    };
    failures.iter().map(identifier).collect()
}

#[cfg(test)]
mod tests;
