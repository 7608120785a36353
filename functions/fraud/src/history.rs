//! A member's redemptions of the last days: a row for each in the members table.
//!
//! A redemption is written here before anything is read, so that of several at the same time at least the last sees all.
//! One that came before may be too many now; it is looked at anew by whoever sees that, until its row says that its finding
//! is on its record, and was told of.

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use webhooks::event::part;
use webhooks::fraud::{HISTORY, RUSHES};
use webhooks::ledger::{Item, ItemKey};

use crate::rush::Rushes;

/// How long a redemption is counted with others after it was told of. A queue gives up what is older than 14 days, and what is
/// sent to us is at most 30 days old.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 45);

/// A redemption of a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Redeemed {
    pub(crate) at: Timestamp,
    /// The key of its coupon.
    pub(crate) coupon: Box<str>,
    /// That it was one too many is on its record, and was told of.
    pub(crate) is_told: bool,
}

/// What is known of a member while a batch is worked on. There is one for all coupons of the member.
#[derive(Debug)]
pub(crate) struct MemberHistory {
    /// By time.
    pub(crate) redemptions: Vec<Redeemed>,
    pub(crate) rushes: Rushes,
}

/// Times between which redemptions are asked for, both included.
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

    /// The key of the row that says which rushes of a member were alerted.
    pub(crate) fn rushes_key(&self, member: &str) -> ItemKey {
        ItemKey::new(&self.table, ("member", member), ("entry", RUSHES))
    }

    /// The key of a redemption's row.
    pub(crate) fn key(&self, member: &str, redeemed: &Redeemed) -> ItemKey {
        let entry = ("entry", redeemed.entry());
        ItemKey::new(&self.table, ("member", member), entry)
    }

    /// The second from which a row that is written now is forgotten.
    pub(crate) fn forget_at(now: Timestamp) -> i64 {
        now.checked_add(KEPT).unwrap_or(Timestamp::MAX).as_second()
    }

    /// Which rushes of a member were alerted.
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

    /// Writes down that a member redeemed a coupon.
    pub(crate) async fn write(
        &self,
        member: &str,
        redeemed: &Redeemed,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let forget_at = Self::forget_at(now);
        // Whatever the row says besides stays, also where this takes effect late.
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
            .with_context(|| format!("writing down the redemption of {}", redeemed.coupon))?;
        Ok(())
    }

    /// A member's redemptions within some spans, which may overlap, by time.
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
            // What follows a time is a `#`; `$` is the next.
            .expression_attribute_values(":to", text(format!("{HISTORY}{}$", sortable(to))))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.context("reading a member's redemptions")?;
            found.extend(page.items().iter().filter_map(Redeemed::read));
        }
        // To a millisecond the rows are by time already.
        found.sort();
        Ok(found)
    }

    /// Writes down that nothing is owed of a redemption that was one too many.
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
            is_told: row.contains_key("told"),
        })
    }
}

/// How many of these redemptions, which stand by time, fall into a span.
pub(crate) fn count(redemptions: &[Redeemed], (from, to): Span) -> usize {
    let before = |at: Timestamp| redemptions.partition_point(|it| it.at < at);
    let until = redemptions.partition_point(|it| it.at <= to);
    until.saturating_sub(before(from))
}

/// A time as text that sorts as the time does.
fn sortable(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// Spans that do not overlap, of which each is asked for.
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

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
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
            let is_told = false;
            Redeemed {
                at,
                coupon,
                is_told,
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
