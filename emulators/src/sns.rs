//! SNS: text messages to phones, and alerts to topics, checked as SNS does and kept instead of
//! delivered.

mod sms;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::AwsError;
use crate::sent::{self, Detail, Outside, Publication, Sent, Sms};
use crate::template::{ACCOUNT, Topic};

/// In characters (SNS API reference, Publish).
const SMS_MAXIMUM: usize = 1600;

/// In bytes, attributes included (SNS API reference, Publish).
const MESSAGE_MAXIMUM: usize = 256 * 1024;

/// In characters; the SNS API reference (Publish) says less than 100.
const SUBJECT_MAXIMUM: usize = 99;

/// The message attribute that names the event.
const EVENT_ATTRIBUTE: &str = "event";

const SMS_TYPE: &str = "AWS.SNS.SMS.SMSType";
const SENDER_ID: &str = "AWS.SNS.SMS.SenderID";
const ORIGINATION_NUMBER: &str = "AWS.MM.SMS.OriginationNumber";

#[derive(Debug, Clone)]
pub struct Sns {
    topics: Vec<Topic>,
    outside: Outside,
}

impl Sns {
    pub fn new(topics: Vec<Topic>, outside: Outside) -> Sns {
        Sns { topics, outside }
    }

    /// Answers a request with an answer, both as JSON. The endpoint translates from and to the
    /// wire.
    pub fn handle(
        &self,
        operation: &str,
        request: &Value,
        now: Timestamp,
    ) -> Result<Value, AwsError> {
        match operation {
            "Publish" => self.publish(request, now),
            "ListTopics" => {
                let topics = self.topics.iter();
                let arns: Vec<Value> = topics.map(|topic| json!({"TopicArn": topic.arn})).collect();
                Ok(json!({ "Topics": arns }))
            }
            "GetTopicAttributes" => {
                let arn = text(request, "TopicArn").unwrap_or_default();
                Ok(json!({"Attributes": attributes_of(self.topic("TopicArn", arn)?)}))
            }
            other => Err(error(
                400,
                "InvalidAction",
                &format!(
                    "The local system serves Publish, ListTopics and GetTopicAttributes of SNS, \
                     not {other}."
                ),
            )),
        }
    }

    fn publish(&self, request: &Value, now: Timestamp) -> Result<Value, AwsError> {
        let targets = ["TopicArn", "TargetArn", "PhoneNumber"];
        let given: Vec<_> = targets
            .into_iter()
            .filter_map(|name| Some((name, text(request, name)?)))
            .collect();
        let sent = match given.as_slice() {
            [("PhoneNumber", number)] => text_message(number, request, now)?,
            [(parameter, arn)] => publication(self.topic(parameter, arn)?, request, now)?,
            [] => {
                return Err(invalid(
                    "TopicArn or TargetArn Reason: no value for required parameter",
                ));
            }
            _ => return Err(invalid("only one of TopicArn, TargetArn and PhoneNumber")),
        };
        let message_id = sent.message_id.clone();
        self.outside
            .push(sent)
            .map_err(|problem| error(500, "InternalError", &format!("{problem:#}")))?;
        Ok(json!({ "MessageId": message_id }))
    }

    fn topic(&self, parameter: &str, arn: &str) -> Result<&Topic, AwsError> {
        let elements = arn.split(':').count();
        if elements < 6 {
            return Err(invalid(&format!(
                "{parameter} Reason: An ARN must have at least 6 elements, not {elements}"
            )));
        }
        let mut topics = self.topics.iter();
        topics
            .find(|topic| topic.arn == arn)
            .ok_or_else(|| error(404, "NotFound", "Topic does not exist"))
    }
}

fn attributes_of(topic: &Topic) -> Value {
    json!({
        "TopicArn": topic.arn,
        "Owner": ACCOUNT,
        "DisplayName": topic.display_name.as_deref().unwrap_or_default(),
        "SubscriptionsConfirmed": topic.subscriptions.len().to_string(),
        "SubscriptionsPending": "0",
        "SubscriptionsDeleted": "0",
    })
}

/// A text message to a phone.
fn text_message(number: &str, request: &Value, now: Timestamp) -> Result<Sent, AwsError> {
    if !is_e164(number) {
        return Err(invalid(&format!(
            "PhoneNumber Reason: {number} is not valid to publish to"
        )));
    }
    let text = message(request, "sms")?;
    if text.chars().count() > SMS_MAXIMUM {
        return Err(invalid("Message too long"));
    }
    let attributes = attributes(request)?;
    let attribute = |name: &str| attributes.get(name).cloned();
    let kind = attribute(SMS_TYPE).unwrap_or_else(|| "Promotional".into());
    if !["Promotional", "Transactional"].contains(&kind.as_str()) {
        return Err(invalid("SMSType"));
    }
    let sender_id = attribute(SENDER_ID);
    if sender_id.as_deref().is_some_and(|id| !is_sender_id(id)) {
        return Err(invalid("SenderID"));
    }
    let origination_number = attribute(ORIGINATION_NUMBER);
    let encoding = sms::encoding_of(&text);
    Ok(Sent {
        channel: "sms".into(),
        from: sender_id
            .clone()
            .or_else(|| origination_number.clone())
            // The carrier puts in a number, which differs by country.
            .unwrap_or_else(|| "a number of AWS".into()),
        to: number.into(),
        subject: None,
        html: None,
        event: attribute(EVENT_ATTRIBUTE),
        message_id: Uuid::new_v4().to_string(),
        at: sent::time(now),
        detail: Detail::Sms(Sms {
            kind,
            sender_id,
            origination_number,
            encoding,
            characters: text.chars().count(),
            parts: sms::parts(encoding, &text),
        }),
        text: Some(text),
    })
}

/// A message to a topic's subscribers.
fn publication(topic: &Topic, request: &Value, now: Timestamp) -> Result<Sent, AwsError> {
    if text(request, "MessageDeduplicationId").is_some() {
        return Err(invalid(
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter \
             that is not valid for this topic type",
        ));
    }
    let subject = text(request, "Subject");
    let is_legal = |subject: &str| {
        !subject.contains(char::is_control) && subject.chars().count() <= SUBJECT_MAXIMUM
    };
    if subject.is_some_and(|subject| !is_legal(subject)) {
        return Err(invalid("Subject"));
    }
    let text = message(request, "email")?;
    let attributes = attributes(request)?;
    let whole = request["Message"].as_str().map_or(0, str::len);
    if whole + attribute_bytes(request) > MESSAGE_MAXIMUM {
        return Err(invalid("Message too long"));
    }
    let name = topic.display_name.as_deref().unwrap_or("AWS Notifications");
    let subscriptions = topic.subscriptions.iter();
    Ok(Sent {
        channel: "topic".into(),
        from: format!("{name} <no-reply@sns.amazonaws.com>"),
        to: topic.arn.clone(),
        subject: subject.map(str::to_owned),
        text: Some(text),
        html: None,
        event: attributes.get(EVENT_ATTRIBUTE).cloned(),
        message_id: Uuid::new_v4().to_string(),
        at: sent::time(now),
        detail: Detail::Topic(Publication {
            topic: topic.name.clone(),
            subscribers: subscriptions
                .map(|subscription| format!("{}:{}", subscription.protocol, subscription.endpoint))
                .collect(),
            attributes,
        }),
    })
}

/// The text of the message. With `MessageStructure` `json`, the text for the protocol, or the
/// default text.
fn message(request: &Value, protocol: &str) -> Result<String, AwsError> {
    let message = text(request, "Message").ok_or_else(|| invalid("Empty message"))?;
    if text(request, "MessageStructure") != Some("json") {
        return Ok(message.to_owned());
    }
    let by_protocol: Value = serde_json::from_str(message)
        .map_err(|_| invalid("Message Structure - JSON message body failed to parse"))?;
    let default = by_protocol["default"]
        .as_str()
        .ok_or_else(|| invalid("Message Structure - No default entry in JSON message body"))?;
    let chosen = by_protocol[protocol].as_str().unwrap_or(default);
    Ok(chosen.to_owned())
}

/// The message's attributes by name, as text; a binary value is in base64.
fn attributes(request: &Value) -> Result<BTreeMap<String, String>, AwsError> {
    let given = request["MessageAttributes"].as_object();
    let mut attributes = BTreeMap::new();
    for (name, attribute) in given.into_iter().flatten() {
        let kind = text(attribute, "DataType").unwrap_or_default();
        let field = match kind.split('.').next() {
            Some("String" | "Number") => "StringValue",
            Some("Binary") => "BinaryValue",
            _ => {
                return Err(invalid_value(&format!(
                    "The message attribute '{name}' has an invalid message attribute type, the \
                     set of supported type prefixes is Binary, Number, and String."
                )));
            }
        };
        let value = text(attribute, field).ok_or_else(|| {
            invalid_value(&format!(
                "The message attribute '{name}' must contain non-empty message attribute value \
                 for message attribute type '{kind}'."
            ))
        })?;
        if kind == "Number" && value.parse::<f64>().is_err() {
            return Err(invalid_value(&format!(
                "Could not cast message attribute '{name}' value to number."
            )));
        }
        attributes.insert(name.clone(), value.to_owned());
    }
    Ok(attributes)
}

/// What the attributes add to the message's size: names, types and values (SNS API reference,
/// MessageAttributeValue). Base64 is only a binary value's form on the wire.
fn attribute_bytes(request: &Value) -> usize {
    let attributes = request["MessageAttributes"].as_object();
    let bytes = |(name, attribute): (&String, &Value)| {
        let length = |field: &str| text(attribute, field).map_or(0, str::len);
        let base64 = text(attribute, "BinaryValue").unwrap_or_default();
        let binary = base64.trim_end_matches('=').len() * 3 / 4;
        name.len() + length("DataType") + length("StringValue") + binary
    };
    attributes.into_iter().flatten().map(bytes).sum()
}

/// A plus, a country code and a number: at most 15 digits, and at least 7, because no country has
/// shorter numbers.
fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else {
        return false;
    };
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// 3 to 11 letters, digits and dashes, with at least one letter (SNS developer guide, Publishing to
/// a mobile phone).
fn is_sender_id(id: &str) -> bool {
    (3..=11).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && id.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn invalid(what: &str) -> AwsError {
    error(
        400,
        "InvalidParameter",
        &format!("Invalid parameter: {what}"),
    )
}

fn invalid_value(message: &str) -> AwsError {
    error(400, "ParameterValueInvalid", message)
}

fn error(status: u16, code: &str, message: &str) -> AwsError {
    AwsError {
        status,
        code: code.into(),
        message: message.into(),
        query_code: None,
    }
}

#[cfg(test)]
mod tests;
