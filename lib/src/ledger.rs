//! The events table. One conditional write records an event, a lease guards each effect outside,
//! and a transaction binds each effect inside DynamoDB to its task's record.
//!
//! Invariant: every write here is conditional on the state that it expects, and the SDK may repeat
//! it after a lost answer. So every write carries an id of its own: by that id we recognise that a
//! refused write had succeeded before.

pub mod body;
mod commit;
mod contents;
mod lease;
mod lifetime;
mod outbox;
mod progress;
mod read;
mod refused;
mod row;
mod together;
mod uses;

use anyhow::{Context, anyhow, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};

use crate::config::{Aws, CallLimits, Environment};
use crate::event::{Event, EventKey, Fact};
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::task::Task;
use crate::verify::Verified;

pub use commit::{Change, Committed, Effects, ItemKey, Uncommitted, version};
pub use contents::content_hash;
pub use lease::{Claim, Lease, Note};
pub use lifetime::{forgotten_from, is_forgotten};
pub use outbox::{MARK, OutboxPage, OutboxPlace, Undispatched};
pub use progress::Progress;
pub use read::{read_all, read_conflict, read_event};
pub use refused::{REFUSED, Refused};
use row::{COPY_MAX_BYTES, digits, number, read_text, text};
pub use row::{Item, Row};
pub use together::{Attached, Together, change_together};
pub use uses::SAME_USE_WITHIN;
use uses::{Place, SENT_BY, is_numbered};

/// How often another worker may take a use's number while the use is recorded.
const OVERTAKEN_MAX: usize = 8;

/// The field of a row that only holds the place of a task's record.
pub const PLACEHOLDER: &str = "placeholder";

/// The events table.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) client: Client,
    pub(crate) table: String,
    retention: SignedDuration,
}

/// What the ledger knew about an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Recorded {
    New,
    /// The event was recorded before, with the same contents.
    Duplicate(Standing),
    /// The key holds other contents, or the same contents as an older version of this code hashed
    /// them. The recorded body decides.
    Differs(Standing),
}

impl Recorded {
    fn standing(&self) -> Option<&Standing> {
        match self {
            Self::New => None,
            Self::Duplicate(standing) | Self::Differs(standing) => Some(standing),
        }
    }
}

/// An event as it was recorded first. This version counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    key: EventKey,
    body: OwnedBody,
    received_at: Option<Timestamp>,
    /// The Unix second from which the row counts as forgotten.
    forgotten_from: Option<i64>,
}

impl Standing {
    fn of(row: &Item, key: &EventKey) -> Self {
        Self {
            key: key.clone(),
            body: OwnedBody::of(row),
            received_at: read_text(row, "received_at").and_then(|at| at.parse().ok()),
            forgotten_from: forgotten_from(row),
        }
    }

    /// The event as today's code reads its body, under its recorded key. `None` if this code cannot
    /// read the body.
    pub fn event(&self) -> Option<Event> {
        match read_recorded(&self.body.as_ref()) {
            Some(Content::Event(event)) => Some(Event {
                key: self.key.clone(),
                received_at: self.received_at,
                ..*event
            }),
            _ => None,
        }
    }

    pub fn received_at(&self) -> Option<Timestamp> {
        self.received_at
    }
}

/// A body as a row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedBody {
    provider: String,
    scheme: String,
    tenant: String,
    body: String,
    time_zone: Option<String>,
}

impl OwnedBody {
    /// The body of a row that is [whole](Ledger::whole). If the body cannot be read, it is empty,
    /// and no event is read from it.
    fn of(row: &Item) -> Self {
        let field = |name: &str| read_text(row, name).cloned().unwrap_or_default();
        let body = body::read(row).unwrap_or_else(|error| {
            if error != body::Unreadable::Absent {
                let (coupon, entry) = (field("coupon"), field("entry"));
                tracing::error!(event.key = format!("{coupon}/{entry}"), "{error}");
            }
            Vec::new()
        });
        Self {
            provider: field("provider"),
            scheme: field("scheme"),
            tenant: field("tenant"),
            body: String::from_utf8(body).unwrap_or_default(),
            time_zone: read_text(row, "zone").cloned(),
        }
    }

    pub fn as_ref(&self) -> RecordedBody<'_> {
        RecordedBody {
            provider: &self.provider,
            scheme: &self.scheme,
            tenant: &self.tenant,
            body: &self.body,
            time_zone: self.time_zone.as_deref(),
        }
    }
}

/// How an effect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Done,
    /// There was nothing to do.
    Skipped,
    /// The effect can be made once something else is known; until then its record can be claimed
    /// again.
    Waiting,
    /// The effect can never be made. The record holds the reason.
    Failed,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Skipped => "skipped",
            Status::Waiting => "waiting",
            Status::Failed => "failed",
        }
    }
}

impl Ledger {
    pub fn new(client: Client, table: impl Into<String>, retention: SignedDuration) -> Self {
        Self {
            client,
            table: table.into(),
            retention,
        }
    }

    pub fn read(environment: &mut Environment, aws: &Aws, limits: CallLimits) -> Self {
        let retention = SignedDuration::from_hours(24 * environment.number("RETENTION_DAYS", 1));
        let client = Client::new(&aws.sdk_config(limits));
        Self::new(client, environment.text("EVENTS_TABLE"), retention)
    }

    /// How long an event is remembered.
    pub fn retention(&self) -> SignedDuration {
        self.retention
    }

    /// Records an event with one conditional write, unless the event is there. The event gets the
    /// key of its row, because a use that names no order gets its number here.
    pub async fn record(
        &self,
        event: &mut Event,
        body: &Verified<'_>,
        received_at: Timestamp,
        now: Timestamp,
    ) -> anyhow::Result<Recorded> {
        let attempt = unique_id();
        let hash = content_hash(event);
        for _ in 0..OVERTAKEN_MAX {
            if is_numbered(event) {
                match self.place(event, &hash, now).await? {
                    Place::Free(key) => event.key = key,
                    Place::Known(recorded) => {
                        let key = recorded.standing().map(|it| it.key.clone());
                        event.key = key.unwrap_or(event.key.clone());
                        return Ok(recorded);
                    }
                }
            }
            let mut row = self.row_of(event, body.scheme(), &hash, &attempt, received_at);
            if now > received_at {
                // The event waited for an outage of DynamoDB to end.
                row.insert("recorded_at".into(), text(now.to_string()));
            }
            let put = self.put(row, body.body(), now).await;
            let Some(standing) = put.context("recording the event")? else {
                return Ok(Recorded::New);
            };
            if digits(&standing, "attempt").is_some_and(|it| it == attempt) {
                return Ok(Recorded::New);
            }
            if !is_numbered(event) {
                return self.judge(&event.key, standing, &hash).await;
            }
            // Another writer took the number; it may have recorded the same use.
        }
        bail!("others record uses of the coupon all the time")
    }

    /// Compares an attempt to record an event with the row that holds the event's key.
    async fn judge(&self, key: &EventKey, standing: Item, hash: &str) -> anyhow::Result<Recorded> {
        let is_same = digits(&standing, "hash").is_some_and(|it| it == hash);
        let standing = Standing::of(&self.whole(standing).await?, key);
        Ok(match is_same {
            true => Recorded::Duplicate(standing),
            false => Recorded::Differs(standing),
        })
    }

    /// Puts a row with this body unless the key holds a row. Returns the row that the key held
    /// before. If the body is too large for one row, its parts are written first.
    async fn put(
        &self,
        mut row: Item,
        body: &[u8],
        now: Timestamp,
    ) -> anyhow::Result<Option<Item>> {
        let parts = body::put(&mut row, body);
        if !parts.is_empty() {
            // A put would cost as much for a duplicate as for the first one, so this reads first.
            let key = read_text(&row, "coupon").zip(read_text(&row, "entry"));
            let (coupon, entry) = key.context("the row has no key")?;
            if let Some(standing) = self.row(coupon, entry, now).await? {
                return Ok(Some(standing));
            }
            self.write_parts(parts).await?;
        }
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(entry) OR #ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", number(now.as_second()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(Some(refusal.item().cloned().unwrap_or_default()))
                }
                _ => Err(anyhow!(error)),
            },
        }
    }

    /// Writes the parts of a body before the row that names them, all at once and unconditionally:
    /// a part is named by its contents.
    async fn write_parts(&self, parts: Vec<Item>) -> anyhow::Result<()> {
        let puts = parts.into_iter().map(|part| {
            let put = self.client.put_item().table_name(&self.table);
            put.set_item(Some(part)).send()
        });
        let written = try_join_all(puts).await;
        written.context("writing the parts of a body")?;
        Ok(())
    }

    /// The tasks of an event that have left no record. Their messages may have been lost.
    pub async fn without_record(
        &self,
        key: &EventKey,
        tasks: &[Task],
        now: Timestamp,
    ) -> anyhow::Result<Vec<Task>> {
        let mut names: Vec<_> = tasks.iter().map(|task| task.name()).collect();
        names.sort_unstable();
        // Leaves out the body's parts and the conflicts, which stand between the records: the query
        // would read them whole, and they may be large.
        let (early, late) = names.split_at(names.partition_point(|name| *name < body::BODY));
        let mut records = Vec::new();
        for names in [early, late] {
            if let (Some(first), Some(last)) = (names.first(), names.last()) {
                records.extend(self.records_between(key, first, last).await?);
            }
        }
        let records: Vec<_> = records
            .iter()
            .filter(|row| !is_forgotten(row, now) && !row.contains_key(PLACEHOLDER))
            .collect();
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

    /// The entries of the records beneath an event, from one name to another.
    async fn records_between(
        &self,
        key: &EventKey,
        first: &str,
        last: &str,
    ) -> anyhow::Result<Vec<Item>> {
        let records = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("coupon = :coupon AND entry BETWEEN :first AND :last")
            .expression_attribute_values(":coupon", text(key.coupon()))
            .expression_attribute_values(":first", text(key.beneath(first)))
            .expression_attribute_values(":last", text(after(&key.beneath(last))))
            .projection_expression("entry, #ttl, #placeholder")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#placeholder", PLACEHOLDER)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        records.context("looking for the tasks' records")
    }

    /// Keeps a body that contradicts the recorded one, for support, and for as long as that one.
    /// Among equal bodies, the first stays.
    pub async fn keep_conflict(
        &self,
        event: &Event,
        body: &Verified<'_>,
        standing: &Standing,
        (received_at, now): (Timestamp, Timestamp),
    ) -> anyhow::Result<()> {
        let hash = content_hash(event);
        let name = format!("conflict/{}", &hash[..16]);
        let entry = event.key.beneath(&name);
        let until = standing.forgotten_from.map(number);
        let until = until.unwrap_or_else(|| self.forget_at(event, now));
        let mut row = Row::default();
        row.set("coupon", Some(event.key.coupon()));
        row.set("entry", Some(&entry));
        // The body may name another member than the event does.
        row.set("member", Some(&event.member.id));
        row.set("hash", Some(hash));
        row.set("scheme", Some(body.scheme()));
        row.set("received_at", Some(received_at));
        row.0.insert("ttl".into(), until);
        let kept = self.put(row.0, body.body(), now).await;
        kept.context("keeping the conflicting payload")?;
        self.keep_up(&[(event, &name)], now).await
    }

    /// The event's row without its body. Of the body's fields it copies only those that queries or
    /// other readers need.
    fn row_of(
        &self,
        event: &Event,
        scheme: &str,
        hash: &str,
        attempt: &str,
        now: Timestamp,
    ) -> Item {
        let mut row = Row::default();
        row.set("coupon", Some(event.key.coupon()));
        row.set("entry", Some(event.key.entry()));
        row.set("provider", Some(&event.provider));
        row.set("tenant", Some(&event.tenant));
        row.set("member", Some(&event.member.id));
        row.set("occurred_at", Some(event.occurred_at));
        row.set("received_at", Some(now));
        row.set("code", event.fact.coupon_code());
        match &event.fact {
            Fact::Redeemed(redemption) => {
                row.set("expires_at", redemption.expires_at);
                let discount = redemption.discount.as_ref();
                row.json(
                    "discount",
                    discount.filter(|it| it.kind.text().len() <= COPY_MAX_BYTES),
                );
            }
            Fact::Cancelled(notice) | Fact::Expiring(notice) | Fact::Expired(notice) => {
                row.set("expires_at", notice.expires_at);
            }
            Fact::Used(_) | Fact::Enrolled => {}
        }
        if is_numbered(event) {
            row.set(SENT_BY, event.envelope.event_id.as_ref());
        }
        row.set("zone", event.envelope.time_zone.as_ref());
        if event.sandbox {
            row.0.insert("sandbox".into(), AttributeValue::Bool(true));
        }
        if !event.warnings.is_empty() {
            let mut kept = event.warnings.as_slice();
            // Keeps as many whole warnings as fit, beginning with the first.
            while serde_json::to_string(kept).map_or(0, |it| it.len()) > COPY_MAX_BYTES {
                kept = &kept[..kept.len() - 1];
            }
            row.json("warnings", Some(kept));
        }
        row.digits("hash", hash);
        row.digits("attempt", attempt);
        row.set("scheme", Some(scheme));
        row.0.insert("ttl".into(), self.forget_at(event, now));
        row.0
    }
}

/// The key after a record's name and everything beneath the record: `0` follows `/`.
fn after(record: &str) -> String {
    format!("{record}0")
}

/// An id that no other attempt has.
pub(crate) fn unique_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The item that made the condition of an update fail.
pub(crate) fn refused_item(error: SdkError<UpdateItemError>) -> anyhow::Result<Item> {
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
