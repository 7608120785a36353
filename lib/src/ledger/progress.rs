//! Progress of a task that takes more than one invocation. The task's own record stores it.

use anyhow::Context;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use jiff::Timestamp;

use super::{Ledger, refused_item};
use crate::event::Event;
use crate::row::{number, read_text, text};

/// How far a walk over a list has come. The order of the list does not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last item that was visited; `None` before the first.
    pub after: Option<String>,
    /// Whether a visited item failed, so another walk must follow.
    pub failed: bool,
    /// How many attempts in a row made no progress.
    pub fruitless: u32,
}

impl Ledger {
    /// Reads the progress from the record of this name beneath an event.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn progress(
        &self,
        event: &Event,
        name: &str,
        now: Timestamp,
    ) -> anyhow::Result<Progress> {
        let row = self
            .row(event.key.coupon(), &event.key.beneath(name), now)
            .await?;
        let row = row.unwrap_or_default();
        let flag = row.get("walk_failed").and_then(|it| it.as_bool().ok());
        let fruitless = row.get("fruitless").and_then(|it| it.as_n().ok());
        Ok(Progress {
            after: read_text(&row, "walked_to").cloned(),
            failed: flag == Some(&true),
            fruitless: fruitless.and_then(|it| it.parse().ok()).unwrap_or(0),
        })
    }

    /// Records progress. If another worker has come further meanwhile, that worker's progress
    /// stays.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn advance(
        &self,
        event: &Event,
        name: &str,
        from: &Progress,
        to: &Progress,
    ) -> anyhow::Result<()> {
        let entry = event.key.beneath(name);
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(
                self.row_key(event.key.coupon(), entry.clone()).attributes(),
            ))
            .expression_attribute_values(":fruitless", number(to.fruitless.into()))
            .expression_attribute_values(
                ":failed",
                aws_sdk_dynamodb::types::AttributeValue::Bool(to.failed),
            );
        let set = "SET walk_failed = :failed, fruitless = :fruitless";
        update = match &to.after {
            Some(after) => update
                .update_expression(format!("{set}, walked_to = :to"))
                .expression_attribute_values(":to", text(after)),
            None => update.update_expression(format!("{set} REMOVE walked_to")),
        };
        update = match &from.after {
            Some(after) => update
                .condition_expression("walked_to = :from")
                .expression_attribute_values(":from", text(after)),
            None => update.condition_expression(
                "attribute_exists(entry) AND attribute_not_exists(walked_to)",
            ),
        };
        let updated = update
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        if let Err(error) = updated {
            refused_item(error).with_context(|| format!("recording how far {entry} came"))?;
        }
        Ok(())
    }
}
