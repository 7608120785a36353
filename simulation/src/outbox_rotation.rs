//! Tests the outbox with more stuck events than one of its invocations can try.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use serde_json::json;

use crate::scene::{Scene, play_scene};

/// An invocation tries 125 of these events: 25 at a time, and all calls last as long as they may.
const STUCK: usize = 300;

/// The time between two runs: the minute begins when a run has ended.
const RUN: Duration = Duration::from_secs(96);

impl Scene {
    /// Writes the row of a redemption, with the mark of a message that SQS did not accept.
    async fn mark(&self, code: &str, number: usize, mark: &str) {
        let body = json!({
            "event": "coupon.redeemed", "timestamp": "2026-11-22T11:00:00Z", "company_id": "comp",
            "customer": {"member_id": "ZP-1"},
            "coupon": {"coupon_code": code, "points_spent": 1, "expires_at": "2030-01-01T00:00:00Z"},
        });
        let row = json!({
            "coupon": {"S": format!("zupy#comp#{code}")}, "entry": {"S": "redeemed"},
            "provider": {"S": "zupy"}, "tenant": {"S": "comp"}, "scheme": {"S": "zupy-v1"},
            "occurred_at": {"S": "2026-11-22T11:00:00Z"},
            "received_at": {"S": format!("2026-11-22T11:{:02}:{:02}Z", number / 60, number % 60)},
            "body": {"S": body.to_string()},
            "outbox": {"S": "waiting"}, "undispatched": {"S": mark},
        });
        self.world.put("events", row).await.unwrap();
    }

    async fn waiting(&self) -> Vec<String> {
        let rows = self.world.items("events").await.unwrap().into_iter();
        let waiting = rows.filter(|row| !row["outbox"].is_null());
        waiting
            .map(|row| row["coupon"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Checks after how many runs the outbox sends the last event, the only one that SQS accepts.
fn check(runs: u32, mark: &str) {
    play_scene(async |scene| {
        for number in 0..STUCK {
            scene.mark(&format!("STUCK-{number}"), number, mark).await;
        }
        scene.mark("GOOD", STUCK, mark).await;
        for mode in [CallMode::Fail, CallMode::Delay(Duration::from_secs(25))] {
            let fault = Fault::calls(Service::Sqs, "SendMessage", mode);
            scene.world.faults.add(fault.about("STUCK"));
        }
        tokio::time::sleep(RUN * runs + Duration::from_secs(30)).await;
        let waiting = scene.waiting().await;
        assert!(!waiting.contains(&"zupy#comp#GOOD".to_owned()));
        assert_eq!(waiting.len(), STUCK);

        // Each event gets another turn.
        scene.world.faults.clear();
        tokio::time::sleep(RUN * 2).await;
        assert_eq!(scene.waiting().await, [] as [String; 0]);
        let rows = scene.world.items("events").await.unwrap();
        let place = rows.iter().find(|row| row["coupon"] == "outbox").unwrap();
        assert!(place["place"].is_null(), "{place}");
    });
}

#[test]
fn an_event_is_sent_however_many_before_it_are_stuck() {
    check(3, "work 0123456789abcdef0123456789abcdef");
}

#[test]
fn an_event_with_an_older_codes_mark_is_sent_too() {
    check(3, "delivery fraud");
}
