//! Signing in to the dashboard over HTTP: who gets in, which headers each answer has, and what a
//! page costs.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use jiff::{Timestamp, ToSpan};

use crate::shop::{Shop, Visited, in_a_shop, in_a_shop_with, redeemed, used};

const TOKENS: (&str, &str) = (
    "ReportTokens",
    "of-all, comp_bella_vista=of-bella, comp_soho=of-soho",
);

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn sign_in(shop: &Shop, form: &str, headers: &[(&str, &str)]) -> Visited {
    let headers = [&[FORM][..], headers].concat();
    shop.visit("POST", "/dashboard/sign-in", &headers, form)
        .await
}

/// A minute ago, as a provider writes it.
fn just_now() -> String {
    let at = Timestamp::now().checked_sub(1.minute()).unwrap();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The cookie of the reader who signs in with this token.
async fn session(shop: &Shop, token: &str) -> String {
    let answer = sign_in(shop, &format!("token={token}"), &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let cookie = answer.header("set-cookie");
    for attribute in [
        "; HttpOnly",
        "; Secure",
        "; SameSite=Strict",
        "; Path=/dashboard",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains(token), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

async fn visit(shop: &Shop, cookie: &str, path: &str) -> Visited {
    let headers = [("cookie", cookie), ("accept-language", "en")];
    shop.visit("GET", path, &headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_for_those_who_signed_in() {
    in_a_shop_with(&[TOKENS], async |shop| {
        for cookie in ["", "session=", "session=abc", "session=AAAAAAAAAAA"] {
            let answer = visit(shop, cookie, "/dashboard?timeframe=7d").await;
            assert_eq!(answer.status, 303, "{cookie}");
            let next = "/dashboard/sign-in?next=%2Fdashboard%3Ftimeframe%3D7d";
            assert_eq!(answer.header("location"), next);
        }
        let answer = sign_in(shop, "token=wrong&next=/dashboard", &[]).await;
        assert_eq!(answer.status, 403);
        assert!(
            answer.text.contains("This token is not valid."),
            "{}",
            answer.text
        );
        let form = "token=of-all&next=%2Fdashboard%3Ftimeframe%3D7d";
        let answer = sign_in(shop, form, &[]).await;
        assert_eq!(answer.header("location"), "/dashboard?timeframe=7d");
        let answer = sign_in(shop, "token=of-all&next=https://evil.example/", &[]).await;
        assert_eq!(answer.header("location"), "/dashboard");
        let cookie = session(shop, "of-all").await;
        let page = visit(shop, &cookie, "/dashboard").await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(
            page.text.contains("No event has arrived so far"),
            "{}",
            page.text
        );
        let headers = [("cookie", cookie.as_str())];
        let out = shop
            .visit("POST", "/dashboard/sign-out", &headers, "")
            .await;
        assert_eq!(out.status, 303);
        assert!(out.header("set-cookie").starts_with("session=; "));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_and_too_many_tries_are_refused() {
    in_a_shop_with(&[TOKENS], async |shop| {
        for header in [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ] {
            let answer = sign_in(shop, "token=of-all", &[header]).await;
            assert_eq!(answer.status, 403, "{header:?}");
            assert_eq!(answer.header("set-cookie"), "");
            let headers = [("cookie", "session=x"), header];
            let answer = shop
                .visit("POST", "/dashboard/sign-out", &headers, "")
                .await;
            assert_eq!(answer.status, 403, "{header:?}");
        }
        // Several processes may have answered, and each counts alone. So some more tries may pass.
        let mut statuses = Vec::new();
        for _ in 0..25 {
            statuses.push(sign_in(shop, "token=wrong", &[]).await);
        }
        let last = statuses.pop().unwrap();
        assert_eq!(last.status, 429, "{}", last.text);
        assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
        assert_eq!(statuses[0].status, 403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_from_another_site_leads_to_the_page_at_the_second_step() {
    in_a_shop(async |shop| {
        let headers = [("sec-fetch-site", "cross-site")];
        let path = "/dashboard?timeframe=7d";
        let answer = shop.visit("GET", path, &headers, "").await;
        assert_eq!(answer.status, 200);
        let refresh = "<meta http-equiv=\"refresh\" content=\"0; url=/dashboard?timeframe=7d\">";
        assert!(answer.text.contains(refresh), "{}", answer.text);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_to_itself() {
    in_a_shop(async |shop| {
        let cookie = session(shop, "local-report-token").await;
        let style = {
            let page = visit(shop, &cookie, "/dashboard").await;
            let (_, rest) = page.text.split_once("rel=\"stylesheet\" href=\"").unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        for path in [
            "/dashboard",
            "/dashboard/sign-in",
            "/dashboard/nothing",
            "/dashboard?timeframe=never",
            "/dashboard/csv/usage.csv",
            style.as_str(),
        ] {
            let answer = visit(shop, &cookie, path).await;
            let policy = "default-src 'none'; style-src 'self'; img-src 'self'; \
                          form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
            assert_eq!(answer.header("content-security-policy"), policy, "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
            let kept = answer.header("cache-control");
            match path == style {
                true => assert!(kept.contains("max-age=31536000, immutable"), "{kept}"),
                false => assert!(kept.starts_with("private"), "{path}: {kept}"),
            }
        }
        let problem = visit(shop, &cookie, "/dashboard?timeframe=never&x=%3Cb%3E").await;
        assert_eq!(problem.status, 400);
        for part in ["<code>timeframe</code>", "<code>x</code>", "&#60;b&#62;"] {
            assert!(problem.text.contains(part), "{part} in {}", problem.text);
        }
        assert_eq!(visit(shop, &cookie, "/dashboard/nothing").await.status, 404);
        let other = visit(shop, &cookie, "/dashboard/assets/style-0.css").await;
        assert_eq!(other.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_is_chosen_by_a_link_and_remembered() {
    in_a_shop(async |shop| {
        let cookie = session(shop, "local-report-token").await;
        let portuguese = [("cookie", cookie.as_str()), ("accept-language", "pt-BR")];
        let page = shop.visit("GET", "/dashboard", &portuguese, "").await;
        assert!(page.text.contains("<html lang=\"pt-BR\""), "{}", page.text);
        assert!(
            page.text.contains("href=\"/dashboard?language=en\""),
            "{}",
            page.text
        );
        let page = shop
            .visit("GET", "/dashboard?language=en", &portuguese, "")
            .await;
        assert!(page.text.contains("<html lang=\"en\""), "{}", page.text);
        let chosen = page.header("set-cookie");
        assert!(chosen.starts_with("language=en; "), "{chosen}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_shows_what_happened_in_few_reads() {
    in_a_shop_with(&[TOKENS], async |shop| {
        shop.send(redeemed("CP-1").set("/timestamp", just_now()))
            .await;
        shop.send(used("CP-1", "ord_1").set("/timestamp", just_now()))
            .await;
        shop.settle().await;
        let bella = session(shop, "of-bella").await;
        let reads = Fault::service(Service::DynamoDb, CallMode::Delay(Duration::ZERO));
        let id = shop.system.faults().add(reads.by("dashboard"));
        let path = "/dashboard?timeframe=30d";
        let page = visit(shop, &bella, path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let made = shop.system.faults().applied(id).unwrap();
        assert!((1..=20).contains(&made), "{made} calls to DynamoDB");
        shop.system.faults().clear();
        let page = visit(shop, &bella, "/dashboard?timeframe=2d").await;
        assert!(page.text.contains("Pizza Margherita"), "{}", page.text);
        let csv = "/dashboard/csv/conversion.csv?timeframe=2d";
        let csv = visit(shop, &bella, csv).await;
        assert_eq!(csv.status, 200, "{}", csv.text);
        assert!(
            csv.text.starts_with("reward_id,reward_name,redeemed,"),
            "{}",
            csv.text
        );
        assert!(csv.header("content-disposition").contains("conversion.csv"));
        // Another tenant's token shows nothing of it.
        let soho = session(shop, "of-soho").await;
        let page = visit(shop, &soho, "/dashboard?timeframe=2d").await;
        assert!(!page.text.contains("Pizza"), "{}", page.text);
        for path in ["/dashboard", "/dashboard/csv/usage.csv"] {
            let path = format!("{path}?tenant=comp_bella_vista");
            assert_eq!(visit(shop, &soho, &path).await.status, 404, "{path}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_page_leads_to_the_dashboard_signed_in() {
    in_a_shop(async |shop| {
        assert!(shop.get("/").await.1.contains("href=\"/_local/dashboard\""));
        let answer = shop.visit("GET", "/_local/dashboard", &[], "").await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        assert_eq!(answer.header("location"), "/dashboard");
        let cookie = answer.header("set-cookie");
        let cookie = cookie.split(';').next().unwrap();
        assert_eq!(visit(shop, cookie, "/dashboard").await.status, 200);
    })
    .await;
}
