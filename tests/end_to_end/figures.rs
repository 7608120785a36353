//! The figures of coupons, as the commands show them.

use serde_json::json;

use crate::shop::{
    MEMBER, OWN_SECRET, code_redeemed, in_a_shop, in_a_shop_with, redeemed, told, used,
};
use crate::support::command;

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
        shop.send(told("coupon.cancelled", "CP-1")).await;
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
            "demo", "--days", "2", "--seed", "3", "--json", "--port", port,
        ];
        let demo = command(shop, &demo).await;
        let demo = demo.json();
        let number = |name: &str| demo[name].as_u64().unwrap();
        assert!(number("sent") > 50, "{demo}");
        assert!(number("duplicate") > 0, "{demo}");
        assert_eq!(number("accepted") + number("duplicate"), number("sent"));
        assert_eq!((number("other"), number("waiting")), (0, 0));
        let report = command(shop, &["report", "--timeframe", "3d", "--json"]).await;
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
