//! Settles a lease: records for good how its effect ended, or releases the effect.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;

use super::{Ends, Lease, RELEASED, RUNNING};
use crate::ledger::{Attached, Change, Status};
use crate::row::{number, text};

/// The pauses between attempts to settle a lease. Within each attempt, the SDK makes its own
/// attempts.
const SETTLE_PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2000),
    Duration::from_millis(4000),
    Duration::from_millis(6000),
];

impl Lease {
    /// How many earlier attempts got no answer. The effect may have been made that often.
    pub fn in_doubt(&self) -> u32 {
        self.in_doubt
    }

    /// Records how the effect ended, with a result: a message's id, or a reason. Nothing changes if
    /// another owner holds the lease meanwhile.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. The lease then ends by itself.
    pub async fn settle(mut self, status: Status, result: &str) -> anyhow::Result<()> {
        let Ends {
            done,
            skipped,
            failed,
        } = std::mem::take(&mut self.ends);
        let attached = match status {
            Status::Done => done,
            Status::Skipped => skipped,
            Status::Failed => failed,
            Status::Waiting => Attached::default(),
        };
        self.settle_with(status, result, attached).await
    }

    /// Attaches this to the record when the lease is settled.
    pub fn ending_with(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }

    /// Like [`settle`](Self::settle), together with attached fields and changes, in one
    /// transaction: both or neither, once. If DynamoDB never accepts the attached changes, the
    /// record is settled without them. Otherwise the effect would be made twice.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. The lease then ends by itself.
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

    /// Releases the effect after a failure that may pass, so that the next attempt need not wait
    /// for the lease's end. `not_before` is the earliest time of that attempt.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. The lease then ends by itself.
    pub async fn release(self, reason: &str, not_before: Option<Timestamp>) -> anyhow::Result<()> {
        let mut own = self.ending(RELEASED, reason);
        if let Some(at) = not_before {
            own = own
                .set("not_before_ms", number(at.as_millisecond()))
                .set("in_doubt", number(self.in_doubt.into()));
        }
        self.update(own, &[]).await
    }

    /// Like [`release`](Self::release), after an attempt that got no answer.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. The lease then ends by itself.
    pub async fn release_in_doubt(
        mut self,
        reason: &str,
        not_before: Timestamp,
    ) -> anyhow::Result<()> {
        self.in_doubt += 1;
        self.release(reason, Some(not_before)).await
    }

    /// The change that ends the lease, if this owner still holds it.
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

    /// Tries for a while. If the effect is made and not recorded, it is made twice.
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
                "Another worker holds the lease now, and its record counts"
            );
        }
        Ok(())
    }
}
