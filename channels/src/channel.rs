//! The channels to a member, and the outcomes of trying one.

use std::error::Error;
use std::io;
use std::time::Duration;

use aws_sdk_sesv2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use webhooks::event::{Event, Member};
use webhooks::record;

/// How a message reaches a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Email,
    WhatsApp,
    Sms,
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::Email, Channel::WhatsApp, Channel::Sms];

    /// A reminder goes out on the first of these channels that reaches its member.
    pub const BEST_FIRST: [Channel; 3] = [Channel::WhatsApp, Channel::Email, Channel::Sms];

    /// The name of the channel's record, within the event.
    pub fn record(self) -> &'static str {
        match self {
            Channel::Email => record::delivery::EMAIL,
            Channel::WhatsApp => record::delivery::WHATSAPP,
            Channel::Sms => record::delivery::SMS,
        }
    }

    /// The member's address on this channel.
    pub fn address(self, member: &Member) -> Option<&str> {
        match self {
            Channel::Email => member.email.as_deref(),
            Channel::WhatsApp | Channel::Sms => member.phone.as_deref(),
        }
    }

    pub fn without_address(self) -> &'static str {
        match self {
            Channel::Email => "no e-mail address",
            Channel::WhatsApp | Channel::Sms => "no phone number",
        }
    }
}

/// The outcome of trying to send something.
#[derive(Debug)]
pub enum Outcome {
    /// The other side accepted it, under this id.
    Taken(String),
    /// The other side will never accept it, for this reason.
    Refused(String),
    NotNow(NotNow),
}

/// The other side did not accept something now.
#[derive(Debug)]
pub struct NotNow {
    /// The other side's code, and never its words, because they may quote addresses.
    pub reason: String,
    /// What an operator can do about it.
    pub hint: &'static str,
    /// No answer came, so the other side may have accepted the message.
    pub in_doubt: bool,
    /// When the other side asks for another try.
    pub after: Option<Duration>,
}

impl NotNow {
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: "",
            in_doubt: false,
            after: None,
        }
    }
}

/// The outcome that an AWS service's refusal means, by its code. `permanent` lists the codes of
/// messages that the service will never accept.
pub(crate) fn refusal<E, R>(error: &SdkError<E, R>, permanent: &[&str]) -> Outcome
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let code = error.code().map(str::to_owned);
    let Some(code) = code else {
        return Outcome::NotNow(unanswered(error));
    };
    if permanent.contains(&code.as_str()) {
        return Outcome::Refused(code);
    }
    Outcome::NotNow(NotNow::new(code))
}

/// No answer, or an unreadable one. If there was certainly no connection, the other side accepted
/// nothing.
pub fn unanswered<E, R>(error: &SdkError<E, R>) -> NotNow
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let not_sent = match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => {
            failure.is_user() || failure.as_connector_error().is_some_and(never_connected)
        }
        _ => false,
    };
    tracing::debug!("no answer: {}", DisplayErrorContext(error));
    NotNow {
        in_doubt: !not_sent,
        ..NotNow::new("no answer")
    }
}

/// A connection that ends after the request is an I/O error too. So only errors that cannot happen
/// after the request count.
fn never_connected(error: &(impl Error + 'static)) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable,
        ) = kind
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// A reference to a message's event: printable ASCII. `None` if it is longer than `max_bytes`.
pub(crate) fn event_reference(event: &Event, max_bytes: usize) -> Option<String> {
    let mut reference = String::new();
    for byte in event.key.to_string().bytes() {
        match byte {
            b'!'..=b'~' => reference.push(byte.into()),
            _ => reference.push_str(&format!("%{byte:02X}")),
        }
    }
    (reference.len() <= max_bytes).then_some(reference)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    #[track_caller]
    fn check(error: ConnectorError, in_doubt: bool) {
        let error: SdkError<io::Error, HttpResponse> = SdkError::dispatch_failure(error);
        assert_eq!(unanswered(&error).in_doubt, in_doubt);
    }

    #[test]
    fn an_unanswered_request_may_have_been_accepted_unless_nothing_was_sent() {
        let io = |kind| ConnectorError::io(Box::new(io::Error::from(kind)));
        check(io(io::ErrorKind::ConnectionRefused), false);
        check(io(io::ErrorKind::NetworkUnreachable), false);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let around = anyhow::Error::from(refused).context("tcp connect error");
        check(ConnectorError::io(around.into()), false);
        check(ConnectorError::user("no such header".into()), false);
        for kind in [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::UnexpectedEof,
        ] {
            check(io(kind), true);
        }
        check(ConnectorError::timeout("late".into()), true);
        check(ConnectorError::other("ended".into(), None), true);
    }
}
