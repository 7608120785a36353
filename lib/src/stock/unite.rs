//! Unites old rows with their product's row. Before each product had one key, every spelling had a
//! row of its own. An old row becomes part of its product's row once; until then no quantity is
//! lost (ADR 20).

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};

use super::{PRODUCT, REWARD, Stock, name_of, read_text};
use crate::event::{KEY_PART_MAX_BYTES, escape, unescape};
use crate::ledger::{Item, ItemKey};
use crate::product_name::identity;

/// Fields that a product's row takes from an old row if it has none itself.
const KEPT: [&str; 5] = [
    "counted",
    "received",
    "threshold",
    "alerted",
    "alert_failed",
];

impl Stock {
    /// Unites every old row of a tenant, given by its key, with the row that today's code reads and
    /// writes.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn unite(&self, tenant: &str) -> anyhow::Result<()> {
        for row in self.rows(Some(tenant)).await? {
            if !self.is_united(&row) {
                self.unite_row(&row).await?;
            }
        }
        Ok(())
    }

    /// Whether a row stands at the key that its name has today. A row of another kind counts as
    /// united.
    pub(super) fn is_united(&self, row: &Item) -> bool {
        let entry = read_text(row, "entry").unwrap_or_default();
        [PRODUCT, REWARD].iter().all(|kind| {
            let spelling = entry.strip_prefix(kind);
            spelling.is_none_or(|spelling| spelling == escape(&identity(&unescape(spelling))))
        })
    }

    /// The key that a name had before each product had one key, if that key differs from today's.
    pub(super) fn old_key(&self, tenant: &str, kind: &str, name: &str) -> Option<ItemKey> {
        let spelling = escape(name);
        let is_other = spelling != escape(&identity(name)) && spelling.len() <= KEY_PART_MAX_BYTES;
        let key = || {
            ItemKey::new(
                &self.table,
                ("tenant", tenant),
                ("entry", format!("{kind}{spelling}")),
            )
        };
        is_other.then(key)
    }

    /// Unites an old row with today's. If another worker does so, or the row changed meanwhile, the
    /// row is read again later.
    pub(super) async fn unite_row(&self, row: &Item) -> anyhow::Result<()> {
        let (Some(tenant), Some(entry)) = (read_text(row, "tenant"), read_text(row, "entry"))
        else {
            return Ok(());
        };
        let update = match (
            name_of(row, PRODUCT, "product"),
            name_of(row, REWARD, "reward"),
        ) {
            (Some(name), _) => self.add_product(row, &tenant, &entry, &name),
            (_, Some(name)) => self.add_reward(row, &tenant, &name),
            _ => return Ok(()),
        };
        let old = ItemKey::new(&self.table, ("tenant", &tenant), ("entry", &entry));
        let mut delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(old.attributes()));
        delete = match row.get("on_hand") {
            Some(on_hand) => delete
                .condition_expression("on_hand = :seen")
                .expression_attribute_values(":seen", on_hand.clone()),
            None => delete
                .condition_expression("attribute_exists(entry) AND attribute_not_exists(on_hand)"),
        };
        let delete = TransactWriteItem::builder().delete(delete.build()?).build();
        let update = TransactWriteItem::builder().update(update?).build();
        let united = self
            .client
            .transact_write_items()
            .transact_items(delete)
            .transact_items(update);
        match united.send().await {
            Ok(_) => {
                tracing::info!("United an old row of the stock with its product's row");
                Ok(())
            }
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled))
                    if cancelled
                        .cancellation_reasons()
                        .iter()
                        .any(|it| it.code() == Some("ConditionalCheckFailed")) =>
                {
                    Ok(())
                }
                _ => {
                    let code = error.code().unwrap_or("no answer").to_owned();
                    Err(anyhow!("{code}")).context("uniting rows of one product")
                }
            },
        }
    }

    /// Adds an old row's fields to today's row.
    fn add_product(
        &self,
        row: &Item,
        tenant: &str,
        entry: &str,
        name: &str,
    ) -> anyhow::Result<Update> {
        let spelling = entry
            .strip_prefix(PRODUCT)
            .map(unescape)
            .unwrap_or_default();
        let mut set = vec!["product = if_not_exists(product, :product)".to_owned()];
        let mut values = BTreeMap::from([
            (":product", AttributeValue::S(super::readable(name))),
            (":spelling", AttributeValue::Ss(vec![spelling])),
            (
                ":on_hand",
                row.get("on_hand")
                    .cloned()
                    .unwrap_or_else(|| AttributeValue::N("0".into())),
            ),
        ]);
        let names = [":kept0", ":kept1", ":kept2", ":kept3", ":kept4"];
        for (field, name) in KEPT.into_iter().zip(names) {
            if let Some(value) = row.get(field) {
                set.push(format!("{field} = if_not_exists({field}, {name})"));
                values.insert(name, value.clone());
            }
        }
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(
                self.product(
                    tenant,
                    &unescape(entry.strip_prefix(PRODUCT).unwrap_or(entry)),
                )
                .attributes(),
            ))
            .update_expression(format!(
                "SET {} ADD on_hand :on_hand, spellings :spelling",
                set.join(", ")
            ));
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        Ok(update.build()?)
    }

    /// Copies an old entry of the catalogue, unless today's row has one.
    fn add_reward(&self, row: &Item, tenant: &str, name: &str) -> anyhow::Result<Update> {
        let product = read_text(row, "product").unwrap_or_default();
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(self.reward(tenant, name).attributes()))
            .update_expression(
                "SET reward = if_not_exists(reward, :reward), product = if_not_exists(product, :product)",
            )
            .expression_attribute_values(":reward", AttributeValue::S(super::readable(name)))
            .expression_attribute_values(":product", AttributeValue::S(product));
        Ok(update.build()?)
    }
}
