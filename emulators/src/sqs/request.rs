//! Reads the parameters of a request, and reports a missing parameter or one of the wrong type.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::contents::{Attribute, AttributeValue, Draft, has_only_allowed_characters};
use super::errors;
use crate::AwsError;

const MOST_ATTRIBUTES: usize = 10;

/// A request, or one entry of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    fields: &'a Map<String, Value>,
}

impl<'a> Request<'a> {
    pub(super) fn new(body: &'a Value) -> Result<Request<'a>, AwsError> {
        let fields = body
            .as_object()
            .ok_or_else(|| errors::mistyped("request body", "a JSON object"))?;
        Ok(Request { fields })
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, AwsError> {
        let text = |value: &'a Value| {
            value
                .as_str()
                .ok_or_else(|| errors::mistyped(name, "a string"))
        };
        self.field(name).map(text).transpose()
    }

    pub(super) fn required_text(&self, name: &str) -> Result<&'a str, AwsError> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| errors::missing(name))
    }

    /// An integer in a range; `reason` is SQS's message for an integer outside.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        reason: &str,
    ) -> Result<Option<u32>, AwsError> {
        let Some(value) = self.field(name) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .ok_or_else(|| errors::mistyped(name, "an integer"))?;
        let in_range = u32::try_from(number)
            .ok()
            .filter(|number| range.contains(number));
        in_range
            .map(Some)
            .ok_or_else(|| errors::invalid_value(number, name, reason))
    }

    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], AwsError> {
        let list = |value: &'a Value| {
            value
                .as_array()
                .ok_or_else(|| errors::mistyped(name, "a list"))
        };
        Ok(self
            .field(name)
            .map(list)
            .transpose()?
            .map_or(&[], Vec::as_slice))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, AwsError> {
        let text = |value: &'a Value| {
            value
                .as_str()
                .ok_or_else(|| errors::mistyped(name, "a list of strings"))
        };
        self.list(name)?.iter().map(text).collect()
    }

    fn map(&self, name: &str) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, AwsError> {
        let map = |value: &'a Value| {
            value
                .as_object()
                .ok_or_else(|| errors::mistyped(name, "a map"))
        };
        Ok(self.field(name).map(map).transpose()?.into_iter().flatten())
    }

    pub(super) fn text_map(&self, name: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let entry = |(key, value): (&String, &Value)| {
            let value = value
                .as_str()
                .ok_or_else(|| errors::mistyped(name, "a map of strings"))?;
            Ok((key.clone(), value.to_owned()))
        };
        self.map(name)?.map(entry).collect()
    }

    /// The queue's name, from a URL with any host and account, from a path, or bare.
    pub(super) fn queue(&self) -> Result<&'a str, AwsError> {
        let url = self.required_text("QueueUrl")?.trim_end_matches('/');
        Ok(url.rsplit('/').next().unwrap_or(url))
    }

    /// The message in a request to send. Everything is valid except perhaps the length.
    pub(super) fn draft(&self) -> Result<Draft, AwsError> {
        let body = self.required_text("MessageBody")?;
        if !has_only_allowed_characters(body) {
            return Err(errors::invalid_message_contents());
        }
        if self.has("MessageDeduplicationId") {
            let reason = "The request includes a parameter that is not valid for this queue type";
            return Err(errors::invalid_value(
                self.required_text("MessageDeduplicationId")?,
                "MessageDeduplicationId",
                reason,
            ));
        }
        Ok(Draft {
            body: body.to_owned(),
            delay_s: self.number(
                "DelaySeconds",
                0..=900,
                "DelaySeconds must be >= 0 and <= 900.",
            )?,
            attributes: self.attributes()?,
            trace_header: self.trace_header()?,
            group_id: self.group_id()?,
        })
    }

    fn attributes(&self) -> Result<BTreeMap<String, Attribute>, AwsError> {
        let attributes: BTreeMap<_, _> = self
            .map("MessageAttributes")?
            .map(|(name, value)| {
                check_attribute_name(name)?;
                Ok((name.clone(), attribute(name, value)?))
            })
            .collect::<Result<_, AwsError>>()?;
        if attributes.len() > MOST_ATTRIBUTES {
            return Err(errors::invalid_parameter(format!(
                "Number of message attributes [{}] exceeds the allowed maximum \
                 [{MOST_ATTRIBUTES}].",
                attributes.len()
            )));
        }
        Ok(attributes)
    }

    fn trace_header(&self) -> Result<Option<String>, AwsError> {
        let mut header = None;
        for (name, value) in self.map("MessageSystemAttributes")? {
            if name != "AWSTraceHeader" {
                return Err(errors::invalid_parameter(format!(
                    "Message system attribute name '{name}' is invalid. Only AWSTraceHeader can \
                     be sent."
                )));
            }
            match attribute(name, value)? {
                Attribute {
                    data_type,
                    value: AttributeValue::Text(text),
                } if data_type == "String" => header = Some(text),
                _ => {
                    return Err(errors::invalid_parameter(
                        "The data type of the message system attribute 'AWSTraceHeader' must be \
                         String.",
                    ));
                }
            }
        }
        Ok(header)
    }

    fn group_id(&self) -> Result<Option<String>, AwsError> {
        let Some(id) = self.text("MessageGroupId")? else {
            return Ok(None);
        };
        if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Some(id.to_owned()));
        }
        let reason = "MessageGroupId can only include alphanumeric and punctuation characters. 1 \
                      to 128 in length.";
        Err(errors::invalid_value(id, "MessageGroupId", reason))
    }
}

fn check_attribute_name(name: &str) -> Result<(), AwsError> {
    let lower = name.to_ascii_lowercase();
    let is_valid = (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.");
    if is_valid {
        return Ok(());
    }
    Err(errors::invalid_parameter(format!(
        "Message (user) attribute name '{name}' is invalid: 1 to 256 letters, digits, hyphens, \
         underscores and periods, \
         no period at either end or beside another, not starting with AWS. or Amazon."
    )))
}

fn attribute(name: &str, value: &Value) -> Result<Attribute, AwsError> {
    let request = Request::new(value).map_err(|_| errors::mistyped(name, "a message attribute"))?;
    let data_type = request.text("DataType")?.unwrap_or_default();
    let invalid =
        |what: &str| errors::invalid_parameter(format!("The message attribute '{name}' {what}."));
    if data_type.is_empty() {
        return Err(invalid("must contain non-empty message attribute type"));
    }
    let kind = data_type.split('.').next().unwrap_or_default();
    let value = match kind {
        "String" | "Number" => {
            AttributeValue::Text(request.text("StringValue")?.unwrap_or_default().to_owned())
        }
        "Binary" => {
            let text = request.text("BinaryValue")?.unwrap_or_default();
            let bytes = STANDARD.decode(text);
            AttributeValue::Binary(bytes.map_err(|_| errors::mistyped("BinaryValue", "base64"))?)
        }
        _ => {
            return Err(invalid(
                "has an invalid type: only the prefixes Binary, Number and String are supported",
            ));
        }
    };
    if data_type.len() > 256 {
        return Err(invalid("has a type of more than 256 characters"));
    }
    if value.bytes().is_empty() {
        return Err(invalid(&format!(
            "must contain non-empty message attribute value for message attribute type '{kind}'"
        )));
    }
    if let AttributeValue::Text(text) = &value {
        if !has_only_allowed_characters(text) {
            return Err(errors::invalid_message_contents());
        }
        if kind == "Number" && !text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(invalid("has a value that is not a number"));
        }
    }
    Ok(Attribute {
        data_type: data_type.to_owned(),
        value,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(entry: Value, expected: Result<usize, &str>) {
        let outcome = Request::new(&entry)
            .and_then(|request| request.draft())
            .map(|draft| draft.bytes());
        assert_eq!(
            outcome
                .as_ref()
                .copied()
                .map_err(|error| error.code.as_str()),
            expected,
            "{entry}"
        );
    }

    fn with_attribute(name: &str, attribute: Value) -> Value {
        json!({"MessageBody": "x", "MessageAttributes": {name: attribute}})
    }

    const INVALID: Result<usize, &str> = Err("InvalidParameterValueException");

    #[test]
    fn takes_a_body_of_at_least_one_allowed_character() {
        check(json!({"MessageBody": "é"}), Ok(2));
        check(
            json!({"MessageBody": ""}),
            Err("MissingRequiredParameterException"),
        );
        check(json!({}), Err("MissingRequiredParameterException"));
        check(json!({"MessageBody": 7}), Err("SerializationException"));
        check(
            json!({"MessageBody": "a\u{0}"}),
            Err("InvalidMessageContents"),
        );
        check(json!([]), Err("SerializationException"));
    }

    #[test]
    fn takes_a_delay_of_up_to_15_minutes() {
        check(json!({"MessageBody": "x", "DelaySeconds": 900}), Ok(1));
        check(json!({"MessageBody": "x", "DelaySeconds": 901}), INVALID);
        check(json!({"MessageBody": "x", "DelaySeconds": -1}), INVALID);
        check(
            json!({"MessageBody": "x", "DelaySeconds": "1"}),
            Err("SerializationException"),
        );
    }

    #[test]
    fn takes_a_message_group_but_no_deduplication() {
        check(
            json!({"MessageBody": "x", "MessageGroupId": "zupy#comp_1!~"}),
            Ok(1),
        );
        for wrong in ["", "a b", "é", &"x".repeat(129)] {
            check(
                json!({"MessageBody": "x", "MessageGroupId": wrong}),
                INVALID,
            );
        }
        check(
            json!({"MessageBody": "x", "MessageDeduplicationId": "1"}),
            INVALID,
        );
    }

    #[test]
    fn checks_message_attributes() {
        check(
            with_attribute("a", json!({"DataType": "String", "StringValue": "é"})),
            Ok(1 + 1 + 6 + 2),
        );
        check(
            with_attribute(
                "a",
                json!({"DataType": "Number.int", "StringValue": "-1.5e3"}),
            ),
            Ok(1 + 1 + 10 + 6),
        );
        check(
            with_attribute("a", json!({"DataType": "Binary", "BinaryValue": "AAE="})),
            Ok(1 + 1 + 6 + 2),
        );
        for wrong in [
            json!({"DataType": "String", "StringValue": ""}),
            json!({"DataType": "String"}),
            json!({"StringValue": "x"}),
            json!({"DataType": "Text", "StringValue": "x"}),
            json!({"DataType": "Number", "StringValue": "many"}),
        ] {
            check(with_attribute("a", wrong), INVALID);
        }
        for wrong in [
            "",
            ".a",
            "a.",
            "a..b",
            "a b",
            "AWS.a",
            "amazon.a",
            &"x".repeat(257),
        ] {
            check(
                with_attribute(wrong, json!({"DataType": "String", "StringValue": "x"})),
                INVALID,
            );
        }
        check(
            with_attribute("a", json!({"DataType": "Binary", "BinaryValue": "?"})),
            Err("SerializationException"),
        );
        check(
            with_attribute("a", json!("x")),
            Err("SerializationException"),
        );
        check(
            json!({"MessageBody": "x", "MessageAttributes": 1}),
            Err("SerializationException"),
        );
    }

    #[test]
    fn takes_no_more_than_ten_message_attributes() {
        let with_count = |count: usize| {
            let attribute = |index: usize| {
                (
                    format!("a{index:02}"),
                    json!({"DataType": "String", "StringValue": "x"}),
                )
            };
            json!({"MessageBody": "x", "MessageAttributes": (0..count).map(attribute).collect::<Map<_, _>>()})
        };
        check(with_count(10), Ok(1 + 10 * 10));
        check(with_count(11), INVALID);
    }

    #[test]
    fn takes_a_trace_header_that_does_not_count() {
        let with = |name: &str, data_type: &str| json!({"MessageBody": "x", "MessageSystemAttributes": {name: {"DataType": data_type, "StringValue": "Root=1"}}});
        check(with("AWSTraceHeader", "String"), Ok(1));
        check(with("AWSTraceHeader", "Number"), INVALID);
        check(with("SenderId", "String"), INVALID);
    }

    #[test]
    fn finds_the_queue_in_any_url() {
        for url in [
            "http://127.0.0.1:4566/000000000000/delivery",
            "https://sqs.eu/1/delivery/",
            "/x/delivery",
            "delivery",
        ] {
            let body = json!({"QueueUrl": url});
            assert_eq!(Request::new(&body).unwrap().queue().unwrap(), "delivery");
        }
    }
}
