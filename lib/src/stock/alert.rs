//! Alerts of a product of which little is left: each is told once, until the product is restocked.
//!
//! The product's own row says what was told. It is claimed there before it is told, by a lease that ends with the
//! invocation, and only while there is as little as the alert says.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::time::Instant;

use super::{Level, Product, Stock, number, text};
use crate::invocation::Invocation;
use crate::ledger::{Item, refused_item, unique_id};

/// How long a worker waits for another's word.
const CLAIM_WAIT: Duration = Duration::from_secs(3);

/// The waits between attempts to settle a lease, each of which has the SDK's own attempts within it.
const SETTLE_PAUSES: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2000),
];

/// What came of claiming an alert.
#[derive(Debug)]
pub enum Alert {
    /// It is ours to tell, until the lease ends.
    Due(Box<AlertLease>),
    /// There is enough, or it was told.
    NotDue,
    /// Another worker is telling of the product.
    Taken,
    /// SNS took no alert a moment ago, until an operator mends something. Who found that out tries again.
    Held,
}

/// The right to tell of a product. Only its owner can settle it.
#[derive(Debug)]
pub struct AlertLease {
    stock: Stock,
    /// As it stood when this was granted.
    pub product: Product,
    pub level: Level,
    owner: String,
}

impl Product {
    /// What should be told of it, and was not. How much there is of what nobody ever counted, nobody knows.
    pub fn untold(&self) -> Option<Level> {
        let level = self.level();
        level.filter(|level| Some(*level) > self.alerted)
    }
}

impl Stock {
    /// Claims the alert that is due of a product, if one is. Where another worker is telling of it, waits a little.
    pub async fn claim_alert(
        &self,
        mut product: Product,
        invocation: Invocation,
    ) -> anyhow::Result<Alert> {
        let give_up_at = Instant::now() + CLAIM_WAIT;
        let mut pause = Duration::from_millis(50);
        while let Some(level) = product.untold() {
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
            // Where the product changed meanwhile, that decides, and at once.
            let waits = if now == product {
                pause
            } else {
                Duration::ZERO
            };
            if Instant::now() + waits > give_up_at {
                return Ok(Alert::Taken);
            }
            tokio::time::sleep(waits).await;
            pause += waits;
            product = now;
        }
        Ok(Alert::NotDue)
    }

    /// The lease, or the row that stands in its way.
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

impl AlertLease {
    /// Writes down that it was told. Nothing happens where the product was restocked meanwhile, or the lease has passed to
    /// another owner.
    pub async fn settle(self) -> anyhow::Result<()> {
        let told = "SET alerted = :level REMOVE alert_owner, alert_until_ms, alert_failed";
        let level = text(self.level.name());
        self.update(told, &[(":level", level)]).await
    }

    /// Writes down that it never will be told, and why. The next one comes as if it had been.
    pub async fn fail(self, reason: &str) -> anyhow::Result<()> {
        let failed =
            "SET alerted = :level, alert_failed = :reason REMOVE alert_owner, alert_until_ms";
        let level = text(self.level.name());
        self.update(failed, &[(":level", level), (":reason", text(reason))])
            .await
    }

    /// Lets go of it, but nobody tries again before then: until an operator mends something, nobody would succeed.
    pub async fn hold(self, reason: &str, until: Timestamp) -> anyhow::Result<()> {
        let held = "SET alert_until_ms = :until, alert_failed = :reason REMOVE alert_owner";
        let values = [(":until", milliseconds(until)), (":reason", text(reason))];
        self.update(held, &values).await
    }

    /// Lets go of it after a failure that may pass.
    pub async fn release(self) -> anyhow::Result<()> {
        self.update("REMOVE alert_owner, alert_until_ms", &[]).await
    }

    /// Tries for a while: once it is told, a word that is not written down tells it twice.
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

/// Whether a row's alert has no owner and waits all the same.
fn is_held(row: &Item, now: Timestamp) -> bool {
    let until_ms = row
        .get("alert_until_ms")
        .and_then(|it| it.as_n().ok()?.parse::<i64>().ok());
    !row.contains_key("alert_owner") && until_ms.is_some_and(|it| it > now.as_millisecond())
}

fn milliseconds(at: Timestamp) -> AttributeValue {
    number(at.as_millisecond().into())
}
