//! The worker against real queues: what becomes of messages that nobody can work off.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use webhooks::config::{Aws, Environment};
use webhooks::invocation::Invocation;
use webhooks::task::Unreadable;
use webhooks::worker::{Failure, Queue, QueueMessage, Work, Worker};

use crate::shop::{Shop, in_a_shop};

/// What a dead letter may weigh, its attributes included.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;

/// A message that is its own reason to be given up.
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

/// Gives up a message of the queue `delivery` for a reason; returns the reason of the dead letter.
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
    // As SQS takes the body: JSON may write any character as an escape.
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
    assert_eq!(report.batch_item_failures, [], "it is no dead letter");
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
            // Of planes above the first SQS takes all.
            ("\u{1FFFF}\u{10FFFF}\u{7F}", "\u{1FFFF}\u{10FFFF}\u{7F}"),
            ("", "no reason was given"),
        ] {
            assert_eq!(dead_letter(shop, reason).await.as_deref(), Some(expected));
        }
        // What is longer than an attribute needs to be is cut, and between two characters.
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
