//! A message that names an alert repeats that alert, and nothing else of the coupon.

use emulators::sent::Detail;
use serde_json::{Value, json};
use webhooks::provider::zupy;
use webhooks::verify::Secrets;

use crate::named::message_to;
use crate::scene::{Scene, play_scene};
use crate::settle;
use crate::world::{COMPANIES, Format};

const COUPON: &str = "zupy#comp_sul#CP-1";

impl Scene {
    async fn post(&self, path: &str, mut body: Value) {
        let now = self.world.now();
        let (company, secret) = COMPANIES[0];
        body["timestamp"] = json!(now);
        body["company_id"] = json!(company);
        body["customer"] = json!({"member_id": "ZP-1", "name": "Ana Lima"});
        let body = body.to_string().into_bytes();
        let secrets = Secrets::parse(&format!("{company}={secret}")).unwrap();
        let signed = zupy::V1.sign(&body, secrets.first(), now);
        let headers: Vec<_> = signed
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let answer = self.world.post(path, &headers, &body, Format::V2).await;
        assert_eq!(answer.unwrap().0, 200);
        assert!(settle(&self.world).await);
    }

    /// Uses the coupon four times. Each use but the first is one too many.
    async fn use_four_times(&self) {
        let redeemed = json!({
            "event": "coupon.redeemed",
            "coupon": {
                "coupon_code": "CP-1", "reward_id": "rw", "reward_name": "Pizza",
                "points_spent": 200, "expires_at": "2027-01-01T00:00:00Z",
            },
        });
        self.post("/webhooks/zupy/coupon-redeemed", redeemed).await;
        for number in 1..=4 {
            let used = json!({
                "event": "coupon.used",
                "usage": {
                    "coupon_code": "CP-1", "reward_name": "Pizza", "discount_applied": 35,
                    "order_value": 85.5, "order_id": format!("ord-{number}"),
                },
            });
            self.post("/webhooks/zupy/coupon-used", used).await;
        }
    }

    /// Changes a row of a use.
    async fn change(&self, entry: &str, update: &str, values: Value) {
        let update = json!({
            "TableName": "events",
            "Key": {"coupon": {"S": COUPON}, "entry": {"S": entry}},
            "UpdateExpression": update,
            "ExpressionAttributeNames": {"#field": "status", "#other": "alerts"},
            "ExpressionAttributeValues": values,
        });
        self.world.ask("UpdateItem", update).await.unwrap();
    }

    async fn beneath(&self, entry: &str) -> Value {
        let rows = self.world.items("events").await.unwrap();
        let row = rows.into_iter().find(|row| row["entry"] == entry);
        row.unwrap_or_default()
    }

    /// The message that `dispatch` sent to `fraud` for this use.
    fn message(&self, order: &str) -> Value {
        message_to(&self.world, "fraud", &format!("{COUPON}/used#{order}")).unwrap()
    }

    /// Gives `fraud` these messages, and returns the uses of the alerts that go out.
    async fn give(&self, messages: &[Value]) -> Vec<String> {
        let before = self.alerted();
        for message in messages {
            let send = json!({"QueueUrl": "fraud", "MessageBody": message.to_string()});
            self.world.sqs.handle("SendMessage", &send).await.unwrap();
        }
        assert!(settle(&self.world).await);
        self.alerted().split_off(before.len())
    }

    fn alerted(&self) -> Vec<String> {
        let sent = self.world.sent().into_iter();
        let alerts = sent.filter(|it| matches!(it.detail, Detail::Topic(_)));
        alerts.filter_map(|it| it.event).collect()
    }
}

#[test]
fn a_message_that_names_an_alert_publishes_that_alert_alone() {
    play_scene(async |scene| {
        scene.use_four_times().await;
        let of = |number: u32| format!("{COUPON}/used#ord-{number}");
        assert_eq!(scene.alerted(), [of(2), of(3), of(4)]);

        // One alert failed, and the operator releases it for a repeat; the next one waits for its
        // own message. The last record is of code that had no such rule.
        let released = json!({":released": {"S": "released"}});
        for entry in ["used#ord-2/fraud/alert/1", "used#ord-3/fraud/alert/1"] {
            let update = "SET #field = :released REMOVE #other";
            scene.change(entry, update, released.clone()).await;
        }
        let none = json!({":none": {"S": "[]"}, ":done": {"S": "done"}});
        let update = "SET findings = :none, #field = :done REMOVE #other";
        scene.change("used#ord-4/fraud", update, none).await;

        let mut named = scene.message("ord-2");
        named["only"] = json!(["delivery/email", "fraud/alert/1"]);
        assert_eq!(scene.give(std::slice::from_ref(&named)).await, [of(2)]);
        assert_eq!(
            scene.beneath("used#ord-2/fraud/alert/1").await["status"],
            "done"
        );
        let other = scene.beneath("used#ord-3/fraud/alert/1").await;
        assert_eq!(other["status"], "released");
        assert_eq!(scene.beneath("used#ord-4/fraud").await["findings"], "[]");
        assert!(scene.give(std::slice::from_ref(&named)).await.is_empty());

        // A message without names checks the whole coupon, in any company.
        let own = scene.message("ord-3");
        assert_eq!(scene.give(&[named, own]).await, [of(3)]);
        let found = scene.beneath("used#ord-4/fraud").await;
        assert!(
            found["findings"]
                .as_str()
                .unwrap()
                .contains("duplicate_usage")
        );
    });
}
