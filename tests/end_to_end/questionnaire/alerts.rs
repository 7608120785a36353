//! A bad answer: one alert, even if any step after the answer fails.

use std::collections::BTreeMap;

use emulators::faults::{CallMode, Fault, Moment};
use emulators::sent::Sent;
use emulators::service::Service;
use insta::assert_snapshot;

use super::{answer, asked, send, token};
use crate::shop::{Shop, attribute, in_a_shop, in_a_shop_with};

const ON: (&str, &str) = ("SurveyAlerts", "on");

const RECORD: &str = "used#ord_1/surveys/alert";

/// Lets the outbox send what a bad answer left there.
async fn empty_the_outbox(shop: &Shop) {
    shop.system.run_schedules().await;
    shop.settle().await;
}

fn alerts(shop: &Shop) -> Vec<Sent> {
    let alerts = shop.sent("topic").into_iter();
    alerts
        .filter(|it| attribute(it, "type") == "survey")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_answer_alerts_once_and_names_nobody() {
    in_a_shop_with(&[ON], async |shop| {
        let survey = asked(shop, "CP-1").await;
        send(shop, &token(&survey), "rating=2").await;
        empty_the_outbox(shop).await;
        let rest = "step=rest&recommend=1&comment=Sou+a+Maria";
        send(shop, &token(&survey), rest).await;
        send(shop, &token(&survey), "rating=1").await;
        empty_the_outbox(shop).await;
        let good = asked(shop, "CP-2").await;
        send(shop, &token(&good), "rating=5").await;
        send(shop, &token(&good), "step=rest&recommend=6&comment=").await;
        empty_the_outbox(shop).await;
        let of_surveys = alerts(shop);
        assert_eq!(of_surveys.len(), 1, "{of_surveys:?}");
        assert_eq!(shop.record("CP-1", RECORD).await, "done");
        let said = format!("{:?}", of_surveys[0]);
        let text = of_surveys[0].text.as_deref().unwrap();
        // Each system has a port of its own.
        let text = text.replace(shop.system.gateway_url(), "https://gateway");
        assert_snapshot!(text, @"
        A member is not content.

        Company:   comp_bella_vista
        Coupon:    CP-1
        Order:     ord_1
        Reward:    Pizza Margherita Grátis
        Location:  Loja Centro
        Rating:    2 of 5
        Recommend: - of 10
        Comment:   no
        Event:     zupy#comp_bella_vista#CP-1/used#ord_1

        To look further:
        coupons show 'zupy#comp_bella_vista#CP-1'
        https://gateway/dashboard/coupons/zupy%23comp_bella_vista%23CP-1
        ");
        for personal in ["Maria", "customer@example.com", "965958122"] {
            assert!(!said.contains(personal), "{said}");
        }
        // A detractor with a comment.
        send(shop, &token(&good), "step=rest&comment=Demorou").await;
        empty_the_outbox(shop).await;
        assert_eq!(alerts(shop).len(), 2);
        empty_the_outbox(shop).await;
        assert_eq!(alerts(shop).len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_corrected_in_time_alerts_nobody() {
    in_a_shop_with(&[ON], async |shop| {
        let token = token(&asked(shop, "CP-1").await);
        send(shop, &token, "rating=1").await;
        send(shop, &token, "rating=5").await;
        empty_the_outbox(shop).await;
        assert_eq!(alerts(shop), []);
        // If the answer is bad again, the use goes out again.
        send(shop, &token, "rating=2").await;
        empty_the_outbox(shop).await;
        assert_eq!(alerts(shop).len(), 1);
    })
    .await;
}

/// Kills the questionnaire after each of its calls in turn.
#[tokio::test(flavor = "multi_thread")]
async fn however_the_questionnaire_dies_a_bad_answer_alerts_once() {
    const CALLS: u32 = 10;
    in_a_shop_with(&[ON], async |shop| {
        let mut kept_without_answer = 0;
        let mut expected = BTreeMap::new();
        for call in 1..=CALLS {
            let code = format!("CP-{call}");
            let survey = asked(shop, &code).await;
            let dies = Fault::kill("questionnaire", Moment::AfterCall(call)).once();
            shop.system.faults().add(dies);
            let saved = send(shop, &token(&survey), "rating=1").await;
            shop.system.faults().clear();
            let is_kept = answer(shop, &code).await.is_some();
            assert!(is_kept || saved.status >= 500, "{call}: {}", saved.text);
            kept_without_answer += u32::from(is_kept && saved.status >= 500);
            expected.insert(code, usize::from(is_kept));
        }
        assert!(kept_without_answer > 0, "no call follows the transaction");
        empty_the_outbox(shop).await;
        let alerts = alerts(shop);
        for (code, expected) in expected {
            let of_coupon =
                |alert: &&Sent| attribute(alert, "event").ends_with(&format!("#{code}/used#ord_1"));
            assert_eq!(alerts.iter().filter(of_coupon).count(), expected, "{code}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_waits_for_a_topic_that_is_down() {
    in_a_shop_with(&[ON], async |shop| {
        let token = token(&asked(shop, "CP-1").await);
        let down = Fault::service(Service::Sns, CallMode::Fail).by("surveys");
        shop.system.faults().add(down);
        assert_eq!(send(shop, &token, "rating=1").await.status, 303);
        empty_the_outbox(shop).await;
        assert_eq!(alerts(shop), []);
        let record = shop.record("CP-1", RECORD).await;
        assert!(record.starts_with("released: "), "{record}");
        shop.system.faults().clear();
        shop.settle_retries().await;
        assert_eq!(alerts(shop).len(), 1);
        assert_eq!(shop.record("CP-1", RECORD).await, "done");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_alerted_unless_the_parameter_asks_for_it() {
    in_a_shop(async |shop| {
        let token = token(&asked(shop, "CP-1").await);
        assert_eq!(send(shop, &token, "rating=1").await.status, 303);
        empty_the_outbox(shop).await;
        assert_eq!(alerts(shop), []);
        assert_eq!(shop.ledger("CP-1").await.get(RECORD), None);
    })
    .await;
}
