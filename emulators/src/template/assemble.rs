//! Builds what each of the template's resources becomes on this machine.

use serde_json::{Value, json};

use super::functions::Scope;
use super::lambda_function::Surroundings;
use super::node::{Kind, Node, Result};
use super::resource::{
    FUNCTION, QUEUE, ROLE, Resource, SCHEDULE_GROUP, SECRET, TABLE, TOPIC, queue_of_arn, secret_arn,
};
use super::{Function, Secret, Table, Template, statements, topic};
use crate::sqs::{Queue, Redrive};

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
