//! Reads `template.yaml` as CloudFormation and SAM would deploy it.
//!
//! The module refuses everything that it cannot read as AWS would, with its line and path. A
//! template with two meanings would be worse than none.

mod assemble;
mod functions;
mod lambda_function;
mod node;
mod parameters;
mod resource;
mod statements;
mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::sqs::Queue;
use functions::Scope;
use node::Result;
use resource::Resource;

/// The region and the account of every resource on this machine.
pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "000000000000";

#[derive(Debug, Clone)]
pub struct Template {
    pub functions: Vec<Function>,
    pub queues: Vec<Queue>,
    pub tables: Vec<Table>,
    pub secrets: Vec<Secret>,
    pub topics: Vec<Topic>,
    /// The roles that others than functions have.
    pub roles: Vec<Role>,
    pub schedule_groups: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Function {
    /// Kebab-case; also the binary's name.
    pub name: String,
    pub logical_id: String,
    pub timeout_s: u32,
    pub memory_mb: u32,
    pub environment: BTreeMap<String, String>,
    pub routes: Vec<Route>,
    pub sources: Vec<QueueSource>,
    pub schedules: Vec<Schedule>,
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

/// `rate(...)`: the interval of the function's invocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    pub every_s: u32,
}

/// A role that a service takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub arn: String,
    /// The services that may take it on, such as `scheduler.amazonaws.com`.
    pub trusted: Vec<String>,
    pub statements: Vec<Statement>,
}

impl Role {
    pub fn trusts(&self, principal: &str) -> bool {
        self.trusted.iter().any(|trusted| trusted == principal)
    }
}

/// A permission of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub actions: Vec<String>,
    pub resources: Resources,
    pub conditions: Vec<Condition>,
}

/// A condition key of a request, such as `ses:FromAddress`, and patterns (`StringLike`); the key's
/// value must match one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub key: String,
    pub patterns: Vec<String>,
}

/// The resources of a statement, as patterns with IAM's wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resources {
    /// `Resource`.
    These(Vec<String>),
    /// `NotResource`: every resource that matches none of the patterns. If the patterns match all
    /// topics, phone numbers remain.
    AllBut(Vec<String>),
}

impl Statement {
    /// Whether this statement allows `action` (`sqs:SendMessage`) on `resource` with IAM's
    /// wildcards `*` and `?`, for any other contents of the request. `resource` is an ARN, or the
    /// phone number that gets an SMS.
    pub fn allows(&self, action: &str, resource: &str) -> bool {
        self.allows_when(action, resource, &[])
    }

    /// Like [`Self::allows`], for a request with these condition keys. A key that the request lacks
    /// meets no condition.
    pub fn allows_when(&self, action: &str, resource: &str, context: &[(&str, &str)]) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions
            .iter()
            .any(|pattern| matches(pattern.to_ascii_lowercase().as_bytes(), action.as_bytes()))
            && self.resources.include(resource)
            && self
                .conditions
                .iter()
                .all(|condition| condition.is_met(context))
    }
}

impl Condition {
    fn is_met(&self, context: &[(&str, &str)]) -> bool {
        context
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(&self.key))
            .any(|(_, value)| {
                let mut patterns = self.patterns.iter();
                patterns.any(|pattern| matches(pattern.as_bytes(), value.as_bytes()))
            })
    }
}

impl Resources {
    fn include(&self, resource: &str) -> bool {
        let is_one_of = |patterns: &[String]| {
            patterns
                .iter()
                .any(|pattern| matches(pattern.as_bytes(), resource.as_bytes()))
        };
        match self {
            Resources::These(patterns) => is_one_of(patterns),
            Resources::AllBut(patterns) => !is_one_of(patterns),
        }
    }
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        Some((expected, rest)) => text.split_first().is_some_and(|(actual, text)| {
            (*expected == b'?' || expected == actual) && matches(rest, text)
        }),
    }
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub arn: String,
    pub display_name: Option<String>,
    pub subscriptions: Vec<Subscription>,
}

/// A subscriber of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// `email`, `sms`, `https` and others.
    pub protocol: String,
    pub endpoint: String,
}

impl Template {
    /// Reads the template with these values for its parameters. Queue URLs point to an AWS endpoint
    /// on `aws_port`.
    pub fn read(
        path: &Path,
        parameters: &BTreeMap<String, String>,
        aws_port: u16,
    ) -> anyhow::Result<Template> {
        let source = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the template {}", path.display()))?;
        parse(&source, parameters, aws_port).map_err(|problem| {
            anyhow!(
                "{}:{}: {}: {}",
                path.display(),
                problem.line,
                problem.path,
                problem.message
            )
        })
    }
}

fn parse(source: &str, given: &BTreeMap<String, String>, aws_port: u16) -> Result<Template> {
    let document = node::parse(source)?;
    document.only(
        &[
            "Parameters",
            "Conditions",
            "Globals",
            "Resources",
            "Transform",
        ],
        &[
            "AWSTemplateFormatVersion",
            "Description",
            "Metadata",
            "Outputs",
        ],
    )?;
    if let Some(transform) = document.get("Transform") {
        for name in transform.one_or_more() {
            if name.text()? != "AWS::Serverless-2016-10-31" {
                return Err(name.problem(format!(
                    "the transform {} is not supported by the local system, which reads \
                     AWS::Serverless-2016-10-31",
                    name.text()?
                )));
            }
        }
    }
    let mut scope = Scope {
        parameters: parameters::values(document.get("Parameters"), given)?,
        ..Scope::default()
    };
    if let Some(conditions) = document.get("Conditions") {
        scope.conditions = conditions
            .entries()?
            .iter()
            .map(|(name, node)| (name.as_str(), node))
            .collect();
    }
    let mut declared = Vec::new();
    for (logical_id, node) in document.need("Resources")?.entries()? {
        declared.extend(Resource::read(logical_id, node, &scope)?);
    }
    refuse_shared_names(&declared)?;
    // Reads names first, because they cannot refer to other resources, but everything else can
    // refer to names.
    for resource in &declared {
        scope
            .resources
            .insert(resource.logical_id, resource.attributes(aws_port));
    }
    let globals = document.get("Globals");
    if let Some(globals) = globals {
        globals.only(&["Function"], &["HttpApi"])?;
    }
    let globals = globals.and_then(|globals| globals.get("Function"));
    assemble::assemble(&declared, &scope, globals)
}

fn refuse_shared_names(declared: &[Resource<'_>]) -> Result<()> {
    let mut names = BTreeSet::new();
    for resource in declared {
        if !names.insert((resource.kind, &resource.name)) {
            return Err(resource.node.problem(format!(
                "another resource of type {} is named {} on this machine too: give one of them a \
                 name",
                resource.kind, resource.name
            )));
        }
    }
    Ok(())
}

/// The ARN of a resource in this account.
pub(crate) fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

#[cfg(test)]
mod tests;
