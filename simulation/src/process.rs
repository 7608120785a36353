//! The functions' processes: the same handlers as on AWS, in this process. Such a process can die
//! at any await.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use analytics::Analytics;
use anyhow::{Context as _, bail};
use aws_lambda_events::event::sqs::SqsEvent;
use delivery::Delivery;
use emulators::clock::Clock;
use emulators::endpoint::{Aws, access_key_id};
use emulators::template::Function;
use fraud::Fraud;
use futures_util::future::BoxFuture;
use inventory::Inventory;
use questionnaire::SurveyStore;
use serde_json::value::RawValue;
use surveys::Surveys;
use tokio::sync::watch;
use webhooks::audit::Auditor;
use webhooks::config::{self, CallLimits, Environment};
use webhooks::dispatch::{Dispatch, WORK};
use webhooks::invocation::Invocation;
use webhooks::outbox::Outbox;
use webhooks::provider::Provider;
use webhooks::provider::aghanim::Aghanim;
use webhooks::provider::zupy::Zupy;
use webhooks::receiver::Receiver;
use webhooks::retry::Retry;
use webhooks::webhook::Webhook;
use webhooks::worker::{BatchWork, Queue, Work, Worker, from_ledger};

use crate::form;
use crate::history::{History, Process};
use crate::network::Network;

/// Answers one invocation. Event and answer are JSON.
type Handler =
    Arc<dyn Fn(String, Invocation) -> BoxFuture<'static, anyhow::Result<String>> + Send + Sync>;

/// A killed process dies at one of its first awaits; this is their number.
const AWAITS_MAX: u32 = 120;

/// The same, for an operator's command, which is shorter.
const COMMAND_AWAITS_MAX: u32 = 40;

/// An audit stops to read this long before its invocation ends.
const AUDIT_MARGIN: Duration = Duration::from_secs(60);

/// The longest time for which an invocation of the audit reads pages of rows.
const AUDIT_READS_MAX: Duration = Duration::from_millis(200);

/// All functions of the template; clones share them.
#[derive(Clone)]
pub(crate) struct Functions {
    inner: Arc<Inner>,
}

struct Inner {
    functions: BTreeMap<String, Function>,
    aws: Arc<Aws>,
    clock: Clock,
    history: History,
    seed: u64,
    state: Mutex<State>,
    running: watch::Sender<usize>,
}

struct State {
    /// Idle processes, by function.
    idle: BTreeMap<String, Vec<(Process, Handler)>>,
    last_process: u64,
    random: fastrand::Rng,
    /// The share of invocations that end with the death of their process.
    kill_rate: f64,
}

impl Functions {
    pub(crate) fn new(
        functions: &[Function],
        aws: Arc<Aws>,
        clock: Clock,
        history: History,
        seed: u64,
        random: fastrand::Rng,
    ) -> Self {
        let functions = functions.iter();
        let inner = Inner {
            functions: functions
                .map(|function| (function.name.clone(), function.clone()))
                .collect(),
            aws,
            clock,
            history,
            seed,
            state: Mutex::new(State {
                idle: BTreeMap::new(),
                last_process: 0,
                random,
                kill_rate: 0.0,
            }),
            running: watch::Sender::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn kill(&self, rate: f64) {
        self.lock().kill_rate = rate;
    }

    pub(crate) fn running(&self) -> usize {
        *self.inner.running.borrow()
    }

    /// Invokes a function in an idle process, or in a new one.
    pub(crate) async fn invoke(&self, function: &str, payload: String) -> anyhow::Result<String> {
        let inner = &self.inner;
        let function = inner.functions.get(function).context("no such function")?;
        let (warm, process, killed_at) = self.lock().choose(&function.name);
        inner.running.send_modify(|running| *running += 1);
        let run = self.run(function, process.clone(), warm, payload);
        let outcome = Mortal::new(Box::pin(run), killed_at).await;
        inner.running.send_modify(|running| *running -= 1);
        let Some(outcome) = outcome else {
            inner.history.killed(&process);
            bail!("{process} was killed");
        };
        let (handler, answer) = outcome?;
        let mut state = self.lock();
        let idle = state.idle.entry(function.name.clone()).or_default();
        idle.push((process, handler));
        answer
    }

    async fn run(
        &self,
        function: &Function,
        process: Process,
        warm: Option<Handler>,
        payload: String,
    ) -> anyhow::Result<(Handler, anyhow::Result<String>)> {
        let inner = &self.inner;
        let handler = match warm {
            Some(handler) => handler,
            None => self
                .start(function, &process)
                .await
                .inspect_err(|error| inner.history.remark(format!("{process}: {error:#}")))?,
        };
        let time = self.time_of(function);
        let now = inner.clock.now();
        let answer = handler(payload, Invocation::new(now, now + time));
        let Ok(answer) = tokio::time::timeout(time, answer).await else {
            inner.history.killed(&process);
            bail!("{process} took longer than {} s", time.as_secs());
        };
        Ok((handler, answer))
    }

    /// How long an invocation of the function may take. A story's table is so small that the audit
    /// reads it at once. As if the table were large, an invocation of the audit begins just before
    /// it must stop.
    fn time_of(&self, function: &Function) -> Duration {
        if function.name == "audit" {
            let reads = AUDIT_READS_MAX.mul_f64(self.lock().random.f64());
            return AUDIT_MARGIN + reads;
        }
        Duration::from_secs(function.timeout_s.into())
    }

    async fn start(&self, function: &Function, process: &Process) -> anyhow::Result<Handler> {
        let (environment, aws) = self.connect(function, process, access_key_id(&function.name));
        match function.name.as_str() {
            "aghanim-coupon-redeemed" => webhook(Aghanim, environment, aws).await,
            "zupy-coupon-redeemed" => {
                webhook(Zupy::only(&[Zupy::COUPON_REDEEMED]), environment, aws).await
            }
            "zupy-coupon-used" => webhook(Zupy::only(&[Zupy::COUPON_USED]), environment, aws).await,
            "zupy" => webhook(Zupy::every_event(), environment, aws).await,
            "dispatch" => batch_worker(WORK, Dispatch::read, environment, &aws),
            "delivery" => worker(
                &function.name,
                from_ledger(Delivery::read),
                environment,
                &aws,
            ),
            "inventory" => batch_worker(
                &function.name,
                from_ledger(Inventory::read),
                environment,
                &aws,
            ),
            "fraud" => batch_worker(&function.name, from_ledger(Fraud::read), environment, &aws),
            "analytics" => batch_worker(
                &function.name,
                from_ledger(Analytics::read),
                environment,
                &aws,
            ),
            "surveys" => worker(&function.name, Surveys::read, environment, &aws),
            "questionnaire" => answers(environment, &aws).await,
            "retry" => worker(&function.name, Retry::read, environment, &aws),
            "outbox" => outbox(environment, &aws),
            "audit" => audit(environment, &aws),
            other => bail!(
                "the simulation does not know the function {other}: add it in {}",
                file!()
            ),
        }
    }

    /// The settings of a function, and a process's connections with this access key.
    fn connect(
        &self,
        function: &Function,
        process: &Process,
        access_key_id: String,
    ) -> (Environment, config::Aws) {
        let own = [
            // The SDK keeps its retry quotas for the whole program, by service and region. Each
            // process must have its own quotas, so each gets a region of its own.
            (
                "AWS_REGION",
                format!("seed-{}-{}", self.inner.seed, process.number),
            ),
            ("AWS_ACCESS_KEY_ID", access_key_id),
            ("AWS_SECRET_ACCESS_KEY", "simulated".into()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let variables = function.environment.clone().into_iter().chain(own);
        let mut environment = Environment::of(variables);
        let aws = config::Aws::read(&mut environment).over(self.network(process).client());
        (environment, aws)
    }

    /// What an operator's command line takes refused bodies with, in a process of its own.
    pub(crate) fn operator(&self) -> anyhow::Result<(Process, Receiver)> {
        let function = self.inner.functions.get("zupy");
        let function = function.context("no such function")?;
        let process = self.lock().process("operator");
        let (mut environment, aws) = self.connect(function, &process, "operator".into());
        let receiver = Receiver::read(&mut environment, &aws, CallLimits::TASK);
        environment.check()?;
        Ok((process, receiver))
    }

    /// Runs an operator's command; its process often dies. `None` after its death.
    pub(crate) async fn command<T>(
        &self,
        process: &Process,
        command: impl Future<Output = T>,
    ) -> Option<T> {
        let killed_at = {
            let random = &mut self.lock().random;
            random.bool().then(|| random.u32(0..COMMAND_AWAITS_MAX))
        };
        let outcome = Mortal::new(Box::pin(command), killed_at).await;
        if outcome.is_none() {
            self.inner.history.killed(process);
        }
        outcome
    }

    /// The connections of a process.
    pub(crate) fn network(&self, process: &Process) -> Network {
        let random = self.lock().random.fork();
        let inner = &self.inner;
        let (aws, history) = (Arc::clone(&inner.aws), inner.history.clone());
        Network::new(aws, process.clone(), history, random)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Chooses the process for an invocation, and the await at which it dies.
    fn choose(&mut self, function: &str) -> (Option<Handler>, Process, Option<u32>) {
        let killed = self.random.f64() < self.kill_rate;
        let killed_at = killed.then(|| self.random.u32(0..AWAITS_MAX));
        if let Some((process, handler)) = self.idle.get_mut(function).and_then(Vec::pop) {
            return (Some(handler), process, killed_at);
        }
        (None, self.process(function), killed_at)
    }

    fn process(&mut self, function: &str) -> Process {
        self.last_process += 1;
        Process {
            function: function.to_owned(),
            number: self.last_process,
        }
    }
}

async fn webhook(
    provider: impl Provider + Send + Sync + 'static,
    environment: Environment,
    aws: config::Aws,
) -> anyhow::Result<Handler> {
    let webhook = Arc::new(Webhook::open(provider, environment, &aws).await?);
    Ok(Arc::new(move |event, invocation| {
        let webhook = Arc::clone(&webhook);
        Box::pin(async move {
            let event = RawValue::from_string(event)?;
            let answer = webhook.answer(&event, None, invocation).await;
            Ok(serde_json::to_string(&answer)?)
        })
    }))
}

fn worker<W: Work>(
    name: &str,
    read: impl FnOnce(&mut Environment, &config::Aws) -> W,
    environment: Environment,
    aws: &config::Aws,
) -> anyhow::Result<Handler> {
    let worker = read_worker(name, read, environment, aws)?;
    Ok(Arc::new(move |batch, invocation| {
        let worker = Arc::clone(&worker);
        Box::pin(async move {
            let batch: SqsEvent = serde_json::from_str(&batch)?;
            let report = worker.work(batch, invocation).await;
            Ok(serde_json::to_string(&report)?)
        })
    }))
}

fn batch_worker<W: BatchWork>(
    name: &str,
    read: impl FnOnce(&mut Environment, &config::Aws) -> W,
    environment: Environment,
    aws: &config::Aws,
) -> anyhow::Result<Handler> {
    let worker = read_worker(name, read, environment, aws)?;
    Ok(Arc::new(move |batch, invocation| {
        let worker = Arc::clone(&worker);
        Box::pin(async move {
            let batch: SqsEvent = serde_json::from_str(&batch)?;
            let report = worker.work_as_one(batch, invocation).await;
            Ok(serde_json::to_string(&report)?)
        })
    }))
}

fn read_worker<W>(
    name: &str,
    read: impl FnOnce(&mut Environment, &config::Aws) -> W,
    mut environment: Environment,
    aws: &config::Aws,
) -> anyhow::Result<Arc<Worker<W>>> {
    let queue = Queue::read(&mut environment, aws, name);
    let worker = Worker::new(queue, read(&mut environment, aws));
    environment.check()?;
    Ok(Arc::new(worker))
}

/// The questionnaire without its pages: each event is a form.
async fn answers(environment: Environment, aws: &config::Aws) -> anyhow::Result<Handler> {
    let store = Arc::new(SurveyStore::open(environment, aws).await?);
    Ok(Arc::new(move |form, invocation| {
        let store = Arc::clone(&store);
        Box::pin(async move { form::save(&store, &form, invocation).await })
    }))
}

fn outbox(mut environment: Environment, aws: &config::Aws) -> anyhow::Result<Handler> {
    let outbox = Arc::new(Outbox::read(&mut environment, aws));
    environment.check()?;
    Ok(Arc::new(move |_, invocation| {
        let outbox = Arc::clone(&outbox);
        Box::pin(async move { Ok(serde_json::to_string(&outbox.empty(invocation).await?)?) })
    }))
}

fn audit(mut environment: Environment, aws: &config::Aws) -> anyhow::Result<Handler> {
    let auditor = Arc::new(Auditor::read(&mut environment, aws));
    environment.check()?;
    Ok(Arc::new(move |_, invocation| {
        let auditor = Arc::clone(&auditor);
        Box::pin(async move { Ok(serde_json::to_string(&auditor.go_on(invocation).await?)?) })
    }))
}

/// A future that ends at one of its awaits, together with everything in it, as a process dies.
struct Mortal<F> {
    alive: Option<F>,
    awaits_left: Option<u32>,
}

impl<F> Mortal<F> {
    fn new(future: F, killed_at: Option<u32>) -> Self {
        Self {
            alive: Some(future),
            awaits_left: killed_at,
        }
    }
}

impl<F: Future + Unpin> Future for Mortal<F> {
    /// `None` after its death.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.awaits_left == Some(0) {
            self.alive = None;
        }
        self.awaits_left = self.awaits_left.map(|left| left.saturating_sub(1));
        match &mut self.alive {
            Some(alive) => Pin::new(alive).poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}
