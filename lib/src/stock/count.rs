//! Changes that people make to the stock: they count it, they receive more, they map a reward to a
//! product.
//!
//! A count is one conditional write, which starts from the current row and has an id of its own. By
//! that id we recognise a repeat after a lost answer.

use anyhow::{Context, bail};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use rust_decimal::Decimal;

use super::{Level, Product, Stock, number, read_text, readable, text};
use crate::ledger::{Item, refused_item, unique_id};

/// How often a write starts again because sales changed the row meanwhile.
const ATTEMPTS: usize = 20;

/// What somebody counted of a product. Quantities may have decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The whole quantity on hand.
    All(Decimal),
    /// The quantity that came in addition.
    More(Decimal),
}

impl Stock {
    /// Records what was counted, and the threshold if one is given. If there is enough again, a
    /// later low level is alerted again. Returns the product before, if it was known, and the
    /// product after.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. Or the product is sold faster than it can be counted,
    /// or the sum is too large.
    pub async fn count(
        &self,
        tenant: &str,
        product: &str,
        counted: Counted,
        threshold: Option<Decimal>,
    ) -> anyhow::Result<(Option<Product>, Product)> {
        let named = [(tenant.to_owned(), product.to_owned())].into();
        let id = unique_id();
        for _ in 0..ATTEMPTS {
            let products = self.products(&named).await;
            let products = products.with_context(|| format!("of {product:?}"))?;
            let before = products.into_iter().next();
            let now = self.counted(tenant, product, before.as_ref(), counted, threshold)?;
            if self.replace(before.as_ref(), &now, &id).await? {
                return Ok((before, now));
            }
        }
        bail!("{product:?} is sold faster than it can be counted: try again")
    }

    fn counted(
        &self,
        tenant: &str,
        product: &str,
        before: Option<&Product>,
        counted: Counted,
        threshold: Option<Decimal>,
    ) -> anyhow::Result<Product> {
        let on_hand = match counted {
            Counted::All(on_hand) => on_hand,
            Counted::More(more) => {
                let had = before.map_or(Decimal::ZERO, |it| it.on_hand);
                let sum = had.checked_add(more);
                sum.with_context(|| format!("{had} and {more} are too much"))?
            }
        };
        let of_its_own = before.filter(|it| it.has_threshold).map(|it| it.threshold);
        let own = threshold.or(of_its_own);
        let threshold = own.unwrap_or(self.threshold);
        Ok(Product {
            tenant: tenant.to_owned(),
            name: readable(product),
            spellings: before.map(|it| it.spellings.clone()).unwrap_or_default(),
            on_hand: on_hand.normalize(),
            threshold,
            has_threshold: own.is_some(),
            is_counted: match counted {
                Counted::All(_) => true,
                // If some was sold before the first count, the whole quantity is not known after a
                // delivery.
                Counted::More(_) => before
                    .is_none_or(|product| product.is_counted || product.on_hand >= Decimal::ZERO),
            },
            alert_failed: None,
            // A level that remains is not alerted again; a worse one will be.
            alerted: before
                .and_then(|it| it.alerted)
                .min(Level::of(on_hand, threshold)),
        })
    }

    /// Writes a product's new state, unless the product changed meanwhile.
    async fn replace(
        &self,
        before: Option<&Product>,
        now: &Product,
        id: &str,
    ) -> anyhow::Result<bool> {
        // By this id we recognise a repeat.
        let mark = match now.is_counted {
            true => "counted",
            false => "received",
        };
        let mark = format!("{mark} = :id");
        let mut set = vec!["on_hand = :now", "product = :product", &mark];
        let mut remove = vec!["alert_failed"];
        let mut values = Item::from([
            (":now".to_owned(), number(now.on_hand)),
            (":product".to_owned(), text(&now.name)),
            (":id".to_owned(), text(id)),
        ]);
        if now.has_threshold {
            set.push("threshold = :threshold");
            values.insert(":threshold".to_owned(), number(now.threshold));
        }
        let level = |it: &Product| Level::of(it.on_hand, it.threshold);
        if before.is_some_and(|before| level(now) < level(before)) {
            // A running alert names less than there is now. It must not count as the next level's
            // alert.
            remove.extend(["alert_owner", "alert_until_ms"]);
        }
        match now.alerted {
            Some(level) => {
                set.push("alerted = :alerted");
                values.insert(":alerted".to_owned(), text(level.name()));
            }
            None => remove.push("alerted"),
        }
        let condition = match before {
            None => "attribute_not_exists(on_hand)".to_owned(),
            Some(before) => {
                values.insert(":before".to_owned(), number(before.on_hand));
                let alerted = match before.alerted {
                    Some(level) => {
                        values.insert(":had_alerted".to_owned(), text(level.name()));
                        "alerted = :had_alerted"
                    }
                    None => "attribute_not_exists(alerted)",
                };
                let threshold = match before.has_threshold {
                    true => {
                        values.insert(":had_threshold".to_owned(), number(before.threshold));
                        "threshold = :had_threshold"
                    }
                    false => "attribute_not_exists(threshold)",
                };
                format!("on_hand = :before AND {alerted} AND {threshold}")
            }
        };
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.product(&now.tenant, &now.name).attributes()))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = written else { return Ok(true) };
        let found = refused_item(error);
        let found = found.with_context(|| format!("writing the stock of {:?}", now.name))?;
        let mut marks = ["counted", "received"].iter();
        Ok(marks.any(|mark| read_text(&found, mark).as_deref() == Some(id)))
    }

    /// Maps a reward of a tenant, given by its key, to a product from now on.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn map(&self, tenant: &str, reward: &str, product: &str) -> anyhow::Result<()> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(self.reward(tenant, reward).attributes()))
            .item("reward", text(readable(reward)))
            .item("product", text(readable(product)))
            .send()
            .await
            .with_context(|| format!("mapping {reward:?} to a product"))?;
        // An entry of old code for this reward must no longer count.
        self.forget_old_reward(tenant, reward).await.map(|_| ())
    }

    /// Removes a reward's mapping: from now on the reward is the product of its own name. Returns
    /// whether the reward was mapped.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn unmap(&self, tenant: &str, reward: &str) -> anyhow::Result<bool> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(self.reward(tenant, reward).attributes()))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .with_context(|| format!("removing the mapping of {reward:?}"))?;
        let was_mapped = deleted.attributes.is_some_and(|it| !it.is_empty());
        Ok(self.forget_old_reward(tenant, reward).await? || was_mapped)
    }

    async fn forget_old_reward(&self, tenant: &str, reward: &str) -> anyhow::Result<bool> {
        let Some(key) = self.old_reward(tenant, reward) else {
            return Ok(false);
        };
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .with_context(|| format!("removing the old mapping of {reward:?}"))?;
        Ok(deleted.attributes.is_some_and(|it| !it.is_empty()))
    }
}
