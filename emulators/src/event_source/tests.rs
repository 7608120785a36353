//! Batches from a queue to real processes.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::lambda::{Failure, Options, Status, tests as lambda_tests};
use crate::sqs::{Queue, Redrive};

fn message(id: &str, body: &str) -> Received {
    Received {
        message_id: id.to_owned(),
        receipt_handle: format!("handle of {id}"),
        body: body.to_owned(),
        md5_of_body: "5d41402abc4b2a76b9719d911017c592".to_owned(),
        attributes: BTreeMap::from([("ApproximateReceiveCount".to_owned(), "1".to_owned())]),
        message_attributes: json!({"kind": {"stringValue": "sale", "dataType": "String"}}),
    }
}

#[test]
fn builds_the_event_that_lambda_builds_of_a_batch() {
    let events = events("delivery", vec![message("m1", "hello")]);
    let event: Value = serde_json::from_str(&events[0].0).unwrap();
    let expected = json!({"Records": [{
        "messageId": "m1",
        "receiptHandle": "handle of m1",
        "body": "hello",
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {"kind": {"stringValue": "sale", "dataType": "String"}},
        "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:delivery",
        "awsRegion": "us-east-1",
    }]});
    assert_eq!(event, expected);
}

#[test]
fn a_batch_that_exceeds_an_invocation_becomes_several_events() {
    let body = "x".repeat(1024 * 1024);
    let batch = (0..10)
        .map(|number| message(&number.to_string(), &body))
        .collect();
    let events = events("delivery", batch);
    let sizes: Vec<_> = events.iter().map(|(_, messages)| messages.len()).collect();
    assert_eq!(sizes, [5, 5]);
    for (payload, messages) in events {
        assert!(payload.len() <= MAXIMUM_PAYLOAD_BYTES);
        let event: Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(event["Records"].as_array().unwrap().len(), messages.len());
    }
}

/// Checks which messages of a batch `a`, `b` stay in the queue.
fn check(invoked: &Invoked, reports: bool, expected: &[&str]) {
    let ids = BTreeSet::from(["a", "b"]);
    let all = || ids.iter().map(ToString::to_string).collect();
    let failed = failed(invoked, reports, &ids).unwrap_or_else(|_| all());
    assert_eq!(
        failed.iter().map(String::as_str).collect::<Vec<_>>(),
        expected,
        "{invoked:?}"
    );
}

fn check_answer(answer: &str, expected: &[&str]) {
    check(&Ok(answer.to_owned().into()), true, expected);
}

#[test]
fn only_reported_messages_stay() {
    check_answer(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, &["b"]);
    check_answer(
        r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}"#,
        &["a", "b"],
    );
}

#[test]
fn an_empty_report_is_success() {
    for answer in [
        r#"{"batchItemFailures":[]}"#,
        r#"{"batchItemFailures":null}"#,
        "{}",
        "null",
        "",
    ] {
        check_answer(answer, &[]);
    }
}

#[test]
fn a_malformed_report_fails_the_whole_batch() {
    for answer in [
        r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"unknown"}]}"#,
        r#"{"batchItemFailures":[{"identifier":"a"}]}"#,
        r#"{"batchItemFailures":["a"]}"#,
        r#"{"batchItemFailures":{}}"#,
        "[]",
        "{",
    ] {
        check_answer(answer, &["a", "b"]);
    }
}

#[test]
fn without_reports_the_answer_does_not_matter() {
    check(
        &Ok(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#.into()),
        false,
        &[],
    );
    check(&Ok("{".into()), false, &[]);
}

#[test]
fn a_failed_invocation_fails_the_whole_batch() {
    let failure = Failure {
        status: Status::Crashed,
        error_type: "Runtime.ExitError".to_owned(),
        message: String::new(),
    };
    check(&Err(failure.clone()), true, &["a", "b"]);
    check(&Err(failure), false, &["a", "b"]);
}

/// A queue `delivery` with the messages, and a function that does what they say.
struct Wired {
    sqs: Sqs,
    lambda: Lambda,
    stop: watch::Sender<bool>,
    polling: tokio::task::JoinHandle<()>,
}

impl Wired {
    async fn new(bodies: &[Value]) -> Wired {
        let sqs = Sqs::open(None).unwrap();
        let queue = |name: &str, redrive| Queue {
            name: name.to_owned(),
            visibility_timeout_s: 1,
            retention_s: 3_600,
            delay_s: 0,
            redrive,
        };
        sqs.declare(queue("delivery-dead-letter", None)).unwrap();
        let redrive = Redrive {
            dead_letter_queue: "delivery-dead-letter".to_owned(),
            max_receive_count: 1,
        };
        sqs.declare(queue("delivery", Some(redrive))).unwrap();
        for body in bodies {
            let message = json!({"QueueUrl": "delivery", "MessageBody": body.to_string()});
            sqs.handle("SendMessage", &message).await.unwrap();
        }
        let lambda = Lambda::open(Options::default()).await.unwrap();
        lambda.start(lambda_tests::echo()).await.unwrap();
        let source = QueueSource {
            queue: "delivery".to_owned(),
            batch_size: 10,
            maximum_concurrency: 2,
            reports_batch_item_failures: true,
            batching_window_s: 0,
        };
        let stop = watch::Sender::new(false);
        let mapping = run(
            source,
            "echo".to_owned(),
            sqs.clone(),
            lambda.clone(),
            stop.subscribe(),
        );
        Wired {
            sqs,
            lambda,
            stop,
            polling: tokio::spawn(mapping),
        }
    }

    fn held(&self, queue: &str) -> usize {
        let counts = self.sqs.counts()[queue];
        counts.visible + counts.in_flight + counts.delayed
    }

    /// Waits until the queue is empty. Returns how many messages reached the dead-letter queue.
    async fn settled(mut self) -> usize {
        let settled = async {
            while self.held("delivery") > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.lambda.idle().await;
        };
        tokio::time::timeout(Duration::from_secs(20), settled)
            .await
            .expect("the queue empties");
        self.stop.send_replace(true);
        (&mut self.polling).await.unwrap();
        self.lambda.stop().await;
        self.held("delivery-dead-letter")
    }
}

#[tokio::test]
async fn deletes_messages_that_succeeded() {
    let wired = Wired::new(&[json!({"do": "report"}), json!({"do": "report"})]).await;
    let lambda = wired.lambda.clone();
    assert_eq!(wired.settled().await, 0);
    assert!(
        lambda
            .recent()
            .iter()
            .all(|invocation| invocation.trigger == "delivery")
    );
}

#[tokio::test]
async fn leaves_what_a_batch_reports_as_failed() {
    let bodies = [
        json!({"do": "report"}),
        json!({"do": "report", "bad": true}),
        json!({"do": "report"}),
    ];
    assert_eq!(Wired::new(&bodies).await.settled().await, 1);
}

#[tokio::test]
async fn leaves_a_batch_whose_function_crashed() {
    assert_eq!(
        Wired::new(&[json!({"do": "exit"})]).await.settled().await,
        1
    );
}

#[tokio::test]
async fn settles_the_batches_that_it_took_before_it_stops() {
    let wired = Wired::new(&[json!({"do": "hang"})]).await;
    while wired.lambda.running() == 0 {
        tokio::task::yield_now().await;
    }
    wired.stop.send_replace(true);
    while wired.lambda.kill("echo") == 0 {
        tokio::task::yield_now().await;
    }
    wired.polling.await.unwrap();
    assert_eq!(wired.lambda.recent().len(), 1);
    wired.lambda.stop().await;
}
