//! A function's own process behind a Runtime API, and what an invocation costs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use axum::serve::ListenerExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

/// The largest event and the largest answer of Lambda, rounded up.
const PAYLOAD_MAX: usize = 8 * 1024 * 1024;

/// How long the process may be silent.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// How long an invocation may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the paths of the Runtime API begin with.
const PATHS: &str = "/2018-06-01/runtime/";

/// A request of the process.
#[derive(Debug)]
enum Call {
    Next(oneshot::Sender<Bytes>),
    Answer(Instant, Bytes),
    Failed(String),
}

/// A running function, and its Runtime API.
#[derive(Debug)]
pub struct Process {
    child: Child,
    calls: mpsc::Receiver<Call>,
    next: Option<oneshot::Sender<Bytes>>,
    api: tokio::task::JoinHandle<()>,
}

impl Process {
    /// Starts a function in the environment that the template gives it, and waits until it asks
    /// for its first event.
    ///
    /// # Errors
    /// The program cannot start, or ends, or stays silent.
    pub async fn start(
        program: &Path,
        name: &str,
        environment: BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, calls) = mpsc::channel(1);
        let router = Router::new().fallback(answer).with_state(sender);
        let listener = listener.tap_io(|stream| {
            // Otherwise an answer may wait for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
        });
        let api = tokio::spawn(async move {
            // The process notices by itself that its Runtime API has ended.
            let _ = axum::serve(listener, router).await;
        });
        let child = Command::new(program)
            .env_clear()
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("AWS_SESSION_TOKEN", "bench")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut process = Self {
            child,
            calls,
            next: None,
            api,
        };
        process.wait_for_next().await?;
        Ok(process)
    }

    /// Passes a batch of message bodies to the function, and returns the time to its answer.
    ///
    /// # Errors
    /// The function fails, or gives a message back.
    pub async fn invoke(&mut self, queue: &str, bodies: Vec<String>) -> anyhow::Result<Duration> {
        let event = batch(queue, bodies);
        let next = self.next.take().context("the process asked for no event")?;
        let began = Instant::now();
        if next.send(event.into()).is_err() {
            bail!("the process left before its event came");
        }
        let (answered, answer) = match self.call().await? {
            Call::Answer(at, answer) => (at, answer),
            Call::Next(_) => bail!("the process asked for the next event without an answer"),
            Call::Failed(reason) => bail!("the function failed: {reason}"),
        };
        let answer: Value = serde_json::from_slice(&answer).context("reading the answer")?;
        let failures = answer["batchItemFailures"].as_array();
        let failures = failures.with_context(|| format!("no batch response: {answer}"))?;
        ensure!(failures.is_empty(), "messages failed: {answer}");
        self.wait_for_next().await?;
        Ok(answered - began)
    }

    /// The CPU time of all threads so far, with the kernel's part.
    ///
    /// # Errors
    /// The system is not Linux, or the process has ended.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let id = self.child.id().context("the process has ended")?;
        let threads = fs::read_dir(format!("/proc/{id}/task")).context("only Linux reports CPU")?;
        let mut sum = Duration::ZERO;
        for thread in threads {
            let times = fs::read_to_string(thread?.path().join("schedstat"))?;
            let nanoseconds = times.split(' ').next().map(str::parse);
            let nanoseconds = nanoseconds.ok_or_else(|| anyhow!("an empty schedstat"))??;
            sum += Duration::from_nanos(nanoseconds);
        }
        Ok(sum)
    }

    async fn wait_for_next(&mut self) -> anyhow::Result<()> {
        match self.call().await? {
            Call::Next(next) => self.next = Some(next),
            Call::Answer(..) => bail!("the process answered without an event"),
            Call::Failed(reason) => bail!("the function failed: {reason}"),
        }
        Ok(())
    }

    async fn call(&mut self) -> anyhow::Result<Call> {
        tokio::select! {
            biased;
            Some(call) = self.calls.recv() => Ok(call),
            status = self.child.wait() => Err(anyhow!("the process ended: {}", status?)),
            () = tokio::time::sleep(SILENT_MAX) => Err(anyhow!("the process was silent for 60 s")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.api.abort();
    }
}

/// Answers a request to the Runtime API.
async fn answer(State(calls): State<mpsc::Sender<Call>>, request: Request) -> Response<Body> {
    let now = Instant::now();
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix(PATHS).unwrap_or_default();
    let gone = || only(StatusCode::GONE);
    if (&head.method, path) == (&Method::GET, "invocation/next") {
        let (next, event) = oneshot::channel();
        if calls.send(Call::Next(next)).await.is_err() {
            return gone();
        }
        return event.await.map_or_else(|_| gone(), handed);
    }
    let Ok(body) = to_bytes(body, PAYLOAD_MAX).await else {
        return only(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let call = match path.rsplit('/').next() {
        Some("response") => Call::Answer(now, body),
        Some("error") => Call::Failed(String::from_utf8_lossy(&body).into_owned()),
        _ => return only(StatusCode::NOT_FOUND),
    };
    match calls.send(call).await {
        Ok(()) => only(StatusCode::ACCEPTED),
        Err(_) => gone(),
    }
}

fn only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An event with what Lambda says about its invocation.
fn handed(event: Bytes) -> Response<Body> {
    let ends_at = Timestamp::now().checked_add(TIMEOUT);
    let response = Response::builder()
        .header("content-type", "application/json")
        .header(
            "lambda-runtime-aws-request-id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        )
        .header(
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench",
        )
        .header(
            "lambda-runtime-deadline-ms",
            ends_at.map_or(i64::MAX, |at| at.as_millisecond()),
        )
        .body(Body::from(event));
    response.unwrap_or_else(|_| only(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Messages as Lambda passes them from a queue.
fn batch(queue: &str, bodies: Vec<String>) -> String {
    let sent_ms = Timestamp::now().as_millisecond().to_string();
    let records = bodies.into_iter().enumerate().map(|(number, body)| {
        json!({
            "messageId": format!("00000000-0000-4000-8000-{number:012}"),
            "receiptHandle": format!("handle-{number}"),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": sent_ms,
                "ApproximateFirstReceiveTimestamp": sent_ms,
                "MessageGroupId": "comp_bella_vista",
            },
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{queue}"),
            "awsRegion": "us-east-1",
        })
    });
    let records: Vec<_> = records.collect();
    json!({ "Records": records }).to_string()
}
