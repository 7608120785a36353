//! A use without an order that its provider sends again with another body.

use serde_json::json;

use crate::shop::{COMPANY, MEMBER, OWN_SECRET, in_a_shop_with, redeemed, reported, used};
use crate::support::command;

#[tokio::test(flavor = "multi_thread")]
async fn a_use_without_an_order_in_another_body_takes_once_and_is_no_fraud() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(redeemed("CP-1")).await;
        let at = |minute: u32| {
            used("CP-1", "").unset("/usage/order_id").set(
                "/timestamp",
                format!("2025-08-26T18:{minute:02}:00Z").as_str(),
            )
        };
        let again = at(40)
            .set("/customer/tier", "gold")
            .set("/usage/staff_member", "Rui");
        for (webhook, expected) in [
            (at(0), "200 accepted"),
            (again, "200 duplicate"),
            (at(59), "200 duplicate"),
        ] {
            let answer = shop.send(webhook).await;
            assert_eq!(answer.word(), expected, "{answer:?}");
            let event = format!("zupy#{COMPANY}#CP-1/used@{MEMBER}#1");
            assert_eq!(answer.body["event"], event.as_str());
        }
        shop.settle().await;
        assert_eq!(shop.stock("Pizza Margherita").await, -1.0);
        assert_eq!(shop.fraud_alerts(), []);
        let shown = command(shop, &["show", "CP-1"]).await.out;
        assert!(shown.contains(&format!("used@{MEMBER}#1")), "{shown}");

        // A use two hours later is another one, with a name of its own everywhere.
        let second = at(0).set("/timestamp", "2025-08-26T20:00:00Z");
        let answer = shop.send(second).await;
        let event = format!("zupy#{COMPANY}#CP-1/used@{MEMBER}#2");
        assert_eq!(answer.body["event"], event.as_str());
        shop.settle().await;
        assert_eq!(shop.stock("Pizza Margherita").await, -2.0);
        let found = shop.ledger("CP-1").await;
        let record = &found[&format!("used@{MEMBER}#2/fraud")];
        assert!(
            record["findings"]
                .as_str()
                .unwrap()
                .contains("duplicate_usage")
        );
        for name in ["inventory", "delivery/account"] {
            assert!(
                found.contains_key(&format!("used@{MEMBER}#2/{name}")),
                "{name}"
            );
        }

        // Code that reads the body again uses the row's name, not the name that the body alone
        // would give.
        let record = format!("used@{MEMBER}#2/fraud");
        let delete = json!({
            "TableName": "events",
            "Key": {"coupon": {"S": format!("zupy#{COMPANY}#CP-1")}, "entry": {"S": record}},
        });
        shop.aws("DynamoDB_20120810.DeleteItem", &delete).await;
        let replayed = command(shop, &["replay", &event]).await;
        assert_eq!(replayed.code, Some(0), "{}", replayed.error);
        shop.settle().await;
        assert!(shop.ledger("CP-1").await.contains_key(&record));
        assert_eq!(shop.stock("Pizza Margherita").await, -2.0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_webhook_of_v2_within_the_hour_is_the_same_use() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let used = |id: &str, at: &str| {
            reported("coupon.used", "CP-1")
                .set("/webhook_id", id)
                .set("/timestamp", at)
                .unset("/data/used_at")
        };
        for (webhook, expected) in [
            (used("a", "2026-03-20T09:00:00Z"), "200 accepted"),
            (used("b", "2026-03-20T09:30:00Z"), "200 duplicate"),
            (used("a", "2026-03-20T15:00:00Z"), "200 duplicate"),
            (used("c", "2026-03-20T15:00:00Z"), "200 accepted"),
        ] {
            assert_eq!(shop.send(webhook).await.word(), expected);
        }
    })
    .await;
}
