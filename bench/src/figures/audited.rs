//! The daily audit as its function runs it: in pieces, once a day, with a result that stays.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use webhooks::audit::{Auditor, Came};
use webhooks::invocation::Invocation;

use super::{count, run};
use crate::tables::{CountedTables, redeemed_today, used_today};

/// An invocation of the audit that ends after this time.
async fn go_on(auditor: &Auditor, now: Timestamp, time: Duration) -> anyhow::Result<Came> {
    auditor.go_on(Invocation::new(now, now + time)).await
}

/// Less than the audit keeps for its end, so that it stops after one page of rows.
const SHORT: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(900);

#[test]
fn an_audit_goes_on_after_each_interruption_and_keeps_its_result() {
    run(async {
        let tables = CountedTables::new()?;
        // More rows than DynamoDB gives in one page.
        let events = [redeemed_today(0, 1000)?, used_today(0, 400)?].concat();
        tables.record(&events).await?;
        let figures = count(&tables, &events, 100).await?;
        let auditor = tables.worker("audit", Auditor::read)?;
        let now = Timestamp::now();
        let mut read = Vec::new();
        let finished = loop {
            match go_on(&auditor, now, SHORT).await? {
                Came::Interrupted { rows } => read.push(rows),
                other => break other,
            }
            assert_eq!(figures.audited().await?, None, "no audit has finished");
        };
        // Each invocation begins where the one before stopped.
        assert!(!read.is_empty(), "one invocation read everything");
        assert!(
            read.is_sorted_by(|before, after| before < after),
            "{read:?}"
        );
        let right = Came::Finished {
            events: 1400,
            differ: 0,
        };
        assert_eq!(finished, right);
        let audited = figures.audited().await?.unwrap();
        assert_eq!((audited.events, audited.differ), (1400, 0));
        assert!(audited.counters > 0);
        assert_eq!(go_on(&auditor, now, LONG).await?, Came::NotDue);

        let corrupted = tables.corrupt_counters().await?;
        let tomorrow = now + SignedDuration::from_hours(24);
        let wrong = go_on(&auditor, tomorrow, LONG).await?;
        let Came::Finished { differ, .. } = wrong else {
            panic!("{wrong:?}");
        };
        assert_eq!(differ, corrupted as u64);
        let audited = figures.audited().await?.unwrap();
        assert_eq!(audited.differ, differ);
        assert_eq!(audited.drift.len(), corrupted.min(50));
        Ok(())
    });
}
