//! Many coupons at the same time, under faults, judged by their records: `coupons send --count`.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use emulators::faults::{CallMode, Fault, MessageMode, Moment};
use emulators::service::Service;
use serde_json::{Value, json};

use crate::command_line::coupons;
use crate::shop::{Shop, in_a_shop};

fn port(url: &str) -> &str {
    url.rsplit_once(':').unwrap().1
}

/// Runs `coupons send` against the shop, with output for programs.
async fn send(shop: &Shop, arguments: &[&str]) -> Command {
    let mut command = Command::new(coupons().await);
    command
        .args(["send", "--json", "--port", port(shop.system.gateway_url())])
        .args(arguments)
        .env_remove("ZUPY_WEBHOOK_SECRETS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn run(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

/// The figures, and whether the command succeeded.
fn figures(output: &Output) -> (Value, bool) {
    let text = String::from_utf8_lossy(&output.stdout);
    let figures =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{output:?}"));
    (figures, output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn under_faults_nothing_is_lost_and_nothing_doubled() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to");
        let faults = shop.system.faults();
        let failing = faults.add(Fault::everywhere(CallMode::Fail).at_rate(0.05).seeded(7));
        faults.add(
            Fault::messages("delivery", MessageMode::Duplicate)
                .at_rate(0.2)
                .seeded(7),
        );
        let webhook = "zupy-coupon-redeemed";
        let killed = faults.add(
            Fault::kill(webhook, Moment::AfterCall(1))
                .at_rate(0.1)
                .times(5),
        );
        faults.add(Fault::kill("delivery", Moment::Start).times(2));
        let command = [
            "--count",
            "200",
            "--duplicates",
            "20%",
            "--concurrency",
            "16",
            "--seed",
            "1",
        ];
        let (figures, success) = figures(&run(send(shop, &command).await).await);
        assert!(success, "{figures}");
        let count = |name: &str| {
            figures[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name}: {figures}"))
        };
        assert_eq!(count("sent"), 240);
        assert_eq!(count("accepted") + count("duplicates"), 240, "{figures}");
        assert!(count("duplicates") >= 35, "{figures}");
        assert!(count("retried") >= 1, "{figures}");
        assert_eq!(count("seed"), 1);
        assert_eq!(
            ["judged", "lost", "doubled", "refused", "failed"].map(count),
            [200, 0, 0, 0, 0],
            "{figures}"
        );
        assert!(faults.applied(failing) > Some(20));
        assert_eq!(faults.applied(killed), Some(5));
        assert_eq!(shop.mails().len(), 200);
        let (_, state) = shop.get("/_local/state").await;
        let state: Value = serde_json::from_str(&state).unwrap();
        let shown = state["messages"].as_array().unwrap();
        assert_eq!((shown.len(), &state["message_count"]), (100, &json!(400)));
        assert_eq!(shown[99]["at"], shop.system.sent()[399].at);
        faults.clear();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_doubled_event_is_named_and_fails_the_command() {
    in_a_shop(async |shop| {
        let lose = Fault::calls(Service::Ses, "SendEmail", CallMode::LoseResponse);
        shop.system.faults().add(lose.once());
        // The worker retries a message for newer code for ever, so the system settles only without
        // the message.
        let newer = json!({"QueueUrl": "delivery", "MessageBody": r#"{"version": 99}"#});
        shop.aws("AmazonSQS.SendMessage", &newer).await;
        let process = send(shop, &["--count", "10", "--concurrency", "4"])
            .await
            .spawn()
            .unwrap();

        let deliveries = async || {
            let rows = shop.system.items("events").await.unwrap().into_iter();
            let done = rows.filter(|row| row["status"] == "done");
            done.map(|row| row["coupon"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        // Six records each.
        let all = async {
            while deliveries().await.len() < 60 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let all = tokio::time::timeout(Duration::from_secs(60), all).await;
        all.expect("six records of each coupon");
        let lost = deliveries().await.remove(0);
        let key = json!({"coupon": {"S": lost}, "entry": {"S": "redeemed"}});
        let delete = json!({"TableName": "events", "Key": key});
        shop.aws("DynamoDB_20120810.DeleteItem", &delete).await;
        let queue = json!({"QueueUrl": "delivery"});
        shop.aws("AmazonSQS.PurgeQueue", &queue).await;

        let output = tokio::task::spawn_blocking(|| process.wait_with_output());
        let (figures, success) = figures(&output.await.unwrap().unwrap());
        assert!(!success);
        assert_eq!(
            (&figures["accepted"], &figures["judged"]),
            (&json!(10), &json!(10))
        );
        assert_eq!(figures["lost"], 1, "{figures}");
        let expected = json!([{"event": format!("{lost}/redeemed"), "what": "no row"}]);
        assert_eq!(figures["lost_events"], expected);
        assert_eq!(figures["doubled"], 1, "{figures}");
        assert_eq!(figures["doubled_events"][0]["what"], "email sent 2 times");
        let note = figures["notes"][0].as_str().unwrap();
        assert!(note.contains("lose_response"), "{note}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_system_is_judged_by_its_tables_alone() {
    in_a_shop(async |shop| {
        let gateway = shop.system.gateway_url();
        let mut command = Command::new(coupons().await);
        command
            .args([
                "send",
                "aghanim-coupon-redeemed",
                "--url",
                gateway,
                "--count",
                "5",
            ])
            .args(["--json", "--deployed"])
            .env_remove("AGHANIM_WEBHOOK_SECRETS")
            .env("AWS_ENDPOINT_URL", shop.system.aws_url())
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_REGION", "sa-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("EVENTS_TABLE", "events")
            .env("MEMBERS_TABLE", "members");
        let (judged, success) = figures(&run(command).await);
        assert!(success, "{judged}");
        assert_eq!(
            (&judged["lost"], &judged["doubled"]),
            (&json!(0), &json!(0))
        );
        assert!(judged["notes"][0].as_str().unwrap().contains("messages"));

        // Another server on this machine has no known tables.
        let mut elsewhere = Command::new(coupons().await);
        elsewhere.args([
            "send",
            "--url",
            shop.system.aws_url(),
            "--count",
            "1",
            "--json",
        ]);
        let (figures, success) = figures(&run(elsewhere).await);
        assert!(!success);
        assert_eq!(
            (&figures["refused"], &figures["lost"]),
            (&json!(1), &Value::Null)
        );
        let note = figures["notes"][0].as_str().unwrap();
        assert!(note.contains("--aws-port"), "{note}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_judged_by_itself() {
    in_a_shop(async |shop| {
        let once = send(shop, &["--count", "3"]).await;
        assert!(run(once).await.status.success());
        let first = shop.system.items("events").await.unwrap();
        let key = json!({"coupon": {"S": first[0]["coupon"]}, "entry": {"S": "redeemed"}});
        let delete = json!({"TableName": "events", "Key": key});
        shop.aws("DynamoDB_20120810.DeleteItem", &delete).await;
        let again = ["zupy-coupon-used", "--count", "3", "--repeat"];
        let (figures, success) = figures(&run(send(shop, &again).await).await);
        assert!(success, "{figures}");
        assert_eq!(
            (&figures["accepted"], &figures["duplicates"]),
            (&json!(3), &json!(3))
        );
        assert_eq!(
            (&figures["judged"], &figures["lost"]),
            (&json!(3), &json!(0))
        );
    })
    .await;
}
