//! `template.yaml`, read as CloudFormation and SAM would deploy it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::sqs::Queue;

#[derive(Debug, Clone)]
pub struct Template {
    pub functions: Vec<Function>,
    pub queues: Vec<Queue>,
    pub tables: Vec<Table>,
    pub secrets: Vec<Secret>,
}

#[derive(Debug, Clone)]
pub struct Function {
    /// Kebab-case; the binary's name too.
    pub name: String,
    pub logical_id: String,
    pub timeout_s: u32,
    pub memory_mb: u32,
    pub environment: BTreeMap<String, String>,
    pub routes: Vec<Route>,
    pub sources: Vec<QueueSource>,
    pub statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: String,
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSource {
    pub queue: String,
    pub batch_size: usize,
    pub maximum_concurrency: usize,
    pub reports_batch_item_failures: bool,
    pub batching_window_s: u32,
}

/// What a function's role allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub actions: Vec<String>,
    pub resources: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    /// A CreateTable request.
    pub create: Value,
    pub ttl_attribute: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Secret {
    pub name: String,
    pub arn: String,
    pub value: String,
}

impl Template {
    pub fn read(
        _path: &Path,
        _parameters: &BTreeMap<String, String>,
        _aws_port: u16,
    ) -> anyhow::Result<Template> {
        todo!()
    }
}
