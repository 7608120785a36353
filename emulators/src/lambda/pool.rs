//! A function's processes, and the invocations that wait for one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::{Notify, mpsc, oneshot};

use super::call::Call;
use super::{
    Event, Failure, FunctionProcess, Invoked, LogLine, Running, lock, push_bounded, request_id,
};

/// An invocation that has not ended.
pub(super) struct Pending {
    pub(super) request_id: String,
    pub(super) event: Event,
    pub(super) reply: oneshot::Sender<Invoked>,
    running: Running,
}

impl Pending {
    pub(super) fn new(event: Event, reply: oneshot::Sender<Invoked>, running: Running) -> Pending {
        Pending {
            request_id: request_id(),
            event,
            reply,
            running,
        }
    }

    pub(super) fn settle(self, outcome: Invoked) {
        // The count falls before the answer, because the caller may ask at once whether anything
        // runs.
        drop(self.running);
        // The caller may have stopped waiting, for instance after API Gateway's timeout.
        let _ = self.reply.send(outcome);
    }
}

pub(super) struct Function {
    pub(super) process: FunctionProcess,
    pub(super) pool: Mutex<Pool>,
    pub(super) queued: Notify,
    logs: Mutex<VecDeque<LogLine>>,
}

#[derive(Default)]
pub(super) struct Pool {
    pub(super) queue: VecDeque<Pending>,
    pub(super) processes: BTreeMap<u64, Handle>,
    pub(super) last_instance: u64,
    /// No invocation begins.
    pub(super) is_paused: bool,
}

/// The pool's end of an execution environment.
pub(super) struct Handle {
    pub(super) calls: mpsc::Sender<Call>,
    /// True from the start of an invocation to its answer.
    pub(super) busy: bool,
    pub(super) kill: Option<oneshot::Sender<()>>,
}

impl Pool {
    pub(super) fn available(&self) -> usize {
        self.processes
            .values()
            .filter(|handle| !handle.busy)
            .count()
    }
}

impl Function {
    pub(super) fn new(process: FunctionProcess) -> Function {
        Function {
            process,
            pool: Mutex::default(),
            queued: Notify::new(),
            logs: Mutex::default(),
        }
    }

    /// Waits for the next invocation and marks the process as busy. Safe to cancel.
    pub(super) async fn take(&self, instance: u64) -> (Pending, oneshot::Receiver<()>) {
        loop {
            let queued = self.queued.notified();
            if let Some(taken) = self.try_take(instance) {
                return taken;
            }
            queued.await;
        }
    }

    fn try_take(&self, instance: u64) -> Option<(Pending, oneshot::Receiver<()>)> {
        let mut pool = lock(&self.pool);
        if pool.is_paused {
            return None;
        }
        let pending = loop {
            let pending = pool.queue.pop_front()?;
            if !pending.reply.is_closed() {
                break pending;
            }
        };
        let (kill, killed) = oneshot::channel();
        if let Some(handle) = pool.processes.get_mut(&instance) {
            handle.busy = true;
            handle.kill = Some(kill);
        }
        Some((pending, killed))
    }

    /// Marks a process as free for the next invocation.
    pub(super) fn release(&self, instance: u64) {
        if let Some(handle) = lock(&self.pool).processes.get_mut(&instance) {
            handle.busy = false;
            handle.kill = None;
        }
    }

    /// Removes a process that has ended.
    pub(super) fn remove(&self, instance: u64) {
        lock(&self.pool).processes.remove(&instance);
    }

    /// Fails the first waiting invocation, because the process for it could not serve it.
    pub(super) fn fail_first(&self, failure: Failure) {
        let first = lock(&self.pool).queue.pop_front();
        if let Some(pending) = first {
            pending.settle(Err(failure));
        }
    }

    pub(super) fn refuse_all(&self) {
        let queue = std::mem::take(&mut lock(&self.pool).queue);
        for pending in queue {
            pending.settle(Err(Failure::stopped()));
        }
    }

    pub(super) fn calls(&self, instance: u64) -> Option<mpsc::Sender<Call>> {
        lock(&self.pool)
            .processes
            .get(&instance)
            .map(|handle| handle.calls.clone())
    }

    pub(super) fn kill_busy(&self) -> usize {
        let mut pool = lock(&self.pool);
        let kills = pool
            .processes
            .values_mut()
            .filter_map(|handle| handle.kill.take());
        kills.filter_map(|kill| kill.send(()).ok()).count()
    }

    pub(super) fn is_busy(&self, instance: u64) -> bool {
        let pool = lock(&self.pool);
        pool.processes
            .get(&instance)
            .is_some_and(|handle| handle.busy)
    }

    pub(super) fn has_busy(&self) -> bool {
        let pool = lock(&self.pool);
        pool.processes.values().any(|handle| handle.busy)
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        lock(&self.pool).is_paused = is_paused;
        if !is_paused {
            self.queued.notify_waiters();
        }
    }

    pub(super) fn kill(&self, instance: u64) -> bool {
        let mut pool = lock(&self.pool);
        let kill = pool
            .processes
            .get_mut(&instance)
            .and_then(|handle| handle.kill.take());
        kill.is_some_and(|kill| kill.send(()).is_ok())
    }

    pub(super) fn log(&self, line: LogLine) {
        push_bounded(&mut lock(&self.logs), line);
    }

    pub(super) fn logs(&self) -> Vec<LogLine> {
        lock(&self.logs).iter().cloned().collect()
    }

    /// The last lines that one process printed, oldest first.
    pub(super) fn last_words(&self, instance: u64, lines: usize) -> Vec<String> {
        let logs = lock(&self.logs);
        let own = logs.iter().rev().filter(|line| line.instance == instance);
        let mut last: Vec<_> = own.take(lines).map(|line| line.line.clone()).collect();
        last.reverse();
        last
    }
}
