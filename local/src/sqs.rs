//! Queues as SQS keeps them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::AwsError;

/// A queue as the template declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub name: String,
    pub visibility_timeout_s: u32,
    pub retention_s: u32,
    pub delay_s: u32,
    pub redrive: Option<Redrive>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    pub dead_letter_queue: String,
    pub max_receive_count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub visible: usize,
    pub in_flight: usize,
    pub delayed: usize,
}

/// A received message, in the fields of a Lambda SQS event record.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
    pub md5_of_body: String,
    pub attributes: BTreeMap<String, String>,
    /// `{name: {stringValue, dataType, ...}}`
    pub message_attributes: Value,
}

#[derive(Debug, Clone)]
pub struct Sqs {}

impl Sqs {
    pub fn open(_data_dir: Option<&Path>) -> anyhow::Result<Sqs> {
        todo!()
    }
    pub fn set_base_url(&self, _url: &str) {
        todo!()
    }
    pub fn declare(&self, _queue: Queue) -> anyhow::Result<()> {
        todo!()
    }
    pub async fn handle(&self, _operation: &str, _body: &Value) -> Result<Value, AwsError> {
        todo!()
    }
    pub async fn receive(&self, _queue: &str, _max: usize, _wait: Duration) -> Vec<Received> {
        todo!()
    }
    pub fn delete(&self, _queue: &str, _receipt_handle: &str) {
        todo!()
    }
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        todo!()
    }
    pub fn deliver_twice(&self, _queue: &str, _count: u32) {
        todo!()
    }
}
