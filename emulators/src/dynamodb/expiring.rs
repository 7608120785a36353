//! Time to live: removes expired items.

use std::time::Duration;

use anyhow::Context;
use dynoxide::Database;
use dynoxide::actions::scan::ScanRequest;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::clock::Clock;

/// AWS deletes expired items after days; on one machine, people should see it happen.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// The pause after a sweep is this many times as long as the sweep.
const SWEEP_PAUSE: u32 = 20;

#[derive(Clone)]
pub(super) struct Expiring {
    pub(super) database: Database,
    pub(super) clock: Clock,
    pub(super) tables: Vec<Table>,
}

/// A table with items that expire.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// The names of the key's attributes.
    pub(super) key: Vec<String>,
    /// The attribute that holds the time.
    pub(super) attribute: String,
}

impl Expiring {
    /// Deletes expired items in intervals. A sweep reads every item while other calls wait, so it
    /// runs less often with more items.
    pub(super) async fn sweep_again_and_again(self) {
        loop {
            let began = Instant::now();
            self.sweep().await;
            tokio::time::sleep(SWEEP_EVERY.max(began.elapsed() * SWEEP_PAUSE)).await;
        }
    }

    pub(super) async fn sweep(&self) {
        let expiring = self.clone();
        let swept = tokio::task::spawn_blocking(move || expiring.remove()).await;
        match swept {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::debug!(count, "removed expired items"),
            Ok(Err(error)) => tracing::error!("cannot remove expired items: {error:#}"),
            Err(error) => tracing::error!("cannot remove expired items: {error}"),
        }
    }

    /// Removes expired items. dynoxide reads the real clock, so a clock that is ahead needs this
    /// sweep.
    fn remove(&self) -> anyhow::Result<usize> {
        if self.clock.ahead().is_zero() {
            return self.database.sweep_ttl().context("sweeping");
        }
        let mut removed = 0;
        for table in &self.tables {
            removed += self.remove_of(table)?;
        }
        Ok(removed)
    }

    fn remove_of(&self, table: &Table) -> anyhow::Result<usize> {
        let context = || format!("sweeping the table {}", table.name);
        let now = json!({":now": {"N": self.clock.now().as_second().to_string()}});
        let names = json!({"#ttl": table.attribute});
        let mut removed = 0;
        let mut from = Value::Null;
        loop {
            let mut scan = json!({
                "TableName": table.name,
                "FilterExpression": "#ttl <= :now",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": now,
            });
            if !from.is_null() {
                scan["ExclusiveStartKey"] = from;
            }
            let scan: ScanRequest = serde_json::from_value(scan).with_context(context)?;
            let page = self.database.scan(scan).with_context(context)?;
            let page = serde_json::to_value(page).with_context(context)?;
            for item in page["Items"].as_array().into_iter().flatten() {
                let key = table.key.iter();
                let key: Map<_, _> = key.map(|name| (name.clone(), item[name].clone())).collect();
                // An item that got more time meanwhile stays.
                let delete = json!({
                    "TableName": table.name,
                    "Key": key,
                    "ConditionExpression": "#ttl <= :now",
                    "ExpressionAttributeNames": names,
                    "ExpressionAttributeValues": now,
                });
                let delete = serde_json::from_value(delete).with_context(context)?;
                removed += usize::from(self.database.delete_item(delete).is_ok());
            }
            from = page["LastEvaluatedKey"].clone();
            if from.is_null() {
                return Ok(removed);
            }
        }
    }
}
