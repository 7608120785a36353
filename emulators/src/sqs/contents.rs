//! One message: its contents, their size and digests as SQS measures them, and the state of its
//! delivery.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{ACCOUNT, errors};
use crate::AwsError;

/// The message that a sender wants to queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) body: String,
    pub(super) delay_s: Option<u32>,
    pub(super) attributes: BTreeMap<String, Attribute>,
    pub(super) trace_header: Option<String>,
    pub(super) group_id: Option<String>,
}

/// The contents of a message, which never change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) sent_ms: i64,
    pub(super) attributes: BTreeMap<String, Attribute>,
    pub(super) trace_header: Option<String>,
    pub(super) group_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Attribute {
    /// `String`, `Number` or `Binary`, perhaps with a label: `Number.int`.
    pub(super) data_type: String,
    pub(super) value: AttributeValue,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum AttributeValue {
    Text(String),
    Binary(#[serde(with = "base64_text")] Vec<u8>),
}

/// The state of a message's delivery, which changes with every receive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// When the message can be received: the end of its delay or visibility timeout.
    pub(super) visible_at_ms: i64,
    pub(super) received_ms: Option<i64>,
    pub(super) first_received_ms: Option<i64>,
    /// Receives in the message's whole life, including those in its source queue.
    pub(super) receive_count: u32,
    /// Receives since the message arrived in this queue, to which the redrive policy applies.
    pub(super) receives_here: u32,
    /// Receipts that can delete the message: the latest, and an earlier one only after a duplicate
    /// delivery.
    pub(super) receipts: Vec<String>,
    pub(super) dead_letter_source: Option<String>,
    /// Whether the message stayed visible after the latest receive.
    pub(super) delivered_twice: bool,
}

/// A message in the state of one receive.
#[derive(Debug, Clone)]
pub(super) struct Delivered {
    pub(super) contents: Arc<Contents>,
    pub(super) delivery: Delivery,
    pub(super) receipt: Receipt,
}

/// One receive of one message. On the wire it is a handle that only SQS can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) queue: String,
    pub(super) message_id: String,
    pub(super) nonce: String,
}

impl Draft {
    /// The size that counts towards the limits: the body, and each attribute's name, type and
    /// value.
    pub(super) fn bytes(&self) -> usize {
        let attribute = |(name, attribute): (&String, &Attribute)| {
            name.len() + attribute.data_type.len() + attribute.value.bytes().len()
        };
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    pub(super) fn into_contents(self, now_ms: i64) -> Contents {
        Contents {
            id: new_id(),
            body: self.body,
            sent_ms: now_ms,
            attributes: self.attributes,
            trace_header: self.trace_header,
            group_id: self.group_id,
        }
    }
}

impl AttributeValue {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            AttributeValue::Text(text) => text.as_bytes(),
            AttributeValue::Binary(bytes) => bytes,
        }
    }
}

impl Delivered {
    pub(super) fn system_attributes(&self) -> BTreeMap<String, String> {
        let first_received_ms = self.delivery.first_received_ms.unwrap_or_default();
        let always = [
            ("SenderId", ACCOUNT.to_owned()),
            ("SentTimestamp", self.contents.sent_ms.to_string()),
            (
                "ApproximateReceiveCount",
                self.delivery.receive_count.to_string(),
            ),
            (
                "ApproximateFirstReceiveTimestamp",
                first_received_ms.to_string(),
            ),
        ];
        let sometimes = [
            ("AWSTraceHeader", &self.contents.trace_header),
            ("MessageGroupId", &self.contents.group_id),
            (
                "DeadLetterQueueSourceArn",
                &self.delivery.dead_letter_source,
            ),
        ];
        let sometimes = sometimes
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)));
        always
            .into_iter()
            .chain(sometimes)
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

impl Receipt {
    pub(super) fn new(queue: &str, message_id: &str) -> Receipt {
        let nonce = format!("{:032x}", fastrand::u128(..));
        Receipt {
            queue: queue.to_owned(),
            message_id: message_id.to_owned(),
            nonce,
        }
    }

    pub(super) fn handle(&self) -> String {
        STANDARD.encode(format!("{}:{}:{}", self.queue, self.message_id, self.nonce))
    }

    /// Reads a handle of this queue.
    pub(super) fn read(handle: &str, queue: &str) -> Result<Receipt, AwsError> {
        let invalid = || errors::receipt_handle_is_invalid(handle);
        let text = STANDARD
            .decode(handle)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(invalid)?;
        match text.split(':').collect::<Vec<_>>()[..] {
            [of_queue, message_id, nonce]
                if of_queue == queue && message_id.len() == 36 && nonce.len() == 32 =>
            {
                Ok(Receipt {
                    queue: queue.to_owned(),
                    message_id: message_id.to_owned(),
                    nonce: nonce.to_owned(),
                })
            }
            _ => Err(invalid()),
        }
    }
}

/// A random UUID (version 4).
pub(super) fn new_id() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes())
        .into_uuid()
        .to_string()
}

pub(super) fn md5_of_text(text: &str) -> String {
    format!("{:x}", md5::compute(text))
}

/// The digest that SDKs compare: attributes by name, every part after its length, values also after
/// their kind (SQS developer guide, "Calculating the MD5 message digest for message attributes").
pub(super) fn md5_of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a Attribute)>,
) -> String {
    let mut context = md5::Context::new();
    let mut part = |kind: &[u8], bytes: &[u8]| {
        context.consume(kind);
        context.consume((bytes.len() as u32).to_be_bytes());
        context.consume(bytes);
    };
    for (name, attribute) in attributes {
        part(&[], name.as_bytes());
        part(&[], attribute.data_type.as_bytes());
        let kind = match attribute.value {
            AttributeValue::Text(_) => 1,
            AttributeValue::Binary(_) => 2,
        };
        part(&[kind], attribute.value.bytes());
    }
    format!("{:x}", context.compute())
}

/// Whether SQS accepts this text: only characters of an XML 1.0 document.
pub(super) fn has_only_allowed_characters(text: &str) -> bool {
    text.chars().all(|character| {
        matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
    })
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_a_body_as_aws_does() {
        assert_eq!(
            md5_of_text("This is a test message"),
            "fafb00f5732ab283681e124bf8747ed1"
        );
    }

    #[test]
    fn hashes_attributes_in_the_order_of_their_names() {
        let text = |data_type: &str, value: &str| Attribute {
            data_type: data_type.to_owned(),
            value: AttributeValue::Text(value.to_owned()),
        };
        let attributes = BTreeMap::from([
            ("b".to_owned(), text("Number", "1")),
            (
                "a".to_owned(),
                Attribute {
                    data_type: "Binary".to_owned(),
                    value: AttributeValue::Binary(vec![0, 1]),
                },
            ),
        ]);
        let expected = md5::compute(
            b"\0\0\0\x01a\0\0\0\x06Binary\x02\0\0\0\x02\0\x01\0\0\0\x01b\0\0\0\x06Number\x01\0\0\0\x011".as_slice(),
        );
        assert_eq!(md5_of_attributes(&attributes), format!("{expected:x}"));
    }

    #[test]
    fn an_id_is_a_version_4_uuid() {
        for _ in 0..100 {
            let id = new_id();
            let bytes = id.as_bytes();
            assert_eq!(
                (
                    id.len(),
                    bytes[8],
                    bytes[13],
                    bytes[14],
                    bytes[18],
                    bytes[23]
                ),
                (36, b'-', b'-', b'4', b'-', b'-')
            );
            assert!(b"89ab".contains(&bytes[19]), "{id}");
        }
    }

    #[test]
    fn a_receipt_handle_is_only_good_for_its_queue() {
        let receipt = Receipt::new("delivery", &new_id());
        assert_eq!(
            Receipt::read(&receipt.handle(), "delivery"),
            Ok(receipt.clone())
        );
        for (handle, queue) in [
            (receipt.handle().as_str(), "fraud"),
            ("nonsense", "delivery"),
            ("", "delivery"),
        ] {
            assert_eq!(
                Receipt::read(handle, queue).unwrap_err().code,
                "ReceiptHandleIsInvalid"
            );
        }
    }

    #[test]
    fn refuses_characters_that_xml_cannot_hold() {
        for allowed in ["\t\n\r ", "é😀\u{FFFD}\u{10FFFF}"] {
            assert!(has_only_allowed_characters(allowed));
        }
        for refused in ["\0", "a\u{b}", "\u{1f}", "\u{FFFE}", "\u{FFFF}"] {
            assert!(!has_only_allowed_characters(refused));
        }
    }

    #[test]
    fn contents_survive_being_stored() {
        let mut draft = Draft {
            body: "é".to_owned(),
            group_id: Some("tenant".to_owned()),
            ..Draft::default()
        };
        let value = AttributeValue::Binary(vec![0, 255]);
        draft.attributes.insert(
            "kind".to_owned(),
            Attribute {
                data_type: "Binary".to_owned(),
                value,
            },
        );
        assert_eq!(draft.bytes(), 2 + 4 + 6 + 2);
        let contents = draft.into_contents(7);
        let stored = serde_json::to_string(&contents).unwrap();
        assert_eq!(serde_json::from_str::<Contents>(&stored).unwrap(), contents);
    }
}
