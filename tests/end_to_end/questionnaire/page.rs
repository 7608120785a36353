//! The page in a real browser: the test taps and sends it, and axe-core checks it.

use serde_json::json;

use crate::browser::{Browser, Colours, in_a_browser};
use crate::shop::in_a_shop;

use super::{answer, asked, token};

/// Checks that a member can reach everything, nothing is wider than the window, and the console is
/// silent.
async fn is_right(browser: &Browser, what: &str) {
    assert_eq!(browser.inaccessible().await, Vec::<String>::new(), "{what}");
    assert!(!browser.scrolls_sideways().await, "{what}");
    assert_eq!(browser.console().await, Vec::<String>::new(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_answers_with_a_few_taps() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let gateway = shop.system.gateway_url().to_owned();
        let page = format!("{gateway}/surveys/{}", token(&survey));
        in_a_browser(async |browser| {
            browser.set_size(320, 640).await;
            for colours in [Colours::Light, Colours::Dark, Colours::Forced] {
                browser.set_colours(colours).await;
                browser.open(&format!("{page}?rating=4")).await;
                is_right(browser, &format!("rating, {colours:?}")).await;
            }
            assert_eq!(answer(shop, "CP-1").await, None);
            browser.follow("button").await;
            assert!(browser.has("textarea").await);
            for colours in [Colours::Forced, Colours::Dark, Colours::Light] {
                browser.set_colours(colours).await;
                is_right(browser, &format!("the rest, {colours:?}")).await;
            }
            browser.choose("label:has(input[value='9'])").await;
            browser.fill("textarea", "Tudo <b>bom</b>!").await;
            browser.follow("button").await;
            assert_eq!(browser.text("h1").await, "Obrigado pela resposta!");
            is_right(browser, "thanks").await;
            let row = answer(shop, "CP-1").await.unwrap();
            assert_eq!((&row["rating"], &row["recommend"]), (&json!(4), &json!(9)));
            assert_eq!(row["comment"], "Tudo <b>bom</b>!");
            // The page shows the comment as text.
            browser.follow("a").await;
            browser.follow("button").await;
            let shown = browser
                .evaluate("return document.querySelector('textarea').value")
                .await;
            assert_eq!(shown, "Tudo <b>bom</b>!");
            let host = gateway.trim_start_matches("http://");
            assert_eq!(browser.hosts().await, [host.to_owned()].into());
        })
        .await;
    })
    .await;
}
