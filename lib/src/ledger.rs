//! The events table: one conditional write records an event, a lease guards each effect outside, and a
//! transaction binds each effect inside DynamoDB to the record of its task.
//!
//! Invariant: every write here is conditional on what it believes, and may be repeated by the SDK after an answer
//! was lost. So each carries an id of its own, by which a refusal is recognised as our own earlier success.

mod commit;
mod contents;
mod lease;
mod outbox;
mod read;
mod row;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};

use crate::config::{Aws, CallLimits, Environment};
use crate::event::{Event, EventKey, Fact};
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::task::Task;
use crate::verify::Verified;

pub use commit::{Change, Committed, Effects, ItemKey, Uncommitted, version};
pub use contents::content_hash;
pub use lease::{Claim, Lease, Note};
pub use outbox::Undispatched;
pub use read::{read_all, read_event};
use row::{COPY_MAX_BYTES, number, read_text, text};
pub use row::{Item, Row};

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
    Duplicate(Standing),
    /// Something else is recorded under the key, or the same as an older version of this code hashed it:
    /// the body that was recorded decides.
    Differs(Standing),
}

/// An event as it was recorded first, which is what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    key: EventKey,
    body: OwnedBody,
    received_at: Option<Timestamp>,
}

impl Standing {
    fn of(row: &Item, key: &EventKey) -> Self {
        Self {
            key: key.clone(),
            body: OwnedBody::of(row),
            received_at: read_text(row, "received_at").and_then(|at| at.parse().ok()),
        }
    }

    /// The event as today's code reads its body, under the key that it was recorded with. `None` where this code cannot
    /// read the body.
    pub fn event(&self) -> Option<Event> {
        match read_recorded(&self.body.as_ref()) {
            Some(Content::Event(event)) => Some(Event {
                key: self.key.clone(),
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

/// How an effect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Done,
    /// There was nothing to do.
    Skipped,
    /// It can be done once something else is known; it may be claimed again then.
    Waiting,
    /// It can never be done; the reason is recorded.
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

/// Longest time that a coupon without a real end is remembered for: personal data are not kept for ever.
const REMEMBERED_MAX: SignedDuration = SignedDuration::from_hours(24 * 365 * 5);

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
            .set_item(Some(self.row_of(event, body, &hash, &attempt, now)?))
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
        let standing = Standing::of(&recorded, &event.key);
        if read_text(&recorded, "hash") == Some(&hash) {
            return Ok(Recorded::Duplicate(standing));
        }
        Ok(Recorded::Differs(standing))
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
            // It may be about another member than the event is.
            .item("member", text(&event.member.id))
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
    fn row_of(
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
        row.set("code", event.fact.coupon_code());
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
            Fact::Enrolled => {}
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

/// An id that no other attempt has.
pub(crate) fn unique_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// What stands where the condition of an update does not hold.
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

fn utf8<'a>(body: &Verified<'a>) -> anyhow::Result<&'a str> {
    std::str::from_utf8(body.body()).context("a body that was parsed is UTF-8")
}
