//! The pipeline of a webhook function, and its answers.
//!
//! A 2xx means that the event is durable, never before. Every failure gets one of the answers
//! below, because a function error would become a 500 without a reason.

mod answer;
mod log;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::config::{Aws, CallLimits, Environment};
use crate::event::Event;
use crate::invocation::{Invocation, serve};
use crate::ledger::body::BODY_MAX_BYTES;
use crate::problem::Problem;
use crate::provider::{Content, Parsed, Provider};
use crate::receiver::{Receiver, Taken};
use crate::request::{Body, Request};
use crate::retry::{WAITING_MAX_BYTES, Waiting};
use crate::secrets::{SecretStore, Undecided};
use crate::telemetry;
use crate::verify::{Freshness, Secrets, Unverified, Verified, verify, verify_all};

pub use answer::Answer;
use answer::{Accepted, Rejection};
use log::log_outcome;

/// The longest time until an answer. Zupy gives up after 10 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(9);

/// The longest time for recording and dispatching. The rest of the time is for the retry queue.
const TAKE_WITHIN: Duration = Duration::from_millis(6000);

/// Serves a provider's webhooks until Lambda ends the function.
///
/// # Errors
/// The environment or the secret has problems, or the Lambda runtime ended.
pub async fn run(provider: impl Provider) -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let webhook = Webhook::open(provider, environment, &aws).await?;
    let webhook = &webhook;
    serve(|event: Box<RawValue>, context| async move {
        let trace = context.xray_trace_id.as_deref();
        Ok(webhook
            .answer(&event, trace, Invocation::of(&context))
            .await)
    })
    .await
}

/// Receives a provider's webhooks.
#[derive(Debug)]
pub struct Webhook<P> {
    provider: P,
    secrets: SecretStore,
    freshness: Freshness,
    receiver: Receiver,
    /// The queue where an event waits while DynamoDB refuses it.
    retry_queue: String,
    sqs: aws_sdk_sqs::Client,
}

/// A body whose sender knew a secret, and its contents.
struct Read<'a> {
    body: Verified<'a>,
    signed_at: Option<Timestamp>,
    content: Content,
}

impl<P: Provider> Webhook<P> {
    /// Reads the settings from the environment, and fetches the secrets.
    ///
    /// # Errors
    /// The environment or the secret has problems. The error lists all of them.
    pub async fn open(
        provider: P,
        mut environment: Environment,
        aws: &Aws,
    ) -> anyhow::Result<Self> {
        let secret_id = environment.text("WEBHOOK_SECRET_ID");
        let freshness = Freshness {
            max_age_s: environment.number("MAX_AGE_S", 1),
            max_future_s: environment.number("MAX_FUTURE_S", 0),
        };
        let receiver = Receiver::read(&mut environment, aws, CallLimits::WEBHOOK);
        let retry_queue = environment.text("RETRY_QUEUE_URL");
        // A signature from the near future stays acceptable for that much longer.
        let accepted_s = freshness.max_age_s.saturating_add(freshness.max_future_s);
        if receiver.ledger.retention().as_secs() <= accepted_s {
            environment.problem(
                "RETENTION_DAYS is not longer than MAX_AGE_S and MAX_FUTURE_S together: an old signature could be \
                 played again after its event is forgotten"
                    .into(),
            );
        }
        environment.check()?;
        let sdk_config = aws.sdk_config(CallLimits::WEBHOOK);
        let secrets = SecretStore::new(&sdk_config, secret_id, provider.schemes());
        // Both at once, so that the first event finds both done.
        let (started, ()) = tokio::join!(secrets.start(), aws.connect());
        started?;
        Ok(Self {
            provider,
            secrets,
            freshness,
            receiver,
            retry_queue,
            sqs: aws_sdk_sqs::Client::new(&sdk_config),
        })
    }

    /// Answers any event with one of the documented answers, whatever happens.
    pub async fn answer(
        &self,
        event: &RawValue,
        trace: Option<&str>,
        invocation: Invocation,
    ) -> Answer {
        let now = invocation.now();
        let receive = AssertUnwindSafe(self.receive(event, trace, now)).catch_unwind();
        let outcome = match tokio::time::timeout(ANSWER_WITHIN, receive).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Rejection::Unavailable(anyhow::anyhow!(
                "panicked; the line above names the place"
            ))),
            Err(_) => Err(Rejection::Unavailable(anyhow::anyhow!(
                "no answer within {} s",
                ANSWER_WITHIN.as_secs()
            ))),
        };
        log_outcome(&outcome);
        Answer::from(outcome)
    }

    async fn receive(
        &self,
        event: &RawValue,
        trace: Option<&str>,
        now: Timestamp,
    ) -> Result<Accepted, Rejection> {
        let arrived = Instant::now();
        let request = Request::read(event);
        let Body::Bytes(bytes) = &request.body else {
            return Err(Unverified::Undecodable.into());
        };
        if bytes.len() > BODY_MAX_BYTES {
            return Err(Rejection::TooLarge(bytes.len()));
        }
        let known = self.secrets.current().await?;
        let newer;
        let read = match self.read(&request, bytes, known.secrets()) {
            Err(Unverified::Mismatch) if request.is_compressed() => {
                return Err(Rejection::Compressed);
            }
            // Somebody may have replaced the secrets since they were fetched.
            Err(Unverified::Mismatch | Unverified::OtherTenant) => {
                newer = self.secrets.as_of(arrived).await?;
                let read = self.read(&request, bytes, newer.secrets());
                match read {
                    Err(Unverified::Mismatch) if newer.in_doubt() => {
                        return Err(Undecided::Unanswered.into());
                    }
                    Err(Unverified::Mismatch) => {
                        self.check_for_misreading(&request, bytes, newer.secrets())?;
                        read
                    }
                    read => read,
                }
            }
            read => read,
        };
        let Read {
            body,
            signed_at,
            content,
        } = read?;
        if let Some(at) = signed_at {
            self.freshness.check(at, now)?;
        }
        let mut event = match content {
            Content::Event(event) => event,
            Content::Ignored(kind) => return Ok(Accepted::Ignored(kind)),
            Content::Invalid(problems) => {
                self.keep_refused(&body, &problems, now).await?;
                return Err(match request.is_compressed() {
                    true => Rejection::Compressed,
                    false => Rejection::Invalid(problems),
                });
            }
        };
        let take = self.receiver.take(&mut event, &body, now, trace, now);
        let taken = match tokio::time::timeout(TAKE_WITHIN, take).await {
            Ok(taken) => taken,
            // The call may still record the event. Then the waiting message is found to be a
            // duplicate.
            Err(_) => Err(anyhow::anyhow!(
                "no answer of DynamoDB or SQS within {TAKE_WITHIN:?}"
            )),
        };
        let (key, warnings) = (event.key.to_string(), event.warnings.clone());
        match taken {
            Ok(Taken::New) => Ok(Accepted::New(key, warnings)),
            Ok(Taken::Duplicate) => Ok(Accepted::Duplicate(key, warnings)),
            Ok(Taken::Conflict) => Err(Rejection::Conflict(key)),
            Err(refused) => {
                tracing::error!(event.key = key, "Left to the retry queue: {refused:#}");
                self.let_wait(&event, &body, trace, now).await?;
                Ok(Accepted::Waiting(key, warnings))
            }
        }
    }

    /// Reads a body that one of these secrets signed.
    fn read<'a>(
        &self,
        request: &Request,
        bytes: &'a [u8],
        secrets: &'a Secrets,
    ) -> Result<Read<'a>, Unverified> {
        let (schemes, headers) = (self.provider.schemes(), &request.headers);
        let mut genuine = verify_all(schemes, headers, bytes, secrets)?;
        // A gateway may have renamed, lost or doubled a header. Its signature is good for the bytes
        // in any format, so the body decides.
        let format = self.provider.scheme_of(bytes);
        let signed = genuine
            .iter()
            .position(|(body, _)| Some(body.scheme()) == format);
        let (body, signed_at) = genuine.swap_remove(signed.unwrap_or(0));
        let body = body.in_format(format);
        let Parsed { sent_at, content } = self.provider.parse(&body.in_zones(&self.receiver.zones));
        if let Content::Event(event) = &content
            && body.tenant().is_some_and(|tenant| tenant != event.tenant)
        {
            // Several tenants may share one secret.
            let own = secrets.only_of(&event.tenant);
            let own = own.ok_or(Unverified::OtherTenant)?;
            verify(schemes, headers, bytes, &own).map_err(|_| Unverified::OtherTenant)?;
        }
        Ok(Read {
            body,
            signed_at: signed_at.or(sent_at),
            content,
        })
    }

    /// Detects a signature with the whole of a text that was read as `tenant=secret`: that secret
    /// was stored wrongly.
    fn check_for_misreading(
        &self,
        request: &Request,
        bytes: &[u8],
        secrets: &Secrets,
    ) -> anyhow::Result<()> {
        let schemes = self.provider.schemes();
        let misread = secrets.misread();
        let signed = misread.is_some_and(|whole| {
            let verified = verify(schemes, &request.headers, bytes, &whole);
            verified.is_ok()
        });
        anyhow::ensure!(
            !signed,
            "the secret {} is read as tenant=secret, and the provider signs with the whole of it: write it as \
             {{\"secret\": \"...\"}}",
            self.secrets.id()
        );
        Ok(())
    }

    /// Puts an event on the retry queue, which is durable too, because DynamoDB refuses it.
    async fn let_wait(
        &self,
        event: &Event,
        body: &Verified<'_>,
        trace: Option<&str>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let waiting = Waiting::new(self.provider.name(), event, body, trace, now);
        self.send_waiting(&waiting).await
    }

    /// Keeps a body in which no event was read, because its provider may never send it again.
    async fn keep_refused(
        &self,
        body: &Verified<'_>,
        problems: &[Problem],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let provider = self.provider.name();
        let ledger = &self.receiver.ledger;
        let keep = ledger.keep_refused(provider, body, problems, now);
        let kept = match tokio::time::timeout(TAKE_WITHIN, keep).await {
            Ok(kept) => kept,
            Err(_) => Err(anyhow::anyhow!(
                "no answer of DynamoDB or SQS within {TAKE_WITHIN:?}"
            )),
        };
        let Err(refused) = kept else {
            return Ok(());
        };
        tracing::error!("A refused body is left to the retry queue: {refused:#}");
        let waiting = Waiting::refused(provider, body, now);
        self.send_waiting(&waiting).await
    }

    async fn send_waiting(&self, waiting: &Waiting) -> anyhow::Result<()> {
        let message = waiting.to_body();
        if message.len() > WAITING_MAX_BYTES {
            anyhow::bail!(
                "DynamoDB does not take the body, and with {} bytes it is too long to wait on the retry queue",
                message.len()
            );
        }
        self.sqs
            .send_message()
            .queue_url(&self.retry_queue)
            .message_body(message)
            .send()
            .await
            .context("neither DynamoDB nor SQS takes the event")?;
        Ok(())
    }
}
