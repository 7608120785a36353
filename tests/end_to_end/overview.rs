//! What the overview costs: the requests to DynamoDB, and the bytes.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use jiff::{Timestamp, ToSpan};

use crate::shop::{Shop, in_a_shop_with, redeemed, used};

const TOKENS: (&str, &str) = (
    "ReportTokens",
    "of-all, comp_0=of-one, comp_0=of-three, comp_1=of-three, comp_2=of-three",
);

/// The most requests for the overview of 30 days.
const REQUESTS_MAX: u32 = 20;

/// For each company a redemption, and two uses of one coupon, which is misuse.
async fn misuse_everywhere(shop: &Shop, companies: std::ops::Range<u8>) {
    let at = Timestamp::now().checked_sub(1.minute()).unwrap();
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    for company in companies {
        let code = format!("CP-{company}");
        for webhook in [redeemed(&code), used(&code, "ord_1"), used(&code, "ord_2")] {
            let webhook = webhook
                .set("/company_id", format!("comp_{company}"))
                .set("/timestamp", at.clone());
            assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        }
    }
    shop.settle().await;
}

/// How many requests to DynamoDB the dashboard makes for a page, and the page.
async fn requests(shop: &Shop, token: &str, path: &str) -> (u32, String) {
    let cookie = shop.sign_in(token).await;
    let every = CallMode::Delay(Duration::ZERO);
    let counted = Fault::service(Service::DynamoDb, every).by("dashboard");
    let faults = shop.system.faults();
    let id = faults.add(counted);
    let page = shop.page(&cookie, path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let count = faults.applied(id).unwrap();
    faults.remove(id);
    (count, page.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_needs_few_requests_for_one_three_and_ten_tenants() {
    in_a_shop_with(&[TOKENS], async |shop| {
        misuse_everywhere(shop, 0..10).await;
        // The largest first: the process knows no group's name at this point.
        let mut counts = Vec::new();
        for token in ["of-all", "of-three", "of-one"] {
            for query in ["", "?compare=year"] {
                let path = format!("/dashboard{query}");
                let (count, page) = requests(shop, token, &path).await;
                // Each finding leads to its coupon.
                assert!(page.contains("CP-"), "{page}");
                counts.push((token, query, count));
            }
        }
        for (token, query, count) in &counts {
            let most = match *query {
                "" => REQUESTS_MAX,
                _ => REQUESTS_MAX + 10,
            };
            assert!(*count > 0 && *count <= most, "{token} {query}: {counts:?}");
        }
        println!("requests: {counts:?}");

        // Of more tenants than the requests allow, the page asks for one.
        misuse_everywhere(shop, 10..14).await;
        let (count, page) = requests(shop, "of-all", "/dashboard?timeframe=7d").await;
        assert!(page.contains("There are 14 tenants here"), "{page}");
        assert!(
            page.contains("/dashboard?timeframe=7d&#38;tenant=comp_13"),
            "{page}"
        );
        assert_eq!(count, 1);
        let (_, page) = requests(shop, "of-all", "/dashboard?tenant=comp_13").await;
        assert!(page.contains("CP-13"), "{page}");
    })
    .await;
}
