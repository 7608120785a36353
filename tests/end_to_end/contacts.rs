//! The addresses of a member: every channel uses the latest address, and never a placeholder.

use serde_json::Value;

use crate::shop::{MEMBER, OWN_SECRET, Shop, Webhook, in_a_shop_with, redeemed, reported, v2};
use crate::support::command;

const NEXT_CENTURY: &str = "2126-01-01T00:00:00Z";

fn worth_a_text(code: &str) -> Webhook {
    redeemed(code).set("/discount_details/discount_value", 60)
}

fn enrolled(webhook_id: &str, at: &str) -> Webhook {
    v2("customer.enrolled")
        .set("/data/customer_id", MEMBER)
        .set("/webhook_id", webhook_id)
        .set("/timestamp", at)
}

async fn statuses(shop: &Shop, code: &str) -> [String; 3] {
    let record = async |channel: &str| {
        let record = format!("redeemed/delivery/{channel}");
        shop.record(code, &record).await
    };
    [
        record("email").await,
        record("whatsapp").await,
        record("sms").await,
    ]
}

fn to(shop: &Shop, channel: &str) -> Vec<String> {
    shop.sent(channel).into_iter().map(|it| it.to).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_repairs_an_address_that_failed() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.expect_error("Cannot be delivered");
        let wrong = worth_a_text("CP-1")
            .set("/customer/email", "not an address")
            .set("/customer/whatsapp", "+55 11 1");
        shop.send(wrong).await;
        shop.settle().await;
        for status in statuses(shop, "CP-1").await {
            assert!(status.starts_with("failed: "), "{status}");
        }
        // An enrolment from before the redemption changes nothing; a later one repairs the address.
        let repaired = enrolled("later", "2026-09-01T00:00:00Z")
            .set("/data/name", "Maria Souza")
            .set("/data/email", "new@example.com")
            .set("/data/phone", "+5511965958000");
        let older = enrolled("older", "2024-09-01T00:00:00Z")
            .set("/data/email", "older@example.com")
            .set("/data/phone", "+5511965958001");
        shop.send(repaired).await;
        shop.send(older).await;
        shop.settle().await;
        let replayed = command(shop, &["replay", "CP-1", "--force"]).await;
        assert_eq!(replayed.code, Some(0), "{}", replayed.error);
        shop.settle().await;
        assert_eq!(statuses(shop, "CP-1").await, ["done", "done", "done"]);
        assert_eq!(to(shop, "email"), ["new@example.com"]);
        assert_eq!(to(shop, "whatsapp"), ["+5511965958000"]);
        assert_eq!(to(shop, "sms"), ["+5511965958000"]);
        assert!(shop.mails()[0].text.as_deref().unwrap().contains("Maria!"));

        // The reminder goes to the same address.
        shop.send(reported("coupon.expiring", "CP-1").set("/data/valid_until", NEXT_CENTURY))
            .await;
        shop.settle().await;
        assert_eq!(to(shop, "whatsapp"), ["+5511965958000", "+5511965958000"]);

        // A later redemption's address counts too.
        let latest = worth_a_text("CP-2").set("/timestamp", "2026-10-01T00:00:00Z");
        shop.send(latest).await;
        shop.settle().await;
        assert_eq!(to(shop, "sms").last().unwrap(), "+5511965958122");
        assert_eq!(to(shop, "email").last().unwrap(), "customer@example.com");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_is_no_name_and_no_address() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        for (code, nothing) in [
            ("CP-1", "null"),
            ("CP-2", "N/A"),
            ("CP-3", "-"),
            ("CP-4", "\u{3164}"),
        ] {
            let nobody = worth_a_text(code)
                .set("/customer/member_id", code)
                .set("/customer/name", nothing)
                .set("/customer/email", nothing)
                .set("/customer/whatsapp", nothing);
            shop.send(nobody).await;
            let named = worth_a_text(&format!("{code}-named"))
                .set("/customer/name", nothing)
                .set("/customer/whatsapp", Value::Null);
            shop.send(named).await;
            shop.settle().await;
            let waiting = "waiting: no contact";
            assert_eq!(statuses(shop, code).await, [waiting; 3], "{nothing:?}");
        }
        let mails = shop.mails();
        assert_eq!(mails.len(), 4);
        for mail in mails {
            let text = mail.text.unwrap();
            assert!(text.starts_with("Olá! Seu cupom"), "{text}");
        }
        // The contact keeps no placeholder either: the coupon waits for a real one.
        let nothing = enrolled("nothing", "2026-09-01T00:00:00Z")
            .set("/data/customer_id", "CP-1")
            .set("/data/name", "undefined")
            .set("/data/email", "none")
            .set("/data/phone", "\u{200b}");
        shop.send(nothing).await;
        shop.settle().await;
        let account = shop.account("CP-1").await;
        let contact = account
            .iter()
            .find(|row| row["entry"] == "contact")
            .unwrap();
        for field in ["name", "email", "phone"] {
            assert_eq!(contact[field], Value::Null, "{field}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_international_domain_gets_its_mail_in_punycode() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(redeemed("CP-1").set("/customer/email", "maria@café.com.br"))
            .await;
        shop.settle().await;
        assert_eq!(to(shop, "email"), ["maria@xn--caf-dma.com.br"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_a_country_is_of_its_tenant_s() {
    let parameters = [
        (
            "ZupyWebhookSecrets",
            "comp_bella_vista=local-zupy-secret, comp_lisboa=lisboa-secret",
        ),
        ("DefaultCountry", "BR, comp_lisboa=PT"),
    ];
    in_a_shop_with(&parameters, async |shop| {
        let brazilian = worth_a_text("CP-1").set("/customer/whatsapp", "(11) 96595-8122");
        let portuguese = worth_a_text("CP-2")
            .set("/company_id", "comp_lisboa")
            .set("/customer/whatsapp", "912 345 678");
        shop.send(brazilian).await;
        shop.send(portuguese.secret("lisboa-secret")).await;
        shop.settle().await;
        for channel in ["whatsapp", "sms"] {
            let mut to = to(shop, channel);
            to.sort();
            assert_eq!(to, ["+351912345678", "+5511965958122"], "{channel}");
        }
    })
    .await;
}
