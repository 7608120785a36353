//! The whole system: reads the template, starts everything in it, and stops everything again.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use emulators::dynamodb::DynamoDb;
use emulators::endpoint::{self, Aws, access_key_id};
use emulators::faults::Faults;
use emulators::lambda::{Credentials, FunctionProcess, Invocation, Lambda, LogLine, LogOutput};
use emulators::scheduler::{Scheduled, Scheduler};
use emulators::sent::{Outside, Sent};
use emulators::sqs::{Counts, Sqs};
use emulators::template::Template;
use emulators::{event_source, gateway, lambda, schedule};
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bodies::readable;
use crate::kept_clock::KeptClock;
use crate::parameters::local_parameters;
use crate::running::{Inner, Until};

pub use crate::running::ScheduledRun;
use crate::{examples, page};

/// The host's address in Docker's default bridge, at which containers of `sam local invoke` find
/// the AWS endpoint.
const DOCKER_BRIDGE: &str = "172.17.0.1";

/// How long a stopping system waits for requests under way. A webhook answers sooner even on a busy
/// machine.
const LINGER: Duration = Duration::from_secs(5);

pub struct Options {
    /// The path of `template.yaml`; the folder `events/` next to it holds the examples.
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

impl System {
    /// Takes the ports and reads the template, so that every obstacle to a start shows before the
    /// build.
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
                .with_context(|| format!("the build made no binary for the function {name}"))?;
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
    /// An invocation does not end, or writing to the data directory fails.
    pub async fn advance(&self, by: Duration) -> anyhow::Result<Timestamp> {
        self.inner.advance(by).await
    }

    /// The schedules of EventBridge Scheduler, by group and name.
    pub fn schedules(&self) -> Vec<Scheduled> {
        self.inner.scheduler.all()
    }

    /// Every message sent outside, oldest first.
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
            ahead_variable: Some(domain::environment::AHEAD_MS),
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
            let router = endpoint::router(Arc::clone(&aws));
            serve(&mut servers, listener, router, &stop_aws);
        }
        servers.spawn(Arc::clone(&aws).run_scheduler(stop.subscribe()));
        let inner = Arc::new(Inner {
            examples: examples::examples(&self.events, &self.template, &gateway_url),
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
            // The sender ends only after it has sent the stop.
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
