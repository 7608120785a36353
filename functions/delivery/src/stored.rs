//! Shows a coupon's state in its member's account.

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use channels::WAITS;
use webhooks::ledger::{Committed, Effects, Uncommitted};

use crate::account;
use crate::attempt::{ACCOUNT, Attempt, following};

/// An event with a coupon for the account.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) attempt: Attempt<'a>,
    /// The names of the records that follow this one.
    pub(crate) then: &'a [&'a str],
    /// Whether the coupon may wait for its member's contact.
    pub(crate) waits_for_contact: bool,
}

impl<'a> Stored<'a> {
    /// A step for a coupon that waits for nothing.
    pub(crate) fn with(attempt: Attempt<'a>, then: &'a [&'a str]) -> Self {
        Self {
            attempt,
            then,
            waits_for_contact: false,
        }
    }

    /// Shows the coupon, its state or its expiry.
    pub(crate) async fn store(&self) -> Result<(), Uncommitted> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        for change in account::changes(&delivery.members.table, event, &self.times()) {
            let change = match self.waits_for_contact {
                true => change.set(WAITS, AttributeValue::Bool(true)),
                false => change,
            };
            let effects = self.record().change(change);
            match delivery.ledger.commit(effects, invocation).await? {
                Committed::Now => {
                    tracing::info!(event.key = %event.key, "Stored in the account");
                    return Ok(());
                }
                Committed::Before => return Ok(()),
                Committed::Overtaken => {}
            }
        }
        // The account shows a later state already, or the row has expired.
        if self.renew().await? {
            return Ok(());
        }
        if !account::may_be_overtaken(&event.fact) {
            let changed = anyhow!("the coupon's row in the account changed at the same time");
            return Err(Uncommitted::ForNow(changed));
        }
        // The commit leaves the row as it is.
        delivery.ledger.commit(self.record(), invocation).await?;
        Ok(())
    }

    /// Shows the coupon in place of a forgotten row that DynamoDB has not deleted. Returns whether
    /// there was one.
    async fn renew(&self) -> Result<bool, Uncommitted> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        let renewal = account::renewal(&delivery.members.table, event, &self.times());
        let Some(renewal) = renewal else {
            return Ok(false);
        };
        let renewal = match self.waits_for_contact {
            true => renewal.set(WAITS, AttributeValue::Bool(true)),
            false => renewal.remove(WAITS),
        };
        let effects = self.record().change(renewal);
        let committed = delivery.ledger.commit(effects, invocation).await?;
        Ok(committed != Committed::Overtaken)
    }

    fn record(&self) -> Effects<'a> {
        Effects::new(self.attempt.event, ACCOUNT).fields(following(self.then))
    }

    fn times(&self) -> account::Times {
        let now = self.attempt.invocation.now();
        let ledger = &self.attempt.delivery.ledger;
        let forget_at = ledger.coupon_forgotten_from(self.attempt.event, now);
        account::Times { now, forget_at }
    }
}
