//! Time that passes at once: queues, functions and schedules follow the moved clock, and nothing
//! happens twice.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::shop::{Shop, in_a_shop_with, redeemed, used};

const HOUR: Duration = Duration::from_secs(3600);

/// Lets this much time pass, as a person does.
async fn advance(shop: &Shop, seconds: u64) -> Value {
    let body = json!({"advance_s": seconds});
    let (status, answer) = shop.ask("POST", "/_local/clock", body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn ahead_of_the_wall(at: &Value) -> SignedDuration {
    let at: Timestamp = at.as_str().unwrap().parse().unwrap();
    at.duration_since(Timestamp::now())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_waits_for_its_redemption_no_longer_than_the_moved_clock_says() {
    let rules = ("FraudRules", "rapid_redemption=off");
    let grace = ("UnknownCouponGraceS", "3600");
    in_a_shop_with(&[rules, grace], async |shop| {
        shop.send(used("CP-1", "ord_1")).await;
        shop.settle().await;
        assert_eq!(shop.system.queues()["fraud"].in_flight, 1);
        assert!(shop.fraud_alerts().is_empty());

        advance(shop, 1800).await;
        shop.settle().await;
        assert!(shop.fraud_alerts().is_empty(), "half of the grace is left");
        // The use's message is the timer. If it arrived minutes late, the grace would begin again.
        let answer = advance(shop, 1798).await;
        assert_eq!(answer["ahead_s"], 3598.0);
        assert!(shop.system.settle_all(Duration::from_secs(60)).await);
        let [alert] = &shop.fraud_alerts()[..] else {
            panic!("{:?}", shop.fraud_alerts());
        };
        let about = ahead_of_the_wall(&json!(alert.at));
        assert!(about > SignedDuration::from_mins(59), "{about}");

        // Later events have the moved clock's time of arrival.
        shop.send(redeemed("CP-2")).await;
        shop.settle().await;
        let received_at = &shop.ledger("CP-2").await["redeemed"]["received_at"];
        let about = ahead_of_the_wall(received_at);
        assert!(about > SignedDuration::from_mins(59), "{about}");
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_passes_between_invocations_and_not_within_one() {
    in_a_shop_with(&[], async |shop| {
        let minute_long = emulators::faults::Fault::slow_start("delivery", Duration::from_secs(1));
        shop.system.faults().add(minute_long.once());
        shop.send(redeemed("CP-1")).await;
        // The message's visibility timeout is shorter than the time that passes during the delay of
        // its function.
        while shop.system.queues()["delivery"].in_flight == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shop.system.advance(24 * HOUR).await.unwrap();
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
        let invocations = shop.system.invocations();
        let deliveries = invocations.iter().filter(|it| it.function == "delivery");
        assert_eq!(deliveries.count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_minutes_runs_once_however_many_have_passed() {
    in_a_shop_with(&[], async |shop| {
        let outboxes = || {
            let invocations = shop.system.invocations();
            let those = invocations.iter().filter(|it| it.function == "outbox");
            those.count()
        };
        assert_eq!(outboxes(), 0);
        advance(shop, 3600).await;
        while outboxes() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shop.settle().await;
        assert_eq!(outboxes(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_tells_the_time_and_does_not_go_back() {
    in_a_shop_with(&[], async |shop| {
        let (status, clock) = shop.ask("GET", "/_local/clock", Value::Null).await;
        assert_eq!((status, &clock["ahead_s"]), (200, &json!(0.0)));
        assert!(ahead_of_the_wall(&clock["now"]).as_secs() == 0, "{clock}");
        let back = json!({"advance_s": -1});
        let (status, answer) = shop.ask("POST", "/_local/clock", back).await;
        assert_eq!(status, 400);
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains("time does not go back"), "{error}");
        let far = json!({"advance_s": 315_360_000});
        assert_eq!(shop.ask("POST", "/_local/clock", far.clone()).await.0, 200);
        let (status, answer) = shop.ask("POST", "/_local/clock", far).await;
        assert_eq!(status, 409, "{answer}");
    })
    .await;
}
