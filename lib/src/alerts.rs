//! Alerts to those who run this: a topic, and messages that people can read and machines can filter.

use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;

use crate::characters::sendable;
use crate::config::{Aws, CallLimits, Environment};

/// How long a publication may take. An answer that comes later tells twice, which is better than not to tell.
const PUBLISH_LIMITS: CallLimits = CallLimits {
    attempt: Duration::from_secs(5),
    call: Duration::from_secs(5),
    attempts: 1,
};

/// SNS takes subjects of up to 99 characters.
pub const SUBJECT_MAX_CHARS: usize = 99;

/// An alert, for people and, in its attributes, for machines.
#[derive(Debug, PartialEq)]
pub struct Alert {
    pub subject: String,
    pub text: String,
    pub attributes: Vec<(&'static str, String)>,
}

/// The topic that alerts are published to.
#[derive(Debug)]
pub struct Topic {
    sns: Client,
    arn: String,
}

impl Topic {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            sns: Client::new(&aws.sdk_config(PUBLISH_LIMITS)),
            arn: environment.text("ALERTS_TOPIC_ARN"),
        }
    }

    /// Returns the message's id.
    pub async fn publish(&self, alert: Alert) -> anyhow::Result<String> {
        let mut publish = self
            .sns
            .publish()
            .topic_arn(&self.arn)
            .subject(sendable(&alert.subject))
            .message(sendable(&alert.text));
        for (name, value) in alert.attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(sendable(&value));
            publish = publish.message_attributes(name, value.build()?);
        }
        match publish.send().await {
            Ok(sent) => Ok(sent.message_id.unwrap_or_default()),
            Err(error) => {
                let code = error.code().unwrap_or("no answer").to_owned();
                Err(anyhow!("{code}")).context("publishing an alert")
            }
        }
    }
}

/// Text on one line, as a subject must be.
pub fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The beginning of a text that is longer.
pub fn shorten(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// As a shell takes it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
