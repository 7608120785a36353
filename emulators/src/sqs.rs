//! Queues as SQS keeps them: standard queues, in memory or in a file that outlives the process.
//!
//! Three things differ from AWS. Messages arrive once and in the order of sending, unless a fault
//! changes that ([`Sqs::set_faults`], [`Sqs::deliver_twice`]). Fair queues keep the message group
//! but do not reorder. The name of a deleted queue is free at once.

mod attributes;
mod contents;
mod errors;
mod messages;
mod move_task;
mod moving;
mod operations;
mod receive;
mod receiving;
mod request;
mod state;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::AwsError;
use crate::clock::Clock;
use crate::faults::Faults;
use contents::{Attribute, AttributeValue, Delivered};
use receive::Receive;
use state::{Change, State};
use store::Store;

const ACCOUNT: &str = "000000000000";
const ARN_PREFIX: &str = "arn:aws:sqs:us-east-1:000000000000:";
/// The maximum for a message and for a whole batch, bodies and attributes together (an AWS limit).
const MAXIMUM_MESSAGE_BYTES: usize = 1_048_576;

/// A queue as the template declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub name: String,
    pub visibility_timeout_s: u32,
    pub retention_s: u32,
    pub delay_s: u32,
    pub redrive: Option<Redrive>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    pub dead_letter_queue: String,
    pub max_receive_count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub visible: usize,
    pub in_flight: usize,
    pub delayed: usize,
}

/// A received message, in the fields of a Lambda SQS event record.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
    pub md5_of_body: String,
    pub attributes: BTreeMap<String, String>,
    /// `{name: {stringValue, dataType, ...}}`
    pub message_attributes: Value,
}

/// All queues; clones share them.
#[derive(Debug, Clone)]
pub struct Sqs {
    queues: Arc<Mutex<Queues>>,
}

#[derive(Debug)]
struct Queues {
    state: State,
    store: Option<Store>,
    /// Wakes the receivers that wait for messages of a queue.
    arrivals: HashMap<String, Arc<Notify>>,
    base_url: String,
    clock: Clock,
}

impl Sqs {
    /// Opens the queues. With a directory, every change is in its `sqs.sqlite` before the answer,
    /// so that a restart continues even after a kill. Without a directory, queues are in memory.
    pub fn open(data_dir: Option<&Path>) -> anyhow::Result<Sqs> {
        let store = data_dir.map(|directory| {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("creating {}", directory.display()))?;
            Store::open(&directory.join("sqs.sqlite"))
        });
        let store = store.transpose().context("opening the queues' store")?;
        let clock = Clock::default();
        let state = store
            .as_ref()
            .map(|store| store.load(clock.now().as_millisecond()))
            .transpose()?
            .unwrap_or_default();
        let base_url = "http://127.0.0.1:4566".to_owned();
        let queues = Queues {
            state,
            store,
            arrivals: HashMap::new(),
            base_url,
            clock,
        };
        Ok(Sqs {
            queues: Arc::new(Mutex::new(queues)),
        })
    }

    /// Sets the endpoint's address for the queue URLs in answers: `http://127.0.0.1:4566`.
    pub fn set_base_url(&self, url: &str) {
        self.lock().base_url = url.trim_end_matches('/').to_owned();
    }

    /// Sets the clock. Call this before the first message.
    pub fn set_clock(&self, clock: Clock) {
        self.lock().clock = clock;
    }

    /// Moves the clock ahead. A message that a function works on keeps the rest of its visibility
    /// timeout, because no time passes within an invocation.
    pub fn let_pass(&self, time: Duration) -> Result<(), AwsError> {
        self.apply(|queues, now_ms| {
            let time_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            queues.state.keep_hidden(time_ms, now_ms);
            queues.clock.advance(time);
            Ok(())
        })
    }

    /// Sets the faults that duplicate and reorder received messages.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().state.faults = faults;
    }

    /// Creates a queue, or gives an existing one these attributes.
    pub fn declare(&self, queue: Queue) -> anyhow::Result<()> {
        let context = format!("declaring the queue {}", queue.name);
        let declared = self.apply(|queues, now_ms| {
            queues.state.declare(queue, now_ms);
            Ok(())
        });
        declared
            .map_err(|error| anyhow::anyhow!(error.message))
            .context(context)
    }

    /// Answers one request of the JSON protocol, `X-Amz-Target: AmazonSQS.<operation>`.
    pub async fn handle(&self, operation: &str, body: &Value) -> Result<Value, AwsError> {
        if operation == "ReceiveMessage" {
            let request = Receive::read(body)?;
            let (delivered, _) = self
                .receive_waiting(
                    request.queue,
                    request.max,
                    request.visibility_timeout_s,
                    request.wait,
                    |_, _| (),
                )
                .await?;
            return Ok(request.answer(&delivered));
        }
        self.apply(|queues, now_ms| {
            operations::run(&mut queues.state, operation, body, &queues.base_url, now_ms)
        })
    }

    /// Receives messages as `ReceiveMessage` does; `max` may exceed its limit of ten.
    pub async fn receive(&self, queue: &str, max: usize, wait: Duration) -> Vec<Received> {
        let received = self.receive_waiting(queue, max, None, Some(wait), |_, _| ());
        self.received(queue, wait, received.await).await.0
    }

    /// Receives messages for a function that processes them until [`Sqs::finished`]. The queue
    /// calls `hold` at the moment when the messages leave it. So a caller that first counts waiting
    /// messages, then held values, misses no message.
    pub(crate) async fn receive_holding<H>(
        &self,
        queue: &str,
        max: usize,
        wait: Duration,
        hold: impl Fn() -> H,
    ) -> (Vec<Received>, Option<H>) {
        let hold = |queues: &mut Queues, delivered: &[Delivered]| {
            let ids = delivered.iter().map(|message| &*message.contents.id);
            queues.state.start_work(queue, ids);
            hold()
        };
        let received = self.receive_waiting(queue, max, None, Some(wait), hold);
        self.received(queue, wait, received.await).await
    }

    async fn received<H>(
        &self,
        queue: &str,
        wait: Duration,
        outcome: Result<(Vec<Delivered>, Option<H>), AwsError>,
    ) -> (Vec<Received>, Option<H>) {
        match outcome {
            Ok((delivered, held)) => {
                let received = delivered.into_iter().map(Received::from);
                (received.collect(), held)
            }
            Err(error) => {
                tracing::error!(
                    queue,
                    error.code,
                    "Cannot receive messages: {}",
                    error.message
                );
                // The pause prevents a busy loop in a polling caller.
                tokio::time::sleep(wait).await;
                (Vec::new(), None)
            }
        }
    }

    /// Says that a function no longer processes these messages.
    pub(crate) fn finished(&self, queue: &str, ids: &[String]) {
        let ids = ids.iter().map(String::as_str);
        self.lock().state.end_work(queue, ids);
    }

    /// Makes delayed and in-flight messages visible at once, except messages that a function
    /// processes. Tests need not wait then. Returns how many messages became visible.
    ///
    /// # Errors
    ///
    /// There is no such queue.
    pub fn hurry(&self, queue: &str) -> Result<usize, AwsError> {
        self.apply(|queues, now_ms| queues.state.hurry(queue, now_ms))
    }

    pub fn delete(&self, queue: &str, receipt_handle: &str) {
        if let Err(error) = self.apply(|queues, _| queues.state.delete(queue, receipt_handle)) {
            tracing::error!(
                queue,
                error.code,
                "Cannot delete a message: {}",
                error.message
            );
        }
    }

    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let counted = self.apply(|queues, _| Ok(queues.state.counts()));
        counted.unwrap_or_else(|error| {
            tracing::error!(
                error.code,
                "Cannot update the queues' store: {}",
                error.message
            );
            self.lock().state.counts()
        })
    }

    /// Delivers each of the next `count` messages twice, which SQS allows itself: the message is
    /// visible again at once, and either receipt deletes it.
    pub fn deliver_twice(&self, queue: &str, count: u32) {
        if let Err(error) = self.apply(|queues, _| queues.state.deliver_twice(queue, count)) {
            tracing::error!(
                queue,
                error.code,
                "Cannot deliver messages twice: {}",
                error.message
            );
        }
    }

    /// Waits until a message arrives, at most for `wait`, or for the queue's own wait time.
    async fn receive_waiting<H>(
        &self,
        queue: &str,
        max: usize,
        visibility_timeout_s: Option<u32>,
        wait: Option<Duration>,
        hold: impl Fn(&mut Queues, &[Delivered]) -> H,
    ) -> Result<(Vec<Delivered>, Option<H>), AwsError> {
        let started = Instant::now();
        loop {
            let looked = self.apply(|queues, now_ms| {
                let queue_wait_s = queues.state.queue(queue)?.settings.attributes.wait_s;
                let delivered = queues
                    .state
                    .receive(queue, max, visibility_timeout_s, now_ms)?;
                let held = (!delivered.is_empty()).then(|| hold(queues, &delivered));
                let next_visible_ms = queues
                    .state
                    .next_visible_ms(queue)
                    .map(|next_ms| next_ms - now_ms);
                let next_visible =
                    next_visible_ms.map(|ms| Duration::from_millis(ms.max(1).unsigned_abs()));
                let wait = wait.unwrap_or(Duration::from_secs(queue_wait_s.into()));
                // The wait begins under the same lock as the check, so that it misses no arrival.
                let arrival = queues
                    .arrivals
                    .entry(queue.to_owned())
                    .or_default()
                    .clone()
                    .notified_owned();
                let moves = queues.clock.moves();
                Ok((delivered, held, wait, next_visible, arrival, moves))
            })?;
            let (delivered, held, wait, next_visible, arrival, mut moves) = looked;
            let left = wait.saturating_sub(started.elapsed());
            if !delivered.is_empty() || left.is_zero() {
                return Ok((delivered, held));
            }
            let pause = next_visible.map_or(left, |next_visible| next_visible.min(left));
            // Checks again in each case.
            tokio::select! {
                () = arrival => {}
                // The sender lives in the clock, so the channel cannot close meanwhile.
                _ = moves.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Lets time pass, acts, and stores the changes before the caller gets the answer.
    fn apply<T>(
        &self,
        act: impl FnOnce(&mut Queues, i64) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut queues = self.lock();
        let now_ms = queues.clock.now().as_millisecond();
        queues.state.advance(now_ms);
        let outcome = act(&mut queues, now_ms);
        queues.commit()?;
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn commit(&mut self) -> Result<(), AwsError> {
        let changes = self.state.take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(store) = &mut self.store {
            let written = store.write(&changes, &self.state);
            written.map_err(|error| {
                errors::internal(format!("The queues' store cannot be written: {error:#}"))
            })?;
        }
        for change in &changes {
            let queue = match change {
                Change::Sent(queue, _)
                | Change::Delivery(queue, _)
                | Change::QueueDeleted(queue) => queue,
                _ => continue,
            };
            if let Some(arrivals) = self.arrivals.get(queue) {
                arrivals.notify_waiters();
            }
        }
        Ok(())
    }
}

impl From<Delivered> for Received {
    fn from(delivered: Delivered) -> Received {
        let contents = &delivered.contents;
        let attributes = contents
            .attributes
            .iter()
            .map(|(name, attribute)| (name.clone(), in_event(attribute)));
        Received {
            message_id: contents.id.clone(),
            receipt_handle: delivered.receipt.handle(),
            body: contents.body.clone(),
            md5_of_body: contents::md5_of_text(&contents.body),
            attributes: delivered.system_attributes(),
            message_attributes: Value::Object(attributes.collect()),
        }
    }
}

/// A message attribute in the form of a Lambda event.
fn in_event(attribute: &Attribute) -> Value {
    let (name, value) = match &attribute.value {
        AttributeValue::Text(text) => ("stringValue", text.clone()),
        AttributeValue::Binary(bytes) => ("binaryValue", STANDARD.encode(bytes)),
    };
    json!({name: value, "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type})
}

fn queue_arn(name: &str) -> String {
    format!("{ARN_PREFIX}{name}")
}

/// The queue in an ARN, for any region and account.
fn queue_name_in_arn(arn: &str) -> Option<&str> {
    match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "sqs", _, _, name] if !name.is_empty() => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
