//! Which permissions a call needs, and how each service reports a missing permission.

use serde_json::Value;

use crate::AwsError;
use crate::scheduler;
use crate::service::Service;
use crate::ses::bare_address;
use crate::social_messaging::phone_number_arn;
use crate::template::{ACCOUNT, Statement, arn};

/// An action on any one of these resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed {
    action: String,
    resources: Vec<String>,
    /// Values that a statement's conditions can refer to.
    context: Vec<(&'static str, String)>,
}

/// The permissions that the call needs, by the services' authorization references.
pub(super) fn needed(service: Service, operation: &str, body: &Value) -> Vec<Needed> {
    match service {
        Service::DynamoDb => dynamodb(operation, body),
        Service::Sqs => {
            // The permission for a single entry also covers a batch.
            let action = operation.strip_suffix("Batch").unwrap_or(operation);
            let queue = ["QueueUrl", "QueueName", "SourceArn"]
                .iter()
                .find_map(|key| body.get(key)?.as_str());
            let resource = queue.map_or("*".into(), |queue| {
                let name = queue.rsplit(['/', ':']).next().unwrap_or(queue);
                arn("sqs", name)
            });
            vec![one("sqs", action, resource)]
        }
        Service::SecretsManager => {
            let id = ["SecretId", "Name"]
                .iter()
                .find_map(|key| body.get(key)?.as_str());
            let resource = id.map_or("*".into(), |id| {
                if id.starts_with("arn:") {
                    id.to_owned()
                } else {
                    arn("secretsmanager", &format!("secret:{id}"))
                }
            });
            vec![one("secretsmanager", operation, resource)]
        }
        Service::Ses => ses(operation, body),
        Service::Sns => {
            // A phone number has no ARN, and is the resource itself.
            let resource = ["TopicArn", "TargetArn", "PhoneNumber"]
                .iter()
                .find_map(|key| body.get(key)?.as_str());
            vec![one("SNS", operation, resource.unwrap_or("*").to_owned())]
        }
        Service::SocialMessaging => {
            let id = body.get("originationPhoneNumberId").and_then(Value::as_str);
            let resource = id.map_or("*".into(), phone_number_arn);
            vec![one("social-messaging", operation, resource)]
        }
        Service::Scheduler => scheduler(operation, body),
        // AWS does not take part in this call.
        Service::GameServer => vec![],
    }
}

fn dynamodb(operation: &str, body: &Value) -> Vec<Needed> {
    let items = body.get("TransactItems").and_then(Value::as_array);
    match operation {
        "TransactWriteItems" | "TransactGetItems" => items
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flatten()
            .map(|(kind, item)| {
                let action = match kind.as_str() {
                    "ConditionCheck" => "ConditionCheckItem".to_owned(),
                    kind => format!("{kind}Item"),
                };
                one("dynamodb", &action, table(item))
            })
            .collect(),
        "BatchGetItem" | "BatchWriteItem" => body
            .get("RequestItems")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, _)| one("dynamodb", operation, table_arn(name)))
            .collect(),
        _ => {
            let index = body.get("IndexName").and_then(Value::as_str);
            let resource = match index {
                Some(index) => format!("{}/index/{index}", table(body)),
                None => table(body),
            };
            vec![one("dynamodb", operation, resource)]
        }
    }
}

fn table(request: &Value) -> String {
    let name = request.get("TableName").and_then(Value::as_str);
    name.map_or("*".into(), table_arn)
}

/// A request may also name a table by its ARN.
fn table_arn(name: &str) -> String {
    if name.starts_with("arn:") {
        name.to_owned()
    } else {
        arn("dynamodb", &format!("table/{name}"))
    }
}

/// The schedule itself, and the role that the caller passes for its target.
fn scheduler(operation: &str, body: &Value) -> Vec<Needed> {
    let resource = match operation {
        "ListSchedules" => "*".to_owned(),
        _ => scheduler::resource(body),
    };
    let mut needs = vec![one("scheduler", operation, resource)];
    if let Some(role_arn) = body["Target"]["RoleArn"].as_str() {
        let mut pass = one("iam", "PassRole", role_arn.to_owned());
        let service = scheduler::PRINCIPAL.to_owned();
        pass.context.push(("iam:PassedToService", service));
        needs.push(pass);
    }
    needs
}

/// The sender's address or its domain, whichever is verified, and the configuration set, if the
/// request names one.
fn ses(operation: &str, body: &Value) -> Vec<Needed> {
    let from = body.get("FromEmailAddress").and_then(Value::as_str);
    let address = from.map_or("", bare_address);
    let domain = address.rsplit('@').next().unwrap_or(address);
    let identity = |name: &str| arn("ses", &format!("identity/{name}"));
    let mut needs = vec![Needed {
        action: format!("ses:{operation}"),
        resources: vec![identity(address), identity(domain)],
        context: vec![],
    }];
    if let Some(set) = body.get("ConfigurationSetName").and_then(Value::as_str) {
        let resource = arn("ses", &format!("configuration-set/{set}"));
        needs.push(one("ses", operation, resource));
    }
    for need in &mut needs {
        need.context.push(("ses:FromAddress", address.to_owned()));
    }
    needs
}

fn one(service: &str, action: &str, resource: String) -> Needed {
    Needed {
        action: format!("{service}:{action}"),
        resources: vec![resource],
        context: vec![],
    }
}

pub(super) fn first_refused<'a>(
    statements: &[Statement],
    needs: &'a [Needed],
) -> Option<&'a Needed> {
    needs.iter().find(|need| {
        let context = need.context.iter();
        let context: Vec<_> = context.map(|(key, value)| (*key, value.as_str())).collect();
        !need.resources.iter().any(|resource| {
            let mut statements = statements.iter();
            statements.any(|it| it.allows_when(&need.action, resource, &context))
        })
    })
}

pub(super) fn access_denied(service: Service, function: &str, refused: &Needed) -> AwsError {
    let user = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{function}");
    let Needed {
        action, resources, ..
    } = refused;
    let resource = resources.first().map_or("*", String::as_str);
    let (status, code) = match service {
        Service::DynamoDb | Service::SecretsManager => (400, "AccessDeniedException"),
        Service::Sqs
        | Service::Ses
        | Service::SocialMessaging
        | Service::Scheduler
        | Service::GameServer => (403, "AccessDeniedException"),
        Service::Sns => (403, "AuthorizationError"),
    };
    let message = match service {
        Service::Ses => format!(
            "User `{user}' is not authorized to perform `{action}' on resource `{resource}'"
        ),
        _ => format!(
            "User: {user} is not authorized to perform: {action} on resource: {resource} because \
             no identity-based policy \
             allows the {action} action"
        ),
    };
    AwsError {
        status,
        code: code.into(),
        message,
        query_code: (service == Service::Sqs).then_some("AccessDenied"),
    }
}
