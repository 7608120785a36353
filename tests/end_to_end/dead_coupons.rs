//! A coupon that ends before its messages go out: no message says that it is ready.

use serde_json::{Value, json};

use crate::shop::{OWN_SECRET, in_a_shop_with, redeemed, reported, used};

const LAST_YEAR: &str = "2025-09-26T14:20:00Z";

const CHANNELS: [&str; 3] = ["email", "whatsapp", "sms"];

fn record(channel: &str) -> String {
    format!("redeemed/delivery/{channel}")
}

fn worth_a_text(code: &str) -> crate::shop::Webhook {
    redeemed(code).set("/discount_details/discount_value", 60)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_that_ended_while_its_messages_waited_is_not_announced() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        for service in ["ses", "whatsapp", "sns"] {
            let throttle = json!({"service": service, "mode": "throttle"});
            shop.ask("POST", "/_local/faults", throttle).await;
        }
        for code in ["used", "cancelled", "expired", "good"] {
            shop.send(worth_a_text(code)).await;
        }
        shop.settle().await;
        shop.send(used("used", "ord-1")).await;
        shop.send(reported("coupon.cancelled", "cancelled")).await;
        shop.send(reported("coupon.expired", "expired")).await;
        shop.settle().await;
        shop.ask("DELETE", "/_local/faults", Value::Null).await;
        shop.settle_retries().await;
        for channel in CHANNELS {
            for code in ["used", "cancelled", "expired"] {
                let expected = format!("skipped: the coupon is {code}");
                assert_eq!(shop.record(code, &record(channel)).await, expected);
            }
            assert_eq!(shop.record("good", &record(channel)).await, "done");
            assert_eq!(shop.sent(channel).len(), 1, "{channel}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_that_came_too_late_is_in_the_account_and_not_announced() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        // The redemption arrives after the use.
        shop.send(used("used", "ord-1")).await;
        shop.settle().await;
        shop.send(worth_a_text("used")).await;
        shop.send(worth_a_text("over").set("/coupon/expires_at", LAST_YEAR))
            .await;
        shop.settle().await;
        for channel in CHANNELS {
            let record = record(channel);
            assert_eq!(
                shop.record("used", &record).await,
                "skipped: the coupon is used"
            );
            assert_eq!(
                shop.record("over", &record).await,
                "skipped: the coupon has expired"
            );
            assert_eq!(shop.sent(channel), []);
        }
        let account = shop.account(crate::shop::MEMBER).await;
        assert_eq!(account.len(), 2, "{account:?}");
    })
    .await;
}
