//! The channels by which a coupon reaches its customer, each recorded by itself, so that one that fails or repeats
//! never touches another.

use aws_sdk_sesv2::Error;
use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::types::{
    Body, Content, Destination, EmailContent, Message as Mail, MessageHeader,
};
use jiff::tz::TimeZone;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Event, Fact, Redemption};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Claim, Committed, Effects, Lease, Ledger, Status};
use webhooks::task::Message;
use webhooks::worker::{Failure, Work};

use crate::account;
use crate::message::{Coupon, Email, Language, Occasion, email};

/// Names of the channels' records beneath the event.
const ACCOUNT: &str = "delivery/account";
const EMAIL: &str = "delivery/email";

/// The mail's header that names the event, and the longest value that SES takes for it.
const EVENT_HEADER: &str = "X-Event-Key";
const HEADER_MAX_BYTES: usize = 870;

/// Delivers what a message tells.
#[derive(Debug)]
pub struct Delivery {
    ledger: Ledger,
    members_table: String,
    ses: aws_sdk_sesv2::Client,
    mail_from: String,
    time_zone: TimeZone,
}

impl Delivery {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let time_zone = environment.text("TIME_ZONE");
        let time_zone = TimeZone::get(&time_zone).unwrap_or_else(|_| {
            environment.problem(format!(
                "TIME_ZONE is {time_zone:?}, it must be an IANA name such as America/Sao_Paulo"
            ));
            TimeZone::UTC
        });
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            members_table: environment.text("MEMBERS_TABLE"),
            ses: aws_sdk_sesv2::Client::new(&aws.sdk_config(CallLimits::ONCE)),
            mail_from: environment.text("MAIL_FROM"),
            time_zone,
        }
    }
}

impl Work for Delivery {
    type Message = Message<'static>;

    /// Delivers on every channel; an error names those to try again.
    async fn work(&self, message: Message<'static>, invocation: Invocation) -> Result<(), Failure> {
        let event = message.event.as_ref();
        let stored = self.store(event, invocation);
        let Fact::Redeemed(redemption) = &event.fact else {
            return Ok(stored.await?);
        };
        let (stored, mailed) = tokio::join!(stored, self.mail(event, redemption, invocation));
        Ok(match (stored, mailed) {
            (Err(stored), Err(mailed)) => Err(stored.context(format!("{mailed:#}; and"))),
            (stored, mailed) => stored.and(mailed),
        }?)
    }
}

impl Delivery {
    /// Shows in the account what became of the coupon.
    async fn store(&self, event: &Event, invocation: Invocation) -> anyhow::Result<()> {
        let forget_at = self.ledger.forget_at(event, invocation.now());
        let mut effects = Effects::new(event, ACCOUNT);
        if let Some(update) = account::update(&self.members_table, event, forget_at) {
            effects = effects.change(update);
        }
        match self.ledger.commit(effects, invocation).await? {
            Committed::Now => tracing::info!(event.key = %event.key, "Stored in the account"),
            Committed::Before => {}
            // The account shows something later already: this leaves its record alone.
            Committed::Overtaken => {
                let record = Effects::new(event, ACCOUNT);
                self.ledger.commit(record, invocation).await?;
            }
        }
        Ok(())
    }

    async fn mail(
        &self,
        event: &Event,
        redemption: &Redemption,
        invocation: Invocation,
    ) -> anyhow::Result<()> {
        let lease = match self.ledger.claim(event, EMAIL, invocation).await? {
            Claim::Granted(lease) => lease,
            Claim::Settled => return Ok(()),
            Claim::Taken { until } => {
                anyhow::bail!("another worker is sending the mail, until {until} at most")
            }
        };
        let Some(address) = &event.member.email else {
            return lease.settle(Status::Skipped, "no e-mail address").await;
        };
        if event.sandbox {
            let result = "a sandbox or test event: not sent";
            return lease.settle(Status::Skipped, result).await;
        }
        // One address: what separates several would send the coupon to others too.
        if address.contains(|c: char| ",;<>".contains(c) || c.is_control() || c.is_whitespace()) {
            tracing::warn!(event.key = %event.key, "The member's e-mail address is none");
            return lease.settle(Status::Failed, "not one e-mail address").await;
        }
        let coupon = Coupon {
            name: event.member.name.as_deref(),
            code: &redemption.coupon_code,
            reward: &redemption.reward,
            discount: redemption.discount.as_ref(),
            expires_at: redemption.expires_at,
        };
        let mail = email(Language::PtBr, Occasion::Redeemed, &coupon, &self.time_zone);
        self.send(event, lease, address, mail).await
    }

    async fn send(
        &self,
        event: &Event,
        lease: Lease,
        address: &str,
        mail: Email,
    ) -> anyhow::Result<()> {
        let content = EmailContent::builder()
            .simple(
                Mail::builder()
                    .subject(utf8(mail.subject)?)
                    .set_headers(event_header(event)?.map(|header| vec![header]))
                    .body(
                        Body::builder()
                            .html(utf8(mail.html)?)
                            .text(utf8(mail.text)?)
                            .build(),
                    )
                    .build(),
            )
            .build();
        let sent = self
            .ses
            .send_email()
            .from_email_address(&self.mail_from)
            .destination(Destination::builder().to_addresses(address).build())
            .content(content)
            .send()
            .await;
        match sent.map_err(Error::from) {
            Ok(sent) => {
                let id = sent.message_id().unwrap_or_default();
                lease.settle(Status::Done, id).await?;
                tracing::info!(event.key = %event.key, mail.id = id, "Mailed");
                Ok(())
            }
            Err(error) => refused(event, lease, error).await,
        }
    }
}

/// A mail that SES will never take is recorded as failed; after anything else the mail is tried again.
async fn refused(event: &Event, lease: Lease, error: Error) -> anyhow::Result<()> {
    let code = error.code().unwrap_or("no answer").to_owned();
    if !is_permanent(&error) {
        lease.release(&code).await?;
        // Never SES's own words: they name the address.
        anyhow::bail!("sending the mail: {code}{}", hint(&error));
    }
    tracing::error!(event.key = %event.key, mail.refusal = code, "SES will not take the mail");
    lease.settle(Status::Failed, &code).await
}

/// SES refuses the message itself. A sender that is not verified is refused alike, but is ours to mend.
fn is_permanent(error: &Error) -> bool {
    match error {
        Error::BadRequestException(_) | Error::MessageRejected(_) => !is_unverified(error),
        _ => false,
    }
}

fn is_unverified(error: &Error) -> bool {
    let words = error.message().unwrap_or_default();
    words.contains("not verified")
}

fn hint(error: &Error) -> &'static str {
    if is_unverified(error) {
        "; verify the address or domain of MailFrom in SES, and leave the SES sandbox"
    } else {
        ""
    }
}

fn utf8(text: String) -> anyhow::Result<Content> {
    Ok(Content::builder().data(text).charset("UTF-8").build()?)
}

/// Tells support, and whoever reads the mail's source, which event it came from. A header holds 870 printable
/// ASCII characters; a key that is longer is left out.
fn event_header(event: &Event) -> anyhow::Result<Option<MessageHeader>> {
    let mut value = String::new();
    for byte in event.key.to_string().bytes() {
        match byte {
            b'!'..=b'~' => value.push(byte.into()),
            _ => value.push_str(&format!("%{byte:02X}")),
        }
    }
    if value.len() > HEADER_MAX_BYTES {
        return Ok(None);
    }
    let header = MessageHeader::builder().name(EVENT_HEADER).value(value);
    Ok(Some(header.build()?))
}
