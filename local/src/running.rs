//! The parts of a running system, the wait until they have nothing to do, and the passing of time.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, ensure};
use emulators::dynamodb::DynamoDb;
use emulators::faults::Faults;
use emulators::lambda::{Invoked, Lambda};
use emulators::scheduler::Scheduler;
use emulators::sent::Outside;
use emulators::sqs::{Counts, Sqs};
use emulators::template::Template;
use emulators::{game_server, schedule};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::examples::Example;
use crate::kept_clock::{AHEAD_MAX, KeptClock};

/// How often a wait for idleness checks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Longer than any invocation of the template may take.
const INVOCATIONS_END_WITHIN: Duration = Duration::from_secs(120);

/// The parts that the page and the harness read.
pub(crate) struct Inner {
    pub(crate) gateway_url: String,
    pub(crate) aws_url: String,
    pub(crate) also_listens_on: Option<String>,
    pub(crate) template: Template,
    pub(crate) examples: Vec<Example>,
    pub(crate) lambda: Lambda,
    pub(crate) sqs: Sqs,
    pub(crate) outside: Outside,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) scheduler: Scheduler,
    pub(crate) faults: Faults,
    pub(crate) clock: KeptClock,
    /// Locked while the system runs.
    pub(crate) _data_lock: Option<File>,
}

/// One run of one of a function's schedules.
#[derive(Debug, Clone)]
pub struct ScheduledRun {
    pub function: String,
    pub schedule: String,
    pub outcome: Invoked,
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
    /// The zones that the functions have, in the format of the template's parameter `TimeZone`.
    pub(crate) fn time_zone(&self) -> Option<&str> {
        let mut functions = self.template.functions.iter();
        functions.find_map(|function| function.environment.get("TIME_ZONE").map(String::as_str))
    }

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

    /// Checks running functions both before and after waiting messages, so that the check misses no
    /// message on its way from a queue to a function.
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

    /// Lets time pass for everything, between invocations but never within one.
    pub(crate) async fn advance(&self, by: Duration) -> anyhow::Result<Timestamp> {
        let _moving = self.clock.begin_move().await;
        let ahead = self.clock.ahead() + by;
        ensure!(
            ahead <= AHEAD_MAX,
            "the clock can be {} s ahead at most, and is {} s ahead",
            AHEAD_MAX.as_secs(),
            self.clock.ahead().as_secs()
        );
        let paused = self.lambda.pause(INVOCATIONS_END_WITHIN).await;
        let paused = paused.context("an invocation does not end")?;
        self.clock.keep(ahead)?;
        self.sqs
            .let_pass(by)
            .map_err(|error| anyhow::anyhow!(error.message))?;
        paused.renew_processes();
        drop(paused);
        self.dynamodb.sweep().await;
        Ok(self.clock.now())
    }
}
