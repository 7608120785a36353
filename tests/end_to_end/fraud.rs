//! Fraud: findings do not depend on the order of events, have one alert, and stay where people
//! look.

use std::collections::BTreeMap;

use emulators::faults::{CallMode, Fault, HELD_BACK, MessageMode, Refusal};
use emulators::sent::Sent;
use emulators::service::Service;
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};
use webhooks::provider::zupy::{self, Zupy};
use webhooks::provider::{Content, Provider};
use webhooks::retry::Waiting;
use webhooks::task::Message;
use webhooks::verify::Secrets;

use crate::shop::{
    COMPANY, MEMBER, OWN_SECRET, Shop, Webhook, attribute, code_redeemed, in_a_shop_with, redeemed,
    reported, used,
};
use crate::support::command;

/// The rules as deployed.
const ALL_RULES: (&str, &str) = ("FraudRules", "");

/// The time of the use in the sample.
const USED_AT: &str = "2025-08-26T18:45:00Z";

/// Type and severity of a finding, with the entry of its event.
type Found = (String, String, String);

fn found(entry: &str, kind: &str, severity: &str) -> Found {
    (entry.to_owned(), kind.to_owned(), severity.to_owned())
}

impl Shop {
    /// The findings of a coupon, as `show` prints them.
    async fn details(&self, code: &str) -> Vec<Value> {
        let key = format!("zupy#{COMPANY}#{code}");
        let life = command(self, &["show", &key, "--json"]).await.json();
        life["findings"].as_array().unwrap().clone()
    }

    async fn findings(&self, code: &str) -> Vec<Found> {
        let details = self.details(code).await;
        let found = details.iter().map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            let event = text("event");
            let (_, entry) = event.split_once('/').unwrap();
            (entry.to_owned(), text("type"), text("severity"))
        });
        found.collect()
    }

    async fn member(&self, arguments: &[&str]) -> Value {
        let key = format!("zupy#{COMPANY}#{MEMBER}");
        let all = [&["member", &key, "--json"], arguments].concat();
        command(self, &all).await.json()
    }

    /// Gives the task an event again, as a queue may.
    async fn redeliver(&self, webhook: &Webhook) {
        let secrets = Secrets::parse("local-zupy-secret").unwrap();
        let headers = webhook.signature().into_iter().collect();
        let (verified, _) = zupy::V1.verify(&headers, &webhook.body, &secrets).unwrap();
        let Content::Event(event) = Zupy::every_event().parse(&verified).content else {
            panic!("{webhook:?}");
        };
        let message = Message::new(&event, Timestamp::now(), None).to_body();
        let queue = format!("{}/000000000000/fraud", self.system.aws_url());
        let request = json!({"QueueUrl": queue, "MessageBody": message});
        self.aws("AmazonSQS.SendMessage", &request).await;
        self.settle().await;
    }

    /// The findings in each alert, by event.
    fn alerted(&self) -> BTreeMap<String, Vec<String>> {
        let mut alerted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for alert in self.fraud_alerts() {
            let event = alerted.entry(alert.event.clone().unwrap()).or_default();
            event.push(attribute(&alert, "findings"));
        }
        alerted
    }
}

fn text(alert: &Sent) -> &str {
    alert.text.as_deref().unwrap()
}

fn at(webhook: Webhook, time: &str) -> Webhook {
    webhook.set("/timestamp", time)
}

/// A use with this discount, order value and payment.
fn paid(code: &str, discount: f64, value: f64, paid: f64) -> Webhook {
    used(code, "ord_1")
        .set("/usage/discount_applied", discount)
        .set("/usage/order_value", value)
        .set("/usage/final_value", paid)
}

#[tokio::test(flavor = "multi_thread")]
async fn normal_events_get_no_finding() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        shop.send_in_turn(&[redeemed("CP-1"), used("CP-1", "ord_1")])
            .await;
        assert_eq!(shop.findings("CP-1").await, []);
        let ledger = shop.ledger("CP-1").await;
        for entry in ["redeemed/fraud", "used#ord_1/fraud"] {
            assert_eq!(ledger[entry]["status"], "done", "{entry}");
            assert_eq!(ledger[entry]["result"], "nothing found", "{entry}");
        }
        assert_eq!(shop.fraud_alerts().len(), 0);
        let member = shop.member(&[]).await;
        assert_eq!(member["flagged"], false);
        assert_eq!(member["redemptions"].as_array().unwrap().len(), 1);
        assert_eq!(member["other"], json!([]));
    })
    .await;
}

/// SNS refuses the alert about a coupon's second use. The alert about the third use still goes out.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_sns_refuses_for_good_keeps_no_later_one_back() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        shop.send_in_turn(&[redeemed("CP-1"), used("CP-1", "ord_1")])
            .await;
        let refused = CallMode::Refuse(Refusal::of("InvalidParameter").unwrap());
        let refused = Fault::calls(Service::Sns, "Publish", refused).by("fraud");
        let id = shop.system.faults().add(refused.once());
        shop.send_in_turn(&[used("CP-1", "ord_2")]).await;
        assert_eq!(shop.system.faults().applied(id), Some(1));
        let ledger = shop.ledger("CP-1").await;
        let record = &ledger["used#ord_2/fraud/alert/1"];
        assert_eq!(record["status"], "failed");
        assert_eq!(record["result"], "SNS refuses the alert: InvalidParameter");
        shop.send_in_turn(&[used("CP-1", "ord_3")]).await;
        let alerted: Vec<_> = shop.alerted().into_keys().collect();
        assert_eq!(alerted, [format!("zupy#{COMPANY}#CP-1/used#ord_3")]);
        shop.expect_error("SNS refuses the alert");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_order_is_reported_once_and_names_both() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        let second = at(used("CP-1", "ord_2"), "2025-08-26T19:00:00Z");
        shop.send_in_turn(&[redeemed("CP-1"), used("CP-1", "ord_1"), second.clone()])
            .await;
        // The same webhook again causes no finding.
        assert_eq!(shop.send(second.clone()).await.word(), "200 duplicate");
        for _ in 0..3 {
            shop.redeliver(&second).await;
        }
        let expected = [found("used#ord_2", "duplicate_usage", "high")];
        assert_eq!(shop.findings("CP-1").await, expected);
        let details = &shop.details("CP-1").await[0]["details"];
        assert_snapshot!(details.as_str().unwrap(), @"used for order ord_2 at 2025-08-26T19:00:00Z, and before for order ord_1 at 2025-08-26T18:45:00Z");

        let alerts = shop.fraud_alerts();
        assert_eq!(alerts.len(), 1);
        assert_snapshot!(text(&alerts[0]), @"
        An event does not look right.

        Company:  comp_bella_vista
        Member:   ZP-4F95FB0A
        Coupon:   CP-1
        Event:    zupy#comp_bella_vista#CP-1/used#ord_2
        Occurred: 2025-08-26T19:00:00Z

        duplicate_usage (high): used for order ord_2 at 2025-08-26T19:00:00Z, and before for order ord_1 at 2025-08-26T18:45:00Z

        To look further:
        coupons show 'zupy#comp_bella_vista#CP-1'
        coupons member 'zupy#comp_bella_vista#ZP-4F95FB0A'
        ");
        for personal in ["Maria", "customer@", "965958122"] {
            let alert = format!("{:?}", alerts[0]);
            assert!(!alert.contains(personal), "{personal}: {alert}");
        }
        let shown = command(shop, &["show", "CP-1"]).await.out;
        assert!(shown.contains("duplicate_usage (high): used for order ord_2"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_after_the_end_is_found_by_the_events_own_times() {
    in_a_shop_with(&[ALL_RULES, OWN_SECRET], async |shop| {
        // Each coupon has another member, so nobody redeems too fast.
        let redeemed = |code| {
            redeemed(code)
                .set("/customer/member_id", code)
                .set("/coupon/expires_at", "2025-08-26T18:45:00Z")
        };
        for (code, time, is_found) in [
            ("CP-1", "2025-08-26T18:44:59Z", false),
            ("CP-2", USED_AT, false),
            ("CP-3", "2025-08-26T18:45:01Z", true),
        ] {
            shop.send_in_turn(&[redeemed(code), at(used(code, "ord"), time)])
                .await;
            let expected = [found("used#ord", "expired_usage", "high")];
            let expected = &expected[..usize::from(is_found)];
            assert_eq!(shop.findings(code).await, expected, "{code}");
        }
        let cancelled = |code, time: &str| {
            reported("coupon.cancelled", code)
                .set("/timestamp", time)
                .set("/data/cancelled_at", time)
        };
        shop.send_in_turn(&[
            cancelled("CP-4", "2025-08-26T18:44:59Z"),
            used("CP-4", "ord"),
        ])
        .await;
        let late = [found("used#ord", "cancelled_usage", "high")];
        assert_eq!(shop.findings("CP-4").await, late);
        shop.send_in_turn(&[redeemed("CP-4")]).await;
        shop.send_in_turn(&[
            used("CP-5", "ord"),
            redeemed("CP-5"),
            cancelled("CP-5", "2025-08-26T18:46:00Z"),
        ])
        .await;
        assert_eq!(shop.findings("CP-5").await, []);
        assert_eq!(shop.findings("CP-4").await, late);
        // Uses that arrived before their redemption waited.
        shop.settle_retries().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_do_not_depend_on_the_order() {
    in_a_shop_with(&[ALL_RULES, OWN_SECRET], async |shop| {
        let events = |code: &str| {
            let ends = "2025-08-26T18:50:00Z";
            [
                redeemed(code).set("/coupon/expires_at", ends),
                used(code, "ord_1"),
                at(used(code, "ord_2"), "2025-08-26T19:00:00Z"),
                reported("coupon.cancelled", code)
                    .set("/timestamp", "2025-08-26T18:55:00Z")
                    .set("/data/cancelled_at", "2025-08-26T18:55:00Z"),
            ]
        };
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
        for (number, order) in orders.into_iter().enumerate() {
            let code = format!("CP-{number}");
            let events = events(&code);
            shop.send_in_turn(&order.map(|index| events[index].clone()))
                .await;
            shop.settle_retries().await;
            let of_second = |kind| found("used#ord_2", kind, "high");
            let expected = ["duplicate_usage", "expired_usage", "cancelled_usage"].map(of_second);
            assert_eq!(shop.findings(&code).await, expected, "{order:?}");
            let event = format!("zupy#{COMPANY}#{code}/used#ord_2");
            let alerts = shop.alerted();
            let mut alerted: Vec<_> = alerts[&event].iter().flat_map(|it| it.split(',')).collect();
            alerted.sort_unstable();
            let each = ["cancelled_usage", "duplicate_usage", "expired_usage"];
            assert_eq!(alerted, each, "{order:?}: {alerts:?}");
        }
        assert_eq!(shop.alerted().len(), orders.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_amounts_are_found_and_the_worst_flags_the_member() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        let limited = |code| {
            redeemed(code)
                .set("/discount_details/maximum_discount", 30.0)
                .set("/discount_details/minimum_purchase", 50.0)
        };
        let medium = found("used#ord_1", "excessive_discount", "medium");
        let critical = found("used#ord_1", "excessive_discount", "critical");
        for (code, use_, expected) in [
            ("CP-1", paid("CP-1", 30.0, 50.0, 20.0), vec![]),
            (
                "CP-2",
                paid("CP-2", 30.01, 50.0, 19.99),
                vec![medium.clone()],
            ),
            (
                "CP-3",
                paid("CP-3", 10.0, 49.99, 39.99),
                vec![medium.clone()],
            ),
            (
                "CP-4",
                paid("CP-4", 10.0, 50.0, 39.99),
                vec![medium.clone()],
            ),
            (
                "CP-5",
                paid("CP-5", 50.01, 50.0, 0.0),
                vec![critical, medium.clone()],
            ),
            // A difference below a cent comes from the till's rounding; these orders are below the
            // minimum.
            (
                "CP-7",
                paid("CP-7", 25.0, 24.999, 0.0),
                vec![medium.clone()],
            ),
            ("CP-8", paid("CP-8", 5.235, 29.67, 24.435), vec![medium]),
        ] {
            // Each coupon has another member, so nobody redeems too fast.
            shop.send_in_turn(&[limited(code).set("/customer/member_id", code), use_])
                .await;
            assert_eq!(shop.findings(code).await, expected, "{code}");
        }
        let member = shop.member(&[]).await;
        assert_eq!(member["flagged"], true);
        let flags = member["flags"].as_array().unwrap();
        assert_eq!(flags.len(), 1);
        let event = format!("zupy#{COMPANY}#CP-5/used#ord_1");
        assert_eq!(flags[0]["event"], event);
        let why = "a discount of 50.01 BRL on an order of 50 BRL";
        assert_eq!(flags[0]["why"], why);
        let shown = command(shop, &["member", MEMBER]).await.out;
        assert!(shown.contains(why), "{shown}");

        let cleared = shop.member(&["--clear-flag"]).await;
        assert_eq!(cleared["flagged"], false);
        assert_eq!(cleared["flags"].as_array().unwrap().len(), 1);
        shop.redeliver(&paid("CP-5", 50.01, 50.0, 0.0)).await;
        assert_eq!(shop.member(&[]).await["flags"], cleared["flags"]);
        // A finding on another coupon counts separately.
        shop.send_in_turn(&[paid("CP-6", 2.0, 1.0, 0.0)]).await;
        assert_eq!(shop.member(&[]).await["flagged"], true);
        shop.send_in_turn(&[redeemed("CP-6").set("/customer/member_id", "CP-6")])
            .await;
        shop.settle_retries().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_coupon_is_reported_after_a_while_and_cleared_by_its_redemption() {
    let grace = ("UnknownCouponGraceS", "10");
    in_a_shop_with(&[ALL_RULES, grace], async |shop| {
        let reported_at = Timestamp::now();
        shop.send_in_turn(&[used("CP-1", "ord_1")]).await;
        assert_eq!(shop.findings("CP-1").await, []);
        let result = shop.ledger("CP-1").await["used#ord_1/fraud"]["result"].clone();
        assert_eq!(result, "nothing found; its redemption is not known yet");
        // SQS delivers the message again by itself.
        let settled = shop.system.settle_all(std::time::Duration::from_secs(60));
        assert!(settled.await);
        let waited_s = Timestamp::now().duration_since(reported_at).as_secs();
        assert!(waited_s >= 10, "{waited_s}");
        let expected = [found("used#ord_1", "unknown_coupon", "high")];
        assert_eq!(shop.findings("CP-1").await, expected);
        assert_eq!(shop.fraud_alerts().len(), 1);

        shop.send_in_turn(&[redeemed("CP-1")]).await;
        assert_eq!(shop.findings("CP-1").await, []);
        shop.redeliver(&used("CP-1", "ord_1")).await;
        assert_eq!(shop.findings("CP-1").await, []);
        assert_eq!(shop.fraud_alerts().len(), 1);
    })
    .await;
}

/// Fraud finds a second use however late it arrives, as long as the ledger has the coupon.
#[tokio::test(flavor = "multi_thread")]
async fn uses_and_cancellations_are_remembered_as_long_as_their_coupon() {
    in_a_shop_with(&[OWN_SECRET, ALL_RULES], async |shop| {
        let good = |code: &str| redeemed(code).set("/coupon/expires_at", "2030-01-01T00:00:00Z");
        let cancelled = |code: &str| reported("coupon.cancelled", code);
        shop.send_in_turn(&[good("CP-1"), used("CP-1", "o"), cancelled("CP-1")])
            .await;
        shop.send_in_turn(&[used("CP-2", "o"), cancelled("CP-2"), good("CP-2")])
            .await;
        for code in ["CP-1", "CP-2"] {
            let rows = shop.ledger(code).await;
            let ttl = |entry: &str| rows[entry]["ttl"].as_i64().unwrap();
            let until = ttl("redeemed");
            assert!(until > 0);
            for entry in ["used#o", "used#o/fraud", "cancelled", "cancelled/fraud"] {
                assert_eq!(ttl(entry), until, "{code}: {entry}");
            }
        }
        shop.settle_retries().await;
    })
    .await;
}

/// Rows and messages from a day's outage: the use arrived a day before its recording.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_grace_counts_from_when_a_use_was_recorded() {
    let grace = ("UnknownCouponGraceS", "3600");
    in_a_shop_with(&[ALL_RULES, grace], async |shop| {
        let day = jiff::SignedDuration::from_hours(24);
        let used = used("CP-1", "ord_1");
        let secrets = Secrets::parse("local-zupy-secret").unwrap();
        let headers = used.signature().into_iter().collect();
        let (verified, _) = zupy::V1.verify(&headers, &used.body, &secrets).unwrap();
        let Content::Event(event) = Zupy::every_event().parse(&verified).content else {
            panic!("{used:?}");
        };
        let received_at = Timestamp::now() - day;
        let waiting = Waiting::new("zupy", &event, &verified, None, received_at);
        let queue = format!("{}/000000000000/retry", shop.system.aws_url());
        let request = json!({"QueueUrl": queue, "MessageBody": waiting.to_body()});
        shop.aws("AmazonSQS.SendMessage", &request).await;
        shop.settle().await;
        // Its redemption waits in the same queue.
        assert_eq!(shop.findings("CP-1").await, []);
        assert_eq!(shop.system.queues()["fraud"].in_flight, 1);
        let rows = shop.ledger("CP-1").await;
        let row = &rows["used#ord_1"];
        assert_eq!(row["received_at"], received_at.to_string());
        let recorded_at: Timestamp = row["recorded_at"].as_str().unwrap().parse().unwrap();
        assert!(recorded_at > received_at + day);
        shop.send_in_turn(&[redeemed("CP-1")]).await;
        shop.settle_retries().await;
        assert_eq!(shop.findings("CP-1").await, []);
        assert_eq!(shop.fraud_alerts().len(), 0);
    })
    .await;
}

/// The provider sends another expiry date than that of the redemption.
#[tokio::test(flavor = "multi_thread")]
async fn the_latest_expiry_counts_in_any_order() {
    in_a_shop_with(&[ALL_RULES, OWN_SECRET], async |shop| {
        let expiring = |code: &str, at: &str, until: &str| {
            reported("coupon.expiring", code)
                .set("/timestamp", at)
                .set("/data/valid_until", until)
        };
        // Used at 18:45.
        let events = |code: &str| {
            [
                redeemed(code).set("/coupon/expires_at", "2025-08-26T18:00:00Z"),
                used(code, "ord"),
                expiring(code, "2025-08-26T15:00:00Z", "2031-01-01T00:00:00Z"),
                expiring(code, "2025-08-26T14:45:00Z", "2025-08-26T18:30:00Z"),
            ]
        };
        for (number, order) in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0]]
            .iter()
            .enumerate()
        {
            let code = format!("CP-{number}");
            let events = events(&code);
            shop.send_in_turn(&order.map(|index| events[index].clone()))
                .await;
            shop.settle_retries().await;
            assert_eq!(shop.findings(&code).await, [], "{order:?}");
            // The ledger keeps the event as long as members can use the coupon.
            let rows = shop.ledger(&code).await;
            let until: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
            for entry in ["redeemed", "redeemed/fraud", "used#ord", "used#ord/fraud"] {
                let ttl = rows[entry]["ttl"].as_i64().unwrap();
                assert!(ttl > until.as_second(), "{order:?}: {entry}");
            }
        }
        shop.send_in_turn(&[redeemed("CP-9"), used("CP-9", "ord")])
            .await;
        assert_eq!(shop.findings("CP-9").await, []);
        let shortened = expiring("CP-9", "2025-08-27T00:00:00Z", "2025-08-26T18:30:00Z");
        shop.send_in_turn(&[shortened]).await;
        let late = [found("used#ord", "expired_usage", "high")];
        assert_eq!(shop.findings("CP-9").await, late);
        let extended = expiring("CP-9", "2025-08-28T00:00:00Z", "2025-08-27T18:30:00Z");
        shop.send_in_turn(&[extended]).await;
        assert_eq!(shop.findings("CP-9").await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_with_other_contents_is_found_once_with_both_amounts() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        shop.send_in_turn(&[redeemed("CP-1"), paid("CP-1", 20.0, 100.0, 80.0)])
            .await;
        let other = paid("CP-1", 50.0, 100.0, 50.0);
        for _ in 0..3 {
            let answer = shop.send(other.clone()).await;
            assert_eq!(answer.word(), "409 conflicting_payload");
            shop.settle().await;
        }
        shop.redeliver(&paid("CP-1", 20.0, 100.0, 80.0)).await;
        let expected = [found("used#ord_1", "conflicting_usage", "high")];
        assert_eq!(shop.findings("CP-1").await, expected);
        let details = "recorded with a discount of 20 BRL, an order of 100 BRL, 80 BRL paid; sent \
                       again with \
                       a discount of 50 BRL, an order of 100 BRL, 50 BRL paid";
        assert_eq!(shop.details("CP-1").await[0]["details"], details);
        let alerts = shop.fraud_alerts();
        assert_eq!(alerts.len(), 1);
        assert!(text(&alerts[0]).contains(details));

        // The finding gets a further contradiction, but causes no alert.
        shop.send(paid("CP-1", 60.0, 100.0, 40.0)).await;
        shop.settle().await;
        let found = shop.details("CP-1").await[0]["details"].to_string();
        assert!(found.contains("; with a discount of 60 BRL"), "{found}");
        // The ledger keeps a redemption that contradicts a recorded one for support; fraud reports
        // none.
        let other = redeemed("CP-1").set("/coupon/reward_name", "Outra");
        shop.send(other).await;
        shop.settle().await;
        assert_eq!(shop.findings("CP-1").await, expected);
        assert_eq!(shop.fraud_alerts().len(), 1);
    })
    .await;
}

/// An event that DynamoDB refused waits, and then contradicts the recorded one.
#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_that_waited_for_an_outage_to_end_is_found_too() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        shop.send_in_turn(&[redeemed("CP-1"), paid("CP-1", 20.0, 100.0, 80.0)])
            .await;
        shop.expect_error("Left to the retry queue");
        let outage = Fault::service(Service::DynamoDb, CallMode::Fail);
        shop.system.faults().add(outage);
        let answer = shop.send(paid("CP-1", 50.0, 100.0, 50.0)).await;
        assert_eq!(answer.word(), "200 accepted");
        shop.system.faults().clear();
        shop.expect_error("contradicts one that was recorded");
        shop.settle_retries().await;
        let expected = [found("used#ord_1", "conflicting_usage", "high")];
        assert_eq!(shop.findings("CP-1").await, expected);
        assert_eq!(shop.fraud_alerts().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_that_comes_within_the_grace_leaves_nothing_to_report() {
    let grace = ("UnknownCouponGraceS", "3600");
    in_a_shop_with(&[ALL_RULES, grace], async |shop| {
        shop.send_in_turn(&[used("CP-1", "ord_1"), redeemed("CP-1")])
            .await;
        assert_eq!(shop.system.queues()["fraud"].in_flight, 1);
        shop.settle_retries().await;
        assert_eq!(shop.findings("CP-1").await, []);
        assert_eq!(shop.fraud_alerts().len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fifth_redemption_in_an_hour_is_found_and_those_that_follow() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        for number in 0..6 {
            let time = format!("2025-08-26T14:{:02}:00Z", 10 * number);
            let code = format!("CP-{number}");
            shop.send_in_turn(&[at(redeemed(&code), &time)]).await;
            let expected = [found("redeemed", "rapid_redemption", "medium")];
            let expected = &expected[..usize::from(number >= 4)];
            assert_eq!(shop.findings(&code).await, expected, "{code}");
        }
        // One alert for the rush; the next follows when the rush has doubled.
        let event = format!("zupy#{COMPANY}#CP-4/redeemed");
        let alerted = BTreeMap::from([(event, vec!["rapid_redemption".to_owned()])]);
        assert_eq!(shop.alerted(), alerted);
        let member = shop.member(&[]).await;
        assert_eq!(member["flagged"], false);
        assert_eq!(member["other"], json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_that_comes_late_makes_a_later_one_too_many() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        let redeemed = |minute: u32| {
            let time = format!("2025-08-26T14:{minute:02}:00Z");
            at(redeemed(&format!("CP-{minute}")), &time)
        };
        shop.send_in_turn(&[redeemed(50), redeemed(40), redeemed(30), redeemed(20)])
            .await;
        assert_eq!(shop.findings("CP-50").await, []);
        shop.send_in_turn(&[redeemed(10)]).await;
        let expected = [found("redeemed", "rapid_redemption", "medium")];
        assert_eq!(shop.findings("CP-50").await, expected);
        for minute in [10, 20, 30, 40] {
            assert_eq!(shop.findings(&format!("CP-{minute}")).await, []);
        }
        let event = format!("zupy#{COMPANY}#CP-50/redeemed");
        let alerted = BTreeMap::from([(event, vec!["rapid_redemption".to_owned()])]);
        assert_eq!(shop.alerted(), alerted);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_hundred_redemptions_at_once_is_found_and_the_rush_is_alerted() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        const EVENTS: usize = 100;
        let faults = shop.system.faults();
        faults.add(Fault::messages("fraud", MessageMode::Duplicate).at_rate(0.3));
        faults.add(Fault::messages("fraud", MessageMode::Reorder(HELD_BACK)));
        let codes: Vec<_> = (0..EVENTS).map(|n| format!("CP-{n}")).collect();
        for codes in codes.chunks(10) {
            let sends = codes.iter().map(|code| shop.send(redeemed(code)));
            for answer in futures_util::future::join_all(sends).await {
                assert_eq!(answer.word(), "200 accepted");
            }
        }
        shop.settle_retries().await;
        let rows = shop.system.items("events").await.unwrap();
        let records = rows.iter().filter(|row| row["entry"] == "redeemed/fraud");
        let results: Vec<_> = records.map(|row| row["result"].clone()).collect();
        assert_eq!(results, vec![json!("found rapid_redemption"); EVENTS]);
        // One alert for the rush, and at most one each time that it has doubled: 10, 20, 40, 80.
        let alerts = shop.fraud_alerts();
        assert!((1..=5).contains(&alerts.len()), "{}", alerts.len());
        let last = "at least 80 redemptions of the member in the 3600 s";
        let mut texts = alerts.iter().map(text);
        assert_eq!(texts.clone().filter(|it| it.contains(last)).count(), 1);
        for count in [5, 10, 20, 40] {
            let about = format!("at least {count} redemptions");
            assert!(texts.clone().filter(|it| it.contains(&about)).count() <= 1);
        }
        assert!(texts.all(|it| it.contains("rapid_redemption (medium): at least")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_games_shared_codes_are_checked_for_pace_only() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        for number in 0..5 {
            shop.send(code_redeemed(&format!("key-{number}"))).await;
        }
        let sandbox = (0..5).map(|n| code_redeemed(&format!("trial-{n}")).set("/sandbox", true));
        for webhook in sandbox {
            shop.send(webhook.set("/event_data/player_id", "tester"))
                .await;
        }
        shop.settle_retries().await;
        let rows = shop.system.items("events").await.unwrap();
        let records = rows.iter().filter(|row| row["entry"] == "redeemed/fraud");
        let mut results: Vec<_> = records.map(|row| row["result"].clone()).collect();
        results.sort_by_key(Value::to_string);
        let mut expected = vec![json!("a sandbox or test event: not checked"); 5];
        expected.extend(vec![json!("found rapid_redemption"); 5]);
        assert_eq!(results, expected);
        assert_eq!(shop.alerted().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_switched_and_set_per_tenant() {
    let rules = "duplicate_usage=off,unknown_coupon=off;comp_bella_vista:rapid_redemption=2/60";
    in_a_shop_with(&[("FraudRules", rules)], async |shop| {
        shop.send_in_turn(&[redeemed("CP-1"), redeemed("CP-2")])
            .await;
        let expected = [found("redeemed", "rapid_redemption", "medium")];
        assert_eq!(shop.findings("CP-2").await, expected);
        shop.send_in_turn(&[used("CP-3", "1"), used("CP-3", "2")])
            .await;
        assert_eq!(shop.findings("CP-3").await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_a_member_leaves_keys_and_times() {
    in_a_shop_with(&[ALL_RULES], async |shop| {
        shop.send_in_turn(&[redeemed("CP-1"), paid("CP-1", 2.0, 1.0, 0.0)])
            .await;
        shop.member(&["--forget"]).await;
        let rows = shop.account(MEMBER).await;
        let kept: Vec<_> = rows
            .iter()
            .map(|row| row["entry"].as_str().unwrap())
            .collect();
        let is_kept = |beginning: &str| kept.iter().any(|entry| entry.starts_with(beginning));
        assert!(is_kept("flag#") && is_kept("redeemed@"), "{kept:?}");
        let rows = format!("{rows:?}");
        for personal in ["Maria", "customer@", "965958122"] {
            assert!(!rows.contains(personal), "{personal}: {rows}");
        }
        // The ledger's row is still enough for fraud.
        shop.redeliver(&paid("CP-1", 2.0, 1.0, 0.0)).await;
        let found_ = shop.findings("CP-1").await;
        assert_eq!(
            found_,
            [found("used#ord_1", "excessive_discount", "critical")]
        );
    })
    .await;
}
