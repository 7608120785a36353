//! A member's redemptions of the last days: one row each in the members table.
//!
//! Fraud writes a redemption here before it reads any. So of several at the same time, at least the
//! last one sees all. A redemption that came before may now be one too many. Each later check that
//! sees the earlier redemption checks it again, until its row says that its finding has a record
//! and an alert.

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use webhooks::event::part;
use webhooks::fraud::{HISTORY, RUSHES};
use webhooks::ledger::{Item, ItemKey};
use webhooks::row::text;

use crate::rapid::Rapid;
use crate::rush::Rushes;

/// How long after its arrival a redemption counts with others. A queue drops messages older than 14
/// days, and events reach us at most 30 days late.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 45);

/// A redemption of a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Redeemed {
    pub(crate) at: Timestamp,
    /// The key of the redemption's coupon.
    pub(crate) coupon: Box<str>,
    /// Whether its finding has a record and a published alert.
    pub(crate) is_settled: bool,
}

/// A member's redemptions and rushes during the work on a batch. All coupons of the member share
/// it.
#[derive(Debug)]
pub(crate) struct MemberHistory {
    /// Sorted by time.
    pub(crate) redemptions: Vec<Redeemed>,
    pub(crate) rushes: Rushes,
}

/// A time span to read, with both ends included.
pub(crate) type Span = (Timestamp, Timestamp);

/// The members table.
#[derive(Debug)]
pub(crate) struct History {
    client: Client,
    table: String,
}

impl History {
    pub(crate) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The key of the row that lists the member's alerted rushes.
    pub(crate) fn rushes_key(&self, member: &str) -> ItemKey {
        ItemKey::new(&self.table, ("member", member), ("entry", RUSHES))
    }

    /// The key of a redemption's row.
    pub(crate) fn key(&self, member: &str, redeemed: &Redeemed) -> ItemKey {
        let entry = ("entry", redeemed.entry());
        ItemKey::new(&self.table, ("member", member), entry)
    }

    /// The Unix second at which a row written now expires.
    pub(crate) fn forget_at(now: Timestamp) -> i64 {
        now.checked_add(KEPT).unwrap_or(Timestamp::MAX).as_second()
    }

    /// The member's alerted rushes.
    pub(crate) async fn rushes(&self, member: &str) -> anyhow::Result<Rushes> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(self.rushes_key(member).attributes()))
            .consistent_read(true)
            .send()
            .await
            .context("reading a member's rushes")?;
        Ok(Rushes::read(found.item.as_ref()))
    }

    /// Records that a member redeemed a coupon.
    pub(crate) async fn write(
        &self,
        member: &str,
        redeemed: &Redeemed,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let forget_at = Self::forget_at(now);
        // The row's other fields stay, even if this update takes effect late.
        self.client
            .update_item()
            .table_name(&self.table)
            .key("member", text(member))
            .key("entry", text(redeemed.entry()))
            .update_expression("SET coupon = :coupon, #ttl = :ttl")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":coupon", text(&*redeemed.coupon))
            .expression_attribute_values(":ttl", AttributeValue::N(forget_at.to_string()))
            .send()
            .await
            .with_context(|| format!("recording the redemption of {}", redeemed.coupon))?;
        Ok(())
    }

    /// A member's redemptions within several spans, which may overlap, sorted by time.
    pub(crate) async fn read(
        &self,
        member: &str,
        spans: Vec<Span>,
    ) -> anyhow::Result<Vec<Redeemed>> {
        let reads = merged(spans).into_iter();
        let reads = reads.map(|span| self.read_span(member, span));
        let mut found = Vec::new();
        for read in join_all(reads).await {
            found.extend(read?);
        }
        Ok(found)
    }

    async fn read_span(&self, member: &str, (from, to): Span) -> anyhow::Result<Vec<Redeemed>> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#member = :member AND entry BETWEEN :from AND :to")
            .projection_expression("entry, coupon, told")
            .expression_attribute_names("#member", "member")
            .expression_attribute_values(":member", text(member))
            .expression_attribute_values(":from", text(format!("{HISTORY}{}", sortable(from))))
            // A `#` follows the time; `$` is the next character.
            .expression_attribute_values(":to", text(format!("{HISTORY}{}$", sortable(to))))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.context("reading a member's redemptions")?;
            found.extend(page.items().iter().filter_map(Redeemed::read));
        }
        // The sort keys order rows only by the time's text, so rows of equal times need a sort.
        found.sort();
        Ok(found)
    }

    /// Records that a redemption beyond the limit needs no further alert.
    pub(crate) async fn settle(&self, member: &str, redeemed: &Redeemed) -> anyhow::Result<()> {
        let settled = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("member", text(member))
            .key("entry", text(redeemed.entry()))
            .update_expression("SET told = :told")
            .condition_expression("attribute_exists(entry)")
            .expression_attribute_values(":told", AttributeValue::Bool(true))
            .send()
            .await;
        let is_gone = |error: &aws_sdk_dynamodb::operation::update_item::UpdateItemError| {
            error.is_conditional_check_failed_exception()
        };
        match settled {
            Err(error) if !error.as_service_error().is_some_and(is_gone) => {
                Err(anyhow::anyhow!(error).context("settling a redemption of a member"))
            }
            _ => Ok(()),
        }
    }
}

impl Redeemed {
    fn entry(&self) -> String {
        format!("{HISTORY}{}#{}", sortable(self.at), part(&self.coupon))
    }

    fn read(row: &Item) -> Option<Self> {
        let entry = row.get("entry")?.as_s().ok()?;
        let (at, _) = entry.strip_prefix(HISTORY)?.split_once('#')?;
        Some(Self {
            at: at.parse().ok()?,
            coupon: row.get("coupon")?.as_s().ok()?.as_str().into(),
            is_settled: row.contains_key("told"),
        })
    }
}

/// How many of these redemptions, sorted by time, are in the rule's window that ends at this time.
pub(crate) fn count_at(rapid: Rapid, redemptions: &[Redeemed], at: Timestamp) -> usize {
    count(redemptions, (rapid.before(at), at))
}

/// How many of these redemptions, sorted by time, are within a span.
fn count(redemptions: &[Redeemed], (from, to): Span) -> usize {
    let before = |at: Timestamp| redemptions.partition_point(|it| it.at < at);
    let until = redemptions.partition_point(|it| it.at <= to);
    until.saturating_sub(before(from))
}

/// A time as text that sorts as the time does.
fn sortable(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// Merges overlapping spans, so that fraud reads no time twice.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut merged: Vec<Span> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn redemptions_stand_in_the_order_of_their_times() {
        let at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let times = [
            at,
            at + SignedDuration::from_nanos(1),
            at + SignedDuration::from_millis(1),
            at + SignedDuration::from_secs(1),
        ];
        let entry = |at: Timestamp| {
            let coupon = "zupy#comp#CP-1".into();
            let is_settled = false;
            Redeemed {
                at,
                coupon,
                is_settled,
            }
            .entry()
        };
        let entries = times.map(entry);
        assert!(entries.is_sorted(), "{entries:?}");
        assert_eq!(
            entries[0],
            "redeemed@2026-11-22T10:00:00.000000000Z#zupy%23comp%23CP-1"
        );
        let end = format!("{HISTORY}{}$", sortable(at));
        assert!(entries[0] < end && end < entries[1]);
    }

    #[test]
    fn spans_that_overlap_are_read_as_one() {
        let spans = [(30, 40), (0, 10), (10, 20), (12, 15), (50, 60), (35, 45)];
        let spans = spans.map(|(from, to)| (at(from), at(to)));
        let expected = [(0, 20), (30, 45), (50, 60)].map(|(from, to)| (at(from), at(to)));
        assert_eq!(merged(spans.into()), expected);
    }
}
