//! Leases: an effect outside DynamoDB is claimed before it is made, and only who has claimed it settles it.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::row::{is, number, text};
use super::{Ledger, Status, refused_item, unique_id};
use crate::event::Event;
use crate::invocation::Invocation;

/// What came of claiming an effect.
#[derive(Debug)]
pub enum Claim {
    /// It is ours to make, until the lease ends.
    Granted(Lease),
    /// It was made, or given up for good.
    Settled,
    /// Another worker has the lease.
    Taken { until: Timestamp },
}

/// The right to make one effect. Only its owner can settle it.
#[derive(Debug)]
pub struct Lease {
    ledger: Ledger,
    coupon: String,
    entry: String,
    owner: String,
    invocation: Invocation,
}
/// How long a worker waits for another's lease.
const CLAIM_WAIT: Duration = Duration::from_secs(3);

/// The waits between attempts to settle a lease, each of which has the SDK's own attempts within it.
const SETTLE_PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2000),
    Duration::from_millis(4000),
    Duration::from_millis(6000),
];

/// Status of a record whose effect is being made.
const RUNNING: &str = "running";
/// Status of a record whose effect failed for now and may be claimed again.
const RELEASED: &str = "released";

impl Ledger {
    /// Claims an effect outside DynamoDB before it is made. Where another worker has the lease, waits a little:
    /// most effects take less than a second, and giving the message back costs its visibility timeout.
    pub async fn claim(
        &self,
        event: &Event,
        name: &str,
        invocation: Invocation,
    ) -> anyhow::Result<Claim> {
        let give_up_at = Instant::now() + CLAIM_WAIT;
        let mut pause = Duration::from_millis(50);
        loop {
            let claim = self.try_claim(event, name, invocation).await?;
            if !matches!(claim, Claim::Taken { .. }) || Instant::now() + pause > give_up_at {
                return Ok(claim);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_claim(
        &self,
        event: &Event,
        name: &str,
        invocation: Invocation,
    ) -> anyhow::Result<Claim> {
        let (now, until) = (invocation.now(), invocation.ends_at());
        let owner = unique_id();
        let entry = event.key.beneath(name);
        let claimed = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(event.key.coupon()))
            .key("entry", text(&entry))
            .update_expression(
                "SET #status = :running, #owner = :owner, lease_until_ms = :until, #ttl = :ttl, \
                 attempts = if_not_exists(attempts, :zero) + :one, \
                 started_at = if_not_exists(started_at, :started_at)",
            )
            .condition_expression(
                "attribute_not_exists(entry) OR #status = :released OR #ttl <= :now_s OR \
                 (#status = :running AND (lease_until_ms <= :now_ms OR #owner = :owner))",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":running", text(RUNNING))
            .expression_attribute_values(":released", text(RELEASED))
            .expression_attribute_values(":owner", text(&owner))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":now_ms", number(now.as_millisecond()))
            .expression_attribute_values(":now_s", number(now.as_second()))
            .expression_attribute_values(":ttl", self.forget_at(event, now))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":started_at", text(now.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let found = match claimed {
            Ok(_) => {
                return Ok(Claim::Granted(Lease {
                    ledger: self.clone(),
                    coupon: event.key.coupon().to_owned(),
                    entry,
                    owner,
                    invocation,
                }));
            }
            Err(error) => {
                refused_item(error).with_context(|| format!("claiming {}/{name}", event.key))?
            }
        };
        if is(&found, "status", RUNNING) {
            let until = found.get("lease_until_ms").and_then(|ms| ms.as_n().ok());
            let until = until
                .and_then(|ms| ms.parse().ok())
                .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                .unwrap_or(until_unknown(now));
            return Ok(Claim::Taken { until });
        }
        Ok(Claim::Settled)
    }
}

impl Lease {
    /// Records how the effect ended, with a word on it: a message id, a reason. Nothing happens where the lease
    /// has passed to another owner meanwhile.
    pub async fn settle(self, status: Status, result: &str) -> anyhow::Result<()> {
        self.update(status.name(), result).await
    }

    /// Lets go of the effect after a failure that may pass, so that the next attempt need not wait for the
    /// lease's end.
    pub async fn release(self, reason: &str) -> anyhow::Result<()> {
        self.update(RELEASED, reason).await
    }

    /// Tries for a while: once the effect is made, a word that is not recorded makes it twice.
    async fn update(self, status: &str, result: &str) -> anyhow::Result<()> {
        let mut outcome = self.try_update(status, result).await;
        for pause in SETTLE_PAUSES {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            outcome = self.try_update(status, result).await;
        }
        outcome
    }

    async fn try_update(&self, status: &str, result: &str) -> anyhow::Result<()> {
        let updated = self
            .ledger
            .client
            .update_item()
            .table_name(&self.ledger.table)
            .key("coupon", text(&self.coupon))
            .key("entry", text(&self.entry))
            .update_expression(
                "SET #status = :status, #result = :result, finished_at = :now REMOVE lease_until_ms",
            )
            .condition_expression("#owner = :owner AND #status = :running")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#result", "result")
            .expression_attribute_values(":status", text(status))
            .expression_attribute_values(":running", text(RUNNING))
            .expression_attribute_values(":owner", text(&self.owner))
            .expression_attribute_values(":result", text(result))
            .expression_attribute_values(":now", text(self.invocation.now().to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = updated else { return Ok(()) };
        let found = refused_item(error)
            .with_context(|| format!("settling {}/{}", self.coupon, self.entry))?;
        if !is(&found, "owner", &self.owner) {
            tracing::warn!(
                record.coupon = self.coupon,
                record.entry = self.entry,
                "The lease had passed to another worker; its word counts"
            );
        }
        Ok(())
    }
}
/// A lease without a legible end is one of another version of this code; it is looked at again soon.
fn until_unknown(now: Timestamp) -> Timestamp {
    now + SignedDuration::from_secs(30)
}
