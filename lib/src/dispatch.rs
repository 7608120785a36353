//! Sends events from the `work` queue to each task's queue. Webhook functions know only the `work`
//! queue.

mod batches;
mod work_queue;

use anyhow::anyhow;
use aws_sdk_sqs::Client;
use futures_util::future::join_all;

use crate::config::{Aws, CallLimits, Environment};
use crate::invocation::Invocation;
use crate::task::{Task, WorkMessage};
use crate::worker::{self, BatchWork, Failure, MARGIN};
use batches::{Entry, send_all};
pub use work_queue::WorkQueue;

/// The name of the queue that `dispatch` works off.
pub const WORK: &str = "work";

/// Works off the `work` queue until Lambda ends the function.
///
/// # Errors
/// The environment has problems, or the Lambda runtime ended.
pub async fn run() -> anyhow::Result<()> {
    worker::run_batches(WORK, Dispatch::read).await
}

/// Sends to every task's queue.
#[derive(Debug)]
pub struct Dispatch {
    client: Client,
    queues: Vec<(Task, String)>,
}

impl Dispatch {
    /// Reads the queues from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let queues = Task::ALL.map(|task| (task, environment.text(task.queue_variable())));
        Self {
            client: Client::new(&aws.sdk_config(CallLimits::TASK)),
            queues: queues.into(),
        }
    }
}

impl BatchWork for Dispatch {
    type Message = WorkMessage;

    /// Sends each task its messages, to all queues at once. A message is done when every task's
    /// queue has taken it. If one queue has not, the message is retried and goes to the others once
    /// more, because tasks are safe to repeat.
    async fn work(
        &self,
        messages: Vec<WorkMessage>,
        invocation: Invocation,
    ) -> Vec<Result<(), Failure>> {
        let until = invocation.before_end(MARGIN);
        let sends = self.queues.iter().map(async |(task, url)| {
            let messages = messages.iter().enumerate();
            let (places, entries): (Vec<_>, Vec<_>) = messages
                .filter(|(_, message)| message.tasks.contains(task))
                .map(|(place, message)| (place, entry_of(message)))
                .unzip();
            let sent = send_all(&self.client, url, &entries, until).await;
            (task, places, sent)
        });
        let mut outcomes: Vec<_> = messages.iter().map(|_| Ok(())).collect();
        for (task, places, sent) in join_all(sends).await {
            for (place, outcome) in places.into_iter().zip(sent) {
                let Err(error) = outcome else { continue };
                let name = task.name();
                let failure =
                    Failure::from(anyhow!("the queue of {name} did not take it: {error:#}"));
                let before = std::mem::replace(&mut outcomes[place], Ok(()));
                outcomes[place] = Err(match before {
                    Err(other) => Failure::and(other, failure),
                    Ok(()) => failure,
                });
            }
        }
        outcomes
    }
}

fn entry_of(message: &WorkMessage) -> Entry<'_> {
    Entry {
        body: &message.message,
        tenant: &message.tenant,
        trace: message.trace.as_deref(),
    }
}
