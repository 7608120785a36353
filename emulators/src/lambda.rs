//! Lambda: runs the functions' own binaries and passes events to them over the Runtime API, one at
//! a time to each process.

mod call;
mod capacity;
mod environment;
mod pause;
mod pool;
mod process;
mod runtime_api;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use pool::{Function, Pending};

use crate::clock::Clock;
use crate::faults::Faults;

pub(crate) use runtime_api::read_body;

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCOUNT: &str = "000000000000";

/// The largest payload of a synchronous invocation and of its answer: 6 MB, as Lambda's error
/// message spells it.
pub const MAXIMUM_PAYLOAD_BYTES: usize = 6_291_556;

/// How many of a function's log lines, and of all invocations, the emulator keeps.
const REMEMBERED: usize = 1_000;

/// A function as a process, with Lambda's configuration of it.
#[derive(Debug, Clone)]
pub struct FunctionProcess {
    pub name: String,
    pub binary: PathBuf,
    /// The longest time that one invocation may take.
    pub timeout: Duration,
    pub memory_mb: u32,
    /// The variables that the template sets; Lambda adds its own.
    pub environment: BTreeMap<String, String>,
    pub credentials: Credentials,
}

/// The keys by which the AWS endpoint recognises the function.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

/// Called with each line that a function prints.
pub type LogOutput = Arc<dyn Fn(&LogLine) + Send + Sync>;

#[derive(Clone)]
pub struct Options {
    /// The maximum number of processes per function; further invocations wait in order.
    pub maximum_processes: usize,
    /// How long a process may take until it asks for its first event. Lambda allows 10 s.
    pub init_timeout: Duration,
    pub log_output: Option<LogOutput>,
    /// Faults that kill and delay processes.
    pub faults: Faults,
    /// The processes' clock.
    pub clock: Clock,
    /// The variable by which each process learns at its start how many milliseconds the clock is
    /// ahead.
    pub ahead_variable: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            maximum_processes: 10,
            init_timeout: Duration::from_secs(10),
            log_output: None,
            faults: Faults::default(),
            clock: Clock::default(),
            ahead_variable: None,
        }
    }
}

/// The event and its origin.
#[derive(Debug, Clone, Default)]
pub struct Event {
    pub payload: Bytes,
    /// The cause, for the invocation log: `POST /webhooks/zupy`, or a queue's name.
    pub trigger: String,
    /// An X-Ray trace header, which the invocation continues if there is one.
    pub trace: Option<String>,
}

/// An invocation's answer, byte for byte, or its failure.
pub type Invoked = Result<Bytes, Failure>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub status: Status,
    /// Lambda's name of the error (`Sandbox.Timedout`, `Runtime.ExitError`), or the function's own
    /// name.
    pub error_type: String,
    pub message: String,
}

impl Failure {
    fn new(status: Status, error_type: &str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            error_type: error_type.to_owned(),
            message: message.into(),
        }
    }

    fn stopped() -> Failure {
        Failure::new(Status::Crashed, STOPPED, "Lambda is being stopped")
    }

    /// Whether the event was too large for any function.
    pub fn is_event_too_large(&self) -> bool {
        self.error_type == EVENT_TOO_LARGE
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for Failure {}

const EVENT_TOO_LARGE: &str = "RequestTooLargeException";
const STOPPED: &str = "ServiceException";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Success,
    Error,
    Timeout,
    Crashed,
}

/// One entry of the invocation log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Invocation {
    pub request_id: String,
    pub function: String,
    /// RFC 3339, milliseconds.
    pub started_at: String,
    pub duration_ms: f64,
    /// For a cold start: how long the process took until it asked for this event.
    pub init_duration_ms: Option<f64>,
    pub status: Status,
    pub trigger: String,
    pub error: Option<String>,
}

/// A line that a function printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    pub function: String,
    /// RFC 3339, milliseconds.
    pub at: String,
    /// The latest invocation of the process, if any.
    pub request_id: Option<String>,
    pub line: String,
    /// Which of the function's processes printed the line.
    #[serde(skip)]
    instance: u64,
}

impl fmt::Display for LogLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.function, self.line)
    }
}

/// Counts as running while this value, or a clone of it, exists.
#[derive(Clone)]
pub struct Running {
    _count: Arc<Counted>,
}

/// Lambda for the functions of one system. Call [`Lambda::stop`] at the end to end their processes.
#[derive(Clone)]
pub struct Lambda {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    /// The port of the Runtime API, on loopback.
    port: u16,
    server: Mutex<Option<JoinHandle<()>>>,
    functions: Mutex<BTreeMap<String, Arc<Function>>>,
    recent: Mutex<VecDeque<Invocation>>,
    running: watch::Sender<usize>,
    processes: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    /// Rises with each move of the clock: a process that began before ends.
    generation: watch::Sender<u64>,
}

impl Lambda {
    /// Opens the Runtime API on a port of its own.
    pub async fn open(options: Options) -> anyhow::Result<Lambda> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("opening a loopback port for the Lambda Runtime API")?;
        let shared = Arc::new(Shared {
            options,
            port: listener.local_addr()?.port(),
            server: Mutex::default(),
            functions: Mutex::default(),
            recent: Mutex::default(),
            running: watch::Sender::new(0),
            processes: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            generation: watch::Sender::new(0),
        });
        let router = runtime_api::router(shared.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the Lambda Runtime API ended: {error}");
            }
        });
        *lock(&shared.server) = Some(server);
        Ok(Lambda { shared })
    }

    /// Adds a function: starts one process and waits until the process asks for its first event.
    ///
    /// # Errors
    ///
    /// The process ended, or did not ask in time. The error contains the last lines that the
    /// process printed.
    pub async fn start(&self, process: FunctionProcess) -> anyhow::Result<()> {
        let name = process.name.clone();
        let function = Arc::new(Function::new(process));
        lock(&self.shared.functions).insert(name.clone(), function.clone());
        let (ready, started) = oneshot::channel();
        self.shared.add_process(&function, ready);
        match started.await {
            Ok(Ok(())) => Ok(()),
            outcome => {
                lock(&self.shared.functions).remove(&name);
                let reason = outcome.map_or_else(
                    |_| "Lambda is being stopped".to_owned(),
                    |result| result.err().unwrap_or_default(),
                );
                anyhow::bail!("function `{name}` did not start: {reason}")
            }
        }
    }

    /// Invokes a function and waits for its answer. If the caller stops waiting, a waiting event is
    /// withdrawn, but an event that a process already has runs to its end.
    pub async fn invoke(&self, function: &str, event: Event) -> Invoked {
        self.invoke_held(function, event, self.hold()).await
    }

    /// Like [`Lambda::invoke`], for a caller that already counts as running.
    pub async fn invoke_held(&self, function: &str, event: Event, running: Running) -> Invoked {
        if event.payload.len() > MAXIMUM_PAYLOAD_BYTES {
            let message = format!(
                "{} byte payload is too large for the RequestResponse invocation type (limit \
                 {MAXIMUM_PAYLOAD_BYTES} bytes)",
                event.payload.len()
            );
            return Err(Failure::new(Status::Error, EVENT_TOO_LARGE, message));
        }
        let Some(function) = self.shared.function(function) else {
            let message = format!("Function not found: {}", function_arn(function));
            return Err(Failure::new(
                Status::Error,
                "ResourceNotFoundException",
                message,
            ));
        };
        let (reply, answer) = oneshot::channel();
        self.shared
            .enqueue(&function, Pending::new(event, reply, running));
        answer.await.unwrap_or_else(|_| Err(Failure::stopped()))
    }

    /// Counts as running for the value's life, for work around an invocation.
    pub fn hold(&self) -> Running {
        Running {
            _count: Arc::new(Counted::new(&self.shared.running)),
        }
    }

    /// The number of invocations that wait or run now, and of values from [`Lambda::hold`].
    pub fn running(&self) -> usize {
        *self.shared.running.borrow()
    }

    /// Waits until nothing runs.
    pub async fn idle(&self) {
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = self
            .shared
            .running
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }

    /// The processes' clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.options.clock
    }

    /// How many invocations of one function can run at the same time.
    pub fn maximum_processes(&self) -> usize {
        self.shared.options.maximum_processes
    }

    /// The latest finished invocations, oldest first.
    pub fn recent(&self) -> Vec<Invocation> {
        lock(&self.shared.recent).iter().cloned().collect()
    }

    /// The latest lines that a function printed, oldest first; none for an unknown function.
    pub fn logs(&self, function: &str) -> Vec<LogLine> {
        self.shared
            .function(function)
            .map(|function| function.logs())
            .unwrap_or_default()
    }

    /// Fault: kills the processes of a function that run an invocation now. Returns how many.
    pub fn kill(&self, function: &str) -> usize {
        self.shared
            .function(function)
            .map(|function| function.kill_busy())
            .unwrap_or_default()
    }

    /// Whether this process of a function runs an invocation now.
    pub(crate) fn is_serving(&self, function: &str, instance: u64) -> bool {
        self.shared
            .function(function)
            .is_some_and(|function| function.is_busy(instance))
    }

    /// Fault: kills one process if it runs an invocation now. Returns false if it does not.
    pub(crate) fn kill_process(&self, function: &str, instance: u64) -> bool {
        self.shared
            .function(function)
            .is_some_and(|function| function.kill(instance))
    }

    /// Kills all processes and waits until they have ended. Waiting and running invocations fail.
    pub async fn stop(&self) {
        self.shared.stopping.send_replace(true);
        let functions: Vec<_> = lock(&self.shared.functions).values().cloned().collect();
        for function in functions {
            function.refuse_all();
        }
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = self
            .shared
            .processes
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
        if let Some(server) = lock(&self.shared.server).take() {
            server.abort();
        }
    }
}

impl Shared {
    fn function(&self, name: &str) -> Option<Arc<Function>> {
        lock(&self.functions).get(name).cloned()
    }

    fn remember(&self, invocation: Invocation) {
        push_bounded(&mut lock(&self.recent), invocation);
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// Adds one to a watched count, for the value's life.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(count: &watch::Sender<usize>) -> Counted {
        count.send_modify(|count| *count += 1);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The session token of one process, which distinguishes its calls from those of the function's
/// other processes.
fn session_token(token: &str, instance: u64) -> String {
    format!("{token}/{instance}")
}

/// The inverse of [`session_token`]; `None` for any other token.
pub(crate) fn instance_of(session_token: &str) -> Option<u64> {
    session_token.rsplit_once('/')?.1.parse().ok()
}

fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// `1-<seconds>-<random>`, the part of an X-Ray trace header that all hops share.
pub(crate) fn trace_root(now: Timestamp) -> String {
    let random = fastrand::u128(..) >> 32;
    format!("Root=1-{:08x}-{random:024x}", now.as_second())
}

/// A version 4 UUID.
pub(crate) fn request_id() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes())
        .into_uuid()
        .to_string()
}

fn push_bounded<T>(ring: &mut VecDeque<T>, value: T) {
    if ring.len() == REMEMBERED {
        ring.pop_front();
    }
    ring.push_back(value);
}

/// Locks a mutex. Its contents are consistent even after a panic, because no lock lasts over more
/// than one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
