//! Orders of more products than fit into one transaction, and products with several spellings.

use std::collections::BTreeMap;

use emulators::faults::{CallMode, Fault};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use webhooks::event::{AffectedItem, DiscountKind, Event, EventKey, Fact, Notice};
use webhooks::stock::{Counted, readable};

use super::{PIZZA, TENANT, event, free_pizza, redeemed, used, used_body};
use crate::scene::{Scene, play_scene};

/// A use of this many products, one of each.
fn many(code: &str, order: &str, kind: Option<DiscountKind>, products: usize) -> Event {
    let mut used = used(code, order, kind, 1);
    if let Fact::Used(usage) = &mut used.fact {
        let item = usage.items[0].clone();
        let items = (0..products).map(|n| AffectedItem {
            name: Some(format!("Produto {n}")),
            ..item.clone()
        });
        usage.items = items.collect();
    }
    used
}

/// The provider's body without a type of discount.
fn many_body(code: &str, order: &str, products: usize) -> String {
    let mut body: Value = serde_json::from_str(&used_body(code, order)).unwrap();
    let items = (0..products).map(|n| {
        json!({"name": format!("Produto {n}"), "quantity": 1, "unit_price": 35, "discount_applied": 35})
    });
    body["usage"]["items_affected"] = items.collect();
    body.to_string()
}

fn expiring(code: &str, stated: i64, until_h: i64, scene: &Scene) -> Event {
    let until = scene.world.now() + jiff::SignedDuration::from_hours(until_h);
    let key = EventKey::repeatable("zupy", "comp", code, "expiring", &until.to_string());
    let mut event = event(
        key,
        Fact::Expiring(Notice {
            coupon_code: code.into(),
            reward_name: None,
            expires_at: Some(until),
        }),
    );
    event.occurred_at += jiff::SignedDuration::from_hours(stated);
    event
}

impl Scene {
    /// The stock on hand of every product.
    async fn on_hands(&self) -> BTreeMap<String, Decimal> {
        let contents = self.world.stock().contents(Some(TENANT)).await.unwrap();
        let products = contents.products.into_iter();
        products
            .map(|product| (product.name, product.on_hand))
            .collect()
    }

    async fn reserved_in_h(&self, hours: i64) -> Decimal {
        let then = self.world.now() + jiff::SignedDuration::from_hours(hours);
        let stock = self.world.stock();
        stock.reserved(TENANT, PIZZA, then).await.unwrap()
    }

    /// Processes events again and again, as a queue does, until all have settled. Returns how
    /// often.
    async fn keep_until_done(&self, events: &[&Event]) -> usize {
        for times in 1..200 {
            if self.keep(events).await.iter().all(Result::is_ok) {
                return times;
            }
        }
        panic!("the events are never done");
    }
}

fn assert_one_of_each(on_hands: &BTreeMap<String, Decimal>, products: usize) {
    let taken = on_hands
        .iter()
        .filter(|(name, _)| name.starts_with("Produto"));
    let taken: Vec<_> = taken.collect();
    assert_eq!(taken.len(), products);
    for (name, on_hand) in taken {
        assert_eq!(*on_hand, Decimal::NEGATIVE_ONE, "{name}");
    }
}

#[test]
fn an_order_of_many_products_is_taken_in_parts_and_others_do_not_wait() {
    play_scene(async |scene| {
        let redeemed = redeemed(scene, "CP-1");
        scene.done(&scene.keep(&[&redeemed]).await);
        assert_eq!(scene.reserved().await, 1.into());
        let order = many("CP-1", "1", Some(DiscountKind::ProductFree), 3000);
        let other = free_pizza("CP-2");
        scene.done(&scene.keep(&[&order, &other]).await);
        let on_hands = scene.on_hands().await;
        assert_one_of_each(&on_hands, 3000);
        assert_eq!(on_hands[PIZZA], Decimal::NEGATIVE_ONE);
        assert_eq!(scene.reserved().await, 0.into());
        let record = scene.row(&order, "inventory").await;
        assert_eq!(record["parts"], 34);
        assert_eq!(
            record["result"],
            "took 1 Produto 0, 1 Produto 1, 1 Produto 10, 2997 more (in 34 parts)"
        );
        // A repeat changes nothing.
        scene.done(&scene.keep(&[&order]).await);
        assert_one_of_each(&scene.on_hands().await, 3000);
    });
}

#[test]
fn each_part_is_taken_once_whatever_fails_between_them() {
    for seed in 0..8 {
        play_scene(async |scene| {
            let order = many("CP-1", "1", Some(DiscountKind::BuyOneGetOne), 250);
            let trouble = [CallMode::Fail, CallMode::LoseResponse, CallMode::Conflict];
            for mode in trouble {
                let fault = scene.fault(mode).at_rate(0.4).seeded(seed);
                scene.world.faults.add(fault.times(6));
            }
            let (one, other) = ([&order], [&order]);
            tokio::join!(scene.keep_until_done(&one), scene.keep_until_done(&other));
            assert_one_of_each(&scene.on_hands().await, 250);
            assert_eq!(scene.row(&order, "inventory").await["parts"], 3);
        });
    }
}

/// An invocation too short for all of them: the next one continues.
#[test]
fn parts_that_do_not_fit_an_invocation_are_taken_in_the_next() {
    play_scene(async |scene| {
        let order = many("CP-1", "1", Some(DiscountKind::ProductFree), 1000);
        let slow = CallMode::Delay(std::time::Duration::from_millis(2500));
        scene.world.faults.add(scene.fault(slow));
        let times = scene.keep_until_done(&[&order]).await;
        assert!((2..=4).contains(&times), "{times}");
        assert_one_of_each(&scene.on_hands().await, 1000);
    });
}

/// Another version of the code began with parts of another size.
#[test]
fn an_order_that_began_in_other_parts_ends_in_those() {
    play_scene(async |scene| {
        let order = many("CP-1", "1", Some(DiscountKind::ProductFree), 100);
        let part = json!({
            "coupon": {"S": order.key.coupon()},
            "entry": {"S": order.key.beneath("inventory/part/0")},
            "status": {"S": "done"}, "size": {"N": "40"}, "attempt": {"S": "old"},
        });
        scene.world.put("events", part).await.unwrap();
        scene.done(&scene.keep(&[&order]).await);
        let on_hands = scene.on_hands().await;
        assert_eq!(on_hands.len(), 60);
        assert!(!on_hands.contains_key("Produto 39"));
        assert_eq!(scene.row(&order, "inventory").await["parts"], 3);
    });
}

#[test]
fn a_redemption_decides_what_a_use_of_many_products_takes() {
    for seed in 0..6 {
        play_scene(async |scene| {
            let order = many("CP-1", "1", None, 250);
            scene.record(&order, &many_body("CP-1", "1", 250)).await;
            let small = used("CP-1", "2", None, 1);
            scene.record(&small, &used_body("CP-1", "2")).await;
            scene.done(&scene.keep(&[&order, &small]).await);
            assert!(scene.on_hands().await.is_empty());
            let redeemed = redeemed(scene, "CP-1");
            scene.record(&redeemed, "").await;
            for mode in [CallMode::Fail, CallMode::LoseResponse] {
                let fault = scene.fault(mode).at_rate(0.3).seeded(seed);
                scene.world.faults.add(fault.times(5));
            }
            let (one, other) = ([&redeemed], [&redeemed]);
            tokio::join!(scene.keep_until_done(&one), scene.keep_until_done(&other));
            let on_hands = scene.on_hands().await;
            assert_one_of_each(&on_hands, 250);
            assert_eq!(on_hands[PIZZA], Decimal::NEGATIVE_ONE);
            for used in [&order, &small] {
                assert_eq!(scene.row(used, "inventory").await["awaits"], Value::Null);
            }
            assert_eq!(scene.row(&order, "inventory").await["parts"], 3);
        });
    }
}

#[test]
fn a_redemption_decides_for_more_uses_than_a_transaction_holds() {
    play_scene(async |scene| {
        let orders: Vec<_> = (0..120).map(|it| it.to_string()).collect();
        let uses = orders.iter().map(|order| used("CP-1", order, None, 1));
        let uses: Vec<_> = uses.collect();
        for (used, order) in uses.iter().zip(&orders) {
            scene.record(used, &used_body("CP-1", order)).await;
            scene.done(&scene.keep(&[used]).await);
        }
        let redeemed = redeemed(scene, "CP-1");
        scene.record(&redeemed, "").await;
        scene.keep_until_done(&[&redeemed]).await;
        assert_eq!(scene.on_hands().await[PIZZA], (-120).into());
        scene.keep_until_done(&[&redeemed]).await;
        assert_eq!(scene.on_hands().await[PIZZA], (-120).into());
    });
}

#[test]
fn an_owed_alert_of_a_part_is_sent_at_the_next_attempt() {
    play_scene(async |scene| {
        let five = Counted::All(6.into());
        let stock = scene.world.stock();
        stock
            .count(TENANT, "Produto 200", five, None)
            .await
            .unwrap();
        let order = many("CP-1", "1", Some(DiscountKind::ProductFree), 250);
        let down = Fault::service(emulators::service::Service::Sns, CallMode::Fail);
        let down = scene.world.faults.add(down);
        assert!(scene.keep(&[&order]).await[0].is_err());
        scene.world.faults.remove(down);
        scene.done(&scene.keep(&[&order]).await);
        assert_eq!(scene.alerts(), ["low_stock"]);
    });
}

#[test]
fn a_notice_with_another_date_moves_the_reservation_whatever_came_first() {
    // The numbers of the events in their order of arrival.
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [2, 1, 0],
        [1, 2, 0],
        [2, 0, 1],
    ] {
        play_scene(async |scene| {
            let events = [
                redeemed(scene, "CP-1"),
                expiring("CP-1", 1, 48, scene),
                // The latest notice.
                expiring("CP-1", 2, 24, scene),
            ];
            for number in order {
                scene.done(&scene.keep(&[&events[number]]).await);
            }
            assert_eq!(scene.reserved_in_h(23).await, 1.into(), "{order:?}");
            assert_eq!(scene.reserved_in_h(25).await, 0.into(), "{order:?}");
        });
    }
}

#[test]
fn all_in_one_batch_move_the_reservation_too_and_a_use_ends_it() {
    play_scene(async |scene| {
        let redeemed = redeemed(scene, "CP-1");
        let moved = expiring("CP-1", 1, 48, scene);
        scene.done(&scene.keep(&[&moved, &redeemed, &moved]).await);
        assert_eq!(scene.reserved_in_h(47).await, 1.into());
        scene.done(&scene.keep(&[&free_pizza("CP-1")]).await);
        assert_eq!(scene.reserved_in_h(0).await, 0.into());
        // An ended coupon reserves nothing again.
        scene.done(&scene.keep(&[&expiring("CP-1", 2, 96, scene)]).await);
        assert_eq!(scene.reserved_in_h(0).await, 0.into());
    });
}

fn named(mut used: Event, name: &str) -> Event {
    if let Fact::Used(usage) = &mut used.fact {
        usage.items[0].name = Some(name.to_owned());
    }
    used
}

#[test]
fn all_spellings_of_a_name_are_one_product() {
    play_scene(async |scene| {
        let stock = scene.world.stock();
        let ten = Counted::All(10.into());
        stock.count(TENANT, "Pizza Média", ten, None).await.unwrap();
        for (code, name) in [
            ("CP-1", "PIZZA MÉDIA"),
            ("CP-2", "Pizza Me\u{301}dia"),
            ("CP-3", "\u{FEFF}pizza\u{A0}\u{A0}média \u{200B}"),
        ] {
            scene.done(&scene.keep(&[&named(free_pizza(code), name)]).await);
        }
        let mut redeemed = redeemed(scene, "CP-9");
        if let Fact::Redeemed(redemption) = &mut redeemed.fact {
            redemption.reward.name = Some("pizza  me\u{301}dia".into());
        }
        scene.done(&scene.keep(&[&redeemed]).await);
        assert_eq!(
            scene.on_hands().await,
            [("Pizza Média".to_owned(), 7.into())].into()
        );
        let now = scene.world.now();
        let reserved = stock.reserved(TENANT, "PIZZA MÉDIA", now).await.unwrap();
        assert_eq!(reserved, 1.into());
    });
}

#[test]
fn the_catalogue_applies_to_the_items_of_a_use_too() {
    play_scene(async |scene| {
        scene.set(10).await;
        let stock = scene.world.stock();
        stock.map(TENANT, "Marguerita grande", PIZZA).await.unwrap();
        let sold = named(free_pizza("CP-1"), "MARGUERITA  GRANDE");
        scene.done(&scene.keep(&[&sold]).await);
        assert_eq!(
            scene.on_hands().await,
            [(PIZZA.to_owned(), 9.into())].into()
        );
        assert!(stock.unmap(TENANT, "marguerita grande").await.unwrap());
        let sold = named(free_pizza("CP-2"), "Marguerita grande");
        scene.done(&scene.keep(&[&sold]).await);
        assert_eq!(scene.on_hands().await[PIZZA], 9.into());
    });
}

/// Old code wrote each name as typed, and still does during a deployment.
#[test]
fn old_rows_become_part_of_their_product() {
    play_scene(async |scene| {
        let old = |entry: &str, on_hand: &str| {
            json!({
                "tenant": {"S": TENANT}, "entry": {"S": format!("product#{entry}")},
                "product": {"S": entry}, "on_hand": {"N": on_hand},
            })
        };
        let mut counted = old("Pizza Média", "7");
        counted["counted"] = json!({"S": "id"});
        counted["threshold"] = json!({"N": "6"});
        scene.world.put("stock", counted).await.unwrap();
        scene
            .world
            .put("stock", old("PIZZA MÉDIA", "-1"))
            .await
            .unwrap();
        let old_reward = json!({
            "tenant": {"S": TENANT}, "entry": {"S": "reward#Pizza Grátis"},
            "reward": {"S": "Pizza Grátis"}, "product": {"S": "Pizza Média"},
        });
        scene.world.put("stock", old_reward).await.unwrap();
        let reservation = json!({
            "coupon": {"S": "zupy#comp#CP-0"}, "entry": {"S": "reservation"},
            "reserves": {"S": "zupy#comp#Pizza Média"}, "quantity": {"N": "1"},
            "reserved_until": {"S": "2099-01-01T00:00:00.000Z"},
        });
        scene.world.put("events", reservation).await.unwrap();
        let seven = [("Pizza Média".to_owned(), Decimal::from(6))].into();
        assert_eq!(scene.on_hands().await, seven, "before anything is sold");

        // By the old mapping, a use takes one. The code moves the row with that name over, and its
        // threshold decides about the alert.
        let sold = named(free_pizza("CP-1"), "Pizza Grátis");
        scene.done(&scene.keep(&[&sold]).await);
        assert_eq!(scene.alerts(), ["low_stock"]);
        let five = [("Pizza Média".to_owned(), Decimal::from(5))].into();
        assert_eq!(scene.on_hands().await, five);
        let stock = scene.world.stock();
        stock.unite(TENANT).await.unwrap();
        stock.unite(TENANT).await.unwrap();
        assert_eq!(scene.on_hands().await, five);
        let rows = scene.world.items("stock").await.unwrap();
        let entries: Vec<_> = rows
            .iter()
            .map(|it| it["entry"].as_str().unwrap())
            .collect();
        assert_eq!(entries.len(), 2, "{entries:?}");
        let product = scene.product().await;
        let reserved = stock
            .reserved_of(&product, scene.world.now())
            .await
            .unwrap();
        assert_eq!(reserved, 1.into());
        assert_eq!(readable(&product.name), product.name);
    });
}
