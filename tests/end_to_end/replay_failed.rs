//! `coupons replay --failed`: repeats records that failed for good, once, after a fix of the cause,
//! and nothing else.

use serde_json::{Value, json};

use crate::shop::{COMPANY, MEMBER, OWN_SECRET, Shop, Webhook, in_a_shop_with, redeemed, v2};
use crate::support::{Said, command, deployed, run};

const NOT_ASCII: &str = "joão@example.com";

fn worth_a_text(code: &str) -> Webhook {
    redeemed(code).set("/discount_details/discount_value", 60)
}

async fn fix(shop: &Shop, email: &str) {
    let enrolled = v2("customer.enrolled")
        .set("/data/customer_id", MEMBER)
        .set("/webhook_id", email)
        .set("/timestamp", "2026-09-01T00:00:00Z")
        .set("/data/email", email)
        .set("/data/phone", Value::Null);
    assert_eq!(shop.send(enrolled).await.word(), "200 accepted");
    shop.settle().await;
}

async fn record(shop: &Shop, code: &str, channel: &str) -> String {
    shop.record(code, &format!("redeemed/delivery/{channel}"))
        .await
}

/// How many messages went out on each channel.
fn sent(shop: &Shop) -> [usize; 3] {
    ["email", "whatsapp", "sms"].map(|channel| shop.sent(channel).len())
}

/// The repeated records, by their event's key.
fn repeated(said: &Said) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let report = said.json();
    assert_eq!(report["failed"], json!([]), "{report}");
    let sent = report["sent"].as_array().unwrap().iter();
    sent.map(|replayed| {
        assert_eq!(replayed["forgotten"], json!([]), "{replayed}");
        let records = replayed["repeated"].as_array().unwrap().iter();
        (text(&replayed["event"]), records.map(text).collect())
    })
    .collect()
}

fn email_of(code: &str) -> (String, Vec<String>) {
    let event = format!("zupy#{COMPANY}#{code}/redeemed");
    (event, vec!["delivery/email".to_owned()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_message_goes_out_after_a_fix_and_nothing_else_does() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.expect_error("Cannot be delivered");
        shop.send(worth_a_text("CP-1").set("/customer/email", NOT_ASCII))
            .await;
        shop.send(worth_a_text("CP-2")).await;
        shop.settle().await;
        let reason = "failed: an e-mail address with other characters than ASCII before the @, \
                      which SES does not take";
        assert_eq!(record(shop, "CP-1", "email").await, reason);
        assert_eq!(sent(shop), [1, 2, 2]);

        fix(shop, "joao@example.com").await;
        assert_eq!(record(shop, "CP-1", "email").await, reason);

        let look = command(shop, &["replay", "--failed", "--dry-run"]).await;
        let event = format!("{}/redeemed", coupon("CP-1"));
        let expected = format!("would send {event} delivery, only delivery/email\n");
        assert!(look.out.starts_with(&expected), "{}", look.out);
        assert_eq!(record(shop, "CP-1", "email").await, reason);

        // Twice in a row, here and as for a deployed system.
        let first = command(shop, &["replay", "--failed", "--json"]).await;
        assert_eq!(repeated(&first), [email_of("CP-1")]);
        let again = deployed(shop, &["replay", "--failed", "--json", "--deployed"]).await;
        let again = repeated(&run(again).await);
        assert!(again.is_empty() || again == [email_of("CP-1")], "{again:?}");
        shop.settle_retries().await;
        assert_eq!(record(shop, "CP-1", "email").await, "done");
        assert_eq!(sent(shop), [2, 2, 2]);
        let mails = shop.mails();
        assert!(mails.iter().any(|mail| mail.to == "joao@example.com"));

        // No failure remains.
        for arguments in [
            &["replay", "--failed", "--json"][..],
            &["replay", "CP-1", "--failed", "--json"],
            &[
                "replay",
                "--failed",
                "--since",
                "2025-01-01T00:00:00Z",
                "--json",
            ],
        ] {
            let said = command(shop, arguments).await;
            assert_eq!(repeated(&said), [], "{arguments:?}");
        }
        shop.settle().await;
        assert_eq!(sent(shop), [2, 2, 2]);
    })
    .await;
}

fn coupon(code: &str) -> String {
    format!("zupy#{COMPANY}#{code}")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fix_the_message_fails_again() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.expect_error("Cannot be delivered");
        shop.send(worth_a_text("CP-1").set("/customer/whatsapp", "(11) 3333-4444"))
            .await;
        shop.settle().await;
        let landline = "failed: a landline, which takes no text messages";
        assert_eq!(record(shop, "CP-1", "sms").await, landline);
        assert_eq!(sent(shop), [1, 1, 0]);
        let said = command(shop, &["replay", "CP-1", "--failed"]).await;
        assert_eq!(said.code, Some(0), "{}", said.error);
        assert!(said.out.contains("only delivery/sms\n"), "{}", said.out);
        shop.settle().await;
        assert_eq!(record(shop, "CP-1", "sms").await, landline);
        let ledger = shop.ledger("CP-1").await;
        assert_eq!(ledger["redeemed/delivery/sms"]["attempts"], 2);
        assert_eq!(sent(shop), [1, 1, 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_may_have_been_sent_is_skipped_unless_its_channel_is_named() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.expect_error("Cannot be delivered");
        shop.send(worth_a_text("CP-1").set("/customer/email", NOT_ASCII))
            .await;
        shop.settle().await;
        fix(shop, "joao@example.com").await;
        // As if its message had reached the dead-letter queue after an attempt without an answer.
        set(shop, "whatsapp", "released").await;
        let said = command(shop, &["replay", "CP-1", "--failed", "--json"]).await;
        assert_eq!(repeated(&said), [email_of("CP-1")]);
        shop.settle_retries().await;
        assert_eq!(record(shop, "CP-1", "email").await, "done");
        assert_eq!(
            record(shop, "CP-1", "whatsapp").await,
            "released: no answer"
        );
        assert_eq!(sent(shop), [1, 1, 1]);

        // SES refused a later attempt.
        set(shop, "whatsapp", "failed").await;
        let said = command(shop, &["replay", "CP-1", "--failed"]).await;
        let hint = "--task delivery/whatsapp repeats it even so";
        assert!(said.out.contains(hint), "{}", said.out);
        let named = ["replay", "CP-1", "--failed", "--task", "delivery/whatsapp"];
        let said = command(shop, &named).await;
        assert!(
            said.out.contains("only delivery/whatsapp\n"),
            "{}",
            said.out
        );
        shop.settle_retries().await;
        assert_eq!(record(shop, "CP-1", "whatsapp").await, "done");
        assert_eq!(sent(shop), [1, 2, 1]);
    })
    .await;
}

/// Makes a channel's record say that its only attempt had no answer, with this status since.
async fn set(shop: &Shop, channel: &str, status: &str) {
    let entry = format!("redeemed/delivery/{channel}");
    let request = json!({
        "TableName": "events",
        "Key": {"coupon": {"S": coupon("CP-1")}, "entry": {"S": entry}},
        "UpdateExpression": "SET #status = :status, #result = :result, in_doubt = :one",
        "ExpressionAttributeNames": {"#status": "status", "#result": "result"},
        "ExpressionAttributeValues": {
            ":status": {"S": status}, ":result": {"S": "no answer"}, ":one": {"N": "1"},
        },
    });
    shop.aws("DynamoDB_20120810.UpdateItem", &request).await;
}
