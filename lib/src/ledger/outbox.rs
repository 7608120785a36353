//! Rows whose tasks SQS did not take: they stand in a sparse index until the outbox has sent them.

use anyhow::Context;
use jiff::Timestamp;

use super::row::{Item, read_text, text};
use super::{Ledger, Standing, refused_item};
use crate::event::EventKey;
use crate::task::Task;

/// An event with tasks that SQS did not take.
#[derive(Debug, Clone)]
pub struct Undispatched {
    pub key: EventKey,
    pub tasks: Vec<Task>,
    pub standing: Standing,
    pub received_at: Timestamp,
    /// The tasks as the row names them.
    named: String,
}
/// The sparse index of rows whose tasks wait to be dispatched, and the one value of its partition key: rows are there
/// only during an outage, so one partition holds them.
const OUTBOX_INDEX: &str = "outbox";
const OUTBOX: &str = "waiting";
/// How many are sent at a time.
const OUTBOX_AT_A_TIME: i32 = 25;

impl Ledger {
    /// Writes on an event's row which tasks SQS did not take. The mark puts the row into the index that the outbox reads.
    pub async fn mark_undispatched(&self, key: &EventKey, tasks: &[Task]) -> anyhow::Result<()> {
        let names: Vec<_> = tasks.iter().map(|task| task.name()).collect();
        self.client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(key.coupon()))
            .key("entry", text(key.entry()))
            .update_expression("SET outbox = :outbox, undispatched = :tasks")
            .condition_expression("attribute_exists(entry)")
            .expression_attribute_values(":outbox", text(OUTBOX))
            .expression_attribute_values(":tasks", text(names.join(" ")))
            .send()
            .await
            .context("marking the tasks as undispatched")?;
        Ok(())
    }

    /// A page of the events whose tasks wait in the outbox, the oldest first, and where the next one begins.
    pub async fn undispatched(
        &self,
        from: Option<Item>,
    ) -> anyhow::Result<(Vec<Undispatched>, Option<Item>)> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OUTBOX_INDEX)
            .key_condition_expression("outbox = :outbox")
            .expression_attribute_values(":outbox", text(OUTBOX))
            .set_exclusive_start_key(from)
            .limit(OUTBOX_AT_A_TIME)
            .send()
            .await
            .context("reading the outbox")?;
        let mut rows = Vec::new();
        for row in page.items.unwrap_or_default() {
            rows.extend(read_undispatched(&self.whole(row).await?));
        }
        Ok((rows, page.last_evaluated_key))
    }

    /// Takes an event out of the outbox, unless other tasks were written on it meanwhile.
    pub async fn clear_undispatched(&self, sent: &Undispatched) -> anyhow::Result<()> {
        let cleared = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(sent.key.coupon()))
            .key("entry", text(sent.key.entry()))
            .update_expression("REMOVE outbox, undispatched")
            .condition_expression("undispatched = :tasks")
            .expression_attribute_values(":tasks", text(&sent.named))
            .send()
            .await;
        match cleared {
            Err(error) => refused_item(error)
                .map(|_| ())
                .context("clearing the outbox's mark"),
            Ok(_) => Ok(()),
        }
    }
}

fn read_undispatched(row: &Item) -> Option<Undispatched> {
    let named = read_text(row, "undispatched")?;
    // A task that only newer code knows stays for newer code.
    let tasks = named.split(' ').map(Task::named).collect::<Option<_>>()?;
    let key = EventKey::recorded(read_text(row, "coupon")?, read_text(row, "entry")?);
    Some(Undispatched {
        standing: Standing::of(row, &key),
        key,
        tasks,
        received_at: read_text(row, "received_at")?.parse().ok()?,
        named: named.to_owned(),
    })
}
