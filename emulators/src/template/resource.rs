//! A resource of the template: its type, its name on this machine, and what others can refer to.

use super::functions::{Attributes, Scope};
use super::node::{Node, Result};
use super::{ACCOUNT, arn};

pub(super) const FUNCTION: &str = "AWS::Serverless::Function";
pub(super) const QUEUE: &str = "AWS::SQS::Queue";
pub(super) const TABLE: &str = "AWS::DynamoDB::Table";
pub(super) const SECRET: &str = "AWS::SecretsManager::Secret";
pub(super) const TOPIC: &str = "AWS::SNS::Topic";
pub(super) const SUBSCRIPTION: &str = "AWS::SNS::Subscription";
pub(super) const ROLE: &str = "AWS::IAM::Role";
const LOG_GROUP: &str = "AWS::Logs::LogGroup";
const HTTP_API: &str = "AWS::Serverless::HttpApi";
pub(super) const SCHEDULE_GROUP: &str = "AWS::Scheduler::ScheduleGroup";

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

    /// Reading a property resolves it, so ignored properties may contain anything.
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

pub(super) fn secret_arn(name: &str) -> String {
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

pub(super) fn queue_of_arn(node: &Node, declared: &[Resource<'_>]) -> Result<String> {
    let text = node.text()?;
    declared
        .iter()
        .find(|resource| resource.kind == QUEUE && arn("sqs", &resource.name) == text)
        .map(|resource| resource.name.clone())
        .ok_or_else(|| node.problem(format!("{text} is not the ARN of a queue of this template")))
}
