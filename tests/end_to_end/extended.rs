//! A coupon with a moving expiry: its member's account follows the latest notice, in any order.

use serde_json::Value;

use crate::shop::{
    COMPANY, MEMBER, OWN_SECRET, Shop, Webhook, in_a_shop_with, redeemed, reported, used,
};
use crate::support::command;

const LATER: &str = "2127-01-01T00:00:00Z";
const LATEST: &str = "2128-01-01T00:00:00Z";

/// A notice of a date, sent this many seconds ago.
fn notice(code: &str, until: &str, seconds_ago: i64) -> Webhook {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds_ago);
    reported("coupon.expiring", code)
        .set("/data/valid_until", until)
        .set("/timestamp", at.to_string().as_str())
}

async fn coupon(shop: &Shop, code: &str) -> Value {
    let rows = shop.account(MEMBER).await;
    let entry = format!("coupon#{code}");
    let mut rows = rows.into_iter();
    rows.find(|row| row["entry"] == entry.as_str())
        .unwrap_or_default()
}

async fn check(shop: &Shop, code: &str, webhooks: Vec<Webhook>, expected: &str) {
    for webhook in webhooks {
        assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        shop.settle().await;
    }
    let row = coupon(shop, code).await;
    assert_eq!(row["expires_at"], expected, "{row:?}");
    assert_eq!(row["state"], "active");
    assert_eq!(row["reward"], "Pizza Margherita Grátis");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_follows_the_latest_notice_in_any_order() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let later = |code: &str| notice(code, LATER, 60);
        let latest = |code: &str| notice(code, LATEST, 30);
        check(
            shop,
            "a",
            vec![redeemed("a"), later("a"), latest("a")],
            LATEST,
        )
        .await;
        check(
            shop,
            "b",
            vec![latest("b"), later("b"), redeemed("b")],
            LATEST,
        )
        .await;
        check(
            shop,
            "c",
            vec![later("c"), redeemed("c"), latest("c")],
            LATEST,
        )
        .await;
        // The notice with the latest time counts, even if it shortens the coupon's life.
        let back = |code: &str| notice(code, LATER, 10);
        check(
            shop,
            "d",
            vec![latest("d"), redeemed("d"), back("d")],
            LATER,
        )
        .await;
        check(
            shop,
            "e",
            vec![redeemed("e"), back("e"), latest("e")],
            LATER,
        )
        .await;

        // SQS delivers the messages twice, and the provider sends the notice again.
        shop.system.sqs().deliver_twice("delivery", 5);
        check(
            shop,
            "f",
            vec![latest("f"), redeemed("f"), later("f")],
            LATEST,
        )
        .await;
        assert_eq!(shop.send(redeemed("f")).await.word(), "200 duplicate");
        shop.settle().await;
        assert_eq!(coupon(shop, "f").await["expires_at"], LATEST);

        // The coupon's state stays.
        shop.send(used("a", "ord-1")).await;
        shop.settle().await;
        shop.send(notice("a", "2129-01-01T00:00:00Z", 0)).await;
        shop.settle().await;
        let row = coupon(shop, "a").await;
        assert_eq!(row["state"], "used");
        assert_eq!(row["expires_at"], "2129-01-01T00:00:00Z");

        let shown = command(shop, &["member", MEMBER, "--json"]).await.json();
        let coupons = shown["coupons"].as_array().unwrap();
        let b = coupons.iter().find(|it| it["code"] == "b").unwrap();
        assert_eq!(b["expires_at"], LATEST);
    })
    .await;
}

/// A row lives as long as that of a coupon with the same date in its redemption.
#[tokio::test(flavor = "multi_thread")]
async fn the_row_of_an_extended_coupon_lives_as_long_as_the_coupon() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
        let year = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 365);
        let (soon, year) = (soon.to_string(), year.to_string());
        let until = |code, at: &str| redeemed(code).set("/coupon/expires_at", at);
        let moved = |code| notice(code, &year, 0);
        for webhook in [
            until("long", year.as_str()),
            until("a", soon.as_str()),
            moved("a"),
            moved("b"),
            until("b", soon.as_str()),
        ] {
            assert_eq!(shop.send(webhook).await.word(), "200 accepted");
            shop.settle().await;
        }
        let long = coupon(shop, "long").await["ttl"].as_i64().unwrap();
        for code in ["a", "b"] {
            let ttl = coupon(shop, code).await["ttl"].as_i64().unwrap();
            assert!((ttl - long).abs() <= 60, "{code}: {ttl}, not {long}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_shows_points_balance_and_method_and_erasing_takes_them_out() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let webhook = redeemed("a")
            .set("/coupon/points_spent", 200)
            .set("/coupon/new_balance", 1350)
            .set("/coupon/redemption_method", "app");
        shop.send(webhook).await;
        shop.settle().await;
        let row = coupon(shop, "a").await;
        assert_eq!(row["points_spent"], 200);
        assert_eq!(row["new_balance"], 1350);
        assert_eq!(row["method"], "app");
        let shown = command(shop, &["member", MEMBER]).await.out;
        let expected = ", for 200 points, 1350 left, redeemed by app";
        assert!(shown.contains(expected), "{shown}");

        let forgotten = command(shop, &["member", MEMBER, "--forget"]).await.out;
        assert!(forgotten.contains("the points of 1 coupons"), "{forgotten}");
        let row = coupon(shop, "a").await;
        for name in ["points_spent", "new_balance", "method"] {
            assert_eq!(row[name], Value::Null, "{name}");
        }
        assert_eq!(row["member"], format!("zupy#{COMPANY}#{MEMBER}").as_str());
        assert_eq!(row["state"], "active");
    })
    .await;
}
