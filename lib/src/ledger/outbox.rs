//! The outbox: a sparse index of the rows whose message SQS refused. The function `outbox` sends
//! these messages later.

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::{Change, Ledger, Standing, refused_item, unique_id};
use crate::event::EventKey;
use crate::row::{Item, read_text, text};
use crate::task::Task;

/// An event whose message SQS refused.
#[derive(Debug, Clone)]
pub struct Undispatched {
    /// The event's key.
    pub key: EventKey,
    /// The recorded event with its whole body.
    pub standing: Standing,
    /// When the event was received first. The index is sorted by this time.
    pub received_at: Timestamp,
    /// The tasks that a mark of older code names; `None` if the message is for all tasks that the
    /// event causes.
    pub tasks: Option<Vec<Task>>,
    mark: String,
}

/// A page of the outbox.
#[derive(Debug, Default)]
pub struct OutboxPage {
    /// The oldest first. A row that only newer code can read is left out.
    pub events: Vec<Undispatched>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<OutboxPlace>,
    /// When the page's last event was received.
    pub until: Option<String>,
}

/// A place between two rows of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxPlace(Item);

impl OutboxPlace {
    /// When the event before this place was received.
    pub fn received_at(&self) -> Option<&String> {
        read_text(&self.0, RECEIVED_AT)
    }
}

/// The sparse index of rows whose message waits, and the one value of its partition key. The index
/// has rows only during an outage, so one partition is enough.
const OUTBOX_INDEX: &str = "outbox";
const OUTBOX: &str = "waiting";
const RECEIVED_AT: &str = "received_at";

/// How many rows a page has.
const OUTBOX_AT_A_TIME: i32 = 25;

/// The first word of a mark. Older code reads a mark's words as names of tasks, and leaves the row
/// alone if it does not know one. So no task may have this name.
pub const MARK: &str = "work";

/// The key of the row that stores where the outbox stopped. No event has this key, and the row is
/// not in the index.
const PLACE: (&str, &str) = ("outbox", "place");

impl Ledger {
    /// The change that marks an event's row, so that the outbox sends its message once more. The
    /// change shares the transaction of what the event's tasks should see.
    pub fn sent_again(&self, key: &EventKey) -> Change {
        Change::of(self.row_key(key.coupon(), key.entry()))
            .set("outbox", text(OUTBOX))
            .set("undispatched", text(new_mark()))
            .only_if("attribute_exists(#entry)", &[])
    }

    /// Marks an event's row: SQS refused its message. The mark puts the row into the outbox's
    /// index. Each mark is unique. So a message that SQS refused later is not mistaken for one that
    /// was sent.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn mark_undispatched(&self, key: &EventKey) -> anyhow::Result<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(key.coupon()))
            .key("entry", text(key.entry()))
            .update_expression("SET outbox = :outbox, undispatched = :mark")
            .condition_expression("attribute_exists(entry)")
            .expression_attribute_values(":outbox", text(OUTBOX))
            .expression_attribute_values(":mark", text(new_mark()))
            .send()
            .await
            .context("marking the event as undispatched")?;
        Ok(())
    }

    /// A page of the events in the outbox, the oldest first.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn undispatched(&self, from: Option<OutboxPlace>) -> anyhow::Result<OutboxPage> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OUTBOX_INDEX)
            .key_condition_expression("outbox = :outbox")
            .expression_attribute_values(":outbox", text(OUTBOX))
            .set_exclusive_start_key(from.map(|it| it.0))
            .limit(OUTBOX_AT_A_TIME)
            .send()
            .await
            .context("reading the outbox")?;
        let rows = page.items.unwrap_or_default();
        let until = rows
            .last()
            .and_then(|row| read_text(row, RECEIVED_AT).cloned());
        let mut events = Vec::new();
        for row in rows {
            events.extend(read_undispatched(&self.whole(row).await?));
        }
        Ok(OutboxPage {
            events,
            next: page.last_evaluated_key.map(OutboxPlace),
            until,
        })
    }

    /// Removes an event from the outbox, unless it was marked again meanwhile.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn clear_undispatched(&self, sent: &Undispatched) -> anyhow::Result<()> {
        let cleared = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(sent.key.coupon()))
            .key("entry", text(sent.key.entry()))
            .update_expression("REMOVE outbox, undispatched")
            .condition_expression("undispatched = :mark")
            .expression_attribute_values(":mark", text(&sent.mark))
            .send()
            .await;
        match cleared {
            Err(error) => refused_item(error)
                .map(|_| ())
                .context("clearing the outbox's mark"),
            Ok(_) => Ok(()),
        }
    }

    /// The place where the outbox stopped, if it has not tried the events after it.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn outbox_place(&self) -> anyhow::Result<Option<OutboxPlace>> {
        let (coupon, entry) = PLACE;
        let row = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("coupon", text(coupon))
            .key("entry", text(entry))
            .consistent_read(true)
            .send()
            .await
            .context("reading where the outbox stopped")?;
        let place = row.item.and_then(|mut row| row.remove("place"));
        Ok(place.and_then(|it| Some(OutboxPlace(it.as_m().ok()?.clone()))))
    }

    /// Stores the place where the outbox continues; `None` means the oldest event.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn keep_outbox_place(&self, place: Option<&OutboxPlace>) -> anyhow::Result<()> {
        let (coupon, entry) = PLACE;
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(coupon))
            .key("entry", text(entry));
        let update = match place {
            Some(OutboxPlace(key)) => update
                .update_expression("SET place = :place")
                .expression_attribute_values(":place", AttributeValue::M(key.clone())),
            None => update.update_expression("REMOVE place"),
        };
        update
            .send()
            .await
            .context("keeping where the outbox stopped")?;
        Ok(())
    }
}

/// A mark that no other attempt makes.
fn new_mark() -> String {
    format!("{MARK} {}", unique_id())
}

fn read_undispatched(row: &Item) -> Option<Undispatched> {
    let mark = read_text(row, "undispatched")?;
    let tasks = match mark.split(' ').next() {
        Some(MARK) => None,
        // If only newer code knows a task, the row stays for newer code.
        _ => Some(mark.split(' ').map(Task::named).collect::<Option<_>>()?),
    };
    let key = EventKey::recorded(read_text(row, "coupon")?, read_text(row, "entry")?);
    Some(Undispatched {
        standing: Standing::of(row, &key),
        key,
        received_at: read_text(row, RECEIVED_AT)?.parse().ok()?,
        tasks,
        mark: mark.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the tasks that the outbox sends for a row with this mark, if it sends any.
    #[track_caller]
    fn check(mark: &str, expected: Option<Option<&[Task]>>) {
        let row = [
            ("coupon", "zupy#comp#CP-1"),
            ("entry", "redeemed"),
            ("received_at", "2026-11-22T12:00:00Z"),
            ("undispatched", mark),
        ];
        let row = row.map(|(name, value)| (name.to_owned(), text(value)));
        let read = read_undispatched(&row.into_iter().collect());
        let read = read.map(|it| it.tasks);
        assert_eq!(read, expected.map(|tasks| tasks.map(<[_]>::to_vec)));
    }

    #[test]
    fn a_mark_is_read_whichever_version_made_it() {
        check("work 0123456789abcdef", Some(None));
        let named = [Task::Delivery, Task::Fraud];
        check("delivery fraud", Some(Some(&named)));
        check("delivery surveys-of-tomorrow", None);
    }

    /// Code before `work` reads each word of a mark as a task's name, and leaves the row alone if
    /// it finds no such task.
    #[test]
    fn code_that_reads_names_of_tasks_leaves_a_mark_alone() {
        assert_eq!(Task::named(MARK), None);
    }
}
