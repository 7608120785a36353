//! EventBridge Scheduler: keeps one-time schedules, and calls their targets when they are due.
//!
//! Three things differ from AWS. Targets are queues only. A schedule is due to the second, its call
//! comes at once, and the emulator reads only the expression `at(...)`. A time that has passed is
//! refused: users report the same from AWS, whose documents do not say so.

mod delivery;
mod request;
mod schedule;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::AwsError;
use crate::template::{Role, Template, arn};
use schedule::Key;
use store::Store;

pub(crate) use request::{operation, read as read_request, resource};
pub(crate) use schedule::Schedule;

/// The group of schedules that name none.
const DEFAULT_GROUP: &str = "default";

/// The principal that a role must trust, or its schedules cannot call their targets.
pub(crate) const PRINCIPAL: &str = "scheduler.amazonaws.com";

/// The most schedules in one answer of ListSchedules, and the default (API reference).
const LISTED_MAX: usize = 100;

/// All schedules; clones share them.
#[derive(Debug, Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    schedules: Mutex<Schedules>,
    /// Wakes the tasks that wait for the next due schedule.
    changed: Notify,
    groups: BTreeSet<String>,
    /// The roles that trust the scheduler.
    roles: BTreeMap<String, Role>,
}

#[derive(Debug, Default)]
struct Schedules {
    by_key: BTreeMap<Key, Schedule>,
    /// The time of each schedule's next call, except those with a call under way.
    due: BTreeSet<(i64, Key)>,
    /// The schedules with a call under way.
    in_delivery: BTreeSet<Key>,
    store: Option<Store>,
}

/// A schedule as people and tests see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    pub group: String,
    pub name: String,
    /// The queue that gets the message.
    pub target: String,
    /// The message that the queue gets.
    pub input: String,
    /// The time of the first or next call; `None` after the last call, or for a disabled schedule.
    pub next_at: Option<Timestamp>,
    /// How often the target failed.
    pub failures: u32,
}

impl Scheduler {
    /// Opens the scheduler with the template's groups and the roles for schedules. With a
    /// directory, every schedule is in its `scheduler.sqlite` before the answer. Without a
    /// directory, schedules are in memory.
    pub fn open(data_dir: Option<&Path>, template: &Template) -> anyhow::Result<Scheduler> {
        let Some(directory) = data_dir else {
            return Ok(Scheduler::in_memory(template));
        };
        let store = Store::open(&directory.join("scheduler.sqlite"));
        let store = store.context("opening the schedules' store")?;
        let kept = store.load()?;
        let mut schedules = Schedules {
            store: Some(store),
            ..Schedules::default()
        };
        for schedule in kept {
            schedules.insert(schedule);
        }
        Ok(Scheduler::with(schedules, template))
    }

    pub fn in_memory(template: &Template) -> Scheduler {
        Scheduler::with(Schedules::default(), template)
    }

    fn with(schedules: Schedules, template: &Template) -> Scheduler {
        let groups = template.schedule_groups.iter().cloned();
        let roles = template.roles.iter().filter(|it| it.trusts(PRINCIPAL));
        Scheduler {
            shared: Arc::new(Shared {
                schedules: Mutex::new(schedules),
                changed: Notify::new(),
                groups: groups.chain([DEFAULT_GROUP.to_owned()]).collect(),
                roles: roles.map(|role| (role.arn.clone(), role.clone())).collect(),
            }),
        }
    }

    /// Completes when the next due schedule may be another one.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.shared.changed.notified()
    }

    /// Answers a request that [`read_request`] has read from the wire.
    pub fn handle(
        &self,
        operation: &str,
        request: &Value,
        now: Timestamp,
    ) -> Result<Value, AwsError> {
        match operation {
            "CreateSchedule" => self.create(request, now),
            "GetSchedule" => {
                let key = self.key(request)?;
                let schedules = self.lock();
                let schedule = schedules.by_key.get(&key);
                Ok(schedule.ok_or_else(|| not_found(&key))?.described())
            }
            "UpdateSchedule" => self.update(request, now),
            "DeleteSchedule" => {
                let key = self.key(request)?;
                self.lock().remove(&key)?.ok_or_else(|| not_found(&key))?;
                Ok(json!({}))
            }
            "ListSchedules" => self.list(request),
            other => Err(error(
                404,
                "UnknownOperationException",
                format!("The local system does not serve {other} of EventBridge Scheduler."),
            )),
        }
    }

    /// Creates a schedule. A repeat with the same token gets the same answer, because the first
    /// answer got lost.
    fn create(&self, request: &Value, now: Timestamp) -> Result<Value, AwsError> {
        let key = self.key(request)?;
        let schedule = Schedule::read(key.clone(), request, now)?;
        self.check_role(&schedule)?;
        let mut schedules = self.lock();
        if let Some(existing) = schedules.by_key.get(&key) {
            let is_repeated =
                schedule.client_token.is_some() && existing.client_token == schedule.client_token;
            if !is_repeated {
                let message = format!("Schedule {} already exists.", key.name);
                return Err(error(409, "ConflictException", message));
            }
        } else {
            schedules.keep(schedule)?;
            self.shared.changed.notify_one();
        }
        Ok(json!({"ScheduleArn": key.arn()}))
    }

    /// Replaces all settings, as AWS does: a setting that the request does not name gets its
    /// default.
    fn update(&self, request: &Value, now: Timestamp) -> Result<Value, AwsError> {
        let key = self.key(request)?;
        let mut schedule = Schedule::read(key.clone(), request, now)?;
        self.check_role(&schedule)?;
        let mut schedules = self.lock();
        let existing = schedules.by_key.get(&key).ok_or_else(|| not_found(&key))?;
        schedule.created_ms = existing.created_ms;
        schedules.keep(schedule)?;
        self.shared.changed.notify_one();
        Ok(json!({"ScheduleArn": key.arn()}))
    }

    fn list(&self, request: &Value) -> Result<Value, AwsError> {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let group = text("GroupName");
        if let Some(group) = group {
            self.check_group(group)?;
        }
        let most = match text("MaxResults").map(str::parse::<usize>) {
            None => LISTED_MAX,
            Some(Ok(most @ 1..=LISTED_MAX)) => most,
            Some(_) => {
                let message = format!("MaxResults must be a number from 1 to {LISTED_MAX}.");
                return Err(validation(message));
            }
        };
        let (prefix, state) = (text("NamePrefix").unwrap_or_default(), text("State"));
        let schedules = self.lock();
        let after = text("NextToken").map(|token| {
            let (group, name) = token.split_once('/').unwrap_or((token, ""));
            Key::new(group, name)
        });
        let mut those = schedules
            .by_key
            .iter()
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .filter(|(key, schedule)| {
                group.is_none_or(|group| key.group == group)
                    && key.name.starts_with(prefix)
                    && state.is_none_or(|state| schedule.state() == state)
            })
            .peekable();
        let mut listed = Vec::new();
        let mut last = None;
        while listed.len() < most
            && let Some((key, schedule)) = those.next()
        {
            listed.push(schedule.summary());
            last = Some(key);
        }
        let mut answer = json!({"Schedules": listed});
        if let (Some(last), Some(_)) = (last, those.peek()) {
            answer["NextToken"] = format!("{}/{}", last.group, last.name).into();
        }
        Ok(answer)
    }

    fn key(&self, request: &Value) -> Result<Key, AwsError> {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let group = text("GroupName").unwrap_or(DEFAULT_GROUP);
        let name = text("Name").unwrap_or_default();
        schedule::check_name("Name", name)?;
        schedule::check_name("GroupName", group)?;
        self.check_group(group)?;
        Ok(Key::new(group, name))
    }

    fn check_group(&self, group: &str) -> Result<(), AwsError> {
        if self.shared.groups.contains(group) {
            return Ok(());
        }
        let message = format!("Schedule group {group} does not exist.");
        Err(error(404, "ResourceNotFoundException", message))
    }

    fn check_role(&self, schedule: &Schedule) -> Result<(), AwsError> {
        if self.shared.roles.contains_key(&schedule.target.role_arn) {
            return Ok(());
        }
        Err(validation(
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the \
             role."
                .to_owned(),
        ))
    }

    /// Whether a role for schedules allows sending to a queue.
    pub(crate) fn may_send(&self, role_arn: &str, queue_arn: &str) -> bool {
        let role = self.shared.roles.get(role_arn);
        role.is_some_and(|role| {
            let mut statements = role.statements.iter();
            statements.any(|it| it.allows("sqs:SendMessage", queue_arn))
        })
    }

    /// All schedules, by group and name.
    pub fn all(&self) -> Vec<Scheduled> {
        let schedules = self.lock();
        schedules.by_key.values().map(Scheduled::from).collect()
    }

    /// How many schedules there are, and when the next one is due.
    pub fn overview(&self) -> (usize, Option<Timestamp>) {
        let schedules = self.lock();
        let next = schedules.due.first();
        let next = next.and_then(|(ms, _)| Timestamp::from_millisecond(*ms).ok());
        (schedules.by_key.len(), next)
    }

    /// Whether no call is due now; with `later`, also whether no further call will come.
    pub fn is_idle(&self, now: Timestamp, later: bool) -> bool {
        let schedules = self.lock();
        let is_due = |(due_ms, _): &(i64, Key)| *due_ms <= now.as_millisecond();
        let is_retried = |schedule: &Schedule| schedule.is_retried();
        schedules.in_delivery.is_empty()
            && !schedules.due.first().is_some_and(is_due)
            && !(later && schedules.by_key.values().any(is_retried))
    }

    /// Locks the schedules. The schedules are consistent even after a panic, because no lock lasts
    /// over more than one step.
    fn lock(&self) -> MutexGuard<'_, Schedules> {
        let schedules = &self.shared.schedules;
        schedules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedules {
    /// Adds or replaces a schedule, in the store first.
    fn keep(&mut self, schedule: Schedule) -> Result<(), AwsError> {
        if let Some(store) = &self.store {
            store.write(&schedule).map_err(|error| internal(&error))?;
        }
        self.insert(schedule);
        Ok(())
    }

    fn insert(&mut self, schedule: Schedule) {
        let key = schedule.key.clone();
        if let Some(old) = self.by_key.get(&key).and_then(|old| old.next_ms) {
            self.due.remove(&(old, key.clone()));
        }
        if let Some(next_ms) = schedule.next_ms {
            self.due.insert((next_ms, key.clone()));
        }
        self.by_key.insert(key, schedule);
    }

    fn remove(&mut self, key: &Key) -> Result<Option<Schedule>, AwsError> {
        if let Some(store) = &self.store {
            store.delete(key).map_err(|error| internal(&error))?;
        }
        let removed = self.by_key.remove(key);
        if let Some(next_ms) = removed.as_ref().and_then(|it| it.next_ms) {
            self.due.remove(&(next_ms, key.clone()));
        }
        Ok(removed)
    }
}

impl From<&Schedule> for Scheduled {
    fn from(schedule: &Schedule) -> Scheduled {
        let next_ms = schedule.next_ms;
        let target = &schedule.target.arn;
        Scheduled {
            group: schedule.key.group.clone(),
            name: schedule.key.name.clone(),
            target: target.rsplit(':').next().unwrap_or(target).to_owned(),
            input: schedule.target.input.clone(),
            next_at: next_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            failures: schedule.failures,
        }
    }
}

impl Key {
    /// `arn:aws:scheduler:<region>:<account>:schedule/<group>/<name>`.
    fn arn(&self) -> String {
        arn(
            "scheduler",
            &format!("schedule/{}/{}", self.group, self.name),
        )
    }
}

fn not_found(key: &Key) -> AwsError {
    let message = format!("Schedule {} does not exist.", key.name);
    error(404, "ResourceNotFoundException", message)
}

fn validation(message: String) -> AwsError {
    error(400, "ValidationException", message)
}

fn internal(problem: &anyhow::Error) -> AwsError {
    let message = format!("The schedules' store cannot be written: {problem:#}");
    error(500, "InternalServerException", message)
}

fn error(status: u16, code: &str, message: String) -> AwsError {
    AwsError {
        status,
        code: code.to_owned(),
        message,
        query_code: None,
    }
}
