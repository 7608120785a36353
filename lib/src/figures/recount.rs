//! Counts again from the recorded events, and repairs counters that differ.
//!
//! A repair adds the difference to the counter's part in one shard, if that part has not changed
//! since it was read. So a repair neither undoes a concurrent count, nor happens twice.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::book::{Book, field};
use super::cell::{Cell, Tally};
use super::counted_on::counted_on;
use super::line::Line;
use super::store::Figures;
use super::survey::{self, SurveyGroup, Surveyed};
use super::{Tracked, count, tasks, track};
use crate::event::{Event, EventKey, tenant_key};
use crate::ledger::{Item, body, is_forgotten, read_event, refused_item};

/// The recounted figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Recount {
    /// The counters by the tenant's key.
    pub(super) tallies: BTreeMap<String, Tally>,
    /// How many events were counted.
    pub(super) events: u64,
}

/// A counter that differs from the recorded events.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The tenant's key: `zupy#comp_bella_vista`.
    pub tenant: String,
    /// The counter that differs.
    pub cell: Cell,
    /// The counter's value: the sum over all shards.
    pub counted: Decimal,
    /// The value that the recorded events give.
    pub recorded: Decimal,
    /// The counter's part in the shard that gets the repair.
    pub(super) standing: Decimal,
}

impl Recount {
    /// Counts the events of one coupon, given all its rows. An event without a record was not
    /// counted. Only counters of these days are kept, both included.
    pub(super) fn take(&mut self, rows: Vec<Item>, days: (Date, Date), now: Timestamp) {
        let mut rows: Vec<_> = rows
            .into_iter()
            .filter(|row| !is_forgotten(row, now))
            .collect();
        rows = body::join(rows);
        self.take_records(&rows, days);
        let records: BTreeMap<EventKey, _> = rows
            .iter()
            .filter_map(Tracked::read)
            .map(|(tracked, day)| (tracked.key, day))
            .collect();
        if records.is_empty() {
            return;
        }
        let mut line = Line::default();
        // By name, redemptions come before uses. The sums are the same in any order.
        for row in &rows {
            let Some(event) = read_event(row) else {
                continue;
            };
            let (Some(day), Some(mut tracked)) = (records.get(&event.key), track(&event)) else {
                continue;
            };
            let counted = count(&event, &mut tracked, *day, &line, true);
            let tenant = tenant_key(&event.provider, &event.tenant);
            self.merge(tenant, counted.tally, days);
            self.events += 1;
            line = counted.line;
        }
    }

    fn merge(&mut self, tenant: String, mut tally: Tally, days: (Date, Date)) {
        tally.keep_days(days);
        self.tallies.entry(tenant).or_default().merge(&tally);
    }

    /// Counts the results of tasks from the records beneath a coupon's events.
    fn take_records(&mut self, rows: &[Item], days: (Date, Date)) {
        let entry = |row: &Item| Some(row.get("entry")?.as_s().ok()?.clone());
        let by_entry: BTreeMap<_, _> = rows
            .iter()
            .filter_map(|row| Some((entry(row)?, row)))
            .collect();
        let mut events: BTreeMap<&str, Option<Event>> = BTreeMap::new();
        for (entry, row) in &by_entry {
            let Some((of_event, name)) = entry.split_once('/') else {
                continue;
            };
            if counted_on(row).is_none() {
                continue;
            }
            // The event is read once for all records beneath it, because most events have no
            // counted record.
            let event = events
                .entry(of_event)
                .or_insert_with(|| by_entry.get(of_event).and_then(|row| read_event(row)));
            let Some(event) = event else { continue };
            let tally = match SurveyGroup::of(event) {
                Some(group) if survey::RECORDS.contains(&name) => {
                    Surveyed::recounted(group, name, row)
                }
                _ => tasks::recounted(name, row),
            };
            if let Some(tally) = tally {
                let tenant = tenant_key(&event.provider, &event.tenant);
                self.merge(tenant, tally, days);
            }
        }
    }
}

/// The shard that gets repairs.
pub(super) const REPAIRED_SHARD: u64 = 0;

impl Figures {
    /// Repairs a counter. Returns false if the counter's part in its shard has changed since the
    /// audit read that part, or if the day is at the calendar's end.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
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
