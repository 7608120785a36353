//! A provider may never repeat a webhook that got a 400. So the ledger keeps a signed body without
//! a readable event, and an operator replays it after a fix. A body of 1 MiB is an event like any
//! other.

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use serde_json::{Value, json};

use crate::shop::{MEMBER, Shop, Webhook, in_a_shop, redeemed};
use crate::support::command;

fn broken(code: &str) -> Webhook {
    redeemed(code).set("/coupon/points_spent", -5)
}

async fn refused(shop: &Shop) -> Vec<Value> {
    let listed = command(shop, &["refused", "--json"]).await.json();
    listed.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_body_that_is_refused_is_kept_once_with_its_problems() {
    in_a_shop(async |shop| {
        for _ in 0..2 {
            assert_eq!(
                shop.send(broken("CP-1")).await.word(),
                "400 invalid_payload"
            );
        }
        let unsigned = broken("CP-2").secret("somebody-elses");
        assert_eq!(shop.send(unsigned).await.status, 401);
        let kept = refused(shop).await;
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(kept[0]["problems"][0]["field"], "coupon.points_spent");
        // The cause still exists.
        let key = kept[0]["key"].as_str().unwrap();
        let replayed = command(shop, &["replay", key]).await;
        assert_eq!(replayed.code, Some(1));
        assert!(
            replayed.out.contains("must be greater than 0"),
            "{}",
            replayed.out
        );
        assert_eq!(shop.ledger("CP-1").await.len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_kept_though_dynamodb_is_down() {
    in_a_shop(async |shop| {
        let down = Fault::service(Service::DynamoDb, CallMode::Fail);
        shop.system.faults().add(down);
        shop.expect_error("retry queue");
        assert_eq!(
            shop.send(broken("CP-1")).await.word(),
            "400 invalid_payload"
        );
        shop.system.faults().clear();
        shop.settle_retries().await;
        assert_eq!(refused(shop).await.len(), 1);
    })
    .await;
}

/// Stores a good body as one that an older version of the code refused.
async fn refuse(shop: &Shop, code: &str) {
    assert_eq!(shop.send(broken(code)).await.status, 400);
    let kept = refused(shop).await;
    let (coupon, entry) = kept[0]["key"].as_str().unwrap().split_once('/').unwrap();
    let good = String::from_utf8(redeemed(code).body).unwrap();
    let update = json!({
        "TableName": "events",
        "Key": {"coupon": {"S": coupon}, "entry": {"S": entry}},
        "UpdateExpression": "SET body = :good",
        "ExpressionAttributeValues": {":good": {"S": good}},
    });
    shop.aws("DynamoDB_20120810.UpdateItem", &update).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_takes_a_refused_body_once_its_cause_is_fixed() {
    in_a_shop(async |shop| {
        refuse(shop, "CP-1").await;
        let replayed = command(shop, &["replay", "--refused"]).await;
        assert_eq!(replayed.code, Some(0), "{}", replayed.error);
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
        let kept = refused(shop).await;
        let taken_as = kept[0]["taken_as"].as_str().unwrap();
        assert!(taken_as.ends_with("#CP-1/redeemed"), "{taken_as}");
        // The command takes no body twice, and the provider's own attempt is a duplicate.
        command(shop, &["replay", "--refused"]).await;
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 duplicate");
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
        assert_eq!(shop.account(MEMBER).await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_forgotten_in_refused_bodies_too() {
    in_a_shop(async |shop| {
        assert_eq!(shop.send(broken("CP-1")).await.status, 400);
        let kept = refused(shop).await;
        let key = kept[0]["key"].as_str().unwrap();
        let shown = command(shop, &["refused", key, "--body"]).await.out;
        assert!(shown.contains("Maria Silva"), "{shown}");
        let forgotten = command(shop, &["member", MEMBER, "--forget"]).await;
        assert_eq!(forgotten.code, Some(0), "{}", forgotten.error);
        let shown = command(shop, &["refused", key, "--body"]).await.out;
        assert!(!shown.contains("Maria Silva"), "{shown}");
    })
    .await;
}

/// Text with this many different characters, none of which JSON escapes. Deflate cannot make it
/// much smaller.
fn random_text(length: usize, characters: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut letters: Vec<char> = ('!'..='~').collect();
    letters.retain(|it| !['"', '\\'].contains(it));
    assert!(characters <= letters.len());
    letters.truncate(characters);
    (0..length)
        .map(|_| letters[random.usize(..letters.len())])
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_1_mib_that_nothing_makes_smaller_is_an_event_like_any_other() {
    in_a_shop(async |shop| {
        let largest = redeemed("CP-1").set("/coupon/terms", random_text(1_040_000, 62));
        assert!(largest.body.len() > 1_040_000);
        assert_eq!(shop.send(largest.clone()).await.word(), "200 accepted");
        shop.settle().await;
        for record in [
            "redeemed/delivery/account",
            "redeemed/inventory",
            "redeemed/fraud",
            "redeemed/analytics",
        ] {
            assert_eq!(shop.record("CP-1", record).await, "done", "{record}");
        }
        assert_eq!(shop.mails().len(), 1);
        assert_eq!(shop.send(largest.clone()).await.word(), "200 duplicate");
        let shown = command(shop, &["show", "CP-1", "--body", "--json"]).await;
        assert!(shown.out.len() > 1_040_000, "{} bytes", shown.out.len());
        let other = largest.set("/coupon/points_spent", 7);
        assert_eq!(shop.send(other).await.word(), "409 conflicting_payload");
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_waits_for_dynamodb_and_one_that_no_message_holds_gets_a_503() {
    in_a_shop(async |shop| {
        let down = Fault::service(Service::DynamoDb, CallMode::Fail);
        shop.system.faults().add(down);
        shop.expect_error("retry queue");
        shop.expect_error("Not taken");
        let large = redeemed("CP-1").set("/coupon/terms", random_text(1_000_000, 62));
        assert_eq!(shop.send(large).await.word(), "200 accepted");
        // Compressed and in base64, the body is larger than a message may be.
        let dense = redeemed("CP-2").set("/coupon/terms", random_text(1_040_000, 92));
        assert_eq!(shop.send(dense).await.word(), "503 unavailable");
        shop.system.faults().clear();
        shop.settle_retries().await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}
