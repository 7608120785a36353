//! The figures of coupons, as the commands show them.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::shop::{
    MEMBER, OWN_SECRET, Shop, code_redeemed, in_a_shop, in_a_shop_with, redeemed, reported, used,
    v2,
};
use crate::support::command;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_a_profile_until_they_are_forgotten() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.send(used("CP-1", "ord-1")).await;
        shop.send(used("CP-1", "ord-1")).await;
        shop.send(redeemed("CP-2")).await;
        shop.settle().await;
        let member = ["member", MEMBER, "--json"];
        let profile = command(shop, &member).await.json()["profile"].clone();
        assert_eq!(profile["redemptions"], 2);
        assert_eq!(profile["points"], 2000);
        assert_eq!(profile["uses"], 1);
        assert_eq!(profile["money_saved"], json!({"BRL": "35"}));
        assert_eq!(profile["preferred_category"], "product_free");
        let verified = command(shop, &["analytics", "verify", "--days", "3000", "--json"]).await;
        assert_eq!(verified.json(), json!({"events": 3, "drift": []}));

        let forgotten = command(shop, &["member", MEMBER, "--forget", "--json"]).await;
        assert_eq!(forgotten.json()["lines"], 2);
        let profile = command(shop, &member).await.json()["profile"].clone();
        assert_eq!(profile, json!(null));
        // The counters stay, and a later use finds its redemption.
        shop.send(used("CP-2", "ord-2")).await;
        shop.settle().await;
        let ledger = shop.ledger("CP-2").await;
        assert!(ledger["used#ord-2/analytics"]["time_to_usage_s"].is_number());
        let verified = command(shop, &["analytics", "verify", "--days", "3000", "--json"]).await;
        assert_eq!(verified.json()["drift"], json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tracked_fields_are_on_the_events_records() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(used("CP-1", "ord-1")).await;
        shop.settle().await;
        let ledger = shop.ledger("CP-1").await;
        let record = &ledger["used#ord-1/analytics"];
        assert_eq!(record["location"], "Loja Centro");
        assert_eq!(record["staff_member"], "Ana Costa");
        assert_eq!(record["order_value"], "67.5");
        assert_eq!(record["items_count"], 1);
        assert!(record["time_to_usage_s"].is_null());
        // The placeholder of a redemption is no record of it.
        assert_eq!(ledger["redeemed/analytics"]["placeholder"], true);
        shop.send(redeemed("CP-1")).await;
        shop.send(reported("coupon.cancelled", "CP-1")).await;
        shop.send(code_redeemed("key")).await;
        shop.settle().await;
        let ledger = shop.ledger("CP-1").await;
        let redemption = &ledger["redeemed/analytics"];
        assert_eq!(redemption["status"], "done");
        assert!(redemption["expires_days"].as_i64().unwrap() > 0);
        assert_eq!(redemption["day"], "2025-08-26");
        assert_eq!(redemption["hour"], "11");
        let record = &ledger["used#ord-1/analytics"];
        assert_eq!(record["time_to_usage_s"], 4 * 3600 + 25 * 60);
        assert_eq!(record["time_to_usage_hours"], 4);
        let figures = shop.system.items("figures").await.unwrap();
        let tenants = figures.iter().filter(|row| row["part"] == "tenants");
        assert_eq!(tenants.count(), 2, "the company and the game");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_fills_the_reports() {
    in_a_shop(async |shop| {
        let (_, port) = shop.system.gateway_url().rsplit_once(':').unwrap();
        let demo = [
            // A week is busy on any day.
            "demo", "--days", "7", "--seed", "3", "--json", "--port", port,
        ];
        let demo = command(shop, &demo).await;
        let demo = demo.json();
        let number = |name: &str| demo[name].as_u64().unwrap();
        assert!(number("sent") > 50, "{demo}");
        assert!(number("duplicate") > 0, "{demo}");
        assert_eq!(number("accepted") + number("duplicate"), number("sent"));
        assert_eq!((number("other"), number("waiting")), (0, 0));
        let report = command(shop, &["report", "--timeframe", "7d", "--json"]).await;
        let report = report.json();
        assert!(report["totals"]["redemptions"]["value"].as_u64().unwrap() > 0);
        assert!(report["totals"]["uses"]["value"].as_u64().unwrap() > 0);
        let verified = command(shop, &["analytics", "verify", "--json"])
            .await
            .json();
        assert_eq!(verified["drift"], json!([]));
        assert!(verified["events"].as_u64().unwrap() <= number("accepted"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_needed_any_more_counts_as_skipped() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let now = shop.system.now().to_string();
        let nowhere = redeemed("CP-1")
            .set("/timestamp", now.as_str())
            .set("/coupon/expires_at", "2126-01-01T00:00:00Z")
            .set("/customer/email", "n/a")
            .set("/customer/whatsapp", "n/a");
        shop.send(nowhere).await;
        shop.settle().await;
        let mail = "redeemed/delivery/email";
        assert_eq!(shop.record("CP-1", mail).await, "waiting: no contact");
        // The contact comes while SES throttles mails, and the coupon ends before they go out.
        shop.system
            .faults()
            .add(Fault::service(Service::Ses, CallMode::Throttle));
        let enrolled = v2("customer.enrolled")
            .set("/data/customer_id", MEMBER)
            .set("/timestamp", now.as_str())
            .set("/data/email", "maria@example.com")
            .set("/data/phone", Value::Null);
        shop.send(enrolled).await;
        shop.settle().await;
        let record = shop.record("CP-1", mail).await;
        assert!(record.starts_with("released: "), "{record}");
        shop.send(reported("coupon.cancelled", "CP-1").set("/timestamp", now))
            .await;
        shop.settle().await;
        shop.system.faults().clear();
        shop.settle_retries().await;
        let record = shop.record("CP-1", mail).await;
        assert_eq!(record, "skipped: the coupon is cancelled");
        assert_eq!(shop.mails(), []);
        let deliveries = shop
            .report("/reports/coupons/deliveries.csv?timeframe=2d")
            .await;
        let mut rows = deliveries.text.lines();
        assert!(
            rows.any(|row| row == "email,skipped,1"),
            "{}",
            deliveries.text
        );
        let verified = command(shop, &["analytics", "verify", "--json"]).await;
        assert_eq!(verified.json()["drift"], json!([]), "{}", verified.out);
    })
    .await;
}

/// What the function `audit` answers now.
async fn audit(shop: &Shop) -> Value {
    let runs = shop.system.run_schedules().await;
    let run = runs.into_iter().find(|it| it.function == "audit").unwrap();
    serde_json::from_slice(&run.outcome.unwrap()).unwrap()
}

/// The metric of each audit, in turn.
fn drifts(shop: &Shop) -> Vec<u64> {
    let lines = shop.system.logs("audit").into_iter();
    let lines = lines.filter_map(|it| serde_json::from_str::<Value>(&it.line).ok());
    let drifts = lines.filter_map(|line| line["FiguresDrift"].as_u64());
    drifts.collect()
}

/// The result that the last audit left.
async fn audited(shop: &Shop) -> Value {
    let rows = shop.system.items("figures").await.unwrap().into_iter();
    let mut results = rows.filter(|row| row["part"] == "audit" && row["entry"] == "result");
    results.next().expect("an audit has finished")
}

/// Adds one to a counter of redemptions.
async fn corrupt(shop: &Shop) {
    let rows = shop.system.items("figures").await.unwrap();
    let is_counter = |(name, value): (&String, &Value)| {
        value.is_number() && !["ttl", "second"].contains(&name.as_str())
    };
    let (row, name) = rows
        .iter()
        .filter(|row| row["part"].as_str().unwrap().starts_with("zupy#"))
        .find_map(|row| {
            let fields = row.as_object().unwrap().iter();
            let (name, _) = { fields }.find(|(name, value)| is_counter((name, value)))?;
            Some((row, name.clone()))
        })
        .expect("there is a counter");
    let update = json!({
        "TableName": "figures",
        "Key": {"part": {"S": row["part"]}, "entry": {"S": row["entry"]}},
        "UpdateExpression": "ADD #name :one",
        "ExpressionAttributeNames": {"#name": name},
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    });
    shop.aws("DynamoDB_20120810.UpdateItem", &update).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_audit_finds_a_counter_that_was_corrupted() {
    in_a_shop(async |shop| {
        shop.expect_error("differ from the events");
        let now = Timestamp::now().to_string();
        for webhook in [redeemed("CP-1"), used("CP-1", "ord-1")] {
            shop.send(webhook.set("/timestamp", now.as_str())).await;
        }
        shop.settle().await;
        let finished = json!({"audit": "finished", "events": 2, "differ": 0});
        assert_eq!(audit(shop).await, finished);
        assert_eq!(audit(shop).await, json!({"audit": "not_due"}));
        assert_eq!(drifts(shop), [0]);

        corrupt(shop).await;
        shop.system.advance(DAY).await.unwrap();
        shop.settle().await;
        // The clock may have run the schedule already.
        audit(shop).await;
        assert_eq!(drifts(shop).last(), Some(&1));
        let result = audited(shop).await;
        assert_eq!(result["differ"], 1, "{result}");
        let drift: Value = serde_json::from_str(result["drift"].as_str().unwrap()).unwrap();
        let [differs] = drift.as_array().unwrap().as_slice() else {
            panic!("{drift}");
        };
        assert_eq!(differs["tenant"], "zupy#comp_bella_vista", "{differs}");

        let rebuilt = command(shop, &["analytics", "rebuild", "--json"]).await;
        assert_eq!(rebuilt.code, Some(0), "{}{}", rebuilt.out, rebuilt.error);
        let again = command(shop, &["analytics", "rebuild", "--json"]).await;
        assert_eq!(again.json()["drift"], json!([]), "{}", again.out);
        shop.system.advance(DAY).await.unwrap();
        shop.settle().await;
        audit(shop).await;
        assert_eq!(drifts(shop).last(), Some(&0));
        assert_eq!(audited(shop).await["differ"], 0);
    })
    .await;
}
