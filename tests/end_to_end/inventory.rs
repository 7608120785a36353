//! The stock: a redeemed coupon reserves it, a used one takes it, and duplicates and reordering do
//! not change the result.

use std::time::Duration;

use emulators::faults::{CallMode, Fault, HELD_BACK, MessageMode};
use emulators::sent::{Detail, Sent};
use emulators::service::Service;
use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::shop::{
    COMPANY, OWN_SECRET, Shop, Webhook, attribute, in_a_shop, in_a_shop_with, reported,
};
use crate::shop::{code_redeemed, redeemed, used};
use crate::support::{Said, command, deployed, run};

const PIZZA: &str = "Pizza Margherita";
/// The name of the sample's reward.
const REWARD: &str = "Pizza Margherita Grátis";

/// A coupon that is valid until tomorrow.
fn good(code: &str) -> Webhook {
    good_for(code, SignedDuration::from_hours(24))
}

fn good_for(code: &str, time: SignedDuration) -> Webhook {
    redeemed(code).set("/coupon/expires_at", (Timestamp::now() + time).to_string())
}

fn item(name: &str, quantity: f64, price: f64, discount: f64) -> Value {
    json!({"name": name, "quantity": quantity, "unit_price": price, "discount_applied": discount})
}

/// A use of a coupon of this type, for these items.
fn used_for(code: &str, kind: &str, items: &[Value]) -> Webhook {
    used(code, &format!("order of {code}"))
        .set("/usage/discount_type", kind)
        .set("/usage/items_affected", items.to_vec())
}

/// The output of a `coupons stock` command against the shop.
async fn stock(shop: &Shop, arguments: &[&str]) -> Said {
    let tenant = ["--tenant", COMPANY];
    command(shop, &[&["stock"], arguments, &tenant].concat()).await
}

async fn set(shop: &Shop, product: &str, on_hand: &str) {
    let said = stock(shop, &["set", product, on_hand]).await;
    assert_eq!(said.code, Some(0), "{}", said.error);
}

async fn map_reward(shop: &Shop) {
    let said = stock(shop, &["map", REWARD, PIZZA]).await;
    assert_eq!(said.code, Some(0), "{}", said.error);
}

impl Shop {
    async fn of_pizza(&self) -> (f64, f64) {
        (self.stock(PIZZA).await, self.reserved(PIZZA).await)
    }
}

/// Type and product of an alert.
fn about(alert: &Sent) -> (String, String) {
    (attribute(alert, "type"), attribute(alert, "product"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_product_is_reserved_when_redeemed_and_leaves_when_used() {
    in_a_shop(async |shop| {
        map_reward(shop).await;
        set(shop, PIZZA, "10").await;
        shop.send_in_turn(&[good("CP-1")]).await;
        assert_eq!(shop.of_pizza().await, (10.0, 1.0));
        shop.send_in_turn(&[used("CP-1", "ord_1")]).await;
        assert_eq!(shop.of_pizza().await, (9.0, 0.0));
        let ledger = shop.ledger("CP-1").await;
        let record = &ledger["used#ord_1/inventory"];
        assert_eq!(record["status"], "done");
        assert_eq!(record["result"], "took 1 Pizza Margherita");
        let record = &ledger["redeemed/inventory"];
        assert_eq!(record["product"], PIZZA);
        assert_eq!(shop.alerts().len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_wholly_free_items_leave() {
    in_a_shop(async |shop| {
        set(shop, PIZZA, "20").await;
        set(shop, "Suco", "20").await;
        let items = [
            item(PIZZA, 2.0, 35.0, 35.0),
            item("Suco", 3.0, 8.0, 4.0),
            item(PIZZA, 0.5, 17.5, 17.50),
        ];
        shop.send_in_turn(&[used_for("CP-1", "product_free", &items)])
            .await;
        assert_eq!(shop.stock(PIZZA).await, 17.5);
        assert_eq!(shop.stock("Suco").await, 20.0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_for_one_takes_both() {
    in_a_shop(async |shop| {
        set(shop, "Suco", "20").await;
        let two_for_one = good("CP-1")
            .set("/coupon/reward_name", "Suco")
            .set("/discount_details/discount_type", "buy_one_get_one");
        shop.send_in_turn(&[two_for_one]).await;
        assert_eq!(shop.reserved("Suco").await, 1.0);
        let items = [item("Suco", 1.0, 8.0, 0.0), item("Suco", 1.0, 8.0, 8.0)];
        shop.send_in_turn(&[used_for("CP-1", "buy_one_get_one", &items)])
            .await;
        assert_eq!(shop.stock("Suco").await, 18.0);
        assert_eq!(shop.reserved("Suco").await, 0.0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_discounts_leave_the_stock_alone() {
    in_a_shop(async |shop| {
        set(shop, PIZZA, "20").await;
        for kind in ["percentage", "fixed_amount"] {
            let redeemed = good(kind).set("/discount_details/discount_type", kind);
            let items = [item(PIZZA, 1.0, 35.0, 35.0)];
            shop.send_in_turn(&[redeemed, used_for(kind, kind, &items)])
                .await;
        }
        assert_eq!(shop.of_pizza().await, (20.0, 0.0));
        assert_eq!(shop.reserved(REWARD).await, 0.0);
        // A use still ends the reservation of its coupon.
        shop.send_in_turn(&[good("CP-1")]).await;
        assert_eq!(shop.reserved(REWARD).await, 1.0);
        shop.send_in_turn(&[used_for("CP-1", "percentage", &[])])
            .await;
        assert_eq!(shop.reserved(REWARD).await, 0.0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_catalogue_entry_the_rewards_name_is_the_product() {
    in_a_shop(async |shop| {
        shop.send_in_turn(&[good("CP-1")]).await;
        assert_eq!(shop.reserved(REWARD).await, 1.0);
        map_reward(shop).await;
        shop.send_in_turn(&[good("CP-2")]).await;
        assert_eq!(
            (shop.reserved(REWARD).await, shop.reserved(PIZZA).await),
            (1.0, 1.0)
        );
        stock(shop, &["unmap", REWARD]).await;
        shop.send_in_turn(&[good("CP-3")]).await;
        assert_eq!(
            (shop.reserved(REWARD).await, shop.reserved(PIZZA).await),
            (2.0, 1.0)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_ends_with_its_coupon() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        map_reward(shop).await;
        set(shop, PIZZA, "20").await;
        shop.send_in_turn(&[good("CP-1"), good("CP-2"), good("CP-3")])
            .await;
        assert_eq!(shop.of_pizza().await, (20.0, 3.0));
        shop.send_in_turn(&[reported("coupon.cancelled", "CP-1")])
            .await;
        assert_eq!(shop.of_pizza().await, (20.0, 2.0));
        shop.send_in_turn(&[reported("coupon.expired", "CP-2")])
            .await;
        assert_eq!(shop.of_pizza().await, (20.0, 1.0));
        shop.send_in_turn(&[reported("coupon.used", "CP-3")]).await;
        assert_eq!(shop.of_pizza().await, (20.0, 0.0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_ends_by_time_alone() {
    in_a_shop(async |shop| {
        map_reward(shop).await;
        set(shop, PIZZA, "20").await;
        let expires_in = SignedDuration::from_secs(10);
        shop.send_in_turn(&[good_for("CP-1", expires_in)]).await;
        let ends_at = Timestamp::now() + expires_in;
        let reservation = &shop.ledger("CP-1").await["reservation"];
        assert_eq!(
            reservation["reserves"],
            format!("zupy#{COMPANY}#pizza margherita")
        );
        while shop.reserved(PIZZA).await > 0.0 {
            assert!(Timestamp::now() < ends_at, "it is reserved for too long");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A reservation that has already ended does not count.
        shop.send_in_turn(&[good_for("CP-2", SignedDuration::from_secs(-1))])
            .await;
        assert_eq!(shop.of_pizza().await, (20.0, 0.0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_events_does_not_matter() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        map_reward(shop).await;
        set(shop, PIZZA, "20").await;
        let cancelled = |code| reported("coupon.cancelled", code);
        let used = |code| used(code, "ord");
        // A use that does not name its type of discount: the redemption names it.
        let silent = |code| used(code).set("/usage/discount_type", Value::Null);
        let stories = [
            (vec![good("CP-1"), used("CP-1")], 19.0),
            (vec![used("CP-2"), good("CP-2")], 18.0),
            (vec![cancelled("CP-3"), good("CP-3")], 18.0),
            (vec![good("CP-4"), silent("CP-4")], 17.0),
            (vec![silent("CP-5"), good("CP-5")], 16.0),
            (vec![cancelled("CP-6"), used("CP-6"), good("CP-6")], 15.0),
        ];
        for (webhooks, on_hand) in stories {
            shop.send_in_turn(&webhooks).await;
            assert_eq!(shop.of_pizza().await, (on_hand, 0.0), "{webhooks:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_counts_once() {
    in_a_shop(async |shop| {
        map_reward(shop).await;
        set(shop, PIZZA, "100").await;
        let faults = shop.system.faults();
        faults.add(Fault::messages("inventory", MessageMode::Duplicate).at_rate(0.5));
        faults.add(Fault::messages(
            "inventory",
            MessageMode::Reorder(HELD_BACK),
        ));
        for n in 0..20 {
            let code = format!("CP-{n}");
            shop.send(good(&code)).await;
            for _ in 0..2 {
                shop.send(used(&code, "ord")).await;
            }
        }
        for n in 20..25 {
            shop.send(good(&format!("CP-{n}"))).await;
        }
        shop.settle_retries().await;
        assert_eq!(shop.of_pizza().await, (80.0, 5.0));
        // Another order with the same coupon: the pizza was eaten.
        shop.send(used("CP-1", "another")).await;
        shop.settle_retries().await;
        assert_eq!(shop.of_pizza().await, (79.0, 5.0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn low_stock_is_alerted_once_until_it_is_restocked() {
    in_a_shop(async |shop| {
        set(shop, PIZZA, "7").await;
        let uses = |numbers: std::ops::Range<u32>| -> Vec<_> {
            numbers.map(|n| used(&format!("CP-{n}"), "ord")).collect()
        };
        shop.send_in_turn(&uses(0..1)).await;
        assert_eq!(shop.alerts().len(), 0);
        shop.send_in_turn(&uses(1..2)).await;
        let alerts = shop.alerts();
        assert_eq!(
            about(&alerts[0]),
            ("low_stock".to_owned(), PIZZA.to_owned())
        );
        let text = alerts[0].text.as_deref().unwrap();
        assert_snapshot!(text, @"
        Pizza Margherita has reached its threshold.

        Company:   comp_bella_vista
        Product:   Pizza Margherita
        On hand:   5
        Threshold: 5
        Location:  Loja Centro
        Coupon:    CP-1
        Member:    ZP-4F95FB0A
        Event:     zupy#comp_bella_vista#CP-1/used#ord

        The next alert can come only after a restock above the threshold:
        coupons stock receive 'Pizza Margherita' <quantity> --tenant 'zupy#comp_bella_vista'

        If Pizza Margherita is another name of a counted product, map the name:
        coupons stock map 'Pizza Margherita' <product> --tenant 'zupy#comp_bella_vista'
        ");
        for personal in ["Maria", "customer@", "965958122"] {
            assert!(!text.contains(personal), "{text}");
        }
        let event = format!("zupy#{COMPANY}#CP-1/used#ord");
        assert_eq!(alerts[0].event.as_deref(), Some(event.as_str()));

        shop.send_in_turn(&uses(2..4)).await;
        // A little more is not enough.
        stock(shop, &["receive", PIZZA, "1"]).await;
        shop.send_in_turn(&uses(4..5)).await;
        assert_eq!(shop.alerts().len(), 1);
        stock(shop, &["receive", PIZZA, "3"]).await;
        assert_eq!(shop.stock(PIZZA).await, 6.0);
        shop.send_in_turn(&uses(5..7)).await;
        assert_eq!(shop.alerts().len(), 2);
        set(shop, PIZZA, "50").await;
        shop.send_in_turn(&uses(7..8)).await;
        assert_eq!(shop.alerts().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_has_a_threshold_of_its_own() {
    in_a_shop_with(&[("StockThreshold", "2")], async |shop| {
        stock(shop, &["set", PIZZA, "10", "--threshold", "8"]).await;
        set(shop, "Suco", "4").await;
        let items = [item(PIZZA, 2.0, 35.0, 35.0), item("Suco", 1.0, 8.0, 8.0)];
        shop.send_in_turn(&[used_for("CP-1", "product_free", &items)])
            .await;
        let alerted: Vec<_> = shop.alerts().iter().map(about).collect();
        assert_eq!(alerted, [("low_stock".to_owned(), PIZZA.to_owned())]);
        let items = [item("Suco", 1.0, 8.0, 8.0)];
        shop.send_in_turn(&[used_for("CP-2", "product_free", &items)])
            .await;
        assert_eq!(shop.alerts().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_may_go_below_zero_with_an_alert() {
    let subscribed = ("AlertsEmail", "ops@example.com");
    in_a_shop_with(&[subscribed], async |shop| {
        set(shop, PIZZA, "1").await;
        let uses: Vec<_> = (0..3).map(|n| used(&format!("CP-{n}"), "ord")).collect();
        shop.send_in_turn(&uses).await;
        assert_eq!(shop.stock(PIZZA).await, -2.0);
        let alerts = shop.alerts();
        let kinds: Vec<_> = alerts.iter().map(|alert| about(alert).0).collect();
        assert_eq!(kinds, ["low_stock", "stock_below_zero"]);
        let Detail::Topic(publication) = &alerts[0].detail else {
            panic!("{alerts:?}");
        };
        assert_eq!(publication.subscribers, ["email:ops@example.com"]);
        // Nobody knows the stock of a product that nobody counted.
        let items = [item("Suco", 1.0, 8.0, 8.0)];
        shop.send_in_turn(&[used_for("CP-9", "product_free", &items)])
            .await;
        assert_eq!(shop.stock("Suco").await, -1.0);
        assert_eq!(shop.alerts().len(), 2);
        let said = stock(shop, &[]).await;
        let suco = said.out.lines().find(|it| it.contains("Suco")).unwrap();
        assert!(suco.ends_with("not counted"), "{}", said.out);
        set(shop, "Suco", "3").await;
        shop.send_in_turn(&[used_for("CP-10", "product_free", &items)])
            .await;
        let last = shop.alerts().pop().unwrap();
        assert_eq!(about(&last), ("low_stock".to_owned(), "Suco".to_owned()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_in_the_middle_changes_nothing() {
    in_a_shop(async |shop| {
        map_reward(shop).await;
        set(shop, PIZZA, "30").await;
        let faults = shop.system.faults();
        faults.add(Fault::service(Service::DynamoDb, CallMode::Fail).by("inventory"));
        for n in 0..15 {
            shop.send(used(&format!("CP-{n}"), "ord")).await;
        }
        shop.settle().await;
        assert_eq!(shop.of_pizza().await, (30.0, 0.0));
        faults.clear();
        let lost = Fault::calls(
            Service::DynamoDb,
            "TransactWriteItems",
            CallMode::LoseResponse,
        );
        faults.add(lost.by("inventory").times(4));
        faults.add(Fault::service(Service::Sns, CallMode::Throttle).times(2));
        for n in 15..26 {
            shop.send(used(&format!("CP-{n}"), "ord")).await;
        }
        shop.settle_retries().await;
        assert_eq!(shop.of_pizza().await, (4.0, 0.0));
        assert_eq!(shop.alerts().len(), 1);
        // The batch returned more messages than SQS accepts at a time.
        let lines = shop.system.logs("inventory").into_iter();
        let refused: Vec<_> = lines.filter(|it| it.line.contains("No delay")).collect();
        assert!(refused.is_empty(), "{refused:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sales_are_few_updates_of_the_product() {
    in_a_shop(async |shop| {
        const SALES: usize = 1000;
        set(shop, PIZZA, "1000").await;
        let sample: Value =
            serde_json::from_str(include_str!("../../events/inventory.json")).unwrap();
        let body = sample["Records"][0]["body"].as_str().unwrap();
        let transactions = Fault::calls(
            Service::DynamoDb,
            "TransactWriteItems",
            CallMode::Delay(Duration::ZERO),
        );
        let transactions = shop.system.faults().add(transactions.by("inventory"));
        let numbers: Vec<_> = (0..SALES).collect();
        for numbers in numbers.chunks(10) {
            let entries = numbers.iter().map(|n| {
                let body = body.replace("CP-A1B2C3D4", &format!("CP-{n}"));
                json!({"Id": n.to_string(), "MessageBody": body})
            });
            let entries: Vec<_> = entries.collect();
            let queue = format!("{}/000000000000/inventory", shop.system.aws_url());
            let request = json!({"QueueUrl": queue, "Entries": entries});
            shop.aws("AmazonSQS.SendMessageBatch", &request).await;
        }
        shop.settle_retries().await;
        assert_eq!(shop.stock(PIZZA).await, 0.0);
        assert_eq!(shop.alerts().len(), 1);
        // Each sale updates the product once.
        let updates = shop.system.faults().applied(transactions).unwrap();
        println!("{SALES} sales, {updates} updates of the product");
        assert!(updates <= 60, "{updates} updates");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_has_no_stock() {
    in_a_shop(async |shop| {
        shop.send(code_redeemed("key")).await;
        shop.settle().await;
        assert_eq!(
            shop.system.items("stock").await.unwrap(),
            Vec::<Value>::new()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_is_shown_as_a_table_and_as_json() {
    in_a_shop(async |shop| {
        map_reward(shop).await;
        set(shop, PIZZA, "8").await;
        stock(shop, &["set", "Água", "-1.50", "--threshold", "3"]).await;
        shop.send_in_turn(&[good("CP-1")]).await;
        let shown = stock(shop, &["--json"]).await.json();
        let product = |product: &str, on_hand: f64, reserved: f64, threshold: f64| {
            let whole = |number: f64| match number.fract() == 0.0 {
                true => json!(number as i64),
                false => json!(number),
            };
            json!({
                "tenant": COMPANY, "product": product, "on_hand": whole(on_hand),
                "reserved": whole(reserved), "available": whole(on_hand - reserved),
                "threshold": whole(threshold), "counted": true, "alerted": null,
            })
        };
        let expected = [
            product(PIZZA, 8.0, 1.0, 5.0),
            product("Água", -1.5, 0.0, 3.0),
        ];
        assert_eq!(shown, json!(expected));
        // The system has only one company, so the command need not name it.
        let unnamed = command(shop, &["stock", "--json"]).await.json();
        assert_eq!(unnamed, shown);
        let table = command(shop, &["stock"]).await.out;
        assert_snapshot!(table, @"
        comp_bella_vista
          product           on hand  reserved  available  threshold
          Pizza Margherita        8         1          7          5
          Água                 -1.5         0       -1.5          3  below zero
        ");
        let by_name = deployed(shop, &["stock", "--json", "--deployed"]).await;
        assert_eq!(run(by_name).await.json(), shown);
        let printed = command(shop, &["show", "CP-1"]).await.out;
        assert!(
            printed.contains("1 Pizza Margherita reserved until"),
            "{printed}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_set_received_and_mapped() {
    in_a_shop(async |shop| {
        // The system knows no company; on a local system the samples' company is the default.
        let set = command(shop, &["stock", "set", PIZZA, "8", "--json"]).await;
        assert!(set.error.contains(COMPANY), "{}", set.error);
        assert_eq!(set.json()[0]["on_hand"], 8);
        let received = command(shop, &["stock", "receive", PIZZA, "0.5"]).await;
        assert_snapshot!(received.out, @"Pizza Margherita: 8.5 on hand (8 before), threshold 5");
        command(shop, &["stock", "map", REWARD, PIZZA]).await;
        let mapped = command(shop, &["stock", "map", "--json"]).await.json();
        let expected = json!([{"tenant": COMPANY, "reward": REWARD, "product": PIZZA}]);
        assert_eq!(mapped, expected);
        command(shop, &["stock", "unmap", REWARD]).await;
        assert_eq!(
            command(shop, &["stock", "map", "--json"]).await.json(),
            json!([])
        );
        let again = command(shop, &["stock", "unmap", REWARD]).await;
        again.check_failed(&[REWARD]);

        // Options may stand before or after the action.
        command(shop, &["stock", "--tenant", "comp_2", "set", PIZZA, "1"]).await;
        let unnamed = command(shop, &["stock", "receive", PIZZA, "1"]).await;
        unnamed.check_failed(&["--tenant", COMPANY, "comp_2"]);
        let table = command(shop, &["stock"]).await.out;
        assert_snapshot!(table, @"
        comp_2
          product           on hand  reserved  available  threshold
          Pizza Margherita        1         0          1          5  low

        comp_bella_vista
          product           on hand  reserved  available  threshold
          Pizza Margherita      8.5         0        8.5          5
        ");
        let unknown = command(shop, &["stock", "--json", "--tenant", "comp_3"]).await;
        assert_eq!(unknown.json(), json!([]));
        for (arguments, word) in [
            (["receive", PIZZA, "0"], "above 0"),
            (["set", PIZZA, "many"], "a number"),
            (["set", " ", "1"], "empty"),
        ] {
            let refused = stock(shop, &arguments).await;
            assert_eq!(refused.code, Some(2));
            assert!(refused.error.contains(word), "{}", refused.error);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_whole_or_not_at_all_and_an_export_can_be() {
    in_a_shop(async |shop| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stock.csv");
        let path = file.to_str().unwrap();
        let wrong = "product,on_hand,threshold\nPizza Margherita,12,3\nSuco,x,\n";
        std::fs::write(&file, wrong).unwrap();
        let refused = stock(shop, &["import", path]).await;
        refused.check_failed(&["line 3", "column 2", "on_hand", "x"]);
        assert_eq!(shop.system.items("stock").await.unwrap().len(), 0);

        let right = "product;on_hand;threshold;rewards\nPizza Margherita;12;3;\"Pizza \
                     Grátis\nPizza\"\nSuco;0,5;;\n";
        std::fs::write(&file, right).unwrap();
        let imported = stock(shop, &["import", path, "--json"]).await.json();
        assert_eq!(imported.as_array().unwrap().len(), 2);
        assert_eq!(
            (shop.stock(PIZZA).await, shop.stock("Suco").await),
            (12.0, 0.5)
        );

        let exported = stock(shop, &["export"]).await.out;
        let expected = "tenant,product,on_hand,reserved,available,threshold,rewards,counted\n\
                        comp_bella_vista,Pizza Margherita,12,0,12,3,\"Pizza\nPizza Grátis\",yes\n\
                        comp_bella_vista,Suco,0.5,0,0.5,,,yes\n";
        assert_eq!(exported, expected);
        std::fs::write(&file, &exported).unwrap();
        set(shop, PIZZA, "1").await;
        let again = command(shop, &["stock", "import", path]).await;
        assert_eq!(again.code, Some(0), "{}", again.error);
        assert_eq!(stock(shop, &["export"]).await.out, exported);
        let missing = stock(shop, &["import", "nothing.csv"]).await;
        missing.check_failed(&["nothing.csv"]);
    })
    .await;
}
