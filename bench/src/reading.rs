//! What a report reads, however many events were counted.

use std::time::{Duration, Instant};

use analytics::Analytics;
use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use reporting::{Parameters, Scope};
use webhooks::event::Event;

use crate::counted::Cost;
use crate::desk::{Desk, redeemed_today, used_today};

/// The number of days with events.
const DAYS: i64 = 30;

/// How many events are made and counted at the same time.
const BATCH: usize = 100;

/// The cost and the duration of one report.
#[derive(Debug)]
pub struct Read {
    pub cost: Cost,
    pub took: Duration,
}

/// Counts events of 30 days, half of them redemptions and half uses, and reads their report.
pub async fn report(events: usize) -> anyhow::Result<Read> {
    let desk = Desk::new()?;
    let analytics = desk.worker("analytics", Analytics::read)?;
    for from in (0..events / 2).step_by(BATCH) {
        let count = BATCH.min(events / 2 - from);
        let redeemed = spread(redeemed_today(from, count)?);
        desk.measure(&analytics, &redeemed, BATCH).await?;
        let used = spread(used_today(from, count)?);
        desk.measure(&analytics, &used, BATCH).await?;
    }
    let reports = desk.worker("reports", reporting::Desk::read)?;
    let asked = [("timeframe".to_owned(), "30d".to_owned())];
    desk.cost();
    let began = Instant::now();
    let now = Timestamp::now();
    let scope = Scope::all();
    let report = reports.report(Parameters::of(asked), &scope, now);
    report.await.map_err(|refused| anyhow!("{refused}"))?;
    Ok(Read {
        took: began.elapsed(),
        cost: desk.cost(),
    })
}

fn spread(mut events: Vec<Event>) -> Vec<Event> {
    for (event, back) in events.iter_mut().zip((0..DAYS).cycle()) {
        event.occurred_at -= SignedDuration::from_hours(24 * back);
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each shard has its own counters, and is read from its first one on; few events use few
    /// shards.
    #[tokio::test]
    async fn a_report_reads_no_more_the_more_events_there_are() {
        let few = report(400).await.unwrap();
        let many = report(1600).await.unwrap();
        let (shards, periods) = (4, 2);
        let most = few.cost.requests + shards * periods;
        assert!(many.cost.requests <= most, "{few:?} {many:?}");
        let most = f64::from(shards) * few.cost.read_units;
        assert!(many.cost.read_units <= most, "{few:?} {many:?}");
        assert_eq!(many.cost.write_units, 0.0);
    }
}
