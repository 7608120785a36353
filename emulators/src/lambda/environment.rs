//! Lambda's execution environment: one process and its invocations, from its start to its end.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::call::{Call, Handed};
use super::pool::{Function, Pending};
use super::process::Process;
use crate::faults::Moment;

use super::{Failure, Invocation, Invoked, Shared, Status, function_arn, trace_root};

/// How many of its last lines the error quotes if a process did not start.
const LAST_LINES: usize = 20;

pub(super) struct Environment {
    pub(super) shared: Arc<Shared>,
    pub(super) function: Arc<Function>,
    pub(super) instance: u64,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) stopping: watch::Receiver<bool>,
    /// The generation of processes at this one's start.
    pub(super) generation: u64,
    pub(super) generations: watch::Receiver<u64>,
}

/// How a process ended.
fn in_words(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// How an invocation ended, seen from outside the process.
enum End {
    Answered(Invoked),
    Died,
    TimedOut,
    Stopped,
}

impl Environment {
    /// Serves invocations until the process ends. Reports the start to `ready`; without `ready`,
    /// the process starts because an invocation waits.
    pub(super) async fn run(
        mut self,
        ready: Option<oneshot::Sender<Result<(), String>>>,
        now: Timestamp,
    ) {
        let started = Instant::now();
        match self.start(now).await {
            Err(failure) => self.report_start_failure(ready, failure),
            Ok((mut process, asks)) => {
                let init = ready.is_none().then(|| started.elapsed());
                if let Some(ready) = ready {
                    // The caller of `Lambda::start` may have stopped waiting; the process still
                    // serves.
                    let _ = ready.send(Ok(()));
                }
                self.serve(&mut process, asks, init).await;
                process.end().await;
            }
        }
        self.function.remove(self.instance);
        self.shared.add_capacity(&self.function);
    }

    async fn start(
        &mut self,
        now: Timestamp,
    ) -> Result<(Process, oneshot::Sender<Handed>), Failure> {
        // Without a scheme, the parser would not read the path as a path.
        let runtime_api = format!(
            "http://127.0.0.1:{}/{}/{}",
            self.shared.port,
            self.name(),
            self.instance
        );
        let options = &self.shared.options;
        let mut process = Process::start(&self.function, self.instance, &runtime_api, options, now)
            .map_err(|reason| Failure::new(Status::Crashed, "Runtime.InvalidEntrypoint", reason))?;
        let failure = match self.first_call(&mut process).await {
            Ok(asks) => return Ok((process, asks)),
            Err(failure) => failure,
        };
        process.end().await;
        let last_words = self.function.last_words(self.instance, LAST_LINES);
        Err(Failure {
            message: with_last_words(failure.message, &last_words),
            ..failure
        })
    }

    /// Waits until the process asks for its first event.
    async fn first_call(
        &mut self,
        process: &mut Process,
    ) -> Result<oneshot::Sender<Handed>, Failure> {
        let init_timeout = self.shared.options.init_timeout;
        tokio::select! {
            biased;
            call = self.calls.recv() => match call {
                Some(Call::Next(asks)) => Ok(asks),
                Some(Call::InitError(failure)) => Err(failure),
                Some(Call::Answer { .. }) | None => {
                    Err(Failure::new(Status::Crashed, "Runtime.Unknown", "it answered before it asked for an event"))
                }
            },
            status = process.child.wait() => {
                let status = in_words(status);
                let reason = format!("its process ended before it asked for its first event \
                                      ({status})");
                Err(Failure::new(Status::Crashed, "Runtime.ExitError", reason))
            }
            () = tokio::time::sleep(init_timeout) => {
                let reason = format!("it did not ask for its first event within {} s", init_timeout.as_secs_f64());
                Err(Failure::new(Status::Timeout, "Sandbox.Timedout", reason))
            }
            () = raised(&mut self.stopping) => Err(Failure::stopped()),
        }
    }

    fn report_start_failure(
        &self,
        ready: Option<oneshot::Sender<Result<(), String>>>,
        failure: Failure,
    ) {
        match ready {
            // The send fails if the caller of `Lambda::start` stopped waiting.
            Some(ready) => drop(ready.send(Err(failure.message))),
            None => {
                tracing::warn!(
                    "function `{}` did not start: {}",
                    self.name(),
                    failure.message
                );
                self.function.fail_first(failure);
            }
        }
    }

    async fn serve(
        &mut self,
        process: &mut Process,
        first: oneshot::Sender<Handed>,
        mut init: Option<Duration>,
    ) {
        let mut asks = Some(first);
        while let Some((asks, pending, killed)) = self.next_invocation(process, asks.take()).await {
            if !self
                .invoke(process, asks, pending, killed, init.take())
                .await
            {
                return;
            }
        }
    }

    /// Waits until the process asks for an event, then for an invocation. Returns `None` when the
    /// process ends.
    async fn next_invocation(
        &mut self,
        process: &mut Process,
        mut asks: Option<oneshot::Sender<Handed>>,
    ) -> Option<(oneshot::Sender<Handed>, Pending, oneshot::Receiver<()>)> {
        loop {
            tokio::select! {
                biased;
                () = raised(&mut self.stopping) => return None,
                () = outdated(&mut self.generations, self.generation) => return None,
                Some(call) = self.calls.recv() => match call {
                    Call::Next(next) => asks = Some(next),
                    Call::Answer { accepted, .. } => refuse(accepted),
                    Call::InitError(failure) => tracing::warn!("function `{}`: {failure}", self.name()),
                },
                status = process.child.wait() => {
                    let status = in_words(status);
                    tracing::warn!("an idle process of function `{}` ended \
                                    ({status})", self.name());
                    return None;
                }
                (pending, killed) = self.function.take(self.instance), if asks.is_some() => {
                    return asks.map(|asks| (asks, pending, killed));
                }
            }
        }
    }

    /// Runs one invocation. Returns false if the process has ended.
    async fn invoke(
        &mut self,
        process: &mut Process,
        asks: oneshot::Sender<Handed>,
        pending: Pending,
        killed: oneshot::Receiver<()>,
        init: Option<Duration>,
    ) -> bool {
        let now = self.shared.options.clock.now();
        let started = Instant::now();
        process.is_given(&pending.request_id);
        let end = if self.waits_to_hand(process).await {
            // The send fails if the process has ended; the next step notices that.
            let _ = asks.send(self.hand(&pending, now));
            self.end_of(process, &pending.request_id, killed).await
        } else {
            End::Died
        };
        let duration = started.elapsed();
        let (outcome, alive) = match end {
            End::Answered(outcome) => (outcome, true),
            end => {
                let status = process.end().await;
                (Err(self.failure(&end, status, &pending.request_id)), false)
            }
        };
        self.record(&pending, &outcome, now, duration, init);
        // The change comes before the answer: the caller may invoke again at once, and this process
        // should serve that invocation.
        if alive {
            self.function.release(self.instance);
        } else {
            self.function.remove(self.instance);
        }
        pending.settle(outcome);
        alive
    }

    /// Applies the faults before an invocation starts. Returns false if the process dies.
    async fn waits_to_hand(&mut self, process: &mut Process) -> bool {
        let faults = &self.shared.options.faults;
        let delay = faults.delay_of(self.name());
        let is_killed = faults.kill(self.name(), Moment::Start);
        tokio::select! {
            () = tokio::time::sleep(delay) => !is_killed,
            () = raised(&mut self.stopping) => true,
            _ = process.child.wait() => false,
        }
    }

    fn loses_answer(&self) -> bool {
        let faults = &self.shared.options.faults;
        faults.kill(self.name(), Moment::Answer)
    }

    async fn end_of(
        &mut self,
        process: &mut Process,
        given: &str,
        mut killed: oneshot::Receiver<()>,
    ) -> End {
        let timeout = tokio::time::sleep(self.function.process.timeout);
        tokio::pin!(timeout);
        loop {
            tokio::select! {
                biased;
                Some(call) = self.calls.recv() => match call {
                    Call::Answer { request_id, .. }
                        if request_id == given && self.loses_answer() =>
                    {
                        return End::Died;
                    }
                    Call::Answer { request_id, outcome, accepted } if request_id == given => {
                        // The process may have ended after its answer.
                        let _ = accepted.send(true);
                        return End::Answered(outcome);
                    }
                    Call::Answer { accepted, .. } => refuse(accepted),
                    // Dropping the call refuses it, because the process has not answered.
                    Call::Next(_) => {}
                    Call::InitError(failure) => tracing::warn!("function `{}`: {failure}", self.name()),
                },
                _ = process.child.wait() => return End::Died,
                Ok(()) = &mut killed => return End::Died,
                () = &mut timeout => return End::TimedOut,
                () = raised(&mut self.stopping) => return End::Stopped,
            }
        }
    }

    fn hand(&self, pending: &Pending, now: Timestamp) -> Handed {
        let timeout_ms =
            i64::try_from(self.function.process.timeout.as_millis()).unwrap_or(i64::MAX);
        Handed {
            request_id: pending.request_id.clone(),
            deadline_ms: now.as_millisecond().saturating_add(timeout_ms),
            function_arn: function_arn(self.name()),
            trace: trace_header(pending.event.trace.as_deref(), now),
            payload: pending.event.payload.clone(),
        }
    }

    fn failure(&self, end: &End, status: Option<ExitStatus>, request_id: &str) -> Failure {
        match end {
            End::TimedOut => {
                let seconds = self.function.process.timeout.as_secs_f64();
                let message = format!(
                    "RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds"
                );
                Failure::new(Status::Timeout, "Sandbox.Timedout", message)
            }
            End::Stopped => Failure::stopped(),
            End::Died | End::Answered(_) => {
                let reason = match status {
                    Some(status) if !status.success() => {
                        format!("Runtime exited with error: {status}")
                    }
                    _ => "Runtime exited without providing a reason".to_owned(),
                };
                Failure::new(
                    Status::Crashed,
                    "Runtime.ExitError",
                    format!("RequestId: {request_id} Error: {reason}"),
                )
            }
        }
    }

    fn record(
        &self,
        pending: &Pending,
        outcome: &Invoked,
        now: Timestamp,
        duration: Duration,
        init: Option<Duration>,
    ) {
        self.shared.remember(Invocation {
            request_id: pending.request_id.clone(),
            function: self.name().to_owned(),
            started_at: format!("{now:.3}"),
            duration_ms: milliseconds(duration),
            init_duration_ms: init.map(milliseconds),
            status: outcome
                .as_ref()
                .map_or_else(|failure| failure.status, |_| Status::Success),
            trigger: pending.event.trigger.clone(),
            error: outcome.as_ref().err().map(Failure::to_string),
        });
    }

    fn name(&self) -> &str {
        &self.function.process.name
    }
}

async fn raised(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the environment's `shared`.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Waits until the processes of this one's generation have to end.
async fn outdated(generations: &mut watch::Receiver<u64>, own: u64) {
    // The sender lives as long as the environment's `shared`.
    let _ = generations.wait_for(|generation| *generation != own).await;
}

fn refuse(accepted: oneshot::Sender<bool>) {
    // The process that asked may have ended.
    let _ = accepted.send(false);
}

fn with_last_words(reason: String, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("{reason}; it printed nothing");
    }
    format!("{reason}; it printed last:\n  {}", lines.join("\n  "))
}

/// Lambda's trace header, which continues the caller's trace or starts a new one.
fn trace_header(given: Option<&str>, now: Timestamp) -> String {
    let given =
        given.filter(|header| header.contains("Root=") && !header.contains(char::is_control));
    let mut header = given.map_or_else(|| trace_root(now), str::to_owned);
    if !header.contains("Parent=") {
        header.push_str(&format!(";Parent={:016x}", fastrand::u64(..)));
    }
    if !header.contains("Sampled=") {
        header.push_str(";Sampled=0");
    }
    header
}

/// Milliseconds with two decimals, as Lambda reports them.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
