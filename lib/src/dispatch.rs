//! Tasks to queues: one message each, all at once.

use anyhow::Context;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use crate::config::Environment;
use crate::task::{Message, Task};

/// Longest message group id that SQS takes.
const GROUP_MAX_CHARACTERS: usize = 128;

/// Knows every task's queue.
#[derive(Debug)]
pub struct Dispatcher {
    client: Client,
    queues: Vec<(Task, String)>,
}

/// Some tasks were not taken by their queue.
#[derive(Debug, thiserror::Error)]
#[error("not dispatched: {}", .0.iter().map(|(task, error)| format!("{} ({error:#})", task.name())).collect::<Vec<_>>().join(", "))]
pub struct Undispatched(pub Vec<(Task, anyhow::Error)>);

impl Undispatched {
    pub fn tasks(&self) -> Vec<Task> {
        self.0.iter().map(|(task, _)| *task).collect()
    }
}

impl Dispatcher {
    pub fn new(client: Client, queues: Vec<(Task, String)>) -> Self {
        Self { client, queues }
    }

    /// Takes the queues that the function's environment names.
    pub fn read(environment: &mut Environment, client: Client) -> Self {
        let queues = Task::ALL
            .into_iter()
            .filter_map(|task| Some((task, environment.optional(task.queue_variable())?)))
            .collect();
        Self::new(client, queues)
    }

    /// Sends the message to every task's queue at once. A task counts as dispatched only if SQS says so for it.
    pub async fn send(&self, message: &Message<'_>, tasks: &[Task]) -> Result<(), Undispatched> {
        if tasks.is_empty() {
            return Ok(());
        }
        let body = message.to_queue();
        let group = group_id(&message.event.tenant);
        let trace = message.trace.as_deref();
        let sends = tasks
            .iter()
            .map(|&task| self.send_one(task, &body, &group, trace));
        let refused: Vec<_> = join_all(sends)
            .await
            .into_iter()
            .zip(tasks)
            .filter_map(|(sent, &task)| Some((task, sent.err()?)))
            .collect();
        if refused.is_empty() {
            Ok(())
        } else {
            Err(Undispatched(refused))
        }
    }

    async fn send_one(
        &self,
        task: Task,
        body: &str,
        group: &str,
        trace: Option<&str>,
    ) -> anyhow::Result<()> {
        let (_, url) = self
            .queues
            .iter()
            .find(|(other, _)| *other == task)
            .with_context(|| format!("{} is not set", task.queue_variable()))?;
        let mut send = self
            .client
            .send_message()
            .queue_url(url)
            .message_group_id(group)
            .message_body(body);
        if let Some(trace) = trace {
            let value = MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(trace)
                .build()?;
            let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
            send = send.message_system_attributes(name, value);
        }
        send.send().await.context("sending to the queue")?;
        Ok(())
    }
}

/// Fair queues go by message group: one tenant each, so that none starves another.
/// A tenant whose name SQS would not take goes by its hash.
fn group_id(tenant: &str) -> String {
    let fits = tenant.len() <= GROUP_MAX_CHARACTERS && tenant.bytes().all(|b| b.is_ascii_graphic());
    if fits && !tenant.is_empty() {
        return tenant.to_owned();
    }
    hex::encode(Sha256::digest(tenant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_its_own_message_group_where_sqs_takes_its_name() {
        assert_eq!(group_id("comp_bella_vista"), "comp_bella_vista");
        for odd in ["", "com espaço", "ção", &"x".repeat(129)] {
            let group = group_id(odd);
            assert_eq!(group.len(), 64);
            assert_ne!(group, group_id("another"));
        }
    }
}
