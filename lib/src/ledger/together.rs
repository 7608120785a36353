//! Changes one row together with others: all in one transaction, or none, and safe to repeat.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{anyhow, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::commit::{Change, ItemKey};
use super::{Ledger, refused_item};
use crate::row::{Item, is};

/// The outcome of changes that are made together.
#[derive(Debug, Clone, PartialEq)]
pub enum Together {
    /// The changes are made, now or by an earlier attempt of ours whose answer was lost.
    Made,
    /// The first change's condition does not hold, because of this row. Nothing was made.
    Refused(Item),
    /// DynamoDB never accepts one of the other changes, for this reason. Nothing was made.
    Unfit(String),
}

/// The pauses before a retry, after DynamoDB throttled a transaction, or after two transactions
/// met.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(30),
    Duration::from_millis(70),
    Duration::from_millis(150),
    Duration::from_millis(350),
    Duration::from_millis(800),
];

/// The outcome of one attempt.
enum Sent {
    Ended(Together),
    /// Another transaction is in the way, or DynamoDB is throttling.
    Busy(anyhow::Error),
    Failed(anyhow::Error),
}

/// Makes a change of a row together with others: one transaction, or one update if there are no
/// others.
///
/// `mark` is a field and its value that identify our own change on the row: an owner, or an
/// attempt's id that the change sets. So after a lost answer, the repeat recognises that the change
/// was made.
///
/// # Errors
/// DynamoDB does not answer, or is throttling. The next attempt finds out whether the changes were
/// made.
pub async fn change_together(
    client: &Client,
    own: &Change,
    mark: (&str, &str),
    others: &[Change],
) -> anyhow::Result<Together> {
    let others = match united(own, others) {
        Ok(others) => others,
        Err(reason) => return Ok(Together::Unfit(reason)),
    };
    let mut pauses = PAUSES.iter();
    loop {
        let sent = match others.as_slice() {
            [] => change_alone(client, own, mark).await,
            others => transact(client, own, mark, others).await,
        };
        let error = match sent {
            Sent::Ended(together) => return Ok(together),
            Sent::Failed(error) => return Err(error),
            Sent::Busy(error) => error,
        };
        let Some(pause) = pauses.next() else {
            return Err(error);
        };
        // The pause is random, so that two transactions that met do not meet again.
        tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
    }
}

async fn change_alone(client: &Client, own: &Change, mark: (&str, &str)) -> Sent {
    let write = match own.update() {
        Ok(write) => write,
        Err(error) => return Sent::Failed(error),
    };
    let updated = client
        .update_item()
        .table_name(write.table_name)
        .set_key(Some(write.key))
        .update_expression(write.update_expression)
        .set_condition_expression(write.condition_expression)
        .set_expression_attribute_names(write.expression_attribute_names)
        .set_expression_attribute_values(write.expression_attribute_values)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    match updated {
        Ok(_) => Sent::Ended(Together::Made),
        Err(error) => match refused_item(error) {
            Ok(found) => Sent::Ended(judge_own(found, mark)),
            Err(error) => Sent::Failed(error),
        },
    }
}

async fn transact(client: &Client, own: &Change, mark: (&str, &str), others: &[Change]) -> Sent {
    let writes = [own].into_iter().chain(others).map(Change::write_returning);
    let writes = match writes.collect::<anyhow::Result<Vec<_>>>() {
        Ok(writes) => writes,
        Err(error) => return Sent::Failed(error.context("writing a change")),
    };
    let transaction = client.transact_write_items();
    match transaction.set_transact_items(Some(writes)).send().await {
        Ok(_) => Sent::Ended(Together::Made),
        Err(error) => judge(error, mark),
    }
}

impl Ledger {
    /// Makes a change of a row together with others, as [`change_together`] does.
    ///
    /// # Errors
    /// DynamoDB does not answer, or is throttling.
    pub async fn change_together(
        &self,
        own: &Change,
        mark: (&str, &str),
        others: &[Change],
    ) -> anyhow::Result<Together> {
        change_together(&self.client, own, mark, others).await
    }

    /// Ends a record together with its attachments. If DynamoDB never accepts the attachments, the
    /// record ends without them. Otherwise its effect would be made twice. Returns the row that
    /// refused the record.
    pub(super) async fn end_together(
        &self,
        own: &Change,
        mark: (&str, &str),
        attached: &[Change],
    ) -> anyhow::Result<Option<Item>> {
        let mut ended = self.change_together(own, mark, attached).await?;
        if let Together::Unfit(reason) = &ended
            && !attached.is_empty()
        {
            tracing::error!(
                record.coupon = own.item.partition.1,
                record.entry = own.item.sort.1,
                reason,
                "The record is settled without its figures"
            );
            ended = self.change_together(own, mark, &[]).await?;
        }
        match ended {
            Together::Made => Ok(None),
            Together::Refused(found) => Ok(Some(found)),
            Together::Unfit(reason) => bail!("DynamoDB does not accept it: {reason}"),
        }
    }
}

/// The other changes, one for each item, or the reason why they cannot share a transaction.
fn united(own: &Change, others: &[Change]) -> Result<Vec<Change>, String> {
    let mut united: BTreeMap<&ItemKey, Change> = BTreeMap::new();
    for change in others {
        let twice = || Err("one item is changed in two ways".to_owned());
        match united.get_mut(&change.item) {
            _ if change.item == own.item => return twice(),
            Some(sum) => {
                let both_add = sum.only_adds() && change.only_adds();
                if !(both_add && sum.absorb(change)) {
                    return twice();
                }
            }
            None => _ = united.insert(&change.item, change.clone()),
        }
    }
    Ok(united.into_values().collect())
}

fn judge_own(found: Item, (field, value): (&str, &str)) -> Together {
    match is(&found, field, value) {
        true => Together::Made,
        false => Together::Refused(found),
    }
}

fn judge(error: SdkError<TransactWriteItemsError>, mark: (&str, &str)) -> Sent {
    let cancelled = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled,
        _ => return judge_whole(error),
    };
    let reasons = cancelled.cancellation_reasons();
    let is_refused = |code: Option<&str>| code == Some("ConditionalCheckFailed");
    if let Some(own) = reasons.first().filter(|it| is_refused(it.code())) {
        let found = own.item().cloned().unwrap_or_default();
        return Sent::Ended(judge_own(found, mark));
    }
    let never = [
        "ConditionalCheckFailed",
        "ValidationError",
        "ItemCollectionSizeLimitExceeded",
    ];
    let mut codes = reasons.iter().filter_map(|it| it.code());
    match codes.find(|code| never.contains(code)) {
        Some(code) => Sent::Ended(Together::Unfit(code.to_owned())),
        None => Sent::Busy(anyhow!(error)),
    }
}

fn judge_whole(error: SdkError<TransactWriteItemsError>) -> Sent {
    match error.code() {
        Some(code @ "ValidationException") => Sent::Ended(Together::Unfit(code.to_owned())),
        Some(
            "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "ThrottlingException"
            | "TransactionInProgressException",
        ) => Sent::Busy(anyhow!(error)),
        _ => Sent::Failed(anyhow!(error)),
    }
}
