//! A member's legal rights: to see their data, to get no messages, to have the data erased.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::shop::{
    COMPANY, MEMBER, OWN_SECRET, Shop, in_a_shop_with, redeemed, reported, used, v2,
};
use crate::support::command;

/// Pieces of text that identify the samples' customer.
const PERSONAL: [&str; 5] = ["Maria", "Silva", "customer@", "965958122", "Beltrana"];

/// Where personal data are in the tables: `table: entry`.
async fn personal_data(shop: &Shop) -> Vec<String> {
    let mut found = Vec::new();
    for table in ["events", "members"] {
        for item in shop.system.items(table).await.unwrap() {
            let text = item.to_string();
            if PERSONAL.iter().any(|piece| text.contains(piece)) {
                let entry = item["entry"].as_str().unwrap_or_default();
                found.push(format!("{table}: {entry}"));
            }
        }
    }
    found
}

fn enrolled(webhook_id: &str) -> crate::shop::Webhook {
    v2("customer.enrolled")
        .set("/data/customer_id", MEMBER)
        .set("/webhook_id", webhook_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_can_be_forgotten_in_every_table_and_nothing_comes_twice() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let unknown_field = redeemed("CP-1").set("/customer/cpf", "Silva 123.456.789-09");
        shop.send(unknown_field).await;
        // A contradiction keeps another body.
        let changed = redeemed("CP-1")
            .set("/customer/name", "Beltrana")
            .set("/coupon/points_spent", 10);
        assert_eq!(shop.send(changed).await.word(), "409 conflicting_payload");
        shop.send(used("CP-1", "ord-1")).await;
        shop.send(enrolled("first")).await;
        shop.send(reported("reward.redeemed", "CP-2")).await;
        let other = redeemed("CP-3").set("/customer/member_id", "another");
        shop.send(other).await;
        shop.settle().await;
        // A draft of a message, as a test event's record has it.
        let draft = json!({
            "TableName": "events",
            "Key": {"coupon": {"S": format!("zupy#{COMPANY}#CP-1")}, "entry": {"S": "redeemed/delivery/email"}},
            "UpdateExpression": "SET would_send = :draft",
            "ExpressionAttributeValues": {":draft": {"S": r#"{"to": "customer@example.com"}"#}},
        });
        shop.aws("DynamoDB_20120810.UpdateItem", &draft).await;

        let shown = command(shop, &["member", MEMBER, "--json"]).await.json();
        assert_eq!(shown["member"], format!("zupy#{COMPANY}#{MEMBER}").as_str());
        assert_eq!(shown["contact"]["email"], "customer@example.com");
        assert_eq!(shown["coupons"].as_array().unwrap().len(), 2);
        assert_eq!(shown["do_not_contact"], false);

        let before = personal_data(shop).await;
        let forget = ["member", MEMBER, "--forget", "--json"];
        let dry = command(shop, &[forget.as_slice(), &["--dry-run"]].concat()).await;
        let dry = dry.json();
        assert_eq!(dry["dry_run"], true);
        assert_eq!(personal_data(shop).await, before);

        let done = command(shop, &forget).await.json();
        assert_eq!(done["contact"], true);
        for counted in ["contact", "bodies", "drafts"] {
            assert_eq!(done[counted], dry[counted], "{counted}");
        }
        // Bodies: redeemed, its contradiction, used, enrolled.
        assert_eq!((&done["bodies"], &done["drafts"]), (&json!(4), &json!(1)));
        // All data of the other member are still there.
        assert_eq!(personal_data(shop).await, ["events: redeemed"]);
        let shown = command(shop, &["member", MEMBER, "--json"]).await.json();
        assert_eq!(shown["contact"], Value::Null);
        assert!(shown["forgotten_at"].is_string(), "{shown}");
        assert_eq!(shown["coupons"].as_array().unwrap().len(), 2);
        let again = command(shop, &forget).await.json();
        assert_eq!((&again["contact"], &again["bodies"]), (&json!(false), &json!(0)));

        // Keys and hashes stay: the system recognises a repeated webhook, which brings nothing
        // back.
        let mails = shop.mails().len();
        let repeat = redeemed("CP-1").set("/customer/cpf", "Silva 123.456.789-09");
        assert_eq!(shop.send(repeat).await.word(), "200 duplicate");
        assert_eq!(shop.send(enrolled("first")).await.word(), "200 duplicate");
        assert_eq!(shop.send(used("CP-1", "ord-1")).await.word(), "200 duplicate");
        let replayed = command(shop, &["replay", "--since", "2020-01-01T00:00:00Z"]).await;
        assert_eq!(replayed.code, Some(0), "{}", replayed.error);
        shop.settle().await;
        assert_eq!(shop.mails().len(), mails);
        assert_eq!(personal_data(shop).await, ["events: redeemed"]);

        // A later redemption has no address until the provider sends the contact again.
        shop.send(reported("reward.redeemed", "CP-4").set("/data/valid_until", "2126-01-01T00:00:00Z"))
            .await;
        shop.settle().await;
        let email = "redeemed/delivery/email";
        assert_eq!(shop.record("CP-4", email).await, "waiting: no contact");
        // Even by force, the old messages have no address.
        let forced = ["replay", "CP-1", "--task", "delivery/email", "--force"];
        let forced = command(shop, &forced).await;
        assert_eq!(forced.code, Some(0), "{}{}", forced.out, forced.error);
        shop.settle().await;
        assert_eq!(shop.record("CP-1", email).await, "waiting: no contact");
        assert_eq!(shop.mails().len(), mails);
    })
    .await;
}

/// A contradicting body may name a member whom no other event names.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_whom_only_a_contradiction_names_is_forgotten_too() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        shop.send(redeemed("CP-1")).await;
        let changed = redeemed("CP-1")
            .set("/customer/member_id", "ZP-2")
            .set("/customer/name", "Beltrana");
        assert_eq!(shop.send(changed).await.word(), "409 conflicting_payload");
        shop.settle().await;
        let key = format!("zupy#{COMPANY}#ZP-2");
        let forgotten = command(shop, &["member", &key, "--forget", "--json"]).await;
        assert!(
            forgotten.error.contains("the system has no data about"),
            "{}",
            forgotten.error
        );
        assert_eq!(forgotten.json()["bodies"], 1);
        let personal = personal_data(shop).await;
        assert!(personal.contains(&"events: redeemed".to_owned()));
        assert!(
            !personal.iter().any(|it| it.contains("conflict")),
            "{personal:?}"
        );

        let other = ["member", &key, "--tenant", "another", "--forget"];
        assert_eq!(command(shop, &other).await.code, Some(1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_wants_no_messages_gets_the_account_entry_alone() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let key = format!("zupy#{COMPANY}#{MEMBER}");
        // The system does not know the member.
        let marked = command(shop, &["member", &key, "--do-not-contact", "--json"]).await;
        assert_eq!(marked.json()["do_not_contact"], true);
        shop.send(redeemed("CP-1").set("/coupon/expires_at", "2126-01-01T00:00:00Z"))
            .await;
        shop.send(enrolled("first")).await;
        shop.settle().await;
        let expiring =
            reported("coupon.expiring", "CP-1").set("/data/valid_until", "2126-01-01T00:00:00Z");
        shop.send(expiring).await;
        shop.settle().await;
        assert_eq!(shop.system.sent(), []);
        for record in ["redeemed/delivery/email", "redeemed/delivery/whatsapp"] {
            assert_eq!(shop.record("CP-1", record).await, "skipped: do not contact");
        }
        let reminder = "expiring@2126-01-01T00:00:00Z/delivery/reminder";
        assert_eq!(
            shop.record("CP-1", reminder).await,
            "skipped: do not contact"
        );
        let account = shop.account(MEMBER).await;
        assert!(account.iter().any(|row| row["code"] == "CP-1"));
        // The member can still see their contact.
        let printed = command(shop, &["member", MEMBER]).await.out;
        assert_snapshot!(printed, @"
        zupy#comp_bella_vista#ZP-4F95FB0A
          name       Maria Silva
          e-mail     customer@example.com
          phone      +5511965958122
          figures    1 redemptions for 1000 points, 0 uses, mostly product_free, last at 2025-08-26T14:20:00Z
          messages   none: do not contact
          coupon     CP-1 active, Pizza Margherita Grátis, expires 2126-01-01T00:00:00Z, for 1000 points, 350 left, redeemed by app
        ");
        let life = command(shop, &["show", "CP-1"]).await.out;
        assert!(
            life.contains("delivery/email skipped: do not contact"),
            "{life}"
        );

        // Erasing keeps this mark.
        command(shop, &["member", MEMBER, "--forget"]).await;
        let shown = command(shop, &["member", MEMBER, "--json"]).await.json();
        assert_eq!(shown["do_not_contact"], true);
        shop.send(redeemed("CP-2")).await;
        shop.settle().await;
        assert_eq!(shop.system.sent(), []);

        let may = command(shop, &["member", MEMBER, "--may-contact", "--json"]).await;
        assert_eq!(may.json()["do_not_contact"], false);
        shop.send(redeemed("CP-3")).await;
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_must_be_named_without_ambiguity() {
    in_a_shop_with(&[], async |shop| {
        let odd = "50%/off#1";
        shop.send(redeemed("CP-1")).await;
        shop.send(redeemed("CP-2").set("/company_id", "comp_2"))
            .await;
        shop.send(redeemed("CP-3").set("/customer/member_id", odd))
            .await;
        shop.send(redeemed("CP-4").set("/customer/member_id", "X-4F95FB0A"))
            .await;
        shop.settle().await;
        let both = command(shop, &["member", MEMBER, "--json"]).await.json();
        assert_eq!(both.as_array().unwrap().len(), 2, "{both}");
        for change in ["--forget", "--do-not-contact"] {
            let refused = command(shop, &["member", MEMBER, change]).await;
            refused.check_failed(&["several members", "zupy#comp_2#", "--tenant"]);
        }
        let one = ["member", MEMBER, "--tenant", "comp_2", "--forget", "--json"];
        assert_eq!(command(shop, &one).await.json()["bodies"], 1);
        // The end of another id does not count as the whole id.
        let nobody = command(shop, &["member", "4F95FB0A"]).await;
        nobody.check_failed(&["the system has no data about", "4F95FB0A"]);
        let found = command(shop, &["member", odd, "--json"]).await.json();
        assert_eq!(found["coupons"][0]["code"], "CP-3");
        let forgotten = command(shop, &["member", odd, "--forget", "--json"]).await;
        assert_eq!(forgotten.json()["bodies"], 1);
        assert_eq!(
            personal_data(shop).await,
            ["events: redeemed", "events: redeemed"]
        );
    })
    .await;
}
