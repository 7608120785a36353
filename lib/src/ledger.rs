//! The events table: one conditional write records an event, a lease guards each effect outside, and a
//! transaction binds each effect inside DynamoDB to the record of its task.
//!
//! Invariant: every write here is conditional on what it believes, and may be repeated by the SDK after an answer
//! was lost. So each carries an id of its own, by which a refusal is recognised as our own earlier success.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::config::{Aws, CallLimits, Environment};
use crate::event::{Event, EventKey, Fact};
use crate::provider::RecordedBody;
use crate::task::Task;
use crate::verify::Verified;

pub type Item = HashMap<String, AttributeValue>;

/// The events table.
#[derive(Debug, Clone)]
pub struct Ledger {
    client: Client,
    table: String,
    retention: SignedDuration,
}

/// What the ledger knew of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Recorded {
    New,
    /// Recorded before, with the same contents.
    Duplicate,
    /// Something else is recorded under the key, or the same as an older version of this code hashed it:
    /// the body that was recorded decides.
    Differs(OwnedBody),
}

/// A body as a row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedBody {
    provider: String,
    scheme: String,
    tenant: String,
    body: String,
}

impl OwnedBody {
    fn of(row: &Item) -> Self {
        let field = |name: &str| read_text(row, name).cloned().unwrap_or_default();
        Self {
            provider: field("provider"),
            scheme: field("scheme"),
            tenant: field("tenant"),
            body: field("body"),
        }
    }

    pub fn as_ref(&self) -> RecordedBody<'_> {
        RecordedBody {
            provider: &self.provider,
            scheme: &self.scheme,
            tenant: &self.tenant,
            body: &self.body,
        }
    }
}

/// An event with tasks that SQS did not take.
#[derive(Debug, Clone)]
pub struct Undispatched {
    pub key: EventKey,
    pub tasks: Vec<Task>,
    pub body: OwnedBody,
    pub received_at: Timestamp,
    /// The tasks as the row names them.
    named: String,
}

/// What came of committing effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    Now,
    /// The record was there already, and so are the effects.
    Before,
    /// An effect's own condition does not hold: nothing was made.
    Overtaken,
}

/// What came of claiming an effect.
#[derive(Debug)]
pub enum Claim {
    /// It is ours to make, until the lease ends.
    Granted(Lease),
    /// It was made, or given up for good.
    Settled,
    /// Another worker has the lease.
    Taken { until: Timestamp },
}

/// The right to make one effect. Only its owner can settle it.
#[derive(Debug)]
pub struct Lease {
    ledger: Ledger,
    coupon: String,
    entry: String,
    owner: String,
}

/// How an effect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Done,
    /// There was nothing to do.
    Skipped,
    /// It can never be done; the reason is recorded.
    Failed,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Skipped => "skipped",
            Status::Failed => "failed",
        }
    }
}

/// The sparse index of rows whose tasks wait to be dispatched, and the one value of its partition key: rows are there
/// only during an outage, so one partition holds them.
const OUTBOX_INDEX: &str = "outbox";
const OUTBOX: &str = "waiting";
/// How many are sent at a time.
const OUTBOX_AT_A_TIME: i32 = 25;

/// Longest time that a coupon without a real end is remembered for: personal data are not kept for ever.
const REMEMBERED_MAX: SignedDuration = SignedDuration::from_hours(24 * 365 * 5);

/// How long a worker waits for another's lease.
const CLAIM_WAIT: Duration = Duration::from_secs(3);

/// The waits between attempts to settle a lease, each of which has the SDK's own attempts within it.
const SETTLE_PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2000),
    Duration::from_millis(4000),
    Duration::from_millis(6000),
];

/// Status of a record whose effect is being made.
const RUNNING: &str = "running";
/// Status of a record whose effect failed for now and may be claimed again.
const RELEASED: &str = "released";

impl Ledger {
    pub fn read(environment: &mut Environment, aws: &Aws, limits: CallLimits) -> Self {
        Self {
            client: Client::new(&aws.sdk_config(limits)),
            table: environment.text("EVENTS_TABLE"),
            retention: SignedDuration::from_hours(24 * environment.number("RETENTION_DAYS", 1)),
        }
    }

    /// How long an event is remembered.
    pub fn retention(&self) -> SignedDuration {
        self.retention
    }

    /// Records an event unless it is there: one conditional write.
    pub async fn record(
        &self,
        event: &Event,
        body: &Verified<'_>,
        now: Timestamp,
    ) -> anyhow::Result<Recorded> {
        let attempt = unique_id();
        let hash = content_hash(event);
        let refused = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(self.row(event, body, &hash, &attempt, now)?))
            .condition_expression("attribute_not_exists(entry) OR #ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", number(now.as_second()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let recorded = match refused {
            Ok(_) => return Ok(Recorded::New),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    refusal.item().cloned().unwrap_or_default()
                }
                _ => return Err(anyhow!(error).context("recording the event")),
            },
        };
        if read_text(&recorded, "attempt") == Some(&attempt) {
            return Ok(Recorded::New);
        }
        if read_text(&recorded, "hash") == Some(&hash) {
            return Ok(Recorded::Duplicate);
        }
        Ok(Recorded::Differs(OwnedBody::of(&recorded)))
    }

    /// Writes on an event's row which tasks SQS did not take. The mark puts the row into the index that the outbox reads.
    pub async fn mark_undispatched(&self, key: &EventKey, tasks: &[Task]) -> anyhow::Result<()> {
        let names: Vec<_> = tasks.iter().map(|task| task.name()).collect();
        self.client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(key.coupon()))
            .key("entry", text(key.entry()))
            .update_expression("SET outbox = :outbox, undispatched = :tasks")
            .condition_expression("attribute_exists(entry)")
            .expression_attribute_values(":outbox", text(OUTBOX))
            .expression_attribute_values(":tasks", text(names.join(" ")))
            .send()
            .await
            .context("marking the tasks as undispatched")?;
        Ok(())
    }

    /// A page of the events whose tasks wait in the outbox, the oldest first, and where the next one begins.
    pub async fn undispatched(
        &self,
        from: Option<Item>,
    ) -> anyhow::Result<(Vec<Undispatched>, Option<Item>)> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OUTBOX_INDEX)
            .key_condition_expression("outbox = :outbox")
            .expression_attribute_values(":outbox", text(OUTBOX))
            .set_exclusive_start_key(from)
            .limit(OUTBOX_AT_A_TIME)
            .send()
            .await
            .context("reading the outbox")?;
        let rows = page.items().iter().filter_map(read_undispatched).collect();
        Ok((rows, page.last_evaluated_key))
    }

    /// Takes an event out of the outbox, unless other tasks were written on it meanwhile.
    pub async fn clear_undispatched(&self, sent: &Undispatched) -> anyhow::Result<()> {
        let cleared = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(sent.key.coupon()))
            .key("entry", text(sent.key.entry()))
            .update_expression("REMOVE outbox, undispatched")
            .condition_expression("undispatched = :tasks")
            .expression_attribute_values(":tasks", text(&sent.named))
            .send()
            .await;
        match cleared {
            Err(error) => refused_item(error)
                .map(|_| ())
                .context("clearing the outbox's mark"),
            Ok(_) => Ok(()),
        }
    }

    /// Those of an event's tasks that have left no record: their messages may have been lost.
    pub async fn without_record(
        &self,
        key: &EventKey,
        tasks: &[Task],
    ) -> anyhow::Result<Vec<Task>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let records = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("coupon = :coupon AND begins_with(entry, :beneath)")
            .expression_attribute_values(":coupon", text(key.coupon()))
            .expression_attribute_values(":beneath", text(key.beneath("")))
            .projection_expression("entry")
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .context("looking for the tasks' records")?;
        let seen = |task: &Task| {
            let record = key.beneath(task.name());
            records
                .iter()
                .filter_map(|row| row.get("entry")?.as_s().ok())
                .any(|entry| {
                    entry
                        .strip_prefix(&record)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
        };
        Ok(tasks.iter().copied().filter(|task| !seen(task)).collect())
    }

    /// Keeps a body that contradicts the recorded one, for support. The first of its kind stays.
    pub async fn keep_conflict(
        &self,
        event: &Event,
        body: &Verified<'_>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let hash = content_hash(event);
        let entry = event.key.beneath(&format!("conflict/{}", &hash[..16]));
        let kept = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("coupon", text(event.key.coupon()))
            .item("entry", text(entry))
            .item("hash", text(hash))
            .item("scheme", text(body.scheme()))
            .item("body", text(utf8(body)?))
            .item("received_at", text(now.to_string()))
            .item("ttl", self.forget_at(event, now))
            .condition_expression("attribute_not_exists(entry)")
            .send()
            .await;
        match kept {
            Err(error) if !is_refused_put(&error) => {
                Err(anyhow!(error).context("keeping the conflicting payload"))
            }
            _ => Ok(()),
        }
    }

    /// Claims an effect outside DynamoDB before it is made. Where another worker has the lease, waits a little:
    /// most effects take less than a second, and giving the message back costs its visibility timeout.
    pub async fn claim(
        &self,
        event: &Event,
        name: &str,
        until: Timestamp,
    ) -> anyhow::Result<Claim> {
        let give_up_at = Instant::now() + CLAIM_WAIT;
        let mut pause = Duration::from_millis(50);
        loop {
            let claim = self.try_claim(event, name, Timestamp::now(), until).await?;
            if !matches!(claim, Claim::Taken { .. }) || Instant::now() + pause > give_up_at {
                return Ok(claim);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_claim(
        &self,
        event: &Event,
        name: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> anyhow::Result<Claim> {
        let owner = unique_id();
        let entry = event.key.beneath(name);
        let claimed = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(event.key.coupon()))
            .key("entry", text(&entry))
            .update_expression(
                "SET #status = :running, #owner = :owner, lease_until_ms = :until, #ttl = :ttl, \
                 attempts = if_not_exists(attempts, :zero) + :one, \
                 started_at = if_not_exists(started_at, :started_at)",
            )
            .condition_expression(
                "attribute_not_exists(entry) OR #status = :released OR #ttl <= :now_s OR \
                 (#status = :running AND (lease_until_ms <= :now_ms OR #owner = :owner))",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":running", text(RUNNING))
            .expression_attribute_values(":released", text(RELEASED))
            .expression_attribute_values(":owner", text(&owner))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":now_ms", number(now.as_millisecond()))
            .expression_attribute_values(":now_s", number(now.as_second()))
            .expression_attribute_values(":ttl", self.forget_at(event, now))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":started_at", text(now.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let found = match claimed {
            Ok(_) => {
                return Ok(Claim::Granted(Lease {
                    ledger: self.clone(),
                    coupon: event.key.coupon().to_owned(),
                    entry,
                    owner,
                }));
            }
            Err(error) => {
                refused_item(error).with_context(|| format!("claiming {}/{name}", event.key))?
            }
        };
        if is(&found, "status", RUNNING) {
            let until = found.get("lease_until_ms").and_then(|ms| ms.as_n().ok());
            let until = until
                .and_then(|ms| ms.parse().ok())
                .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                .unwrap_or(until_unknown(now));
            return Ok(Claim::Taken { until });
        }
        Ok(Claim::Settled)
    }

    /// Makes effects inside DynamoDB, together with the record that says so: both or neither, once.
    pub async fn commit(
        &self,
        event: &Event,
        name: &str,
        effects: Vec<TransactWriteItem>,
        now: Timestamp,
    ) -> anyhow::Result<Committed> {
        let record = Put::builder()
            .table_name(&self.table)
            .item("coupon", text(event.key.coupon()))
            .item("entry", text(event.key.beneath(name)))
            .item("status", text(Status::Done.name()))
            .item("finished_at", text(now.to_string()))
            .item("ttl", self.forget_at(event, now))
            .condition_expression("attribute_not_exists(entry) OR #ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", number(now.as_second()))
            .build()?;
        let committed = self
            .client
            .transact_write_items()
            .set_transact_items(Some(
                std::iter::once(TransactWriteItem::builder().put(record).build())
                    .chain(effects)
                    .collect(),
            ))
            .send()
            .await;
        let error = match committed {
            Ok(_) => return Ok(Committed::Now),
            Err(error) => error,
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        {
            let reasons = cancelled.cancellation_reasons().iter();
            let refused: Vec<_> = reasons
                .map(|reason| reason.code() == Some("ConditionalCheckFailed"))
                .collect();
            match refused.iter().position(|refused| *refused) {
                Some(0) => return Ok(Committed::Before),
                Some(_) => return Ok(Committed::Overtaken),
                None => {}
            }
        }
        Err(anyhow!(error).context(format!("committing {}/{name}", event.key)))
    }

    /// When an event and its records are forgotten: after the retention, counted for a redemption from the day
    /// its coupon expires, because uses come late and need it.
    pub fn forget_at(&self, event: &Event, now: Timestamp) -> AttributeValue {
        let longest = now.checked_add(REMEMBERED_MAX).unwrap_or(Timestamp::MAX);
        let last_needed = match &event.fact {
            Fact::Redeemed(redemption) => redemption
                .expires_at
                .map_or(now, |at| at.clamp(now, longest)),
            _ => now,
        };
        let at = last_needed.checked_add(self.retention);
        number(at.unwrap_or(Timestamp::MAX).as_second())
    }

    /// The event's row: what later events and support look up, and the body for a replay.
    fn row(
        &self,
        event: &Event,
        body: &Verified<'_>,
        hash: &str,
        attempt: &str,
        now: Timestamp,
    ) -> anyhow::Result<Item> {
        let mut row = Row::default();
        row.set("coupon", Some(event.key.coupon()));
        row.set("entry", Some(event.key.entry()));
        row.set("provider", Some(&event.provider));
        row.set("tenant", Some(&event.tenant));
        row.set("member", Some(&event.member.id));
        row.set("occurred_at", Some(event.occurred_at));
        row.set("received_at", Some(now));
        row.set("code", Some(event.fact.coupon_code()));
        match &event.fact {
            Fact::Redeemed(redemption) => {
                row.copy("reward_id", redemption.reward.id.as_ref());
                row.copy("reward_name", redemption.reward.name.as_ref());
                row.set("expires_at", redemption.expires_at);
                let discount = redemption.discount.as_ref();
                row.json(
                    "discount",
                    discount.filter(|it| it.kind.text().len() <= COPY_MAX_BYTES),
                );
            }
            Fact::Used(usage) => {
                row.set("order_id", usage.order_id.as_ref());
                row.copy("location", usage.location.as_ref());
            }
            Fact::Cancelled(notice) | Fact::Expiring(notice) | Fact::Expired(notice) => {
                row.copy("reward_name", notice.reward_name.as_ref());
                row.set("expires_at", notice.expires_at);
            }
        }
        if event.sandbox {
            row.0.insert("sandbox".into(), AttributeValue::Bool(true));
        }
        row.set("hash", Some(hash));
        row.set("attempt", Some(attempt));
        row.set("scheme", Some(body.scheme()));
        row.set("body", Some(utf8(body)?));
        row.0.insert("ttl".into(), self.forget_at(event, now));
        Ok(row.0)
    }
}

impl Lease {
    /// Records how the effect ended, with a word on it: a message id, a reason. Nothing happens where the lease
    /// has passed to another owner meanwhile.
    pub async fn settle(self, status: Status, result: &str) -> anyhow::Result<()> {
        self.update(status.name(), result).await
    }

    /// Lets go of the effect after a failure that may pass, so that the next attempt need not wait for the
    /// lease's end.
    pub async fn release(self, reason: &str) -> anyhow::Result<()> {
        self.update(RELEASED, reason).await
    }

    /// Tries for a while: once the effect is made, a word that is not recorded makes it twice.
    async fn update(self, status: &str, result: &str) -> anyhow::Result<()> {
        let mut outcome = self.try_update(status, result).await;
        for pause in SETTLE_PAUSES {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            outcome = self.try_update(status, result).await;
        }
        outcome
    }

    async fn try_update(&self, status: &str, result: &str) -> anyhow::Result<()> {
        let updated = self
            .ledger
            .client
            .update_item()
            .table_name(&self.ledger.table)
            .key("coupon", text(&self.coupon))
            .key("entry", text(&self.entry))
            .update_expression(
                "SET #status = :status, #result = :result, finished_at = :now REMOVE lease_until_ms",
            )
            .condition_expression("#owner = :owner AND #status = :running")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#result", "result")
            .expression_attribute_values(":status", text(status))
            .expression_attribute_values(":running", text(RUNNING))
            .expression_attribute_values(":owner", text(&self.owner))
            .expression_attribute_values(":result", text(result))
            .expression_attribute_values(":now", text(Timestamp::now().to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = updated else { return Ok(()) };
        let found = refused_item(error)
            .with_context(|| format!("settling {}/{}", self.coupon, self.entry))?;
        if !is(&found, "owner", &self.owner) {
            tracing::warn!(
                record.coupon = self.coupon,
                record.entry = self.entry,
                "The lease had passed to another worker; its word counts"
            );
        }
        Ok(())
    }
}

/// What an event says, without what may differ between two deliveries of it: times of sending and ids of requests.
pub fn content_hash(event: &Event) -> String {
    #[derive(Serialize)]
    struct Content<'a> {
        sandbox: bool,
        member: &'a crate::event::Member,
        fact: &'a Fact,
    }
    let content = Content {
        sandbox: event.sandbox,
        member: &event.member,
        fact: &event.fact,
    };
    let content = serde_json::to_vec(&content).expect("an event holds nothing that JSON cannot");
    hex::encode(Sha256::digest(content))
}

/// An id that no other attempt has.
fn unique_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// A lease without a legible end is one of another version of this code; it is looked at again soon.
fn until_unknown(now: Timestamp) -> Timestamp {
    now + SignedDuration::from_secs(30)
}

fn refused_item(error: SdkError<UpdateItemError>) -> anyhow::Result<Item> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
            Ok(refusal.item().cloned().unwrap_or_default())
        }
        _ => Err(anyhow!(error)),
    }
}

fn is_refused_put(error: &SdkError<PutItemError>) -> bool {
    matches!(
        error.as_service_error(),
        Some(PutItemError::ConditionalCheckFailedException(_))
    )
}

fn read_undispatched(row: &Item) -> Option<Undispatched> {
    let named = read_text(row, "undispatched")?;
    // A task that only newer code knows stays for newer code.
    let tasks = named.split(' ').map(Task::named).collect::<Option<_>>()?;
    Some(Undispatched {
        key: EventKey::recorded(read_text(row, "coupon")?, read_text(row, "entry")?),
        tasks,
        body: OwnedBody::of(row),
        received_at: read_text(row, "received_at")?.parse().ok()?,
        named: named.to_owned(),
    })
}

fn utf8<'a>(body: &Verified<'a>) -> anyhow::Result<&'a str> {
    std::str::from_utf8(body.body()).context("a body that was parsed is UTF-8")
}

fn is(item: &Item, name: &str, value: &str) -> bool {
    read_text(item, name).is_some_and(|found| found == value)
}

fn read_text<'a>(item: &'a Item, name: &str) -> Option<&'a String> {
    item.get(name)?.as_s().ok()
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A row in the making: what is missing is left out.
#[derive(Debug, Default)]
pub struct Row(pub Item);

/// Longest copy of a field beside the body it was read from. Together they stay below DynamoDB's 400 KB.
const COPY_MAX_BYTES: usize = 4096;

impl Row {
    /// Sets a field for looking up what the body says too; one that is too long to be of use is cut.
    pub fn copy(&mut self, name: &str, value: Option<&String>) {
        let cut = |value: &String| {
            let end = value.floor_char_boundary(COPY_MAX_BYTES);
            value[..end].to_owned()
        };
        self.set(name, value.map(cut));
    }

    pub fn set(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.insert(name.into(), text(value.to_string()));
        }
    }

    pub fn json(&mut self, name: &str, value: Option<impl Serialize>) {
        self.set(
            name,
            value.and_then(|value| serde_json::to_string(&value).ok()),
        );
    }
}
