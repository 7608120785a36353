//! Starts processes: one for each waiting invocation, up to the limit.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::environment::Environment;
use super::pool::{Function, Handle, Pending, Pool};
use super::{Counted, Failure, Shared, lock};

impl Shared {
    pub(super) fn enqueue(self: &Arc<Self>, function: &Arc<Function>, pending: Pending) {
        {
            let mut pool = lock(&function.pool);
            // `stop` raises the flag before it empties the queues, so this check needs the lock.
            if self.is_stopping() {
                return pending.settle(Err(Failure::stopped()));
            }
            pool.queue.push_back(pending);
        }
        function.queued.notify_one();
        self.add_capacity(function);
    }

    /// Starts a process for each waiting invocation, up to the limit.
    pub(super) fn add_capacity(self: &Arc<Self>, function: &Arc<Function>) {
        let mut pool = lock(&function.pool);
        pool.queue.retain(|pending| !pending.reply.is_closed());
        while !pool.is_paused
            && pool.queue.len() > pool.available()
            && pool.processes.len() < self.options.maximum_processes
            && !self.is_stopping()
        {
            self.spawn(function, &mut pool, None);
        }
    }

    /// Starts one process. Reports its first request for an event, or the reason why there was
    /// none.
    pub(super) fn add_process(
        self: &Arc<Self>,
        function: &Arc<Function>,
        ready: oneshot::Sender<Result<(), String>>,
    ) {
        let mut pool = lock(&function.pool);
        if !self.is_stopping() {
            self.spawn(function, &mut pool, Some(ready));
        }
    }

    fn spawn(
        self: &Arc<Self>,
        function: &Arc<Function>,
        pool: &mut Pool,
        ready: Option<oneshot::Sender<Result<(), String>>>,
    ) {
        pool.last_instance += 1;
        let instance = pool.last_instance;
        let (calls, receiver) = mpsc::channel(1);
        pool.processes.insert(
            instance,
            Handle {
                calls,
                busy: false,
                kill: None,
            },
        );
        let environment = Environment {
            shared: self.clone(),
            function: function.clone(),
            instance,
            calls: receiver,
            stopping: self.stopping.subscribe(),
            generation: *self.generation.borrow(),
            generations: self.generation.subscribe(),
        };
        let counted = Counted::new(&self.processes);
        let now = self.options.clock.now();
        tokio::spawn(async move {
            environment.run(ready, now).await;
            drop(counted);
        });
    }
}
