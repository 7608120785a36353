//! Deliberate faults: an accepted event still has all its effects.

use std::time::{Duration, Instant};

use emulators::faults::{CallMode, Fault, HELD_BACK, MessageMode, Moment};
use emulators::lambda::Status;
use emulators::service::Service;
use serde_json::{Value, json};

use crate::shop::{MEMBER, Shop, in_a_shop, redeemed};

const WEBHOOK: &str = "zupy-coupon-redeemed";

/// Checks that the coupon has one record, one entry in the account, one mail and one WhatsApp
/// message.
async fn assert_delivered_once(shop: &Shop, code: &str) {
    assert_delivered(shop, code).await;
    assert_eq!(shop.mails().len(), 1);
}

/// Like the check above, but the mail may have gone out twice if the first answer got lost.
async fn assert_delivered(shop: &Shop, code: &str) {
    let ledger = shop.ledger(code).await;
    let entries: Vec<_> = ledger.keys().map(String::as_str).collect();
    let tasks = [
        "redeemed/analytics",
        "redeemed/delivery/account",
        "redeemed/delivery/email",
        "redeemed/delivery/whatsapp",
        "redeemed/fraud",
        "redeemed/inventory",
    ];
    assert_eq!(entries[..2], ["fraud", "redeemed"]);
    assert_eq!(entries[2..][..tasks.len()], tasks);
    assert_eq!(entries[2 + tasks.len()..], ["reservation"]);
    for task in &tasks {
        assert_eq!(ledger[*task]["status"], "done", "{task}");
    }
    assert_eq!(shop.account(MEMBER).await.len(), 1);
    assert!((1..=2).contains(&shop.mails().len()));
    assert_eq!(shop.sent("whatsapp").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_accepted_and_made_once() {
    in_a_shop(async |shop| {
        let lose = Fault::calls(Service::DynamoDb, "PutItem", CallMode::LoseResponse);
        let id = shop.system.faults().add(lose.by(WEBHOOK).once());
        let answer = shop.send(redeemed("CP-1")).await;
        assert_eq!(answer.word(), "200 accepted");
        assert_eq!(shop.system.faults().applied(id), Some(1));
        shop.settle_retries().await;
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_is_lost_delivers_once() {
    in_a_shop(async |shop| {
        let lose = Fault::service(Service::Sqs, CallMode::LoseResponse);
        let id = shop.system.faults().add(lose.once());
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        assert_eq!(shop.system.faults().applied(id), Some(1));
        shop.settle_retries().await;
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_dynamodb_is_answered_in_time_and_loses_nothing() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to the retry queue");
        let outage = Fault::service(Service::DynamoDb, CallMode::Fail);
        shop.system.faults().add(outage);
        let sent_at = Instant::now();
        for _ in 0..3 {
            assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        }
        assert!(sent_at.elapsed() < Duration::from_secs(10));
        shop.system.faults().clear();
        shop.settle_retries().await;
        assert_delivered_once(shop, "CP-1").await;
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 duplicate");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_that_waited_is_kept_for_support() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to the retry queue");
        shop.expect_error("contradicts one that was recorded");
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let outage = Fault::service(Service::DynamoDb, CallMode::Fail);
        shop.system.faults().add(outage);
        let changed = redeemed("CP-1").set("/coupon/points_spent", 10);
        assert_eq!(shop.send(changed).await.word(), "200 accepted");
        shop.system.faults().clear();
        shop.settle_retries().await;
        let entries = shop.ledger("CP-1").await.into_keys();
        let conflicts = entries.filter(|entry| entry.contains("/conflict/"));
        assert_eq!(conflicts.count(), 1);
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_sqs_leaves_the_tasks_to_the_outbox() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to the outbox");
        let outage = Fault::service(Service::Sqs, CallMode::Fail);
        shop.system.faults().add(outage);
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        let mark = shop.ledger("CP-1").await["redeemed"]["undispatched"].clone();
        assert!(mark.as_str().unwrap().starts_with("work "), "{mark}");
        // The outbox fails, and changes nothing.
        shop.system.run_schedules().await;
        assert_eq!(shop.ledger("CP-1").await["redeemed"]["undispatched"], mark);

        shop.system.faults().clear();
        shop.system.run_schedules().await;
        shop.settle_retries().await;
        assert_delivered_once(shop, "CP-1").await;
        let row = &shop.ledger("CP-1").await["redeemed"];
        assert_eq!(
            (&row["undispatched"], &row["outbox"]),
            (&Value::Null, &Value::Null)
        );
        shop.system.run_schedules().await;
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_where_both_are_down_is_the_event_refused_and_never_before_it_is_durable() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to");
        shop.expect_error("Not taken");
        for service in [Service::DynamoDb, Service::Sqs] {
            let outage = Fault::service(service, CallMode::Fail);
            shop.system.faults().add(outage);
        }
        let sent_at = Instant::now();
        let answer = shop.send(redeemed("CP-1")).await;
        assert!(sent_at.elapsed() < Duration::from_secs(10));
        assert_eq!(answer.word(), "503 unavailable");
        assert_eq!(answer.headers["retry-after"], "30");
        shop.system.faults().clear();
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        shop.settle_retries().await;
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_starts_without_its_secrets_answers_503_until_it_has_them() {
    in_a_shop(async |shop| {
        shop.expect_error("No secrets yet");
        shop.expect_error("Not taken");
        // The process with the secrets dies, and the next one starts while the store refuses to
        // answer.
        let killed = Fault::kill(WEBHOOK, Moment::Start).once();
        shop.system.faults().add(killed);
        let outage = Fault::service(Service::SecretsManager, CallMode::Fail);
        let outage = shop.system.faults().add(outage);
        assert_eq!(shop.send(redeemed("CP-1")).await.status, 500);
        let cold = |shop: &Shop| {
            let runs = shop.system.invocations().into_iter();
            let of_webhook = runs.filter(|run| run.function == WEBHOOK);
            of_webhook
                .filter(|run| run.init_duration_ms.is_some())
                .count()
        };
        for _ in 0..2 {
            let answer = shop.send(redeemed("CP-1")).await;
            assert_eq!(answer.word(), "503 unavailable");
            assert_eq!(answer.headers["retry-after"], "30");
        }
        // A wrong signature gets no hint of the outage.
        let forged = redeemed("CP-2").secret("another");
        assert_eq!(shop.send(forged.clone()).await.word(), "503 unavailable");
        assert_eq!(cold(shop), 1);

        shop.system.faults().remove(outage);
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        assert_eq!(shop.send(forged).await.word(), "401 invalid_signature");
        // The same process recovered without a restart.
        assert_eq!(cold(shop), 1);
        shop.settle_retries().await;
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_in_time_whatever_is_slow() {
    in_a_shop(async |shop| {
        shop.expect_error("Left to");
        shop.expect_error("Not taken");
        for service in [Service::DynamoDb, Service::Sqs] {
            let slow = Fault::service(service, CallMode::Delay(Duration::from_secs(20)));
            shop.system.faults().add(slow.by(WEBHOOK));
        }
        let sent_at = Instant::now();
        let answer = shop.send(redeemed("CP-1")).await;
        assert_eq!(answer.word(), "503 unavailable");
        assert!(sent_at.elapsed() < Duration::from_secs(10));
        shop.system.faults().clear();
        shop.send(redeemed("CP-1")).await;
        shop.settle_retries().await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_is_a_dead_letter_at_once_with_its_reason() {
    in_a_shop(async |shop| {
        shop.expect_error("Given up");
        let url = format!("{}/000000000000/delivery", shop.system.aws_url());
        let send = json!({"QueueUrl": url, "MessageBody": "{\"version\": 1}"});
        shop.aws("AmazonSQS.SendMessage", &send).await;
        shop.settle().await;
        let dead = format!(
            "{}/000000000000/delivery-dead-letter",
            shop.system.aws_url()
        );
        let receive = json!({"QueueUrl": dead, "MessageAttributeNames": ["All"]});
        let received = shop.aws("AmazonSQS.ReceiveMessage", &receive).await;
        let message = &received["Messages"][0];
        assert_eq!(message["Body"], "{\"version\": 1}");
        let reason = message["MessageAttributes"]["Reason"]["StringValue"].as_str();
        assert!(
            reason
                .unwrap()
                .contains("not one that a webhook function writes")
        );
        let delete = json!({"QueueUrl": dead, "ReceiptHandle": message["ReceiptHandle"]});
        shop.aws("AmazonSQS.DeleteMessage", &delete).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_ses_throttles_is_retried_later() {
    in_a_shop(async |shop| {
        let throttled = Fault::calls(Service::Ses, "SendEmail", CallMode::Throttle);
        let id = shop.system.faults().add(throttled.times(3));
        shop.send(redeemed("CP-1")).await;
        shop.settle_retries().await;
        assert_eq!(shop.system.faults().applied(id), Some(3));
        assert_delivered_once(shop, "CP-1").await;
        let mail = &shop.ledger("CP-1").await["redeemed/delivery/email"];
        assert_eq!(mail["attempts"], 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_answer_is_lost_is_sent_twice_at_most() {
    in_a_shop(async |shop| {
        let lose = Fault::calls(Service::Ses, "SendEmail", CallMode::LoseResponse);
        let id = shop.system.faults().add(lose.once());
        shop.send(redeemed("CP-1")).await;
        shop.settle_retries().await;
        assert_eq!(shop.system.faults().applied(id), Some(1));
        assert_delivered(shop, "CP-1").await;
        assert_eq!(shop.mails().len(), 2);
    })
    .await;
}

/// Kills the webhook function at a moment. The provider's next attempt must find everything done,
/// or do it.
async fn check_killed(at: Moment) {
    in_a_shop(async |shop| {
        let id = shop.system.faults().add(Fault::kill(WEBHOOK, at).once());
        let answer = shop.send(redeemed("CP-1")).await;
        assert_eq!(answer.status, 500, "{at:?}");
        assert_eq!(answer.body, json!({"message": "Internal Server Error"}));
        assert_eq!(shop.system.faults().applied(id), Some(1));
        let killed = shop.system.invocations().remove(0);
        assert_eq!(killed.status, Status::Crashed);
        let signal = killed.error.unwrap();
        assert!(signal.contains("SIGKILL"), "{signal}");
        let again = shop.send(redeemed("CP-1")).await;
        assert_eq!(again.status, 200, "{at:?}");
        shop.settle_retries().await;
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_killed_before_it_records_is_healed_by_the_next_attempt() {
    check_killed(Moment::Start).await;
    check_killed(Moment::Call(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_killed_between_record_and_dispatch_is_healed_by_the_next_attempt() {
    check_killed(Moment::AfterCall(1)).await;
    check_killed(Moment::Call(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_killed_after_its_dispatch_is_healed_by_the_next_attempt() {
    check_killed(Moment::AfterCall(2)).await;
    check_killed(Moment::Answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_killed_as_it_begins_or_answers_delivers_once() {
    in_a_shop(async |shop| {
        for at in ["start", "answer"] {
            let fault = json!({"service": "lambda", "function": "delivery", "mode": "kill", "at": at, "count": 1});
            let (status, fault) = shop.ask("POST", "/_local/faults", fault).await;
            assert_eq!(status, 201, "{fault}");
        }
        shop.send(redeemed("CP-1")).await;
        shop.settle_retries().await;
        let faults = shop.system.faults().list();
        assert!(faults.iter().all(|fault| fault["applied"] == 1), "{faults:?}");
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_killed_between_two_tasks_reaches_every_task() {
    for at in [Moment::Call(1), Moment::AfterCall(1), Moment::Answer] {
        in_a_shop(async |shop| {
            let id = shop.system.faults().add(Fault::kill("dispatch", at).once());
            shop.send(redeemed("CP-1")).await;
            shop.settle_retries().await;
            assert_eq!(shop.system.faults().applied(id), Some(1), "{at:?}");
            assert_delivered_once(shop, "CP-1").await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_refuses_entries_of_a_batch_gets_them_again() {
    in_a_shop(async |shop| {
        let partly = Fault::calls(Service::Sqs, "SendMessageBatch", CallMode::FailPartially);
        let id = shop.system.faults().add(partly.times(20));
        for n in 0..5 {
            let answer = shop.send(redeemed(&format!("CP-{n}"))).await;
            assert_eq!(answer.word(), "200 accepted");
        }
        shop.settle_retries().await;
        assert_eq!(shop.system.faults().applied(id), Some(20));
        assert_eq!(shop.account(MEMBER).await.len(), 5);
        assert_eq!(shop.mails().len(), 5);
        for n in 0..5 {
            let inventory = shop.record(&format!("CP-{n}"), "redeemed/inventory").await;
            assert_eq!(inventory, "done");
        }
    })
    .await;
}

/// During a deployment newer code may name a task that this code does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_an_unknown_task_waits() {
    in_a_shop(async |shop| {
        let sample = include_str!("../../events/dispatch.json");
        let sample: Value = serde_json::from_str(sample).unwrap();
        let body = sample["Records"][0]["body"].as_str().unwrap();
        let newer = body.replace("\"fraud\"", "\"surveys-of-tomorrow\"");
        let send = json!({"QueueUrl": "work", "MessageBody": newer});
        shop.aws("AmazonSQS.SendMessage", &send).await;
        shop.settle().await;
        let queues = shop.system.queues();
        assert_eq!(queues["work"].in_flight, 1);
        assert_eq!(queues["work-dead-letter"].visible, 0);
        shop.aws("AmazonSQS.PurgeQueue", &json!({"QueueUrl": "work"}))
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_in_conflict_is_made_once() {
    in_a_shop(async |shop| {
        let conflict = Fault::calls(Service::DynamoDb, "TransactWriteItems", CallMode::Conflict);
        let id = shop.system.faults().add(conflict.times(2));
        shop.send(redeemed("CP-1")).await;
        shop.settle_retries().await;
        assert_eq!(shop.system.faults().applied(id), Some(2));
        assert_delivered_once(shop, "CP-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_doubled_and_out_of_order_deliver_once_each() {
    in_a_shop(async |shop| {
        let faults = shop.system.faults();
        faults.add(Fault::messages("delivery", MessageMode::Duplicate).at_rate(0.5));
        faults.add(Fault::messages("delivery", MessageMode::Reorder(HELD_BACK)));
        for n in 0..10 {
            let answer = shop.send(redeemed(&format!("CP-{n}"))).await;
            assert_eq!(answer.word(), "200 accepted");
        }
        shop.settle_retries().await;
        assert_eq!(shop.account(MEMBER).await.len(), 10);
        assert_eq!(shop.mails().len(), 10);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_added_listed_and_cleared_over_http() {
    in_a_shop(async |shop| {
        let wrong = json!({"service": "ses", "mode": "conflict", "rate": 2});
        let (status, refusal) = shop.ask("POST", "/_local/faults", wrong).await;
        assert_eq!(
            (status, refusal["problems"].as_array().unwrap().len()),
            (400, 2)
        );
        let fault = json!({"service": "sqs", "mode": "throttle", "count": 1});
        let (status, added) = shop.ask("POST", "/_local/faults", fault).await;
        assert_eq!((status, &added["applied"]), (201, &json!(0)));
        assert!(added["seed"].is_u64());
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let (_, faults) = shop.ask("GET", "/_local/faults", Value::Null).await;
        assert_eq!(
            (&faults[0]["applied"], &faults[0]["active"]),
            (&json!(1), &json!(false))
        );
        let one = format!("/_local/faults/{}", added["id"]);
        assert_eq!(shop.ask("DELETE", &one, Value::Null).await.0, 200);
        assert_eq!(shop.ask("DELETE", &one, Value::Null).await.0, 404);
        let fault = json!({"service": "*", "mode": "delay", "delay_ms": 1});
        shop.ask("POST", "/_local/faults", fault).await;
        let (_, cleared) = shop.ask("DELETE", "/_local/faults", Value::Null).await;
        assert_eq!(cleared, json!({"removed": 1}));
        let (_, faults) = shop.ask("GET", "/_local/faults", Value::Null).await;
        assert_eq!(faults, json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_waited_for_and_hurried_over_http() {
    in_a_shop(async |shop| {
        shop.system
            .faults()
            .add(Fault::kill("delivery", Moment::Start).once());
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let all = "/_local/idle?in_flight=true&timeout_s";
        assert_eq!(shop.get(&format!("{all}=0.1")).await.0, 504);
        let hurry = |queue: &str| format!("/_local/queues/{queue}/hurry");
        let (status, hurried) = shop.ask("POST", &hurry("delivery"), Value::Null).await;
        assert_eq!((status, &hurried["hurried"]), (200, &json!(1)));
        assert_eq!(shop.get(&format!("{all}=30")).await.0, 200);
        assert_delivered_once(shop, "CP-1").await;
        assert_eq!(
            shop.ask("POST", &hurry("nothing"), Value::Null).await.0,
            404
        );
        let schedule = format!("/_local/schedules/{WEBHOOK}");
        assert_eq!(shop.ask("POST", &schedule, Value::Null).await.0, 404);
    })
    .await;
}
