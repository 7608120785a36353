//! Commits: one transaction makes effects inside DynamoDB together with their record, exactly once.
//!
//! A batch of events is one commit. If several events add to one item, one update adds their sum.
//! As many events share a transaction as fit. Only an event's own record says whether its effects
//! were made. So a batch may be repeated in other groups, after a lost answer or a crash half way
//! through.

mod change;
mod effects;
mod transaction;

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Ledger, unique_id};
use crate::event::EventKey;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::row::{is, number, text};

pub use change::{Change, ItemKey};
use effects::Once;
pub use effects::{Attached, Effects, version};
use transaction::{Owner, Part, split, writes};

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// This commit made the effects.
    Now,
    /// The record existed before, so the effects were made before.
    Before,
    /// A change's condition does not hold, or the version has changed. Nothing was made.
    Overtaken,
}

/// Why effects were not committed.
#[derive(Debug, thiserror::Error)]
pub enum Uncommitted {
    /// A later attempt may succeed. The later attempt also finds out whether this one succeeded
    /// without an answer.
    #[error(transparent)]
    ForNow(anyhow::Error),
    /// DynamoDB refuses these effects always, also in a transaction of their own.
    #[error(transparent)]
    Ever(anyhow::Error),
}

impl From<Uncommitted> for Failure {
    fn from(uncommitted: Uncommitted) -> Self {
        match uncommitted {
            Uncommitted::ForNow(error) => Self::Transient(error),
            Uncommitted::Ever(error) => Self::Permanent(error),
        }
    }
}

/// The time before an invocation's end after which no transaction begins. A transaction under way
/// and the work after it fit into this time.
const MARGIN: Duration = Duration::from_secs(14);

/// The first and the longest pause before a retry, after DynamoDB throttled a transaction, or after
/// two transactions met.
const PAUSE_FIRST: Duration = Duration::from_millis(40);
const PAUSE_MAX: Duration = Duration::from_secs(2);

impl Ledger {
    /// Makes one event's effects together with their record: both or neither, once.
    ///
    /// # Errors
    /// The effects were not committed; the variant says whether a later attempt may succeed.
    pub async fn commit(
        &self,
        effects: Effects<'_>,
        invocation: Invocation,
    ) -> Result<Committed, Uncommitted> {
        let mut outcomes = self.commit_all(&[effects], invocation).await;
        outcomes.pop().expect("there is an outcome for each event")
    }

    /// Makes the effects of a batch of events, each with its record: both or neither, once. Returns
    /// one outcome for each event, in the order of the events. No event keeps another from being
    /// committed.
    pub async fn commit_all(
        &self,
        effects: &[Effects<'_>],
        invocation: Invocation,
    ) -> Vec<Result<Committed, Uncommitted>> {
        let now = invocation.now();
        let mut commit = Commit {
            ledger: self,
            parts: Vec::with_capacity(effects.len()),
            names: Vec::with_capacity(effects.len()),
            attempts: Vec::with_capacity(effects.len()),
            refused: Vec::with_capacity(effects.len()),
            replaces: Vec::with_capacity(effects.len()),
            outcomes: Vec::with_capacity(effects.len()),
            end: invocation.before_end(MARGIN),
        };
        let mut fit = Vec::with_capacity(effects.len());
        // The index of each event among the parts, if the event can be a part.
        let places: Vec<_> = effects
            .iter()
            .map(|effects| match commit.take(effects, now) {
                Ok(()) => {
                    fit.push(fit.len());
                    Ok(fit.len() - 1)
                }
                Err(unfit) => Err(unfit),
            })
            .collect();
        for members in split(&commit.parts, fit) {
            commit.make(members).await;
        }
        let outcomes = places.into_iter().map(|place| {
            let outcome = commit.outcomes[place?].take();
            outcome.expect("every part was in a transaction, and each has an outcome")
        });
        let mut outcomes: Vec<_> = outcomes.collect();
        self.keep_committed(effects, &mut outcomes, now).await;
        outcomes
    }

    /// Keeps committed records as long as their events. A record that existed before needs this
    /// step too, because its worker may have died before it.
    async fn keep_committed(
        &self,
        effects: &[Effects<'_>],
        outcomes: &mut [Result<Committed, Uncommitted>],
        now: Timestamp,
    ) {
        let fail = |outcome: &mut Result<Committed, Uncommitted>, error: &anyhow::Error| {
            *outcome = Err(Uncommitted::ForNow(anyhow!("{error:#}")));
        };
        let is_there = |effects: &Effects<'_>, outcome: &Result<Committed, Uncommitted>| {
            let is_record = matches!(effects.once, Once::Record | Once::Replaces(_));
            is_record && matches!(outcome, Ok(Committed::Now | Committed::Before))
        };
        let records: Vec<_> = effects
            .iter()
            .zip(outcomes.iter())
            .filter(|(effects, outcome)| is_there(effects, outcome))
            .map(|(effects, _)| (effects.event, &*effects.name))
            .collect();
        if !records.is_empty()
            && let Err(error) = self.keep_up(&records, now).await
        {
            for (effects, outcome) in effects.iter().zip(outcomes.iter_mut()) {
                if is_there(effects, outcome) {
                    fail(outcome, &error);
                }
            }
        }
        for (effects, outcome) in effects.iter().zip(outcomes.iter_mut()) {
            if !matches!(outcome, Ok(Committed::Now)) {
                continue;
            }
            for change in &effects.changes {
                if let Some(until) = change.keeps_until
                    && let Err(error) = self.keep_beneath(&change.item, until, now).await
                {
                    fail(outcome, &error);
                }
            }
        }
    }
}

/// A commit under way.
struct Commit<'a> {
    ledger: &'a Ledger,
    parts: Vec<Part>,
    names: Vec<Name<'a>>,
    /// An id for each part. If a record has that id, this commit wrote the record.
    attempts: Vec<String>,
    /// For each part, the outcome if DynamoDB refuses its record and another commit wrote it.
    refused: Vec<Committed>,
    /// For each part, whether another row may hold the place of its record.
    replaces: Vec<bool>,
    outcomes: Vec<Option<Result<Committed, Uncommitted>>>,
    /// The moment after which no transaction begins.
    end: Instant,
}

/// The record that a part writes, for the log.
#[derive(Debug, Clone)]
struct Name<'a>(&'a EventKey, Cow<'a, str>);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

/// The outcome of one transaction.
enum Sent {
    Committed,
    /// Some parts have their outcome. The others may be committed without them.
    Without(Vec<(usize, Result<Committed, Uncommitted>)>),
    /// Another transaction is in the way, or DynamoDB is throttling.
    Busy(anyhow::Error),
    /// DynamoDB refuses some part and does not say which.
    Invalid(String),
    Failed(anyhow::Error),
}

impl<'a> Commit<'a> {
    fn take(&mut self, effects: &Effects<'a>, now: Timestamp) -> Result<(), Uncommitted> {
        let Effects { event, name, .. } = effects;
        let attempt = unique_id();
        let entry = match &effects.once {
            Once::Record | Once::Replaces(_) => event.key.beneath(name),
            Once::Version(_) => name.to_string(),
        };
        let item = self.ledger.row_key(event.key.coupon(), entry);
        let until = self.ledger.kept_until(event, effects.until, now);
        let mut fields = item.attributes();
        fields.extend(effects.fields.0.clone());
        if let Once::Record | Once::Replaces(_) = effects.once {
            fields.insert("status".to_owned(), text(effects.status.name()));
        }
        fields.extend([
            ("attempt".to_owned(), text(&attempt)),
            ("finished_at".to_owned(), text(now.to_string())),
            ("ttl".to_owned(), number(until)),
        ]);
        let record = Put::builder()
            .table_name(&self.ledger.table)
            .set_item(Some(fields.clone()));
        let record = match &effects.once {
            Once::Record => record
                .condition_expression("attribute_not_exists(entry) OR #ttl <= :now")
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":now", number(now.as_second())),
            Once::Version(None) | Once::Replaces(None) => record
                .condition_expression("attribute_not_exists(entry) OR #ttl <= :now")
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":now", number(now.as_second())),
            Once::Version(Some(seen)) | Once::Replaces(Some(seen)) => record
                .condition_expression("attempt = :seen")
                .expression_attribute_values(":seen", text(seen)),
        };
        let record = record
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .expect("a record names its table and its item");
        let name = Name(&event.key, name.clone());
        let part = Part::new(item, record, &fields, &effects.changes)
            .map_err(|unfit| Uncommitted::Ever(anyhow!("{name} cannot be committed: {unfit}")))?;
        self.parts.push(part);
        self.names.push(name);
        self.attempts.push(attempt);
        self.refused.push(match effects.once {
            Once::Record => Committed::Before,
            Once::Version(_) | Once::Replaces(_) => Committed::Overtaken,
        });
        self.replaces
            .push(matches!(effects.once, Once::Replaces(_)));
        self.outcomes.push(None);
        Ok(())
    }

    /// Makes one transaction of these parts, or several if DynamoDB refuses them together.
    async fn make(&mut self, members: Vec<usize>) {
        let mut waiting = vec![members];
        while let Some(mut members) = waiting.pop() {
            let mut pause = PAUSE_FIRST;
            while !members.is_empty() {
                match self.send(&members).await {
                    Sent::Committed => self.settle(&members, || Ok(Committed::Now)),
                    Sent::Without(settled) => {
                        for (member, outcome) in settled {
                            members.retain(|other| *other != member);
                            self.outcomes[member] = Some(outcome);
                        }
                        continue;
                    }
                    Sent::Busy(_) if Instant::now() + pause < self.end => {
                        // The pause is random, so that two transactions that met do not meet again.
                        let spread = 0.5 + 0.5 * fastrand::f64();
                        tokio::time::sleep(pause.mul_f64(spread)).await;
                        pause = PAUSE_MAX.min(pause * 2);
                        continue;
                    }
                    Sent::Busy(error) | Sent::Failed(error) => {
                        let error = format!("{error:#}");
                        self.settle(&members, || Err(Uncommitted::ForNow(anyhow!("{error}"))));
                    }
                    Sent::Invalid(code) if members.len() == 1 => self.settle(&members, || {
                        Err(Uncommitted::Ever(anyhow!(
                            "DynamoDB does not accept it: {code}"
                        )))
                    }),
                    // Halves isolate the refused part, which then fails alone.
                    Sent::Invalid(_) => {
                        let half = members.split_off(members.len() / 2);
                        waiting.push(half);
                        continue;
                    }
                }
                break;
            }
        }
    }

    fn settle(&mut self, members: &[usize], outcome: impl Fn() -> Result<Committed, Uncommitted>) {
        for &member in members {
            let name = &self.names[member];
            let outcome = outcome().map_err(|uncommitted| match uncommitted {
                Uncommitted::ForNow(error) => {
                    Uncommitted::ForNow(error.context(format!("committing {name}")))
                }
                Uncommitted::Ever(error) => {
                    Uncommitted::Ever(error.context(format!("committing {name}")))
                }
            });
            self.outcomes[member] = Some(outcome);
        }
    }

    async fn send(&self, members: &[usize]) -> Sent {
        if Instant::now() >= self.end {
            return Sent::Failed(anyhow!("no time is left"));
        }
        let (writes, owners) = match writes(&self.parts, members) {
            Ok(writes) => writes,
            Err(error) => return Sent::Failed(error),
        };
        match self.transact(writes).await {
            Ok(()) => Sent::Committed,
            Err(error) => self.judge(error, &owners),
        }
    }

    async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<(), SdkError<TransactWriteItemsError>> {
        let transaction = self.ledger.client.transact_write_items();
        transaction.set_transact_items(Some(writes)).send().await?;
        Ok(())
    }

    fn judge(&self, error: SdkError<TransactWriteItemsError>, owners: &[Owner]) -> Sent {
        let cancelled = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled,
            _ => return judge_whole(error),
        };
        let reasons = owners.iter().zip(cancelled.cancellation_reasons());
        let verdicts = reasons
            .clone()
            .filter_map(|(owner, reason)| self.verdict(*owner, reason));
        let mut settled: Vec<(usize, Result<Committed, Uncommitted>)> = Vec::new();
        for (member, outcome) in verdicts {
            // A part's record comes first among its items, and the record's reason decides.
            if settled.last().is_none_or(|(last, _)| *last != member) {
                settled.push((member, outcome));
            }
        }
        if !settled.is_empty() {
            return Sent::Without(settled);
        }
        let invalid = reasons.clone().any(|(_, reason)| is_invalid(reason));
        if invalid {
            return Sent::Invalid(VALIDATION_ERROR.to_owned());
        }
        Sent::Busy(anyhow!(error))
    }

    /// The outcome that a cancellation reason gives a part, if it gives one.
    fn verdict(
        &self,
        owner: Owner,
        reason: &CancellationReason,
    ) -> Option<(usize, Result<Committed, Uncommitted>)> {
        let refused = reason.code() == Some("ConditionalCheckFailed");
        match owner {
            Owner::RecordOf(member) if refused => {
                let found = reason.item();
                let is_ours = found.is_some_and(|it| is(it, "attempt", &self.attempts[member]));
                let is_record = found.is_some_and(|it| it.contains_key("status"));
                let committed = if is_ours {
                    Committed::Now
                } else if self.replaces[member] && is_record {
                    Committed::Before
                } else {
                    self.refused[member]
                };
                Some((member, Ok(committed)))
            }
            Owner::ChangeOf(member) if refused => Some((member, Ok(Committed::Overtaken))),
            Owner::RecordOf(member) | Owner::ChangeOf(member) if is_invalid(reason) => {
                let name = &self.names[member];
                let error = anyhow!("committing {name}: DynamoDB does not accept it");
                Some((member, Err(Uncommitted::Ever(error))))
            }
            _ => None,
        }
    }
}

/// The reason's code if DynamoDB does not accept the item.
const VALIDATION_ERROR: &str = "ValidationError";

fn is_invalid(reason: &CancellationReason) -> bool {
    let codes = [VALIDATION_ERROR, "ItemCollectionSizeLimitExceeded"];
    reason.code().is_some_and(|code| codes.contains(&code))
}

/// Reads an error about the whole transaction. The error's text may quote contents, so it is not
/// passed on then.
fn judge_whole(error: SdkError<TransactWriteItemsError>) -> Sent {
    match error.code() {
        Some(code @ "ValidationException") => Sent::Invalid(code.to_owned()),
        Some(
            "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "ThrottlingException"
            | "TransactionInProgressException",
        ) => Sent::Busy(anyhow!(error)),
        _ => Sent::Failed(anyhow!(error)),
    }
}
