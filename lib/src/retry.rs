//! The safety net for an outage of DynamoDB: a verified event waits on the `retry` queue until it can be recorded.

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Aws, CallLimits, Environment};
use crate::event::Event;
use crate::invocation::Invocation;
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::receiver::{Receiver, Taken};
use crate::task::{MESSAGE_VERSION, Unreadable};
use crate::verify::Verified;
use crate::worker::{self, Failure, QueueMessage, Work};

/// A verified body, as it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub version: u32,
    pub provider: String,
    pub scheme: String,
    pub tenant: String,
    pub body: String,
    pub received_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// For the log.
    pub key: String,
}

impl Waiting {
    pub fn new(
        provider: &str,
        event: &Event,
        body: &Verified<'_>,
        trace: Option<&str>,
        received_at: Timestamp,
    ) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(body.body()).context("a body that was parsed is UTF-8")?;
        Ok(Self {
            version: MESSAGE_VERSION,
            provider: provider.into(),
            scheme: body.scheme().into(),
            tenant: event.tenant.clone(),
            body: text.into(),
            received_at,
            trace: trace.map(Into::into),
            key: event.key.to_string(),
        })
    }

    pub fn to_body(&self) -> String {
        crate::task::queue_body(self)
    }

    fn body(&self) -> RecordedBody<'_> {
        RecordedBody {
            provider: &self.provider,
            scheme: &self.scheme,
            tenant: &self.tenant,
            body: &self.body,
        }
    }
}

impl QueueMessage for Waiting {
    fn read(body: &str) -> Result<Self, Unreadable> {
        crate::task::read_versioned(body, MESSAGE_VERSION)
    }

    fn key(&self) -> String {
        self.key.clone()
    }
}

/// Works off the `retry` queue until Lambda ends the function.
pub async fn run() -> anyhow::Result<()> {
    worker::run("retry", Retry::read).await
}

/// Records what waited.
#[derive(Debug)]
pub struct Retry {
    receiver: Receiver,
}

impl Retry {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            receiver: Receiver::read(environment, aws, CallLimits::TASK),
        }
    }
}

impl Work for Retry {
    type Message = Waiting;

    async fn work(&self, waiting: Waiting, invocation: Invocation) -> Result<(), Failure> {
        let recorded = waiting.body();
        let event = match read_recorded(&recorded) {
            Some(Content::Event(event)) => event,
            // It was an event when it was taken, so newer code wrote it: during a deployment it waits for that.
            _ => {
                let waits = anyhow::anyhow!(
                    "this version of the code reads no event in the body: it waits for newer code"
                );
                return Err(Failure::Transient(waits));
            }
        };
        let body = Verified::recorded(
            waiting.body.as_bytes(),
            &waiting.scheme,
            Some(&waiting.tenant),
        );
        let trace = waiting.trace.as_deref();
        let taken = self
            .receiver
            .take(&event, &body, waiting.received_at, trace, invocation.now())
            .await
            .context("recording what waited")?;
        if taken == Taken::Conflict {
            tracing::error!(event.key = %event.key, "Waited, and contradicts what was recorded meanwhile; both are kept");
        }
        Ok(())
    }
}
