//! The answers of a webhook: every row of the table in `docs/answers.md`.

mod signatures;

use emulators::lambda::Event;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::shop::{
    AGHANIM, Answer, Shop, Webhook, ZUPY, ZUPY_REDEEMED, ZUPY_USED, code_redeemed, in_a_shop,
    in_a_shop_with, redeemed, used,
};

#[tokio::test(flavor = "multi_thread")]
async fn takes_an_event_once_on_every_url() {
    in_a_shop(async |shop| {
        let webhooks = [
            redeemed("CP-1"),
            used("CP-1", "ord-1"),
            code_redeemed("key-1"),
            redeemed("CP-2").to(ZUPY),
            used("CP-2", "ord-2").to(ZUPY),
        ];
        for webhook in webhooks {
            let first = shop.send(webhook.clone()).await;
            assert_eq!(first.word(), "200 accepted", "{first:?}");
            assert_eq!(first.headers["content-type"], "application/json");
            let second = shop.send(webhook).await;
            assert_eq!(second.word(), "200 duplicate");
            assert_eq!(first.body["event"], second.body["event"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_the_event_by_its_key() {
    in_a_shop(async |shop| {
        let event = async |webhook: Webhook| shop.send(webhook).await.body["event"].clone();
        assert_eq!(
            event(redeemed("CP#1/2")).await,
            "zupy#comp_bella_vista#CP%231%2F2/redeemed"
        );
        assert_eq!(
            event(used("CP-1", "ord 1")).await,
            "zupy#comp_bella_vista#CP-1/used#ord 1"
        );
        assert_eq!(
            event(code_redeemed("k")).await,
            "aghanim#gm_exTAyxPsVwh#k/redeemed"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_copies_at_the_same_time_one_is_new() {
    in_a_shop(async |shop| {
        let answers = join_all((0..20).map(|_| shop.send(redeemed("CP-1")))).await;
        let mut words: Vec<_> = answers.iter().map(Answer::word).collect();
        words.sort();
        assert_eq!(words[0], "200 accepted");
        assert!(
            words[1..].iter().all(|word| word == "200 duplicate"),
            "{words:?}"
        );
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_coupon_used_for_two_orders_is_two_events() {
    in_a_shop(async |shop| {
        assert_eq!(
            shop.send(used("CP-1", "ord-1")).await.word(),
            "200 accepted"
        );
        assert_eq!(
            shop.send(used("CP-1", "ord-2")).await.word(),
            "200 accepted"
        );
        let entries = shop.ledger("CP-1").await.into_keys();
        let events: Vec<_> = entries.filter(|entry| !entry.contains('/')).collect();
        assert_eq!(events, ["used#ord-1", "used#ord-2"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_in_other_words_is_a_duplicate() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        let later = redeemed("CP-1").set("/timestamp", "2025-08-26T15:41:00Z");
        assert_eq!(shop.send(later).await.word(), "200 duplicate");
        let pretty: Value = serde_json::from_slice(&redeemed("CP-1").body).unwrap();
        let pretty = redeemed("CP-1").body(serde_json::to_vec_pretty(&pretty).unwrap());
        assert_eq!(shop.send(pretty).await.word(), "200 duplicate");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_contents_under_the_same_key_are_refused_and_kept() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        let changed = redeemed("CP-1").set("/coupon/points_spent", 10);
        for _ in 0..2 {
            assert_eq!(
                shop.send(changed.clone()).await.word(),
                "409 conflicting_payload"
            );
        }
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 duplicate");
        shop.settle().await;
        let ledger = shop.ledger("CP-1").await;
        let conflicts: Vec<_> = ledger
            .iter()
            .filter(|(entry, _)| entry.starts_with("redeemed/conflict/"))
            .collect();
        assert_eq!(conflicts.len(), 1);
        let kept = conflicts[0].1["body"].as_str().unwrap();
        assert!(kept.contains(r#""points_spent":10"#));
        let recorded = ledger["redeemed"]["body"].as_str().unwrap();
        assert!(recorded.contains(r#""points_spent":1000"#));
        assert_eq!(shop.mails().len(), 1);
    })
    .await;
}

const REFUSED: &str = "401 invalid_signature";
const INVALID: &str = "400 invalid_payload";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_json_is_refused_with_the_position() {
    in_a_shop(async |shop| {
        let cases: [(&[u8], &str); 7] = [
            (b"", "body is not a JSON object"),
            (b"null", "body is not a JSON object"),
            (b"[1]", "body is not a JSON object"),
            (b"{\"event\": }", "body is not JSON: line 1, column 11"),
            (
                b"{\"event\":\"coupon.redeemed\"",
                "body is not JSON: line 1, column 26",
            ),
            (
                b"{\"event\":\"\xff\xfe\"}",
                "body is not UTF-8 from byte 10 on",
            ),
            (
                b"{\"event\":\"a\",\"event\":\"b\"}",
                "body has a field twice: line 1, column 20",
            ),
        ];
        for (body, problem) in cases {
            let answer = shop.send(redeemed("CP-1").body(body)).await;
            assert_eq!(answer.word(), INVALID);
            assert_eq!(answer.problems(), [problem]);
        }
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        let answer = shop.send(redeemed("CP-1").body(deep)).await;
        assert_eq!(answer.problems(), ["body is nested deeper than 64 levels"]);
    })
    .await;
}

/// Checks that a webhook has exactly these problems, and leaves no trace.
async fn check_problems(shop: &Shop, webhook: Webhook, expected: &[&str]) {
    let answer = shop.send(webhook).await;
    assert_eq!(answer.word(), INVALID, "{expected:?}");
    assert_eq!(answer.problems(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_for_a_redemption() {
    in_a_shop(async |shop| {
        for (field, pointer) in [
            ("customer.member_id", "/customer/member_id"),
            ("coupon.coupon_code", "/coupon/coupon_code"),
            ("coupon.points_spent", "/coupon/points_spent"),
            ("coupon.expires_at", "/coupon/expires_at"),
            ("company_id", "/company_id"),
            ("timestamp", "/timestamp"),
        ] {
            let missing = format!("{field} is missing");
            for url in [ZUPY_REDEEMED, ZUPY] {
                let absent = redeemed("CP-1").unset(pointer).to(url);
                check_problems(shop, absent, &[&missing]).await;
                let null = redeemed("CP-1").set(pointer, Value::Null).to(url);
                check_problems(shop, null, &[&missing]).await;
            }
        }
        for points in [json!(0), json!(-1), json!(-0.0)] {
            let webhook = redeemed("CP-1").set("/coupon/points_spent", points);
            check_problems(
                shop,
                webhook,
                &["coupon.points_spent must be greater than 0"],
            )
            .await;
        }
        let soon = redeemed("CP-1").set("/coupon/expires_at", "soon");
        let time = "coupon.expires_at must be an RFC 3339 time such as 2025-09-26T14:20:00Z, or a \
                    date such as 2025-09-26";
        check_problems(shop, soon, &[time]).await;
        assert_eq!(shop.ledger("CP-1").await.len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_for_a_use() {
    in_a_shop(async |shop| {
        for (field, pointer) in [
            ("customer.member_id", "/customer/member_id"),
            ("usage.coupon_code", "/usage/coupon_code"),
            ("usage.discount_applied", "/usage/discount_applied"),
            ("usage.order_value", "/usage/order_value"),
        ] {
            let missing = format!("{field} is missing");
            let absent = used("CP-1", "ord-1").unset(pointer).to(ZUPY_USED);
            check_problems(shop, absent, &[&missing]).await;
        }
        for (field, pointer) in [
            ("usage.discount_applied", "/usage/discount_applied"),
            ("usage.order_value", "/usage/order_value"),
        ] {
            let problem = format!("{field} must be greater than 0");
            for value in [json!(0), json!(-0.01)] {
                check_problems(shop, used("CP-1", "ord-1").set(pointer, value), &[&problem]).await;
            }
        }
        let tiny = used("CP-1", "ord-1").set("/usage/discount_applied", 0.01);
        assert_eq!(shop.send(tiny).await.word(), "200 accepted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_for_a_redeemed_code() {
    in_a_shop(async |shop| {
        for (field, pointer) in [
            ("game_id", "/game_id"),
            ("event_id", "/event_id"),
            ("event_time", "/event_time"),
            ("event_data.player_id", "/event_data/player_id"),
            ("event_data.coupon.code", "/event_data/coupon/code"),
            ("event_data.item", "/event_data/item"),
            ("event_data.item.sku", "/event_data/item/sku"),
            ("event_data.item.quantity", "/event_data/item/quantity"),
        ] {
            let missing = format!("{field} is missing");
            check_problems(
                shop,
                code_redeemed("k").unset(pointer).to(AGHANIM),
                &[&missing],
            )
            .await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_are_reported_at_once() {
    in_a_shop(async |shop| {
        let webhook = redeemed("CP-1")
            .set("/coupon", json!({"points_spent": "many"}))
            .set("/customer/member_id", 7);
        let expected = [
            "customer.member_id must be a string",
            "coupon.coupon_code is missing",
            "coupon.points_spent must be a whole number of at most 64 bits",
            "coupon.expires_at is missing",
        ];
        check_problems(shop, webhook, &expected).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_url_does_not_handle_is_acknowledged_and_ignored() {
    in_a_shop(async |shop| {
        let check = async |webhook: Webhook, kind: &str| {
            let answer = shop.send(webhook).await;
            assert_eq!(answer.status, 202);
            assert_eq!(answer.body, json!({"status": "ignored", "type": kind}));
        };
        check(
            redeemed("CP-1").set("/event", "points.earned").to(ZUPY),
            "points.earned",
        )
        .await;
        check(redeemed("CP-1").to(ZUPY_USED), "coupon.redeemed").await;
        check(used("CP-1", "ord-1").to(ZUPY_REDEEMED), "coupon.used").await;
        check(redeemed("CP-1").body(r#"{"event":"ping"}"#), "ping").await;
        check(
            code_redeemed("k").set("/event_type", "item.add"),
            "item.add",
        )
        .await;
        let unsigned = redeemed("CP-1").set("/event", "ping");
        assert_eq!(shop.post(unsigned).await.word(), REFUSED);
        assert_eq!(shop.ledger("CP-1").await.len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_1_mib_is_refused_and_one_of_1_mib_is_not() {
    in_a_shop(async |shop| {
        let padded = |bytes: usize| {
            let webhook = redeemed("CP-1").set("/padding", "");
            let padding = "x".repeat(bytes - webhook.body.len());
            webhook.set("/padding", padding)
        };
        let over = shop.send(padded(1024 * 1024 + 1)).await;
        assert_eq!(over.word(), "413 payload_too_large");
        assert_eq!(shop.ledger("CP-1").await.len(), 0);
        assert_eq!(shop.send(padded(1024 * 1024)).await.word(), "200 accepted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_queues_and_tables_could_refuse_gets_through() {
    in_a_shop(async |shop| {
        let odd = "\u{FFFE}\u{FFFF}\u{1}é🍕\u{7F}\\\"";
        let webhook = redeemed(&format!("CP-{odd}"))
            .set("/coupon/reward_name", odd)
            .set("/company_id", odd);
        assert_eq!(shop.send(webhook.clone()).await.word(), "200 accepted");
        shop.settle().await;
        assert_eq!(shop.mails().len(), 1);
        assert_eq!(shop.send(webhook).await.word(), "200 duplicate");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_dynamodb_could_not_hold_is_a_problem_of_the_payload() {
    in_a_shop(async |shop| {
        let long = "é".repeat(251);
        let problem = "coupon.coupon_code must not be longer than 500 bytes";
        check_problems(shop, redeemed(&long), &[problem]).await;
        let longest = "é".repeat(250);
        let webhook = redeemed(&longest).set("/company_id", longest.as_str());
        assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        let webhook = used(&longest, &longest).set("/company_id", longest.as_str());
        assert_eq!(shop.send(webhook).await.word(), "200 accepted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_field_may_fill_a_body_of_256_kib() {
    in_a_shop(async |shop| {
        let long = "N".repeat(250_000);
        for (n, pointer) in [
            "/coupon/reward_id",
            "/coupon/reward_name",
            "/coupon/terms",
            "/discount_details/discount_type",
            "/customer/name",
        ]
        .into_iter()
        .enumerate()
        {
            let webhook = redeemed(&format!("CP-{n}")).set(pointer, long.as_str());
            assert_eq!(shop.send(webhook).await.word(), "200 accepted", "{pointer}");
        }
        for pointer in ["/usage/location", "/usage/reward_name"] {
            let webhook = used("CP-1", pointer).set(pointer, long.as_str());
            assert_eq!(shop.send(webhook).await.word(), "200 accepted", "{pointer}");
        }
        let webhook = code_redeemed("k").set("/event_data/item/name", long.as_str());
        assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        shop.settle().await;
        assert_eq!(shop.mails().len(), 5);
    })
    .await;
}
