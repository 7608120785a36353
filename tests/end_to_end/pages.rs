//! The dashboard's pages, over HTTP and in a real browser.

use jiff::{Timestamp, ToSpan};
use serde_json::json;

use crate::browser::{Browser, Colours, in_a_browser};
use crate::shop::{COMPANY, MEMBER, Shop, code_redeemed, in_a_shop_with, redeemed, used};
use crate::support::command;

const TOKENS: (&str, &str) = (
    "ReportTokens",
    "of-all, comp_bella_vista=of-bella, comp_soho=of-soho, comp_bella_vista.personal=sees-bella, \
     .personal=sees-all",
);

/// A minute ago, as a provider writes it.
fn just_now() -> String {
    let at = Timestamp::now().checked_sub(1.minute()).unwrap();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A redemption and a use of each company's coupon, by a member of the same id.
async fn one_of_each(shop: &Shop) {
    for (company, code) in [(COMPANY, "CP-BELLA"), ("comp_soho", "CP-SOHO")] {
        for webhook in [redeemed(code), used(code, "ord_1")] {
            let webhook = webhook
                .set("/company_id", company)
                .set("/timestamp", just_now());
            assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        }
    }
    shop.settle().await;
}

/// A reward, a location and an order with names that are hard to show.
const RIGHT_TO_LEFT: &str = "פיצה מרגריטה (גדולה) 2 ב-1";
const SCRIPT: &str = "<script>alert(1)</script>";

async fn one_with_difficult_names(shop: &Shop) {
    let long = "Supercalifragilistic".repeat(10);
    for (code, reward, location) in [
        ("CP-LONG", long.as_str(), long.as_str()),
        ("CP-RIGHT", RIGHT_TO_LEFT, "תל אביב"),
        ("CP-SCRIPT", SCRIPT, SCRIPT),
    ] {
        let at = just_now();
        let redeemed = redeemed(code)
            .set("/coupon/reward_id", format!("rw_{code}"))
            .set("/coupon/reward_name", reward);
        let used = used(code, &format!("ord_{code}"))
            .set("/usage/reward_name", reward)
            .set("/usage/location", location);
        for webhook in [redeemed, used] {
            let webhook = webhook.set("/timestamp", at.clone());
            assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        }
    }
    shop.settle().await;
}

/// Every page with data of tenants. If its address takes a name, the name belongs to the other
/// company.
const PAGES: [&str; 10] = [
    "/dashboard",
    "/dashboard/events",
    "/dashboard/coupons/CP-SOHO",
    "/dashboard/coupons/zupy%23comp_soho%23CP-SOHO",
    "/dashboard/members/ZP-4F95FB0A",
    "/dashboard/search?q=CP-SOHO",
    "/dashboard/search?q=zupy%23comp_soho%23CP-SOHO",
    "/dashboard/operations",
    "/dashboard/csv/usage.csv",
    "/dashboard/csv/events.csv",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_token_sees_that_tenant_alone_on_every_page() {
    in_a_shop_with(&[TOKENS], async |shop| {
        one_of_each(shop).await;
        let (bella, all) = (shop.sign_in("of-bella").await, shop.sign_in("of-all").await);
        for path in PAGES {
            let page = shop.page(&bella, path).await;
            // The page may repeat the request, but contains nothing else of the other company.
            let shown = page.text.replace("zupy#comp_soho#CP-SOHO", "");
            let shown = shown.replace("zupy%23comp_soho%23CP-SOHO", "");
            assert!(!shown.contains("comp_soho"), "{path}: {shown}");
            let names_it = path.contains("CP-SOHO");
            assert!(names_it || !shown.contains("CP-SOHO"), "{path}: {shown}");
            let separator = if path.contains('?') { '&' } else { '?' };
            let foreign = format!("{path}{separator}tenant=comp_soho");
            let foreign = shop.page(&bella, &foreign).await;
            // A search by key finds nothing, as it does for a key that does not exist.
            let is_by_key = path.contains("search?q=zupy");
            let refused = if is_by_key { 200 } else { 404 };
            assert_eq!(foreign.status, refused, "{path}");
            let nobody = shop.page("", path).await;
            assert!(
                [302, 303, 401].contains(&nobody.status),
                "{path}: {}",
                nobody.status
            );
            assert!(!nobody.text.contains("comp_"), "{path}: {}", nobody.text);
        }
        for (cookie, path, status) in [
            (&bella, "/dashboard/coupons/CP-BELLA", 200),
            (&bella, "/dashboard/coupons/CP-SOHO", 404),
            (&bella, "/dashboard/coupons/zupy%23comp_soho%23CP-SOHO", 404),
            (&bella, "/dashboard/members/ZP-4F95FB0A", 200),
            (&bella, "/dashboard/operations", 404),
            (&all, "/dashboard/coupons/CP-SOHO", 200),
            (&all, "/dashboard/members/ZP-4F95FB0A?tenant=comp_soho", 200),
            (&all, "/dashboard/operations", 200),
        ] {
            let page = shop.page(cookie, path).await;
            assert_eq!(page.status, status, "{path}: {}", page.text);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_are_masked_unless_the_token_may_see_them() {
    in_a_shop_with(&[TOKENS], async |shop| {
        // Only the sample's redemption states a contact here.
        one_of_each(shop).await;
        let contact = json!({
            "TableName": "members",
            "Item": {
                "member": {"S": format!("zupy#{COMPANY}#{MEMBER}")}, "entry": {"S": "contact"},
                "name": {"S": "Maria Silva"}, "email": {"S": "customer@example.com"},
                "phone": {"S": "+5511965958122"},
            },
        });
        shop.aws("DynamoDB_20120810.PutItem", &contact).await;
        let path = format!("/dashboard/members/{MEMBER}?tenant={COMPANY}");
        for (token, sees) in [
            ("of-bella", false),
            ("of-all", false),
            ("sees-bella", true),
            ("sees-all", true),
        ] {
            let cookie = shop.sign_in(token).await;
            let page = shop.page(&cookie, &path).await;
            assert_eq!(page.status, 200, "{token}: {}", page.text);
            for personal in ["Maria Silva", "customer@example.com", "5511965958122"] {
                assert_eq!(page.text.contains(personal), sees, "{token}: {personal}");
            }
        }
        // Permission to see personal data gives access to no other tenant.
        let cookie = shop.sign_in("sees-bella").await;
        let foreign = format!("/dashboard/members/{MEMBER}?tenant=comp_soho");
        assert_eq!(shop.page(&cookie, &foreign).await.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_leads_to_a_coupon_a_member_and_the_redemptions_of_a_code() {
    in_a_shop_with(&[TOKENS], async |shop| {
        one_of_each(shop).await;
        for key in ["k1", "k2"] {
            let webhook = code_redeemed(key)
                .set("/event_time", Timestamp::now().as_second() - 60)
                .set(
                    "/event_data/coupon/redeemed_at",
                    Timestamp::now().as_second() - 60,
                );
            assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        }
        shop.settle().await;
        let cookie = shop.sign_in("of-all").await;
        let leads_to = async |text: &str| {
            let page = shop
                .page(&cookie, &format!("/dashboard/search?q={text}"))
                .await;
            let location = page.headers.get("location");
            let location = location.map(|it| it.to_str().unwrap().to_owned());
            location.unwrap_or(page.text)
        };
        let coupon = leads_to("CP-BELLA").await;
        assert_eq!(
            coupon,
            "/dashboard/coupons/zupy%23comp_bella_vista%23CP-BELLA"
        );
        let event = leads_to("zupy%23comp_soho%23CP-SOHO%2Fredeemed").await;
        assert_eq!(
            event,
            "/dashboard/coupons/zupy%23comp_soho%23CP-SOHO%2Fredeemed"
        );
        // Both companies have a member with this id.
        let members = leads_to(MEMBER).await;
        for company in [COMPANY, "comp_soho"] {
            let link = format!("/dashboard/members/{MEMBER}?provider=zupy&#38;tenant={company}");
            assert!(members.contains(&link), "{members}");
        }
        let code = leads_to("WELCOME").await;
        assert!(code.starts_with("/dashboard/events?"), "{code}");
        let events = shop.page(&cookie, &code).await;
        assert_eq!(
            events.text.matches("/dashboard/coupons/aghanim").count(),
            2,
            "{}",
            events.text
        );
        assert!(!events.text.contains("CP-BELLA"), "{}", events.text);
        let nothing = leads_to("nothing-of-the-kind").await;
        assert!(nothing.contains("<h1>"), "{nothing}");
        // Programs find the redemptions by the code too.
        let several = shop
            .report_as(Some("of-all"), "/reports/coupons/WELCOME")
            .await;
        assert_eq!(several.status, 400, "{}", several.text);
        assert!(
            several.text.contains("k1") && several.text.contains("k2"),
            "{}",
            several.text
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_with_their_reason_and_stay() {
    in_a_shop_with(&[TOKENS], async |shop| {
        let letter = json!({
            "QueueUrl": format!("{}/000000000000/delivery-dead-letter", shop.system.aws_url()),
            "MessageBody": r#"{"version": 99}"#,
            "MessageAttributes": {
                "Reason": {"DataType": "String", "StringValue": "the <b>reason</b>"},
            },
        });
        shop.aws("AmazonSQS.SendMessage", &letter).await;
        let cookie = shop.sign_in("of-all").await;
        for _ in 0..2 {
            let page = shop.page(&cookie, "/dashboard/operations").await;
            assert_eq!(page.status, 200, "{}", page.text);
            for piece in [
                "the &#60;b&#62;reason",
                "coupons redrive delivery",
                "outbox",
            ] {
                let found = page.text.to_lowercase().contains(piece);
                assert!(found, "{piece}: {}", page.text);
            }
        }
        let dead = command(shop, &["dead", "delivery", "--json"]).await.json();
        assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
        let queue = json!({"QueueUrl": "delivery-dead-letter"});
        shop.aws("AmazonSQS.PurgeQueue", &queue).await;
    })
    .await;
}

/// A script that lists what paper would cut off, and what nobody can use on paper.
const CUT_OFF: &str = "
    const name = it => it.tagName + '.' + it.className;
    const all = [...document.body.querySelectorAll('*')];
    const wide = all.filter(it => it.getBoundingClientRect().right > innerWidth + 1
        && !it.closest('svg, .hidden, .skip'));
    const clips = all.filter(it => it.scrollWidth > it.clientWidth + 1
        && getComputedStyle(it).overflowX !== 'visible' && !it.closest('svg, .hidden'));
    const controls = all.filter(it => it.matches('nav, button, input, select') && it.checkVisibility()
        && !it.closest('main form[action=\"/dashboard/sign-in\"]'));
    return [...wide, ...clips, ...controls].map(name);";

/// A script that lists the boxes that hide a part of what they hold.
const SCROLLS: &str = "
    const all = [...document.querySelectorAll('main *')];
    const clips = all.filter(it => it.scrollWidth > it.clientWidth + 1
        && getComputedStyle(it).overflowX !== 'visible' && !it.closest('svg, .hidden, .skip'));
    return clips.map(it => it.closest('section')?.innerText.slice(0, 40) ?? it.tagName);";

/// Runs the checks that every page must pass, in every scheme of colours and on paper.
async fn check_page(browser: &Browser, name: &str, host: &str) {
    for colours in [Colours::Light, Colours::Dark, Colours::Forced] {
        browser.set_colours(colours).await;
        // The reader chooses forced colours, so the page cannot decide their contrast.
        if colours != Colours::Forced {
            let found = browser.inaccessible().await;
            assert_eq!(found, [""; 0], "{name} in {colours:?}");
        }
    }
    browser.set_colours(Colours::Light).await;
    for width in [320, 2560] {
        browser.set_size(width, 900).await;
        assert!(!browser.scrolls_sideways().await, "{name} at {width}");
    }
    // On a phone, a wide table scrolls in its box.
    for width in [1280, 1600, 1920, 2560] {
        browser.set_size(width, 900).await;
        let cut = browser.evaluate(SCROLLS).await;
        assert_eq!(cut, json!([]), "{name} at {width}");
    }
    browser.set_printed(true).await;
    // The width of A4 within its margins, in CSS pixels.
    browser.set_size(718, 900).await;
    assert_eq!(
        browser.evaluate(CUT_OFF).await,
        json!([]),
        "{name} on paper"
    );
    browser.set_printed(false).await;
    let pdf = browser.pdf().await;
    // `%PDF-` in base64.
    assert!(pdf.starts_with("JVBERi0"), "{name} as PDF");
    browser.set_size(1280, 900).await;
    assert_eq!(browser.console().await, [""; 0], "{name}");
    let hosts: Vec<_> = browser.hosts().await.into_iter().collect();
    assert!(hosts.iter().all(|it| it == host), "{name}: {hosts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_follows_a_coupon_in_a_browser() {
    in_a_browser(async |browser| {
        in_a_shop_with(&[TOKENS], async |shop| {
            one_of_each(shop).await;
            one_with_difficult_names(shop).await;
            let root = shop.system.gateway_url().to_owned();
            let host = root.strip_prefix("http://").unwrap();
            browser.set_languages("en").await;
            browser.set_size(1280, 900).await;

            browser.open(&format!("{root}/dashboard")).await;
            assert!(browser.address().await.starts_with("/dashboard/sign-in"));
            check_page(browser, "sign-in", host).await;
            browser.fill("input[name=token]", "no such token").await;
            browser.follow("main form button").await;
            assert!(
                browser.has("input[name=token]").await,
                "signed in with any token"
            );
            browser.console().await;
            browser.fill("input[name=token]", "of-all").await;
            browser.follow("main form button").await;
            assert_eq!(browser.address().await, "/dashboard");
            check_page(browser, "overview", host).await;

            let overview = browser.text("main").await;
            for name in [RIGHT_TO_LEFT, SCRIPT] {
                assert!(overview.contains(name), "{name}: {overview}");
            }

            browser.follow("a[href*='timeframe=7d']").await;
            assert!(browser.address().await.contains("timeframe=7d"));
            check_page(browser, "overview of 7 days", host).await;

            browser.follow("nav a[href^='/dashboard/events']").await;
            let events = browser.text("main").await;
            assert!(
                events.contains("CP-BELLA") && events.contains("CP-SOHO"),
                "{events}"
            );
            check_page(browser, "events", host).await;

            browser
                .follow("main a[href*='comp_bella_vista%23CP-BELLA']")
                .await;
            let life = browser.text("main").await;
            for piece in ["CP-BELLA", "comp_bella_vista", "ord_1", "Pizza"] {
                assert!(life.contains(piece), "{piece}: {life}");
            }
            check_page(browser, "a coupon's life", host).await;

            browser.follow("main a[href^='/dashboard/members/']").await;
            let member = browser.text("main").await;
            assert!(
                member.contains(MEMBER) && member.contains("CP-BELLA"),
                "{member}"
            );
            check_page(browser, "a member", host).await;

            browser.follow("nav a[href^='/dashboard/operations']").await;
            let operations = browser.text("main").await;
            assert!(operations.contains("delivery"), "{operations}");
            check_page(browser, "operations", host).await;

            browser.follow("nav a[href^='/dashboard/events']").await;
            browser.fill("input[name=q]", "CP-SOHO").await;
            browser.follow("form[role=search] button").await;
            assert!(browser.address().await.ends_with("comp_soho%23CP-SOHO"));

            browser
                .follow("form[action='/dashboard/sign-out'] button")
                .await;
            browser.open(&format!("{root}/dashboard/events")).await;
            assert!(browser.address().await.starts_with("/dashboard/sign-in"));
        })
        .await;
    })
    .await;
}
