//! A function of the template: its settings, its event sources, and the permissions of its role.

use std::collections::BTreeMap;

use super::functions::Scope;
use super::node::{Kind, Node, Result};
use super::resource::{Resource, queue_of_arn};
use super::{Function, QueueSource, Route, Schedule, arn, statements};
use crate::sqs::Queue;

/// The most bytes of a function's environment variables, as JSON (Lambda quotas). Addresses on AWS
/// are about as long as local addresses.
const VARIABLES_MAX_BYTES: usize = 4096;

/// The parts of the template that a function depends on.
pub(super) struct Surroundings<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) globals: Option<&'a Node>,
    pub(super) declared: &'a [Resource<'a>],
    pub(super) queues: &'a [Queue],
}

impl Surroundings<'_> {
    pub(super) fn function(&self, resource: &Resource<'_>) -> Result<Function> {
        const READ: [&str; 6] = [
            "Environment",
            "Events",
            "MemorySize",
            "Policies",
            "Role",
            "Timeout",
        ];
        const PASSED_OVER: [&str; 15] = [
            "Architectures",
            "AutoPublishAlias",
            "CodeUri",
            "DeploymentPreference",
            "Description",
            "EphemeralStorage",
            "Handler",
            "LoggingConfig",
            "PermissionsBoundary",
            "PropagateTags",
            "RecursiveLoop",
            "ReservedConcurrentExecutions",
            "Runtime",
            "Tags",
            "Tracing",
        ];
        resource.only(&READ, &PASSED_OVER)?;
        if let Some(globals) = self.globals {
            globals.only(&["Environment", "MemorySize", "Timeout"], &PASSED_OVER)?;
        }
        check_binary(resource)?;
        let mut function = Function {
            name: resource.name.clone(),
            logical_id: resource.logical_id.to_owned(),
            // Limits: Lambda quotas. Defaults: AWS::Lambda::Function.
            timeout_s: self
                .property(resource, "Timeout")?
                .map_or(Ok(3), |node| node.number(1..=900))?,
            memory_mb: self
                .property(resource, "MemorySize")?
                .map_or(Ok(128), |node| node.number(128..=10_240))?,
            environment: self.environment(resource)?,
            routes: vec![],
            sources: vec![],
            schedules: vec![],
            statements: statements::of(resource, self.scope, self.declared)?,
        };
        if let Some(events) = resource.property(self.scope, "Events")? {
            for (name, event) in events.entries()? {
                self.event(&mut function, name, event)?;
            }
        }
        self.check_sources(resource, &function)?;
        Ok(function)
    }

    /// The function's own property, or that of `Globals`.
    fn property(&self, resource: &Resource<'_>, name: &str) -> Result<Option<Node>> {
        match (resource.property(self.scope, name)?, self.globals) {
            (None, Some(globals)) => globals
                .get(name)
                .map_or(Ok(None), |node| self.scope.resolve(node)),
            (own, _) => Ok(own),
        }
    }

    fn environment(&self, resource: &Resource<'_>) -> Result<BTreeMap<String, String>> {
        let mut environment = BTreeMap::new();
        let global = self.globals.and_then(|globals| globals.get("Environment"));
        let own = resource
            .node
            .get("Properties")
            .and_then(|node| node.get("Environment"));
        for node in [global, own].into_iter().flatten() {
            let Some(node) = self.scope.resolve(node)? else {
                continue;
            };
            node.only(&["Variables"], &[])?;
            for (name, value) in node.need("Variables")?.entries()? {
                environment.insert(name.clone(), value.text()?.to_owned());
            }
        }
        let bytes = serde_json::json!(environment).to_string().len();
        if bytes > VARIABLES_MAX_BYTES {
            return Err(resource.node.problem(format!(
                "the function {} has {bytes} bytes of environment variables, and Lambda takes \
                 {VARIABLES_MAX_BYTES}: give it shorter parameters",
                resource.name
            )));
        }
        Ok(environment)
    }

    fn event(&self, function: &mut Function, name: &str, event: &Node) -> Result<()> {
        let type_node = event.need("Type")?;
        let empty = event.with(Kind::Map(vec![]));
        let properties = event.get("Properties").unwrap_or(&empty);
        match type_node.text()? {
            "HttpApi" => function.routes.push(route(properties)?),
            "SQS" => function.sources.extend(self.source(properties)?),
            "Schedule" => function
                .schedules
                .extend(schedule(name, properties, "Schedule")?),
            "ScheduleV2" => {
                function
                    .schedules
                    .extend(schedule(name, properties, "ScheduleExpression")?)
            }
            other => {
                return Err(type_node.problem(format!(
                    "the event type {other} is not supported by the local system, which reads \
                     HttpApi, SQS, Schedule and ScheduleV2"
                )));
            }
        }
        Ok(())
    }

    /// `None` for a disabled source.
    fn source(&self, properties: &Node) -> Result<Option<QueueSource>> {
        properties.only(
            &[
                "Queue",
                "BatchSize",
                "Enabled",
                "FunctionResponseTypes",
                "MaximumBatchingWindowInSeconds",
                "ScalingConfig",
            ],
            &["MetricsConfig"],
        )?;
        if let Some(enabled) = properties.get("Enabled")
            && !enabled.flag()?
        {
            return Ok(None);
        }
        let number = |name: &str, range, default| {
            properties
                .get(name)
                .map_or(Ok(default), |node| node.number(range))
        };
        let batch_size = number("BatchSize", 1..=10_000, 10)?;
        let batching_window_s = number("MaximumBatchingWindowInSeconds", 0..=300, 0)?;
        if batch_size > 10 && batching_window_s == 0 {
            return Err(properties.problem(
                "a BatchSize over 10 needs a MaximumBatchingWindowInSeconds of at least 1",
            ));
        }
        let maximum_concurrency = match properties.get("ScalingConfig") {
            Some(scaling) => {
                scaling.only(&["MaximumConcurrency"], &[])?;
                scaling.need("MaximumConcurrency")?.number(2..=1000)?
            }
            None => 10,
        };
        let mut reports_batch_item_failures = false;
        if let Some(types) = properties.get("FunctionResponseTypes") {
            for node in types.list()? {
                if node.text()? != "ReportBatchItemFailures" {
                    return Err(node.problem("must be ReportBatchItemFailures"));
                }
                reports_batch_item_failures = true;
            }
        }
        Ok(Some(QueueSource {
            queue: queue_of_arn(properties.need("Queue")?, self.declared)?,
            batch_size: batch_size as usize,
            maximum_concurrency: maximum_concurrency as usize,
            reports_batch_item_failures,
            batching_window_s,
        }))
    }

    /// Refuses event sources that Lambda refuses to create.
    fn check_sources(&self, resource: &Resource<'_>, function: &Function) -> Result<()> {
        for source in &function.sources {
            let Some(queue) = self.queues.iter().find(|queue| queue.name == source.queue) else {
                continue;
            };
            if queue.visibility_timeout_s < function.timeout_s {
                return Err(resource.node.problem(format!(
                    "the function's timeout of {} s is longer than the visibility timeout of {} s \
                     of its queue {}, which Lambda refuses",
                    function.timeout_s, queue.visibility_timeout_s, queue.name
                )));
            }
            // A role that SAM creates has these permissions already.
            if resource.property(self.scope, "Role")?.is_none() {
                continue;
            }
            let queue_arn = arn("sqs", &queue.name);
            for action in [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
            ] {
                if !function
                    .statements
                    .iter()
                    .any(|statement| statement.allows(action, &queue_arn))
                {
                    return Err(resource.node.problem(format!(
                        "the function's role does not allow {action} on {queue_arn}, which an \
                         event source needs"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The build makes one binary per function, and finds the binary by name.
fn check_binary(resource: &Resource<'_>) -> Result<()> {
    let metadata = resource.node.need("Metadata")?;
    let binary = metadata.need("BuildProperties")?.need("Binary")?;
    if binary.text()? == resource.name {
        return Ok(());
    }
    Err(binary.problem(format!(
        "must be {}, the function's logical id respelled, is {}",
        resource.name,
        binary.text()?
    )))
}

fn route(properties: &Node) -> Result<Route> {
    properties.only(
        &["Method", "Path", "PayloadFormatVersion"],
        &["ApiId", "RouteSettings", "TimeoutInMillis"],
    )?;
    if let Some(version) = properties.get("PayloadFormatVersion")
        && version.text()? != "2.0"
    {
        return Err(version.problem("only payload format \"2.0\" is supported by the local system"));
    }
    let path = properties.need("Path")?;
    if !path.text()?.starts_with('/') {
        return Err(path.problem("must start with a slash"));
    }
    Ok(Route {
        method: properties.need("Method")?.text()?.to_ascii_uppercase(),
        path: path.text()?.to_owned(),
    })
}

/// `None` for a disabled schedule.
fn schedule(name: &str, properties: &Node, expression: &str) -> Result<Option<Schedule>> {
    properties.only(
        &[expression, "Enabled", "State"],
        &[
            "Description",
            "FlexibleTimeWindow",
            "Name",
            "PermissionsBoundary",
            "RetryPolicy",
            "RoleArn",
        ],
    )?;
    if let Some(enabled) = properties.get("Enabled")
        && !enabled.flag()?
    {
        return Ok(None);
    }
    if let Some(state) = properties.get("State")
        && state.text()? == "DISABLED"
    {
        return Ok(None);
    }
    let node = properties.need(expression)?;
    let every_s = rate_s(node.text()?).ok_or_else(|| {
        node.problem(
            "only rate(number unit) with minutes, hours or days is supported by the local system",
        )
    })?;
    Ok(Some(Schedule {
        name: name.to_owned(),
        every_s,
    }))
}

fn rate_s(expression: &str) -> Option<u32> {
    let inner = expression.trim().strip_prefix("rate(")?.strip_suffix(')')?;
    let (number, unit) = inner.trim().split_once(' ')?;
    let unit_s = match unit.trim() {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    number
        .parse::<u32>()
        .ok()
        .filter(|number| *number > 0)?
        .checked_mul(unit_s)
}
