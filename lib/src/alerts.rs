//! Alerts to operators: an SNS topic, and messages that people can read and machines can filter.

use std::time::Duration;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use aws_sdk_sns::types::MessageAttributeValue;

use crate::characters::sendable;
use crate::config::{Aws, CallLimits, Environment};
use crate::invocation::Invocation;

/// How long a publication may take. If SNS takes longer, the alert may be published twice, which is
/// better than no alert.
const PUBLISH_LIMITS: CallLimits = CallLimits {
    attempt: Duration::from_secs(5),
    call: Duration::from_secs(5),
    attempts: 1,
};

/// The time that an invocation needs to publish an alert and to record the publication. SNS may
/// take 5 s and DynamoDB 7 s ([`CallLimits::TASK`]); the worker keeps 4 s for itself.
const PUBLISH_TIME: Duration = Duration::from_secs(16);

/// The time that an invocation needs to claim an alert, publish it and record the publication. The
/// claim waits up to 3 s for another worker's claim.
const CLAIM_TIME: Duration = Duration::from_secs(19);

/// How long an alert waits for its next attempt if only an operator can mend the fault.
pub const MEND_PAUSE: Duration = Duration::from_secs(60);

/// SNS takes subjects of up to 99 characters.
pub const SUBJECT_MAX_CHARS: usize = 99;

/// An alert: a text for people, and attributes for machines.
#[derive(Debug, PartialEq)]
pub struct Alert {
    /// One line of at most [`SUBJECT_MAX_CHARS`] characters.
    pub subject: String,
    /// What happened, and what to do.
    pub text: String,
    /// Names and values by which a subscription can filter.
    pub attributes: Vec<(&'static str, String)>,
}

/// Why an alert was not published. Each reason names SNS's code. It never quotes SNS's words,
/// because these words may quote the alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpublished {
    /// SNS never takes this alert, but it may take others.
    #[error("SNS refuses the alert: {0}")]
    Refused(String),
    /// SNS takes no alert until an operator mends the topic, its key or the function's permission.
    #[error("SNS takes no alert: {0}; mend the topic, its key or the function's permission")]
    Misconfigured(String),
    /// SNS may take the alert soon.
    #[error("publishing an alert: {0}")]
    ForNow(String),
}

/// The codes of alerts that SNS never takes (API reference, Publish: errors).
const REFUSED: [&str; 5] = [
    "InvalidParameter",
    "InvalidParameterValue",
    "ParameterValueInvalid",
    "ValidationError",
    "ValidationException",
];

/// The codes of faults that pass by themselves (API reference, Publish: errors; Common errors).
const PASSING: [&str; 9] = [
    "InternalError",
    "InternalFailure",
    "KMSThrottling",
    "RequestExpired",
    "RequestTimeout",
    "ServiceUnavailable",
    "Throttled",
    "Throttling",
    "ThrottlingException",
];

impl Unpublished {
    fn of<R>(error: &SdkError<PublishError, R>, status: Option<u16>) -> Self {
        let Some(code) = error.code() else {
            return Self::ForNow("no answer".to_owned());
        };
        // An alert does not name its topic. So a fault of the topic's ARN is a fault of the
        // configuration.
        let is_of_topic = error.message().is_some_and(|it| it.contains("TopicArn"));
        Self::by(code, status, is_of_topic)
    }

    /// The reason that a code gives. A code that is in neither list is about the account, the
    /// topic, its key or a permission.
    fn by(code: &str, status: Option<u16>, is_of_topic: bool) -> Self {
        let code_text = code.to_owned();
        if PASSING.contains(&code) || status.is_some_and(|status| status >= 500 || status == 429) {
            return Self::ForNow(code_text);
        }
        match REFUSED.contains(&code) && !is_of_topic {
            true => Self::Refused(code_text),
            false => Self::Misconfigured(code_text),
        }
    }
}

/// The topic that alerts are published to.
#[derive(Debug)]
pub struct Topic {
    sns: Client,
    arn: String,
}

impl Topic {
    /// Reads the topic from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            sns: Client::new(&aws.sdk_config(PUBLISH_LIMITS)),
            arn: environment.text("ALERTS_TOPIC_ARN"),
        }
    }

    /// Publishes an alert. Returns the message's id.
    ///
    /// # Errors
    /// SNS did not publish the alert; the variant says who can mend the fault.
    pub async fn publish(&self, alert: Alert) -> Result<String, Unpublished> {
        let mut publish = self
            .sns
            .publish()
            .topic_arn(&self.arn)
            .subject(sendable(&alert.subject))
            .message(sendable(&alert.text));
        for (name, value) in alert.attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(sendable(&value))
                .build()
                .expect("an attribute with a type and a value is whole");
            publish = publish.message_attributes(name, value);
        }
        match publish.send().await {
            Ok(sent) => Ok(sent.message_id.unwrap_or_default()),
            Err(error) => {
                let status = error.raw_response().map(|it| it.status().as_u16());
                Err(Unpublished::of(&error, status))
            }
        }
    }
}

/// Whether an invocation has the time to claim an alert, publish it and record the publication. An
/// invocation that ends in between leads to a second publication.
pub fn may_claim(invocation: Invocation) -> bool {
    invocation.has_left(CLAIM_TIME)
}

/// Whether an invocation still has the time to publish an alert that it claimed.
pub fn may_publish(invocation: Invocation) -> bool {
    invocation.has_left(PUBLISH_TIME)
}

/// The text on one line, as a subject must be: each control character becomes a space.
pub fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A text of at most `max_chars` characters stays whole. Of a longer text, the first `max_chars`
/// characters and an ellipsis.
pub fn shorten(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// The text as one word of a shell command, in single quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_who_can_mend_the_fault() {
        let check = |code: &str, status: u16, expected: fn(String) -> Unpublished| {
            let found = Unpublished::by(code, Some(status), false);
            assert_eq!(found, expected(code.to_owned()));
        };
        for code in [
            "InvalidParameter",
            "ParameterValueInvalid",
            "ValidationError",
        ] {
            check(code, 400, Unpublished::Refused);
        }
        for (code, status) in [
            ("AccessDenied", 403),
            ("AuthorizationError", 403),
            ("EndpointDisabled", 400),
            ("ExpiredToken", 403),
            ("InvalidClientTokenId", 403),
            ("InvalidSecurity", 403),
            ("KMSAccessDenied", 400),
            ("KMSDisabled", 400),
            ("KMSInvalidState", 400),
            ("KMSNotFound", 400),
            ("KMSOptInRequired", 403),
            ("NotFound", 404),
        ] {
            check(code, status, Unpublished::Misconfigured);
        }
        for (code, status) in [
            ("InternalError", 500),
            ("KMSThrottling", 400),
            ("Throttling", 400),
            ("UnheardOf", 503),
        ] {
            check(code, status, Unpublished::ForNow);
        }
        let of_topic = Unpublished::by("InvalidParameter", Some(400), true);
        assert!(matches!(of_topic, Unpublished::Misconfigured(_)));
    }
}
