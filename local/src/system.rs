//! The whole system: reads the template, starts everything in it, and stops everything again.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::aws::{self, Aws, access_key_id};
use crate::bodies::readable;
use crate::dynamodb::DynamoDb;
use crate::faults::Faults;
use crate::kept_clock::KeptClock;
use crate::lambda::{
    Credentials, FunctionProcess, Invocation, Invoked, Lambda, LogLine, LogOutput,
};
use crate::scheduler::{Scheduled, Scheduler};
use crate::sent::{Outside, Sent};
use crate::sqs::{Counts, Sqs};
use crate::template::Template;
use crate::{event_source, game_server, gateway, lambda, page, schedule};

/// The host's address in Docker's default bridge, at which containers of `sam local invoke` find
/// the AWS endpoint.
const DOCKER_BRIDGE: &str = "172.17.0.1";

/// How often a wait for idleness checks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long a stopping system waits for requests under way. A webhook answers sooner even on a busy
/// machine.
const LINGER: Duration = Duration::from_secs(5);

pub struct Options {
    /// The path of `template.yaml`; the folder `events/` beside it holds the examples.
    pub template: PathBuf,
    /// Values for the template's parameters, which replace the local ones.
    pub parameters: BTreeMap<String, String>,
    /// The directory for queues, tables and sent messages; `None` keeps them in memory.
    pub data_dir: Option<PathBuf>,
    /// The gateway's port; 0 takes any free port.
    pub port: u16,
    /// The AWS endpoint's port; 0 takes any free port.
    pub aws_port: u16,
    /// Called with each line that a function prints.
    pub log_output: Option<LogOutput>,
}

/// A system that is ready to start: it holds its ports and has read its template.
pub struct Prepared {
    gateway: TcpListener,
    aws: TcpListener,
    bridge: Option<TcpListener>,
    template: Template,
    events: PathBuf,
    data_dir: Option<PathBuf>,
    data_lock: Option<File>,
    log_output: Option<LogOutput>,
}

/// A running system. [`System::stop`] ends its processes.
pub struct System {
    pub(crate) inner: Arc<Inner>,
    servers: JoinSet<()>,
    /// Stops the gateway and the event sources, which bring work in.
    stop: watch::Sender<bool>,
    /// Stops the AWS endpoint, which functions call until they have ended.
    stop_aws: watch::Sender<bool>,
}

/// The parts that the page and the harness read.
pub(crate) struct Inner {
    pub(crate) gateway_url: String,
    pub(crate) aws_url: String,
    pub(crate) also_listens_on: Option<String>,
    pub(crate) template: Template,
    pub(crate) examples: Vec<page::Example>,
    pub(crate) lambda: Lambda,
    pub(crate) sqs: Sqs,
    pub(crate) outside: Outside,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) scheduler: Scheduler,
    pub(crate) faults: Faults,
    pub(crate) clock: KeptClock,
    /// Locked while the system runs.
    _data_lock: Option<File>,
}

/// One run of one of a function's schedules.
#[derive(Debug, Clone)]
pub struct ScheduledRun {
    pub function: String,
    pub schedule: String,
    pub outcome: Invoked,
}

impl System {
    /// Takes the ports and reads the template, so that every obstacle to a start is found before
    /// anything is built.
    pub async fn prepare(options: Options) -> anyhow::Result<Prepared> {
        let gateway = bind(options.port, "--port").await?;
        let aws = bind(options.aws_port, "--aws-port").await?;
        let aws_url = format!("http://{}", aws.local_addr()?);
        // A system on an arbitrary free port belongs to a test, and needs no containers.
        let bridge = match options.aws_port {
            0 => None,
            port => TcpListener::bind((DOCKER_BRIDGE, port)).await.ok(),
        };
        let gateway_url = format!("http://{}", gateway.local_addr()?);
        let mut parameters = local_parameters(&aws_url, &gateway_url);
        parameters.extend(options.parameters);
        let template = Template::read(&options.template, &parameters, aws.local_addr()?.port())?;
        if let Some(directory) = &options.data_dir {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("creating the data directory {}", directory.display()))?;
        }
        let data_lock = options.data_dir.as_deref().map(lock).transpose()?;
        Ok(Prepared {
            gateway,
            aws,
            bridge,
            template,
            events: options.template.with_file_name("events"),
            data_dir: options.data_dir,
            data_lock,
            log_output: options.log_output,
        })
    }

    /// Starts one process of each function, all at once. The rest of the system already runs,
    /// because functions call it.
    async fn start_functions(
        &mut self,
        binaries: &BTreeMap<String, PathBuf>,
    ) -> anyhow::Result<()> {
        let mut starting = JoinSet::new();
        for function in &self.inner.template.functions {
            let name = &function.name;
            let binary = binaries
                .get(name)
                .with_context(|| format!("no binary was built for the function {name}"))?;
            let process = FunctionProcess {
                name: name.clone(),
                binary: binary.clone(),
                timeout: Duration::from_secs(function.timeout_s.into()),
                memory_mb: function.memory_mb,
                environment: function.environment.clone(),
                credentials: Credentials {
                    access_key_id: access_key_id(name),
                    secret_access_key: "local".into(),
                    session_token: "local".into(),
                },
            };
            let lambda = self.inner.lambda.clone();
            starting.spawn(async move { lambda.start(process).await });
        }
        while let Some(started) = starting.join_next().await {
            started.context("starting a function")??;
        }
        for function in &self.inner.template.functions {
            for source in &function.sources {
                self.servers.spawn(event_source::run(
                    source.clone(),
                    function.name.clone(),
                    self.inner.sqs.clone(),
                    self.inner.lambda.clone(),
                    self.stop.subscribe(),
                ));
            }
            for scheduled in &function.schedules {
                self.servers.spawn(schedule::run(
                    scheduled.name.clone(),
                    Duration::from_secs(scheduled.every_s.into()),
                    function.name.clone(),
                    self.inner.lambda.clone(),
                    self.inner.clock.clock(),
                    self.stop.subscribe(),
                ));
            }
        }
        Ok(())
    }

    fn open_gateway(&mut self, listener: TcpListener) {
        let routes = self.inner.template.functions.iter().flat_map(|function| {
            let name = &function.name;
            function
                .routes
                .iter()
                .map(move |route| (route.clone(), name.clone()))
        });
        let gateway = gateway::router(routes.collect(), self.inner.lambda.clone());
        let router = page::router(Arc::clone(&self.inner)).fallback_service(gateway);
        serve(&mut self.servers, listener, router, &self.stop);
    }

    /// The URL to which providers post webhooks.
    pub fn gateway_url(&self) -> &str {
        &self.inner.gateway_url
    }

    /// The URL of the AWS endpoint.
    pub fn aws_url(&self) -> &str {
        &self.inner.aws_url
    }

    /// The URL of a game's own server, which keeps all requests at or below this URL.
    pub fn game_server_url(&self) -> String {
        self.inner.game_server_url()
    }

    /// The AWS endpoint's other address, for containers.
    pub fn aws_url_for_containers(&self) -> Option<&str> {
        self.inner.also_listens_on.as_deref()
    }

    pub fn template(&self) -> &Template {
        &self.inner.template
    }

    pub fn sqs(&self) -> &Sqs {
        &self.inner.sqs
    }

    pub fn lambda(&self) -> &Lambda {
        &self.inner.lambda
    }

    /// The deliberate faults.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Runs every function's schedules now, side by side, and waits for their end.
    pub async fn run_schedules(&self) -> Vec<ScheduledRun> {
        self.inner.run_schedules(None).await
    }

    /// The time of the system's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Lets this much time pass, and returns the new time.
    ///
    /// # Errors
    ///
    /// An invocation does not end, or the data directory cannot be written.
    pub async fn advance(&self, by: Duration) -> anyhow::Result<Timestamp> {
        self.inner.advance(by).await
    }

    /// The schedules of EventBridge Scheduler, by group and name.
    pub fn schedules(&self) -> Vec<Scheduled> {
        self.inner.scheduler.all()
    }

    /// Everything that was sent outside, oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        self.inner.outside.all()
    }

    pub fn queues(&self) -> BTreeMap<String, Counts> {
        self.inner.sqs.counts()
    }

    pub fn invocations(&self) -> Vec<Invocation> {
        self.inner.lambda.recent()
    }

    pub fn logs(&self, function: &str) -> Vec<LogLine> {
        self.inner.lambda.logs(function)
    }

    /// All items of a table, as plain JSON, with the bodies of webhooks as text.
    pub async fn items(&self, table: &str) -> anyhow::Result<Vec<Value>> {
        Ok(readable(self.inner.dynamodb.scan(table).await?))
    }

    /// Waits until no function runs and no queue with a function holds a visible message. Returns
    /// false if that does not happen in time.
    pub async fn settle(&self, timeout: Duration) -> bool {
        self.inner.settle(timeout, Until::NothingToDo).await
    }

    /// Waits as [`System::settle`] does, and until no message of a queue with a function is in
    /// flight or delayed, so that every retry has ended.
    pub async fn settle_all(&self, timeout: Duration) -> bool {
        self.inner.settle(timeout, Until::NothingWaits).await
    }

    /// Stops the functions' processes and the servers.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // Accepted requests get their answers; those that take too long fail.
        let _ = tokio::time::timeout(LINGER, self.inner.lambda.idle()).await;
        self.inner.lambda.stop().await;
        self.stop_aws.send_replace(true);
        let ended = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(LINGER, ended).await.is_err() {
            self.servers.shutdown().await;
        }
    }
}

impl Prepared {
    /// The functions in the template: each is a package of the workspace with a binary of that
    /// name.
    pub fn function_names(&self) -> Vec<String> {
        let functions = self.template.functions.iter();
        functions.map(|function| function.name.clone()).collect()
    }

    /// Starts everything, with each function's binary.
    pub async fn start(self, binaries: BTreeMap<String, PathBuf>) -> anyhow::Result<System> {
        let gateway_url = format!("http://{}", self.gateway.local_addr()?);
        let aws_url = format!("http://{}", self.aws.local_addr()?);
        let data_dir = self.data_dir.as_deref();
        let kept = KeptClock::open(data_dir)?;
        let clock = kept.clock();
        let sqs = Sqs::open(data_dir)?;
        sqs.set_clock(clock.clone());
        sqs.set_base_url(&aws_url);
        for queue in &self.template.queues {
            sqs.declare(queue.clone())?;
        }
        let faults = Faults::default();
        sqs.set_faults(faults.clone());
        let tables = &self.template.tables;
        let dynamodb = DynamoDb::start(data_dir, tables, clock.clone()).await?;
        let outside = Outside::open(data_dir)?;
        let lambda = Lambda::open(lambda::Options {
            log_output: self.log_output,
            faults: faults.clone(),
            clock: clock.clone(),
            ..lambda::Options::default()
        })
        .await?;
        let aws = Aws::new(
            dynamodb.clone(),
            sqs.clone(),
            outside.clone(),
            &self.template,
            clock.now(),
        );
        let scheduler = Scheduler::open(data_dir, &self.template)?;
        let aws = aws
            .with_clock(clock)
            .with_faults(faults.clone())
            .with_lambda(lambda.clone())
            .with_scheduler(scheduler.clone());
        let aws = Arc::new(aws);

        let (stop, _) = watch::channel(false);
        let (stop_aws, _) = watch::channel(false);
        let mut servers = JoinSet::new();
        let also_listens_on = match &self.bridge {
            Some(listener) => Some(format!("http://{}", listener.local_addr()?)),
            None => None,
        };
        for listener in self.bridge.into_iter().chain([self.aws]) {
            let router = aws::router(Arc::clone(&aws));
            serve(&mut servers, listener, router, &stop_aws);
        }
        servers.spawn(Arc::clone(&aws).run_scheduler(stop.subscribe()));
        let inner = Arc::new(Inner {
            examples: page::examples(&self.events, &self.template, &gateway_url),
            gateway_url,
            aws_url,
            also_listens_on,
            template: self.template,
            lambda,
            sqs,
            outside,
            dynamodb,
            scheduler,
            faults,
            clock: kept,
            _data_lock: self.data_lock,
        });
        let mut system = System {
            inner,
            servers,
            stop,
            stop_aws,
        };
        if let Err(error) = system.start_functions(&binaries).await {
            system.stop().await;
            return Err(error);
        }
        system.open_gateway(self.gateway);
        Ok(system)
    }
}

/// What a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// No function runs, and no queue with a function holds a visible message.
    NothingToDo,
    /// In addition, no such queue holds a hidden message.
    NothingWaits,
}

impl Until {
    fn counts(self, counts: &Counts) -> bool {
        let later = counts.in_flight + counts.delayed;
        counts.visible > 0 || (self == Until::NothingWaits && later > 0)
    }
}

impl Inner {
    /// The URL is at the AWS endpoint, because functions reach that endpoint from containers too,
    /// and until they have ended.
    pub(crate) fn game_server_url(&self) -> String {
        format!("{}{}", self.aws_url, game_server::PATH)
    }

    /// Runs the schedules of one function or of all.
    pub(crate) async fn run_schedules(&self, of: Option<&str>) -> Vec<ScheduledRun> {
        let mut running = JoinSet::new();
        let functions = self.template.functions.iter();
        for function in functions.filter(|function| of.is_none_or(|of| of == function.name)) {
            for scheduled in &function.schedules {
                let (schedule, function) = (scheduled.name.clone(), function.name.clone());
                let (lambda, now) = (self.lambda.clone(), self.clock.now());
                running.spawn(async move {
                    let outcome = schedule::run_now(&schedule, &function, &lambda, now).await;
                    ScheduledRun {
                        function,
                        schedule,
                        outcome,
                    }
                });
            }
        }
        running.join_all().await
    }

    pub(crate) async fn settle(&self, timeout: Duration, until: Until) -> bool {
        let settled = async {
            while !self.is_idle(until) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(timeout, settled).await.is_ok()
    }

    /// Checks running functions both before and after waiting messages, so that a message on its
    /// way from a queue to a function is not missed.
    fn is_idle(&self, until: Until) -> bool {
        let at_rest = || self.lambda.running() == 0;
        let later = until == Until::NothingWaits;
        let nothing_is_due = || self.scheduler.is_idle(self.clock.now(), later);
        at_rest() && nothing_is_due() && !self.holds_messages(until) && at_rest()
    }

    /// A queue without a function, such as a dead-letter queue, delivers nothing.
    fn holds_messages(&self, until: Until) -> bool {
        let counts = self.sqs.counts();
        let functions = self.template.functions.iter();
        functions
            .flat_map(|function| &function.sources)
            .filter_map(|source| counts.get(&source.queue))
            .any(|counts| until.counts(counts))
    }
}

/// The values of the template's parameters on this machine.
fn local_parameters(aws_url: &str, gateway_url: &str) -> BTreeMap<String, String> {
    /// Samples have old dates, so this is ten years, and the ledger keeps events a little longer.
    const MAX_AGE_S: &str = "315360000";
    const RETENTION_DAYS: &str = "3660";
    /// A person who tries the system should not wait an hour for the report of a use without a
    /// redemption.
    const UNKNOWN_COUPON_GRACE_S: &str = "30";
    let secrets = |variable: &str, otherwise: &str| {
        std::env::var(variable)
            .ok()
            .filter(|value| !value.trim().is_empty())
            .unwrap_or_else(|| otherwise.to_owned())
    };
    let parameters = [
        (
            "AghanimWebhookSecrets",
            secrets("AGHANIM_WEBHOOK_SECRETS", "local-aghanim-secret"),
        ),
        (
            "ZupyWebhookSecrets",
            secrets("ZUPY_WEBHOOK_SECRETS", "local-zupy-secret"),
        ),
        (
            "ReportTokens",
            secrets("REPORT_TOKENS", "local-report-token"),
        ),
        ("MailFrom", "Cupons <cupons@example.com>".into()),
        ("MailIdentity", "example.com".into()),
        (
            "WhatsAppPhoneNumberId",
            "phone-number-id-0123456789abcdef0123456789abcdef".into(),
        ),
        // base64 of `local-forward-secret`
        (
            "ForwardSecrets",
            "whsec_bG9jYWwtZm9yd2FyZC1zZWNyZXQ=".into(),
        ),
        (
            "WhatsAppReminderTemplate",
            "coupon_reminder_whatsapp".into(),
        ),
        ("WhatsAppSurveyTemplate", "coupon_survey_whatsapp".into()),
        ("SurveyUrl", gateway_url.into()),
        ("SurveyLinkSecrets", "local-survey-secret".into()),
        ("MaxAgeS", MAX_AGE_S.into()),
        ("RetentionDays", RETENTION_DAYS.into()),
        // Samples with old dates are counted too.
        ("ReportDays", RETENTION_DAYS.into()),
        ("UnknownCouponGraceS", UNKNOWN_COUPON_GRACE_S.into()),
        ("AwsEndpointUrl", aws_url.into()),
    ];
    parameters
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Two systems in one directory would each see half of the events.
fn lock(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another system keeps its data in {}: choose another directory with --data",
            directory.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

async fn bind(port: u16, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| {
            format!("cannot listen on 127.0.0.1:{port}: choose another port with {option}")
        })
}

fn serve(
    servers: &mut JoinSet<()>,
    listener: TcpListener,
    router: axum::Router,
    stop: &watch::Sender<bool>,
) {
    let mut stop = stop.subscribe();
    servers.spawn(async move {
        let stopped = async move {
            // The sender is dropped only after it sent the stop.
            let _ = stop.wait_for(|stopped| *stopped).await;
        };
        let served = axum::serve(
            listener,
            router.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(stopped);
        if let Err(error) = served.await {
            tracing::error!("a server ended: {error}");
        }
    });
}

/// Finds `template.yaml` in a directory or the nearest directory above it.
pub fn find_template(from: &Path) -> anyhow::Result<PathBuf> {
    from.ancestors()
        .map(|directory| directory.join("template.yaml"))
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "there is no template.yaml in {} or above: run this within the repository, or name it with --template",
                from.display()
            )
        })
}
