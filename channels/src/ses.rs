//! E-mails, through SES.

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::types::{
    Body, Content, Destination, EmailContent, Message as Mail, MessageHeader,
};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::Event;

use crate::channel::{NotNow, Outcome, event_reference, refusal};
use crate::email_address::mailbox;
use crate::texts::Email;

/// The mail's header that names the event for support staff, and the longest value that SES accepts
/// for it.
const EVENT_HEADER: &str = "X-Event-Key";
const HEADER_MAX_BYTES: usize = 870;

#[derive(Debug)]
pub(crate) struct Ses {
    client: Client,
    from: String,
    reply_to: Option<String>,
    configuration_set: Option<String>,
}

impl Ses {
    pub(crate) fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            client: Client::new(&aws.sdk_config(CallLimits::ONCE)),
            from: {
                let from = environment.text("MAIL_FROM");
                in_ascii(environment, "MAIL_FROM", Some(from)).unwrap_or_default()
            },
            reply_to: {
                let reply_to = environment.optional("MAIL_REPLY_TO");
                in_ascii(environment, "MAIL_REPLY_TO", reply_to)
            },
            configuration_set: environment.optional("MAIL_CONFIGURATION_SET"),
        }
    }

    pub(crate) async fn send(
        &self,
        event: &Event,
        address: &str,
        email: Email,
    ) -> anyhow::Result<Outcome> {
        let headers = event_reference(event, HEADER_MAX_BYTES)
            .map(|key| {
                MessageHeader::builder()
                    .name(EVENT_HEADER)
                    .value(key)
                    .build()
            })
            .transpose()?;
        let body = Body::builder()
            .html(utf8(email.html)?)
            .text(utf8(email.text)?)
            .build();
        let mail = Mail::builder()
            .subject(utf8(email.subject)?)
            .set_headers(headers.map(|header| vec![header]))
            .body(body)
            .build();
        let sent = self
            .client
            .send_email()
            .from_email_address(&self.from)
            .set_reply_to_addresses(self.reply_to.clone().map(|address| vec![address]))
            .set_configuration_set_name(self.configuration_set.clone())
            .destination(Destination::builder().to_addresses(address).build())
            .content(EmailContent::builder().simple(mail).build())
            .send()
            .await;
        Ok(match sent {
            Ok(sent) => Outcome::Taken(sent.message_id.unwrap_or_default()),
            // SES refuses an unverified sender as it refuses a bad message, but only an operator
            // can verify the sender.
            Err(error)
                if error
                    .message()
                    .is_some_and(|it| it.contains("not verified")) =>
            {
                Outcome::NotNow(NotNow {
                    hint: "; verify the address or domain of MailFrom in SES, and leave the SES sandbox",
                    ..NotNow::new(error.code().unwrap_or_default())
                })
            }
            Err(error) => refusal(&error, &["BadRequestException", "MessageRejected"]),
        })
    }
}

/// An address that a variable holds, in the form that SES accepts; `None` without the variable.
fn in_ascii(environment: &mut Environment, name: &str, text: Option<String>) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    let mailbox = mailbox(&text);
    mailbox
        .map_err(|reason| environment.problem(format!("{name} is {text:?}: {reason}")))
        .ok()
}

fn utf8(text: String) -> anyhow::Result<Content> {
    Ok(Content::builder().data(text).charset("UTF-8").build()?)
}
