//! The messages of one invocation: work on them contains panics, and each message gets its own
//! outcome.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::BatchWork;
use super::queue::{Queue, delay_s, seconds};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::message::QueueMessage;
use crate::telemetry::{Count, count};

/// The time before an invocation's end at which unfinished messages are given back to SQS.
pub const MARGIN: Duration = Duration::from_secs(4);

/// How long an outside system is asked again after the message was sent. After a day, a message
/// about a coupon comes too late.
const OUTSIDE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// How often a message that panics is received before it is given up, because the message, or the
/// code for it, causes the panic.
const PANICS_MAX: u32 = 3;

/// The least delay before a retry. Without it, a fault that fails at once would cause a loop
/// without a pause.
const DELAY_MIN: Duration = Duration::from_secs(1);

/// How often a message is received before it is given up, after any kind of fault: days of growing
/// delays. At its own `maxReceiveCount` of 1,000, the queue would move the message without a
/// reason.
pub const RECEIVES_MAX: u32 = 990;

/// The messages of one invocation, without those that are done.
pub(super) struct Batch {
    pub(super) messages: Vec<Option<Unfinished>>,
    /// The id and the receipt of each message.
    pub(super) handles: Vec<(String, String)>,
    invocation: Invocation,
}

/// A message that is not done.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) id: String,
    receipt: String,
    body: String,
    pub(super) received: u32,
    sent_at: Timestamp,
    pub(super) next: Next,
}

/// What happens next to the message.
#[derive(Debug)]
pub(super) enum Next {
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
    pub(super) fn new(messages: Vec<SqsMessage>, invocation: Invocation) -> Self {
        let messages = messages.into_iter();
        let messages: Vec<_> = messages
            .map(|message| Unfinished::new(message, invocation))
            .collect();
        let handles = messages
            .iter()
            .map(|message| (message.id.clone(), message.receipt.clone()));
        Self {
            handles: handles.collect(),
            messages: messages.into_iter().map(Some).collect(),
            invocation,
        }
    }

    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.messages.len()).collect()
    }

    /// Works on each of these messages alone, all at the same time. So a message that panics stops
    /// no other message.
    pub(super) async fn work_one_by_one<W: BatchWork>(
        &mut self,
        work: &Arc<W>,
        messages: Vec<usize>,
    ) {
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

    /// Works on these messages at once. After a panic, the work begins again on each one alone, so
    /// that only the message that causes the panic fails.
    pub(super) async fn work_as_one<W: BatchWork>(&mut self, work: &Arc<W>, messages: Vec<usize>) {
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
            tracing::warn!(
                "{} messages were given back, because the time was up",
                self.left()
            );
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

/// Works on messages at once. Returns for each message that it is done, or what happens next.
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
pub(super) async fn settle(queue: &Queue, mut unfinished: Vec<Unfinished>) -> Vec<String> {
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
            Some(Err(error)) => {
                tracing::warn!(message.id, "The message is not given up yet: {error:#}")
            }
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

pub(super) fn report(failed: Vec<String>) -> SqsBatchResponse {
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
mod tests;
