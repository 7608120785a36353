//! The system in one process and in simulated time: the emulators, the functions, and Lambda's work
//! for them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{anyhow, ensure};
use axum::body::{Bytes, to_bytes};
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulators::clock::Clock;
use emulators::dynamodb::DynamoDb;
use emulators::endpoint::Aws;
use emulators::event_source;
use emulators::faults::Faults;
use emulators::lambda::{Failure, Status};
use emulators::scheduler::Scheduler;
use emulators::secrets_manager::SecretsManager;
use emulators::sent::{Outside, Sent};
use emulators::sqs::{Received, Sqs};
use emulators::template::{QueueSource, Template};
use jiff::Timestamp;
use local::bodies::readable;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use webhooks::config::{self, CallLimits};
use webhooks::stock::Stock;

use crate::history::{History, Process};
use crate::network::Network;
use crate::process::Functions;

/// When every simulation begins.
const BEGINS_AT: &str = "2026-11-22T12:00:00Z";

const LONG_POLL: Duration = Duration::from_secs(20);

/// How many batches of one queue run at the same time: enough for conflicts.
const BATCHES_AT_ONCE: usize = 3;

/// How long a provider waits for an answer (Zupy: 10 s).
const PROVIDER_WAITS: Duration = Duration::from_secs(10);

/// The threshold of a product without its own.
pub(crate) const THRESHOLD: i64 = 5;

/// Zupy's companies, each with the secret that it signs with.
pub(crate) const COMPANIES: [(&str, &str); 2] =
    [("comp_sul", "segredo-sul"), ("comp_norte", "segredo-norte")];
pub(crate) const AGHANIM_SECRET: &str = "aghanim-secret";

/// The secret that signs the links of surveys.
pub(crate) const SURVEY_SECRET: &str = "survey-secret";

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) history: History,
    pub(crate) faults: Faults,
    pub(crate) sqs: Sqs,
    pub(crate) functions: Functions,
    template: Template,
    secrets: SecretsManager,
    dynamodb: DynamoDb,
    outside: Outside,
    scheduler: Scheduler,
    /// Event sources and schedules.
    _running: JoinSet<()>,
    /// EventBridge Scheduler runs as long as this lives.
    _stop: watch::Sender<bool>,
}

impl World {
    /// Starts everything that the template wires. The runtime's time must be paused.
    pub(crate) fn start(seed: u64, random: &mut fastrand::Rng) -> anyhow::Result<Self> {
        let template = template()?.clone();
        let clock = Clock::simulated(BEGINS_AT.parse()?);
        let history = History::new(clock.clone());
        let faults = Faults::default();
        let sqs = Sqs::open(None)?;
        sqs.set_clock(clock.clone());
        sqs.set_faults(faults.clone());
        for queue in &template.queues {
            sqs.declare(queue.clone())?;
        }
        let dynamodb = DynamoDb::without_server(&template.tables)?;
        let outside = Outside::open(None)?;
        let aws = Aws::new(
            dynamodb.clone(),
            sqs.clone(),
            outside.clone(),
            &template,
            clock.now(),
        );
        let secrets = aws.secrets.clone();
        let scheduler = aws.scheduler.clone();
        let aws = Arc::new(aws.with_faults(faults.clone()).with_clock(clock.clone()));
        let functions = Functions::new(
            &template.functions,
            Arc::clone(&aws),
            clock.clone(),
            history.clone(),
            seed,
            random.fork(),
        );
        let mut running = run(&template, &sqs, &functions);
        let (stop, stopped) = watch::channel(false);
        running.spawn(aws.run_scheduler(stopped));
        Ok(Self {
            _running: running,
            _stop: stop,
            scheduler,
            clock,
            history,
            faults,
            sqs,
            functions,
            template,
            secrets,
            dynamodb,
            outside,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Posts a webhook as API Gateway does, in one of its formats. Returns `None` if there is no
    /// answer in time.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
        format: Format,
    ) -> Option<(u16, Value)> {
        let routed = |function: &&emulators::template::Function| {
            function.routes.iter().any(|route| route.path == path)
        };
        let function = self.template.functions.iter().find(routed)?.name.clone();
        let event = format.event(headers, body).to_string();
        let functions = self.functions.clone();
        // As on AWS, the function continues if the client disconnects.
        let invoked = tokio::spawn(async move { functions.invoke(&function, event).await });
        let invoked = tokio::time::timeout(PROVIDER_WAITS, invoked).await.ok()?;
        let answer: Value = match invoked {
            Ok(Ok(answer)) => serde_json::from_str(&answer).ok()?,
            _ => return Some((500, Value::Null)),
        };
        let status = answer["statusCode"].as_u64()?;
        let body = serde_json::from_str(answer["body"].as_str()?).ok()?;
        Some((u16::try_from(status).ok()?, body))
    }

    /// Rotates Zupy's secrets, as an operator does.
    pub(crate) fn rotate(&self, secrets: &str) -> anyhow::Result<()> {
        let secret = self
            .template
            .secrets
            .iter()
            .find(|it| it.name.contains("zupy"));
        let secret = secret.map(|it| it.name.as_str()).unwrap_or_default();
        let body = json!({"SecretId": secret, "SecretString": secrets});
        self.secrets
            .handle("PutSecretValue", &body, self.now())
            .map_err(|error| anyhow::anyhow!(error.message))?;
        Ok(())
    }

    pub(crate) async fn items(&self, table: &str) -> anyhow::Result<Vec<Value>> {
        Ok(readable(self.dynamodb.scan(table).await?))
    }

    /// Calls DynamoDB without faults.
    pub(crate) async fn ask(&self, operation: &str, body: Value) -> anyhow::Result<Value> {
        let headers = HeaderMap::new();
        let asked = Bytes::from(body.to_string());
        let answer = self.dynamodb.answer(operation, &headers, asked).await;
        let answer = answer.map_err(|error| anyhow!("{operation}: {}", error.message))?;
        let status = answer.status();
        let answer = to_bytes(answer.into_body(), usize::MAX).await?;
        ensure!(status.is_success(), "{operation} of {body}: {answer:?}");
        Ok(serde_json::from_slice(&answer)?)
    }

    pub(crate) async fn put(&self, table: &str, item: Value) -> anyhow::Result<()> {
        let put = json!({"TableName": table, "Item": item});
        self.ask("PutItem", put).await.map(|_| ())
    }

    /// Deletes some of the rows past their `ttl`. DynamoDB deletes late, and in any order.
    pub(crate) async fn sweep(&self, random: &mut fastrand::Rng) -> anyhow::Result<()> {
        let now = self.now().as_second();
        for (table, partition) in [("events", "coupon"), ("members", "member")] {
            let mut rows = self.items(table).await?;
            rows.sort_by_key(|row| (row[partition].to_string(), row["entry"].to_string()));
            for row in rows {
                let is_forgotten = row["ttl"].as_i64().is_some_and(|ttl| ttl <= now);
                if is_forgotten && random.bool() {
                    let key =
                        json!({partition: {"S": row[partition]}, "entry": {"S": row["entry"]}});
                    let delete = json!({"TableName": table, "Key": key});
                    self.ask("DeleteItem", delete).await?;
                }
            }
        }
        Ok(())
    }

    /// The stock for an operator; its calls meet no fault.
    pub(crate) fn stock(&self) -> Stock {
        let aws = Aws::new(
            self.dynamodb.clone(),
            self.sqs.clone(),
            self.outside.clone(),
            &self.template,
            self.now(),
        );
        let operator = Process {
            function: "operator".into(),
            number: 0,
        };
        let random = fastrand::Rng::with_seed(0);
        let network = Network::new(Arc::new(aws), operator, self.history.clone(), random);
        let config = config::Aws::local("http://aws").over(network.client());
        let client = aws_sdk_dynamodb::Client::new(&config.sdk_config(CallLimits::TASK));
        Stock::new(client, "stock", "events", THRESHOLD.into())
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.outside.all()
    }

    /// Whether the system is idle: no function runs, and no queue with a function holds a message.
    pub(crate) fn is_idle(&self) -> bool {
        let counts = self.sqs.counts();
        let sources = self.template.functions.iter().flat_map(|it| &it.sources);
        let mut waiting = sources.map(|source| {
            let counts = &counts[&source.queue];
            counts.visible + counts.in_flight + counts.delayed
        });
        waiting.all(|messages| messages == 0)
            && self.functions.running() == 0
            && self.scheduler.all().is_empty()
    }

    /// Whether no event's tasks wait for the outbox.
    pub(crate) async fn outbox_is_empty(&self) -> bool {
        let events = self.items("events").await;
        events.is_ok_and(|rows| rows.iter().all(|row| row["outbox"].is_null()))
    }

    /// Redrives dead letters of processes that died too often, as an operator does: in this world
    /// processes die by chance. Returns how many messages that were.
    pub(crate) async fn redrive_killed(&self) -> usize {
        let mut redriven = 0;
        for (queue, letters) in self.dead_letters().await {
            let source = queue.trim_end_matches("-dead-letter");
            for letter in letters {
                let reason = letter.message_attributes["Reason"]["stringValue"].as_str();
                let handle = letter.receipt_handle;
                let mut calls = Vec::new();
                if reason.is_some_and(|it| it.starts_with("its process died")) {
                    let message = json!({"QueueUrl": source, "MessageBody": letter.body});
                    let done = json!({"QueueUrl": queue, "ReceiptHandle": handle});
                    calls.extend([("SendMessage", message), ("DeleteMessage", done)]);
                    redriven += 1;
                } else {
                    let shown = json!({
                        "QueueUrl": queue, "ReceiptHandle": handle, "VisibilityTimeout": 0,
                    });
                    calls.push(("ChangeMessageVisibility", shown));
                }
                for (operation, call) in calls {
                    let done = self.sqs.handle(operation, &call).await;
                    done.expect("what SQS takes");
                }
            }
        }
        redriven
    }

    /// The messages of the dead-letter queues, by queue.
    pub(crate) async fn dead_letters(&self) -> BTreeMap<String, Vec<Received>> {
        let mut dead = BTreeMap::new();
        for queue in &self.template.queues {
            if queue.name.ends_with("-dead-letter") {
                let letters = self.sqs.receive(&queue.name, 100, Duration::ZERO).await;
                dead.insert(queue.name.clone(), letters);
            }
        }
        dead
    }
}

/// Reads the template once for all simulations. A story that read it itself would continue with
/// other random numbers than a story that found it read.
pub(crate) fn read_template() -> anyhow::Result<()> {
    template().map(|_| ())
}

fn template() -> anyhow::Result<&'static Template> {
    static TEMPLATE: OnceLock<Result<Template, String>> = OnceLock::new();
    let read = || {
        // The reader makes the secrets that the template asks for. They must be the same in each
        // process.
        fastrand::seed(0);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("template.yaml");
        let zupy: Vec<_> = COMPANIES
            .iter()
            .map(|(name, secret)| format!("{name}={secret}"))
            .collect();
        let parameters = [
            ("AghanimWebhookSecrets", AGHANIM_SECRET.to_owned()),
            ("ZupyWebhookSecrets", zupy.join(",")),
            ("MailFrom", "cupons@example.com".into()),
            (
                "WhatsAppPhoneNumberId",
                "phone-number-id-0123456789abcdef0123456789abcdef".into(),
            ),
            ("WhatsAppReminderTemplate", "coupon_reminder".into()),
            ("Grant", "on".into()),
            (
                "ForwardUrl",
                format!("http://127.0.0.1{}", emulators::game_server::PATH),
            ),
            ("ForwardSecrets", "whsec_c2VncmVkbw==".into()),
            ("MailIdentity", "example.com".into()),
            // Longer than the trouble, but not longer than necessary.
            ("UnknownCouponGraceS", "400".into()),
            // Surveys are due during the trouble, and after it.
            ("SurveyDelayS", "200".into()),
            ("SurveyQuietHours", "off".into()),
            ("SurveyUrl", "https://cupons.example.com".into()),
            ("SurveyLinkSecrets", SURVEY_SECRET.into()),
            ("SurveyAlerts", "on".into()),
            ("WhatsAppSurveyTemplate", "coupon_survey".into()),
            ("AwsEndpointUrl", "http://aws".into()),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        Template::read(&path, &parameters.into(), 4566).map_err(|error| format!("{error:#}"))
    };
    let template = TEMPLATE.get_or_init(read).as_ref();
    template.map_err(|error| anyhow::anyhow!(error.clone()))
}

/// The format in which API Gateway passes a request on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    V1,
    V2,
    V2Base64,
}

impl Format {
    fn event(self, headers: &[(String, String)], body: &[u8]) -> Value {
        let text = String::from_utf8_lossy(body);
        let one: BTreeMap<_, _> = headers.iter().cloned().collect();
        match self {
            Format::V1 => {
                let all: BTreeMap<_, _> = headers
                    .iter()
                    .map(|(name, value)| (name, [value]))
                    .collect();
                json!({
                    "httpMethod": "POST", "headers": one, "multiValueHeaders": all, "body": text,
                    "isBase64Encoded": false, "requestContext": {"httpMethod": "POST"},
                })
            }
            Format::V2 => json!({
                "version": "2.0", "headers": one, "body": text, "isBase64Encoded": false,
                "requestContext": {"http": {"method": "POST"}},
            }),
            Format::V2Base64 => json!({
                "version": "2.0", "headers": one, "body": STANDARD.encode(body),
                "isBase64Encoded": true, "requestContext": {"http": {"method": "POST"}},
            }),
        }
    }
}

/// Runs the event sources and the schedules.
fn run(template: &Template, sqs: &Sqs, functions: &Functions) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for function in &template.functions {
        for source in &function.sources {
            running.spawn(poll(
                source.clone(),
                function.name.clone(),
                sqs.clone(),
                functions.clone(),
            ));
        }
        for schedule in &function.schedules {
            let every = Duration::from_secs(schedule.every_s.into());
            let (name, functions) = (function.name.clone(), functions.clone());
            running.spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    // A failure is in the history, and the next minute follows.
                    let _ = functions.invoke(&name, "{}".into()).await;
                }
            });
        }
    }
    running
}

/// Lambda's event source mapping.
async fn poll(source: QueueSource, function: String, sqs: Sqs, functions: Functions) {
    let free = Arc::new(Semaphore::new(BATCHES_AT_ONCE));
    let mut batches = JoinSet::new();
    loop {
        let permit = Arc::clone(&free).acquire_owned().await;
        let batch = sqs
            .receive(&source.queue, source.batch_size, LONG_POLL)
            .await;
        if batch.is_empty() {
            continue;
        }
        let (source, function) = (source.clone(), function.clone());
        let (sqs, functions) = (sqs.clone(), functions.clone());
        batches.spawn(async move {
            for (payload, messages) in event_source::events(&source.queue, batch) {
                let invoked = functions.invoke(&function, payload).await;
                settle(&source, &sqs, invoked, &messages);
            }
            drop(permit);
        });
        while batches.try_join_next().is_some() {}
    }
}

/// Deletes processed messages; SQS delivers the others again.
fn settle(source: &QueueSource, sqs: &Sqs, invoked: anyhow::Result<String>, messages: &[Received]) {
    let ids: BTreeSet<_> = messages.iter().map(|it| it.message_id.as_str()).collect();
    let invoked = invoked.map(Bytes::from).map_err(|error| Failure {
        status: Status::Crashed,
        error_type: "Runtime.ExitError".into(),
        message: format!("{error:#}"),
    });
    let failed = event_source::failed(&invoked, source.reports_batch_item_failures, &ids);
    let Ok(failed) = failed else { return };
    for message in messages {
        if !failed.contains(&message.message_id) {
            sqs.delete(&source.queue, &message.receipt_handle);
        }
    }
}
