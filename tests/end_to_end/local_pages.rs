//! The pages on which the local system describes itself over HTTP.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use serde_json::{Value, json};

use crate::shop::{Shop, in_a_shop, redeemed};

async fn json_of(shop: &Shop, path: &str, expected_status: u16) -> Value {
    let (status, body) = shop.get(path).await;
    assert_eq!(status, expected_status, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_sent_messages_queues_and_tables() {
    in_a_shop(async |shop| {
        assert_eq!(json_of(shop, "/_local/messages", 200).await, json!([]));
        for code in ["CP-1", "CP-2"] {
            shop.send(redeemed(code)).await;
            let idle = json_of(shop, "/_local/idle?timeout_s=30", 200).await;
            assert_eq!(idle["idle"], true);
        }
        let messages = json_of(shop, "/_local/messages", 200).await;
        let messages = messages.as_array().unwrap();
        assert_eq!(messages.len(), 4);
        let mails = messages
            .iter()
            .filter(|message| message["channel"] == "email");
        for (message, code) in mails.zip(["CP-1", "CP-2"]) {
            for field in ["channel", "to", "subject", "text", "html", "event", "at"] {
                assert!(message[field].is_string(), "{field}");
            }
            assert!(message["event"].as_str().unwrap().contains(code));
        }
        let empty = json!({"visible": 0, "in_flight": 0, "delayed": 0});
        let queues = json_of(shop, "/_local/queues", 200).await;
        for queue in [
            "delivery",
            "delivery-dead-letter",
            "inventory",
            "inventory-dead-letter",
            "fraud",
            "fraud-dead-letter",
            "analytics",
            "analytics-dead-letter",
            "retry",
            "retry-dead-letter",
        ] {
            assert_eq!(queues[queue], empty, "{queue}");
        }
        let members = json_of(shop, "/_local/tables/members", 200).await;
        // One coupon each, and its line from analytics.
        assert_eq!(members.as_array().unwrap().len(), 4);
        let state = json_of(shop, "/_local/state", 200).await;
        // Functions may process the two events in one batch.
        let invocations = state["invocations"].as_array().unwrap().iter();
        let in_batches = ["dispatch", "inventory", "fraud", "analytics"];
        let others =
            invocations.filter(|it| !in_batches.contains(&it["function"].as_str().unwrap()));
        assert_eq!(others.count(), 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_unknown_names() {
    in_a_shop(async |shop| {
        let unknown = json_of(shop, "/_local/tables/nothing", 404).await;
        assert!(unknown["error"].as_str().unwrap().contains("members"));
        for timeout in ["-1", "NaN", "soon"] {
            let path = format!("/_local/idle?timeout_s={timeout}");
            assert_eq!(shop.get(&path).await.0, 400, "{timeout}");
        }
        assert_eq!(shop.get("/webhooks/nobody").await.0, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_gives_up_at_its_timeout_while_a_function_runs() {
    in_a_shop(async |shop| {
        let slow = Fault::calls(
            Service::Ses,
            "SendEmail",
            CallMode::Delay(Duration::from_secs(2)),
        );
        shop.system.faults().add(slow);
        shop.send(redeemed("CP-1")).await;
        let busy = json_of(shop, "/_local/idle?timeout_s=0.2", 504).await;
        assert_eq!(busy["idle"], false);
        json_of(shop, "/_local/idle?timeout_s=30", 200).await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}
