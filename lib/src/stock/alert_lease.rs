//! Low-stock alerts: each level of a product is alerted once, until the product is restocked.
//!
//! The product's own row holds the alerted level. Before a worker publishes an alert, it claims the
//! alert on that row, by a lease that ends with the invocation. The claim succeeds only while the
//! stock is as low as the alert says.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{Level, Product, Stock, number, text};
use crate::invocation::Invocation;
use crate::ledger::{
    Change, Item, ItemKey, Together, Wait, change_together, refused_item, unique_id,
};

/// The pauses between attempts to settle a lease. Within each attempt, the SDK makes its own
/// attempts.
const SETTLE_PAUSES: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2000),
];

/// The outcome of claiming an alert.
#[derive(Debug)]
pub enum Alert {
    /// The claim is ours, until the lease ends.
    Due(Box<AlertLease>),
    /// There is enough, or the level was alerted.
    NotDue,
    /// Another worker holds the claim.
    Taken,
    /// SNS refused the alert a moment ago, and refuses it until an operator mends the fault. The
    /// worker that saw the refusal tries again.
    Held,
}

/// The right to alert a product. Only its owner can settle it.
#[derive(Debug)]
pub struct AlertLease {
    stock: Stock,
    /// The product when the lease was granted.
    pub product: Product,
    /// The level that the alert reports.
    pub level: Level,
    owner: String,
}

impl Product {
    /// The level that is due for an alert; `None` if the level was alerted, or if there is no
    /// [`level`](Self::level).
    pub fn due_level(&self) -> Option<Level> {
        let level = self.level();
        level.filter(|level| Some(*level) > self.alerted)
    }
}

impl Stock {
    /// Claims the due alert of a product, if there is one. If another worker holds the claim, the
    /// call waits a little.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn claim_alert(
        &self,
        mut product: Product,
        invocation: Invocation,
    ) -> anyhow::Result<Alert> {
        let mut wait = Wait::begin();
        while let Some(level) = product.due_level() {
            let claimed = self.try_claim(&product, level, invocation).await;
            let found = match claimed.with_context(|| format!("claiming {:?}", product.name))? {
                Ok(lease) => return Ok(Alert::Due(Box::new(lease))),
                Err(found) => found,
            };
            let Some(now) = self.read_product(&found)? else {
                break;
            };
            if is_held(&found, invocation.now()) {
                return Ok(Alert::Held);
            }
            // If the product changed meanwhile, its new state decides at once.
            let goes_on = match now == product {
                true => wait.pause().await,
                false => wait.goes_on(),
            };
            if !goes_on {
                return Ok(Alert::Taken);
            }
            product = now;
        }
        Ok(Alert::NotDue)
    }

    /// The lease, or the row that refused it.
    async fn try_claim(
        &self,
        product: &Product,
        level: Level,
        invocation: Invocation,
    ) -> anyhow::Result<Result<AlertLease, Item>> {
        let owner = unique_id();
        let is_low = match level {
            Level::Low => "on_hand <= :limit AND attribute_not_exists(alerted)",
            Level::BelowZero => {
                "on_hand < :limit AND (attribute_not_exists(alerted) OR alerted <> :level)"
            }
        };
        let limit = match level {
            Level::Low => product.threshold,
            Level::BelowZero => Decimal::ZERO,
        };
        let mut claim = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(
                self.product(&product.tenant, &product.name).attributes(),
            ))
            .update_expression("SET alert_owner = :owner, alert_until_ms = :until");
        let free = "(attribute_not_exists(alert_until_ms) OR alert_until_ms <= :now OR alert_owner = :owner)";
        claim = claim
            .condition_expression(format!("attribute_exists(counted) AND {is_low} AND {free}"));
        if level == Level::BelowZero {
            claim = claim.expression_attribute_values(":level", text(level.name()));
        }
        let claimed = claim
            .expression_attribute_values(":limit", number(limit))
            .expression_attribute_values(":owner", text(&owner))
            .expression_attribute_values(":until", milliseconds(invocation.ends_at()))
            .expression_attribute_values(":now", milliseconds(invocation.now()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let claimed = match claimed {
            Ok(claimed) => claimed.attributes.unwrap_or_default(),
            Err(error) => return Ok(Err(refused_item(error)?)),
        };
        let product = self.read_product(&claimed)?;
        Ok(Ok(AlertLease {
            stock: self.clone(),
            product: product.context("a product's row is one after it was claimed")?,
            level,
            owner,
        }))
    }
}

/// The record of a published alert, and the changes that count it.
#[derive(Debug)]
pub struct Published {
    /// The key of the record, in the events table.
    pub row: ItemKey,
    /// The record's fields, with its `ttl`.
    pub fields: Item,
    /// The changes of counters that count the alert.
    pub counts: Vec<Change>,
}

/// The update of a product's row once its alert is published.
const PUBLISHED: &str = "SET alerted = :level REMOVE alert_owner, alert_until_ms, alert_failed";

impl AlertLease {
    /// Records the alert as published: on the product's row, and in a record of its own together
    /// with the counters. If the product was restocked meanwhile, or if another owner holds the
    /// lease, the product's row stays as it is.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn settle(self, record: Published) -> anyhow::Result<()> {
        let mut outcome = self.try_settle(&record).await;
        for pause in SETTLE_PAUSES {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            outcome = self.try_settle(&record).await;
        }
        outcome
    }

    async fn try_settle(
        &self,
        Published {
            row,
            fields,
            counts,
        }: &Published,
    ) -> anyhow::Result<()> {
        let (stock, product) = (&self.stock, &self.product);
        let published = Change::of(stock.product(&product.tenant, &product.name))
            .set("alerted", text(self.level.name()))
            .remove("alert_owner")
            .remove("alert_until_ms")
            .remove("alert_failed")
            .only_if(
                "#alert_owner = :its_owner",
                &[("its_owner", text(&self.owner))],
            );
        let mut record = Change::of(row.clone()).set("attempt", text(&self.owner));
        for (name, value) in fields {
            record = record.set(name, value.clone());
        }
        let record = record.only_if("attribute_not_exists(#attempt)", &[]);
        let mark = ("attempt", self.owner.as_str());
        let of_product = || format!("settling the alert of {:?}", product.name);
        let all: Vec<_> = counts.iter().cloned().chain([published]).collect();
        let together = change_together(&stock.client, &record, mark, &all).await;
        if !matches!(together.with_context(of_product)?, Together::Unfit(_)) {
            return Ok(());
        }
        // The lease is lost, or DynamoDB cannot add to a counter: each change is made by itself.
        let level = text(self.level.name());
        self.try_update(PUBLISHED, &[(":level", level)]).await?;
        let counted = change_together(&stock.client, &record, mark, counts).await;
        if let Together::Unfit(reason) = counted.with_context(of_product)? {
            tracing::error!(reason, "The alert of low stock is not counted");
        }
        Ok(())
    }

    /// The name of the alert's record among those of its use.
    pub fn id(&self) -> &str {
        &self.owner
    }

    /// Records that the alert can never be published, and why. The next alert comes as if this one
    /// had been published.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn fail(self, reason: &str) -> anyhow::Result<()> {
        let failed =
            "SET alerted = :level, alert_failed = :reason REMOVE alert_owner, alert_until_ms";
        let level = text(self.level.name());
        self.update(failed, &[(":level", level), (":reason", text(reason))])
            .await
    }

    /// Releases the alert, but blocks further attempts until this time: before an operator mends
    /// the fault, none can succeed.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn hold(self, reason: &str, until: Timestamp) -> anyhow::Result<()> {
        let held = "SET alert_until_ms = :until, alert_failed = :reason REMOVE alert_owner";
        let values = [(":until", milliseconds(until)), (":reason", text(reason))];
        self.update(held, &values).await
    }

    /// Releases the alert after a failure that may pass.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn release(self) -> anyhow::Result<()> {
        self.update("REMOVE alert_owner, alert_until_ms", &[]).await
    }

    /// Tries for a while. If a published alert is not recorded, it is published twice.
    async fn update(
        &self,
        expression: &str,
        values: &[(&str, AttributeValue)],
    ) -> anyhow::Result<()> {
        let mut outcome = self.try_update(expression, values).await;
        for pause in SETTLE_PAUSES {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            outcome = self.try_update(expression, values).await;
        }
        outcome
    }

    async fn try_update(
        &self,
        expression: &str,
        values: &[(&str, AttributeValue)],
    ) -> anyhow::Result<()> {
        let (stock, product) = (&self.stock, &self.product);
        let mut update = stock
            .client
            .update_item()
            .table_name(&stock.table)
            .set_key(Some(
                stock.product(&product.tenant, &product.name).attributes(),
            ))
            .update_expression(expression)
            .condition_expression("alert_owner = :owner")
            .expression_attribute_values(":owner", text(&self.owner));
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        let Err(error) = update.send().await else {
            return Ok(());
        };
        let of_product = || format!("settling the alert of {:?}", product.name);
        refused_item(error).map(|_| ()).with_context(of_product)
    }
}

/// Whether a row's alert has no owner and is blocked for a time.
fn is_held(row: &Item, now: Timestamp) -> bool {
    let until_ms = row
        .get("alert_until_ms")
        .and_then(|it| it.as_n().ok()?.parse::<i64>().ok());
    !row.contains_key("alert_owner") && until_ms.is_some_and(|it| it > now.as_millisecond())
}

fn milliseconds(at: Timestamp) -> AttributeValue {
    number(at.as_millisecond().into())
}
