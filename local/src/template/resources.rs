//! The template's resources, and what each becomes on this machine.

use serde_json::{Value, json};

use super::functions::{Attributes, Scope};
use super::lambda_function::Surroundings;
use super::node::{Kind, Node, Result};
use super::{ACCOUNT, Function, Secret, Table, Template, arn, statements, topic};
use crate::sqs::{Queue, Redrive};

const FUNCTION: &str = "AWS::Serverless::Function";
const QUEUE: &str = "AWS::SQS::Queue";
const TABLE: &str = "AWS::DynamoDB::Table";
const SECRET: &str = "AWS::SecretsManager::Secret";
const TOPIC: &str = "AWS::SNS::Topic";
pub(super) const SUBSCRIPTION: &str = "AWS::SNS::Subscription";
pub(super) const ROLE: &str = "AWS::IAM::Role";
const LOG_GROUP: &str = "AWS::Logs::LogGroup";
const HTTP_API: &str = "AWS::Serverless::HttpApi";
const SCHEDULE_GROUP: &str = "AWS::Scheduler::ScheduleGroup";

/// Types that a local system does not need.
const PASSED_OVER: [&str; 3] = ["AWS::CloudWatch::", "AWS::SNS::", "AWS::SES::"];

/// A resource as declared, with its name on this machine.
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
            SUBSCRIPTION => ("", &[]),
            ROLE => ("", &["RoleName"]),
            LOG_GROUP => ("", &["LogGroupName"]),
            HTTP_API => ("", &[]),
            SCHEDULE_GROUP => ("ScheduleGroup", &["Name"]),
            other if PASSED_OVER.iter().any(|prefix| other.starts_with(prefix)) => {
                ("", &["Name", "AlarmName", "DashboardName", "EmailIdentity"])
            }
            other => {
                return Err(type_node.problem(format!(
                    "the type {other} is not supported by the local system, which runs \
                     {FUNCTION}, {QUEUE}, {TABLE}, \
                     {SECRET}, {TOPIC}, {SUBSCRIPTION}, {SCHEDULE_GROUP}, reads the policies of \
                     {ROLE}, and passes over {LOG_GROUP}, {HTTP_API}, {}*",
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
            SCHEDULE_GROUP => (
                name.clone(),
                vec![("Arn", arn("scheduler", &format!("schedule-group/{name}")))],
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

    /// Each property is resolved when it is read, so ignored properties may contain anything.
    pub(super) fn property(&self, scope: &Scope<'_>, name: &str) -> Result<Option<Node>> {
        match self.node.get("Properties").and_then(|node| node.get(name)) {
            Some(node) => scope.resolve(node),
            None => Ok(None),
        }
    }

    pub(super) fn need(&self, scope: &Scope<'_>, name: &str) -> Result<Node> {
        self.property(scope, name)?
            .ok_or_else(|| self.node.problem(format!("the property {name} is missing")))
    }

    pub(super) fn only(&self, read: &[&str], passed_over: &[&str]) -> Result<()> {
        self.node
            .get("Properties")
            .map_or(Ok(()), |properties| properties.only(read, passed_over))
    }
}

fn table_arn(name: &str) -> String {
    arn("dynamodb", &format!("table/{name}"))
}

fn secret_arn(name: &str) -> String {
    arn("secretsmanager", &format!("secret:{name}"))
}

pub(super) fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// `ZupyCouponUsed` becomes `zupy-coupon-used`, `SESTopic` becomes `ses-topic`.
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

/// Builds the local counterpart of every resource.
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
        roles: vec![],
        schedule_groups: vec![],
    };
    for resource in declared {
        match resource.kind {
            QUEUE => template.queues.push(queue(resource, scope, declared)?),
            TABLE => template.tables.push(table(resource, scope)?),
            SECRET => template.secrets.push(secret(resource, scope)?),
            TOPIC => template.topics.push(topic::topic(resource, scope)?),
            SCHEDULE_GROUP => {
                resource.only(&["Name"], &["Tags"])?;
                template.schedule_groups.push(resource.name.clone());
            }
            ROLE => template
                .roles
                .extend(statements::of_service(resource, scope)?),
            _ => {}
        }
    }
    topic::subscribe(&mut template.topics, declared, scope)?;
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

pub(super) fn queue_of_arn(node: &Node, declared: &[Resource<'_>]) -> Result<String> {
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
        &["Name", "SecretString", "GenerateSecretString"],
        &["Description", "KmsKeyId", "Tags"],
    )?;
    let given = resource.property(scope, "SecretString")?;
    let value = match (given, resource.property(scope, "GenerateSecretString")?) {
        (Some(given), None) => given.text()?.to_owned(),
        (None, Some(settings)) => generated(&settings)?,
        (Some(_), Some(settings)) => {
            return Err(
                settings.problem("a secret has either SecretString or GenerateSecretString")
            );
        }
        (None, None) => resource.need(scope, "SecretString")?.text()?.to_owned(),
    };
    Ok(Secret {
        name: resource.name.clone(),
        arn: secret_arn(&resource.name),
        value,
    })
}

/// Letters and digits, as Secrets Manager generates a secret without punctuation.
fn generated(settings: &Node) -> Result<String> {
    settings.only(&["PasswordLength", "ExcludePunctuation"], &[])?;
    if !settings.need("ExcludePunctuation")?.flag()? {
        return Err(settings.problem("the local system generates secrets without punctuation only"));
    }
    let length = settings.need("PasswordLength")?.number(1..=4096)?;
    Ok((0..length).map(|_| fastrand::alphanumeric()).collect())
}
