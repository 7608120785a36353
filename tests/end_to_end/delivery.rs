//! A redeemed coupon reaches its customer in the account and by mail, each once.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::shop::{
    COMPANY, EXPIRES_AT, MEMBER, OWN_SECRET, Shop, code_redeemed, in_a_shop, in_a_shop_with,
    redeemed, reported, used,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_coupon_is_stored_in_the_members_account() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.send(redeemed("CP-2")).await;
        shop.send(redeemed("CP-3").set("/customer/member_id", "another"))
            .await;
        shop.settle().await;
        let account = shop.account(MEMBER).await;
        let codes: Vec<_> = account.iter().map(|coupon| &coupon["code"]).collect();
        assert_eq!(codes, ["CP-1", "CP-2"]);
        let coupon = &account[0];
        assert_eq!(coupon["state"], "active");
        assert_eq!(coupon["reward"], "Pizza Margherita Grátis");
        assert_eq!(coupon["expires_at"], EXPIRES_AT);
        assert!(coupon["description"].as_str().unwrap().starts_with("Pizza"));
        assert!(coupon["terms"].as_str().unwrap().starts_with("Válido"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coupon_is_mailed_in_portuguese() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let mails = shop.mails();
        assert_eq!(mails.len(), 1);
        let mail = &mails[0];
        assert_eq!(mail.to, "customer@example.com");
        let subject = mail.subject.as_deref().unwrap();
        assert_eq!(subject, "Seu cupom: Pizza Margherita Grátis");
        let event = format!("zupy#{COMPANY}#CP-1/redeemed");
        assert_eq!(mail.event.as_deref(), Some(event.as_str()));
        // 14:20 UTC is 11:20 in São Paulo.
        assert_snapshot!(mail.text.as_deref().unwrap(), @"
        Olá, Maria! Seu cupom está pronto.

        Pizza Margherita Grátis
        Grátis
        Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

        Código: CP-1
        Apresente este código no caixa.
        Válido até 26/09/2125 às 11:20.

        Condições
        Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

        --
        Você recebeu este e-mail porque um cupom foi emitido em seu nome.
        ");
        let html = mail.html.as_deref().unwrap();
        for piece in ["Maria", "CP-1", "26 de setembro de 2125"] {
            assert!(html.contains(piece), "{piece} is missing in {html}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_escaped_in_the_mail() {
    in_a_shop(async |shop| {
        let name = "<script>alert(1)</script> & Cia";
        shop.send(redeemed("CP-1").set("/coupon/reward_name", name))
            .await;
        shop.settle().await;
        let mail = shop.mails().remove(0);
        assert!(!mail.html.as_deref().unwrap().contains("<script"));
        assert!(mail.text.as_deref().unwrap().contains(name));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_is_sent_once_when_sqs_delivers_twice() {
    in_a_shop(async |shop| {
        // The call is slow enough for both deliveries to run at the same time.
        let slow = CallMode::Delay(Duration::from_millis(700));
        let slow = Fault::calls(Service::Ses, "SendEmail", slow);
        shop.system.faults().add(slow);
        shop.system.sqs().deliver_twice("delivery", 5);
        for n in 0..5 {
            shop.send(redeemed(&format!("CP-{n}"))).await;
        }
        shop.settle().await;
        assert_eq!(shop.mails().len(), 5);
        assert_eq!(shop.account(MEMBER).await.len(), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_is_sent_once_when_the_message_is_delivered_again_later() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let body = message_of(shop, "CP-1").await;
        let queue = "http://127.0.0.1/000000000000/delivery";
        for _ in 0..3 {
            let send = json!({"QueueUrl": queue, "MessageBody": body});
            shop.system
                .sqs()
                .handle("SendMessage", &send)
                .await
                .unwrap();
        }
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
        assert_eq!(shop.account(MEMBER).await.len(), 1);
    })
    .await;
}

/// Rebuilds the message of the webhook function from the recorded event.
async fn message_of(shop: &Shop, code: &str) -> String {
    use webhooks::provider::zupy::Zupy;
    use webhooks::provider::{Content, Provider, SCHEMES};
    use webhooks::task::Message;
    use webhooks::verify::Secrets;

    let body = shop.ledger(code).await["redeemed"]["body"].clone();
    let body = body.as_str().unwrap().as_bytes();
    let secrets = Secrets::parse("s").unwrap();
    let [_, scheme, _] = SCHEMES;
    let headers = scheme.sign(body, secrets.first(), jiff::Timestamp::UNIX_EPOCH);
    let headers = headers.into_iter().collect();
    let (verified, _) = scheme.verify(&headers, body, &secrets).unwrap();
    match Zupy::every_event().parse(&verified).content {
        Content::Event(event) => Message::new(&event, jiff::Timestamp::UNIX_EPOCH, None).to_body(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_sends_tasks_again_that_left_no_record() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        // As if the first attempt had died between recording and dispatching.
        forget_tasks(shop, "CP-1").await;
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 duplicate");
        shop.settle().await;
        assert_eq!(shop.mails().len(), 2);
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 duplicate");
        shop.settle().await;
        assert_eq!(shop.mails().len(), 2);
    })
    .await;
}

/// Deletes the records of an event's tasks through the AWS endpoint, as any client could.
async fn forget_tasks(shop: &Shop, code: &str) {
    for entry in shop.ledger(code).await.into_keys() {
        if entry.contains('/') {
            let key = json!({
                "coupon": {"S": format!("zupy#{COMPANY}#{code}")},
                "entry": {"S": entry},
            });
            let delete = json!({"TableName": "events", "Key": key});
            shop.aws("DynamoDB_20120810.DeleteItem", &delete).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_an_address_gets_the_account_entry_alone() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1").unset("/customer/email")).await;
        shop.send(redeemed("CP-2").set("/customer/email", Value::Null))
            .await;
        shop.send(redeemed("CP-3").set("/customer/email", " "))
            .await;
        shop.settle().await;
        assert_eq!(shop.mails().len(), 0);
        assert_eq!(shop.account(MEMBER).await.len(), 3);
        let record = &shop.ledger("CP-1").await["redeemed/delivery/email"];
        assert_eq!(record["status"], "waiting");
        assert_eq!(record["result"], "no e-mail address");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_address_is_recorded_as_failed_and_stops_nothing() {
    in_a_shop(async |shop| {
        shop.expect_error("Cannot be delivered");
        shop.send(redeemed("CP-1").set("/customer/email", "nobody"))
            .await;
        shop.settle().await;
        assert_eq!(shop.account(MEMBER).await.len(), 1);
        let record = &shop.ledger("CP-1").await["redeemed/delivery/email"];
        assert_eq!(record["status"], "failed");
        assert_eq!(record["result"], "not one e-mail address");
        // A redelivery does not try again.
        shop.send(redeemed("CP-1").set("/customer/email", "nobody"))
            .await;
        shop.settle().await;
        assert_eq!(
            shop.ledger("CP-1").await["redeemed/delivery/email"]["attempts"],
            1
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_and_game_items_cause_no_message() {
    in_a_shop(async |shop| {
        shop.send(used("CP-1", "ord-1")).await;
        shop.send(code_redeemed("key")).await;
        shop.settle().await;
        // Only operators get an alert about the stock.
        assert_eq!(shop.sent_to_people(), []);
    })
    .await;
}

/// The account shows the same, in any order of the events.
#[tokio::test(flavor = "multi_thread")]
async fn the_account_ends_in_the_same_state_in_any_order() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let cancelled = |code: &str| reported("coupon.cancelled", code);
        let expired = |code: &str| reported("coupon.expired", code);
        let stories = [
            ("CP-1", vec![redeemed("CP-1"), used("CP-1", "o")], "used"),
            ("CP-2", vec![used("CP-2", "o"), redeemed("CP-2")], "used"),
            (
                "CP-3",
                vec![cancelled("CP-3"), redeemed("CP-3")],
                "cancelled",
            ),
            (
                "CP-4",
                vec![redeemed("CP-4"), cancelled("CP-4"), expired("CP-4")],
                "cancelled",
            ),
            (
                "CP-5",
                vec![expired("CP-5"), cancelled("CP-5"), redeemed("CP-5")],
                "cancelled",
            ),
            (
                "CP-6",
                vec![used("CP-6", "o"), expired("CP-6"), redeemed("CP-6")],
                "used",
            ),
            ("CP-7", vec![redeemed("CP-7")], "active"),
        ];
        for (code, webhooks, _) in &stories {
            for webhook in webhooks {
                let answer = shop.send(webhook.clone()).await;
                assert_eq!(answer.word(), "200 accepted", "{code}: {answer:?}");
                shop.settle().await;
            }
        }
        let account = shop.account(MEMBER).await;
        for (code, _, state) in &stories {
            let coupon = account.iter().find(|coupon| coupon["code"] == *code);
            let coupon = coupon.unwrap();
            assert_eq!(coupon["state"], *state, "{code}");
            assert_eq!(coupon["reward"], "Pizza Margherita Grátis", "{code}");
        }
        // The mails are those of CP-1, CP-4 and CP-7: the others had ended before their redemption
        // arrived.
        assert_eq!(shop.mails().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_personal_data_is_logged() {
    in_a_shop(async |shop| {
        shop.expect_error("Cannot be delivered");
        shop.send(redeemed("CP-1")).await;
        shop.send(redeemed("CP-1").set("/customer/name", "Other"))
            .await;
        shop.send(redeemed("CP-2").set("/customer/email", "customer@"))
            .await;
        shop.send(redeemed("CP-3").set("/customer/whatsapp", 5_511_965_958_122_i64))
            .await;
        shop.settle().await;
        for function in ["zupy-coupon-redeemed", "delivery"] {
            let lines = shop.system.logs(function);
            assert!(!lines.is_empty());
            for line in lines {
                for personal in ["customer@", "Maria", "965958122"] {
                    assert!(!line.line.contains(personal), "{line}");
                }
            }
        }
    })
    .await;
}
