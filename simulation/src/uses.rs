//! Uses without an order: which webhooks report the same use, in any order, at the same time, or
//! again after weeks (ADR 11).

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use webhooks::provider::zupy;
use webhooks::verify::{Scheme, Secret};

use crate::scene::{Scene, play_scene};
use crate::settle;
use crate::world::{COMPANIES, Format};

const COMPANY: &str = COMPANIES[0].0;
const SECRET: &str = COMPANIES[0].1;
const COUPON: &str = "zupy#comp_sul#CP-1";

/// A use in format v1, as in the provider's documentation.
fn v1(at: Timestamp) -> Value {
    json!({
        "event": "coupon.used", "timestamp": at, "company_id": COMPANY,
        "customer": {"member_id": "ZP-1"},
        "usage": {
            "coupon_code": "CP-1", "discount_type": "product_free", "discount_applied": 35,
            "order_value": 67.5,
            "items_affected": [{"name": "Pizza", "quantity": 1, "unit_price": 35, "discount_applied": 35}],
        },
    })
}

fn v2(id: &str, at: Timestamp) -> Value {
    json!({
        "event": "coupon.used", "webhook_id": id, "timestamp": at,
        "data": {"customer_id": "ZP-1", "coupon_code": "CP-1"},
    })
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

impl Scene {
    /// The time this many minutes from now.
    fn at(&self, minute: i64) -> Timestamp {
        self.world.now() + SignedDuration::from_mins(minute)
    }

    /// Sends a use. Returns the answer and the number of the use that the answer names, as in
    /// `accepted 1`.
    async fn report_use(&self, body: &Value) -> String {
        let scheme: &Scheme = match body.get("data") {
            Some(_) => &zupy::V2,
            None => &zupy::V1,
        };
        let body = body.to_string().into_bytes();
        let headers = scheme.sign(&body, &Secret::new(SECRET).unwrap(), self.world.now());
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value));
        let headers: Vec<_> = headers.collect();
        let path = "/webhooks/zupy/coupon-used";
        let answer = self.world.post(path, &headers, &body, Format::V2).await;
        let (_, answer) = answer.expect("an answer");
        let word = answer["status"]
            .as_str()
            .or(answer["error"]["code"].as_str());
        let key = answer["event"].as_str().unwrap_or("#-");
        let (_, number) = key.rsplit_once('#').unwrap();
        format!("{} {number}", word.unwrap_or("?"))
    }

    async fn check(&self, bodies: &[Value], expected: &[&str]) {
        let mut words = Vec::new();
        for body in bodies {
            words.push(self.report_use(body).await);
        }
        assert_eq!(words, expected);
    }

    /// Checks the numbers of the recorded uses, and how many pizzas they took.
    async fn check_recorded(&self, expected: &[&str], taken: i64) {
        assert!(settle(&self.world).await);
        let rows = self.world.items("events").await.unwrap();
        let entries = rows.iter().filter(|row| !row["scheme"].is_null());
        let entries = entries.map(|row| row["entry"].as_str().unwrap());
        let entries = entries.filter(|entry| entry.starts_with("used") && !entry.contains('/'));
        let mut numbers: Vec<_> = entries.map(|it| it.rsplit('#').next().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, expected);
        let stock = self.world.items("stock").await.unwrap();
        let left = stock.iter().find(|it| it["entry"] == "product#pizza");
        let left = left
            .and_then(|it| it["on_hand"].as_f64())
            .unwrap_or_default();
        assert_eq!(-left, taken as f64);
    }
}

#[test]
fn a_repeat_within_an_hour_is_the_same_use() {
    play_scene(async |scene| {
        let [first, minute, hour] = [0, -1, -60].map(|it| v1(scene.at(it)));
        let rendered = with(minute, "/customer/tier", json!("gold"));
        let rendered = with(rendered, "/customer/email", json!("new@example.com"));
        let rendered = with(rendered, "/usage/staff_member", json!("Ana"));
        let again = first.clone();
        scene
            .check(
                &[first, rendered, hour, again],
                &["accepted 1", "duplicate 1", "duplicate 1", "duplicate 1"],
            )
            .await;
        scene.check_recorded(&["1"], 1).await;
    });
}

#[test]
fn the_same_contents_after_more_than_an_hour_are_another_use() {
    play_scene(async |scene| {
        let bodies = [-200, -139, -140, -260, -201].map(|it| v1(scene.at(it)));
        scene
            .check(
                &bodies,
                &[
                    "accepted 1",
                    "accepted 2",
                    "duplicate 2",
                    "duplicate 1",
                    "duplicate 1",
                ],
            )
            .await;
        scene.check_recorded(&["1", "2"], 2).await;
    });
}

/// The hour begins at the recorded use. A repeat within the hour does not extend it.
#[test]
fn an_hour_begins_at_the_first_recorded_use() {
    for (minutes, expected) in [
        ([-100, -50, 0], ["accepted 1", "duplicate 1", "accepted 2"]),
        ([0, -50, -100], ["accepted 1", "duplicate 1", "accepted 2"]),
        ([-50, -100, 0], ["accepted 1", "duplicate 1", "duplicate 1"]),
    ] {
        play_scene(async |scene| {
            let bodies = minutes.map(|it| v1(scene.at(it)));
            scene.check(&bodies, &expected).await;
        });
    }
}

#[test]
fn other_contents_another_place_and_another_member_make_another_use() {
    play_scene(async |scene| {
        let at = |place: &str, minute| with(v1(scene.at(minute)), "/usage/location", json!(place));
        let bodies = [
            at("Loja Centro", 0),
            at("Loja Norte", -5),
            // The body does not say which use it repeats, so the nearest one counts.
            v1(scene.at(-1)),
            at("Loja Norte", -6),
            with(v1(scene.at(-2)), "/usage/discount_applied", json!(30)),
            with(v1(scene.at(0)), "/customer/member_id", json!("ZP-2")),
        ];
        let expected = [
            "accepted 1",
            "accepted 2",
            "duplicate 1",
            "duplicate 2",
            "accepted 3",
            "accepted 1",
        ];
        scene.check(&bodies, &expected).await;
    });
}

/// As elsewhere, one event with two contents is a contradiction.
#[test]
fn the_same_time_or_webhook_with_other_contents_is_a_contradiction() {
    play_scene(async |scene| {
        let body = v1(scene.at(0));
        let other = with(body.clone(), "/usage/discount_applied", json!(30));
        scene
            .check(&[body, other], &["accepted 1", "conflicting_payload -"])
            .await;
        assert!(settle(&scene.world).await);
        let rows = scene.world.items("events").await.unwrap();
        let mut entries = rows.iter().filter_map(|row| row["entry"].as_str());
        assert!(entries.any(|it| it.starts_with("used@ZP-1#1/conflict/")));
    });
}

#[test]
fn a_webhook_is_one_use_and_so_is_another_webhook_within_the_hour() {
    play_scene(async |scene| {
        let bodies = [
            v2("a", scene.at(-300)),
            v2("b", scene.at(-290)),
            v2("a", scene.at(-100)),
            v2("c", scene.at(-100)),
            v2("c", scene.at(0)),
        ];
        let expected = [
            "accepted 1",
            "duplicate 1",
            "duplicate 1",
            "accepted 2",
            "duplicate 2",
        ];
        scene.check(&bodies, &expected).await;
        scene.check_recorded(&["1", "2"], 0).await;
    });
}

#[test]
fn many_at_once_are_one_use_for_each_hour() {
    play_scene(async |scene| {
        let minutes = [0, -1, -30, -59, -121, -150, -180, -242];
        let bodies = minutes.map(|it| v1(scene.at(it)));
        let words = join_all(bodies.iter().map(|body| scene.report_use(body))).await;
        let accepted = words.iter().filter(|it| it.starts_with("accepted"));
        assert_eq!(accepted.count(), 3, "{words:?}");
        scene.check_recorded(&["1", "2", "3"], 3).await;
    });
}

/// DynamoDB writes the row, but no answer arrives. The provider repeats the use, and the missing
/// steps follow.
#[test]
fn a_use_that_was_recorded_without_an_answer_is_found_by_its_repeat() {
    play_scene(async |scene| {
        let lost = Fault::calls(Service::DynamoDb, "PutItem", CallMode::LoseResponse);
        let fault = scene.world.faults.add(lost);
        let word = scene.report_use(&v1(scene.at(-10))).await;
        scene.world.faults.remove(fault);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let again = scene.report_use(&v1(scene.at(-5))).await;
        assert!(again.starts_with("duplicate 1"), "{word}, {again}");
        scene.check_recorded(&["1"], 1).await;
    });
}

/// DynamoDB is down for the first webhook, which waits on the retry queue meanwhile.
#[test]
fn a_waiting_use_finds_the_use_that_was_recorded_meanwhile() {
    play_scene(async |scene| {
        let down = Fault::calls(Service::DynamoDb, "PutItem", CallMode::Fail);
        let fault = scene.world.faults.add(down);
        assert!(
            scene
                .report_use(&v1(scene.at(-10)))
                .await
                .starts_with("accepted")
        );
        scene.world.faults.remove(fault);
        scene.report_use(&v1(scene.at(-5))).await;
        scene.check_recorded(&["1"], 1).await;
    });
}

/// Older code named such a use by its time, or by its webhook's id.
#[test]
fn a_use_from_older_code_is_recognised_by_its_time_or_its_webhook() {
    play_scene(async |scene| {
        let first = v1(scene.at(-10));
        for (body, by) in [
            (first.clone(), scene.at(-10).to_string()),
            (v2("a", scene.at(-200)), "a".to_owned()),
        ] {
            scene.report_use(&body).await;
            assert!(settle(&scene.world).await);
            scene.rename("used@ZP-1#1", &format!("used@{by}")).await;
        }
        let word = scene.report_use(&first).await;
        assert!(word.starts_with("duplicate"), "{word}");
        let word = scene.report_use(&v2("a", scene.at(0))).await;
        assert!(word.starts_with("duplicate"), "{word}");
        let other = with(first, "/usage/discount_applied", json!(30));
        assert_eq!(scene.report_use(&other).await, "conflicting_payload -");
    });
}

impl Scene {
    /// Renames a use of the coupon and its records, to the name that other code would give it.
    async fn rename(&self, from: &str, to: &str) {
        let scan = json!({"TableName": "events"});
        let rows = self.world.ask("Scan", scan).await.unwrap();
        for mut row in rows["Items"].as_array().cloned().unwrap_or_default() {
            let entry = row["entry"]["S"].as_str().unwrap_or_default().to_owned();
            let (true, Some(rest)) = (row["coupon"]["S"] == COUPON, entry.strip_prefix(from))
            else {
                continue;
            };
            let key = json!({"coupon": row["coupon"], "entry": row["entry"]});
            let delete = json!({"TableName": "events", "Key": key});
            self.world.ask("DeleteItem", delete).await.unwrap();
            row["entry"] = json!({"S": format!("{to}{rest}")});
            row.as_object_mut().unwrap().remove("told_by");
            self.world.put("events", row).await.unwrap();
        }
    }
}

/// The last of 33 uses with the same contents has its time as its name. Then only the same time is
/// the same use.
#[test]
fn a_use_beyond_the_bound_is_named_by_its_time() {
    play_scene(async |scene| {
        let bodies: Vec<_> = (0..33).map(|number| v1(scene.at(-61 * number))).collect();
        for body in &bodies {
            let word = scene.report_use(body).await;
            assert!(word.starts_with("accepted"), "{word}");
        }
        let mut words = Vec::new();
        for number in [0, 31, 32] {
            words.push(scene.report_use(&bodies[number]).await);
        }
        assert_eq!(words[..2], ["duplicate 1", "duplicate 32"]);
        assert!(words[2].starts_with("duplicate CP-1/used@"), "{words:?}");
    });
}

/// The row of a use is gone, but the records of its effects are there. No other use may get its
/// number.
#[test]
fn a_number_with_rows_beneath_it_goes_to_no_other_use() {
    play_scene(async |scene| {
        scene.check(&[v1(scene.at(-200))], &["accepted 1"]).await;
        assert!(settle(&scene.world).await);
        let key = json!({"coupon": {"S": COUPON}, "entry": {"S": "used@ZP-1#1"}});
        let delete = json!({"TableName": "events", "Key": key});
        scene.world.ask("DeleteItem", delete).await.unwrap();
        scene.check(&[v1(scene.at(0))], &["accepted 2"]).await;
        scene.check_recorded(&["2"], 2).await;
    });
}
