//! How far the tasks of several events have come, by their records; one request reads the records
//! together.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use webhooks::event::EventKey;
use webhooks::figures::{RECORD as ANALYTICS, Tracked, TrackedKind};
use webhooks::fraud;
use webhooks::ledger::{Item, ItemKey};
use webhooks::life::text;
use webhooks::provider::aghanim;
use webhooks::task::Task;

use crate::sources::Sources;

/// How many keys a request to DynamoDB has, and how many requests run at the same time.
const KEYS: usize = 100;
const CONCURRENCY: usize = 8;

/// The types of discount that reserve a product.
const OF_A_PRODUCT: [&str; 2] = ["product_free", "buy_one_get_one"];

/// The state of a task for an event. A greater state needs more attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Skipped,
    Done,
    /// Something is missing that may still come, such as an address.
    Waiting,
    /// A worker has claimed a record, or will retry it.
    Underway,
    /// The event causes the task, and the task has left no record.
    Missing,
    Failed,
}

/// A task of an event, with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub task: &'static str,
    pub state: State,
    /// The records in this state, each with its result: `delivery/email: Bounced`.
    pub records: Vec<String>,
}

impl State {
    /// The state that a record's status means. A status of newer code counts as work in progress.
    pub fn of(status: &str) -> Self {
        match status {
            "done" => Self::Done,
            "skipped" => Self::Skipped,
            "waiting" => Self::Waiting,
            "failed" => Self::Failed,
            _ => Self::Underway,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Underway => "underway",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// The tasks of each event, in the events' order: those that the event causes, and those that left
/// a record.
pub async fn progress(
    sources: &Sources,
    events: &[&Tracked],
    now: Timestamp,
) -> anyhow::Result<Vec<Vec<Progress>>> {
    let first = events.iter().flat_map(|event| {
        let names = Task::ALL.map(|task| first_record(task, event));
        names.map(|name| (&event.key, name.to_owned()))
    });
    let mut records = Records::default();
    records.read(sources, first, now).await?;
    let then: Vec<_> = events
        .iter()
        .flat_map(|event| records.then(&event.key))
        .collect();
    let then = then.iter().map(|(key, name)| (key, name.clone()));
    records.read(sources, then, now).await?;
    let of_event = |event: &&Tracked| {
        let tasks = Task::ALL.into_iter();
        tasks.filter_map(|it| records.progress(it, event)).collect()
    };
    Ok(events.iter().map(of_event).collect())
}

/// Records by their event and their name.
#[derive(Debug, Default)]
struct Records(HashMap<(String, String), Item>);

impl Records {
    async fn read<'a>(
        &mut self,
        sources: &Sources,
        names: impl IntoIterator<Item = (&'a EventKey, String)>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let names: BTreeSet<_> = names
            .into_iter()
            .map(|(key, name)| (key.coupon().to_owned(), key.beneath(&name)))
            .collect();
        let keys: Vec<_> = names
            .iter()
            .map(|(coupon, entry)| sources.ledger.row_key(coupon, entry.as_str()))
            .collect();
        let chunks: Vec<Vec<ItemKey>> = keys.chunks(KEYS).map(<[_]>::to_vec).collect();
        let fields = ["coupon", "entry", "status", "result", "then"];
        let reads = stream::iter(chunks)
            .map(|keys| async move { sources.ledger.rows(&keys, &fields, now).await });
        let read: Vec<Vec<Item>> = reads.buffered(CONCURRENCY).try_collect().await?;
        self.0.extend(read.into_iter().flatten().filter_map(|row| {
            let key = (text(&row, "coupon")?, text(&row, "entry")?);
            Some((key, row))
        }));
        Ok(())
    }

    fn get(&self, event: &EventKey, name: &str) -> Option<&Item> {
        let key = (event.coupon().to_owned(), event.beneath(name));
        self.0.get(&key)
    }

    /// The records that must follow the known records of an event.
    fn then(&self, event: &EventKey) -> Vec<(EventKey, String)> {
        let known = Task::ALL.into_iter().flat_map(|it| it.records());
        let rows = known.filter_map(|name| self.get(event, name));
        let names = rows.filter_map(|row| text(row, "then"));
        let names: Vec<String> = names
            .flat_map(|names| names.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let names = names.into_iter().filter(|name| !name.is_empty());
        names.map(|name| (event.clone(), name)).collect()
    }

    fn progress(&self, task: Task, event: &Tracked) -> Option<Progress> {
        let is_of = |name: &str| {
            let rest = name.strip_prefix(task.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let first = first_record(task, event).to_owned();
        let then = self.then(&event.key).into_iter().map(|(_, name)| name);
        let names = std::iter::once(first).chain(then.filter(|it| is_of(it)));
        let mut states: Vec<_> = names
            .map(|name| match self.get(&event.key, &name) {
                None => (State::Missing, name),
                Some(row) => {
                    let state = State::of(&text(row, "status").unwrap_or_default());
                    let result = text(row, "result").filter(|it| !it.is_empty());
                    let said = match result {
                        Some(result) => format!("{name}: {result}"),
                        None => name,
                    };
                    (state, said)
                }
            })
            .collect();
        if !causes(task, event) && states.iter().all(|(state, _)| *state == State::Missing) {
            return None;
        }
        let worst = states.iter().map(|(state, _)| *state).max()?;
        states.retain(|(state, _)| *state == worst);
        Some(Progress {
            task: task.name(),
            state: worst,
            records: states.into_iter().map(|(_, record)| record).collect(),
        })
    }
}

/// As in [`Task::first_record`], judged by the tracked fields.
fn first_record(task: Task, event: &Tracked) -> &'static str {
    match task {
        Task::Delivery if event.provider == aghanim::NAME => "delivery/grant",
        Task::Delivery => "delivery/account",
        other => other.name(),
    }
}

/// Whether an event causes a task, judged by the tracked fields. Some tasks depend on untracked
/// fields; the page shows such a task once it has left a record.
fn causes(task: Task, event: &Tracked) -> bool {
    let kind = event.discount_type.as_deref();
    match (task.name(), event.kind) {
        ("delivery" | ANALYTICS, _) => true,
        (fraud::RECORD, kind) => kind != TrackedKind::Expired,
        ("inventory", TrackedKind::Redeemed) => kind.is_some_and(|it| OF_A_PRODUCT.contains(&it)),
        ("inventory", _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn tracked(kind: TrackedKind, discount: Option<&str>) -> Tracked {
        let key = EventKey::redeemed("zupy", "comp", "CP-1");
        let fields = serde_json::json!({
            "key": key, "kind": kind, "provider": "zupy", "tenant": "comp",
            "timestamp": "2026-11-25T12:00:00Z", "customer_id": "ZP-1", "discount_type": discount,
        });
        serde_json::from_value(fields).unwrap()
    }

    fn records(rows: &[(&str, &[(&str, &str)])]) -> Records {
        let key = EventKey::redeemed("zupy", "comp", "CP-1");
        let rows = rows.iter().map(|(name, fields)| {
            let fields = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned())));
            let key = (key.coupon().to_owned(), key.beneath(name));
            (key, fields.collect())
        });
        Records(rows.collect())
    }

    #[track_caller]
    fn check(records: &Records, task: Task, event: &Tracked, expected: Option<(State, &[&str])>) {
        let found = records.progress(task, event);
        let found = found.map(|progress| (progress.state, progress.records));
        let expected = expected.map(|(state, records)| {
            (
                state,
                records.iter().map(|&it| it.to_owned()).collect::<Vec<_>>(),
            )
        });
        assert_eq!(found, expected, "{task:?}");
    }

    #[test]
    fn the_worst_record_stands_for_its_task() {
        let records = records(&[
            (
                "delivery/account",
                &[("status", "done"), ("then", "delivery/email delivery/sms")],
            ),
            (
                "delivery/email",
                &[("status", "failed"), ("result", "Bounced")],
            ),
            ("inventory", &[("status", "released")]),
        ]);
        let event = tracked(TrackedKind::Redeemed, Some("product_free"));
        let failed: &[_] = &["delivery/email: Bounced"];
        check(
            &records,
            Task::Delivery,
            &event,
            Some((State::Failed, failed)),
        );
        let underway: &[_] = &["inventory"];
        check(
            &records,
            Task::Inventory,
            &event,
            Some((State::Underway, underway)),
        );
        let missing: &[_] = &["fraud"];
        check(
            &records,
            Task::Fraud,
            &event,
            Some((State::Missing, missing)),
        );
    }

    #[test]
    fn a_record_that_is_to_follow_is_missing_until_it_is_there() {
        let records = records(&[(
            "delivery/account",
            &[("status", "done"), ("then", "delivery/email")],
        )]);
        let event = tracked(TrackedKind::Redeemed, None);
        let missing: &[_] = &["delivery/email"];
        check(
            &records,
            Task::Delivery,
            &event,
            Some((State::Missing, missing)),
        );
    }

    #[test]
    fn a_task_that_an_event_does_not_cause_is_not_missing() {
        let none = Records::default();
        check(
            &none,
            Task::Inventory,
            &tracked(TrackedKind::Redeemed, Some("percentage")),
            None,
        );
        check(
            &none,
            Task::Fraud,
            &tracked(TrackedKind::Expired, None),
            None,
        );
        let missing: &[_] = &["inventory"];
        let used = tracked(TrackedKind::Used, None);
        check(
            &none,
            Task::Inventory,
            &used,
            Some((State::Missing, missing)),
        );
    }
}
