//! Settling a lease: how its effect ended is recorded for good, or the effect is let go.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;

use super::{Lease, RELEASED, RUNNING};
use crate::ledger::row::{number, text};
use crate::ledger::{Attached, Change, Status};

/// The waits between attempts to settle a lease, each of which has the SDK's own attempts within it.
const SETTLE_PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2000),
    Duration::from_millis(4000),
    Duration::from_millis(6000),
];

impl Lease {
    /// How many attempts before this one had no answer: the effect may have been made that often.
    pub fn in_doubt(&self) -> u32 {
        self.in_doubt
    }

    /// Records how the effect ended, with a word on it: a message id, a reason. Nothing happens where the lease
    /// has passed to another owner meanwhile.
    pub async fn settle(self, status: Status, result: &str) -> anyhow::Result<()> {
        self.settle_with(status, result, Attached::default()).await
    }

    /// The same, together with what is attached, in one transaction: both or neither, once. Where DynamoDB takes what is
    /// attached at no time, the record is settled without it: else the effect would be made twice.
    pub async fn settle_with(
        self,
        status: Status,
        result: &str,
        attached: impl Into<Attached>,
    ) -> anyhow::Result<()> {
        let Attached { fields, changes } = attached.into();
        let own = self.ending(status.name(), result).set_all(fields);
        self.update(own, &changes).await
    }

    /// Lets go of the effect after a failure that may pass, so that the next attempt need not wait for the
    /// lease's end; but not before a time, where there is one.
    pub async fn release(self, reason: &str, not_before: Option<Timestamp>) -> anyhow::Result<()> {
        let mut own = self.ending(RELEASED, reason);
        if let Some(at) = not_before {
            own = own
                .set("not_before_ms", number(at.as_millisecond()))
                .set("in_doubt", number(self.in_doubt.into()));
        }
        self.update(own, &[]).await
    }

    /// The same after an attempt that had no answer.
    pub async fn release_in_doubt(
        mut self,
        reason: &str,
        not_before: Timestamp,
    ) -> anyhow::Result<()> {
        self.in_doubt += 1;
        self.release(reason, Some(not_before)).await
    }

    /// The change that ends the lease, where it is still this owner's.
    fn ending(&self, status: &str, result: &str) -> Change {
        let row = self.ledger.row_key(&self.coupon, &self.entry);
        Change::of(row)
            .set("status", text(status))
            .set("result", text(result))
            .set("finished_at", text(self.invocation.now().to_string()))
            .remove("lease_until_ms")
            .only_if(
                "#owner = :its_owner AND #status = :running",
                &[("its_owner", text(&self.owner)), ("running", text(RUNNING))],
            )
    }

    /// Tries for a while: once the effect is made, a word that is not recorded makes it twice.
    async fn update(self, own: Change, others: &[Change]) -> anyhow::Result<()> {
        let mut outcome = self.try_update(&own, others).await;
        for pause in SETTLE_PAUSES {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            outcome = self.try_update(&own, others).await;
        }
        outcome
    }

    async fn try_update(&self, own: &Change, others: &[Change]) -> anyhow::Result<()> {
        let mark = ("owner", self.owner.as_str());
        let refused = self.ledger.end_together(own, mark, others).await;
        let refused =
            refused.with_context(|| format!("settling {}/{}", self.coupon, self.entry))?;
        if refused.is_some() {
            tracing::warn!(
                record.coupon = self.coupon,
                record.entry = self.entry,
                "The lease had passed to another worker; its word counts"
            );
        }
        Ok(())
    }
}
