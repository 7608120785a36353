//! The loop of a task function over a batch of messages. Each message fails by itself, even if all
//! are worked on as one.

mod attempts;
mod from_ledger;
mod queue;
mod suspects;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use crate::config::{Aws, Environment};
use crate::invocation::{Invocation, serve};
use crate::ledger::Uncommitted;
use crate::task::Unreadable;
use crate::telemetry::{self, Count, count};

pub use from_ledger::{FromLedger, from_ledger};
pub use queue::{Queue, REASON};
use queue::{delay_s, seconds};
use suspects::How;

/// The time before an invocation's end at which unfinished messages are given back to SQS.
pub const MARGIN: Duration = Duration::from_secs(4);

/// The time before an invocation's end at which the failed messages are reported, however slow
/// anything else is.
const LAST_MARGIN: Duration = Duration::from_millis(500);

/// How long an outside system is asked again after the message was sent. After a day, a coupon is
/// no news any more.
const OUTSIDE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// How often a message that panics is received, because the message, or the code for it, causes the
/// panic.
const PANICS_MAX: u32 = 3;

/// The least delay before a retry. Without it, a fault that comes back at once would be a loop
/// without a pause.
const DELAY_MIN: Duration = Duration::from_secs(1);

/// How often a message is received before it is given up, after any kind of fault: days of growing
/// delays. At its own `maxReceiveCount` of 1,000, the queue would move the message without a
/// reason.
pub const RECEIVES_MAX: u32 = 990;

/// The most bytes of a reason that unites several failures.
const REASONS_MAX_BYTES: usize = 400;

/// A message that a queue may hold.
pub trait QueueMessage: Sized {
    fn read(body: &str) -> Result<Self, Unreadable>;

    /// The key of the message's event, for the log.
    fn key(&self) -> String;
}

/// Why a message is not done.
#[derive(Debug)]
pub enum Failure {
    /// One of our stores or queues does not answer. The message is retried with a growing delay,
    /// for as long as it takes.
    Transient(anyhow::Error),
    /// An outside system fails. The message is retried for a day, and not before the time that the
    /// outside system names.
    Outside {
        error: anyhow::Error,
        after: Option<Duration>,
    },
    /// It is too early, which is no failure. The message is retried then.
    Early(Duration),
    /// The message can never be done. It goes to the dead-letter queue, with the reason.
    Permanent(anyhow::Error),
}

impl Failure {
    /// Unites the failures of two parts of a message. If one of them asks for a retry, the message
    /// is retried, at the earlier of their times. A permanent failure yields to any other. A
    /// failure outside limits the retries to a day for both, except beside a transient one.
    pub fn and(self, other: Self) -> Self {
        use Failure::{Early, Outside, Permanent, Transient};
        // The first reasons of many are enough to find the fault.
        let both = |a: anyhow::Error, b: &anyhow::Error| match format!("{a:#}").len() {
            0..REASONS_MAX_BYTES => a.context(format!("{b:#}; and")),
            _ => a,
        };
        match (self, other) {
            (Transient(a), Transient(b) | Outside { error: b, .. } | Permanent(b))
            | (Outside { error: b, .. } | Permanent(b), Transient(a)) => Transient(both(a, &b)),
            (Transient(a), Early(_)) | (Early(_), Transient(a)) => Transient(a),
            (
                Outside { error: a, after },
                Outside {
                    error: b,
                    after: other,
                },
            ) => Outside {
                error: both(a, &b),
                after: after.zip(other).map(|(a, b)| a.min(b)),
            },
            (Outside { error, after }, Early(by)) | (Early(by), Outside { error, after }) => {
                Outside {
                    error,
                    after: after.map(|after| after.min(by)),
                }
            }
            (Outside { error: a, after }, Permanent(b))
            | (Permanent(b), Outside { error: a, after }) => Outside {
                error: both(a, &b),
                after,
            },
            (Early(a), Early(b)) => Early(a.min(b)),
            (Early(by), Permanent(_)) | (Permanent(_), Early(by)) => Early(by),
            (Permanent(a), Permanent(b)) => Permanent(both(a, &b)),
        }
    }
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

/// Works on messages until Lambda ends the function. `read` makes the work from the environment.
pub async fn run<W: Work>(
    name: &str,
    read: impl FnOnce(&mut Environment, &Aws) -> W,
) -> anyhow::Result<()> {
    let worker = start(name, read)?;
    worker.start().await?;
    let worker = &worker;
    serve(|event: SqsEvent, context| async move {
        Ok(worker.work(event, Invocation::of(&context)).await)
    })
    .await
}

/// Like [`run`], for work on whole batches.
pub async fn run_batches<W: BatchWork>(
    name: &str,
    read: impl FnOnce(&mut Environment, &Aws) -> W,
) -> anyhow::Result<()> {
    let worker = start(name, read)?;
    let worker = &worker;
    serve(|event: SqsEvent, context| async move {
        Ok(worker.work_as_one(event, Invocation::of(&context)).await)
    })
    .await
}

fn start<W>(
    name: &str,
    read: impl FnOnce(&mut Environment, &Aws) -> W,
) -> anyhow::Result<Worker<W>> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let queue = Queue::read(&mut environment, &aws, name);
    let worker = Worker::new(queue, read(&mut environment, &aws));
    environment.check()?;
    Ok(worker)
}

/// What a task function does with a message.
pub trait Work: Send + Sync + 'static {
    type Message: QueueMessage + Send + 'static;

    /// Runs once, before the first message.
    ///
    /// # Errors
    /// The function cannot start.
    fn start(&self) -> impl Future<Output = anyhow::Result<()>> + Send {
        async { Ok(()) }
    }

    fn work(
        &self,
        message: Self::Message,
        invocation: Invocation,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What a task function does with all messages of a batch at once, because that costs less than one
/// by one.
pub trait BatchWork: Send + Sync + 'static {
    type Message: QueueMessage + Send + 'static;

    /// Returns the outcome of each message, in their order.
    fn work(
        &self,
        messages: Vec<Self::Message>,
        invocation: Invocation,
    ) -> impl Future<Output = Vec<Result<(), Failure>>> + Send;
}

/// Works on the batches that come from a queue.
#[derive(Debug)]
pub struct Worker<W> {
    queue: Queue,
    work: Arc<W>,
}

impl<W> Worker<W> {
    pub fn new(queue: Queue, work: W) -> Self {
        Self {
            queue,
            work: Arc::new(work),
        }
    }
}

impl<W: Work> Worker<W> {
    /// Runs the work's start, before the first message.
    ///
    /// # Errors
    /// The function cannot start.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.work.start().await
    }

    /// Works on all messages of a batch at the same time. Messages that are not done are reported,
    /// and SQS delivers them again.
    pub async fn work(&self, batch: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let work = Arc::new(OneByOne(Arc::clone(&self.work)));
        self.work_off(batch, &work, How::OneByOne, invocation).await
    }
}

impl<W: BatchWork> Worker<W> {
    /// Works on all messages of a batch as one. Messages that are not done are reported, and SQS
    /// delivers them again.
    pub async fn work_as_one(&self, batch: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        self.work_off(batch, &self.work, How::AsOne, invocation)
            .await
    }
}

/// Lets work on single messages stand for work on batches.
struct OneByOne<W>(Arc<W>);

impl<W: Work> BatchWork for OneByOne<W> {
    type Message = W::Message;

    async fn work(
        &self,
        messages: Vec<W::Message>,
        invocation: Invocation,
    ) -> Vec<Result<(), Failure>> {
        let messages = messages.into_iter();
        join_all(messages.map(|message| self.0.work(message, invocation))).await
    }
}

/// The messages of one invocation, without those that are done.
struct Batch {
    messages: Vec<Option<Unfinished>>,
    /// The id and the receipt of each message.
    handles: Vec<(String, String)>,
    invocation: Invocation,
}

/// A message that is not done.
#[derive(Debug)]
struct Unfinished {
    id: String,
    receipt: String,
    body: String,
    received: u32,
    sent_at: Timestamp,
    next: Next,
}

/// What happens next to the message.
#[derive(Debug)]
enum Next {
    /// The message is retried after at least this delay, for this reason.
    Again(Duration, String),
    /// The message is retried after this delay, and nothing failed.
    Early(Duration),
    /// The message goes to the dead-letter queue, for this reason.
    GivenUp(String),
}

impl Next {
    /// The delay before the message is received again, by how often it was received.
    fn again_s(&self, received: u32) -> u32 {
        let again_s = match self {
            Self::Early(by) => seconds(*by),
            Self::Again(after, _) => delay_s(received).max(seconds(*after)),
            Self::GivenUp(_) => delay_s(received),
        };
        again_s.max(seconds(DELAY_MIN))
    }
}

impl Batch {
    fn new(messages: Vec<SqsMessage>, invocation: Invocation) -> Self {
        let messages = messages.into_iter();
        let messages: Vec<_> = messages
            .map(|message| Unfinished::new(message, invocation))
            .collect();
        let handles = messages
            .iter()
            .map(|it| (it.id.clone(), it.receipt.clone()));
        Self {
            handles: handles.collect(),
            messages: messages.into_iter().map(Some).collect(),
            invocation,
        }
    }

    fn all(&self) -> Vec<usize> {
        (0..self.messages.len()).collect()
    }

    /// Works on each of these messages alone, all at the same time. So a message that panics causes
    /// its own panic.
    async fn work_one_by_one<W: BatchWork>(&mut self, work: &Arc<W>, messages: Vec<usize>) {
        let alone = messages.into_iter().map(|index| vec![index]);
        for index in self.work_in_groups(work, alone.collect()).await {
            if let Some(message) = &mut self.messages[index]
                && message.received >= PANICS_MAX
            {
                let reason = format!("panicked; received {} times", message.received);
                message.next = Next::GivenUp(reason);
            }
        }
    }

    /// Works on these messages at once. If that panics, it works on each one alone, so that only
    /// the message that causes the panic fails.
    async fn work_as_one<W: BatchWork>(&mut self, work: &Arc<W>, messages: Vec<usize>) {
        let panicked = match messages.len() {
            0 | 1 => messages,
            _ => self.work_in_groups(work, vec![messages]).await,
        };
        self.work_one_by_one(work, panicked).await;
    }

    /// Works on groups of messages: on each group at once, and on all groups at the same time.
    /// Returns the messages of the groups that panicked. Messages that are not done when the time
    /// is up stay unfinished.
    async fn work_in_groups<W: BatchWork>(
        &mut self,
        work: &Arc<W>,
        groups: Vec<Vec<usize>>,
    ) -> Vec<usize> {
        let mut running = JoinSet::new();
        let mut of_task = HashMap::new();
        for group in groups {
            let given = group
                .iter()
                .filter_map(|index| self.messages[*index].as_ref());
            let given: Vec<_> = given.map(Given::of).collect();
            // A tokio task of its own contains a panic.
            let task = running.spawn(work_on(Arc::clone(work), given, self.invocation));
            of_task.insert(task.id(), group);
        }
        let give_back_at = self.invocation.before_end(MARGIN);
        let mut panicked = Vec::new();
        while let Ok(Some(finished)) =
            tokio::time::timeout_at(give_back_at, running.join_next_with_id()).await
        {
            match finished {
                Ok((task, outcomes)) => {
                    for (index, outcome) in of_task[&task].iter().zip(outcomes) {
                        self.settle(*index, outcome);
                    }
                }
                // The panic's own message may quote contents.
                Err(panic) => panicked.extend(&of_task[&panic.id()]),
            }
        }
        if !running.is_empty() {
            tracing::warn!("{} messages were given back: out of time", self.left());
        }
        panicked
    }

    fn settle(&mut self, index: usize, outcome: Result<(), Next>) {
        match outcome {
            Ok(()) => {
                count(Count::TaskDone);
                self.messages[index] = None;
            }
            Err(next) => {
                if let Some(message) = &mut self.messages[index] {
                    message.next = next;
                }
            }
        }
    }

    fn left(&self) -> usize {
        self.messages.iter().flatten().count()
    }
}

impl Unfinished {
    fn new(message: SqsMessage, invocation: Invocation) -> Self {
        let attribute = |name: &str| message.attributes.get(name)?.parse::<i64>().ok();
        let received = attribute("ApproximateReceiveCount").and_then(|it| it.try_into().ok());
        let sent_at =
            attribute("SentTimestamp").and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self {
            received: received.unwrap_or(1),
            sent_at: sent_at.unwrap_or(invocation.now()),
            next: Next::Again(Duration::ZERO, "it was not finished in time".into()),
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
        }
    }
}

impl Unfinished {
    /// Gives the message up with a reason, before the queue moves it without one.
    fn give_up_at_last(&mut self) {
        let received = self.received;
        if received < RECEIVES_MAX {
            return;
        }
        let why = match &self.next {
            Next::Again(_, why) => why,
            Next::Early(_) => "it was too early each time",
            Next::GivenUp(_) => return,
        };
        tracing::error!(
            message.id = self.id,
            "Given up after {received} receives: {why}"
        );
        self.next = Next::GivenUp(format!("received {received} times; {why}"));
    }
}

/// The facts of a message while it is worked on.
struct Given {
    id: String,
    body: String,
    sent_at: Timestamp,
}

impl Given {
    fn of(message: &Unfinished) -> Self {
        Self {
            id: message.id.clone(),
            body: message.body.clone(),
            sent_at: message.sent_at,
        }
    }

    fn read<M: QueueMessage>(&self) -> Result<M, Next> {
        match M::read(&self.body) {
            Ok(message) => Ok(message),
            // During a deployment old code may get a message that new code wrote. The message waits
            // for new code.
            Err(newer) if newer.waits_for_newer_code() => {
                tracing::warn!(message.id = self.id, "Retried later: {newer}");
                Err(Next::Again(Duration::ZERO, newer.to_string()))
            }
            Err(unreadable) => {
                tracing::error!(message.id = self.id, "Given up: {unreadable}");
                Err(Next::GivenUp(unreadable.to_string()))
            }
        }
    }

    fn next(&self, key: &str, failure: Failure, invocation: Invocation) -> Next {
        let id = &self.id;
        match failure {
            Failure::Outside { error, .. }
                if invocation.now().duration_since(self.sent_at) >= OUTSIDE_MAX =>
            {
                tracing::error!(
                    message.id = id,
                    event.key = key,
                    "Given up after a day: {error:#}"
                );
                Next::GivenUp(format!("refused for a day: {error:#}"))
            }
            Failure::Transient(error) => {
                tracing::warn!(message.id = id, event.key = key, "Retried later: {error:#}");
                Next::Again(Duration::ZERO, format!("{error:#}"))
            }
            Failure::Outside { error, after } => {
                tracing::warn!(message.id = id, event.key = key, "Retried later: {error:#}");
                Next::Again(after.unwrap_or_default(), format!("{error:#}"))
            }
            Failure::Early(by) => Next::Early(by),
            Failure::Permanent(error) => {
                tracing::error!(message.id = id, event.key = key, "Given up: {error:#}");
                Next::GivenUp(format!("{error:#}"))
            }
        }
    }
}

/// Works on messages at once. Returns for each that it is done, or what happens next.
async fn work_on<W: BatchWork>(
    work: Arc<W>,
    given: Vec<Given>,
    invocation: Invocation,
) -> Vec<Result<(), Next>> {
    let (mut messages, mut keys) = (Vec::new(), Vec::new());
    for given in &given {
        keys.push(given.read().map(|message: W::Message| {
            let key = message.key();
            messages.push(message);
            key
        }));
    }
    let mut outcomes = Vec::new();
    if !messages.is_empty() {
        outcomes = work.work(messages, invocation).await;
    }
    let mut outcomes = outcomes.into_iter();
    let of_each = given.iter().zip(keys).map(|(given, key)| {
        let key = key?;
        let outcome = outcomes.next();
        let outcome = outcome
            .unwrap_or_else(|| Err(anyhow!("the work gave no outcome for the message").into()));
        outcome.map_err(|failure| given.next(&key, failure, invocation))
    });
    of_each.collect()
}

/// Moves the messages that are given up to the dead-letter queue, and delays the others. Returns
/// the ids that SQS must keep.
async fn settle(queue: &Queue, mut unfinished: Vec<Unfinished>) -> Vec<String> {
    for message in &mut unfinished {
        message.give_up_at_last();
    }
    let give_ups = unfinished.iter().map(|message| async move {
        match &message.next {
            Next::GivenUp(reason) => Some(queue.give_up(&message.body, reason).await),
            Next::Again(..) | Next::Early(_) => None,
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
        let again_s = message.next.again_s(message.received);
        if !matches!(message.next, Next::Early(_)) {
            count(Count::TaskFailed);
        }
        delayed.push((message.receipt, again_s));
        failed.push(message.id);
    }
    queue.delay(&delayed).await;
    failed
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
    use crate::event::{Envelope, Event, EventKey, Fact, Member, Redemption};
    use crate::task::Message;

    fn body(code: &str) -> String {
        let event = Event {
            key: EventKey::redeemed("zupy", "comp", code),
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            sandbox: false,
            received_at: None,
            member: Member {
                id: "ZP-1".into(),
                ..Member::default()
            },
            fact: Fact::Redeemed(Redemption {
                coupon_code: code.into(),
                ..Redemption::default()
            }),
            envelope: Envelope::default(),
            warnings: Vec::new(),
        };
        Message::new(&event, Timestamp::UNIX_EPOCH, None).to_body()
    }

    const NOW_S: i64 = 1_800_000_000;

    struct AsTheCodeSays;

    impl Work for AsTheCodeSays {
        type Message = Message<'static>;

        async fn work(&self, message: Message<'static>, _: Invocation) -> Result<(), Failure> {
            match message.event.fact.coupon_code().unwrap() {
                "fails" => Err(anyhow!("no").into()),
                "never" => Err(Failure::Permanent(anyhow!("never"))),
                "panics" | "panics again" => panic!("on purpose"),
                "hangs" => std::future::pending().await,
                "early" => Err(Failure::Early(Duration::from_secs(60))),
                "outside" | "outside for a day" => Err(Failure::Outside {
                    error: anyhow!("busy"),
                    after: Some(Duration::from_secs(7)),
                }),
                _ => Ok(()),
            }
        }
    }

    /// Fails each failed message with its batch size.
    struct WithBatchSize;

    impl BatchWork for WithBatchSize {
        type Message = Message<'static>;

        async fn work(
            &self,
            messages: Vec<Message<'static>>,
            invocation: Invocation,
        ) -> Vec<Result<(), Failure>> {
            let batch_size = messages.len();
            let alone = |message| AsTheCodeSays.work(message, invocation);
            let outcomes = join_all(messages.into_iter().map(alone)).await;
            let counted = |outcome: Result<(), Failure>| {
                outcome.map_err(|_| Failure::Permanent(anyhow!("one of {batch_size}")))
            };
            outcomes.into_iter().map(counted).collect()
        }
    }

    /// A batch of messages whose ids are their coupons' codes.
    fn batch(codes: &[&str]) -> Batch {
        let messages = codes.iter().map(|&code| {
            let mut message = SqsMessage::default();
            message.message_id = Some(code.into());
            let received = if code == "panics again" { "3" } else { "1" };
            let age_s = match code {
                "outside for a day" => 24 * 3600,
                _ => 24 * 3600 - 60,
            };
            let sent_ms = (NOW_S - age_s) * 1000;
            message.attributes.extend([
                ("ApproximateReceiveCount".to_owned(), received.to_owned()),
                ("SentTimestamp".to_owned(), sent_ms.to_string()),
            ]);
            message.body = Some(match code {
                "unreadable" => "{\"version\": 1, \"event\": 5}".into(),
                "newer" => body("x").replace("\"version\":1", "\"version\":2"),
                "of an unknown kind" => body("x").replace("\"redeemed\":{", "\"donated\":{"),
                "with an unknown field" => {
                    body("x").replace("\"sandbox\":", "\"new\":1,\"sandbox\":")
                }
                _ => body(code),
            });
            message
        });
        let now = Timestamp::from_second(NOW_S).unwrap();
        let ends_at = now + MARGIN + Duration::from_millis(300);
        Batch::new(messages.collect(), Invocation::new(now, ends_at))
    }

    /// Works on messages one by one, and checks which are left after 0.3 s.
    async fn check(codes: &[&str], expected: &[&str]) {
        let mut batch = batch(codes);
        let work = Arc::new(OneByOne(Arc::new(AsTheCodeSays)));
        batch.work_one_by_one(&work, batch.all()).await;
        check_left(batch, expected);
    }

    /// Works on messages as one, and checks which are left.
    async fn check_as_one(codes: &[&str], expected: &[&str]) {
        let mut batch = batch(codes);
        batch
            .work_as_one(&Arc::new(WithBatchSize), batch.all())
            .await;
        check_left(batch, expected);
    }

    #[track_caller]
    fn check_left(batch: Batch, expected: &[&str]) {
        let left = batch.messages.into_iter().flatten();
        let left: Vec<_> = left
            .map(|message| match message.next {
                Next::GivenUp(reason) => format!("{}: {reason}", message.id),
                Next::Early(by) => format!("{} in {by:?}", message.id),
                Next::Again(after, _) if !after.is_zero() => {
                    format!("{} after {after:?}", message.id)
                }
                Next::Again(..) => message.id,
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
    async fn an_outside_system_is_asked_again_for_a_day() {
        check(
            &["early", "outside", "outside for a day"],
            &[
                "early in 60s",
                "outside after 7s",
                "outside for a day: refused for a day: busy",
            ],
        )
        .await;
    }

    #[test]
    fn the_failures_of_two_parts_become_one() {
        let failure = |name: &str| match name.split_once(' ') {
            Some(("early", s)) => Failure::Early(Duration::from_secs(s.parse().unwrap())),
            Some(("outside", s)) => Failure::Outside {
                error: anyhow::anyhow!("busy"),
                after: s.parse().ok().map(Duration::from_secs),
            },
            _ if name == "permanent" => Failure::Permanent(anyhow::anyhow!("never")),
            _ => Failure::Transient(anyhow::anyhow!("down")),
        };
        let name = |failure: Failure| match failure {
            Failure::Transient(_) => "transient".to_owned(),
            Failure::Outside { after, .. } => match after {
                Some(after) => format!("outside {}", after.as_secs()),
                None => "outside at once".into(),
            },
            Failure::Early(by) => format!("early {}", by.as_secs()),
            Failure::Permanent(_) => "permanent".into(),
        };
        for (a, b, expected) in [
            ("transient", "transient", "transient"),
            ("transient", "outside 9", "transient"),
            ("transient", "early 9", "transient"),
            ("transient", "permanent", "transient"),
            ("outside 9", "outside 7", "outside 7"),
            ("outside 9", "outside at once", "outside at once"),
            ("outside 9", "early 7", "outside 7"),
            ("outside at once", "early 7", "outside at once"),
            ("outside 9", "permanent", "outside 9"),
            ("early 9", "early 7", "early 7"),
            ("early 9", "permanent", "early 9"),
            ("permanent", "permanent", "permanent"),
        ] {
            assert_eq!(name(failure(a).and(failure(b))), expected, "{a} and {b}");
            assert_eq!(name(failure(b).and(failure(a))), expected, "{b} and {a}");
        }
    }

    #[test]
    fn no_message_is_retried_without_a_pause() {
        let next = |failure: Failure| {
            let given = Given {
                id: "1".into(),
                body: String::new(),
                sent_at: Timestamp::UNIX_EPOCH,
            };
            let now = Timestamp::UNIX_EPOCH;
            given.next("key", failure, Invocation::new(now, now))
        };
        let outside = |after| Failure::Outside {
            error: anyhow!("busy"),
            after,
        };
        for (failure, least_s) in [
            (Failure::Early(Duration::ZERO), 1),
            (Failure::Early(Duration::from_millis(1)), 1),
            (Failure::Early(Duration::from_secs(7)), 7),
            (outside(None), 1),
            (outside(Some(Duration::ZERO)), 1),
            (outside(Some(Duration::from_secs(7))), 7),
            (anyhow!("down").into(), 1),
            (Failure::Permanent(anyhow!("never")), 1),
        ] {
            assert!(next(failure).again_s(1) >= least_s);
        }
    }

    #[test]
    fn a_message_is_given_up_with_a_reason_before_the_queue_moves_it() {
        let check = |received: u32, next: Next, expected: Option<&str>| {
            let mut message = batch(&["a"]).messages.remove(0).unwrap();
            message.received = received;
            message.next = next;
            message.give_up_at_last();
            let reason = match &message.next {
                Next::GivenUp(reason) => Some(reason.as_str()),
                _ => None,
            };
            assert_eq!(reason, expected);
        };
        let down = || Next::Again(Duration::ZERO, "DynamoDB is down".into());
        let early = || Next::Early(Duration::from_secs(60));
        check(989, down(), None);
        check(990, down(), Some("received 990 times; DynamoDB is down"));
        check(989, early(), None);
        check(
            995,
            early(),
            Some("received 995 times; it was too early each time"),
        );
        check(995, Next::GivenUp("never".into()), Some("never"));
    }

    #[test]
    fn the_reason_for_many_failures_is_short() {
        let failures = (0..1000).map(|n| Failure::from(anyhow!("the coupon {n} cannot be sent")));
        let Some(Failure::Transient(error)) = failures.reduce(Failure::and) else {
            panic!("they may pass");
        };
        assert!(format!("{error:#}").len() < 500);
    }

    #[tokio::test]
    async fn a_message_for_newer_code_waits_for_it() {
        let newer = ["newer", "of an unknown kind", "with an unknown field"];
        check(&[newer[0], newer[1], "a", newer[2]], &newer).await;
    }

    #[tokio::test]
    async fn unfinished_messages_are_given_back_near_the_deadline() {
        check(&["a", "hangs", "b"], &["hangs"]).await;
    }

    #[tokio::test]
    async fn a_batch_is_worked_on_as_one_and_each_message_has_its_own_outcome() {
        let expected = ["unreadable: ", "fails: one of 3", "newer"];
        check_as_one(&["a", "unreadable", "fails", "newer", "b"], &expected).await;
        check_as_one(&["unreadable"], &["unreadable: "]).await;
        check_as_one(&["a"], &[]).await;
        check_as_one(&[], &[]).await;
    }

    #[tokio::test]
    async fn a_message_that_makes_its_batch_panic_fails_alone() {
        let codes = ["a", "panics", "fails", "panics again"];
        let expected = [
            "panics",
            "fails: one of 1",
            "panics again: panicked; received 3 times",
        ];
        check_as_one(&codes, &expected).await;
    }

    #[tokio::test]
    async fn a_batch_that_is_unfinished_near_the_deadline_is_given_back() {
        check_as_one(&["a", "hangs", "b"], &["a", "hangs", "b"]).await;
        // Each message has its own time when it is worked on alone.
        check_as_one(&["a", "hangs", "panics"], &["hangs", "panics"]).await;
    }

    #[tokio::test]
    async fn a_message_without_an_outcome_is_retried() {
        struct Silent;
        impl BatchWork for Silent {
            type Message = Message<'static>;

            async fn work(
                &self,
                _: Vec<Message<'static>>,
                _: Invocation,
            ) -> Vec<Result<(), Failure>> {
                vec![Ok(())]
            }
        }
        let mut batch = batch(&["a", "b"]);
        batch.work_as_one(&Arc::new(Silent), batch.all()).await;
        check_left(batch, &["b"]);
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
