//! Compares the figures of any events, in any order and any batches, with a recount that shares
//! no code with them.

mod audited;
mod recount;

use std::collections::{BTreeMap, BTreeSet};

use analytics::Analytics;
use anyhow::Context;
use jiff::Timestamp;
use jiff::civil::Date;
use proptest::collection::vec;
use proptest::prelude::*;
use rust_decimal::Decimal;
use webhooks::event::{
    AffectedItem, Discount, DiscountKind, Envelope, Event, EventKey, Fact, Item, Member, Money,
    Notice, Redemption, Reward, Usage,
};
use webhooks::figures::{Audit, Drift, Figures, Group, List, Section, Sketch, Tally};

use crate::tables::{CountedTables, redeemed_today, used_today};

const PROVIDER: &str = "zupy";
const TENANT: &str = "comp#1";

/// Critical times: around midnight, and on days of 23 and 25 hours.
const TIMES: [&str; 9] = [
    "2026-03-28T23:59:59.999Z",
    "2026-03-29T00:00:00Z",
    "2026-03-29T22:59:59Z",
    "2026-03-29T23:00:00Z",
    "2026-10-24T22:59:59Z",
    "2026-10-25T00:30:00Z",
    "2026-10-25T01:30:00Z",
    "2026-10-25T23:59:59Z",
    "2026-10-26T00:00:00Z",
];

#[derive(Debug, Clone)]
struct Reported {
    coupon: u8,
    what: u8,
    time: usize,
    later_s: i64,
    amount: i64,
    choice: u8,
}

fn reported() -> impl Strategy<Value = Reported> {
    let later = prop_oneof![2 => Just(0_i64), 1 => 0..200_000_i64];
    (
        0..5_u8,
        0..7_u8,
        0..TIMES.len(),
        later,
        0..5_000_i64,
        0..8_u8,
    )
        .prop_map(|(coupon, what, time, later_s, amount, choice)| Reported {
            coupon,
            what,
            time,
            later_s,
            amount,
            choice,
        })
}

impl Reported {
    fn event(&self) -> Event {
        let code = format!("CP-{}", self.coupon);
        let at: Timestamp = TIMES[self.time].parse().unwrap();
        let occurred_at = at + jiff::SignedDuration::from_secs(self.later_s);
        let cents = Decimal::new(self.amount, 2);
        let money = |amount: Decimal| Some(Money::new(amount, "BRL"));
        let pick = |names: [&str; 2], bit: u8| {
            let index = usize::from(self.choice >> bit & 1);
            (!names[index].is_empty()).then(|| names[index].to_owned())
        };
        let notice = Notice {
            coupon_code: code.clone(),
            reward_name: None,
            expires_at: None,
        };
        let (key, fact) = match self.what {
            0 | 1 => (
                EventKey::redeemed(PROVIDER, TENANT, &code),
                // Each coupon has one redemption, so the coupon decides the redemption's values.
                Fact::Redeemed(redemption(&code, self.coupon)),
            ),
            2..=4 => {
                let order = format!("ord_{}", self.what);
                let usage = Usage {
                    coupon_code: code.clone(),
                    reward_name: pick(["Pizza", "Bolo"], 0),
                    discount_applied: money(cents).filter(|_| self.choice != 7),
                    order_value: money(cents * Decimal::TWO).filter(|_| self.choice & 2 == 0),
                    final_value: money(cents).filter(|_| self.choice & 4 == 0),
                    location: pick(["Centro", ""], 1),
                    staff_member: pick(["Ana", "Bia"], 2),
                    platform: pick(["pos", "ifood"], 0),
                    items: vec![
                        AffectedItem {
                            name: None,
                            quantity: None,
                            unit_price: None,
                            discount_applied: None,
                        };
                        usize::from(self.choice % 3)
                    ],
                    ..Usage::default()
                };
                (
                    EventKey::used(PROVIDER, TENANT, &code, &order),
                    Fact::Used(usage),
                )
            }
            5 => (
                EventKey::once(PROVIDER, TENANT, &code, "cancelled"),
                Fact::Cancelled(notice),
            ),
            _ => (
                EventKey::once(PROVIDER, TENANT, &code, "expired"),
                Fact::Expired(notice),
            ),
        };
        let member = match (&fact, self.choice) {
            // Sometimes another member uses the coupon.
            (Fact::Used(_), 5) => 100,
            _ => self.coupon % 3,
        };
        Event {
            key,
            provider: PROVIDER.into(),
            tenant: TENANT.into(),
            occurred_at,
            sandbox: false,
            member: Member {
                id: format!("ZP-{member}"),
                tier: Some(["gold", "silver"][usize::from(self.coupon % 2)].into()),
                ..Member::default()
            },
            fact,
            envelope: Envelope::default(),
            warnings: Vec::new(),
            received_at: None,
        }
    }
}

fn redemption(code: &str, coupon: u8) -> Redemption {
    let kinds = [
        DiscountKind::Percentage,
        DiscountKind::ProductFree,
        DiscountKind::Other("mystery".into()),
    ];
    let item = |number: u8| Item {
        id: number.to_string(),
        name: format!("Sword {number}"),
        description: None,
        sku: format!("sku-{number}"),
        quantity: 2,
        kind: "item".into(),
        price: Some(Money::new(Decimal::new(199, 2), "USD")),
        price_minor: None,
        nested: Vec::new(),
        fallback: None,
    };
    Redemption {
        coupon_code: code.into(),
        reward: Reward {
            id: (coupon != 1).then(|| format!("rw_{}", coupon % 2)),
            name: Some(["Pizza", "Bolo"][usize::from(coupon % 2)].into()),
            items: (0..coupon.saturating_sub(2)).map(item).collect(),
            ..Reward::default()
        },
        points_spent: Some(i64::from(coupon) * 100),
        method: (coupon != 2).then(|| "app".to_owned()),
        discount: (coupon != 4).then(|| Discount {
            kind: kinds[usize::from(coupon % 3)].clone(),
            value: (coupon != 3).then(|| Decimal::new(1050, 2)),
            maximum: None,
            minimum_purchase: None,
        }),
        ..Redemption::default()
    }
}

/// The events that count: the first with each key.
fn distinct(reported: &[Reported]) -> Vec<Event> {
    let mut keys = BTreeSet::new();
    let events = reported.iter().map(Reported::event);
    events
        .filter(|event| keys.insert(event.key.clone()))
        .collect()
}

fn run(future: impl Future<Output = anyhow::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(future).unwrap();
}

async fn count(
    tables: &CountedTables,
    events: &[Event],
    batch_size: usize,
) -> anyhow::Result<Figures> {
    let analytics = tables.worker("analytics", Analytics::read)?;
    tables.measure(&analytics, events, batch_size).await?;
    tables.figures()
}

const YEAR: (&str, &str) = ("2026-01-01", "2026-12-31");

fn year() -> (Date, Date) {
    (YEAR.0.parse().unwrap(), YEAR.1.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn figures_are_what_was_reported(
        reported in vec(reported(), 1..40),
        order in vec(any::<prop::sample::Index>(), 40),
        batch_size in 1..12_usize,
    ) {
        let events = distinct(&reported);
        // All events in any order, and some of them twice.
        let mut shuffled = events.clone();
        for (index, other) in order.iter().take(events.len()).enumerate() {
            shuffled.swap(index, other.index(events.len()));
        }
        let again: Vec<_> = order.iter().step_by(3).map(|it| it.get(&events).clone()).collect();
        for (place, event) in order.iter().zip(again) {
            shuffled.insert(place.index(shuffled.len() + 1), event);
        }
        run(async {
            let tables = CountedTables::new()?;
            let figures = count(&tables, &shuffled, batch_size).await?;
            let (from, to) = year();
            let days = figures.days(PROVIDER, TENANT, from, to).await?;
            let expected = recount::days(&events);
            for (day, expected) in &expected {
                assert_eq!(days.get(day), Some(expected), "{day}");
            }
            assert_eq!(days.len(), expected.len());
            let profiles = recount::profiles(&events);
            for (member, expected) in &profiles {
                let profile = figures.member(PROVIDER, TENANT, member).await?;
                assert_eq!(profile.as_ref(), Some(expected), "{member}");
            }
            check_listed(&figures, &events).await
        });
    }
}

/// Checks that the list has every event once, newest first, with its tracked fields.
async fn check_listed(figures: &Figures, events: &[Event]) -> anyhow::Result<()> {
    let redeemed: BTreeMap<_, _> = events
        .iter()
        .filter(|it| matches!(it.fact, Fact::Redeemed(_)))
        .map(|event| (event.key.coupon(), event.occurred_at))
        .collect();
    let mut found = Vec::new();
    for day in recount::local_days(events).into_iter().rev() {
        let mut after = None;
        loop {
            let page = figures
                .events(PROVIDER, TENANT, day, after.as_deref(), 3)
                .await?;
            found.extend(page.events);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let seconds: Vec<_> = found.iter().map(|it| it.timestamp.as_second()).collect();
    assert!(seconds.is_sorted_by(|a, b| a >= b), "{seconds:?}");
    assert_eq!(found.len(), events.len());
    for tracked in found {
        let event = events.iter().find(|it| it.key == tracked.key).unwrap();
        assert_eq!(tracked.timestamp, event.occurred_at);
        let redeemed = redeemed.get(event.key.coupon());
        match &event.fact {
            Fact::Used(_) => {
                let seconds = redeemed.map(|at| event.occurred_at.duration_since(*at).as_secs());
                assert_eq!(tracked.time_to_usage_s, seconds);
            }
            Fact::Cancelled(_) | Fact::Expired(_) => {
                assert_eq!(tracked.reverses.is_some(), redeemed.is_some());
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn a_sandboxs_event_leaves_a_record_and_counts_nothing() {
    run(async {
        let mut event = distinct(&[redeemed_and_used()[0].clone()]).remove(0);
        event.sandbox = true;
        let tables = CountedTables::new()?;
        let figures = count(&tables, &[event], 1).await?;
        let (from, to) = year();
        assert!(figures.days(PROVIDER, TENANT, from, to).await?.is_empty());
        assert!(figures.tenants().await?.is_empty());
        assert_eq!(figures.member(PROVIDER, TENANT, "ZP-0").await?, None);
        Ok(())
    });
}

fn redeemed_and_used() -> [Reported; 2] {
    let reported = Reported {
        coupon: 0,
        what: 0,
        time: 4,
        later_s: 0,
        amount: 100,
        choice: 0,
    };
    let used = Reported {
        what: 2,
        later_s: 90_000,
        ..reported.clone()
    };
    [reported, used]
}

#[test]
fn a_coupon_is_complete_whichever_half_comes_first() {
    run(async {
        let events = distinct(&redeemed_and_used());
        for reversed in [false, true] {
            let mut events = events.clone();
            if reversed {
                events.reverse();
            }
            let tables = CountedTables::new()?;
            let figures = count(&tables, &events, 1).await?;
            assert_eq!(
                figures.tenants().await?,
                [(PROVIDER.to_owned(), TENANT.to_owned())]
            );
            let day = "2026-10-25".parse()?;
            let page = figures.events(PROVIDER, TENANT, day, None, 10).await?;
            assert_eq!(page.events.len(), 1);
            assert_eq!(page.events[0].time_to_usage_hours, Some(25));
        }
        Ok(())
    });
}

/// In a batch of 100, each coupon has its own record and line, of two units each. The batch shares
/// the rest.
#[test]
fn an_event_costs_little_where_many_come_together() {
    run(async {
        let tables = CountedTables::new()?;
        let analytics = tables.worker("analytics", Analytics::read)?;
        tables
            .measure(&analytics, &redeemed_today(0, 200)?, 200)
            .await?;
        tables
            .measure(&analytics, &used_today(0, 200)?, 200)
            .await?;
        for events in [redeemed_today(200, 400)?, used_today(200, 400)?] {
            let cost = tables.measure(&analytics, &events, 100).await?;
            let (units, requests) = (cost.write_units / 400.0, f64::from(cost.requests) / 400.0);
            assert!((4.0..=4.6).contains(&units), "{units}");
            assert!(requests <= 0.1, "{requests}");
        }
        Ok(())
    });
}

/// The number of recounted events, and the differences. The audit stops after each page, and
/// continues from the state in the table.
async fn verify(figures: &Figures) -> anyhow::Result<(u64, Vec<Drift>)> {
    let days = ("2020-01-01".parse()?, "2120-01-01".parse()?);
    let mut audit = Audit::begin(figures, days, Timestamp::now()).await?;
    while !audit.count(figures, |_| false).await? {
        let now = Timestamp::now();
        figures.keep_interrupted_audit("test", &audit, now).await?;
        let kept = figures.interrupted_audit("test", now).await?;
        audit = kept.context("the audit was kept")?;
    }
    Ok((audit.events(), audit.judge(figures).await?.0))
}

/// `measure` records no events, but a recount reads the rows that a webhook function writes.
#[test]
fn a_corrupted_counter_is_found_and_put_right_once() {
    run(async {
        let tables = CountedTables::new()?;
        // Several pages of rows.
        let events = [redeemed_today(0, 400)?, used_today(0, 100)?].concat();
        tables.record(&events).await?;
        let figures = count(&tables, &events, 100).await?;
        let (events, drift) = verify(&figures).await?;
        assert_eq!((events, drift.as_slice()), (500, [].as_slice()));
        let corrupted = tables.corrupt_counters().await?;
        let (_, drift) = verify(&figures).await?;
        assert_eq!(drift.len(), corrupted);
        let book = tables.book()?;
        for drifted in &drift {
            assert!(figures.repair(&book, drifted, Timestamp::now()).await?);
            // A second repair changes nothing.
            assert!(!figures.repair(&book, drifted, Timestamp::now()).await?);
        }
        let (_, drift) = verify(&figures).await?;
        assert_eq!(drift, []);
        Ok(())
    });
}

/// Counts uses with these durations, in batches of any sizes and shards, and reads the figures
/// back.
async fn quantiles(
    tables: &CountedTables,
    batches: &[(u64, Vec<i64>)],
) -> anyhow::Result<[f64; 2]> {
    let day: Date = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let (book, ledger, now) = (tables.book()?, tables.ledger()?, Timestamp::now());
    let tenant = webhooks::event::tenant_key(PROVIDER, TENANT);
    for (shard, durations) in batches {
        let mut tally = Tally::default();
        for seconds in durations {
            let bucket = Sketch::bucket(*seconds).to_string();
            let group = Group::new(Section::TimeToUse, [bucket.as_str()]);
            tally.add(day, &group, 'c', 1);
        }
        let shard = shard % book.shards();
        let list = List {
            provider: PROVIDER.into(),
            tenant: TENANT.into(),
            day,
            hour: 0,
        };
        book.announce(&[(list, BTreeSet::new())].into(), shard, 0)
            .await?;
        let ids = book.ids(&tenant, tally.groups(), now).await?;
        for change in book.changes(&tenant, &tally, &ids, shard, now)? {
            ledger.change_together(&change, ("entry", ""), &[]).await?;
        }
    }
    let figures = tables.figures()?;
    let days = figures.days(PROVIDER, TENANT, day, day).await?;
    let sketch = &days[&day].time_to_use;
    let quantile = |q| sketch.quantile(q).context("there are uses");
    Ok([quantile(0.5)?, quantile(0.9)?])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_median_and_the_p90_are_within_five_percent_however_uses_come(
        batches in vec((0..9_u64, vec(60_i64..=34_560_000, 1..40)), 1..8),
    ) {
        let mut exact: Vec<_> = batches.iter().flat_map(|(_, it)| it.clone()).collect();
        exact.sort_unstable();
        let found = std::cell::Cell::new([0.0; 2]);
        run(async {
            found.set(quantiles(&CountedTables::new()?, &batches).await?);
            Ok(())
        });
        for (found, q) in found.get().into_iter().zip([0.5, 0.9]) {
            let rank = ((q * exact.len() as f64).ceil() as usize).clamp(1, exact.len());
            let exact = exact[rank - 1] as f64;
            prop_assert!((found - exact).abs() <= 0.0501 * exact, "{q}: {found} for {exact}");
        }
    }
}
