//! A survey from the use to the report: scheduled, mailed, answered and counted.

use std::time::Duration;

use serde_json::json;

use super::{open, send};
use crate::shop::{in_a_shop_with, redeemed, used};
use crate::support::command;

/// Two hours, and the minute within which the scheduler sends.
const DUE: Duration = Duration::from_secs(2 * 3600 + 60);

#[tokio::test(flavor = "multi_thread")]
async fn a_member_answers_the_survey_that_was_mailed() {
    // No hour is quiet here, because tests run at any hour.
    let parameters = [("SurveyQuietHours", "off"), ("WhatsAppSurveyTemplate", "")];
    in_a_shop_with(&parameters, async |shop| {
        let now = shop.system.now().to_string();
        for webhook in [redeemed("CP-1"), used("CP-1", "ord_1")] {
            let sent = shop.send(webhook.set("/timestamp", now.clone())).await;
            assert_eq!(sent.word(), "200 accepted");
        }
        shop.settle().await;
        shop.system.advance(DUE).await.unwrap();
        // The scheduler sends due surveys in a loop of its own, which needs a moment.
        tokio::time::sleep(Duration::from_millis(300)).await;
        shop.settle().await;
        let mails = shop.mails().into_iter().filter_map(|mail| mail.text);
        let mut links = mails.filter_map(|text| {
            let (_, link) = text.split_once("/surveys/")?;
            Some(link.split_whitespace().next()?.to_owned())
        });
        let link = links.next().expect("a mail with a link");
        let token = link.split('?').next().unwrap();
        assert_eq!(open(shop, token, "?rating=5").await.status, 200);
        assert_eq!(send(shop, token, "rating=5").await.status, 303);
        let rest = "step=rest&recommend=10&comment=Voltarei";
        assert_eq!(send(shop, token, rest).await.status, 303);
        let report = shop.report("/reports/coupons?timeframe=2d").await;
        let surveys = &report.body["satisfaction"]["surveys"];
        for (field, expected) in [
            ("scheduled", json!(1)),
            ("sent", json!(1)),
            ("pending", json!(0)),
            ("answered", json!(1)),
            ("response_rate", json!(100.0)),
            ("average_rating", json!(5.0)),
            ("nps", json!(100.0)),
            ("comments", json!(1)),
        ] {
            assert_eq!(surveys[field], expected, "{field}: {surveys}");
        }
        let verified = command(shop, &["analytics", "verify", "--json"]).await;
        assert_eq!(verified.json()["drift"], json!([]), "{}", verified.out);
    })
    .await;
}
