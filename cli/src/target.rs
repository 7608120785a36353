//! The system that a command works on: the one on this machine, or a deployed one.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_sqs::config::ProvideCredentials;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http::Method;
use serde_json::Value;
use webhooks::config::{Aws, CallLimits};
use webhooks::dispatch::{WORK, WorkQueue};
use webhooks::ledger::Item;

use crate::http::{Client, parse_url, refused};
use crate::stack::{self, Resource};

/// The default ports of a local system.
pub(crate) const PORT: u16 = 3000;
pub(crate) const AWS_PORT: u16 = 4566;

/// A person waits, perhaps at a great distance from the region.
const LIMITS: CallLimits = CallLimits {
    attempt: Duration::from_secs(10),
    call: Duration::from_secs(40),
    attempts: 4,
};

/// How the names of dead-letter queues end.
pub(crate) const DEAD_LETTER: &str = "-dead-letter";

/// The same, if schedules call the queue.
const SCHEDULE_DEAD_LETTER: &str = "-schedule-dead-letter";

// Clap's own group is skipped, because its name would equal that of each command's arguments.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Port of the gateway of the system on this machine [default: 3000]
    #[arg(long, value_name = "PORT", help_heading = "System")]
    #[arg(conflicts_with_all = ["stack", "deployed"])]
    pub(crate) port: Option<u16>,
    /// Port of its AWS endpoint [default: 4566; with --port, the gateway's answer]
    #[arg(long, value_name = "PORT", help_heading = "System")]
    #[arg(conflicts_with_all = ["stack", "deployed"])]
    pub(crate) aws_port: Option<u16>,
    /// A deployed stack, reached with the credentials and the region of the environment or of a
    /// profile
    #[arg(long, value_name = "NAME", help_heading = "System")]
    #[arg(conflicts_with = "deployed")]
    stack: Option<String>,
    /// A deployed system; the environment names its tables and queues: EVENTS_TABLE, MEMBERS_TABLE,
    /// STOCK_TABLE, FIGURES_TABLE, WORK_QUEUE_URL, and queues such as DELIVERY_QUEUE_URL for their
    /// dead letters
    #[arg(long, help_heading = "System")]
    deployed: bool,
}

impl Arguments {
    /// Whether the arguments name a deployed system.
    pub(crate) fn is_deployed(&self) -> bool {
        self.deployed || self.stack.is_some()
    }

    /// The value of the system's parameter `TimeZone`. `None` if the command cannot ask the system,
    /// since the caller names only its tables or its AWS endpoint.
    pub(crate) async fn time_zone(&self) -> anyhow::Result<Option<String>> {
        if let Some(stack) = &self.stack {
            let zone = stack::parameter(&deployed_config().await?, stack, "TimeZone").await;
            return zone.with_context(|| {
                format!(
                    "asking for the parameter TimeZone of the stack {stack}; the variable \
                     TIME_ZONE would replace it"
                )
            });
        }
        let gateway = match (self.deployed, self.port, self.aws_port) {
            (false, Some(port), _) => endpoint_at(port),
            (false, None, None) => endpoint_at(PORT),
            _ => return Ok(None),
        };
        // Without a port of the caller's, another program may listen on the gateway's default port.
        let state = state_of(&gateway).await.unwrap_or_default();
        let is_meant = self.port.is_some() || state["aws"] == endpoint_at(AWS_PORT);
        let zone = state["time_zone"].as_str().filter(|_| is_meant);
        Ok(zone.map(str::to_owned))
    }

    /// Takes these arguments, or the others where these are absent.
    pub(crate) fn or(self, others: Self) -> Self {
        let says_something = self.port.or(self.aws_port).is_some() || self.stack.is_some();
        match says_something || self.deployed {
            true => self,
            false => others,
        }
    }
}

/// A system, and the names of its tables and queues.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    place: Place,
    names: Names,
}

#[derive(Debug, Clone)]
enum Place {
    Local { endpoint: String },
    Stack(String),
    Environment,
}

/// The names of the system's tables and queues on AWS, by the template's names: `events`,
/// `delivery`, `delivery-dead-letter`.
#[derive(Debug, Default, PartialEq)]
struct Names {
    tables: BTreeMap<String, String>,
    /// The URLs of the queues.
    queues: BTreeMap<String, String>,
}

/// A dead-letter queue, and the queue that it serves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeadLetterQueue {
    pub(crate) name: String,
    pub(crate) url: String,
    /// The name of the queue that its messages came from.
    pub(crate) source: String,
    pub(crate) source_url: String,
    /// EventBridge Scheduler sends messages here that it could not send to the source.
    pub(crate) is_of_schedules: bool,
}

impl Target {
    pub(crate) async fn connect(arguments: &Arguments) -> anyhow::Result<Self> {
        if let Some(stack) = &arguments.stack {
            let config = deployed_config().await?;
            let place = Place::Stack(stack.clone());
            let resources = stack::resources(&config, stack).await;
            let resources = resources.with_context(|| format!("looking up {place}"))?;
            let names = Names::of_stack(&resources);
            return Ok(Self::new(&config, place, names));
        }
        if arguments.deployed {
            let names = Names::of_environment(std::env::vars());
            return Ok(Self::new(
                &deployed_config().await?,
                Place::Environment,
                names,
            ));
        }
        Self::local(local_endpoint(arguments).await?).await
    }

    /// The system on this machine with this AWS endpoint.
    pub(crate) async fn local(endpoint: String) -> anyhow::Result<Self> {
        let config = Aws::local(&endpoint).sdk_config(LIMITS);
        let place = Place::Local { endpoint };
        let tables = ["events", "members", "stock", "figures"]
            .map(|name| (name.to_owned(), name.to_owned()));
        let names = Names {
            tables: BTreeMap::from(tables),
            queues: BTreeMap::new(),
        };
        let mut target = Self::new(&config, place, names);
        target.names.queues = target.listed_queues().await?;
        Ok(target)
    }

    fn new(config: &SdkConfig, place: Place, names: Names) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            place,
            names,
        }
    }

    /// Whether the system is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.place, Place::Local { .. })
    }

    pub(crate) fn table(&self, name: &str) -> anyhow::Result<&str> {
        let table = self.names.tables.get(name).map(String::as_str);
        table.with_context(|| match self.place {
            Place::Environment => {
                let variable = name.to_ascii_uppercase();
                format!("{variable}_TABLE is not set: it names the table `{name}`")
            }
            _ => format!("{} has no table `{name}`", self.place),
        })
    }

    /// The queue that an event's tasks begin at.
    pub(crate) fn work_queue(&self) -> anyhow::Result<WorkQueue> {
        let url = self.names.queues.get(WORK);
        let url = url.with_context(|| match self.place {
            Place::Environment => {
                format!("WORK_QUEUE_URL is not set: it names the queue `{WORK}`")
            }
            _ => format!("{} has no queue `{WORK}`", self.place),
        })?;
        Ok(WorkQueue::new(self.sqs.clone(), url))
    }

    /// The dead-letter queue with this name, or the one of the queue with this name. Without a
    /// name, all dead-letter queues.
    pub(crate) async fn dead_letter_queues(
        &self,
        named: Option<&str>,
    ) -> anyhow::Result<Vec<DeadLetterQueue>> {
        let mut found = Vec::new();
        for (source, source_url) in &self.names.queues {
            if source.ends_with(DEAD_LETTER) {
                continue;
            }
            let name = format!("{source}{DEAD_LETTER}");
            let url = match self.names.queues.get(&name) {
                Some(url) => Some(url.clone()),
                None => self.redriven_to(source, source_url).await?,
            };
            found.extend(url.map(|url| DeadLetterQueue {
                name,
                url,
                source: source.clone(),
                source_url: source_url.clone(),
                is_of_schedules: false,
            }));
            let name = format!("{source}{SCHEDULE_DEAD_LETTER}");
            found.extend(self.names.queues.get(&name).map(|url| DeadLetterQueue {
                name: name.clone(),
                url: url.clone(),
                source: source.clone(),
                source_url: source_url.clone(),
                is_of_schedules: true,
            }));
        }
        let Some(named) = named else {
            return Ok(found);
        };
        let known: Vec<_> = found.iter().map(|queue| queue.source.clone()).collect();
        found.retain(|queue| queue.is_called(named));
        if found.is_empty() {
            let known = match known.as_slice() {
                [] => "no queue that has a dead-letter queue".to_owned(),
                _ => format!("the queues {}", known.join(", ")),
            };
            bail!("{} has no queue `{named}`; it has {known}", self.place);
        }
        Ok(found)
    }

    /// The URL of a queue's dead-letter queue.
    async fn redriven_to(&self, name: &str, url: &str) -> anyhow::Result<Option<String>> {
        let policy = self
            .queue_attribute(name, url, QueueAttributeName::RedrivePolicy)
            .await?;
        let policy: Value = match policy {
            Some(policy) => serde_json::from_str(&policy)
                .with_context(|| format!("reading the redrive policy of {name}"))?,
            None => return Ok(None),
        };
        let arn = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
        let [queue, account, ..] = arn.rsplitn(3, ':').collect::<Vec<_>>()[..] else {
            bail!("the redrive policy of {name} names {arn:?}, which is no ARN");
        };
        let found = self
            .sqs
            .get_queue_url()
            .queue_name(queue)
            .queue_owner_aws_account_id(account)
            .send()
            .await
            .map_err(|error| self.explain(error))
            .with_context(|| format!("looking up the queue {queue}"))?;
        Ok(found.queue_url)
    }

    pub(crate) async fn queue_attribute(
        &self,
        name: &str,
        url: &str,
        attribute: QueueAttributeName,
    ) -> anyhow::Result<Option<String>> {
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(attribute.clone())
            .send()
            .await
            .map_err(|error| self.explain(error))
            .with_context(|| format!("looking at the queue {name}"))?;
        Ok(answer
            .attributes
            .and_then(|mut attributes| attributes.remove(&attribute)))
    }

    /// Every queue of a local system, by its name.
    async fn listed_queues(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let pages = self.sqs.list_queues().max_results(1000).into_paginator();
        let urls: Vec<String> = pages
            .items()
            .send()
            .try_collect()
            .await
            .map_err(|error| self.explain(error))?;
        Ok(urls
            .into_iter()
            .filter_map(|url| Some((url.rsplit_once('/')?.1.to_owned(), url)))
            .collect())
    }

    /// All rows that a scan with a filter returns. The scan reads the whole table.
    pub(crate) async fn scan_all(
        &self,
        name: &str,
        narrow: impl FnOnce(ScanFluentBuilder) -> ScanFluentBuilder,
    ) -> anyhow::Result<Vec<Item>> {
        let table = self.table(name)?;
        let scan = narrow(self.dynamodb.scan().table_name(table));
        let items = scan.into_paginator().items().send().try_collect().await;
        items
            .map_err(|error| self.explain(error))
            .with_context(|| format!("reading the table {table}"))
    }

    /// Explains an error: what AWS answered, or why it did not answer.
    pub(crate) fn explain<E, R>(&self, error: SdkError<E, R>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: Debug + Send + Sync + 'static,
    {
        let Place::Local { endpoint } = &self.place else {
            return said(error);
        };
        if refused(&error) {
            return anyhow!(
                "nothing listens on {endpoint}: start the system with `cargo run` in another \
                 terminal, or give its \
                 ports with --port and --aws-port"
            );
        }
        // AWS gives each of its errors a code.
        if error.raw_response().is_some() && error.code().is_none() {
            return anyhow!(
                "{endpoint} is not the AWS endpoint of a local system; give its port with \
                 --aws-port"
            );
        }
        said(error)
    }
}

impl DeadLetterQueue {
    /// Whether this is the queue's own name, its source's name, or its name on AWS. A queue of
    /// schedules goes by its own name alone, with or without the ending.
    fn is_called(&self, name: &str) -> bool {
        let on_aws = |url: &str| url == name || url.rsplit('/').next() == Some(name);
        if self.is_of_schedules {
            let short = self.name.strip_suffix(DEAD_LETTER);
            return self.name == name || short == Some(name) || on_aws(&self.url);
        }
        self.source == name || self.name == name || on_aws(&self.url) || on_aws(&self.source_url)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Local { endpoint } => write!(f, "the local system at {endpoint}"),
            Place::Stack(stack) => write!(f, "the stack {stack}"),
            Place::Environment => f.write_str("the system that the environment names"),
        }
    }
}

impl Names {
    /// `EVENTS_TABLE` names the table `events`, `DELIVERY_QUEUE_URL` the queue `delivery`.
    fn of_environment(variables: impl Iterator<Item = (String, String)>) -> Self {
        let mut names = Self::default();
        let respelled = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        for (variable, value) in variables {
            let value = value.trim().to_owned();
            if value.is_empty() {
                continue;
            }
            if let Some(name) = variable.strip_suffix("_TABLE") {
                names.tables.insert(respelled(name), value);
            } else if let Some(name) = variable.strip_suffix("_QUEUE_URL") {
                names.queues.insert(respelled(name), value);
            }
        }
        names
    }

    /// The table `EventsTable` is `events`, the queue `DeliveryQueue` is `delivery`.
    fn of_stack(resources: &[Resource]) -> Self {
        let mut names = Self::default();
        for resource in resources {
            let (names, suffix) = match resource.kind.as_str() {
                "AWS::DynamoDB::Table" => (&mut names.tables, "Table"),
                "AWS::SQS::Queue" => (&mut names.queues, "Queue"),
                _ => continue,
            };
            let id = &resource.logical_id;
            let name = kebab(id.strip_suffix(suffix).unwrap_or(id));
            names.insert(name, resource.physical_id.clone());
        }
        names
    }
}

/// `DeliveryDeadLetter` as `delivery-dead-letter`.
fn kebab(pascal: &str) -> String {
    let mut kebab = String::new();
    for character in pascal.chars() {
        if character.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(character.to_ascii_lowercase());
    }
    kebab
}

/// The AWS endpoint of the system on this machine. If the caller gives another port, the command
/// asks its gateway.
async fn local_endpoint(arguments: &Arguments) -> anyhow::Result<String> {
    match (arguments.port, arguments.aws_port) {
        (Some(port), None) => endpoint_behind(&format!("http://127.0.0.1:{port}")).await,
        (_, aws_port) => Ok(endpoint_at(aws_port.unwrap_or(AWS_PORT))),
    }
}

pub(crate) fn endpoint_at(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Asks a gateway for its system's AWS endpoint.
pub(crate) async fn endpoint_behind(gateway: &str) -> anyhow::Result<String> {
    let state = state_of(gateway).await?;
    let endpoint = state["aws"].as_str().map(str::to_owned);
    endpoint.with_context(|| {
        format!(
            "{gateway} is not the gateway of a local system; give its AWS endpoint with --aws-port"
        )
    })
}

/// What a local system's gateway shows of it; null if the gateway belongs to no such system.
async fn state_of(gateway: &str) -> anyhow::Result<Value> {
    let url = parse_url(&format!("{gateway}/_local/state"))?;
    let answer = Client::of(&url)?.ask(Method::GET, &url).await?;
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// A person's machine may trust extra authorities, so the client reads the machine's certificates.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The account that the environment or a profile gives access to.
async fn deployed_config() -> anyhow::Result<SdkConfig> {
    let timeouts = LIMITS
        .timeouts()
        .to_builder()
        .connect_timeout(Duration::from_secs(5))
        .build();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(timeouts)
        .retry_config(LIMITS.retries())
        .load()
        .await;
    if config.region().is_none() {
        bail!("no AWS region: set AWS_REGION, or AWS_PROFILE to a profile that has one");
    }
    let provider = config
        .credentials_provider()
        .context("no AWS credentials are configured")?;
    provider.provide_credentials().await.context(
        "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a \
         profile that has \
         them; after `aws sso login`, run `eval \"$(aws configure export-credentials --format \
         env)\"` first",
    )?;
    Ok(config)
}

fn said<E, R>(error: SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => anyhow!("{code}: {message}"),
        (Some(code), None) => anyhow!("{code}"),
        _ => anyhow!(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tables: &[(&str, &str)], queues: &[(&str, &str)]) -> Names {
        let owned = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        Names {
            tables: owned(tables),
            queues: owned(queues),
        }
    }

    #[test]
    fn the_environment_names_tables_and_queues() {
        let variables = [
            ("EVENTS_TABLE", " coupons-EventsTable-1 "),
            ("MEMBERS_TABLE", ""),
            ("DELIVERY_QUEUE_URL", "https://sqs/1/delivery"),
            (
                "DELIVERY_DEAD_LETTER_QUEUE_URL",
                "https://sqs/1/delivery-dead",
            ),
            ("PATH", "/bin"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = names(
            &[("events", "coupons-EventsTable-1")],
            &[
                ("delivery", "https://sqs/1/delivery"),
                ("delivery-dead-letter", "https://sqs/1/delivery-dead"),
            ],
        );
        assert_eq!(Names::of_environment(variables.into_iter()), expected);
    }

    #[test]
    fn a_stacks_resources_are_known_by_the_templates_names() {
        let resources = [
            ("AWS::DynamoDB::Table", "EventsTable", "c-EventsTable-1"),
            ("AWS::SQS::Queue", "DeliveryQueue", "https://sqs/1/d"),
            (
                "AWS::SQS::Queue",
                "DeliveryDeadLetterQueue",
                "https://sqs/1/dd",
            ),
            ("AWS::Lambda::Function", "DeliveryFunction", "f"),
        ];
        let resources = resources.map(|(kind, logical_id, physical_id)| Resource {
            kind: kind.into(),
            logical_id: logical_id.into(),
            physical_id: physical_id.into(),
        });
        let expected = names(
            &[("events", "c-EventsTable-1")],
            &[
                ("delivery", "https://sqs/1/d"),
                ("delivery-dead-letter", "https://sqs/1/dd"),
            ],
        );
        assert_eq!(Names::of_stack(&resources), expected);
    }

    #[test]
    fn a_dead_letter_queue_has_several_names() {
        let queue = DeadLetterQueue {
            name: "delivery-dead-letter".into(),
            url: "https://sqs/1/coupons-DeliveryDeadLetterQueue-9".into(),
            source: "delivery".into(),
            source_url: "https://sqs/1/coupons-DeliveryQueue-8".into(),
            is_of_schedules: false,
        };
        for name in [
            "delivery",
            "delivery-dead-letter",
            "coupons-DeliveryDeadLetterQueue-9",
            "coupons-DeliveryQueue-8",
        ] {
            assert!(queue.is_called(name), "{name}");
        }
        assert!(!queue.is_called("deliver"));
        let of_schedules = DeadLetterQueue {
            name: "delivery-schedule-dead-letter".into(),
            url: "https://sqs/1/coupons-DeliveryScheduleDeadLetterQueue-7".into(),
            is_of_schedules: true,
            ..queue
        };
        for name in [
            "delivery-schedule",
            "delivery-schedule-dead-letter",
            "coupons-DeliveryScheduleDeadLetterQueue-7",
        ] {
            assert!(of_schedules.is_called(name), "{name}");
        }
        assert!(!of_schedules.is_called("delivery"));
    }
}
