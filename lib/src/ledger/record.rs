//! Records events: each once, by one conditional write.

use anyhow::{Context, anyhow, bail};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::standing::{Recorded, Standing};
use super::uses::{Place, SENT_BY, is_numbered};
use super::{Ledger, body, content_hash, unique_id};
use crate::event::{Event, EventKey, Fact};
use crate::row::{COPY_MAX_BYTES, Item, Row, digits, number, read_text, text};
use crate::verify::Verified;

/// How often another worker may take a use's number while the use is recorded.
const OVERTAKEN_MAX: usize = 8;

impl Ledger {
    /// Records an event with one conditional write, unless the event is there. The event gets the
    /// key of its row, because a use that names no order gets its number here.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. The same happens if other workers take a use's number
    /// again and again. The event may be recorded all the same; the next attempt finds out.
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
        bail!("others keep recording uses of the coupon")
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
    pub(super) async fn put(
        &self,
        mut row: Item,
        body: &[u8],
        now: Timestamp,
    ) -> anyhow::Result<Option<Item>> {
        let parts = body::put(&mut row, body);
        if !parts.is_empty() {
            // A put would cost as much for a duplicate as for the first one, so the code reads
            // first.
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

    /// Keeps a body that contradicts the recorded one, for support, and for as long as that one.
    /// Among equal bodies, the first stays.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
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
            // The row has room for the first of many warnings.
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
