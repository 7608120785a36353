//! Reads events and records.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use jiff::Timestamp;

use super::{ItemKey, Ledger, Standing, body, is_forgotten};
use crate::event::{Event, EventKey};
use crate::row::{Item, read_text, text};

/// The most items of one BatchGetItem.
const BATCH_MAX: usize = 100;

/// The pauses before leftover keys are read again. DynamoDB leaves out keys if it lacks capacity,
/// or after 16 MB. The client does not repeat such a part by itself.
const LEFT_OUT_PAUSES: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1500),
    Duration::from_millis(3000),
];

impl Ledger {
    /// The key of a coupon's row with this entry.
    pub fn row_key(&self, coupon: &str, entry: impl Into<String>) -> ItemKey {
        ItemKey::new(&self.table, ("coupon", coupon), ("entry", entry))
    }

    /// A row with its whole body: parts that are stored beneath the row are joined to it.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn whole(&self, row: Item) -> anyhow::Result<Item> {
        let parts = read_text(&row, "coupon").zip(body::parts_of(&row));
        let Some((coupon, beginning)) = parts else {
            return Ok(row);
        };
        let mut rows = self.query(coupon, &beginning).await?;
        rows.push(row);
        Ok(body::join(rows).pop().unwrap_or_default())
    }

    /// An event as it was recorded, with its whole body.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn standing(
        &self,
        key: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<Option<Standing>> {
        let row = self.row(key.coupon(), key.entry(), now).await?;
        let row = match row {
            Some(row) => self.whole(row).await?,
            None => return Ok(None),
        };
        Ok(Some(Standing::of(&row, key)))
    }

    /// A coupon's row with this entry, unless it is absent or forgotten. The row's body may not be
    /// [whole](Self::whole).
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn row(
        &self,
        coupon: &str,
        entry: &str,
        now: Timestamp,
    ) -> anyhow::Result<Option<Item>> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(self.row_key(coupon, entry).attributes()))
            .consistent_read(true)
            .send()
            .await
            .with_context(|| format!("reading {coupon}/{entry}"))?;
        Ok(found.item.filter(|row| !is_forgotten(row, now)))
    }

    /// Rows by their keys, without absent and forgotten ones. Each key may be given once. Without
    /// `fields`, the rows have all fields.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn rows(
        &self,
        keys: &[ItemKey],
        fields: &[&str],
        now: Timestamp,
    ) -> anyhow::Result<Vec<Item>> {
        let mut fields = fields.to_vec();
        if !fields.is_empty() {
            fields.push("ttl");
        }
        let rows = read_all(&self.client, keys, &fields).await;
        let mut rows = rows.context("reading recorded rows")?;
        rows.retain(|row| !is_forgotten(row, now));
        Ok(rows)
    }

    /// A coupon's rows whose entries have this prefix, without the forgotten ones. An empty prefix
    /// reads all rows. Bodies are whole.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn rows_of(
        &self,
        coupon: &str,
        beginning: &str,
        now: Timestamp,
    ) -> anyhow::Result<Vec<Item>> {
        let mut rows = self.query(coupon, beginning).await?;
        rows.retain(|row| !is_forgotten(row, now));
        Ok(body::join(rows))
    }

    pub(super) async fn query(&self, coupon: &str, beginning: &str) -> anyhow::Result<Vec<Item>> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("coupon = :coupon")
            .expression_attribute_values(":coupon", text(coupon));
        if !beginning.is_empty() {
            query = query
                .key_condition_expression("coupon = :coupon AND begins_with(entry, :beginning)")
                .expression_attribute_values(":beginning", text(beginning));
        }
        let rows = query.into_paginator().items().send().try_collect().await;
        rows.with_context(|| format!("reading the rows of {coupon}"))
    }

    /// Reads these fields of a coupon's rows whose entries have this prefix.
    pub(super) async fn query_fields(
        &self,
        coupon: &str,
        beginning: &str,
        fields: &[&str],
    ) -> anyhow::Result<Vec<Item>> {
        let names = fields
            .iter()
            .map(|field| (format!("#{field}"), (*field).to_owned()));
        let placeholders: Vec<_> = fields.iter().map(|it| format!("#{it}")).collect();
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#coupon = :coupon AND begins_with(#entry, :beginning)")
            .projection_expression(placeholders.join(", "))
            .set_expression_attribute_names(Some(names.collect()))
            .expression_attribute_names("#coupon", "coupon")
            .expression_attribute_names("#entry", "entry")
            .expression_attribute_values(":coupon", text(coupon))
            .expression_attribute_values(":beginning", text(beginning));
        let rows = query.into_paginator().items().send().try_collect().await;
        rows.with_context(|| format!("reading the rows of {coupon}"))
    }

    /// Passes on a coupon's rows one by one in the order of their entries, with whole bodies. Holds
    /// one page of rows at a time, and the bodies whose parts are still to come.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn each_row_of(
        &self,
        coupon: &str,
        mut take: impl FnMut(&Item),
    ) -> anyhow::Result<()> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("coupon = :coupon")
            .expression_attribute_values(":coupon", text(coupon));
        let mut pages = query.into_paginator().send();
        let mut joining = body::Joining::default();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("reading the rows of {coupon}"))?;
            for row in page.items.unwrap_or_default() {
                if let Some(whole) = joining.take(row) {
                    take(&whole);
                }
            }
        }
        for row in joining.left() {
            take(&self.whole(row).await?);
        }
        Ok(())
    }
}

/// Reads the event in a body that contradicts a recorded event, as today's code reads it.
pub fn read_conflict(row: &Item, recorded: &Event) -> Option<Event> {
    let mut row = row.clone();
    row.insert("provider".into(), text(&recorded.provider));
    row.insert("tenant".into(), text(&recorded.tenant));
    Standing::of(&row, &recorded.key).event()
}

/// Reads the event that a row with its [whole](Ledger::whole) body records, as today's code reads
/// it, under the row's own key.
pub fn read_event(row: &Item) -> Option<Event> {
    let key = EventKey::recorded(read_text(row, "coupon")?, read_text(row, "entry")?);
    Standing::of(row, &key).event()
}

/// Reads items of any tables by their keys, without absent ones. Each key may be given once.
/// Without `fields`, the items have all fields.
///
/// # Errors
/// DynamoDB does not answer, or refuses.
pub async fn read_all(
    client: &Client,
    keys: &[ItemKey],
    fields: &[&str],
) -> anyhow::Result<Vec<Item>> {
    let mut found = Vec::new();
    for keys in keys.chunks(BATCH_MAX) {
        let mut asked = request(keys, fields)?;
        let mut pauses = LEFT_OUT_PAUSES.iter();
        // If DynamoDB is busy, it may leave out some keys and name them.
        while !asked.is_empty() {
            let answer = client.batch_get_item();
            let answer = answer.set_request_items(Some(asked.into_iter().collect()));
            let answer = answer.send().await?;
            let of_tables = answer.responses.into_iter().flatten();
            let read_before = found.len();
            found.extend(of_tables.flat_map(|(_, items)| items));
            asked = answer
                .unprocessed_keys
                .unwrap_or_default()
                .into_iter()
                .collect();
            if found.len() > read_before {
                pauses = LEFT_OUT_PAUSES.iter();
            }
            if !asked.is_empty() {
                let pause = pauses
                    .next()
                    .context("DynamoDB keeps leaving out requested keys")?;
                // The pause is random, so that several readers do not retry at the same moment.
                tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
            }
        }
    }
    Ok(found)
}

fn request(
    keys: &[ItemKey],
    fields: &[&str],
) -> anyhow::Result<BTreeMap<String, KeysAndAttributes>> {
    let mut of_tables: BTreeMap<&str, Vec<Item>> = BTreeMap::new();
    for key in keys {
        let of_table = of_tables.entry(&key.table).or_default();
        of_table.push(key.attributes());
    }
    let placeholders: Vec<_> = fields.iter().map(|field| format!("#{field}")).collect();
    let names = placeholders
        .iter()
        .cloned()
        .zip(fields.iter().map(|it| (*it).to_owned()));
    let names = (!fields.is_empty()).then(|| names.collect());
    let of_tables = of_tables.into_iter().map(|(table, keys)| {
        let asked = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .set_projection_expression((!fields.is_empty()).then(|| placeholders.join(", ")))
            .set_expression_attribute_names(names.clone());
        Ok((table.to_owned(), asked.build()?))
    });
    of_tables.collect()
}
