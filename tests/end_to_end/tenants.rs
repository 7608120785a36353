//! Several companies share a deployment, each with a secret of its own; Zupy's format v2 names no
//! company.

use std::time::{Duration, Instant};

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use serde_json::{Value, json};

use crate::shop::{ZUPY_REDEEMED, ZUPY_USED, in_a_shop, in_a_shop_with, redeemed, v2};

const TWO: (&str, &str) = (
    "ZupyWebhookSecrets",
    "comp_bella_vista=local-zupy-secret, other=other-secret",
);

#[tokio::test(flavor = "multi_thread")]
async fn one_company_cannot_sign_for_the_next() {
    in_a_shop_with(&[TWO], async |shop| {
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        let forged = redeemed("CP-2").secret("other-secret");
        assert_eq!(
            shop.send(forged.clone()).await.word(),
            "401 invalid_signature"
        );
        let own = forged.set("/company_id", "other");
        let answer = shop.send(own.clone()).await;
        assert_eq!(answer.body["event"], "zupy#other#CP-2/redeemed");
        let nameless = own.unset("/company_id");
        assert_eq!(shop.send(nameless).await.word(), "200 duplicate");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_names_the_company_of_a_v2_event() {
    in_a_shop_with(&[TWO], async |shop| {
        let ours = shop.send(v2("reward.redeemed")).await;
        assert_eq!(
            ours.body["event"],
            "zupy#comp_bella_vista#REWARD-ABC123XYZ/redeemed"
        );
        let theirs = shop
            .send(v2("reward.redeemed").secret("other-secret"))
            .await;
        assert_eq!(theirs.body["event"], "zupy#other#REWARD-ABC123XYZ/redeemed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_coupon_event_of_v2_is_taken_once_and_on_the_same_urls() {
    in_a_shop(async |shop| {
        let body: Value = serde_json::from_slice(&v2("coupon.used").body).unwrap();
        let member = body["data"]["customer_id"].as_str().unwrap();
        let used = format!("used@{member}#1");
        for (kind, entry) in [
            ("reward.redeemed", "redeemed"),
            ("coupon.used", &used),
            ("coupon.cancelled", "cancelled"),
            ("coupon.expiring", "expiring@2026-03-25T23:59:59Z"),
            ("coupon.expired", "expired"),
        ] {
            let answer = shop.send(v2(kind)).await;
            assert_eq!(answer.word(), "200 accepted", "{kind}: {answer:?}");
            let event = format!("zupy#default#REWARD-ABC123XYZ/{entry}");
            assert_eq!(answer.body["event"], event.as_str());
            assert_eq!(shop.send(v2(kind)).await.word(), "200 duplicate", "{kind}");
        }
        let redeemed = v2("reward.redeemed").to(ZUPY_REDEEMED);
        assert_eq!(shop.send(redeemed.clone()).await.word(), "200 duplicate");
        assert_eq!(shop.send(redeemed.to(ZUPY_USED)).await.status, 202);
        let used = v2("coupon.used").to(ZUPY_USED);
        assert_eq!(shop.send(used.clone()).await.word(), "200 duplicate");
        assert_eq!(shop.send(used.to(ZUPY_REDEEMED)).await.status, 202);
        let points = v2("coupon.used").set("/event", "points.earned");
        assert_eq!(shop.send(points).await.status, 202);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_of_v2_that_names_its_order_goes_by_it() {
    in_a_shop(async |shop| {
        let used = v2("coupon.used").set("/data/order_id", "ord-1");
        let answer = shop.send(used).await;
        assert_eq!(
            answer.body["event"],
            "zupy#default#REWARD-ABC123XYZ/used#ord-1"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_v2() {
    in_a_shop(async |shop| {
        for (kind, field, pointer) in [
            ("reward.redeemed", "webhook_id", "/webhook_id"),
            ("reward.redeemed", "timestamp", "/timestamp"),
            ("reward.redeemed", "data.customer_id", "/data/customer_id"),
            ("reward.redeemed", "data.coupon_code", "/data/coupon_code"),
            ("reward.redeemed", "data.points_spent", "/data/points_spent"),
            ("reward.redeemed", "data.valid_until", "/data/valid_until"),
            ("coupon.used", "data.coupon_code", "/data/coupon_code"),
            ("coupon.cancelled", "data.customer_id", "/data/customer_id"),
            ("coupon.expiring", "data.valid_until", "/data/valid_until"),
        ] {
            let answer = shop.send(v2(kind).unset(pointer)).await;
            assert_eq!(answer.word(), "400 invalid_payload");
            assert_eq!(answer.problems(), [format!("{field} is missing")]);
        }
        let negative = v2("reward.redeemed").set("/data/points_spent", -1);
        let problem = "data.points_spent must not be less than 0";
        assert_eq!(shop.send(negative).await.problems(), [problem]);
        let nothing = v2("reward.redeemed").set("/data/points_spent", 0);
        assert_eq!(shop.send(nothing).await.word(), "200 accepted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_without_a_restart() {
    in_a_shop(async |shop| {
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        let rotate = json!({"SecretId": "zupy-secrets", "SecretString": "new-secret"});
        shop.aws("secretsmanager.PutSecretValue", &rotate).await;
        let with_new = redeemed("CP-2").secret("new-secret");
        assert_eq!(shop.send(with_new).await.word(), "200 accepted");
        // The previous version stays valid until the next rotation.
        assert_eq!(shop.send(redeemed("CP-3")).await.word(), "200 accepted");
        let started = shop.system.invocations().into_iter();
        let cold = started.filter(|run| run.function == "zupy-coupon-redeemed");
        assert_eq!(cold.filter(|run| run.init_duration_ms.is_some()).count(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_signatures_cause_few_calls_to_the_secret_store() {
    in_a_shop(async |shop| {
        let began = Instant::now();
        let counted = CallMode::Delay(Duration::ZERO);
        let counted = Fault::calls(Service::SecretsManager, "GetSecretValue", counted);
        let counted = shop.system.faults().add(counted);
        let forge = async || shop.send(redeemed("CP-1").secret("another")).await.word();
        for _ in 0..3 {
            assert_eq!(forge().await, "401 invalid_signature");
        }
        for _ in 0..60 {
            let word = forge().await;
            assert!(["401 invalid_signature", "503 unavailable"].contains(&word.as_str()));
        }
        // Five fetches at once and one more every five seconds, of two calls each.
        let fetches = 5 + began.elapsed().as_secs() / 5;
        let calls = shop.system.faults().applied(counted).unwrap();
        assert!(u64::from(calls) <= 2 * fetches, "{calls} calls");

        let rotate = json!({"SecretId": "zupy-secrets", "SecretString": "new-secret"});
        shop.aws("secretsmanager.PutSecretValue", &rotate).await;
        let genuine = redeemed("CP-2").secret("new-secret");
        // The provider retries after a 503.
        while shop.send(genuine.clone()).await.word() == "503 unavailable" {
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        assert_eq!(shop.send(genuine).await.word(), "200 duplicate");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_cannot_be_judged_gets_a_503() {
    in_a_shop(async |shop| {
        shop.expect_error("Not taken");
        let rotate = json!({"SecretId": "zupy-secrets", "SecretString": "new-secret"});
        shop.aws("secretsmanager.PutSecretValue", &rotate).await;
        let outage = Fault::service(Service::SecretsManager, CallMode::Fail);
        shop.system.faults().add(outage);
        let with_new = redeemed("CP-1").secret("new-secret");
        for _ in 0..2 {
            assert_eq!(shop.send(with_new.clone()).await.word(), "503 unavailable");
        }
        // A known secret needs no store.
        assert_eq!(shop.send(redeemed("CP-2")).await.word(), "200 accepted");
    })
    .await;
}
