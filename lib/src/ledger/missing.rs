//! Finds the tasks of an event that left no record.

use anyhow::Context;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::forgotten::is_forgotten;
use super::{Ledger, PLACEHOLDER, body};
use crate::event::EventKey;
use crate::row::{Item, text};
use crate::task::Task;

impl Ledger {
    /// The tasks of an event that have left no record. The message to such a task may be lost.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn without_record(
        &self,
        key: &EventKey,
        tasks: &[Task],
        now: Timestamp,
    ) -> anyhow::Result<Vec<Task>> {
        let mut names: Vec<_> = tasks.iter().map(|task| task.name()).collect();
        names.sort_unstable();
        // The queries leave out the body's parts and the conflicts, which stand between the records
        // and may be large. A query reads every row whole.
        let (early, late) = names.split_at(names.partition_point(|name| *name < body::BODY));
        let ranges = [early, late].into_iter();
        let ranges = ranges.filter_map(|names| names.first().zip(names.last()));
        // The queries run at the same time, because the provider waits.
        let records = ranges.map(|(first, last)| self.records_between(key, first, last));
        let records = try_join_all(records).await?;
        let records: Vec<_> = records
            .iter()
            .flatten()
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
}

/// The key after a record's name and everything beneath the record: `0` follows `/`.
fn after(record: &str) -> String {
    format!("{record}0")
}
