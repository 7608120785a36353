//! A queue's attributes: their defaults and limits, and their text on the wire.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MAXIMUM_MESSAGE_BYTES, Redrive, errors, queue_arn, queue_name_in_arn};
use crate::AwsError;

/// The attributes that `SetQueueAttributes` can set on a standard queue.
const SETTABLE: [&str; 11] = [
    "DelaySeconds",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct QueueAttributes {
    pub(super) visibility_timeout_s: u32,
    pub(super) retention_s: u32,
    pub(super) delay_s: u32,
    pub(super) wait_s: u32,
    pub(super) maximum_message_bytes: u32,
    pub(super) redrive: Option<Redrive>,
    pub(super) redrive_allow: Option<RedriveAllow>,
    /// Attributes without an effect: policy and encryption.
    pub(super) inert: BTreeMap<String, String>,
}

/// Which queues may use this queue as their dead-letter queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum RedriveAllow {
    All,
    None,
    Queues(Vec<String>),
}

impl Default for QueueAttributes {
    fn default() -> QueueAttributes {
        QueueAttributes {
            visibility_timeout_s: 30,
            retention_s: 345_600,
            delay_s: 0,
            wait_s: 0,
            maximum_message_bytes: MAXIMUM_MESSAGE_BYTES as u32,
            redrive: None,
            redrive_allow: None,
            inert: BTreeMap::from([("SqsManagedSseEnabled".to_owned(), "true".to_owned())]),
        }
    }
}

impl QueueAttributes {
    pub(super) fn set_all(
        &mut self,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        attributes
            .iter()
            .try_for_each(|(name, value)| self.set(name, value))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), AwsError> {
        match name {
            "VisibilityTimeout" => self.visibility_timeout_s = number(name, value, 0..=43_200)?,
            "MessageRetentionPeriod" => self.retention_s = number(name, value, 60..=1_209_600)?,
            "DelaySeconds" => self.delay_s = number(name, value, 0..=900)?,
            "ReceiveMessageWaitTimeSeconds" => self.wait_s = number(name, value, 0..=20)?,
            "MaximumMessageSize" => {
                self.maximum_message_bytes =
                    number(name, value, 1024..=MAXIMUM_MESSAGE_BYTES as u32)?;
            }
            "RedrivePolicy" => self.redrive = redrive(value)?,
            "RedriveAllowPolicy" => self.redrive_allow = redrive_allow(value)?,
            _ if !SETTABLE.contains(&name) => return Err(errors::invalid_attribute_name(name)),
            _ if value.is_empty() => {
                self.inert.remove(name);
            }
            _ => {
                self.inert.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    /// The attributes that have a value, as text.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        SETTABLE
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.get(name)?)))
            .collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        match name {
            "VisibilityTimeout" => Some(self.visibility_timeout_s.to_string()),
            "MessageRetentionPeriod" => Some(self.retention_s.to_string()),
            "DelaySeconds" => Some(self.delay_s.to_string()),
            "ReceiveMessageWaitTimeSeconds" => Some(self.wait_s.to_string()),
            "MaximumMessageSize" => Some(self.maximum_message_bytes.to_string()),
            "RedrivePolicy" => self.redrive.as_ref().map(|redrive| {
                let target = queue_arn(&redrive.dead_letter_queue);
                json!({"deadLetterTargetArn": target, "maxReceiveCount": redrive.max_receive_count})
                    .to_string()
            }),
            "RedriveAllowPolicy" => self.redrive_allow.as_ref().map(|allow| {
                match allow {
                    RedriveAllow::All => json!({"redrivePermission": "allowAll"}),
                    RedriveAllow::None => json!({"redrivePermission": "denyAll"}),
                    RedriveAllow::Queues(arns) => {
                        json!({"redrivePermission": "byQueue", "sourceQueueArns": arns})
                    }
                }
                .to_string()
            }),
            _ => self.inert.get(name).cloned(),
        }
    }

    pub(super) fn allows_redrive_from(&self, queue: &str) -> bool {
        match &self.redrive_allow {
            None | Some(RedriveAllow::All) => true,
            Some(RedriveAllow::None) => false,
            Some(RedriveAllow::Queues(arns)) => arns.contains(&queue_arn(queue)),
        }
    }
}

fn number(name: &str, value: &str, range: RangeInclusive<u32>) -> Result<u32, AwsError> {
    value
        .parse()
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| errors::invalid_attribute_value(name))
}

/// Reads `{"deadLetterTargetArn": "...", "maxReceiveCount": 5}`, with a count that may be text.
/// Empty text removes the policy.
fn redrive(value: &str) -> Result<Option<Redrive>, AwsError> {
    if value.is_empty() {
        return Ok(None);
    }
    let invalid = |reason: &str| errors::invalid_value(value, "RedrivePolicy", reason);
    let policy =
        json_object(value).ok_or_else(|| invalid("Redrive policy is not a valid JSON map."))?;
    let target = policy.get("deadLetterTargetArn").and_then(Value::as_str);
    let target = target.ok_or_else(|| {
        invalid("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
    })?;
    let count = policy.get("maxReceiveCount").ok_or_else(|| {
        invalid("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
    })?;
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok());
    let count = count.filter(|count| (1..=1000).contains(count));
    Ok(Some(Redrive {
        dead_letter_queue: queue_name_in_arn(target)
            .ok_or_else(|| invalid("Invalid value for deadLetterTargetArn."))?
            .to_owned(),
        max_receive_count: count.ok_or_else(|| {
            invalid("Invalid value for maxReceiveCount: must be an integer from 1 to 1000.")
        })? as u32,
    }))
}

fn redrive_allow(value: &str) -> Result<Option<RedriveAllow>, AwsError> {
    if value.is_empty() {
        return Ok(None);
    }
    let invalid = |reason: &str| errors::invalid_value(value, "RedriveAllowPolicy", reason);
    let policy = json_object(value)
        .ok_or_else(|| invalid("Redrive allow policy is not a valid JSON map."))?;
    let arns = policy
        .get("sourceQueueArns")
        .map(|arns| serde_json::from_value::<Vec<String>>(arns.clone()));
    match (
        policy.get("redrivePermission").and_then(Value::as_str),
        arns,
    ) {
        (Some("allowAll"), None) => Ok(Some(RedriveAllow::All)),
        (Some("denyAll"), None) => Ok(Some(RedriveAllow::None)),
        (Some("byQueue"), Some(Ok(arns))) if (1..=10).contains(&arns.len()) => {
            Ok(Some(RedriveAllow::Queues(arns)))
        }
        (Some("byQueue"), _) => Err(invalid("byQueue takes one to ten sourceQueueArns.")),
        _ => Err(invalid(
            "redrivePermission must be allowAll, denyAll or byQueue; sourceQueueArns goes only \
             with byQueue.",
        )),
    }
}

fn json_object(text: &str) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, expected: Result<Option<&str>, &str>) {
        let mut attributes = QueueAttributes::default();
        let outcome = attributes.set(name, value).map(|()| attributes.get(name));
        let outcome = outcome
            .as_ref()
            .map(Option::as_deref)
            .map_err(|error| error.code.as_str());
        assert_eq!(outcome, expected, "{name}={value}");
    }

    #[test]
    fn keeps_each_attribute_within_its_limits() {
        check("VisibilityTimeout", "43200", Ok(Some("43200")));
        check("VisibilityTimeout", "43201", Err("InvalidAttributeValue"));
        check("VisibilityTimeout", "-1", Err("InvalidAttributeValue"));
        check("MessageRetentionPeriod", "59", Err("InvalidAttributeValue"));
        check("DelaySeconds", "900", Ok(Some("900")));
        check("DelaySeconds", "soon", Err("InvalidAttributeValue"));
        check(
            "ReceiveMessageWaitTimeSeconds",
            "21",
            Err("InvalidAttributeValue"),
        );
        check(
            "MaximumMessageSize",
            "1048577",
            Err("InvalidAttributeValue"),
        );
        check("Policy", "{}", Ok(Some("{}")));
        check("FifoQueue", "true", Err("InvalidAttributeName"));
        check("QueueArn", "arn", Err("InvalidAttributeName"));
    }

    #[test]
    fn reads_a_redrive_policy_with_its_count_as_number_or_text() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":3}"#;
        check("RedrivePolicy", policy, Ok(Some(policy)));
        check(
            "RedrivePolicy",
            &policy.replace('3', "\"3\""),
            Ok(Some(policy)),
        );
        check("RedrivePolicy", "", Ok(None));
        for wrong in [
            "no",
            "[]",
            "{}",
            &policy.replace('3', "0"),
            &policy.replace('3', "1001"),
            &policy.replace("sqs", "sns"),
        ] {
            check(
                "RedrivePolicy",
                wrong,
                Err("InvalidParameterValueException"),
            );
        }
    }

    #[test]
    fn a_dead_letter_queue_can_choose_its_sources() {
        let mut attributes = QueueAttributes::default();
        assert!(attributes.allows_redrive_from("delivery"));
        attributes
            .set("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#)
            .unwrap();
        assert!(!attributes.allows_redrive_from("delivery"));
        let by_queue =
            json!({"redrivePermission": "byQueue", "sourceQueueArns": [queue_arn("delivery")]})
                .to_string();
        attributes.set("RedriveAllowPolicy", &by_queue).unwrap();
        assert!(
            attributes.allows_redrive_from("delivery") && !attributes.allows_redrive_from("fraud")
        );
        check(
            "RedriveAllowPolicy",
            r#"{"redrivePermission":"byQueue"}"#,
            Err("InvalidParameterValueException"),
        );
    }
}
