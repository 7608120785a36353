//! Messages that may kill their process: out of memory, by an abort, or past the function's
//! timeout. The process cannot log such a death, and a batch dies as one.
//!
//! A message that comes for the first time costs nothing here. For a repeated message, the worker
//! writes a note before the work begins and after it ends. A message whose attempt began and never
//! ended is a suspect. The worker works on a suspect alone, after its neighbours are settled and
//! deleted, so that only the suspect dies with the process. After three deaths, the suspect goes to
//! the dead-letter queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::attempts::Attempt;
use super::batch::{Batch, Next, Unfinished, report, settle};
use super::{BatchWork, Worker};
use crate::invocation::Invocation;

/// The time before an invocation's end at which the failed messages are reported, however slow
/// anything else is.
const LAST_MARGIN: Duration = Duration::from_millis(500);

/// How often a message may kill its process.
const DEATHS_MAX: usize = 3;

/// The delay of a suspect that the worker gives back in favour of another, in seconds.
const GIVEN_BACK_S: std::ops::RangeInclusive<u64> = 2..=10;

/// How the work takes the messages of a batch: one by one, or all as one.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    OneByOne,
    AsOne,
}

/// A message whose earlier attempt never ended, by its index in the batch.
struct Suspect {
    index: usize,
    attempt: Attempt,
}

impl<W> Worker<W> {
    /// Works on a batch, and on one of its suspects last. The response lists the messages that are
    /// not done, and SQS delivers these again.
    pub(super) async fn work_off<B: BatchWork>(
        &self,
        batch: SqsEvent,
        work: &Arc<B>,
        how: How,
        invocation: Invocation,
    ) -> SqsBatchResponse {
        let mut batch = Batch::new(batch.records, invocation);
        let (mut suspects, mut begun) = (Vec::new(), Vec::new());
        let mut dead = BTreeSet::new();
        for (index, id, attempt) in self.begin_repeated(&batch, invocation).await {
            match attempt {
                Some(attempt) if batch.deaths(index, &attempt) >= DEATHS_MAX => {
                    batch.give_up_dead(index);
                    dead.insert(index);
                }
                Some(attempt) if attempt.unended > 0 => suspects.push(Suspect { index, attempt }),
                // An attempt is unknown if its note failed; the note may be written all the same.
                _ => begun.push(id),
            }
        }
        // Until suspects are worked on themselves, they cannot die with others.
        let taken_back = suspects.iter().map(|suspect| {
            let attempts = &self.queue.attempts;
            attempts.take_back(batch.id(suspect.index), &suspect.attempt)
        });
        for error in join_all(taken_back)
            .await
            .into_iter()
            .filter_map(Result::err)
        {
            tracing::warn!("A suspect's attempt is not taken back: {error:#}");
        }
        let apart: BTreeSet<_> = suspects.iter().map(|it| it.index).collect();
        let others = batch.all().into_iter();
        let others = others.filter(|index| !apart.contains(index) && !dead.contains(index));
        batch.work(work, how, others.collect()).await;

        // The suspect that died most often comes first, because the others gain most once it is
        // gone.
        suspects.sort_by_key(|it| it.attempt.unended);
        let is_early = Instant::now() < invocation.middle();
        let suspect = suspects.pop_if(|_| is_early);
        for given_back in &suspects {
            batch.give_back(given_back.index);
        }
        let Some(Suspect { index, attempt }) = suspect else {
            return report(self.settle_all(batch.take(None), begun, invocation).await);
        };
        let mut failed = self
            .settle_all(batch.take(Some(index)), begun, invocation)
            .await;
        self.queue
            .delete(&batch.receipts_of_others(index, &failed))
            .await;
        let id = batch.id(index).to_owned();
        if let Err(error) = self.queue.attempts.begin_again(&id, &attempt).await {
            tracing::warn!(
                message.id = id,
                "The beginning of an attempt is not noted: {error:#}"
            );
        }
        batch.work(work, How::OneByOne, vec![index]).await;
        failed.extend(
            self.settle_all(batch.take(None), vec![id], invocation)
                .await,
        );
        report(failed)
    }

    /// Notes for each repeated message that an attempt begins. A failed note does not stop the work
    /// on its message.
    async fn begin_repeated(
        &self,
        batch: &Batch,
        invocation: Invocation,
    ) -> Vec<(usize, String, Option<Attempt>)> {
        let messages = batch.messages.iter().enumerate();
        let begins = messages.filter_map(|(index, message)| {
            let message = message.as_ref().filter(|message| message.received > 1)?;
            Some(async move {
                let begun = self.queue.attempts.begin(&message.id, invocation).await;
                let attempt = begun.inspect_err(|error| {
                    tracing::warn!(
                        message.id = message.id,
                        "The beginning of an attempt is not noted: {error:#}"
                    );
                });
                (index, message.id.clone(), attempt.ok())
            })
        });
        join_all(begins).await
    }

    /// Settles messages that are not done, and notes that attempts ended. Returns the ids that SQS
    /// must keep.
    async fn settle_all(
        &self,
        unfinished: Vec<Unfinished>,
        ended: Vec<String>,
        invocation: Invocation,
    ) -> Vec<String> {
        let ids: Vec<_> = unfinished.iter().map(|it| it.id.clone()).collect();
        let until = invocation.before_end(LAST_MARGIN);
        let settled = tokio::time::timeout_at(until, settle(&self.queue, unfinished));
        let ended = ended.iter().map(|id| async move {
            let mut ended = self.queue.attempts.end(id).await;
            if ended.is_err() {
                ended = self.queue.attempts.end(id).await;
            }
            if let Err(error) = ended {
                tracing::warn!(
                    message.id = id,
                    "The end of an attempt is not noted: {error:#}"
                );
            }
        });
        let ended = tokio::time::timeout_at(until, join_all(ended));
        let (settled, _) = tokio::join!(settled, ended);
        // If SQS does not answer, all messages stay, and SQS delivers them again at the queue's
        // visibility timeout.
        settled.unwrap_or(ids)
    }
}

impl Batch {
    async fn work<B: BatchWork>(&mut self, work: &Arc<B>, how: How, messages: Vec<usize>) {
        match how {
            How::OneByOne => self.work_one_by_one(work, messages).await,
            How::AsOne => self.work_as_one(work, messages).await,
        }
    }

    fn id(&self, index: usize) -> &str {
        &self.handles[index].0
    }

    /// How often a message's process died. The first attempt has no note; if every other attempt
    /// died, it counts as dead too.
    fn deaths(&self, index: usize, attempt: &Attempt) -> usize {
        let received = self.messages[index].as_ref().map_or(0, |it| it.received);
        let received = usize::try_from(received).unwrap_or(usize::MAX);
        // All receives but the first, the current one and those that were taken back.
        let noted = received.saturating_sub(2 + attempt.spared);
        match attempt.dead {
            0 => 0,
            dead if dead == noted => dead + 1,
            dead => dead,
        }
    }

    fn give_up_dead(&mut self, index: usize) {
        if let Some(message) = &mut self.messages[index] {
            let reason = format!(
                "its process died {DEATHS_MAX} times while it was worked on: out of memory, an abort, or the function's timeout"
            );
            tracing::error!(message.id = message.id, "Given up: {reason}");
            message.next = Next::GivenUp(reason);
        }
    }

    fn give_back(&mut self, index: usize) {
        if let Some(message) = &mut self.messages[index] {
            message.next = Next::Early(Duration::from_secs(fastrand::u64(GIVEN_BACK_S)));
        }
    }

    /// Takes out the messages that are not done, except one.
    fn take(&mut self, except: Option<usize>) -> Vec<Unfinished> {
        let messages = self.messages.iter_mut().enumerate();
        let others = messages.filter(|(index, _)| Some(*index) != except);
        others.filter_map(|(_, message)| message.take()).collect()
    }

    /// The receipts of the messages that are done, except one.
    fn receipts_of_others(&self, except: usize, failed: &[String]) -> Vec<String> {
        let handles = self.handles.iter().enumerate();
        let done = handles.filter(|(index, (id, _))| *index != except && !failed.contains(id));
        done.map(|(_, (_, receipt))| receipt.clone()).collect()
    }
}
