//! Commits to DynamoDB under faults: each event's effects happen once.

use std::time::Duration;

use emulators::faults::CallMode;
use jiff::Timestamp;
use serde_json::json;
use webhooks::event::{Envelope, Event, EventKey, Fact, Member, Usage};
use webhooks::ledger::{Change, Committed, Effects, ItemKey, Row, Uncommitted, version};

use crate::scene::{Scene, play_scene};

const RECORD: &str = "inventory";

/// The result of a batch's effects.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Came {
    Now,
    Before,
    Overtaken,
    NotYet,
    Never,
}

impl Scene {
    async fn commit(&self, effects: &[Effects<'_>]) -> Vec<Came> {
        let outcomes = self.ledger.commit_all(effects, self.invocation()).await;
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            Ok(Committed::Now) => Came::Now,
            Ok(Committed::Before) => Came::Before,
            Ok(Committed::Overtaken) => Came::Overtaken,
            Err(Uncommitted::ForNow(_)) => Came::NotYet,
            Err(Uncommitted::Ever(_)) => Came::Never,
        });
        outcomes.collect()
    }

    /// The sum of a product's updates.
    async fn sum_of(&self, product: &str) -> String {
        let rows = self.world.items("members").await.unwrap();
        let row = rows.into_iter().find(|row| row["entry"] == product);
        row.map_or("none".into(), |row| row["on_hand"].to_string())
    }
}

/// The use of one coupon for an order.
pub(crate) fn used(order: usize) -> Event {
    Event {
        key: EventKey::used("zupy", "comp", "CP-1", &order.to_string()),
        provider: "zupy".into(),
        tenant: "comp".into(),
        occurred_at: Timestamp::UNIX_EPOCH,
        sandbox: false,
        received_at: None,
        member: Member {
            id: "ZP-1".into(),
            ..Member::default()
        },
        fact: Fact::Used(Usage {
            coupon_code: "CP-1".into(),
            ..Usage::default()
        }),
        envelope: Envelope::default(),
        warnings: Vec::new(),
    }
}

fn orders(numbers: std::ops::Range<usize>) -> Vec<Event> {
    numbers.map(used).collect()
}

/// The key of an item, in any table.
fn item(name: &str) -> ItemKey {
    ItemKey::new("members", ("member", "m"), ("entry", name))
}

/// Takes one unit of a product from its stock on hand.
fn take<'a>(event: &'a Event, product: &str) -> Effects<'a> {
    let one = Change::of(item(product)).add("on_hand", (-1).into());
    Effects::new(event, RECORD).change(one)
}

fn take_pizza(events: &[Event]) -> Vec<Effects<'_>> {
    events.iter().map(|event| take(event, "pizza")).collect()
}

#[test]
fn a_thousand_sales_of_one_product_are_a_few_updates_of_it() {
    play_scene(async |scene| {
        let events = orders(0..1000);
        let came = scene.commit(&take_pizza(&events)).await;
        assert_eq!(came, [Came::Now; 1000]);
        assert_eq!(scene.sum_of("pizza").await, "-1000");
        assert_eq!(scene.records().await, 1000);
        // Ten transactions of 99 records and the product, and one of the rest.
        assert_eq!(scene.transactions(200), 11);
    });
}

impl Scene {
    /// The version in the coupon's row.
    async fn version(&self) -> Option<String> {
        let key = self.ledger.row_key(used(0).key.coupon(), "summary");
        let rows = self
            .ledger
            .rows(&[key], &[], self.world.now())
            .await
            .unwrap();
        rows.first().and_then(version).cloned()
    }
}

/// Updates an item calculated from the whole coupon.
fn since<'a>(event: &'a Event, seen: Option<&String>) -> Effects<'a> {
    let one = Change::of(item("pizza")).add("on_hand", (-1).into());
    Effects::since(event, "summary", seen.cloned()).change(one)
}

#[test]
fn an_item_made_from_a_coupon_builds_on_the_version_that_was_read() {
    play_scene(async |scene| {
        let event = used(1);
        assert_eq!(scene.commit(&[since(&event, None)]).await, [Came::Now]);
        let first = scene.version().await;
        assert_eq!(
            scene.commit(&[since(&event, None)]).await,
            [Came::Overtaken]
        );
        let again = [since(&event, first.as_ref())];
        assert_eq!(scene.commit(&again).await, [Came::Now]);
        assert_ne!(scene.version().await, first);
        assert_eq!(scene.commit(&again).await, [Came::Overtaken]);
        assert_eq!(scene.sum_of("pizza").await, "-2");
    });
}

#[test]
fn a_version_whose_answer_was_lost_is_recognised() {
    play_scene(async |scene| {
        let event = used(1);
        scene
            .world
            .faults
            .add(scene.fault(CallMode::LoseResponse).once());
        assert_eq!(scene.commit(&[since(&event, None)]).await, [Came::Now]);
        assert_eq!(scene.sum_of("pizza").await, "-1");
    });
}

#[test]
fn committed_events_drop_out_and_the_rest_is_committed() {
    play_scene(async |scene| {
        let events = orders(0..50);
        assert_eq!(
            scene.commit(&take_pizza(&events[10..20])).await,
            [Came::Now; 10]
        );
        let came = scene.commit(&take_pizza(&events)).await;
        let before = came.iter().filter(|it| **it == Came::Before).count();
        assert_eq!(
            (came[9], came[10], came[20]),
            (Came::Now, Came::Before, Came::Now)
        );
        assert_eq!(before, 10);
        assert_eq!(scene.sum_of("pizza").await, "-50");
    });
}

#[test]
fn an_event_that_is_twice_in_a_batch_has_its_effects_once() {
    play_scene(async |scene| {
        let events = [used(1), used(2), used(1)];
        let came = scene.commit(&take_pizza(&events)).await;
        assert_eq!(came, [Came::Now, Came::Now, Came::Before]);
        assert_eq!(scene.sum_of("pizza").await, "-2");
    });
}

#[test]
fn batches_that_overlap_in_time_make_each_effect_once() {
    play_scene(async |scene| {
        let events = orders(0..150);
        let (one, other) = (take_pizza(&events[..100]), take_pizza(&events[50..]));
        let (one, other) = tokio::join!(scene.commit(&one), scene.commit(&other));
        for came in one.iter().chain(&other) {
            assert!(matches!(came, Came::Now | Came::Before), "{came:?}");
        }
        let now = one.iter().chain(&other).filter(|it| **it == Came::Now);
        assert_eq!(now.count(), 150);
        assert_eq!(scene.sum_of("pizza").await, "-150");
    });
}

#[test]
fn a_call_whose_answer_was_lost_is_repeated() {
    play_scene(async |scene| {
        let events = orders(0..3);
        let lost = scene
            .world
            .faults
            .add(scene.fault(CallMode::LoseResponse).once());
        assert_eq!(scene.commit(&take_pizza(&events)).await, [Came::Now; 3]);
        assert_eq!(scene.world.faults.applied(lost), Some(1));
        assert_eq!(scene.sum_of("pizza").await, "-3");
    });
}

#[test]
fn a_commit_without_an_answer_is_recognised_by_its_records_in_any_company() {
    play_scene(async |scene| {
        let events = orders(0..5);
        scene.world.faults.add(scene.fault(CallMode::LoseResponse));
        assert_eq!(
            scene.commit(&take_pizza(&events[..3])).await,
            [Came::NotYet; 3]
        );
        scene.world.faults.clear();
        let came = scene.commit(&take_pizza(&events[2..])).await;
        assert_eq!(came, [Came::Before, Came::Now, Came::Now]);
        assert_eq!(
            scene.commit(&take_pizza(&events[..2])).await,
            [Came::Before; 2]
        );
        assert_eq!(scene.sum_of("pizza").await, "-5");
    });
}

/// The answer gets lost, and the SDK's retry of the transaction conflicts with another transaction.
/// The commit still recognises its own records.
#[test]
fn a_commit_knows_its_own_records() {
    play_scene(async |scene| {
        let events = orders(0..3);
        let modes = [CallMode::LoseResponse, CallMode::Conflict];
        let faults = modes.map(|mode| scene.world.faults.add(scene.fault(mode).once()));
        assert_eq!(scene.commit(&take_pizza(&events)).await, [Came::Now; 3]);
        for fault in faults {
            assert_eq!(scene.world.faults.applied(fault), Some(1));
        }
        assert_eq!(scene.sum_of("pizza").await, "-3");
    });
}

#[test]
fn an_effect_that_happens_after_the_timeout_is_not_made_twice() {
    play_scene(async |scene| {
        let events = orders(0..3);
        let late = CallMode::Delay(Duration::from_secs(20));
        scene.world.faults.add(scene.fault(late));
        assert_eq!(scene.commit(&take_pizza(&events)).await, [Came::NotYet; 3]);
        scene.world.faults.clear();
        // Once before the late transactions, and once after them.
        assert_eq!(scene.commit(&take_pizza(&events[..1])).await, [Came::Now]);
        tokio::time::sleep(Duration::from_secs(30)).await;
        let came = scene.commit(&take_pizza(&events)).await;
        assert_eq!(came, [Came::Before, Came::Now, Came::Now]);
        assert_eq!(scene.sum_of("pizza").await, "-3");
    });
}

#[test]
fn a_crash_between_two_transactions_loses_nothing() {
    play_scene(async |scene| {
        let events = orders(0..250);
        let effects = take_pizza(&events);
        let committing = scene.commit(&effects);
        let second_is_done = async {
            while scene.transactions(200) < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            came = committing => panic!("the commit should not end: {came:?}"),
            () = second_is_done => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let committed = scene.records().await;
        assert!((99..250).contains(&committed), "{committed}");
        let came = scene.commit(&effects).await;
        let before = came.iter().filter(|it| **it == Came::Before).count();
        let now = came.iter().filter(|it| **it == Came::Now).count();
        assert_eq!((before, now), (committed, 250 - committed));
        assert_eq!(scene.sum_of("pizza").await, "-250");
    });
}

#[test]
fn a_crash_after_a_commit_leaves_a_record_that_lives_as_long_as_its_event() {
    play_scene(async |scene| {
        let event = used(1);
        let until = scene.world.now().as_second() + 400 * 86_400;
        let effects = [take(&event, "pizza").kept_until(Some(until))];
        let is_made = async {
            while scene.transactions(200) < 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            came = scene.commit(&effects) => panic!("the commit should not end: {came:?}"),
            () = is_made => {}
        }
        let rows = scene.world.items("events").await.unwrap();
        let ends: Vec<_> = rows.iter().map(|row| row["ttl"].as_i64()).collect();
        assert_eq!(ends, [Some(until)]);
    });
}

#[test]
fn conflicting_transactions_are_retried_within_the_invocation() {
    play_scene(async |scene| {
        let events = orders(0..3);
        for (mode, times) in [(CallMode::Conflict, 6), (CallMode::Throttle, 9)] {
            let id = scene.world.faults.add(scene.fault(mode).times(times));
            let came = scene.commit(&take_pizza(&events)).await;
            assert!(
                came.iter().all(|it| *it != Came::NotYet),
                "{mode:?}: {came:?}"
            );
            assert_eq!(scene.world.faults.applied(id), Some(times), "{mode:?}");
        }
        assert_eq!(scene.sum_of("pizza").await, "-3");
    });
}

#[test]
fn events_that_conflict_until_the_deadline_are_returned_in_time() {
    play_scene(async |scene| {
        let events = orders(0..150);
        scene.world.faults.add(scene.fault(CallMode::Conflict));
        let began = scene.world.now();
        let came = scene.commit(&take_pizza(&events)).await;
        assert_eq!(came, [Came::NotYet; 150]);
        let took = scene.world.now().duration_since(began);
        assert!((10..17).contains(&took.as_secs()), "{took:?}");
        scene.world.faults.clear();
        assert_eq!(scene.sum_of("pizza").await, "none");
    });
}

#[test]
fn a_commit_does_not_wait_for_the_end_of_an_outage() {
    play_scene(async |scene| {
        let events = orders(0..3);
        scene.world.faults.add(scene.fault(CallMode::Fail));
        let began = scene.world.now();
        assert_eq!(scene.commit(&take_pizza(&events)).await, [Came::NotYet; 3]);
        let took = scene.world.now().duration_since(began);
        assert!(took.as_secs() < 5, "{took:?}");
    });
}

#[test]
fn a_condition_that_does_not_hold_stops_its_own_event_alone() {
    play_scene(async |scene| {
        let events = orders(0..3);
        let mut row = Row::default();
        row.set("by", Some("the first"));
        let reservation = Change::of(item("reservation")).set_all(row);
        let is_free = reservation.only_if("attribute_not_exists(#by)", &[]);
        let reserve = |event| take(event, "pizza").change(is_free.clone());
        let batch = [
            reserve(&events[0]),
            take(&events[1], "pizza"),
            reserve(&events[2]),
        ];
        assert_eq!(
            scene.commit(&batch).await,
            [Came::Now, Came::Now, Came::Overtaken]
        );
        assert_eq!(scene.sum_of("pizza").await, "-2");
        // If the record already exists, the record explains why the condition fails.
        assert_eq!(
            scene.commit(&batch).await,
            [Came::Before, Came::Before, Came::Overtaken]
        );
        let without = take(&events[2], "pizza");
        assert_eq!(scene.commit(&[without]).await, [Came::Now]);
        assert_eq!(scene.sum_of("pizza").await, "-3");
    });
}

#[test]
fn an_event_that_dynamodb_never_accepts_fails_alone() {
    play_scene(async |scene| {
        let events = orders(0..100);
        // Half a megabyte, and a key that is too long. Only an addition reveals a number that is
        // none.
        let mut large = Row::default();
        large.set("result", Some("x".repeat(500_000)));
        let soup = json!({"member": {"S": "m"}, "entry": {"S": "soup"}, "on_hand": {"S": "none"}});
        scene.world.put("members", soup).await.unwrap();
        let mut batch = take_pizza(&events[..97]);
        batch.insert(40, take(&events[97], "pizza").fields(large));
        batch.insert(50, take(&events[98], &"x".repeat(2000)));
        batch.insert(60, take(&events[99], "soup"));
        let came = scene.commit(&batch).await;
        for (index, came) in came.iter().enumerate() {
            let expected = match index {
                40 | 50 | 60 => Came::Never,
                _ => Came::Now,
            };
            assert_eq!(*came, expected, "{index}");
        }
        assert_eq!(scene.sum_of("pizza").await, "-97");
    });
}

#[test]
fn large_records_are_more_than_one_transaction() {
    play_scene(async |scene| {
        let events = orders(0..12);
        let batch = events.iter().map(|event| {
            let mut row = Row::default();
            row.set("result", Some("x".repeat(390_000)));
            take(event, "pizza").fields(row)
        });
        let batch: Vec<_> = batch.collect();
        assert_eq!(scene.commit(&batch).await, [Came::Now; 12]);
        assert_eq!(scene.transactions(200), 2);
        assert_eq!(scene.sum_of("pizza").await, "-12");
    });
}
