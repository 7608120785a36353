//! Reminders of coupons that expire soon.

use super::*;

/// Zupy reports that a coupon expires soon.
fn expiring(code: &str) -> Webhook {
    reported("coupon.expiring", code).set("/data/valid_until", NEXT_CENTURY)
}

async fn reminder(shop: &Shop, code: &str) -> String {
    let record = format!("expiring@{NEXT_CENTURY}/delivery/reminder");
    shop.record(code, &record).await
}

fn valid(code: &str) -> Webhook {
    redeemed(code).set("/coupon/expires_at", NEXT_CENTURY)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reminder_goes_out_on_the_best_channel() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.expect_error("Cannot be delivered");
        shop.send(valid("both")).await;
        shop.send(valid("mail").set("/customer/whatsapp", Value::Null))
            .await;
        shop.send(valid("wrong-number").set("/customer/whatsapp", "123"))
            .await;
        shop.send(
            valid("nowhere")
                .set("/customer/whatsapp", "123")
                .set("/customer/email", "nobody"),
        )
        .await;
        shop.settle().await;
        let before = shop.system.sent().len();
        for code in ["both", "mail", "wrong-number", "nowhere"] {
            for expected in ["200 accepted", "200 duplicate", "200 duplicate"] {
                assert_eq!(shop.send(expiring(code)).await.word(), expected);
            }
        }
        shop.settle().await;
        let reminders = &shop.system.sent()[before..];
        for (code, channel) in [
            ("both", "whatsapp"),
            ("mail", "email"),
            ("wrong-number", "email"),
        ] {
            let event = format!("zupy#{COMPANY}#{code}/expiring@{NEXT_CENTURY}");
            let sent = about(reminders, &event);
            assert_eq!(sent.len(), 1, "{code}: {sent:?}");
            assert_eq!(sent[0].channel, channel, "{code}");
            assert_eq!(reminder(shop, code).await, "done", "{code}");
        }
        assert_eq!(reminders.len(), 3);
        assert!(reminder(shop, "nowhere").await.starts_with("failed: "));
        let whatsapp = reminders.iter().find(|it| it.channel == "whatsapp");
        let template = whatsapp_of(whatsapp.unwrap()).template.as_deref();
        assert_eq!(template, Some("coupon_reminder_whatsapp"));
        let mail = reminders.iter().find(|it| it.channel == "email").unwrap();
        let subject = mail.subject.as_deref().unwrap();
        assert!(subject.contains("expira em breve"), "{subject}");
        // Only the redemption has the terms.
        assert_snapshot!(mail.text.as_deref().unwrap(), @"
        Olá, Maria! Seu cupom expira em breve.

        Pizza Margherita Grátis
        Grátis
        Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

        Código: mail
        Apresente este código no caixa.
        Válido até 31/12/2125 às 21:00.

        Condições
        Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

        --
        Você recebeu este e-mail porque um cupom foi emitido em seu nome.
        ");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_reminded_of_a_coupon_that_has_ended() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        for code in ["used", "cancelled", "expired"] {
            shop.send(valid(code)).await;
        }
        shop.send(used("used", "ord-1")).await;
        shop.send(reported("coupon.cancelled", "cancelled")).await;
        shop.send(reported("coupon.expired", "expired")).await;
        shop.settle().await;
        let before = shop.system.sent().len();
        for code in ["used", "cancelled", "expired", "unknown"] {
            shop.send(expiring(code)).await;
        }
        // The notice itself says that the coupon has expired.
        let over = reported("coupon.expiring", "over").set("/data/valid_until", LAST_YEAR);
        shop.send(over).await;
        shop.settle().await;
        assert_eq!(shop.system.sent().len(), before);
        for code in ["used", "cancelled", "expired"] {
            let expected = format!("skipped: the coupon is {code}");
            assert_eq!(reminder(shop, code).await, expected);
        }
        assert_eq!(reminder(shop, "unknown").await, "skipped: no contact");
        let over = format!("expiring@{LAST_YEAR}/delivery/reminder");
        assert_eq!(
            shop.record("over", &over).await,
            "skipped: the coupon has expired"
        );
    })
    .await;
}
