//! Counting anew from the recorded events: which counters differ from what was told, and how they are put right.
//!
//! Events may arrive meanwhile. The counters are read before and after the events: one that changed in between is not
//! judged. A correction adds the difference where the counter's part in a shard is still what was read, so it neither
//! undoes what is counted meanwhile, nor is it made twice.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::book::{Book, field};
use super::cell::{Cell, Tally};
use super::line::Line;
use super::store::Figures;
use super::survey::{self, SurveyGroup, Surveyed};
use super::{Tracked, count, track};
use crate::clock;
use crate::event::{EventKey, tenant_key};
use crate::ledger::{Item, body, is_forgotten, read_event, refused_item};

/// What was counted anew, by tenant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recount {
    pub tallies: BTreeMap<String, Tally>,
    /// How many events were counted.
    pub events: u64,
}

/// A counter that is not what the events say.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    pub tenant: String,
    pub cell: Cell,
    pub counted: Decimal,
    pub recorded: Decimal,
    /// The counter's part in the shard that is repaired.
    pub standing: Decimal,
}

impl Recount {
    /// Counts the events of one coupon, of which these are all rows. What has no record was not counted.
    pub fn take(&mut self, rows: Vec<Item>, now: Timestamp) {
        let mut rows: Vec<_> = rows
            .into_iter()
            .filter(|row| !is_forgotten(row, now))
            .collect();
        rows = body::join(rows);
        self.take_surveys(&rows);
        let records: BTreeMap<EventKey, _> = rows
            .iter()
            .filter_map(Tracked::read)
            .map(|(tracked, day)| (tracked.key, day))
            .collect();
        if records.is_empty() {
            return;
        }
        let mut line = Line::default();
        // Redemptions come first by name, before uses. The sums are the same in any order.
        for row in &rows {
            let Some(event) = read_event(row) else {
                continue;
            };
            let (Some(day), Some(mut tracked)) = (records.get(&event.key), track(&event)) else {
                continue;
            };
            let counted = count(&event, &mut tracked, *day, &line, true);
            let tenant = tenant_key(&event.provider, &event.tenant);
            self.tallies
                .entry(tenant)
                .or_default()
                .merge(&counted.tally);
            self.events += 1;
            line = counted.line;
        }
    }

    /// Counts what the records beneath a coupon's uses say of surveys.
    fn take_surveys(&mut self, rows: &[Item]) {
        let entry = |row: &Item| Some(row.get("entry")?.as_s().ok()?.clone());
        let by_entry: BTreeMap<_, _> = rows
            .iter()
            .filter_map(|row| Some((entry(row)?, row)))
            .collect();
        let asks = |entry: &&String| entry.ends_with(&format!("/{}", survey::SCHEDULED));
        for record in by_entry.keys().filter(asks) {
            let of_event = &record[..record.len() - survey::SCHEDULED.len() - 1];
            let event = by_entry.get(of_event).and_then(|row| read_event(row));
            let Some((event, group)) = event.and_then(|it| {
                let group = SurveyGroup::of(&it)?;
                Some((it, group))
            }) else {
                continue;
            };
            let beneath = |name: &str| by_entry.get(&event.key.beneath(name)).copied();
            let tally = Surveyed::recounted(&group, beneath);
            let tenant = tenant_key(&event.provider, &event.tenant);
            self.tallies.entry(tenant).or_default().merge(&tally);
        }
    }

    /// What differs of a tenant's days, where the counters were the same before and after the events were read.
    pub fn drift(
        &self,
        tenant: &str,
        before: &Tally,
        after: &Tally,
        days: (Date, Date),
    ) -> Vec<Drift> {
        let none = Tally::default();
        let recorded = self.tallies.get(tenant).unwrap_or(&none);
        let moved: BTreeSet<_> = before
            .difference(after)
            .cells()
            .map(|(cell, _)| cell.clone())
            .collect();
        let differs = after.difference(recorded);
        let differs = differs
            .cells()
            .filter(|(cell, _)| (days.0..=days.1).contains(&cell.day) && !moved.contains(cell));
        differs
            .map(|(cell, by)| {
                let counted = after.get(cell);
                Drift {
                    tenant: tenant.to_owned(),
                    cell: cell.clone(),
                    counted,
                    recorded: counted + by,
                    standing: Decimal::ZERO,
                }
            })
            .collect()
    }
}

/// Counts all recorded events anew. `progress` hears of how many rows were read.
async fn recount(figures: &Figures, progress: impl Fn(u64)) -> anyhow::Result<Recount> {
    let mut recount = Recount::default();
    let (mut rows, mut coupon, mut read) = (Vec::new(), None, 0);
    let now = clock::now();
    let mut pages = figures
        .client
        .scan()
        .table_name(&figures.tables.events)
        .consistent_read(true)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.context("reading the recorded events")?;
        for row in page.items.unwrap_or_default() {
            read += 1;
            let of = row.get("coupon").and_then(|it| it.as_s().ok()).cloned();
            // The rows of one coupon follow each other, also from page to page.
            if of != coupon {
                recount.take(std::mem::take(&mut rows), now);
                coupon = of;
            }
            rows.push(row);
        }
        progress(read);
    }
    recount.take(rows, now);
    Ok(recount)
}

/// Counts anew, and tells what differs of the days that each tenant's events are all remembered of.
pub async fn verify(
    figures: &Figures,
    days: impl Fn(&str) -> (Date, Date),
    progress: impl Fn(u64),
) -> anyhow::Result<(Recount, Vec<Drift>)> {
    let tenants = figures.tenants().await?;
    let mut before = BTreeMap::new();
    for (provider, tenant) in &tenants {
        let key = tenant_key(provider, tenant);
        let (from, to) = days(tenant);
        let tally = figures.tally(&key, from, to).await?;
        before.insert(key, (tally, (from, to)));
    }
    let recount = recount(figures, progress).await?;
    let mut drift = Vec::new();
    for (tenant, (before, days)) in &before {
        let after = figures.tally(tenant, days.0, days.1).await?;
        let mut differs = recount.drift(tenant, before, &after, *days);
        if !differs.is_empty() {
            let own = figures
                .tally_of(tenant, &[REPAIRED_SHARD.to_string()], *days)
                .await?;
            for it in &mut differs {
                it.standing = own.get(&it.cell);
            }
        }
        drift.extend(differs);
    }
    Ok((recount, drift))
}

/// Corrections are made in this shard.
const REPAIRED_SHARD: u64 = 0;

impl Figures {
    /// Puts a counter right. Returns whether it did: it does not where its part in the shard has changed since.
    pub async fn repair(&self, book: &Book, drift: &Drift, now: Timestamp) -> anyhow::Result<bool> {
        let Drift { tenant, cell, .. } = drift;
        let ids = book.ids(tenant, [cell.group.clone()].into(), now).await?;
        let field = field(cell, &ids)?;
        let key = book.key(tenant, REPAIRED_SHARD, cell);
        let Some(forget_at) = book.kept_until(cell.day) else {
            return Ok(false);
        };
        let number = |number: String| AttributeValue::N(number);
        let by = (drift.recorded - drift.counted).normalize();
        let condition = match drift.standing.is_zero() {
            true => "attribute_not_exists(#field) OR #field = :standing",
            false => "#field = :standing",
        };
        let updated = self
            .client
            .update_item()
            .table_name(&key.table)
            .set_key(Some(key.attributes()))
            .update_expression("SET #ttl = if_not_exists(#ttl, :ttl) ADD #field :by")
            .condition_expression(condition)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#field", &field)
            .expression_attribute_values(":by", number(by.to_string()))
            .expression_attribute_values(":standing", number(drift.standing.to_string()))
            .expression_attribute_values(":ttl", number(forget_at.to_string()))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(true),
            Err(error) => {
                refused_item(error).context("repairing a counter")?;
                Ok(false)
            }
        }
    }
}
