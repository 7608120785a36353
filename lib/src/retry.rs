//! The safety net for an outage of DynamoDB: a verified event waits on the `retry` queue until it
//! can be recorded.

use anyhow::Context;

pub use domain::waiting::{WAITING_MAX_BYTES, WAITING_VERSION, Waiting};

use crate::config::{Aws, CallLimits, Environment};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::provider::{Content, read_verified};
use crate::receiver::{Receiver, Taken};
use crate::worker::{self, Work};

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
