//! `coupons replay`: runs tasks again, from the recorded bodies.

mod decide;
mod failed;
mod outcome;

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use clap::ArgGroup;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use jiff::Timestamp;
use webhooks::config::Environment;
use webhooks::dispatch::WorkQueue;
use webhooks::event::Event;
use webhooks::ledger::is_forgotten;
use webhooks::life::{Life, Lookup, Received, Record, expected};
use webhooks::per_tenant::Zones;
use webhooks::task::{Message, Task, tasks};

use crate::lives::{lives, records, task_named, whole};
use crate::output::{harmless, say, say_json};
use crate::refused;
use crate::show::{lookup, not_found};
use crate::target::{self, Target};
use decide::{Decision, decide, names};
use outcome::{Outcome, Report, What, describe};

const EXAMPLES: &str = "\
Examples:
  coupons replay 'zupy#comp_bella_vista#CP-A1B2C3D4/redeemed' --dry-run
  coupons replay --since 2026-11-22T10:00:00Z
  coupons replay --failed --dry-run
  coupons replay CP-A1B2C3D4 --task delivery/email --force
  coupons replay --refused";

/// How many events the command processes at the same time.
const CONCURRENCY: usize = 16;

/// Run tasks again from the recorded bodies, if they left no record or a record that has not
/// settled.
///
/// Settled tasks stay settled. With --force they run again too: the customer may get the same mail
/// twice.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("events")
    .args(["event", "since", "refused", "failed"])
    .required(true)
    .multiple(true))]
pub(crate) struct Arguments {
    /// An event's key; a coupon's key or code, for all its events; or a refused body's key, as
    /// `coupons refused` lists it
    #[arg(value_name = "KEY", value_parser = lookup)]
    event: Option<Lookup>,
    /// Only this task, or only one of its channels or alerts: delivery, delivery/email,
    /// fraud/alert/1
    #[arg(long, value_name = "NAME", value_parser = task_named)]
    task: Option<Named>,
    /// Only events received at this time or later, such as 2026-11-22T10:00:00Z; without a key, all
    /// such events (reads the whole table)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Read refused bodies again, as their webhooks would, with today's code: all bodies, or with
    /// --since the later ones
    #[arg(long, conflicts_with_all = ["event", "task", "force"])]
    refused: bool,
    /// Run again only records that failed for good, once you have fixed the cause. Never repeats a
    /// message that went out, may have gone out, or was skipped. Without a key: all failures (reads
    /// the whole table)
    #[arg(long, conflicts_with_all = ["refused", "force"])]
    failed: bool,
    /// Also run settled tasks (done, skipped or failed), by deleting their records first
    #[arg(long)]
    force: bool,
    /// Print what the command would send, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Time zones for the dates without a time in refused bodies, in the format of the parameter
    /// TimeZone
    #[arg(
        long,
        value_name = "ZONES",
        env = "TIME_ZONE",
        default_value = "America/Sao_Paulo"
    )]
    #[arg(value_parser = zones)]
    time_zone: Zones,
    #[command(flatten)]
    target: target::Arguments,
}

type Named = (Task, Option<String>);

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "it must be a time with its zone, such as 2026-11-22T10:00:00Z".to_owned())
}

fn zones(text: &str) -> Result<Zones, String> {
    let mut environment = Environment::of([("TIME_ZONE", text)]);
    let zones = Zones::read_zones(&mut environment);
    environment.check().map_err(|error| format!("{error:#}"))?;
    Ok(zones)
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let which = match &arguments.event {
        Some(Lookup::Code(text)) if refused::is_key(text) => {
            if arguments.task.is_some() || arguments.force || arguments.failed {
                bail!("a refused body is not an event: leave out --task, --force and --failed");
            }
            Some(refused::Which::One(text.clone()))
        }
        _ => arguments.refused.then_some(refused::Which::All {
            since: arguments.since,
        }),
    };
    if let Some(which) = which {
        return refused::replay(
            target,
            which,
            arguments.dry_run,
            arguments.json,
            &arguments.time_zone,
        )
        .await;
    }
    let replay = Replay {
        work: target.work_queue()?,
        named: arguments.task,
        force: arguments.force,
        failed: arguments.failed,
        dry_run: arguments.dry_run,
        target,
    };
    let outcomes = match &arguments.event {
        Some(lookup) => replay.coupon(lookup, arguments.since).await?,
        None if arguments.failed => replay.failed(arguments.since).await?,
        None => {
            let since = arguments.since.context("neither a key nor --since")?;
            replay.since(since).await?
        }
    };
    if arguments.json {
        say_json(&Report::new(&outcomes, arguments.dry_run))?;
    } else {
        let skipped_too = arguments.event.is_some() || arguments.failed;
        let text = describe(&outcomes, arguments.dry_run, skipped_too);
        say(&harmless(&text))?;
    }
    let failed = outcomes
        .iter()
        .any(|it| matches!(it.what, What::Failed { .. }));
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

struct Replay {
    target: Target,
    work: WorkQueue,
    /// Only this task, or only this channel or alert of a task.
    named: Option<Named>,
    force: bool,
    /// Only records that failed for good.
    failed: bool,
    dry_run: bool,
}

impl Replay {
    /// Replays the events of one coupon, or one of them.
    async fn coupon(
        &self,
        lookup: &Lookup,
        since: Option<Timestamp>,
    ) -> anyhow::Result<Vec<Outcome>> {
        let mut lives = lives(&self.target, lookup).await?;
        lives.retain(|life| !life.received.is_empty());
        let life: Life = match lives.len() {
            0 => bail!("{}", not_found(lookup)),
            1 => lives.remove(0),
            _ => {
                let coupons: Vec<_> = lives.iter().map(|life| life.coupon.as_str()).collect();
                bail!(
                    "several coupons have that code; give the key of one: {}",
                    coupons.join(", ")
                );
            }
        };
        let mut outcomes = Vec::new();
        for received in &life.received {
            if since.is_none_or(|since| is_since(received, since)) {
                outcomes.extend(self.event(received, &life.tasks).await);
            }
        }
        Ok(outcomes)
    }

    /// Replays the failures of every event, or of those received since a time.
    async fn failed(&self, since: Option<Timestamp>) -> anyhow::Result<Vec<Outcome>> {
        let coupons = failed::coupons(&self.target).await?;
        let of_coupons = stream::iter(coupons)
            .map(|coupon| async move {
                let lookup = Lookup::Key {
                    coupon,
                    entry: None,
                };
                let mut outcomes = Vec::new();
                for life in lives(&self.target, &lookup).await? {
                    for received in &life.received {
                        if since.is_none_or(|since| is_since(received, since)) {
                            outcomes.extend(self.event(received, &life.tasks).await);
                        }
                    }
                }
                // Nobody asked for the other records of these coupons.
                outcomes.retain(|it| !it.is_nothing());
                anyhow::Ok(outcomes)
            })
            .buffered(CONCURRENCY);
        of_coupons.try_concat().await
    }

    /// Replays every event received since a time.
    async fn since(&self, since: Timestamp) -> anyhow::Result<Vec<Outcome>> {
        let table = self.target.table("events")?;
        let mut pages = self
            .target
            .dynamodb
            .scan()
            .table_name(table)
            .filter_expression("received_at >= :since AND attribute_exists(provider)")
            .expression_attribute_values(":since", AttributeValue::S(beginning_of_second(since)))
            .into_paginator()
            .send();
        let progress = ProgressBar::new_spinner();
        let mut outcomes = Vec::new();
        let (mut read, mut found) = (0, 0);
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|error| self.target.explain(error))
                .with_context(|| format!("reading the table {table}"))?;
            read += page.scanned_count();
            let now = Timestamp::now();
            let mut received = Vec::new();
            for row in page.items().iter().filter(|row| !is_forgotten(row, now)) {
                received.extend(Received::read(&whole(&self.target, row).await?));
            }
            received.retain(|it| is_since(it, since));
            found += received.len();
            let of_page = stream::iter(&received)
                .map(|received| async {
                    match records(&self.target, &received.event).await {
                        Ok(records) => self.event(received, &records).await,
                        Err(error) => vec![Outcome::failed(&received.event, None, &error)],
                    }
                })
                .buffered(CONCURRENCY);
            outcomes.extend(of_page.concat().await);
            progress.set_message(format!("{read} rows read, {found} events found"));
            progress.tick();
        }
        progress.finish_and_clear();
        Ok(outcomes)
    }

    /// Replays the tasks of one event, with one message for all tasks that run again.
    async fn event(&self, received: &Received, records: &[Record]) -> Vec<Outcome> {
        let key = &received.event;
        let has_failed = |it: &Record| it.event == *key && it.failed_for_good();
        if self.failed && !records.iter().any(has_failed) {
            return vec![Outcome::skipped(key, None, failed::NOTHING.to_owned())];
        }
        let event = match received.parse() {
            Ok(event) => event,
            Err(error) => return vec![Outcome::failed(key, None, &error)],
        };
        let named = self.named.as_ref().map(|(task, _)| *task);
        let tasks = tasks(&event).iter().copied();
        let tasks: Vec<_> = tasks
            .filter(|task| named.is_none_or(|name| name == *task))
            .collect();
        if tasks.is_empty() {
            let reason = match named {
                None => "this event causes no task".to_owned(),
                Some(task) => format!("this event does not cause {}", task.name()),
            };
            return vec![Outcome::skipped(key, None, reason)];
        }
        let mut outcomes = Vec::new();
        let mut sent = Vec::new();
        let mut only = Vec::new();
        for task in tasks {
            let outcome = self.prepare(received, &event, task, records).await;
            let name = Some(task.name());
            let outcome = outcome.unwrap_or_else(|error| Outcome::failed(key, name, &error));
            if let What::Sent { repeated, .. } = &outcome.what {
                sent.push(task);
                only.extend(repeated.iter().cloned());
            }
            outcomes.push(outcome);
        }
        if !self.dry_run
            && let Err(error) = self.send(received, &event, &sent, only).await
        {
            let unsent = outcomes
                .iter_mut()
                .filter(|it| matches!(it.what, What::Sent { .. }));
            unsent.for_each(|outcome| *outcome = Outcome::failed(key, outcome.task, &error));
        }
        outcomes
    }

    /// Decides whether a task runs again, and deletes the records that would prevent it.
    async fn prepare(
        &self,
        received: &Received,
        event: &Event,
        task: Task,
        records: &[Record],
    ) -> anyhow::Result<Outcome> {
        let key = &received.event;
        let records = records.iter().filter(|it| it.is_of(key, task.name()));
        let records: Vec<_> = records.collect();
        if task == Task::Surveys && !records.is_empty() {
            // A counted survey has records, and no member gets two surveys about one use.
            let reason = "a use gets one survey, and its survey has a schedule".to_owned();
            return Ok(Outcome::skipped(key, Some(task.name()), reason));
        }
        let channel = self.named.as_ref();
        let channel = channel.and_then(|(_, channel)| channel.as_deref());
        let decision = match self.failed {
            true => failed::choose(&records, channel),
            false => decide(
                &expected(task, event, records.iter().copied()),
                channel,
                &records,
                self.force,
                Timestamp::now(),
            ),
        };
        let (forget, repeat) = match decision {
            Decision::Send { forget } => (forget, Vec::new()),
            Decision::Repeat(failed) => (Vec::new(), failed),
            Decision::Skip(reason) => return Ok(Outcome::skipped(key, Some(task.name()), reason)),
        };
        if !self.dry_run {
            for record in &forget {
                self.forget(record).await?;
            }
            for record in &repeat {
                match failed::is_of_commit(record) {
                    true => self.forget(record).await?,
                    false => failed::give_back(&self.target, record).await?,
                }
            }
        }
        Ok(Outcome {
            event: key.clone(),
            task: Some(task.name()),
            what: What::Sent {
                forgotten: names(&forget),
                repeated: names(&repeat),
            },
        })
    }

    /// Sends a message for an event's tasks, limited to the given records if there are any.
    async fn send(
        &self,
        received: &Received,
        event: &Event,
        tasks: &[Task],
        only: Vec<String>,
    ) -> anyhow::Result<()> {
        let received_at: Timestamp = received
            .received_at
            .parse()
            .with_context(|| format!("{} has no readable time of receipt", received.event))?;
        let mut message = Message::new(event, received_at, None);
        message.only = only;
        self.work.send(&message, tasks).await
    }

    /// Deletes a record unless it has changed since its reading. An absent record counts as
    /// success, because the SDK repeats a call after a lost answer.
    async fn forget(&self, record: &Record) -> anyhow::Result<()> {
        let (coupon, entry) = record
            .event
            .split_once('/')
            .with_context(|| format!("{:?} is not an event's key", record.event))?;
        let deleted = self
            .target
            .dynamodb
            .delete_item()
            .table_name(self.target.table("events")?)
            .key("coupon", AttributeValue::S(coupon.to_owned()))
            .key(
                "entry",
                AttributeValue::S(format!("{entry}/{}", record.task)),
            )
            .condition_expression("attribute_not_exists(entry) OR #status = :status")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", AttributeValue::S(record.status.clone()))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Err(anyhow!(
                    "{} changed meanwhile: look at the record, then try again",
                    record.task
                )),
                _ => Err(self
                    .target
                    .explain(error)
                    .context(format!("forgetting {}", record.task))),
            },
        }
    }
}

fn is_since(received: &Received, since: Timestamp) -> bool {
    let received_at: Result<Timestamp, _> = received.received_at.parse();
    received_at.is_ok_and(|at| at >= since)
}

/// Text that sorts before every time in the same second or later, with any number of decimals.
fn beginning_of_second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_same_second_is_never_before_it() {
        let since: Timestamp = "2026-11-22T10:00:00.5Z".parse().unwrap();
        let beginning = beginning_of_second(since);
        for later in ["2026-11-22T10:00:00Z", "2026-11-22T10:00:00.123Z"] {
            assert!(later >= beginning.as_str(), "{later}");
        }
        assert!("2026-11-22T09:59:59.999Z" < beginning.as_str());
    }
}
