//! The inventory, when two things happen at the same time, or when something fails to happen.

mod many;

use std::time::Duration;

use emulators::faults::{CallMode, Fault, Refusal};
use emulators::sent::Detail;
use emulators::service::Service;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::Value;
use webhooks::event::{
    AffectedItem, Discount, DiscountKind, Envelope, Event, EventKey, Fact, Member, Money, Notice,
    Redemption, Reward, Usage,
};
use webhooks::stock::{Counted, Product};
use webhooks::worker::Failure;

use crate::scene::{Scene, play_scene};

const TENANT: &str = "zupy#comp";
const PIZZA: &str = "Pizza";

fn event(key: EventKey, fact: Fact) -> Event {
    Event {
        key,
        provider: "zupy".into(),
        tenant: "comp".into(),
        occurred_at: Timestamp::from_second(1_800_000_000).unwrap(),
        sandbox: false,
        received_at: None,
        member: Member {
            id: "ZP-1".into(),
            ..Member::default()
        },
        fact,
        envelope: Envelope::default(),
        warnings: Vec::new(),
    }
}

fn redeemed(scene: &Scene, code: &str) -> Event {
    let fact = Fact::Redeemed(Redemption {
        coupon_code: code.into(),
        reward: Reward {
            name: Some(PIZZA.into()),
            ..Reward::default()
        },
        expires_at: Some(scene.world.now() + SignedDuration::from_hours(1)),
        discount: Some(Discount {
            kind: DiscountKind::ProductFree,
            value: None,
            maximum: None,
            minimum_purchase: None,
        }),
        ..Redemption::default()
    });
    event(EventKey::redeemed("zupy", "comp", code), fact)
}

/// A use of pizzas that were free, or of a discount that the body may or may not name.
fn used(code: &str, order: &str, kind: Option<DiscountKind>, quantity: i64) -> Event {
    let price = Some(Money::new(35.into(), "BRL"));
    let fact = Fact::Used(Usage {
        coupon_code: code.into(),
        discount_kind: kind,
        location: Some("Loja Centro".into()),
        order_id: Some(order.into()),
        items: vec![AffectedItem {
            name: Some(PIZZA.into()),
            quantity: Some(quantity.into()),
            unit_price: price.clone(),
            discount_applied: price,
        }],
        ..Usage::default()
    });
    event(EventKey::used("zupy", "comp", code, order), fact)
}

fn free_pizza(code: &str) -> Event {
    used(code, "1", Some(DiscountKind::ProductFree), 1)
}

impl Scene {
    /// Writes an event as the ledger does, with the fields that the inventory reads.
    async fn record(&self, event: &Event, body: &str) {
        let mut row = serde_json::json!({
            "coupon": {"S": event.key.coupon()}, "entry": {"S": event.key.entry()},
            "provider": {"S": "zupy"}, "tenant": {"S": "comp"}, "scheme": {"S": "zupy-v1"},
            "body": {"S": body},
        });
        if let Fact::Redeemed(redemption) = &event.fact {
            let discount = serde_json::to_string(&redemption.discount).unwrap();
            row["discount"] = serde_json::json!({ "S": discount });
        }
        self.world.put("events", row).await.unwrap();
    }

    async fn set(&self, on_hand: i64) {
        let all = Counted::All(on_hand.into());
        let stock = self.world.stock();
        stock.count(TENANT, PIZZA, all, None).await.unwrap();
    }

    async fn receive(&self, quantity: i64) {
        let more = Counted::More(quantity.into());
        let stock = self.world.stock();
        stock.count(TENANT, PIZZA, more, None).await.unwrap();
    }

    async fn product(&self) -> Product {
        let mut contents = self.world.stock().contents(Some(TENANT)).await.unwrap();
        contents.products.remove(0)
    }

    async fn on_hand(&self) -> Decimal {
        self.product().await.on_hand
    }

    /// Makes SNS refuse every publication from now on.
    fn refuse(&self, code: &str) -> u64 {
        let refused = CallMode::Refuse(Refusal::of(code).unwrap());
        let refused = Fault::calls(Service::Sns, "Publish", refused);
        self.world.faults.add(refused)
    }

    async fn reserved(&self) -> Decimal {
        let now = self.world.now();
        self.world
            .stock()
            .reserved(TENANT, PIZZA, now)
            .await
            .unwrap()
    }

    /// The kinds of the sent alerts.
    fn alerts(&self) -> Vec<String> {
        let sent = self.world.sent().into_iter();
        sent.filter_map(|sent| match sent.detail {
            Detail::Topic(alert) => alert.attributes.get("type").cloned(),
            _ => None,
        })
        .collect()
    }

    async fn row(&self, event: &Event, name: &str) -> Value {
        let entry = match name {
            "reservation" => name.to_owned(),
            _ => event.key.beneath(name),
        };
        let rows = self.world.items("events").await.unwrap().into_iter();
        let mut those = rows.filter(|row| row["entry"] == entry.as_str());
        those.next().unwrap_or_default()
    }

    #[track_caller]
    fn done(&self, outcomes: &[Result<(), Failure>]) {
        for outcome in outcomes {
            if let Err(Failure::Transient(error) | Failure::Permanent(error)) = outcome {
                panic!("{error:#}");
            }
            assert!(outcome.is_ok(), "{outcome:?}");
        }
    }
}

/// The provider's body of [`used`] without a type of discount.
fn used_body(code: &str, order: &str) -> String {
    serde_json::json!({
        "event": "coupon.used", "timestamp": "2026-11-22T12:00:00Z", "company_id": "comp",
        "customer": {"member_id": "ZP-1"},
        "usage": {
            "coupon_code": code, "order_id": order, "discount_applied": 35, "order_value": 70,
            "items_affected": [{"name": PIZZA, "quantity": 1, "unit_price": 35, "discount_applied": 35}],
        },
    })
    .to_string()
}

#[test]
fn a_reservation_ends_with_the_coupon_by_itself() {
    play_scene(async |scene| {
        let redeemed = redeemed(scene, "CP-1");
        scene.done(&scene.keep(&[&redeemed]).await);
        assert_eq!(scene.reserved().await, 1.into());
        tokio::time::sleep(Duration::from_secs(3600 - 1)).await;
        assert_eq!(scene.reserved().await, 1.into());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(scene.reserved().await, 0.into());
    });
}

#[test]
fn a_whole_life_in_one_batch_ends_as_it_should() {
    play_scene(async |scene| {
        scene.set(10).await;
        let redeemed = redeemed(scene, "CP-1");
        let used = free_pizza("CP-1");
        let cancelled = event(
            EventKey::once("zupy", "comp", "CP-1", "cancelled"),
            Fact::Cancelled(Notice {
                coupon_code: "CP-1".into(),
                reward_name: None,
                expires_at: None,
            }),
        );
        scene.done(&scene.keep(&[&cancelled, &used, &redeemed, &used]).await);
        assert_eq!(
            (scene.on_hand().await, scene.reserved().await),
            (9.into(), 0.into())
        );
        let record = scene.row(&redeemed, "inventory").await;
        let result = record["result"].as_str().unwrap();
        assert!(result.starts_with("reserved nothing"), "{result}");
    });
}

#[test]
fn a_redemption_decides_what_earlier_uses_took() {
    play_scene(async |scene| {
        scene.set(10).await;
        let uses = ["1", "2"].map(|order| used("CP-1", order, None, 1));
        for (used, order) in uses.iter().zip(["1", "2"]) {
            scene.record(used, &used_body("CP-1", order)).await;
            scene.done(&scene.keep(&[used]).await);
            let record = scene.row(used, "inventory").await;
            assert_eq!(record["awaits"], "redeemed");
        }
        assert_eq!(scene.on_hand().await, 10.into());
        let redeemed = redeemed(scene, "CP-1");
        scene.record(&redeemed, "").await;
        scene.done(&scene.keep(&[&redeemed]).await);
        assert_eq!(
            (scene.on_hand().await, scene.reserved().await),
            (8.into(), 0.into())
        );
        for used in &uses {
            let record = scene.row(used, "inventory").await;
            assert_eq!(record["awaits"], Value::Null);
            assert_eq!(record["result"], "took 1 Pizza");
        }
        // A repeat changes nothing, and a later use knows the result.
        scene.done(&scene.keep(&[&redeemed, &uses[0], &uses[1]]).await);
        let third = used("CP-1", "3", None, 1);
        scene.done(&scene.keep(&[&third]).await);
        assert_eq!(scene.on_hand().await, 7.into());
    });
}

/// Without a name, a redemption reserves nothing, but the use still takes what the discount says.
#[test]
fn a_reward_without_a_name_takes_the_same_in_any_order() {
    play_scene(async |scene| {
        scene.set(10).await;
        for (code, used_first) in [("CP-1", false), ("CP-2", true)] {
            let mut redeemed = redeemed(scene, code);
            if let Fact::Redeemed(redemption) = &mut redeemed.fact {
                redemption.reward.name = None;
            }
            let used = used(code, "1", None, 1);
            let mut events = [(&redeemed, String::new()), (&used, used_body(code, "1"))];
            if used_first {
                events.reverse();
            }
            for (event, body) in events {
                scene.record(event, &body).await;
                scene.done(&scene.keep(&[event]).await);
            }
            let record = scene.row(&used, "inventory").await;
            assert_eq!(record["result"], "took 1 Pizza", "{code}");
        }
        assert_eq!(
            (scene.on_hand().await, scene.reserved().await),
            (8.into(), 0.into())
        );
    });
}

/// The use has looked and found no redemption; the redemption looks and finds no use. One of them
/// must wait for the other.
#[test]
fn a_use_and_its_redemption_at_the_same_time_find_each_other() {
    for (first, later) in [(0, 1), (1, 0)] {
        play_scene(async |scene| {
            scene.set(10).await;
            let used = used("CP-1", "1", None, 1);
            let redeemed = redeemed(scene, "CP-1");
            scene.record(&used, &used_body("CP-1", "1")).await;
            // The first transaction is under way for a second.
            let slow = scene.fault(CallMode::Delay(Duration::from_secs(1)));
            let id = scene.world.faults.add(slow.once());
            let events = [&used, &redeemed];
            let slow_one = scene.keep(&events[first..=first]);
            let quick_one = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                scene.record(&redeemed, "").await;
                scene.keep(&events[later..=later]).await
            };
            let (one, other) = tokio::join!(slow_one, quick_one);
            scene.done(&one);
            scene.done(&other);
            assert_eq!(scene.world.faults.applied(id), Some(1));
            assert_eq!(
                (scene.on_hand().await, scene.reserved().await),
                (9.into(), 0.into()),
                "{first}"
            );
            assert_eq!(scene.row(&used, "inventory").await["awaits"], Value::Null);
        });
    }
}

#[test]
fn a_use_that_comes_while_its_redemption_counts_the_others_is_counted_too() {
    play_scene(async |scene| {
        scene.set(10).await;
        let uses = ["1", "2"].map(|order| used("CP-1", order, None, 1));
        for (used, order) in uses.iter().zip(["1", "2"]) {
            scene.record(used, &used_body("CP-1", order)).await;
        }
        scene.done(&scene.keep(&[&uses[0]]).await);
        let redeemed = redeemed(scene, "CP-1");
        let between = async {
            // DynamoDB refused the transaction; the redemption reads the first use, and continues.
            while scene.transactions(400) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let slow = scene.fault(CallMode::Delay(Duration::from_secs(1)));
            scene.world.faults.add(slow.once());
            tokio::time::sleep(Duration::from_millis(200)).await;
            scene.keep(&[&uses[1]]).await
        };
        let batch = [&redeemed];
        let (one, other) = tokio::join!(scene.keep(&batch), between);
        scene.done(&one);
        scene.done(&other);
        assert_eq!(scene.on_hand().await, 8.into());
    });
}

#[test]
fn one_of_two_batches_at_the_threshold_alerts() {
    play_scene(async |scene| {
        scene.set(6).await;
        let uses = ["CP-1", "CP-2", "CP-3"].map(free_pizza);
        let slow = CallMode::Delay(Duration::from_millis(800));
        let id = scene.world.faults.add(Fault::service(Service::Sns, slow));
        let (one, other) = ([&uses[0]], [&uses[1], &uses[2]]);
        let (one, other) = tokio::join!(scene.keep(&one), scene.keep(&other));
        scene.done(&one);
        scene.done(&other);
        assert_eq!(scene.world.faults.applied(id), Some(1));
        assert_eq!(scene.alerts(), ["low_stock"]);
        assert_eq!(scene.on_hand().await, 3.into());
    });
}

#[test]
fn a_stock_that_falls_below_zero_during_its_alert_gets_another_alert() {
    play_scene(async |scene| {
        scene.set(6).await;
        let low = free_pizza("CP-1");
        let many = used("CP-2", "1", Some(DiscountKind::ProductFree), 7);
        let slow = CallMode::Delay(Duration::from_millis(800));
        scene
            .world
            .faults
            .add(Fault::service(Service::Sns, slow).once());
        let later = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            scene.keep(&[&many]).await
        };
        let low = [&low];
        let (one, other) = tokio::join!(scene.keep(&low), later);
        scene.done(&one);
        scene.done(&other);
        assert_eq!(scene.alerts(), ["low_stock", "stock_below_zero"]);
    });
}

#[test]
fn an_alert_that_cannot_be_sent_is_owed() {
    play_scene(async |scene| {
        scene.set(5).await;
        let (used, other) = (free_pizza("CP-1"), free_pizza("CP-2"));
        let down = scene
            .world
            .faults
            .add(Fault::service(Service::Sns, CallMode::Fail));
        assert!(scene.keep(&[&used]).await[0].is_err());
        scene.world.faults.remove(down);
        assert_eq!((scene.on_hand().await, scene.alerts().len()), (4.into(), 0));
        // SQS delivers the message again. The use took the stock before, and its alert goes out
        // now.
        scene.done(&scene.keep(&[&used]).await);
        scene.done(&scene.keep(&[&used, &other]).await);
        assert_eq!((scene.on_hand().await, scene.alerts().len()), (3.into(), 1));
    });
}

#[test]
fn a_product_that_nobody_counted_causes_no_alert() {
    play_scene(async |scene| {
        let uses: Vec<_> = (0..5).map(|n| free_pizza(&format!("CP-{n}"))).collect();
        scene.done(&scene.keep(&[&uses[0], &uses[1]]).await);
        assert_eq!(
            (scene.on_hand().await, scene.alerts().len()),
            ((-2).into(), 0)
        );
        // Nobody knows the sales before this delivery.
        scene.receive(1).await;
        scene.done(&scene.keep(&[&uses[2]]).await);
        assert_eq!(
            (scene.on_hand().await, scene.alerts().len()),
            ((-2).into(), 0)
        );
        scene.set(5).await;
        scene.done(&scene.keep(&[&uses[3]]).await);
        assert_eq!(scene.alerts(), ["low_stock"]);
    });
}

#[test]
fn a_product_that_was_delivered_before_its_first_sale_counts() {
    play_scene(async |scene| {
        scene.receive(6).await;
        scene.done(&scene.keep(&[&free_pizza("CP-1")]).await);
        assert_eq!(scene.alerts(), ["low_stock"]);
    });
}

#[test]
fn an_alert_that_sns_refuses_for_good_is_done_and_says_so() {
    play_scene(async |scene| {
        scene.set(5).await;
        let refused = scene.refuse("InvalidParameter");
        scene.done(&scene.keep(&[&free_pizza("CP-1")]).await);
        scene.world.faults.remove(refused);
        scene.done(&scene.keep(&[&free_pizza("CP-2")]).await);
        assert_eq!((scene.on_hand().await, scene.alerts().len()), (3.into(), 0));
        let product = scene.product().await;
        assert_eq!(
            product.alert_failed.as_deref(),
            Some("SNS refuses the alert: InvalidParameter")
        );
        // The next alert is another one.
        let many = used("CP-3", "1", Some(DiscountKind::ProductFree), 4);
        scene.done(&scene.keep(&[&many]).await);
        assert_eq!(scene.alerts(), ["stock_below_zero"]);
        assert_eq!(scene.product().await.alert_failed, None);
    });
}

/// Until an operator repairs the topic, SQS delivers one message again and again, and no sale waits
/// for it.
#[test]
fn an_alert_that_needs_an_operator_is_sent_after_the_repair() {
    play_scene(async |scene| {
        scene.set(5).await;
        let refused = scene.refuse("NotFound");
        let uses = ["CP-1", "CP-2", "CP-3"].map(free_pizza);
        let outcomes = scene.keep(&[&uses[0], &uses[1]]).await;
        let Err(Failure::Outside { after, error }) = &outcomes[0] else {
            panic!("{outcomes:?}");
        };
        assert!(format!("{error:#}").contains("NotFound"), "{error:#}");
        scene.done(&outcomes[1..]);
        scene.done(&scene.keep(&[&uses[2]]).await);
        assert_eq!(scene.world.faults.applied(refused), Some(1));
        assert_eq!((scene.on_hand().await, scene.alerts().len()), (2.into(), 0));
        scene.world.faults.remove(refused);
        tokio::time::sleep(after.unwrap()).await;
        scene.done(&scene.keep(&[&uses[0]]).await);
        assert_eq!(scene.alerts(), ["low_stock"]);
    });
}

/// DynamoDB is slow: an alert that began now would go out, but the invocation would end before the
/// writing of the record.
#[test]
fn an_alert_that_could_be_cut_off_is_not_begun() {
    play_scene(async |scene| {
        scene.set(5).await;
        let slow = CallMode::Delay(Duration::from_millis(2600));
        let slow = scene
            .world
            .faults
            .add(Fault::service(Service::DynamoDb, slow));
        let slow_topic = CallMode::Delay(Duration::from_secs(4));
        let slow_topic = Fault::service(Service::Sns, slow_topic);
        let slow_topic = scene.world.faults.add(slow_topic);
        let used = free_pizza("CP-1");
        let outcomes = scene.keep_within(&[&used], Duration::from_secs(15)).await;
        assert!(
            outcomes.is_none_or(|it| it[0].is_err()),
            "the alert is owed, and the use is done"
        );
        scene.world.faults.remove(slow);
        scene.world.faults.remove(slow_topic);
        tokio::time::sleep(Duration::from_secs(60)).await;
        scene.done(&scene.keep(&[&used]).await);
        assert_eq!(scene.alerts(), ["low_stock"]);
    });
}

#[test]
fn a_restock_during_an_alert_is_not_lost() {
    play_scene(async |scene| {
        scene.set(6).await;
        let slow = CallMode::Delay(Duration::from_secs(2));
        scene
            .world
            .faults
            .add(Fault::service(Service::Sns, slow).once());
        let restock = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.set(20).await;
        };
        let low = free_pizza("CP-1");
        let batch = [&low];
        let (kept, ()) = tokio::join!(scene.keep(&batch), restock);
        scene.done(&kept);
        let many = used("CP-2", "1", Some(DiscountKind::ProductFree), 15);
        scene.done(&scene.keep(&[&many]).await);
        assert_eq!(scene.alerts(), ["low_stock", "low_stock"]);
    });
}

#[test]
fn a_sandbox_event_leaves_a_record_and_nothing_else() {
    play_scene(async |scene| {
        scene.set(1).await;
        let mut used = free_pizza("CP-1");
        used.sandbox = true;
        let mut redeemed = redeemed(scene, "CP-1");
        redeemed.sandbox = true;
        scene.done(&scene.keep(&[&used, &redeemed]).await);
        assert_eq!(
            (scene.on_hand().await, scene.reserved().await),
            (1.into(), 0.into())
        );
        assert_eq!(scene.alerts(), Vec::<String>::new());
        assert_eq!(scene.row(&used, "inventory").await["status"], "skipped");
        assert_eq!(scene.row(&redeemed, "inventory").await["status"], "skipped");
        assert_eq!(scene.records().await, 2);
    });
}

#[test]
fn a_thousand_sales_in_one_batch_are_a_few_updates_and_one_alert() {
    play_scene(async |scene| {
        scene.set(1000).await;
        let uses: Vec<_> = (0..1000).map(|n| free_pizza(&format!("CP-{n}"))).collect();
        let uses: Vec<_> = uses.iter().collect();
        scene.done(&scene.keep(&uses).await);
        assert_eq!(scene.on_hand().await, 0.into());
        // 49 records, 49 reservations and the product in each; and the alert with its count.
        assert_eq!(scene.transactions(200), 22);
        assert_eq!(scene.alerts(), ["low_stock"]);
    });
}
