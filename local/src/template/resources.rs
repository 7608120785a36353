//! Resources of the template, and what each becomes on this machine.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::functions::{Attributes, Scope};
use super::node::{Kind, Node, Result};
use super::{
    ACCOUNT, Function, QueueSource, Route, Schedule, Secret, Statement, Table, Template, Topic, arn,
};
use crate::sqs::{Queue, Redrive};

const FUNCTION: &str = "AWS::Serverless::Function";
const QUEUE: &str = "AWS::SQS::Queue";
const TABLE: &str = "AWS::DynamoDB::Table";
const SECRET: &str = "AWS::SecretsManager::Secret";
const TOPIC: &str = "AWS::SNS::Topic";
const ROLE: &str = "AWS::IAM::Role";
const LOG_GROUP: &str = "AWS::Logs::LogGroup";
const HTTP_API: &str = "AWS::Serverless::HttpApi";

/// Types that a local system does without.
const PASSED_OVER: [&str; 4] = [
    "AWS::CloudWatch::",
    "AWS::SNS::",
    "AWS::SES::",
    "AWS::Scheduler::",
];

/// A resource as declared, with the name that it has on this machine.
pub(super) struct Resource<'a> {
    pub(super) logical_id: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: String,
    pub(super) node: &'a Node,
}

impl<'a> Resource<'a> {
    /// `None` if the resource's condition does not hold.
    pub(super) fn read(
        logical_id: &'a str,
        node: &'a Node,
        scope: &Scope<'_>,
    ) -> Result<Option<Resource<'a>>> {
        if let Some(condition) = node.get("Condition")
            && !scope.condition(condition, condition.text()?, 0)?
        {
            return Ok(None);
        }
        let type_node = node.need("Type")?;
        let kind = type_node.text()?;
        let (suffix, name_properties): (&str, &[&str]) = match kind {
            FUNCTION => ("Function", &[]),
            QUEUE => ("Queue", &["QueueName"]),
            TABLE => ("Table", &["TableName"]),
            SECRET => ("", &["Name"]),
            TOPIC => ("Topic", &["TopicName"]),
            ROLE => ("", &["RoleName"]),
            LOG_GROUP => ("", &["LogGroupName"]),
            HTTP_API => ("", &[]),
            other if PASSED_OVER.iter().any(|prefix| other.starts_with(prefix)) => {
                ("", &["Name", "AlarmName", "DashboardName", "EmailIdentity"])
            }
            other => {
                return Err(type_node.problem(format!(
                    "the type {other} is not supported by the local system, which runs {FUNCTION}, {QUEUE}, {TABLE}, \
                     {SECRET}, {TOPIC}, reads the policies of {ROLE}, and passes over {LOG_GROUP}, {HTTP_API}, {}*",
                    PASSED_OVER.join("*, ")
                )));
            }
        };
        let mut resource = Resource {
            logical_id,
            kind,
            name: kebab_case(
                logical_id
                    .strip_suffix(suffix)
                    .filter(|rest| !rest.is_empty())
                    .unwrap_or(logical_id),
            ),
            node,
        };
        for property in name_properties {
            if let Some(given) = resource.property(scope, property)? {
                resource.name = given.text()?.to_owned();
                break;
            }
        }
        Ok(Some(resource))
    }

    pub(super) fn attributes(&self, aws_port: u16) -> Attributes {
        let name = &self.name;
        let (reference, attributes) = match self.kind {
            FUNCTION => (
                name.clone(),
                vec![("Arn", arn("lambda", &format!("function:{name}")))],
            ),
            QUEUE => {
                let url = format!("http://127.0.0.1:{aws_port}/{ACCOUNT}/{name}");
                let attributes = vec![
                    ("Arn", arn("sqs", name)),
                    ("QueueName", name.clone()),
                    ("QueueUrl", url.clone()),
                ];
                (url, attributes)
            }
            TABLE => (name.clone(), vec![("Arn", table_arn(name))]),
            SECRET => (secret_arn(name), vec![("Id", secret_arn(name))]),
            TOPIC => (
                arn("sns", name),
                vec![("TopicArn", arn("sns", name)), ("TopicName", name.clone())],
            ),
            ROLE => (name.clone(), vec![("Arn", role_arn(name))]),
            LOG_GROUP => (
                name.clone(),
                vec![("Arn", arn("logs", &format!("log-group:{name}:*")))],
            ),
            "AWS::CloudWatch::Alarm" => (
                name.clone(),
                vec![("Arn", arn("cloudwatch", &format!("alarm:{name}")))],
            ),
            _ => (name.clone(), vec![]),
        };
        Attributes {
            reference,
            attributes: attributes.into_iter().collect(),
        }
    }

    /// Each property is resolved when it is read, so that what is passed over need not be understood.
    fn property(&self, scope: &Scope<'_>, name: &str) -> Result<Option<Node>> {
        match self.node.get("Properties").and_then(|node| node.get(name)) {
            Some(node) => scope.resolve(node),
            None => Ok(None),
        }
    }

    fn need(&self, scope: &Scope<'_>, name: &str) -> Result<Node> {
        self.property(scope, name)?
            .ok_or_else(|| self.node.problem(format!("the property {name} is missing")))
    }

    fn only(&self, read: &[&str], passed_over: &[&str]) -> Result<()> {
        self.node
            .get("Properties")
            .map_or(Ok(()), |properties| properties.only(read, passed_over))
    }
}

pub(super) fn table_arn(name: &str) -> String {
    arn("dynamodb", &format!("table/{name}"))
}

pub(super) fn secret_arn(name: &str) -> String {
    arn("secretsmanager", &format!("secret:{name}"))
}

fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// `ZupyCouponUsed` is `zupy-coupon-used`, `SESTopic` is `ses-topic`.
fn kebab_case(logical_id: &str) -> String {
    let letters: Vec<char> = logical_id.chars().collect();
    let mut kebab = String::with_capacity(letters.len() + 4);
    for (index, letter) in letters.iter().enumerate() {
        let starts_word = letter.is_ascii_uppercase()
            && index > 0
            && (!letters[index - 1].is_ascii_uppercase()
                || letters.get(index + 1).is_some_and(char::is_ascii_lowercase));
        if starts_word {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

/// Makes of every resource what runs here.
pub(super) fn assemble(
    declared: &[Resource<'_>],
    scope: &Scope<'_>,
    globals: Option<&Node>,
) -> Result<Template> {
    let mut template = Template {
        functions: vec![],
        queues: vec![],
        tables: vec![],
        secrets: vec![],
        topics: vec![],
    };
    for resource in declared {
        match resource.kind {
            QUEUE => template.queues.push(queue(resource, scope, declared)?),
            TABLE => template.tables.push(table(resource, scope)?),
            SECRET => template.secrets.push(secret(resource, scope)?),
            TOPIC => template.topics.push(Topic {
                name: resource.name.clone(),
                arn: arn("sns", &resource.name),
            }),
            _ => {}
        }
    }
    for resource in declared.iter().filter(|resource| resource.kind == FUNCTION) {
        let surroundings = Surroundings {
            scope,
            globals,
            declared,
            queues: &template.queues,
        };
        let function = surroundings.function(resource)?;
        for route in &function.routes {
            let routes = |other: &&Function| other.routes.contains(route);
            if let Some(other) = template.functions.iter().find(routes) {
                return Err(resource.node.problem(format!(
                    "{} {} is a route of {} already",
                    route.method, route.path, other.logical_id
                )));
            }
        }
        template.functions.push(function);
    }
    Ok(template)
}

fn queue(resource: &Resource<'_>, scope: &Scope<'_>, declared: &[Resource<'_>]) -> Result<Queue> {
    resource.only(
        &[
            "QueueName",
            "VisibilityTimeout",
            "MessageRetentionPeriod",
            "DelaySeconds",
            "RedrivePolicy",
        ],
        &[
            "KmsMasterKeyId",
            "KmsDataKeyReusePeriodSeconds",
            "SqsManagedSseEnabled",
            "ReceiveMessageWaitTimeSeconds",
            "RedriveAllowPolicy",
            "Tags",
        ],
    )?;
    // Limits and defaults: SQS API reference, SetQueueAttributes.
    let seconds = |property, range, default| {
        let node = resource.property(scope, property)?;
        node.map_or(Ok(default), |node| node.number(range))
    };
    let redrive = match resource.property(scope, "RedrivePolicy")? {
        Some(policy) => {
            policy.only(&["deadLetterTargetArn", "maxReceiveCount"], &[])?;
            let target = policy.need("deadLetterTargetArn")?;
            Some(Redrive {
                dead_letter_queue: queue_of_arn(target, declared)?,
                max_receive_count: policy.need("maxReceiveCount")?.number(1..=1000)?,
            })
        }
        None => None,
    };
    Ok(Queue {
        name: resource.name.clone(),
        visibility_timeout_s: seconds("VisibilityTimeout", 0..=43_200, 30)?,
        retention_s: seconds("MessageRetentionPeriod", 60..=1_209_600, 345_600)?,
        delay_s: seconds("DelaySeconds", 0..=900, 0)?,
        redrive,
    })
}

fn queue_of_arn(node: &Node, declared: &[Resource<'_>]) -> Result<String> {
    let text = node.text()?;
    declared
        .iter()
        .find(|resource| resource.kind == QUEUE && arn("sqs", &resource.name) == text)
        .map(|resource| resource.name.clone())
        .ok_or_else(|| node.problem(format!("{text} is not the ARN of a queue of this template")))
}

fn table(resource: &Resource<'_>, scope: &Scope<'_>) -> Result<Table> {
    resource.only(
        &[
            "TableName",
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
            "TimeToLiveSpecification",
        ],
        &[
            "BillingMode",
            "ProvisionedThroughput",
            "OnDemandThroughput",
            "PointInTimeRecoverySpecification",
            "SSESpecification",
            "DeletionProtectionEnabled",
            "TableClass",
            "ContributorInsightsSpecification",
            "Tags",
        ],
    )?;
    let mut create = json!({
        "TableName": resource.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": json_of(&resource.need(scope, "AttributeDefinitions")?),
        "KeySchema": json_of(&resource.need(scope, "KeySchema")?),
    });
    if let Some(indexes) = resource.property(scope, "GlobalSecondaryIndexes")? {
        let mut converted = Vec::new();
        for index in indexes.list()? {
            index.only(
                &["IndexName", "KeySchema", "Projection"],
                &["ProvisionedThroughput", "OnDemandThroughput"],
            )?;
            converted.push(json!({
                "IndexName": json_of(index.need("IndexName")?),
                "KeySchema": json_of(index.need("KeySchema")?),
                "Projection": json_of(index.need("Projection")?),
            }));
        }
        create["GlobalSecondaryIndexes"] = Value::Array(converted);
    }
    let mut ttl_attribute = None;
    if let Some(ttl) = resource.property(scope, "TimeToLiveSpecification")?
        && ttl.need("Enabled")?.flag()?
    {
        ttl_attribute = Some(ttl.need("AttributeName")?.text()?.to_owned());
    }
    Ok(Table {
        name: resource.name.clone(),
        create,
        ttl_attribute,
    })
}

fn json_of(node: &Node) -> Value {
    match &node.kind {
        Kind::Text(text) => Value::String(text.clone()),
        Kind::List(items) => items.iter().map(json_of).collect(),
        Kind::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), json_of(value)))
            .collect(),
        Kind::Null | Kind::Call { .. } => Value::Null,
    }
}

fn secret(resource: &Resource<'_>, scope: &Scope<'_>) -> Result<Secret> {
    resource.only(
        &["Name", "SecretString"],
        &["Description", "KmsKeyId", "Tags"],
    )?;
    Ok(Secret {
        name: resource.name.clone(),
        arn: secret_arn(&resource.name),
        value: resource.need(scope, "SecretString")?.text()?.to_owned(),
    })
}

/// What a function is made from besides itself.
struct Surroundings<'a> {
    scope: &'a Scope<'a>,
    globals: Option<&'a Node>,
    declared: &'a [Resource<'a>],
    queues: &'a [Queue],
}

impl Surroundings<'_> {
    fn function(&self, resource: &Resource<'_>) -> Result<Function> {
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
            statements: self.statements(resource)?,
        };
        if let Some(events) = resource.property(self.scope, "Events")? {
            for (name, event) in events.entries()? {
                self.event(&mut function, name, event)?;
            }
        }
        self.check_sources(resource, &function)?;
        Ok(function)
    }

    /// The function's own property, or else the one of `Globals`.
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
                    "the event type {other} is not supported by the local system, which reads HttpApi, SQS, Schedule and ScheduleV2"
                )));
            }
        }
        Ok(())
    }

    /// `None` for a source that is switched off.
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

    /// Lambda refuses to create these event sources, so they are refused here.
    fn check_sources(&self, resource: &Resource<'_>, function: &Function) -> Result<()> {
        for source in &function.sources {
            let Some(queue) = self.queues.iter().find(|queue| queue.name == source.queue) else {
                continue;
            };
            if queue.visibility_timeout_s < function.timeout_s {
                return Err(resource.node.problem(format!(
                    "the function's timeout of {} s is longer than the visibility timeout of {} s of its queue {}, which Lambda refuses",
                    function.timeout_s, queue.visibility_timeout_s, queue.name
                )));
            }
            // A role that SAM makes gets these by itself.
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
                        "the function's role does not allow {action} on {queue_arn}, which it needs to be fed from that queue"
                    )));
                }
            }
        }
        Ok(())
    }

    fn statements(&self, resource: &Resource<'_>) -> Result<Vec<Statement>> {
        let policies = resource.property(self.scope, "Policies")?;
        match (resource.property(self.scope, "Role")?, policies) {
            (Some(_), Some(policies)) => Err(policies
                .problem("a function with a Role takes no Policies: SAM would pass over them")),
            (Some(role), None) => self.statements_of_role(&role),
            (None, Some(policies)) => {
                let mut statements = Vec::new();
                for policy in policies.one_or_more() {
                    match &policy.kind {
                        Kind::Map(_) => {
                            policy.only(&["Statement"], &["Version"])?;
                            statements_of(policy, &mut statements)?;
                        }
                        _ => check_managed_policy(policy)?,
                    }
                }
                Ok(statements)
            }
            (None, None) => Ok(vec![]),
        }
    }

    fn statements_of_role(&self, reference: &Node) -> Result<Vec<Statement>> {
        let text = reference.text()?;
        let role = self
            .declared
            .iter()
            .find(|resource| resource.kind == ROLE && role_arn(&resource.name) == text)
            .ok_or_else(|| {
                reference.problem(format!("{text} is not the ARN of a role of this template"))
            })?;
        role.only(
            &["Policies", "ManagedPolicyArns", "RoleName"],
            &[
                "AssumeRolePolicyDocument",
                "Description",
                "MaxSessionDuration",
                "Path",
                "PermissionsBoundary",
                "Tags",
            ],
        )?;
        if let Some(managed) = role.property(self.scope, "ManagedPolicyArns")? {
            managed.list()?.iter().try_for_each(check_managed_policy)?;
        }
        let mut statements = Vec::new();
        if let Some(policies) = role.property(self.scope, "Policies")? {
            for policy in policies.list()? {
                let document = policy.need("PolicyDocument")?;
                document.only(&["Statement"], &["Version"])?;
                statements_of(document, &mut statements)?;
            }
        }
        Ok(statements)
    }
}

/// The build makes one binary a function, found by name.
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

/// `None` for a schedule that is switched off.
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

/// AWS's own policies that grant nothing which the local system would refuse.
fn check_managed_policy(policy: &Node) -> Result<()> {
    const HARMLESS: [&str; 2] = ["AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess"];
    let name = policy.text()?;
    if HARMLESS
        .iter()
        .any(|known| name.rsplit('/').next() == Some(known))
    {
        return Ok(());
    }
    Err(policy.problem(format!(
        "the managed policy {name} is not supported by the local system, which knows {} and statements written out",
        HARMLESS.join(", ")
    )))
}

fn statements_of(document: &Node, statements: &mut Vec<Statement>) -> Result<()> {
    for statement in document.need("Statement")?.one_or_more() {
        statement.only(&["Action", "Effect", "Resource"], &["Sid"])?;
        let effect = statement.need("Effect")?;
        if effect.text()? != "Allow" {
            return Err(effect.problem("only Allow is supported by the local system"));
        }
        let texts = |key| -> Result<Vec<String>> {
            let node = statement.need(key)?;
            node.one_or_more()
                .iter()
                .map(|node| Ok(node.text()?.to_owned()))
                .collect()
        };
        statements.push(Statement {
            actions: texts("Action")?,
            resources: texts("Resource")?,
        });
    }
    Ok(())
}
