//! The loop of a task function over a batch of messages: each is worked on by itself, and fails by itself.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use crate::config::{Aws, CallLimits, Environment};
use crate::invocation::{Invocation, serve};
use crate::ledger::Uncommitted;
use crate::task::Unreadable;
use crate::telemetry::{self, Count, count};

/// What is left of an invocation's time when its unfinished messages are given back.
const MARGIN: Duration = Duration::from_secs(4);

/// What is left when what became of them is reported, whatever else is slow.
const LAST_MARGIN: Duration = Duration::from_millis(500);

/// First and longest delay before a message is tried again, in seconds. The queues' receive counts allow for days of it.
const DELAY_FIRST_S: u32 = 2;
const DELAY_MAX_S: u32 = 900;

/// Longest time for which SQS hides a message after it was received (12 hours), less what has passed of it already.
const VISIBILITY_MAX_S: u32 = 43_000;

/// How long somebody outside is asked again: a day after its message was sent, a coupon is no news any more.
const OUTSIDE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// How often a message that panics is received: the fault is its own, or the code's for it.
const PANICS_MAX: u32 = 3;

/// The attribute of a dead letter that says why it was given up, and its longest value in bytes.
pub const REASON: &str = "Reason";
const REASON_MAX_BYTES: usize = 1000;

/// A message that a queue may hold.
pub trait QueueMessage: Sized {
    fn read(body: &str) -> Result<Self, Unreadable>;

    /// The event it is about, for the log.
    fn key(&self) -> String;
}

/// Why a message was not worked off.
#[derive(Debug)]
pub enum Failure {
    /// A store or a queue of ours does not answer: tried again after a delay that grows, for as long as it takes.
    Transient(anyhow::Error),
    /// Somebody outside does not take it now: the same, for a day, and not before the time that they name.
    Outside {
        error: anyhow::Error,
        after: Option<Duration>,
    },
    /// It is too early, which is no failure: the message comes again then.
    Early(Duration),
    /// It never will be: the message goes to the dead-letter queue, with the reason.
    Permanent(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Transient(error)
    }
}

impl From<Uncommitted> for Failure {
    fn from(uncommitted: Uncommitted) -> Self {
        match uncommitted {
            Uncommitted::ForNow(error) => Self::Transient(error),
            Uncommitted::Ever(error) => Self::Permanent(error),
        }
    }
}

/// A task's queue and its dead-letter queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
    dead_letter_url: String,
}

impl Queue {
    /// Reads `<NAME>_QUEUE_URL` and `<NAME>_DEAD_LETTER_QUEUE_URL`.
    pub fn read(environment: &mut Environment, aws: &Aws, name: &str) -> Self {
        let name = name.to_uppercase().replace('-', "_");
        Self {
            client: Client::new(&aws.sdk_config(CallLimits::TASK)),
            url: environment.text(&format!("{name}_QUEUE_URL")),
            dead_letter_url: environment.text(&format!("{name}_DEAD_LETTER_QUEUE_URL")),
        }
    }

    /// Moves a message that can never be worked off to the dead-letter queue.
    async fn give_up(&self, body: &str, reason: &str) -> anyhow::Result<()> {
        let end = reason.floor_char_boundary(REASON_MAX_BYTES);
        let reason = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(&reason[..end])
            .build()?;
        self.client
            .send_message()
            .queue_url(&self.dead_letter_url)
            .message_body(body)
            .message_attributes(REASON, reason)
            .send()
            .await
            .context("sending to the dead-letter queue")?;
        Ok(())
    }

    /// Sets when messages are tried again. Where that fails they come back at the queue's visibility timeout.
    async fn delay(&self, delayed: &[(String, u32)]) {
        if delayed.is_empty() {
            return;
        }
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
        let entries = match entries.collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => return tracing::warn!("No delay: {error}"),
        };
        let changed = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await;
        if let Err(error) = changed {
            tracing::warn!("No delay: {:#}", anyhow::Error::new(error));
        }
    }
}

/// In how many seconds a message is tried again that was received so often. Doubles with every receive, and is spread so that messages that failed together do not come back together.
fn delay_s(received: u32) -> u32 {
    let doublings = received.saturating_sub(1).min(16);
    let longest = (DELAY_FIRST_S << doublings).min(DELAY_MAX_S);
    fastrand::u32(longest.div_ceil(2)..=longest)
}

/// Works on messages until Lambda ends the function. `read` makes what works on them from the environment.
pub async fn run<W: Work>(
    name: &str,
    read: impl FnOnce(&mut Environment, &Aws) -> W,
) -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let worker = Worker::new(
        Queue::read(&mut environment, &aws, name),
        read(&mut environment, &aws),
    );
    environment.check()?;
    let worker = &worker;
    serve(|event: SqsEvent, context| async move {
        Ok(worker.work(event, Invocation::of(&context)).await)
    })
    .await
}

/// What a task function does with a message.
pub trait Work: Send + Sync + 'static {
    type Message: QueueMessage + Send + 'static;

    fn work(
        &self,
        message: Self::Message,
        invocation: Invocation,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Works on the batches that come from a queue.
#[derive(Debug)]
pub struct Worker<W> {
    queue: Queue,
    work: Arc<W>,
}

impl<W: Work> Worker<W> {
    pub fn new(queue: Queue, work: W) -> Self {
        Self {
            queue,
            work: Arc::new(work),
        }
    }

    /// Works on all messages of a batch side by side. What is not worked off is reported, and comes again.
    pub async fn work(&self, batch: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let unfinished = work(&self.work, batch.records, invocation).await;
        let ids: Vec<_> = unfinished.iter().map(|it| it.id.clone()).collect();
        let settled = settle(&self.queue, unfinished);
        let settled = tokio::time::timeout_at(invocation.before_end(LAST_MARGIN), settled).await;
        // Without a word from SQS they all stay, and come again at the queue's visibility timeout.
        report(settled.unwrap_or(ids))
    }
}

/// A message that was not worked off.
#[derive(Debug)]
struct Unfinished {
    id: String,
    receipt: String,
    body: String,
    received: u32,
    sent_at: Timestamp,
    next: Next,
}

/// What happens to it.
#[derive(Debug)]
enum Next {
    /// It is tried again, not before so long.
    Again(Duration),
    /// It comes again then, and nothing failed.
    Early(Duration),
    /// It goes to the dead-letter queue, for this reason.
    GivenUp(String),
}

/// Works on all messages side by side. Returns those that failed or ran out of time.
async fn work<W: Work>(
    work: &Arc<W>,
    messages: Vec<SqsMessage>,
    invocation: Invocation,
) -> Vec<Unfinished> {
    let give_back_at = invocation.before_end(MARGIN);
    let mut unfinished: Vec<Option<Unfinished>> = Vec::with_capacity(messages.len());
    let mut running = JoinSet::new();
    let mut indexes = std::collections::HashMap::new();
    for (index, message) in messages.into_iter().enumerate() {
        let attribute = |name: &str| message.attributes.get(name)?.parse::<i64>().ok();
        let received = attribute("ApproximateReceiveCount").and_then(|it| it.try_into().ok());
        let sent_at =
            attribute("SentTimestamp").and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let message = Unfinished {
            received: received.unwrap_or(1),
            sent_at: sent_at.unwrap_or(invocation.now()),
            next: Next::Again(Duration::ZERO),
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
        };
        // A task of its own, so that a panic is its own too.
        let (id, body) = (message.id.clone(), message.body.clone());
        let handled = work_on(Arc::clone(work), id, body, message.sent_at, invocation);
        indexes.insert(running.spawn(handled).id(), index);
        unfinished.push(Some(message));
    }
    while let Ok(Some(finished)) =
        tokio::time::timeout_at(give_back_at, running.join_next_with_id()).await
    {
        let task = match &finished {
            Ok((task, _)) => *task,
            Err(panic) => panic.id(),
        };
        let message = &mut unfinished[indexes[&task]];
        match finished {
            Ok((_, Ok(()))) => {
                count(Count::TaskDone);
                *message = None;
            }
            Ok((_, Err(next))) => {
                if let Some(message) = message {
                    message.next = next;
                }
            }
            // The panic's own message may quote contents.
            Err(_) => {
                if let Some(message) = message.as_mut().filter(|it| it.received >= PANICS_MAX) {
                    let received = message.received;
                    message.next = Next::GivenUp(format!("panicked; received {received} times"));
                }
            }
        }
    }
    if !running.is_empty() {
        tracing::warn!("{} messages were given back: out of time", running.len());
    }
    unfinished.into_iter().flatten().collect()
}

/// Works on one message. An error tells what happens to it.
async fn work_on<W: Work>(
    work: Arc<W>,
    id: String,
    body: String,
    sent_at: Timestamp,
    invocation: Invocation,
) -> Result<(), Next> {
    let message = match W::Message::read(&body) {
        Ok(message) => message,
        // During a deployment old code may get what new code wrote; it waits for new code.
        Err(newer @ Unreadable::Newer(_)) => {
            tracing::warn!(message.id = id, "Try again: {newer}");
            return Err(Next::Again(Duration::ZERO));
        }
        Err(unreadable) => {
            tracing::error!(message.id = id, "Given up: {unreadable}");
            return Err(Next::GivenUp(unreadable.to_string()));
        }
    };
    let key = message.key();
    let worked = work.work(message, invocation).await;
    worked.map_err(|failure| match failure {
        Failure::Outside { error, .. }
            if invocation.now().duration_since(sent_at) >= OUTSIDE_MAX =>
        {
            tracing::error!(
                message.id = id,
                event.key = key,
                "Given up after a day: {error:#}"
            );
            Next::GivenUp(format!("not taken for a day: {error:#}"))
        }
        Failure::Transient(error) => {
            tracing::warn!(message.id = id, event.key = key, "Try again: {error:#}");
            Next::Again(Duration::ZERO)
        }
        Failure::Outside { error, after } => {
            tracing::warn!(message.id = id, event.key = key, "Try again: {error:#}");
            Next::Again(after.unwrap_or_default())
        }
        Failure::Early(by) => Next::Early(by),
        Failure::Permanent(error) => {
            tracing::error!(message.id = id, event.key = key, "Given up: {error:#}");
            Next::GivenUp(format!("{error:#}"))
        }
    })
}

/// Moves what is given up to the dead-letter queue, and delays the rest. Returns the ids that SQS must keep.
async fn settle(queue: &Queue, unfinished: Vec<Unfinished>) -> Vec<String> {
    let give_ups = unfinished.iter().map(|message| async move {
        match &message.next {
            Next::GivenUp(reason) => Some(queue.give_up(&message.body, reason).await),
            Next::Again(_) | Next::Early(_) => None,
        }
    });
    let given_up = join_all(give_ups).await;
    let mut failed = Vec::new();
    let mut delayed = Vec::new();
    for (message, given_up) in unfinished.into_iter().zip(given_up) {
        match given_up {
            Some(Ok(())) => {
                count(Count::TaskGivenUp);
                continue;
            }
            Some(Err(error)) => tracing::warn!(message.id, "Kept for now: {error:#}"),
            None => {}
        }
        let again_s = match message.next {
            Next::Early(by) => seconds(by),
            Next::Again(after) => delay_s(message.received).max(seconds(after)),
            Next::GivenUp(_) => delay_s(message.received),
        };
        if !matches!(message.next, Next::Early(_)) {
            count(Count::TaskFailed);
        }
        delayed.push((message.receipt, again_s));
        failed.push(message.id);
    }
    queue.delay(&delayed).await;
    failed
}

/// Whole seconds, as far as a message can be hidden.
fn seconds(by: Duration) -> u32 {
    let whole = by
        .as_secs()
        .saturating_add(u64::from(by.subsec_nanos() > 0));
    u32::try_from(whole).map_or(VISIBILITY_MAX_S, |it| it.min(VISIBILITY_MAX_S))
}

fn report(failed: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventKey, Fact, Member, Redemption, Reward};
    use crate::task::Message;

    fn body(code: &str) -> String {
        let event = Event {
            key: EventKey::redeemed("zupy", "comp", code),
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            sandbox: false,
            member: Member {
                id: "ZP-1".into(),
                name: None,
                email: None,
                phone: None,
                tier: None,
            },
            fact: Fact::Redeemed(Redemption {
                coupon_code: code.into(),
                reward: Reward::default(),
                points_spent: None,
                new_balance: None,
                expires_at: None,
                method: None,
                discount: None,
            }),
        };
        Message::new(&event, Timestamp::UNIX_EPOCH, None).to_body()
    }

    const NOW_S: i64 = 1_800_000_000;

    /// Works on messages whose ids are their coupons' codes; which are given back, within 2 s?
    async fn check(codes: &[&str], expected: &[&str]) {
        struct AsTheCodeSays;
        impl Work for AsTheCodeSays {
            type Message = Message<'static>;

            async fn work(&self, message: Message<'static>, _: Invocation) -> Result<(), Failure> {
                match message.event.fact.coupon_code() {
                    "fails" => Err(anyhow::anyhow!("no").into()),
                    "never" => Err(Failure::Permanent(anyhow::anyhow!("never"))),
                    "panics" | "panics again" => panic!("on purpose"),
                    "hangs" => std::future::pending().await,
                    "early" => Err(Failure::Early(Duration::from_secs(60))),
                    "outside" | "outside for a day" => Err(Failure::Outside {
                        error: anyhow::anyhow!("busy"),
                        after: Some(Duration::from_secs(7)),
                    }),
                    _ => Ok(()),
                }
            }
        }
        let messages = codes.iter().map(|&code| {
            let mut message = SqsMessage::default();
            message.message_id = Some(code.into());
            let received = if code == "panics again" { "3" } else { "1" };
            let count = ("ApproximateReceiveCount".to_owned(), received.to_owned());
            message.attributes.extend([count]);
            let age_s = if code == "outside for a day" {
                24 * 3600
            } else {
                24 * 3600 - 60
            };
            let sent = (
                "SentTimestamp".to_owned(),
                format!("{}", NOW_S * 1000 - age_s * 1000),
            );
            message.attributes.extend([sent]);
            message.body = Some(match code {
                "unreadable" => "{\"version\": 1, \"event\": 5}".into(),
                "newer" => body("x").replace("\"version\":1", "\"version\":2"),
                _ => body(code),
            });
            message
        });
        let now = Timestamp::from_second(NOW_S).unwrap();
        let ends_at = now + MARGIN + Duration::from_millis(300);
        let invocation = Invocation::new(now, ends_at);
        let unfinished = work(&Arc::new(AsTheCodeSays), messages.collect(), invocation).await;
        let left: Vec<_> = unfinished
            .into_iter()
            .map(|message| match message.next {
                Next::GivenUp(reason) => format!("{}: {reason}", message.id),
                Next::Early(by) => format!("{} in {by:?}", message.id),
                Next::Again(after) if !after.is_zero() => format!("{} after {after:?}", message.id),
                Next::Again(_) => message.id,
            })
            .collect();
        assert_eq!(left.len(), expected.len(), "{left:?}");
        for (left, expected) in left.iter().zip(expected) {
            assert!(left.starts_with(expected), "{left}");
        }
    }

    #[tokio::test]
    async fn each_message_fails_by_itself() {
        check(&["a", "fails", "b", "panics", "c"], &["fails", "panics"]).await;
    }

    #[tokio::test]
    async fn a_message_that_can_never_be_worked_off_is_given_up() {
        let expected = ["unreadable: the message is not one", "never: never"];
        check(&["unreadable", "a", "never"], &expected).await;
        check(
            &["panics again"],
            &["panics again: panicked; received 3 times"],
        )
        .await;
    }

    #[tokio::test]
    async fn somebody_outside_is_asked_again_for_a_day() {
        check(
            &["early", "outside", "outside for a day"],
            &[
                "early in 60s",
                "outside after 7s",
                "outside for a day: not taken for a day: busy",
            ],
        )
        .await;
    }

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

    #[tokio::test]
    async fn a_message_for_newer_code_waits_for_it() {
        check(&["newer", "a"], &["newer"]).await;
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

    #[tokio::test]
    async fn what_is_unfinished_near_the_deadline_is_given_back() {
        check(&["a", "hangs", "b"], &["hangs"]).await;
    }

    #[test]
    fn failures_are_reported_as_sqs_expects_them() {
        assert_eq!(
            serde_json::to_string(&report(vec!["a".into()])).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#
        );
        assert_eq!(
            serde_json::to_string(&report(Vec::new())).unwrap(),
            r#"{"batchItemFailures":[]}"#
        );
    }
}
