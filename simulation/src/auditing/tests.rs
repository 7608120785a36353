//! Tests audits that take so long that events expire meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use webhooks::provider::zupy;
use webhooks::verify::Secret;

use crate::scene::{Scene, play_scene};
use crate::settle;
use crate::world::{COMPANIES, Format};

/// So many that an audit reads several pages.
const COUPONS: usize = 30;

/// The lifetime of an event after its receipt.
const RETENTION: Duration = Duration::from_secs(35 * 86_400);

impl Scene {
    /// Sends redemptions of coupons that end now, and counts them.
    async fn redeem(&self) {
        let (company, secret) = COMPANIES[0];
        let secret = Secret::new(secret).unwrap();
        for number in 0..COUPONS {
            let now = self.world.now();
            let body = json!({
                "event": "coupon.redeemed", "timestamp": now, "company_id": company,
                "customer": {"member_id": "ZP-1"},
                "coupon": {
                    "coupon_code": format!("CP-{number}"), "points_spent": 1, "expires_at": now,
                },
            });
            let body = body.to_string().into_bytes();
            let headers = zupy::V1.sign(&body, &secret, now).into_iter();
            let headers: Vec<_> = headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            let path = "/webhooks/zupy/coupon-redeemed";
            let answer = self.world.post(path, &headers, &body, Format::V2).await;
            assert_eq!(answer.unwrap().0, 200);
        }
        assert!(settle(&self.world).await);
    }

    /// Invokes the audit once.
    async fn audit(&self) -> Value {
        let answer = self.world.functions.invoke("audit", "{}".into()).await;
        serde_json::from_str(&answer.unwrap()).unwrap()
    }

    async fn audit_to_its_end(&self) -> Value {
        for _ in 0..100 {
            let answer = self.audit().await;
            if answer["audit"] == "finished" {
                return answer;
            }
        }
        panic!("the audit does not finish");
    }
}

#[test]
fn an_audit_counts_every_event_once_though_it_is_interrupted() {
    play_scene(async |scene| {
        scene.redeem().await;
        assert_eq!(scene.audit().await["audit"], "interrupted");
        let expected = json!({"audit": "finished", "events": COUPONS, "differ": 0});
        assert_eq!(scene.audit_to_its_end().await, expected);
    });
}

#[test]
fn events_that_expire_during_an_audit_are_no_difference() {
    play_scene(async |scene| {
        scene.redeem().await;
        // The audit begins on the last day on which it judges the day of the events.
        let before = Duration::from_secs(29 * 3600);
        tokio::time::advance(RETENTION - before).await;
        assert_eq!(scene.audit().await["audit"], "interrupted");
        // All events expire before the audit continues.
        tokio::time::advance(before).await;
        assert_eq!(scene.audit_to_its_end().await["differ"], 0);
    });
}
