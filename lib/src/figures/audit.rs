//! An audit compares the counters with a recount of the recorded events, in as many steps as
//! needed.
//!
//! Events may arrive meanwhile. The audit reads the counters before and after the events, and does
//! not judge a counter that changed in between. The memory of an audit depends on days and groups,
//! never on events. If there are too many counters, the audit leaves out the oldest days.

mod state;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;

use super::cell::{Cell, Tally};
use super::recount::{Drift, Recount};
use super::store::Figures;
use crate::event::tenant_key;
use crate::ledger::Item;

pub use state::{Audited, Differs};

/// How long before UTC's a tenant's day can begin: by 14 hours in the easternmost zone, and a
/// provider's clock may be ahead.
const BEGINS_EARLIER: SignedDuration = SignedDuration::from_hours(15);

/// The most counters that an audit keeps in memory; each takes about 200 bytes.
const COUNTERS_MAX: usize = 500_000;

/// An unfinished audit.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// When the first step began, also if later steps continued the audit.
    pub started_at: Timestamp,
    /// The first and the last day that the audit judges.
    pub days: (Date, Date),
    /// How many rows of the events table the audit has read, without those that it reads again.
    pub rows: u64,
    /// The counters of each tenant at the beginning.
    before: BTreeMap<String, Tally>,
    recount: Recount,
    /// The coupon and the entry of the last row of the last counted coupon; `None` before any.
    after: Option<(String, String)>,
}

impl Audit {
    /// Begins an audit of these days, both included, and reads their counters. All events of these
    /// days must still be recorded.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn begin(
        figures: &Figures,
        days: (Date, Date),
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut audit = Self {
            started_at: now,
            days,
            rows: 0,
            before: BTreeMap::new(),
            recount: Recount::default(),
            after: None,
        };
        for (provider, tenant) in figures.tenants().await? {
            let key = tenant_key(&provider, &tenant);
            let (from, to) = audit.days;
            let tally = figures.tally(&key, from, to).await?;
            audit.before.insert(key, tally);
            audit.narrow();
        }
        Ok(audit)
    }

    /// The first day of which all events are still recorded at `now`, whatever the tenant's time
    /// zone, if each is kept for this many days after it was received.
    ///
    /// # Errors
    /// The day is before the first day of the calendar.
    pub fn recorded_from(now: Timestamp, retention_days: i64) -> anyhow::Result<Date> {
        let kept = SignedDuration::from_hours(retention_days.saturating_mul(24));
        let expired = now.checked_sub(kept)?.checked_add(BEGINS_EARLIER)?;
        Ok(expired.to_zoned(TimeZone::UTC).date().tomorrow()?)
    }

    /// Leaves out the days before `from`, because their events may have expired since the audit
    /// began.
    pub fn leave_out_before(&mut self, from: Date) {
        self.days.0 = self.days.0.max(from);
    }

    /// How many events the audit has counted.
    pub fn events(&self) -> u64 {
        self.recount.events
    }

    /// Continues to count. After each page of rows, `goes_on` gets the number of rows read so far,
    /// and returns whether there is time for another page. Returns whether all events are counted.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn count(
        &mut self,
        figures: &Figures,
        mut goes_on: impl FnMut(u64) -> bool,
    ) -> anyhow::Result<bool> {
        let now = figures.now();
        let mut begin = self.after.as_ref().map(key);
        let (mut rows, mut last): (Vec<Item>, Option<(String, String)>) = (Vec::new(), None);
        loop {
            let page = figures
                .client
                .scan()
                .table_name(&figures.tables.events)
                .consistent_read(true)
                .set_exclusive_start_key(begin.take())
                .send()
                .await
                .context("reading the recorded events")?;
            for row in page.items.unwrap_or_default() {
                self.rows += 1;
                let place = place(&row).context("a row of the events table without a key")?;
                // The rows of one coupon follow each other, also across pages.
                if last.as_ref().is_some_and(|(coupon, _)| *coupon != place.0) {
                    self.recount.take(std::mem::take(&mut rows), self.days, now);
                    self.after = last.take();
                }
                last = Some(place);
                rows.push(row);
            }
            self.narrow();
            begin = page.last_evaluated_key;
            if begin.is_none() {
                self.recount.take(rows, self.days, now);
                self.after = last.or(self.after.take());
                return Ok(true);
            }
            if !goes_on(self.rows) {
                // The next step reads the unfinished coupon again.
                self.rows -= rows.len() as u64;
                return Ok(false);
            }
        }
    }

    /// Leaves out the oldest days while there are too many counters.
    fn narrow(&mut self) {
        let held = |audit: &Self| {
            let all = audit.before.values().chain(audit.recount.tallies.values());
            all.map(Tally::len).sum::<usize>()
        };
        while held(self) > COUNTERS_MAX && self.days.0 < self.days.1 {
            self.days.0 = self.days.0.saturating_add(1.day());
            let all = self.before.values_mut();
            for tally in all.chain(self.recount.tallies.values_mut()) {
                tally.keep_days(self.days);
            }
        }
    }

    /// The counters that differ after all events are counted, and the number of compared counters.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn judge(&self, figures: &Figures) -> anyhow::Result<(Vec<Drift>, u64)> {
        let (mut drift, mut compared) = (Vec::new(), 0);
        if self.days.0 > self.days.1 {
            return Ok((drift, compared));
        }
        for (tenant, before) in &self.before {
            let (from, to) = self.days;
            let after = figures.tally(tenant, from, to).await?;
            compared += after.len() as u64;
            let mut differs = self.differs(tenant, before, &after);
            if !differs.is_empty() {
                let own = figures.tally_of_repaired(tenant, self.days).await?;
                for drifted in &mut differs {
                    drifted.standing = own.get(&drifted.cell);
                }
            }
            drift.extend(differs);
        }
        Ok((drift, compared))
    }

    /// A tenant's differing counters, among those that did not change while the events were read.
    fn differs(&self, tenant: &str, before: &Tally, after: &Tally) -> Vec<Drift> {
        let none = Tally::default();
        let recorded = self.recount.tallies.get(tenant).unwrap_or(&none);
        let moved = before.difference(after);
        let moved: BTreeSet<&Cell> = moved.cells().map(|(cell, _)| cell).collect();
        let differs = after.difference(recorded);
        let differs = differs.cells().filter(|(cell, _)| {
            (self.days.0..=self.days.1).contains(&cell.day) && !moved.contains(cell)
        });
        differs
            .map(|(cell, by)| {
                let counted = after.get(cell);
                Drift {
                    tenant: tenant.to_owned(),
                    cell: cell.clone(),
                    counted,
                    recorded: counted + by,
                    standing: Decimal::ZERO,
                }
            })
            .collect()
    }
}

fn place(row: &Item) -> Option<(String, String)> {
    let text = |name: &str| row.get(name)?.as_s().ok().cloned();
    Some((text("coupon")?, text("entry")?))
}

fn key((coupon, entry): &(String, String)) -> Item {
    let text = |text: &String| AttributeValue::S(text.clone());
    [
        ("coupon".to_owned(), text(coupon)),
        ("entry".to_owned(), text(entry)),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_judged_only_while_all_its_events_are_recorded_in_every_time_zone() {
        let check = |now: &str, retention_days: i64, expected: &str| {
            let now: Timestamp = now.parse().unwrap();
            let from = Audit::recorded_from(now, retention_days).unwrap();
            assert_eq!(from.to_string(), expected, "{now} {retention_days}");
            // In the easternmost zone the day begins 14 hours before UTC's.
            let begins = from.to_zoned(TimeZone::UTC).unwrap().timestamp();
            let first = begins - SignedDuration::from_hours(14);
            let expires = first + SignedDuration::from_hours(24 * retention_days);
            assert!(expires > now, "{now} {retention_days}: {expires}");
        };
        check("2026-12-27T00:00:00Z", 35, "2026-11-23");
        check("2026-12-27T08:59:59Z", 35, "2026-11-23");
        check("2026-12-27T09:00:00Z", 35, "2026-11-24");
        check("2026-12-27T23:59:59Z", 35, "2026-11-24");
        check("2026-12-27T12:00:00Z", 1, "2026-12-28");
    }
}
