//! Coupons that wait for a contact, or for an address.

use super::*;

fn redeemed_in_v2(code: &str, valid_until: &str) -> Webhook {
    reported("reward.redeemed", code).set("/data/valid_until", valid_until)
}

fn enrolled(webhook_id: &str) -> Webhook {
    v2("customer.enrolled")
        .set("/data/customer_id", MEMBER)
        .set("/webhook_id", webhook_id)
}

/// v1 reports a new member on the URL that takes all events.
fn registered() -> Webhook {
    let body = include_str!("../../../events/samples/zupy-customer-registered.json");
    redeemed("any").to(crate::shop::ZUPY).body(body)
}

async fn settled_records(shop: &Shop, code: &str) -> [String; 2] {
    [
        shop.record(code, EMAIL).await,
        shop.record(code, WHATSAPP).await,
    ]
}

const NO_CONTACT: [&str; 2] = ["waiting: no contact", "waiting: no contact"];

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_waits_for_its_members_contact_within_its_life() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(redeemed_in_v2("good", NEXT_CENTURY)).await;
        shop.send(redeemed_in_v2("over", LAST_YEAR)).await;
        shop.send(redeemed_in_v2("used", NEXT_CENTURY)).await;
        shop.send(redeemed_in_v2("cancelled", NEXT_CENTURY)).await;
        let others = redeemed_in_v2("others", NEXT_CENTURY).set("/data/customer_id", "another");
        shop.send(others).await;
        shop.send(used("used", "ord-1")).await;
        shop.send(reported("coupon.cancelled", "cancelled")).await;
        shop.settle().await;
        for code in ["good", "over", "used", "cancelled", "others"] {
            assert_eq!(settled_records(shop, code).await, NO_CONTACT, "{code}");
        }
        assert_eq!(shop.sent_to_people(), []);
        // Support can see that the member is unknown, but nobody has to act.
        assert_eq!(shop.account(MEMBER).await.len(), 4);

        for _ in 0..3 {
            shop.send(enrolled("first")).await;
        }
        shop.settle().await;
        assert_eq!(settled_records(shop, "good").await, ["done", "done"]);
        for code in ["over", "used", "cancelled", "others"] {
            assert_eq!(settled_records(shop, code).await, NO_CONTACT, "{code}");
        }
        for channel in ["email", "whatsapp"] {
            let sent = shop.sent(channel);
            assert_eq!(sent.len(), 1, "{sent:?}");
            assert_eq!(sent[0].event, Some(event("good")));
        }
        assert!(shop.mails()[0].text.as_deref().unwrap().contains("Maria"));

        // A later coupon finds the contact, and no message goes out again.
        shop.send(redeemed_in_v2("later", NEXT_CENTURY)).await;
        shop.send(enrolled("second")).await;
        shop.send(redeemed_in_v2("good", NEXT_CENTURY)).await;
        shop.settle().await;
        assert_eq!(settled_records(shop, "later").await, ["done", "done"]);
        assert_eq!(shop.mails().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_without_an_address_waits_for_the_next_contact() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(redeemed_in_v2("CP-1", NEXT_CENTURY)).await;
        let by_mail = registered().set("/customer/whatsapp", Value::Null);
        assert_eq!(shop.send(by_mail).await.word(), "200 accepted");
        shop.settle().await;
        let [email, whatsapp] = settled_records(shop, "CP-1").await;
        assert_eq!(email, "done");
        assert!(whatsapp.starts_with("waiting: no "), "{whatsapp}");

        // The second enrolment has an earlier time but arrives later, so the known contact stays.
        let older = enrolled("older")
            .set("/timestamp", "2020-01-01T00:00:00Z")
            .set("/data/phone", "+5511000000000");
        assert_eq!(shop.send(older).await.word(), "200 accepted");
        shop.settle().await;
        assert_eq!(shop.sent("whatsapp"), []);

        shop.send(enrolled("newer")).await;
        shop.settle().await;
        assert_eq!(settled_records(shop, "CP-1").await, ["done", "done"]);
        assert_eq!(shop.mails().len(), 1);
        assert_eq!(shop.sent("whatsapp")[0].to, "+5511965958122");
        assert_eq!(shop.account(MEMBER).await.len(), 2);

        // The contact keeps no address that the latest enrolment does not name.
        let latest = enrolled("latest")
            .set("/timestamp", "2026-06-01T00:00:00Z")
            .set("/data/phone", Value::Null);
        shop.send(latest).await;
        shop.settle().await;
        let rows = shop.account(MEMBER).await;
        let contact = rows.iter().find(|row| row["entry"] == "contact").unwrap();
        assert_eq!(
            (&contact["phone"], contact["email"].is_string()),
            (&Value::Null, true)
        );
    })
    .await;
}

/// An operator who sets up a channel does not want messages about every old coupon.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_was_set_up_later_sends_nothing_for_old_coupons() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(redeemed_in_v2("CP-1", NEXT_CENTURY)).await;
        shop.settle().await;
        let coupon = json!({"S": format!("zupy#{COMPANY}#CP-1")});
        let account = json!({
            "TableName": "events",
            "Key": {"coupon": coupon, "entry": {"S": "redeemed/delivery/account"}},
            "UpdateExpression": "SET #then = :then",
            "ExpressionAttributeNames": {"#then": "then"},
            "ExpressionAttributeValues": {":then": {"S": "delivery/email"}},
        });
        shop.aws("DynamoDB_20120810.UpdateItem", &account).await;
        let whatsapp =
            json!({"TableName": "events", "Key": {"coupon": coupon, "entry": {"S": WHATSAPP}}});
        shop.aws("DynamoDB_20120810.DeleteItem", &whatsapp).await;
        shop.send(enrolled("first")).await;
        shop.settle().await;
        assert_eq!(shop.record("CP-1", EMAIL).await, "done");
        assert_eq!(shop.sent("whatsapp"), []);
    })
    .await;
}
