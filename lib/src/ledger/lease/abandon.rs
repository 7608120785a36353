//! Ends an effect that waited and began, and that is no longer needed.

use anyhow::Context;
use jiff::Timestamp;

use super::{RELEASED, RUNNING, read_time, until_unknown};
use crate::event::EventKey;
use crate::invocation::Invocation;
use crate::ledger::{Attached, Change, Ledger, Status, unique_id};
use crate::row::{Item, is, number, text};

impl Ledger {
    /// Ends an effect that is no longer needed, together with attached fields and changes. The
    /// effect waited for another event, began when that event came, and failed for now or lost its
    /// worker. Returns the time until which another worker may be making it, if one is.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn abandon(
        &self,
        key: &EventKey,
        name: &str,
        reason: &str,
        attached: Attached,
        invocation: Invocation,
    ) -> anyhow::Result<Option<Timestamp>> {
        let now = invocation.now();
        let owner = unique_id();
        let row = self.row_key(key.coupon(), key.beneath(name));
        let own = Change::of(row)
            .set_all(attached.fields)
            .set("status", text(Status::Skipped.name()))
            .set("result", text(reason))
            .set("owner", text(&owner))
            .set("finished_at", text(now.to_string()))
            .remove("lease_until_ms")
            .remove("not_before_ms")
            .only_if(
                "attribute_exists(#waited_for) AND #ttl > :now_s AND \
                 (#status = :released OR (#status = :running AND #lease_until_ms <= :now_ms))",
                &[
                    ("released", text(RELEASED)),
                    ("running", text(RUNNING)),
                    ("now_s", number(now.as_second())),
                    ("now_ms", number(now.as_millisecond())),
                ],
            );
        let refused = self.end_together(&own, ("owner", &owner), &attached.changes);
        let refused = refused.await;
        let Some(found) = refused.with_context(|| format!("abandoning {key}/{name}"))? else {
            return Ok(None);
        };
        let until = read_time(&found, "lease_until_ms").unwrap_or(until_unknown(now));
        let at_it = is(&found, "status", RUNNING) && found.contains_key("waited_for");
        Ok(at_it.then_some(until))
    }

    /// Whether a record is of an effect that waited, began and has not ended.
    pub fn has_begun_after_waiting(record: &Item) -> bool {
        let is_open = [RELEASED, RUNNING]
            .iter()
            .any(|status| is(record, "status", status));
        is_open && record.contains_key("waited_for")
    }
}
