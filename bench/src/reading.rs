//! The reads of a report, for any number of counted events.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use analytics::Analytics;
use anyhow::{Context, anyhow};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use reporting::{Parameters, Scope};
use webhooks::event::{Event, tenant_key};
use webhooks::figures::line::Line;
use webhooks::figures::{List, Tally, count, day_and_hour, track};

use crate::counted::Cost;
use crate::tables::{CountedTables, redeemed_today, used_today};

/// The number of days with events.
const DAYS: i64 = 30;

/// How many events the program makes and counts at the same time.
const BATCH: usize = 100;

/// How many different events the program counts again and again: each reward at each location.
const POOL: usize = 200;

/// The cost and the duration of one report.
#[derive(Debug)]
pub struct Read {
    pub cost: Cost,
    pub took: Duration,
}

/// Counts events of 30 days, half of them redemptions and half uses, and reads their report.
pub async fn report(events: usize) -> anyhow::Result<Read> {
    let tables = CountedTables::new()?;
    let analytics = tables.worker("analytics", Analytics::read)?;
    for from in (0..events / 2).step_by(BATCH) {
        let count = BATCH.min(events / 2 - from);
        let redeemed = spread(redeemed_today(from, count)?);
        tables.measure(&analytics, &redeemed, BATCH).await?;
        let used = spread(used_today(from, count)?);
        tables.measure(&analytics, &used, BATCH).await?;
    }
    read(&tables).await
}

/// The same for so many events that the program writes only their sums: the counters are those that
/// batches of analytics add up to.
pub async fn report_of_sums(events: usize) -> anyhow::Result<Read> {
    let tables = CountedTables::new()?;
    seed(&tables, events / 2).await?;
    read(&tables).await
}

/// How many coupons the program counts into one shard before the next.
const COUPONS_OF_A_BATCH: usize = 500;

async fn seed(tables: &CountedTables, coupons: usize) -> anyhow::Result<()> {
    let (redeemed, used) = (redeemed_today(0, POOL)?, used_today(0, POOL)?);
    let book = tables.book()?;
    let zone = TimeZone::UTC;
    let mut shards: Vec<Tally> = vec![Tally::default(); usize::try_from(book.shards())?];
    for number in 0..coupons {
        let place = number / COUPONS_OF_A_BATCH % shards.len();
        let back = SignedDuration::from_hours(24 * (i64::try_from(number)? % DAYS));
        // From a minute to some days.
        let later = SignedDuration::from_secs(60 + i64::try_from(number % 4999)? * 67);
        let mut line = Line::default();
        for (event, at) in [(&redeemed, back + later), (&used, back)] {
            let mut event = event[number % POOL].clone();
            event.occurred_at -= at;
            let mut tracked = track(&event).context("the event is of a coupon")?;
            let day = day_and_hour(&zone, event.occurred_at);
            let counted = count(&event, &mut tracked, day, &line, true);
            shards[place].merge(&counted.tally);
            line = counted.line;
        }
    }
    let now = Timestamp::now();
    let event = &redeemed[0];
    let tenant = tenant_key(&event.provider, &event.tenant);
    for (shard, tally) in (0..).zip(&shards) {
        let list = List {
            provider: event.provider.clone(),
            tenant: event.tenant.clone(),
            day: now.to_zoned(zone.clone()).date(),
            hour: 0,
        };
        let lists = [(list, BTreeSet::new())].into();
        book.announce(&lists, shard, 0).await?;
        let ids = book.ids(&tenant, tally.groups(), now).await?;
        let ledger = tables.ledger()?;
        for change in book.changes(&tenant, tally, &ids, shard, now)? {
            ledger.change_together(&change, ("entry", ""), &[]).await?;
        }
    }
    Ok(())
}

async fn read(tables: &CountedTables) -> anyhow::Result<Read> {
    let reports = tables.worker("reports", reporting::Sources::read)?;
    let asked = [("timeframe".to_owned(), "30d".to_owned())];
    tables.cost();
    let began = Instant::now();
    let now = Timestamp::now();
    let scope = Scope::all();
    let report = reports.report(Parameters::of(asked), &scope, now);
    report.await.map_err(|refused| anyhow!("{refused}"))?;
    Ok(Read {
        took: began.elapsed(),
        cost: tables.cost(),
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

    /// Each shard has its own counters, and a report reads it from its first counter on; few events
    /// use few shards.
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

    /// Once every counter is there, more events change nothing.
    #[tokio::test]
    async fn a_report_of_many_events_reads_as_much_as_one_of_few() {
        let few = report_of_sums(20_000).await.unwrap();
        let many = report_of_sums(40_000).await.unwrap();
        assert_eq!(few.cost.requests, many.cost.requests, "{few:?} {many:?}");
        assert!(
            many.cost.read_units <= 1.1 * few.cost.read_units,
            "{few:?} {many:?}"
        );
    }
}
