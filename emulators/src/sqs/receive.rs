//! The operation `ReceiveMessage`: its request, and its answer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::contents::{Attribute, AttributeValue, Delivered, md5_of_attributes, md5_of_text};
use super::errors;
use super::request::Request;
use crate::AwsError;

pub(super) const VISIBILITY_TIMEOUT_REASON: &str = "Must be between 0 and 43200, if provided.";

/// The parameters of `ReceiveMessage`.
#[derive(Debug)]
pub(super) struct Receive<'a> {
    pub(super) queue: &'a str,
    pub(super) max: usize,
    pub(super) visibility_timeout_s: Option<u32>,
    /// `None` means the queue's own wait time.
    pub(super) wait: Option<Duration>,
    system_attributes: Vec<&'a str>,
    attributes: Vec<&'a str>,
}

impl<'a> Receive<'a> {
    pub(super) fn read(body: &'a Value) -> Result<Receive<'a>, AwsError> {
        let request = Request::new(body)?;
        let max = request.number(
            "MaxNumberOfMessages",
            1..=10,
            "Must be between 1 and 10, if provided.",
        )?;
        let wait_s = request.number(
            "WaitTimeSeconds",
            0..=20,
            "Must be >= 0 and <= 20, if provided.",
        )?;
        let mut system_attributes = request.texts("MessageSystemAttributeNames")?;
        system_attributes.extend(request.texts("AttributeNames")?);
        if let Some(unknown) = system_attributes
            .iter()
            .find(|name| !SYSTEM_ATTRIBUTES.contains(name))
        {
            return Err(errors::invalid_attribute_name(unknown));
        }
        Ok(Receive {
            queue: request.queue()?,
            max: max.unwrap_or(1) as usize,
            visibility_timeout_s: request.number(
                "VisibilityTimeout",
                0..=43_200,
                VISIBILITY_TIMEOUT_REASON,
            )?,
            wait: wait_s.map(|wait_s| Duration::from_secs(wait_s.into())),
            system_attributes,
            attributes: request.texts("MessageAttributeNames")?,
        })
    }

    pub(super) fn answer(&self, delivered: &[Delivered]) -> Value {
        if delivered.is_empty() {
            return json!({});
        }
        json!({"Messages": delivered.iter().map(|delivered| self.message(delivered)).collect::<Vec<Value>>()})
    }

    fn message(&self, delivered: &Delivered) -> Value {
        let contents = &delivered.contents;
        let mut message = json!({
            "MessageId": contents.id,
            "ReceiptHandle": delivered.receipt.handle(),
            "MD5OfBody": md5_of_text(&contents.body),
            "Body": contents.body,
        });
        let mut system_attributes = delivered.system_attributes();
        if !self.system_attributes.contains(&"All") {
            system_attributes.retain(|name, _| self.system_attributes.contains(&name.as_str()));
        }
        if !system_attributes.is_empty() {
            message["Attributes"] = json!(system_attributes);
        }
        let attributes: Vec<_> = contents
            .attributes
            .iter()
            .filter(|(name, _)| self.asks_for(name))
            .collect();
        if !attributes.is_empty() {
            message["MD5OfMessageAttributes"] =
                json!(md5_of_attributes(attributes.iter().copied()));
            let attributes = attributes
                .into_iter()
                .map(|(name, attribute)| (name.clone(), rendered(attribute)));
            message["MessageAttributes"] = Value::Object(attributes.collect());
        }
        message
    }

    /// Whether the request names the attribute: by its name, by a prefix (`shop.*`), or by `All`.
    fn asks_for(&self, attribute: &str) -> bool {
        self.attributes
            .iter()
            .any(|asked| match asked.strip_suffix(".*") {
                Some(prefix) => attribute.starts_with(prefix),
                None => *asked == "All" || *asked == attribute,
            })
    }
}

const SYSTEM_ATTRIBUTES: [&str; 10] = [
    "All",
    "AWSTraceHeader",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];

fn rendered(attribute: &Attribute) -> Value {
    match &attribute.value {
        AttributeValue::Text(text) => json!({"DataType": attribute.data_type, "StringValue": text}),
        AttributeValue::Binary(bytes) => {
            json!({"DataType": attribute.data_type, "BinaryValue": STANDARD.encode(bytes)})
        }
    }
}
