//! The loop of a task function over a batch of messages. Each message fails by itself, even if the
//! function works on all messages as one.

mod attempts;
mod batch;
mod from_ledger;
mod queue;
mod suspects;

use std::future::Future;
use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;

use crate::config::{Aws, Environment};
use crate::invocation::{Invocation, serve};
use crate::telemetry;

pub use crate::failure::Failure;
pub use crate::message::QueueMessage;
pub use batch::{MARGIN, RECEIVES_MAX};
pub use from_ledger::{FromLedger, from_ledger, load};
pub use queue::{Queue, REASON};
use suspects::How;

/// Works on the messages of the task's queue until Lambda ends the function. `name` is the
/// function's name, and `read` makes the work from the environment.
///
/// # Errors
/// The environment has problems, the work cannot start, or the Lambda runtime ended.
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

/// Works on whole batches, as [`run`] works on single messages.
///
/// # Errors
/// The environment has problems, or the Lambda runtime ended.
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
    /// The form of the queue's messages. A message of another form goes to the dead-letter queue,
    /// unless only newer code can read it.
    type Message: QueueMessage + Send + 'static;

    /// Runs once, before the first message.
    ///
    /// # Errors
    /// The function cannot start.
    fn start(&self) -> impl Future<Output = anyhow::Result<()>> + Send {
        async { Ok(()) }
    }

    /// Works on one message.
    ///
    /// # Errors
    /// The work failed, for now or for good. The failure says which.
    fn work(
        &self,
        message: Self::Message,
        invocation: Invocation,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What a task function does with all messages of a batch at once, because that costs less than one
/// by one.
pub trait BatchWork: Send + Sync + 'static {
    /// The form of the queue's messages, as [`Work::Message`].
    type Message: QueueMessage + Send + 'static;

    /// Works on the messages, and returns the outcome of each one in their order. A message without
    /// an outcome is retried.
    fn work(
        &self,
        messages: Vec<Self::Message>,
        invocation: Invocation,
    ) -> impl Future<Output = Vec<Result<(), Failure>>> + Send;
}

/// A task's work, and the queue that its batches come from.
#[derive(Debug)]
pub struct Worker<W> {
    queue: Queue,
    work: Arc<W>,
}

impl<W> Worker<W> {
    /// A worker for this queue.
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

    /// Works on all messages of a batch at the same time. The response lists the messages that are
    /// not done, and SQS delivers these again.
    pub async fn work(&self, batch: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let work = Arc::new(OneByOne(Arc::clone(&self.work)));
        self.work_off(batch, &work, How::OneByOne, invocation).await
    }
}

impl<W: BatchWork> Worker<W> {
    /// Works on all messages of a batch as one. The response lists the messages that are not done,
    /// and SQS delivers these again.
    pub async fn work_as_one(&self, batch: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        self.work_off(batch, &self.work, How::AsOne, invocation)
            .await
    }
}

/// Turns work on single messages into work on batches.
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
