//! The commands of operators: a coupon's life, replays, dead letters.

mod deployed;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use serde_json::{Value, json};

use crate::command_line::{coupons, free_port};
use crate::shop::{COMPANY, MEMBER, Shop, in_a_shop, redeemed, used};

/// The output of a command.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.error);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    #[track_caller]
    pub(crate) fn check_failed(&self, pieces: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.error);
        for piece in pieces {
            assert!(self.error.contains(piece), "{piece:?}: {}", self.error);
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) async fn run(mut command: Command) -> Said {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap().into()
}

/// Runs a command against the shop.
pub(crate) async fn command(shop: &Shop, arguments: &[&str]) -> Said {
    let mut command = Command::new(coupons().await);
    let port = shop.system.aws_url().rsplit_once(':').unwrap().1.to_owned();
    command.args(arguments).args(["--aws-port", &port]);
    run(command).await
}

/// A command for a deployed system, which is the shop's own endpoint here.
pub(crate) async fn deployed(shop: &Shop, arguments: &[&str]) -> Command {
    let mut command = Command::new(coupons().await);
    let queue = format!("{}/000000000000/delivery", shop.system.aws_url());
    command
        .args(arguments)
        .env("AWS_ENDPOINT_URL", shop.system.aws_url())
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .env("AWS_REGION", "sa-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("EVENTS_TABLE", "events")
        .env("MEMBERS_TABLE", "members")
        .env("STOCK_TABLE", "stock")
        .env(
            "WORK_QUEUE_URL",
            format!("{}/000000000000/work", shop.system.aws_url()),
        )
        .env("DELIVERY_QUEUE_URL", queue);
    command
}

fn coupon(code: &str) -> String {
    format!("zupy#{COMPANY}#{code}")
}

fn event(code: &str) -> String {
    format!("zupy#{COMPANY}#{code}/redeemed")
}

async fn send_to(shop: &Shop, queue: &str, body: &str) {
    let request = json!({"QueueUrl": queue, "MessageBody": body});
    shop.aws("AmazonSQS.SendMessage", &request).await;
}

/// A message as the webhook function writes it, for an event that no webhook reported.
fn message() -> (String, String) {
    let sample = include_str!("../../events/delivery.json");
    let sample: Value = serde_json::from_str(sample).unwrap();
    let body = sample["Records"][0]["body"].as_str().unwrap().to_owned();
    let message: Value = serde_json::from_str(&body).unwrap();
    let key = &message["event"]["key"];
    let (coupon, entry) = (key["coupon"].as_str(), key["entry"].as_str());
    (body, format!("{}/{}", coupon.unwrap(), entry.unwrap()))
}

async fn delete_record(shop: &Shop, code: &str, entry: &str) {
    let key = json!({"coupon": {"S": coupon(code)}, "entry": {"S": entry}});
    let request = json!({"TableName": "events", "Key": key});
    shop.aws("DynamoDB_20120810.DeleteItem", &request).await;
}

fn tasks(life: &Value) -> Vec<(&str, &str)> {
    let tasks = life["tasks"].as_array().unwrap().iter();
    tasks
        .map(|task| {
            (
                task["task"].as_str().unwrap(),
                task["status"].as_str().unwrap(),
            )
        })
        .collect()
}

const DONE: [(&str, &str); 6] = [
    ("analytics", "done"),
    ("delivery/account", "done"),
    ("delivery/email", "done"),
    ("delivery/whatsapp", "done"),
    ("fraud", "done"),
    ("inventory", "done"),
];

#[tokio::test(flavor = "multi_thread")]
async fn show_prints_a_coupons_whole_life() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.send(redeemed("CP-1").set("/coupon/points_spent", 7))
            .await;
        shop.send(used("CP-1", "ord_1")).await;
        shop.settle().await;
        let by_code = command(shop, &["show", "CP-1", "--json"]).await.json();
        assert_eq!(by_code["coupon"], coupon("CP-1"));
        assert_eq!(by_code["received"][0]["event"], event("CP-1"));
        assert_eq!(by_code["received"][0]["member"], MEMBER);
        let causes = json!(["delivery", "inventory", "fraud", "analytics"]);
        assert_eq!(by_code["received"][0]["causes"], causes);
        assert_eq!(by_code["received"][1]["entry"], "used#ord_1");
        let causes = json!(["delivery", "inventory", "fraud", "analytics", "surveys"]);
        assert_eq!(by_code["received"][1]["causes"], causes);
        assert_eq!(tasks(&by_code)[..DONE.len()], DONE);
        assert_eq!(by_code["missing"], json!([]));
        assert_eq!(by_code["conflicts"].as_array().unwrap().len(), 1);
        assert_eq!(by_code["account"]["state"], "used");

        let by_key = command(shop, &["show", &coupon("CP-1"), "--json"]).await;
        assert_eq!(by_key.json(), by_code);
        let of_event = command(shop, &["show", &event("CP-1"), "--json"]).await;
        let of_event = of_event.json();
        assert_eq!(of_event["received"].as_array().unwrap().len(), 1);

        let printed = command(shop, &["show", "CP-1"]).await.out;
        for piece in ["delivery/email done: ", "used#ord_1"] {
            assert!(printed.contains(piece), "{piece:?}: {printed}");
        }
        let with_body = command(shop, &["show", "CP-1", "--body"]).await.out;
        for piece in ["customer@example.com", "points_spent"] {
            assert!(!printed.contains(piece), "{piece:?}: {printed}");
            assert!(with_body.contains(piece), "{piece:?}: {with_body}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn show_finds_a_code_at_every_tenant_and_says_what_it_does_not_find() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.send(redeemed("CP-1").set("/company_id", "comp_2"))
            .await;
        shop.settle().await;
        let lives = command(shop, &["show", "CP-1", "--json"]).await.json();
        let lives = lives.as_array().unwrap().iter();
        let coupons: Vec<_> = lives.map(|life| life["coupon"].clone()).collect();
        assert_eq!(coupons, [json!("zupy#comp_2#CP-1"), json!(coupon("CP-1"))]);
        let printed = command(shop, &["show", "CP-1"]).await.out;
        for coupon in coupons {
            assert!(printed.contains(coupon.as_str().unwrap()), "{printed}");
        }
        let replayed = command(shop, &["replay", "CP-1"]).await;
        replayed.check_failed(&["several coupons", "zupy#comp_2#CP-1"]);

        for unknown in ["CP-2", "zupy#comp_2#CP-2", "zupy#comp_2#CP-1/used#1"] {
            let shown = command(shop, &["show", unknown, "--json"]).await;
            shown.check_failed(&["received"]);
            let said: Value = serde_json::from_str(&shown.out).unwrap();
            assert!(said["error"].as_str().unwrap().contains("received"));
            let shown = command(shop, &["show", unknown]).await;
            shown.check_failed(&["received"]);
            assert_eq!(shown.out, "");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_runs_missing_tasks_and_repeats_settled_ones_only_by_force() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let key = event("CP-1");

        let refused = command(shop, &["replay", &key, "--json"]).await.json();
        assert_eq!(refused["sent"], json!([]));
        let reason = refused["skipped"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("--force"), "{reason}");
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);

        let email = ["replay", &key, "--task", "delivery/email", "--force"];
        let dry = command(shop, &[email.as_slice(), &["--dry-run", "--json"]].concat()).await;
        let dry = dry.json();
        assert_eq!(dry["sent"][0]["forgotten"], json!(["delivery/email"]));
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
        assert_eq!(shop.ledger("CP-1").await.len(), 9);

        let forced = command(shop, &email).await;
        assert!(forced.out.contains("1 sent"), "{}", forced.out);
        shop.settle().await;
        assert_eq!(shop.mails().len(), 2);

        delete_record(shop, "CP-1", "redeemed/delivery/account").await;
        let healed = command(shop, &["replay", &coupon("CP-1"), "--json"]).await;
        assert_eq!(healed.json()["sent"][0]["event"], key.as_str());
        shop.settle().await;
        assert_eq!(shop.mails().len(), 2);
        let life = command(shop, &["show", &key, "--json"]).await.json();
        assert_eq!(tasks(&life), DONE);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_since_runs_the_missing_tasks_of_all_later_events() {
    in_a_shop(async |shop| {
        for code in ["CP-1", "CP-2", "CP-3"] {
            shop.send(redeemed(code)).await;
        }
        shop.send(used("CP-1", "ord_1")).await;
        shop.settle().await;
        for code in ["CP-2", "CP-3"] {
            for channel in ["account", "email", "whatsapp"] {
                delete_record(shop, code, &format!("redeemed/delivery/{channel}")).await;
            }
        }
        let life = command(shop, &["show", &coupon("CP-2"), "--json"]).await;
        assert_eq!(life.json()["missing"][0]["task"], "delivery");

        let ledger = shop.ledger("CP-3").await;
        let since = ledger["redeemed"]["received_at"].as_str().unwrap();
        let printed = command(shop, &["replay", "--since", since, "--json"]).await;
        let printed = printed.json();
        assert_eq!(printed["sent"].as_array().unwrap().len(), 1, "{printed}");
        assert_eq!(printed["sent"][0]["event"], event("CP-3"));
        let skipped = printed["skipped"].as_array().unwrap().iter();
        let reasons: Vec<_> = skipped.map(|it| it["reason"].as_str().unwrap()).collect();
        for done in ["delivery/account done", "inventory done"] {
            let mut reasons = reasons.iter();
            assert!(reasons.any(|it| it.starts_with(done)), "{printed}");
        }

        let all = command(shop, &["replay", "--since", "2020-01-01T00:00:00Z"]).await;
        assert_eq!(all.code, Some(0), "{}", all.error);
        assert!(all.out.contains(&event("CP-2")), "{}", all.out);
        assert!(!all.out.contains(&event("CP-1")), "{}", all.out);
        shop.settle().await;
        assert_eq!(shop.mails().len(), 5);
        let later = command(shop, &["replay", "--since", "2099-01-01T00:00:00Z"]).await;
        assert_eq!(later.out, "0 sent, 0 skipped, 0 failed\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_with_their_reason_and_stay_until_they_are_redriven() {
    in_a_shop(async |shop| {
        let (body, key) = message();
        send_to(shop, "delivery-dead-letter", &body).await;
        let empty = command(shop, &["dead", "--json", "--limit", "1"]).await;
        assert_eq!(empty.json().as_array().unwrap().len(), 1);
        for _ in 0..2 {
            let dead = command(shop, &["dead", "delivery", "--json"]).await.json();
            assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
            assert_eq!(dead[0]["queue"], "delivery-dead-letter");
            assert_eq!(dead[0]["event"], key.as_str());
            assert_eq!(dead[0]["bytes"], body.len());
            let reason = dead[0]["reason"].as_str().unwrap();
            assert!(reason.contains("no record"), "{reason}");
        }

        let moved = command(shop, &["redrive", "delivery", "--json"])
            .await
            .json();
        assert_eq!(moved["status"], "COMPLETED");
        assert_eq!(moved["moved"], 1);
        shop.settle().await;
        assert_eq!(shop.account("ZP-4F95FB0A").await.len(), 1);

        let unreadable = r#"{"version": 99, "name": "Maria"}"#;
        send_to(shop, "delivery-dead-letter", unreadable).await;
        send_to(shop, "delivery-dead-letter", &body).await;
        let dead = command(shop, &["dead", "delivery-dead-letter"]).await.out;
        for piece in ["2 messages", "unreadable: ", "version 99", "settled", &key] {
            assert!(dead.contains(piece), "{piece:?}: {dead}");
        }
        assert!(!dead.contains("Maria"), "{dead}");
        let queue = json!({"QueueUrl": "delivery-dead-letter"});
        shop.aws("AmazonSQS.PurgeQueue", &queue).await;
        let printed = command(shop, &["redrive", "delivery-dead-letter"])
            .await
            .out;
        assert!(printed.starts_with("0 messages moved"), "{printed}");
    })
    .await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_a_redrive() {
    in_a_shop(async |shop| {
        let (body, _) = message();
        for _ in 0..50 {
            send_to(shop, "delivery-dead-letter", &body).await;
        }
        let port = shop.system.aws_url().rsplit_once(':').unwrap().1.to_owned();
        let mut process = Command::new(coupons().await)
            .args(["redrive", "delivery", "--json", "--rate", "1"])
            .args(["--aws-port", &port])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let arn = "arn:aws:sqs:us-east-1:000000000000:delivery-dead-letter";
        let running = async || {
            let asked = json!({"SourceArn": arn});
            let tasks = shop.aws("AmazonSQS.ListMessageMoveTasks", &asked).await;
            tasks["Results"][0]["Status"] == "RUNNING"
        };
        while !running().await {
            assert_eq!(
                process.try_wait().unwrap(),
                None,
                "the command ended by itself"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = process.id().to_string();
        let said = tokio::task::spawn_blocking(move || {
            let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
            assert!(killed.success());
            process.wait_with_output().unwrap()
        });
        let said = Said::from(said.await.unwrap());
        assert_eq!(said.code, Some(130), "{}{}", said.out, said.error);
        let ended: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(ended["status"], "CANCELLED");
        assert!(ended["moved"].as_u64().unwrap() < 50, "{ended}");
        assert!(!running().await);
        let queue = json!({"QueueUrl": "delivery-dead-letter"});
        shop.aws("AmazonSQS.PurgeQueue", &queue).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_says_what_to_do() {
    in_a_shop(async |shop| {
        let unknown = command(shop, &["redrive", "inventori"]).await;
        unknown.check_failed(&["inventori", "delivery"]);
        let gateway = shop.system.gateway_url().rsplit_once(':').unwrap().1;
        let mut swapped = Command::new(coupons().await);
        swapped.args(["dead", "--aws-port", gateway]);
        run(swapped)
            .await
            .check_failed(&["is not the AWS endpoint", "--aws-port"]);
        let nothing = command(shop, &["replay"]).await;
        assert_eq!(nothing.code, Some(2), "{}", nothing.error);
        assert!(nothing.error.contains("--since"), "{}", nothing.error);
        let home = tempfile::tempdir().unwrap();
        let mut nobody = deployed(shop, &["dead", "--deployed"]).await;
        nobody
            .env("HOME", home.path())
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_PROFILE");
        run(nobody)
            .await
            .check_failed(&["no AWS credentials", "AWS_PROFILE"]);
    })
    .await;
    let port = free_port().to_string();
    for arguments in [["show", "CP-1"], ["dead", "delivery"]] {
        for option in ["--port", "--aws-port"] {
            let mut command = Command::new(coupons().await);
            command.args(arguments).args([option, &port]);
            run(command)
                .await
                .check_failed(&["nothing listens", "cargo run", option]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn show_marks_tasks_that_wait_for_the_outbox() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to the outbox");
        let outage = Fault::service(Service::Sqs, CallMode::Fail);
        shop.system.faults().add(outage.by("zupy-coupon-redeemed"));
        shop.send(redeemed("CP-1")).await;
        let life = command(shop, &["show", &coupon("CP-1"), "--json"])
            .await
            .json();
        let undispatched = json!(["delivery", "inventory", "fraud", "analytics"]);
        assert_eq!(life["received"][0]["undispatched"], undispatched);
        let printed = command(shop, &["show", &coupon("CP-1")]).await.out;
        assert!(printed.contains("the outbox sends it"), "{printed}");
        shop.system.faults().clear();
        shop.system.run_schedules().await;
        shop.settle().await;
    })
    .await;
}
