//! The worker against real queues: what happens to messages that nobody can process.

use std::time::Duration;

use emulators::faults::{Fault, Moment};
use jiff::Timestamp;
use serde_json::{Value, json};
use webhooks::config::{Aws, Environment};
use webhooks::invocation::Invocation;
use webhooks::task::Unreadable;
use webhooks::worker::{Failure, Queue, QueueMessage, Work, Worker};

use crate::shop::{COMPANY, MEMBER, Shop, in_a_shop, redeemed};
use crate::support::command;

/// The maximum size of a dead letter, including its attributes.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;

/// A message with a text that is the reason to give it up.
struct Reason(String);

impl QueueMessage for Reason {
    fn read(body: &str) -> Result<Self, Unreadable> {
        Ok(Self(serde_json::from_str(body).unwrap()))
    }

    fn key(&self) -> String {
        "zupy#comp#CP-1/redeemed".into()
    }
}

struct GiveUp;

impl Work for GiveUp {
    type Message = Reason;

    async fn work(&self, reason: Reason, _: Invocation) -> Result<(), Failure> {
        let reason: String = reason.0.chars().take(2_000).collect();
        Err(Failure::Permanent(anyhow::anyhow!("{reason}")))
    }
}

/// Gives up a message of the queue `delivery` for a reason. Returns the dead letter's reason.
async fn dead_letter(shop: &Shop, reason: &str) -> Option<String> {
    let url = shop.system.aws_url();
    let queue = |name: &str| format!("{url}/000000000000/{name}");
    let mut environment = Environment::of([
        ("DELIVERY_QUEUE_URL", queue("delivery")),
        (
            "DELIVERY_DEAD_LETTER_QUEUE_URL",
            queue("delivery-dead-letter"),
        ),
        ("EVENTS_TABLE", "events".into()),
    ]);
    let aws = Aws::local(url);
    let worker = Worker::new(Queue::read(&mut environment, &aws, "delivery"), GiveUp);
    // SQS accepts the body, because JSON may write any character as an escape.
    let body: String = serde_json::to_string(reason).unwrap();
    let body = body
        .replace('\u{FFFE}', "\\ufffe")
        .replace('\u{FFFF}', "\\uffff");
    let message = json!({"messageId": "1", "receiptHandle": "none", "body": body});
    let batch = json!({"Records": [message]});
    let now = Timestamp::now();
    let invocation = Invocation::new(now, now + Duration::from_secs(30));
    let report = worker
        .work(serde_json::from_value(batch).unwrap(), invocation)
        .await;
    assert_eq!(
        report.batch_item_failures,
        [],
        "the message is no dead letter"
    );
    let receive =
        json!({"QueueUrl": queue("delivery-dead-letter"), "MessageAttributeNames": ["All"]});
    let received = shop.aws("AmazonSQS.ReceiveMessage", &receive).await;
    let message = &received["Messages"][0];
    assert_eq!(message["Body"], body);
    let delete = json!({
        "QueueUrl": queue("delivery-dead-letter"),
        "ReceiptHandle": message["ReceiptHandle"],
    });
    shop.aws("AmazonSQS.DeleteMessage", &delete).await;
    let reason: &Value = &message["MessageAttributes"]["Reason"]["StringValue"];
    reason.as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_has_its_reason_whatever_characters_that_holds() {
    in_a_shop(async |shop| {
        for (reason, expected) in [
            ("a code: CP-\u{FFFF}1", "a code: CP-\u{FFFD}1"),
            (
                "\u{0}\u{B}\u{1F}\u{FFFE}\tCP\n\r",
                "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\tCP\n\r",
            ),
            // SQS accepts all characters of the planes above the first.
            ("\u{1FFFF}\u{10FFFF}\u{7F}", "\u{1FFFF}\u{10FFFF}\u{7F}"),
            ("", "no reason was given"),
        ] {
            assert_eq!(dead_letter(shop, reason).await.as_deref(), Some(expected));
        }
        // The worker cuts a reason that is too long for an attribute between two characters.
        let long = dead_letter(shop, &"\u{FFFF}é".repeat(700)).await.unwrap();
        assert!((990..=1000).contains(&long.len()), "{}", long.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_as_large_as_sqs_takes_becomes_a_dead_letter_all_the_same() {
    in_a_shop(async |shop| {
        let quotes = 2;
        let largest = "x".repeat(MESSAGE_MAX_BYTES - quotes);
        assert_eq!(dead_letter(shop, &largest).await, None);
        let room = "Reason".len() + "String".len() + 9;
        let reason = dead_letter(shop, &largest[room..]).await;
        assert_eq!(reason.as_deref(), Some("xxxxxxxxx"));
    })
    .await;
}

/// Waits until the system has settled, including retries after the time of the attempts that died.
async fn settle_deaths(shop: &Shop) {
    loop {
        shop.settle().await;
        let rows = shop.system.items("events").await.unwrap().into_iter();
        for note in rows.filter(|row| row["begun"].is_array()) {
            let begun = note["begun"].as_array().unwrap().iter();
            let own = begun.map(|id| id.as_str().unwrap().rsplit('-').next().unwrap());
            let over: Vec<_> = own.map(|own| format!("0-0-{own}")).collect();
            let update = json!({
                "TableName": "events",
                "Key": {"coupon": {"S": note["coupon"]}, "entry": {"S": note["entry"]}},
                "UpdateExpression": "SET begun = :over",
                "ExpressionAttributeValues": {":over": {"SS": over}},
            });
            shop.aws("DynamoDB_20120810.UpdateItem", &update).await;
        }
        if shop.hurry() == 0 {
            return;
        }
    }
}

/// A message of this coupon kills every process that works on it. After three times the message is
/// a dead letter, and the functions have done the other messages of its batches, each once.
async fn check_deadly(function: &str) {
    in_a_shop(async |shop| {
        shop.expect_error("Given up: its process died 3 times");
        // The limit is a row's key: the worker may still send the message itself to the dead-letter
        // queue.
        let key = format!(r#""S":"zupy#{COMPANY}#CP-DEADLY""#);
        let kill = Fault::kill(function, Moment::Call(1)).holding(&key);
        let kill = shop.system.faults().add(kill);
        let codes = ["CP-1", "CP-2", "CP-DEADLY", "CP-3"];
        let redemptions = codes.map(|code| shop.send(redeemed(code)));
        futures_util::future::join_all(redemptions).await;
        settle_deaths(shop).await;
        let queue = format!("{function}-dead-letter");
        let receive =
            json!({"QueueUrl": queue, "MessageAttributeNames": ["All"], "VisibilityTimeout": 0});
        let received = shop.aws("AmazonSQS.ReceiveMessage", &receive).await;
        let message = &received["Messages"][0];
        let body = message["Body"].as_str().unwrap();
        assert!(body.contains("CP-DEADLY"), "{body}");
        let reason = &message["MessageAttributes"]["Reason"]["StringValue"];
        let reason = reason.as_str().unwrap();
        assert!(reason.starts_with("its process died 3 times"), "{reason}");
        assert_eq!(shop.system.faults().applied(kill), Some(3));
        shop.system.faults().clear();
        let records = [
            "redeemed/delivery/email",
            "redeemed/inventory",
            "redeemed/fraud",
            "redeemed/analytics",
        ];
        for code in ["CP-1", "CP-2", "CP-3"] {
            for record in records {
                assert_eq!(shop.record(code, record).await, "done", "{code} {record}");
            }
        }

        // After the fix, a redrive does the rest.
        let redriven = command(shop, &["redrive", function, "--json"]).await;
        assert_eq!(redriven.json()["moved"], 1, "{}", redriven.error);
        shop.settle_retries().await;
        for record in records {
            assert_eq!(shop.record("CP-DEADLY", record).await, "done", "{record}");
        }
        assert_eq!(shop.account(MEMBER).await.len(), 4);
        assert_eq!(shop.mails().len(), 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_its_batch_three_times_is_a_dead_letter_and_its_neighbours_go_on() {
    check_deadly("inventory").await;
    check_deadly("fraud").await;
    check_deadly("analytics").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_its_process_three_times_is_a_dead_letter_and_its_neighbours_go_on() {
    check_deadly("delivery").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_by_chance_costs_no_message() {
    in_a_shop(async |shop| {
        for function in ["delivery", "inventory", "fraud", "analytics"] {
            let kill = Fault::kill(function, Moment::Call(1)).holding("CP-1");
            shop.system.faults().add(kill.times(2));
        }
        shop.send(redeemed("CP-1")).await;
        shop.settle_retries().await;
        for record in [
            "redeemed/delivery/email",
            "redeemed/inventory",
            "redeemed/fraud",
            "redeemed/analytics",
        ] {
            assert_eq!(shop.record("CP-1", record).await, "done", "{record}");
        }
        let events = shop.system.items("events").await.unwrap().into_iter();
        let notes = events.filter(|row| row["coupon"].as_str().unwrap().starts_with("message#"));
        let notes: Vec<_> = notes.collect();
        assert_eq!(notes.len(), 4, "{notes:?}");
        for note in notes {
            // The note no longer counts against the message.
            assert!(note["begun"].is_null() && note["ttl"].is_number(), "{note}");
        }
    })
    .await;
}
