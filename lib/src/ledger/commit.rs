//! Commits: effects inside DynamoDB are made in one transaction with the record that they were made.

use anyhow::anyhow;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use jiff::Timestamp;

use super::row::{number, text};
use super::{Ledger, Status};
use crate::event::Event;

/// What came of committing effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    Now,
    /// The record was there already, and so are the effects.
    Before,
    /// An effect's own condition does not hold: nothing was made.
    Overtaken,
}

impl Ledger {
    /// Makes effects inside DynamoDB, together with the record that says so: both or neither, once.
    pub async fn commit(
        &self,
        event: &Event,
        name: &str,
        effects: Vec<TransactWriteItem>,
        now: Timestamp,
    ) -> anyhow::Result<Committed> {
        let record = Put::builder()
            .table_name(&self.table)
            .item("coupon", text(event.key.coupon()))
            .item("entry", text(event.key.beneath(name)))
            .item("status", text(Status::Done.name()))
            .item("finished_at", text(now.to_string()))
            .item("ttl", self.forget_at(event, now))
            .condition_expression("attribute_not_exists(entry) OR #ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", number(now.as_second()))
            .build()?;
        let committed = self
            .client
            .transact_write_items()
            .set_transact_items(Some(
                std::iter::once(TransactWriteItem::builder().put(record).build())
                    .chain(effects)
                    .collect(),
            ))
            .send()
            .await;
        let error = match committed {
            Ok(_) => return Ok(Committed::Now),
            Err(error) => error,
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        {
            let reasons = cancelled.cancellation_reasons().iter();
            let refused: Vec<_> = reasons
                .map(|reason| reason.code() == Some("ConditionalCheckFailed"))
                .collect();
            match refused.iter().position(|refused| *refused) {
                Some(0) => return Ok(Committed::Before),
                Some(_) => return Ok(Committed::Overtaken),
                None => {}
            }
        }
        Err(anyhow!(error).context(format!("committing {}/{name}", event.key)))
    }
}
