//! The `work` queue: it takes one message for all tasks of an event.

use anyhow::Context;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageSystemAttributeNameForSends;

use super::batches::{group_id, trace_header};
use crate::config::Environment;
use crate::task::{Message, Task, WorkMessage};

/// The `work` queue, for its senders.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    client: Client,
    url: String,
}

impl WorkQueue {
    /// The queue at this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }

    /// Reads the queue's URL from the function's environment.
    pub fn read(environment: &mut Environment, client: Client) -> Self {
        Self::new(client, environment.text("WORK_QUEUE_URL"))
    }

    /// Sends one message for all of these tasks.
    ///
    /// # Errors
    /// SQS did not confirm that it has the message. It may have the message all the same.
    pub async fn send(&self, message: &Message<'_>, tasks: &[Task]) -> anyhow::Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let mut send = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(group_id(&message.event.tenant))
            .message_body(WorkMessage::new(message, tasks).into_body());
        if let Some(trace) = message.trace.as_deref() {
            let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
            send = send.message_system_attributes(name, trace_header(trace)?);
        }
        send.send().await.context("sending to the work queue")?;
        Ok(())
    }
}
