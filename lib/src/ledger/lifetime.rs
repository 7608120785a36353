//! Lifetimes: everything beneath an event lives as long as the event's own row (ADR 14).
//!
//! To keep an event longer, code first raises the row's `ttl`, then reads and raises everything
//! beneath. To write a record beneath an event, code first writes the record, then reads the row's
//! `ttl` and raises the record. Both write before they read, so at least one sees the other.

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::forgotten::forgotten_from;
use super::{ItemKey, Ledger, read_all, refused_item};
use crate::event::{Event, EventKey, Fact};
use crate::row::{Item, number, read_text};

/// The longest time that a coupon without a real end is remembered, because personal data must not
/// be kept for ever.
const REMEMBERED_MAX: SignedDuration = SignedDuration::from_hours(24 * 365 * 5);

/// A record outlives every copy of its message, because a queue keeps a message for 14 days.
const OUTLIVES_MESSAGES: SignedDuration = SignedDuration::from_hours(24 * 15);

/// How many rows are raised at the same time.
const RAISED_AT_A_TIME: usize = 25;

impl Ledger {
    /// When an event's row and everything beneath it are forgotten: after the retention. For a
    /// redemption it counts from the day on which the coupon expires, because late uses need the
    /// redemption. An event that was received before counts from that time.
    pub fn forget_at(&self, event: &Event, now: Timestamp) -> AttributeValue {
        number(self.kept_until(event, None, now))
    }

    /// Like [`forget_at`](Self::forget_at), but not before the second that the event's row was seen
    /// to have.
    pub(super) fn kept_until(&self, event: &Event, seen: Option<i64>, now: Timestamp) -> i64 {
        let from = self.forgotten_from(event, now);
        from.max(self.outlives_messages(now))
            .max(seen.unwrap_or(from))
    }

    /// The Unix second from which a row about the event's coupon is forgotten, by the expiry that
    /// the event names.
    pub fn coupon_forgotten_from(&self, event: &Event, now: Timestamp) -> i64 {
        let expires_at = match &event.fact {
            Fact::Redeemed(redemption) => redemption.expires_at,
            Fact::Expiring(notice) => notice.expires_at,
            _ => None,
        };
        let from = self.forgotten_after(event, expires_at, now);
        from.max(self.outlives_messages(now))
    }

    fn outlives_messages(&self, now: Timestamp) -> i64 {
        let kept = now.checked_add(OUTLIVES_MESSAGES.min(self.retention));
        kept.unwrap_or(Timestamp::MAX).as_second()
    }

    fn forgotten_from(&self, event: &Event, now: Timestamp) -> i64 {
        let expires_at = match &event.fact {
            Fact::Redeemed(redemption) => redemption.expires_at,
            _ => None,
        };
        self.forgotten_after(event, expires_at, now)
    }

    fn forgotten_after(&self, event: &Event, expires_at: Option<Timestamp>, now: Timestamp) -> i64 {
        let received_at = event.received_at.unwrap_or(now);
        let longest = received_at.checked_add(REMEMBERED_MAX);
        let longest = longest.unwrap_or(Timestamp::MAX);
        let last_needed = expires_at.map_or(received_at, |at| at.clamp(received_at, longest));
        let at = last_needed.checked_add(self.retention);
        at.unwrap_or(Timestamp::MAX).as_second()
    }

    /// Keeps new records as long as the rows of their events. Each record is named by its event and
    /// its name beneath that event.
    pub(super) async fn keep_up(
        &self,
        written: &[(&Event, &str)],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let mut keys: Vec<_> = written
            .iter()
            .map(|(event, _)| self.row_key(event.key.coupon(), event.key.entry()))
            .collect();
        keys.sort();
        keys.dedup();
        let rows = read_all(&self.client, &keys, &["coupon", "entry", "ttl"]).await;
        let rows = rows.context("reading how long events are kept")?;
        let raises = written.iter().filter_map(|(event, name)| {
            let is_its = |row: &&Item| {
                read_text(row, "coupon").is_some_and(|it| it == event.key.coupon())
                    && read_text(row, "entry").is_some_and(|it| it == event.key.entry())
            };
            let until = rows.iter().find(is_its).and_then(forgotten_from)?;
            let record = self.row_key(event.key.coupon(), event.key.beneath(name));
            (until > self.forgotten_from(event, now)).then_some((record, until))
        });
        self.raise(raises.collect(), now).await
    }

    /// The Unix second from which an event's row counts as forgotten; none if there is no row.
    ///
    /// # Errors
    ///
    /// DynamoDB does not answer.
    pub async fn event_forgotten_from(&self, key: &EventKey) -> anyhow::Result<Option<i64>> {
        let row = self.row_key(key.coupon(), key.entry());
        let rows = read_all(&self.client, &[row], &["ttl"]).await;
        let rows = rows.context("reading how long an event is kept")?;
        Ok(rows.first().and_then(forgotten_from))
    }

    /// Keeps a record that was written until this second as long as the row of its event.
    ///
    /// # Errors
    ///
    /// DynamoDB does not answer; the record is kept as long as before.
    pub async fn keep_with_event(
        &self,
        key: &EventKey,
        name: &str,
        written_until: i64,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        match self.event_forgotten_from(key).await? {
            Some(until) if until > written_until => {
                let record = self.row_key(key.coupon(), key.beneath(name));
                self.raise(vec![(record, until)], now).await
            }
            _ => Ok(()),
        }
    }

    /// Keeps everything beneath an event's row until this Unix second. The caller has raised the
    /// row itself before.
    pub(super) async fn keep_beneath(
        &self,
        event: &ItemKey,
        until: i64,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let coupon = &event.partition.1;
        let beneath = format!("{}/", event.sort.1);
        let rows = self
            .query_fields(coupon, &beneath, &["entry", "ttl"])
            .await?;
        let lags = rows
            .iter()
            .filter(|row| forgotten_from(row).is_some_and(|second| second < until));
        let lags = lags.filter_map(|row| Some(self.row_key(coupon, read_text(row, "entry")?)));
        let lags = lags.map(|record| (record, until));
        // The parts of a body go first, because a next attempt looks for records that lag behind.
        let (parts, records) = lags.partition(|(row, _)| row.sort.1.contains("/body/"));
        self.raise(parts, now).await?;
        self.raise(records, now).await
    }

    /// Raises the `ttl` of rows that exist and would end earlier.
    async fn raise(&self, rows: Vec<(ItemKey, i64)>, now: Timestamp) -> anyhow::Result<()> {
        for some in rows.chunks(RAISED_AT_A_TIME) {
            let raises = some
                .iter()
                .map(|(row, until)| self.raise_one(row, *until, now));
            for raised in join_all(raises).await {
                raised?;
            }
        }
        Ok(())
    }

    async fn raise_one(&self, row: &ItemKey, until: i64, now: Timestamp) -> anyhow::Result<()> {
        let raised = self
            .client
            .update_item()
            .table_name(&row.table)
            .set_key(Some(row.attributes()))
            .update_expression("SET #ttl = :until")
            .condition_expression("#ttl < :until AND #ttl > :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":now", number(now.as_second()))
            .send()
            .await;
        match raised {
            Ok(_) => Ok(()),
            // The row lives as long already, or is gone.
            Err(error) => refused_item(error)
                .map(|_| ())
                .with_context(|| format!("keeping {}/{}", row.partition.1, row.sort.1)),
        }
    }
}
