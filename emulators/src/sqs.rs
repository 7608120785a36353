//! Queues as SQS keeps them: standard queues, in memory or in a file that outlives the process.
//!
//! Three things differ from AWS. Messages arrive once and in the order of sending, unless a fault
//! changes that ([`Sqs::set_faults`], [`Sqs::deliver_twice`]). Fair queues keep the message group
//! but do not reorder. The name of a deleted queue is free at once.

mod attributes;
mod errors;
mod message;
mod messages;
mod move_task;
mod moving;
mod operations;
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
use message::{Attribute, AttributeValue, Delivered};
use operations::Receive;
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

    /// Receives messages for a function that processes them until [`Sqs::finished`]. `hold` is
    /// called at the moment when the messages leave the queue. So a caller that first counts
    /// waiting messages, then held values, misses no message.
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
                // The wait is created under the same lock as the check, so that no arrival is
                // missed.
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
            if let Change::Sent(queue, _) | Change::Delivery(queue, _) | Change::QueueDeleted(queue) =
                change
                && let Some(arrivals) = self.arrivals.get(queue)
            {
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
            md5_of_body: message::md5_of_text(&contents.body),
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

/// The queue in an ARN, whatever the region and account.
fn queue_name_in_arn(arn: &str) -> Option<&str> {
    match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "sqs", _, _, name] if !name.is_empty() => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn call(sqs: &Sqs, operation: &str, body: Value) -> Result<Value, AwsError> {
        sqs.handle(operation, &body).await
    }

    fn queue(name: &str, redrive: Option<(&str, u32)>) -> Queue {
        let redrive = redrive.map(|(target, max_receive_count)| Redrive {
            dead_letter_queue: target.to_owned(),
            max_receive_count,
        });
        Queue {
            name: name.to_owned(),
            visibility_timeout_s: 30,
            retention_s: 345_600,
            delay_s: 0,
            redrive,
        }
    }

    fn in_memory() -> Sqs {
        let sqs = Sqs::open(None).unwrap();
        sqs.declare(queue("delivery", Some(("dead", 2)))).unwrap();
        sqs.declare(queue("dead", None)).unwrap();
        sqs
    }

    async fn send(sqs: &Sqs, body: &str) -> String {
        let sent = call(
            sqs,
            "SendMessage",
            json!({"QueueUrl": "delivery", "MessageBody": body}),
        )
        .await
        .unwrap();
        sent["MessageId"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_waiting_receive_wakes_when_a_message_arrives() {
        let sqs = in_memory();
        let waiting = sqs.clone();
        let waiting = tokio::spawn(async move {
            waiting
                .receive("delivery", 10, Duration::from_secs(20))
                .await
        });
        tokio::task::yield_now().await;
        let id = send(&sqs, "hello").await;
        let received = tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((received.len(), &received[0].message_id), (1, &id));
    }

    #[tokio::test]
    async fn a_waiting_receive_wakes_when_a_message_becomes_visible_again() {
        let sqs = in_memory();
        let id = send(&sqs, "hello").await;
        let first = sqs.receive("delivery", 1, Duration::ZERO).await.remove(0);
        let waiting = sqs.clone();
        let waiting = tokio::spawn(async move {
            waiting
                .receive("delivery", 1, Duration::from_secs(20))
                .await
        });
        tokio::task::yield_now().await;
        let body = json!({"QueueUrl": "delivery", "ReceiptHandle": first.receipt_handle, "VisibilityTimeout": 1});
        call(&sqs, "ChangeMessageVisibility", body).await.unwrap();
        let again = tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                &again[0].message_id,
                again[0].attributes["ApproximateReceiveCount"].as_str()
            ),
            (&id, "2")
        );
    }

    #[tokio::test]
    async fn a_receive_waits_no_longer_than_asked() {
        let sqs = in_memory();
        for queue in ["delivery", "missing"] {
            let (started, wait) = (Instant::now(), Duration::from_millis(50));
            assert!(sqs.receive(queue, 1, wait).await.is_empty());
            assert!(started.elapsed() >= wait);
        }
    }

    #[tokio::test]
    async fn a_receive_waits_as_the_queue_says_by_default() {
        let sqs = in_memory();
        let attributes =
            json!({"QueueUrl": "delivery", "Attributes": {"ReceiveMessageWaitTimeSeconds": "1"}});
        call(&sqs, "SetQueueAttributes", attributes).await.unwrap();
        let started = Instant::now();
        assert_eq!(
            call(&sqs, "ReceiveMessage", json!({"QueueUrl": "delivery"})).await,
            Ok(json!({}))
        );
        assert!(started.elapsed() >= Duration::from_secs(1));
        let started = Instant::now();
        let body = json!({"QueueUrl": "delivery", "WaitTimeSeconds": 0});
        assert_eq!(call(&sqs, "ReceiveMessage", body).await, Ok(json!({})));
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_received_message_has_the_form_of_a_lambda_event() {
        let sqs = in_memory();
        let body = json!({
            "QueueUrl": "delivery", "MessageBody": "hello", "MessageGroupId": "tenant",
            "MessageAttributes": {
                "kind": {"DataType": "String", "StringValue": "x"},
                "raw": {"DataType": "Binary", "BinaryValue": "AAE="},
            },
            "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
        });
        call(&sqs, "SendMessage", body).await.unwrap();
        let received =
            serde_json::to_value(sqs.receive("delivery", 1, Duration::ZERO).await.remove(0))
                .unwrap();
        assert_eq!(received["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(received["attributes"]["AWSTraceHeader"], "Root=1");
        assert_eq!(received["attributes"]["MessageGroupId"], "tenant");
        let lists = json!({"stringListValues": [], "binaryListValues": []});
        for (name, field, value, data_type) in [
            ("kind", "stringValue", "x", "String"),
            ("raw", "binaryValue", "AAE=", "Binary"),
        ] {
            let mut expected = lists.clone();
            expected[field] = json!(value);
            expected["dataType"] = json!(data_type);
            assert_eq!(received["messageAttributes"][name], expected);
        }
    }

    #[tokio::test]
    async fn a_restart_continues_with_everything() {
        let directory = tempfile::tempdir().unwrap();
        let before = Sqs::open(Some(directory.path())).unwrap();
        before
            .declare(queue("delivery", Some(("dead", 2))))
            .unwrap();
        before.declare(queue("dead", None)).unwrap();
        let ids = [
            send(&before, "deleted").await,
            send(&before, "in flight").await,
            send(&before, "é").await,
        ];
        let received = before.receive("delivery", 2, Duration::ZERO).await;
        before.delete("delivery", &received[0].receipt_handle);

        // The first store is still open, as a killed process leaves it.
        let after = Sqs::open(Some(directory.path())).unwrap();
        assert_eq!(after.counts(), before.counts());
        assert_eq!(
            after.counts()["delivery"],
            Counts {
                visible: 1,
                in_flight: 1,
                delayed: 0
            }
        );
        let visible = after.receive("delivery", 10, Duration::ZERO).await;
        assert_eq!(
            (
                visible.len(),
                visible[0].message_id.as_str(),
                visible[0].body.as_str()
            ),
            (1, ids[2].as_str(), "é")
        );
        let handle = &received[1].receipt_handle;
        let body = json!({"QueueUrl": "delivery", "ReceiptHandle": handle, "VisibilityTimeout": 0});
        call(&after, "ChangeMessageVisibility", body).await.unwrap();
        let again = after.receive("delivery", 10, Duration::ZERO).await;
        assert_eq!(again[0].attributes["ApproximateReceiveCount"], "2");
        send(&after, "new").await;
        assert_eq!(
            Sqs::open(Some(directory.path())).unwrap().counts(),
            after.counts()
        );
    }

    #[tokio::test]
    async fn a_restart_forgets_purged_and_deleted_messages_and_keeps_move_tasks() {
        let directory = tempfile::tempdir().unwrap();
        let sqs = Sqs::open(Some(directory.path())).unwrap();
        sqs.declare(queue("delivery", Some(("dead", 1)))).unwrap();
        sqs.declare(queue("dead", None)).unwrap();
        call(
            &sqs,
            "CreateQueue",
            json!({"QueueName": "short-lived", "tags": {"a": "b"}}),
        )
        .await
        .unwrap();
        call(
            &sqs,
            "SendMessage",
            json!({"QueueUrl": "short-lived", "MessageBody": "x"}),
        )
        .await
        .unwrap();
        call(&sqs, "DeleteQueue", json!({"QueueUrl": "short-lived"}))
            .await
            .unwrap();
        send(&sqs, "purged").await;
        call(&sqs, "PurgeQueue", json!({"QueueUrl": "delivery"}))
            .await
            .unwrap();
        call(
            &sqs,
            "SendMessage",
            json!({"QueueUrl": "dead", "MessageBody": "x"}),
        )
        .await
        .unwrap();
        let task = json!({"SourceArn": queue_arn("dead"), "DestinationArn": queue_arn("delivery")});
        call(&sqs, "StartMessageMoveTask", task).await.unwrap();

        let after = Sqs::open(Some(directory.path())).unwrap();
        assert_eq!(after.counts(), sqs.counts());
        assert_eq!(after.counts()["delivery"].visible, 1);
        let tasks = call(
            &after,
            "ListMessageMoveTasks",
            json!({"SourceArn": queue_arn("dead")}),
        )
        .await
        .unwrap();
        assert_eq!(tasks["Results"][0]["Status"], "COMPLETED");
        let purge = call(&after, "PurgeQueue", json!({"QueueUrl": "delivery"})).await;
        assert_eq!(purge.unwrap_err().code, "PurgeQueueInProgress");
    }

    #[test]
    fn refuses_a_file_of_another_version() {
        let directory = tempfile::tempdir().unwrap();
        drop(Sqs::open(Some(directory.path())).unwrap());
        let connection = rusqlite::Connection::open(directory.path().join("sqs.sqlite")).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = format!("{:#}", Sqs::open(Some(directory.path())).unwrap_err());
        assert!(error.contains("is of version 99"), "{error}");
    }

    #[tokio::test]
    async fn reports_the_problem_with_a_request() {
        let sqs = in_memory();
        let check = async |operation: &str, body: Value, code: &str, query_code: &str| {
            let error = call(&sqs, operation, body.clone()).await.unwrap_err();
            assert_eq!(
                (error.status, error.code.as_str()),
                (400, code),
                "{operation} {body}"
            );
            assert_eq!(
                error.query_code.unwrap_or_default(),
                query_code,
                "{operation} {body}"
            );
        };
        let missing = "AWS.SimpleQueueService.NonExistentQueue";
        check(
            "SendMessage",
            json!({"QueueUrl": "no", "MessageBody": "x"}),
            "QueueDoesNotExist",
            missing,
        )
        .await;
        check(
            "ReceiveMessage",
            json!({"QueueUrl": "no"}),
            "QueueDoesNotExist",
            missing,
        )
        .await;
        check(
            "DeleteQueue",
            json!({"QueueUrl": "no"}),
            "QueueDoesNotExist",
            missing,
        )
        .await;
        check(
            "Sing",
            json!({}),
            "UnknownOperationException",
            "InvalidAction",
        )
        .await;
        check(
            "SendMessage",
            json!({}),
            "MissingRequiredParameterException",
            "MissingParameter",
        )
        .await;
        check("SendMessage", json!("x"), "SerializationException", "").await;
        let invalid = ("InvalidParameterValueException", "InvalidParameterValue");
        for (name, value) in [
            ("MaxNumberOfMessages", 0),
            ("MaxNumberOfMessages", 11),
            ("WaitTimeSeconds", 21),
            ("VisibilityTimeout", 43_201),
        ] {
            check(
                "ReceiveMessage",
                json!({"QueueUrl": "delivery", name: value}),
                invalid.0,
                invalid.1,
            )
            .await;
        }
        check(
            "CreateQueue",
            json!({"QueueName": "a b"}),
            invalid.0,
            invalid.1,
        )
        .await;
        check(
            "CreateQueue",
            json!({"QueueName": "a", "Attributes": {"Color": "red"}}),
            "InvalidAttributeName",
            "InvalidAttributeName",
        )
        .await;
        check(
            "GetQueueAttributes",
            json!({"QueueUrl": "dead", "AttributeNames": ["x"]}),
            "InvalidAttributeName",
            "InvalidAttributeName",
        )
        .await;
        let garbage = json!({"QueueUrl": "dead", "ReceiptHandle": "x"});
        check(
            "DeleteMessage",
            garbage,
            "ReceiptHandleIsInvalid",
            "ReceiptHandleIsInvalid",
        )
        .await;
    }

    #[tokio::test]
    async fn a_batch_is_refused_whole_or_fails_entry_by_entry() {
        let sqs = in_memory();
        let send = async |entries: Value| {
            call(
                &sqs,
                "SendMessageBatch",
                json!({"QueueUrl": "delivery", "Entries": entries}),
            )
            .await
        };
        let entry = |id: &str, body: &str| json!({"Id": id, "MessageBody": body});
        let half = "x".repeat(MAXIMUM_MESSAGE_BYTES / 2);
        for (entries, code) in [
            (json!([]), "EmptyBatchRequest"),
            (
                json!(
                    (0..11)
                        .map(|id| entry(&id.to_string(), "x"))
                        .collect::<Vec<_>>()
                ),
                "TooManyEntriesInBatchRequest",
            ),
            (
                json!([entry("a", "x"), entry("a", "y")]),
                "BatchEntryIdsNotDistinct",
            ),
            (json!([entry("a b", "x")]), "InvalidBatchEntryId"),
            (json!([entry(&"a".repeat(81), "x")]), "InvalidBatchEntryId"),
            (
                json!([entry("a", &half), entry("b", &half), entry("c", "x")]),
                "BatchRequestTooLong",
            ),
            (json!([7]), "SerializationException"),
        ] {
            assert_eq!(send(entries).await.unwrap_err().code, code);
        }
        assert_eq!(sqs.counts()["delivery"].visible, 0);
        let answer = send(json!([
            entry("a", &half),
            entry("b", &half),
            entry("c", "\u{1}")
        ]))
        .await;
        // The body of the third entry never counted, so that entry fails alone.
        let answer = answer.unwrap();
        assert_eq!(answer["Successful"].as_array().unwrap().len(), 2);
        assert_eq!(answer["Failed"][0]["Code"], "InvalidMessageContents");
        assert_eq!(
            (
                &answer["Failed"][0]["Id"],
                &answer["Failed"][0]["SenderFault"]
            ),
            (&json!("c"), &json!(true))
        );
        assert_eq!(sqs.counts()["delivery"].visible, 2);
    }

    #[tokio::test]
    async fn creating_a_queue_again_is_harmless_unless_it_differs() {
        let sqs = in_memory();
        sqs.set_base_url("http://127.0.0.1:4999/");
        let create = async |timeout: &str| {
            let attributes = json!({"VisibilityTimeout": timeout});
            call(
                &sqs,
                "CreateQueue",
                json!({"QueueName": "new", "Attributes": attributes}),
            )
            .await
        };
        let url = json!({"QueueUrl": "http://127.0.0.1:4999/000000000000/new"});
        assert_eq!(create("60").await, Ok(url.clone()));
        assert_eq!(create("60").await, Ok(url));
        let error = create("61").await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.query_code),
            ("QueueNameExists", Some("QueueAlreadyExists"))
        );
    }

    #[tokio::test]
    async fn lists_queues_page_by_page() {
        let sqs = in_memory();
        let names = |answer: &Value| answer["QueueUrls"].as_array().unwrap().len();
        let first = call(&sqs, "ListQueues", json!({"MaxResults": 1}))
            .await
            .unwrap();
        let second = call(
            &sqs,
            "ListQueues",
            json!({"MaxResults": 1, "NextToken": first["NextToken"]}),
        )
        .await
        .unwrap();
        assert_eq!(
            (names(&first), names(&second), second.get("NextToken")),
            (1, 1, None)
        );
        let prefixed = call(&sqs, "ListQueues", json!({"QueueNamePrefix": "deli"}))
            .await
            .unwrap();
        assert_eq!(names(&prefixed), 1);
        let sources = call(
            &sqs,
            "ListDeadLetterSourceQueues",
            json!({"QueueUrl": "dead"}),
        )
        .await
        .unwrap();
        assert_eq!(sources["queueUrls"].as_array().unwrap().len(), 1);
    }
}
