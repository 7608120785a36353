//! The safety net for an outage of DynamoDB: a verified event waits on the `retry` queue until it
//! can be recorded.

use std::borrow::Cow;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Aws, CallLimits, Environment};
use crate::event::Event;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::ledger::{REFUSED, body};
use crate::message::{QueueMessage, Unreadable, queue_body, read_versioned};
use crate::provider::{Content, read_verified};
use crate::receiver::{Receiver, Taken};
use crate::task::MESSAGE_VERSION;
use crate::verify::Verified;
use crate::worker::{self, Work};

/// The newest version of [`Waiting`] that this code reads. This code writes it for large bodies and
/// refused bodies; an older version does for the others.
pub const WAITING_VERSION: u32 = 2;

/// The longest body that waits as text. A longer body waits compressed.
const TEXT_MAX_BYTES: usize = 256 * 1024;

/// The longest message, in bytes: SQS takes 1 MiB, and a dead letter also has its reason.
pub const WAITING_MAX_BYTES: usize = 1024 * 1024 - 8 * 1024;

/// A verified body that waits to be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub version: u32,
    pub provider: String,
    pub scheme: String,
    /// For a refused body, the tenant that its secret names; empty if the secret names none.
    pub tenant: String,
    /// The body as it was sent; empty if it is `stored`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    body: String,
    /// The body as the ledger stores it, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<String>,
    /// No event was read in the body. It is kept as refused, unless this code reads an event.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refused: bool,
    pub received_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The event's key, for the log.
    pub key: String,
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Waiting {
    /// An event that waits to be recorded.
    pub fn new(
        provider: &str,
        event: &Event,
        body: &Verified<'_>,
        trace: Option<&str>,
        received_at: Timestamp,
    ) -> Self {
        let mut waiting = Self::compressed(provider, body, received_at);
        waiting.tenant = event.tenant.clone();
        waiting.trace = trace.map(Into::into);
        waiting.key = event.key.to_string();
        if let Ok(text) = std::str::from_utf8(body.body())
            && text.len() <= TEXT_MAX_BYTES
        {
            // Older code, which may run during a deployment, reads this version too.
            waiting.version = MESSAGE_VERSION;
            waiting.body = text.to_owned();
            waiting.stored = None;
        }
        waiting
    }

    /// Waiting for a body in which no event was read.
    pub fn refused(provider: &str, body: &Verified<'_>, received_at: Timestamp) -> Self {
        Self {
            refused: true,
            ..Self::compressed(provider, body, received_at)
        }
    }

    fn compressed(provider: &str, body: &Verified<'_>, received_at: Timestamp) -> Self {
        Self {
            version: WAITING_VERSION,
            provider: provider.into(),
            scheme: body.scheme().into(),
            tenant: body.tenant().unwrap_or_default().into(),
            body: String::new(),
            stored: Some(STANDARD.encode(body::compress(body.body()))),
            refused: false,
            received_at,
            trace: None,
            key: format!("{REFUSED}{provider}"),
        }
    }

    /// The message as the `retry` queue takes it.
    pub fn to_body(&self) -> String {
        queue_body(self)
    }

    /// The body as it was sent. `None` if the stored body is damaged.
    pub fn body(&self) -> Option<Cow<'_, [u8]>> {
        match &self.stored {
            None => Some(Cow::Borrowed(self.body.as_bytes())),
            Some(stored) => {
                let stored = STANDARD.decode(stored).ok()?;
                body::decompress(&stored).ok().map(Cow::Owned)
            }
        }
    }

    /// The body with what its signature proved, for reading it again.
    pub fn verified<'a>(&'a self, body: &'a [u8]) -> Verified<'a> {
        let names_one = !self.refused || !self.tenant.is_empty();
        let tenant = names_one.then_some(self.tenant.as_str());
        Verified::recorded(body, &self.scheme, tenant)
    }
}

impl QueueMessage for Waiting {
    fn read(body: &str) -> Result<Self, Unreadable> {
        read_versioned(body, WAITING_VERSION)
    }

    fn key(&self) -> String {
        self.key.clone()
    }
}

/// Works off the `retry` queue until Lambda ends the function.
///
/// # Errors
/// The environment has problems, or the Lambda runtime ended.
pub async fn run() -> anyhow::Result<()> {
    worker::run("retry", Retry::read).await
}

/// Records events and bodies that waited.
#[derive(Debug)]
pub struct Retry {
    receiver: Receiver,
}

impl Retry {
    /// Reads the settings from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            receiver: Receiver::read(environment, aws, CallLimits::TASK),
        }
    }
}

impl Work for Retry {
    type Message = Waiting;

    async fn work(&self, waiting: Waiting, invocation: Invocation) -> Result<(), Failure> {
        let body = waiting
            .body()
            .context("the stored body is damaged")
            .map_err(Failure::Permanent)?;
        let body = waiting.verified(&body).in_zones(&self.receiver.zones);
        let mut event = match read_verified(&waiting.provider, &body) {
            Some(Content::Event(event)) if body.tenant().is_none_or(|it| it == event.tenant) => {
                event
            }
            Some(Content::Invalid(problems)) if waiting.refused => {
                let kept = self.receiver.ledger.keep_refused(
                    &waiting.provider,
                    &body,
                    &problems,
                    waiting.received_at,
                );
                kept.await.context("keeping the refused body")?;
                return Ok(());
            }
            // The body held an event when it was received, so newer code wrote it. During a
            // deployment it waits for newer code.
            _ => {
                let waits = anyhow::anyhow!(
                    "this version of the code reads no event in the body; the body waits for newer code"
                );
                return Err(Failure::Transient(waits));
            }
        };
        let trace = waiting.trace.as_deref();
        let taken = self
            .receiver
            .take(
                &mut event,
                &body,
                waiting.received_at,
                trace,
                invocation.now(),
            )
            .await
            .context("recording the event that waited")?;
        if taken == Taken::Conflict {
            tracing::error!(event.key = %event.key, "The event that waited contradicts one that was recorded meanwhile; both are kept");
        }
        Ok(())
    }
}
