//! Slow calls everywhere: every task ends, no message goes out twice, and no work repeats for ever.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;

use crate::shop::{MEMBER, OWN_SECRET, Shop, Webhook, in_a_shop_with, reported, v2};

const FAR: &str = "2126-01-01T00:00:00Z";

fn enrolled(webhook_id: &str) -> Webhook {
    v2("customer.enrolled")
        .set("/data/customer_id", MEMBER)
        .set("/webhook_id", webhook_id)
}

fn coupon(code: &str) -> Webhook {
    reported("reward.redeemed", code).set("/data/valid_until", FAR)
}

/// Makes each call of `delivery` to a service take this long from now on.
fn slow(shop: &Shop, service: Service, ms: u64) {
    let delay = CallMode::Delay(Duration::from_millis(ms));
    let slow = Fault::service(service, delay).by("delivery");
    shop.system.faults().add(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_goes_out_once_though_each_call_is_slow() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.expect_error("Cannot be delivered");
        // WhatsApp cannot use this number: the mail is the second of three channels.
        shop.send(enrolled("first").set("/data/phone", "123")).await;
        shop.send(coupon("CP-1")).await;
        shop.settle().await;
        let before = shop.mails().len();
        slow(shop, Service::DynamoDb, 1_500);
        slow(shop, Service::Ses, 16_500);
        shop.send(reported("coupon.expiring", "CP-1").set("/data/valid_until", FAR))
            .await;
        shop.settle().await;
        let reminder = format!("expiring@{FAR}/delivery/reminder");
        assert_eq!(shop.record("CP-1", &reminder).await, "done");
        assert_eq!(shop.mails().len(), before + 1);
        assert_eq!(shop.ledger("CP-1").await[&reminder]["attempts"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_reaches_each_coupon_though_each_call_is_slow() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let codes = ["CP-1", "CP-2", "CP-3"];
        for code in codes {
            shop.send(coupon(code)).await;
        }
        shop.settle().await;
        slow(shop, Service::DynamoDb, 2_600);
        shop.send(enrolled("first")).await;
        // At most three invocations, each with time for at least one coupon.
        for _ in 0..3 {
            assert!(shop.system.settle(Duration::from_secs(200)).await);
            shop.system.sqs().hurry("delivery").unwrap();
        }
        assert!(shop.system.settle(Duration::from_secs(200)).await);
        shop.system.faults().clear();
        for code in codes {
            assert_eq!(shop.record(code, "redeemed/delivery/email").await, "done");
        }
        assert_eq!(shop.mails().len(), codes.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_that_waits_for_nothing_is_not_visited_again() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(enrolled("first")).await;
        for n in 0..10 {
            shop.send(coupon(&format!("CP-{n}"))).await;
        }
        shop.settle().await;
        shop.send(enrolled("second")).await;
        shop.settle().await;
        let counted = CallMode::Delay(Duration::ZERO);
        let calls = Fault::service(Service::DynamoDb, counted).by("delivery");
        let calls = shop.system.faults().add(calls);
        shop.send(enrolled("third")).await;
        shop.settle().await;
        let calls = shop.system.faults().applied(calls).unwrap();
        assert!(
            calls <= 6,
            "{calls} calls for a member with nothing to wait for"
        );
        assert_eq!(shop.mails().len(), 10);
        for row in shop.account(MEMBER).await {
            assert!(row["waits"].is_null(), "{row}");
        }
    })
    .await;
}
