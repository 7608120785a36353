//! A provider may build a retried webhook's body again. The tasks use the first recorded body. A
//! later body contradicts the first only if a field differs that a task or a person acts on.

use emulators::faults::{CallMode, Fault, Moment};
use emulators::service::Service;
use serde_json::{Value, json};

use crate::shop::{
    AGHANIM, COMPANY, Shop, Webhook, ZUPY, ZUPY_REDEEMED, ZUPY_USED, code_redeemed, in_a_shop,
    in_a_shop_with, redeemed, used,
};
use crate::support::command;

fn function(path: &str) -> &'static str {
    match path {
        AGHANIM => "aghanim-coupon-redeemed",
        ZUPY_REDEEMED => "zupy-coupon-redeemed",
        ZUPY_USED => "zupy-coupon-used",
        ZUPY => "zupy",
        other => panic!("{other}"),
    }
}

/// Sends a webhook to a function that dies after it records the event, before it sends the tasks.
async fn record_and_die(shop: &Shop, webhook: Webhook) {
    let killed = Fault::kill(function(webhook.path), Moment::AfterCall(1)).once();
    let killed = shop.system.faults().add(killed);
    assert_eq!(shop.send(webhook).await.status, 500);
    assert_eq!(shop.system.faults().applied(killed), Some(1));
    let ledger = shop.system.items("events").await.unwrap();
    assert_eq!(ledger.len(), 1, "only the event is there: {ledger:?}");
}

/// The function dies after recording `first`, and its provider retries with `again`. Every task of
/// the first must run.
async fn check(first: Webhook, again: Webhook, word: &str) {
    in_a_shop(async |shop| {
        record_and_die(shop, first).await;
        assert_eq!(shop.send(again).await.word(), word);
        shop.settle_retries().await;
        let rows = shop.system.items("events").await.unwrap();
        let event = rows.iter().find(|row| row["provider"].is_string()).unwrap();
        let entry = event["entry"].as_str().unwrap();
        let records = rows.iter().filter(|row| {
            let of_event = row["entry"].as_str().unwrap().strip_prefix(entry);
            of_event.is_some_and(|it| it.starts_with('/'))
        });
        let records: Vec<_> = records.filter_map(|row| row["status"].as_str()).collect();
        assert!(records.len() >= 2, "{word}: {records:?}");
        assert!(
            records.iter().all(|it| ["done", "skipped"].contains(it)),
            "{records:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_another_description_is_a_duplicate_and_sends_what_is_missing() {
    let again = redeemed("CP-1")
        .set("/coupon/new_balance", 1350)
        .set("/customer/tier", "gold")
        .set("/customer/email", "new@example.com")
        .set("/coupon/terms", "Novos termos")
        .set("/coupon/reward_description", "Outra");
    check(redeemed("CP-1"), again.clone(), "200 duplicate").await;
    check(redeemed("CP-1").to(ZUPY), again.to(ZUPY), "200 duplicate").await;
    let again = used("CP-1", "ord-1")
        .set("/usage/location", "Loja Norte")
        .set("/usage/staff_member", Value::Null);
    check(used("CP-1", "ord-1"), again, "200 duplicate").await;
    let again = code_redeemed("k").set("/event_data/item/name", "Renamed");
    check(code_redeemed("k"), again, "200 duplicate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_sends_the_missing_tasks_of_the_recorded_event() {
    let conflict = "409 conflicting_payload";
    let again = redeemed("CP-1").set("/coupon/points_spent", 10);
    check(redeemed("CP-1"), again.clone(), conflict).await;
    check(redeemed("CP-1").to(ZUPY), again.to(ZUPY), conflict).await;
    let again = used("CP-1", "ord-1").set("/usage/discount_applied", 30.5);
    check(used("CP-1", "ord-1"), again, conflict).await;
    let again = code_redeemed("k").set("/event_data/item/quantity", 1);
    check(code_redeemed("k"), again, conflict).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_use_the_recorded_body() {
    in_a_shop(async |shop| {
        record_and_die(shop, redeemed("CP-1")).await;
        let other = redeemed("CP-1")
            .set("/coupon/points_spent", 10)
            .set("/customer/email", "somebody.else@example.com");
        assert_eq!(shop.send(other).await.word(), "409 conflicting_payload");
        shop.settle_retries().await;
        let mails = shop.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].to, "customer@example.com");
        let ledger = shop.ledger("CP-1").await;
        let conflicts = ledger.keys().filter(|it| it.contains("/conflict/"));
        assert_eq!(conflicts.count(), 1);
    })
    .await;
}

/// DynamoDB is down when the provider retries, so the other body waits on the retry queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_that_waited_sends_the_missing_tasks_too() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to the retry queue");
        shop.expect_error("contradicts one that was recorded");
        record_and_die(shop, redeemed("CP-1")).await;
        let outage = Fault::service(Service::DynamoDb, CallMode::Fail);
        shop.system.faults().add(outage);
        let changed = redeemed("CP-1").set("/coupon/points_spent", 10);
        assert_eq!(shop.send(changed).await.word(), "200 accepted");
        shop.system.faults().clear();
        shop.settle_retries().await;
        assert_eq!(shop.record("CP-1", "redeemed/delivery/email").await, "done");
        assert_eq!(shop.record("CP-1", "redeemed/inventory").await, "done");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_contradiction_is_taken_is_healed_by_the_next_attempt() {
    for at in [2, 3, 4] {
        in_a_shop(async |shop| {
            record_and_die(shop, redeemed("CP-1")).await;
            let changed = redeemed("CP-1").set("/coupon/points_spent", 10);
            let killed = Fault::kill(function(ZUPY_REDEEMED), Moment::AfterCall(at)).once();
            let killed = shop.system.faults().add(killed);
            assert_eq!(shop.send(changed.clone()).await.status, 500);
            assert_eq!(shop.system.faults().applied(killed), Some(1));
            assert_eq!(shop.send(changed).await.word(), "409 conflicting_payload");
            shop.settle_retries().await;
            assert_eq!(
                shop.record("CP-1", "redeemed/inventory").await,
                "done",
                "{at}"
            );
            assert_eq!(shop.mails().len(), 1, "{at}");
            let ledger = shop.ledger("CP-1").await;
            assert!(ledger.keys().any(|it| it.contains("/conflict/")), "{at}");
        })
        .await;
    }
}

/// Overwrites fields of the recorded redemption, as other code would have written them.
async fn rewrite(shop: &Shop, code: &str, fields: &[(&str, &str)]) {
    let sets: Vec<_> = fields
        .iter()
        .map(|(name, _)| format!("#{name} = :{name}"))
        .collect();
    let named = |prefix: &str, value: fn(&str, &str) -> Value| -> Value {
        let fields = fields.iter();
        fields
            .map(|(name, text)| (format!("{prefix}{name}"), value(name, text)))
            .collect()
    };
    let update = json!({
        "TableName": "events",
        "Key": {"coupon": {"S": format!("zupy#{COMPANY}#{code}")}, "entry": {"S": "redeemed"}},
        "UpdateExpression": format!("SET {}", sets.join(", ")),
        "ExpressionAttributeNames": named("#", |name, _| name.into()),
        "ExpressionAttributeValues": named(":", |_, text| json!({"S": text})),
    });
    shop.aws("DynamoDB_20120810.UpdateItem", &update).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_the_hash_of_older_code_is_read_once_more() {
    in_a_shop(async |shop| {
        record_and_die(shop, redeemed("CP-1")).await;
        rewrite(shop, "CP-1", &[("hash", "of-older-code")]).await;
        let again = redeemed("CP-1").set("/customer/tier", "gold");
        assert_eq!(shop.send(again).await.word(), "200 duplicate");
        shop.settle_retries().await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_recorded_body_is_logged_and_counted() {
    in_a_shop_with(&[], async |shop| {
        shop.expect_error("Cannot read the recorded body");
        record_and_die(shop, redeemed("CP-1")).await;
        let of_newer_code = [("hash", "of-newer-code"), ("provider", "newer")];
        rewrite(shop, "CP-1", &of_newer_code).await;
        assert_eq!(
            shop.send(redeemed("CP-1")).await.word(),
            "409 conflicting_payload"
        );
        let logs = shop.system.logs("zupy-coupon-redeemed");
        let counted = logs
            .iter()
            .filter(|it| it.line.contains("\"UnreadableRecord\":1"));
        assert_eq!(counted.count(), 1);
        // Newer code reads the body again.
        rewrite(shop, "CP-1", &[("provider", "zupy")]).await;
        let replayed = command(shop, &["replay", "CP-1"]).await;
        assert_eq!(replayed.code, Some(0), "{}", replayed.error);
        shop.settle_retries().await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}
