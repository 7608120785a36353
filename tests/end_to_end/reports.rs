//! Reports over HTTP: who may read them, which requests get a refusal, and what the answers
//! contain.

use std::collections::BTreeSet;
use std::process::Command;

use emulators::faults::{CallMode, Fault};
use emulators::lambda::Event;
use emulators::service::Service;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::command_line::coupons;
use crate::shop::{Reported, Shop, ZUPY, in_a_shop, in_a_shop_with, redeemed, root, used, v2};
use crate::support::{command, run};

const TOKENS: (&str, &str) = (
    "ReportTokens",
    "of-all, comp_bella_vista=of-bella, comp_soho=of-soho",
);

const ROUTES: [&str; 15] = [
    "/reports/coupons",
    "/reports/coupons.csv",
    "/reports/coupons/usage.csv",
    "/reports/coupons/CP-1",
    "/reports/members/ZP-1",
    "/reports/locations",
    "/reports/locations.csv",
    "/reports/days",
    "/reports/events",
    "/reports/events.csv",
    "/reports/surveys",
    "/reports/surveys.csv",
    "/reports/findings",
    "/reports/findings.csv",
    "/reports/nothing",
];

fn code(reported: &Reported) -> String {
    let code = reported.body["error"]["code"].as_str().unwrap_or("?");
    format!("{} {code}", reported.status)
}

fn problems(reported: &Reported) -> Vec<String> {
    let problems = reported.body["error"]["problems"].as_array();
    let problems = problems.into_iter().flatten().map(|problem| {
        let text = |name: &str| problem[name].as_str().unwrap_or("?");
        format!("{}={} {}", text("field"), text("value"), text("problem"))
    });
    problems.collect()
}

/// Today on the clocks of the samples' company.
fn today() -> jiff::civil::Date {
    let zone = TimeZone::get("America/Sao_Paulo").unwrap();
    Timestamp::now().to_zoned(zone).date()
}

/// A minute ago, as a provider writes it.
fn just_now() -> String {
    let at = Timestamp::now().checked_sub(1.minute()).unwrap();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_wants_a_token() {
    in_a_shop(async |shop| {
        for route in ROUTES {
            for token in [None, Some("wrong"), Some("local-report-tokens"), Some("")] {
                let reported = shop.report_as(token, route).await;
                assert_eq!(code(&reported), "401 unauthorised", "{route} {token:?}");
                let challenge = reported.headers["www-authenticate"].to_str().unwrap();
                assert!(challenge.starts_with("Bearer "), "{challenge}");
            }
        }
        let reported = shop.report("/reports/coupons?timeframe=30d").await;
        assert_eq!(reported.status, 200, "{}", reported.text);
        assert_eq!(reported.body["time_zone"], "America/Sao_Paulo");
        assert_eq!(reported.body["to"], today().to_string());
        assert_eq!(reported.headers["cache-control"], "no-store");
        assert_eq!(
            code(&shop.report("/reports/nothing").await),
            "404 not_found"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_a_request_is_named_at_once() {
    in_a_shop(async |shop| {
        let asked = "/reports/coupons?timeframe=500d&compare=week&when=1&provider=a&provider=b";
        let reported = shop.report(asked).await;
        assert_eq!(code(&reported), "400 invalid_parameters");
        assert_eq!(
            problems(&reported),
            [
                "provider=a, b must be given once",
                "timeframe=500d must be a number of days from 1d to 400d, such as 30d",
                "compare=week must be one of previous, year, none",
                "when=1 is not a parameter here; the parameters are compare, from, provider, section, \
                 tenant, timeframe, to",
            ]
        );
        for asked in [
            "/reports/coupons?section=usage",
            "/reports/coupons.csv?section=all",
            "/reports/coupons?from=2026-02-30",
            "/reports/coupons?from=2020-01-01&to=2026-01-01",
            "/reports/coupons/usage.csv?section=usage",
            "/reports/locations?compare=year",
            "/reports/days?currency=real",
            "/reports/events?limit=1001",
            "/reports/events?cursor=x",
            "/reports/findings?cursor=x",
            "/reports/findings?severity=bad",
            "/reports/findings?rule=no_such_rule",
            "/reports/events?date=2026-11-25&timeframe=3d",
            "/reports/events?type=pinged",
            "/reports/surveys?rating=6",
            "/reports/surveys?answers=none",
            "/reports/surveys?limit=501",
            "/reports/surveys?cursor=x",
            "/reports/members/ZP-1?timeframe=30d",
            "/reports/coupons/CP-1?timeframe=30d",
        ] {
            let reported = shop.report(asked).await;
            assert_eq!(code(&reported), "400 invalid_parameters", "{asked}");
            assert_eq!(problems(&reported).len(), 1, "{asked}: {}", reported.text);
        }
        let reported = shop.report("/reports/coupons?tenant=nobody").await;
        assert_eq!(code(&reported), "404 not_found");
    })
    .await;
}

fn sample(function: &str) -> Value {
    let path = root().join(format!("events/{function}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Sends one company's redemption and use of a coupon that the other company does not have.
async fn one_of_each(shop: &Shop) {
    for (company, code) in [("comp_bella_vista", "CP-BELLA"), ("comp_soho", "CP-SOHO")] {
        for webhook in [redeemed(code), used(code, "ord_1")] {
            let webhook = webhook
                .set("/company_id", company)
                .set("/timestamp", just_now());
            assert_eq!(shop.send(webhook).await.word(), "200 accepted");
        }
    }
    shop.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_token_reads_that_tenant_alone() {
    in_a_shop_with(&[TOKENS], async |shop| {
        one_of_each(shop).await;
        for route in [
            "/reports/coupons",
            "/reports/coupons.csv",
            "/reports/coupons/CP-SOHO",
            "/reports/coupons/zupy%23comp_soho%23CP-SOHO",
            "/reports/members/ZP-4F95FB0A",
            "/reports/locations",
            "/reports/locations.csv",
            "/reports/days",
            "/reports/days.csv",
            "/reports/events",
            "/reports/events.csv",
            "/reports/findings",
            "/reports/findings.csv",
        ] {
            // A foreign resource and an absent one get the same answer.
            let named = |tenant: &str| format!("{route}?tenant={tenant}");
            let foreign = shop.report_as(Some("of-bella"), &named("comp_soho")).await;
            let unknown = shop
                .report_as(Some("of-bella"), &named("comp_nobody"))
                .await;
            assert_eq!(code(&foreign), "404 not_found", "{route}");
            assert_eq!(foreign.text, unknown.text, "{route}");
            // A request without a tenant gets nothing of the other one.
            let own = shop.report_as(Some("of-bella"), route).await;
            assert!(!own.text.contains("comp_soho"), "{route}: {}", own.text);
            assert!(!own.text.contains("CP-SOHO"), "{route}: {}", own.text);
        }
        for (token, route) in [
            ("of-bella", "/reports/coupons/CP-BELLA"),
            ("of-all", "/reports/coupons/CP-SOHO"),
            ("of-all", "/reports/coupons/zupy%23comp_soho%23CP-SOHO"),
        ] {
            let life = shop.report_as(Some(token), route).await;
            assert_eq!(life.status, 200, "{route}: {}", life.text);
            let received = life.body["received"].as_array().unwrap();
            assert_eq!(received.len(), 2, "{route}");
            assert_eq!(life.body["account"]["state"], "used", "{route}");
            assert!(!life.text.contains("@example.com"), "{}", life.text);
        }
        let own = shop.report_as(Some("of-bella"), "/reports/coupons").await;
        assert_eq!(own.body["tenant"], "comp_bella_vista");
        assert_eq!(own.body["totals"]["redemptions"]["value"], 1);
        let all = shop.report_as(Some("of-all"), "/reports/coupons").await;
        assert_eq!(all.body["tenant"], Value::Null);
        assert_eq!(all.body["totals"]["redemptions"]["value"], 2);
        let asked = "/reports/coupons?tenant=comp_soho";
        let one = shop.report_as(Some("of-all"), asked).await;
        assert_eq!(one.body["totals"]["redemptions"]["value"], 1);
        // Both tenants have this member.
        let member = "/reports/members/ZP-4F95FB0A";
        let ambiguous = shop.report_as(Some("of-all"), member).await;
        assert_eq!(code(&ambiguous), "400 invalid_parameters");
    })
    .await;
}

/// The date differs between these zones at every moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_on_all_tenants_holds_the_today_of_each() {
    let zones = ("TimeZone", "Etc/GMT+12, comp_soho=Pacific/Kiritimati");
    in_a_shop_with(&[TOKENS, zones], async |shop| {
        one_of_each(shop).await;
        for route in ["/reports/coupons", "/reports/coupons?timeframe=1d"] {
            let all = shop.report_as(Some("of-all"), route).await;
            assert_eq!(all.body["totals"]["redemptions"]["value"], 2, "{route}");
            assert_eq!(all.body["totals"]["uses"]["value"], 2, "{route}");
        }
        let events = shop.report_as(Some("of-all"), "/reports/events?timeframe=1d");
        assert_eq!(events.await.body["events"].as_array().unwrap().len(), 4);
        let today = |zone: &str| {
            let zone = TimeZone::get(zone).unwrap();
            Timestamp::now().to_zoned(zone).date().to_string()
        };
        for (token, zone) in [
            ("of-bella", "Etc/GMT+12"),
            ("of-soho", "Pacific/Kiritimati"),
        ] {
            let own = shop
                .report_as(Some(token), "/reports/coupons?timeframe=1d")
                .await;
            assert_eq!(own.body["from"], today(zone), "{token}");
            assert_eq!(own.body["to"], today(zone), "{token}");
            assert_eq!(own.body["totals"]["uses"]["value"], 1, "{token}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_are_answered_as_json_and_as_csv() {
    in_a_shop(async |shop| {
        for number in 0..3 {
            let webhook = redeemed(&format!("CP-{number}")).set("/timestamp", just_now());
            shop.send(webhook).await;
        }
        let webhook = used("CP-0", "ord_1").set("/timestamp", just_now());
        shop.send(webhook.clone()).await;
        shop.settle().await;
        assert_eq!(shop.send(webhook).await.word(), "200 duplicate");
        shop.settle().await;

        let report = shop.report("/reports/coupons?timeframe=1d").await;
        let body = &report.body;
        assert_eq!(body["totals"]["redemptions"]["value"], 3, "{body:#}");
        assert_eq!(body["totals"]["redemptions"]["change_percent"], "new");
        assert_eq!(body["totals"]["discount_applied"]["value"], "35.00");
        let [row] = body["redemptions"].as_array().unwrap().as_slice() else {
            panic!("{body:#}");
        };
        assert_eq!(row["reward_name"], "Pizza Margherita Grátis");
        assert_eq!((&row["count"], &row["net"]), (&json!(3), &json!(3)));
        let [row] = body["usage"].as_array().unwrap().as_slice() else {
            panic!("{body:#}");
        };
        assert_eq!(row["location"], "Loja Centro");
        assert_eq!(row["average_order_value"], "67.50");
        let [row] = body["conversion"].as_array().unwrap().as_slice() else {
            panic!("{body:#}");
        };
        assert_eq!((&row["redeemed"], &row["used"]), (&json!(3), &json!(1)));
        assert_eq!(row["conversion_rate"], 33.33);
        assert_eq!(body["patterns"]["time_to_usage"]["count"], 1);

        let by_path = shop.report("/reports/coupons/usage.csv?timeframe=1d").await;
        assert_eq!(by_path.headers["content-type"], "text/csv; charset=utf-8");
        let lines: Vec<_> = by_path.text.lines().collect();
        assert_eq!(lines.len(), 2, "{}", by_path.text);
        assert!(
            lines[1].contains(",Loja Centro,pos,1,35.00,67.50,"),
            "{}",
            lines[1]
        );
        let asked = "/reports/coupons.csv?section=usage&timeframe=1d";
        assert_eq!(shop.report(asked).await.text, by_path.text);
        let accept = [
            ("accept", "text/csv"),
            ("authorization", "Bearer local-report-token"),
        ];
        let asked = "/reports/coupons?section=usage&timeframe=1d";
        assert_eq!(shop.report_with(&accept, asked).await.text, by_path.text);

        let days = shop.report("/reports/days?timeframe=2d").await;
        let rows = days.body["days"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["redemptions"], 0);
        assert_eq!(rows[1]["redemptions"], 3);
        let locations = shop.report("/reports/locations").await;
        assert_eq!(locations.body["locations"][0]["discount_given"], "35.00");
        let member = shop.report("/reports/members/ZP-4F95FB0A").await;
        assert_eq!(member.body["total_redemptions"], 3, "{}", member.text);
        assert_eq!(member.body["money_saved"][0]["amount"], "35.00");
        let nobody = shop.report("/reports/members/nobody").await;
        assert_eq!(code(&nobody), "404 not_found");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_newest_first_page_by_page() {
    in_a_shop_with(&[("ReportTokens", "local-report-token")], async |shop| {
        for number in 0..7 {
            let company = ["comp_bella_vista", "comp_soho"][number % 2];
            let at = Timestamp::now().checked_sub(jiff::Span::new().seconds(100 - number as i64));
            let webhook = redeemed(&format!("CP-{number}"))
                .set("/company_id", company)
                .set(
                    "/timestamp",
                    at.unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                );
            shop.send(webhook).await;
        }
        let webhook = used("CP-0", "ord_1").set("/timestamp", just_now());
        shop.send(webhook).await;
        shop.settle().await;

        let mut codes = Vec::new();
        let mut asked = "/reports/events?type=redeemed&limit=2&timeframe=2d".to_owned();
        for _ in 0..10 {
            let page = shop.report(&asked).await;
            let events = page.body["events"]
                .as_array()
                .unwrap_or_else(|| panic!("{}", page.text));
            assert!(events.len() <= 2);
            codes.extend(
                events
                    .iter()
                    .map(|it| it["coupon_code"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page.body["next_cursor"].as_str() else {
                break;
            };
            asked = format!("/reports/events?type=redeemed&limit=2&timeframe=2d&cursor={next}");
        }
        let expected: Vec<_> = (0..7).rev().map(|number| format!("CP-{number}")).collect();
        assert_eq!(codes, expected);

        let count = async |filter: &str| {
            let page = shop
                .report(&format!("/reports/events?timeframe=2d&{filter}"))
                .await;
            page.body["events"].as_array().unwrap().len()
        };
        assert_eq!(count("status=used").await, 2);
        assert_eq!(count("status=active").await, 6);
        assert_eq!(count("tenant=comp_soho").await, 3);
        assert_eq!(count("location=Loja+Centro").await, 1);
        assert_eq!(count("reward=Pizza+Margherita+Gr%C3%A1tis").await, 8);
        assert_eq!(count("location=Lua").await, 0);
        let csv = shop.report("/reports/events.csv?limit=1").await;
        assert_eq!(csv.text.lines().count(), 2);
        assert!(csv.headers.contains_key("x-next-cursor"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_while_both_are_valid() {
    in_a_shop_with(&[("ReportTokens", "old")], async |shop| {
        let rotate = async |shop: &Shop, value: &str| {
            let new = json!({"SecretId": "reporting-tokens", "SecretString": value});
            shop.aws("secretsmanager.PutSecretValue", &new).await;
        };
        let status = async |shop: &Shop, token: &str| {
            let reported = shop.report_as(Some(token), "/reports/days").await;
            reported.status
        };
        assert_eq!(status(shop, "new").await, 401);
        rotate(shop, "new").await;
        assert_eq!(status(shop, "new").await, 200);
        assert_eq!(status(shop, "old").await, 200);
        rotate(shop, "newest").await;
        assert_eq!(status(shop, "newest").await, 200);
        assert_eq!(status(shop, "old").await, 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_answered_as_temporary() {
    in_a_shop(async |shop| {
        shop.expect_error("Not answered");
        let fault = Fault::service(Service::DynamoDb, CallMode::Throttle);
        let id = shop.system.faults().add(fault.by("reports"));
        let reported = shop.report("/reports/coupons").await;
        assert_eq!(code(&reported), "503 unavailable");
        assert!(reported.headers.contains_key("retry-after"));
        shop.system.faults().remove(id);
        assert_eq!(shop.report("/reports/coupons").await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_gateway_gets_an_answer() {
    in_a_shop(async |shop| {
        let bearer = "Bearer local-report-token";
        let rest = json!({
            "resource": "/{path+}", "path": "/reports/days", "httpMethod": "GET",
            "headers": {"Authorization": bearer}, "multiValueHeaders": {"Authorization": [bearer]},
            "queryStringParameters": {"timeframe": "3d"},
            "multiValueQueryStringParameters": {"timeframe": ["3d"]},
            "requestContext": {"stage": "prod", "httpMethod": "GET", "path": "/prod/reports/days"},
            "body": null, "isBase64Encoded": false,
        });
        let url = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/reports/days",
            "rawQueryString": "timeframe=3d", "headers": {"authorization": bearer},
            "requestContext": {
                "http": {"method": "GET", "path": "/reports/days"}, "stage": "$default",
            },
            "isBase64Encoded": false,
        });
        for event in [rest, url] {
            let answer = invoked(shop, "reports", &event).await;
            assert_eq!(answer["statusCode"], 200, "{answer}");
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(body["days"].as_array().unwrap().len(), 3);
        }
        for event in [json!(null), json!({"Records": []}), json!("x"), json!([1])] {
            let answer = invoked(shop, "reports", &event).await;
            assert_eq!(answer["statusCode"], 400, "{event}: {answer}");
            assert!(answer["body"].as_str().unwrap().contains("invalid_request"));
        }
    })
    .await;
}

async fn invoked(shop: &Shop, function: &str, event: &Value) -> Value {
    let event = Event {
        payload: event.to_string().into(),
        trigger: "a test".into(),
        trace: None,
    };
    let answer = shop.system.lambda().invoke(function, event).await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_read_what_the_routes_answer() {
    in_a_shop(async |shop| {
        for webhook in [redeemed("CP-1"), used("CP-1", "ord_1")] {
            shop.send(webhook.set("/timestamp", just_now())).await;
        }
        shop.settle().await;
        let printed = command(shop, &["report", "--timeframe", "2d"]).await;
        assert_eq!(printed.code, Some(0), "{}", printed.error);
        for piece in [
            "totals",
            "Pizza Margherita Grátis",
            "Loja Centro",
            "conversion",
        ] {
            assert!(printed.out.contains(piece), "{piece}: {}", printed.out);
        }
        let printed = command(shop, &["report", "--timeframe", "2d", "--json"]).await;
        let body: Value = serde_json::from_str(&printed.out).unwrap();
        let answered = shop.report("/reports/coupons?timeframe=2d").await;
        assert_eq!(body["redemptions"], answered.body["redemptions"]);
        let printed = command(shop, &["report", "--section", "usage", "--csv"]).await;
        let answered = shop.report("/reports/coupons/usage.csv").await;
        assert_eq!(printed.out, answered.text);
        let printed = command(shop, &["report", "--timeframe", "500d"]).await;
        let problem = "--timeframe 500d: must be a number of days from 1d to 400d";
        printed.check_failed(&[problem]);

        let printed = command(shop, &["export"]).await;
        assert_eq!(printed.out.lines().count(), 3, "{}", printed.out);
        let printed = command(shop, &["export", "--json"]).await;
        let events: Vec<Value> = printed
            .out
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        assert_eq!(events.len(), 2);
        assert!(events.iter().all(|it| it["coupon_code"] == "CP-1"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_count_days_where_the_system_does() {
    let zone = ("TimeZone", "Asia/Tokyo");
    in_a_shop_with(&[zone], async |shop| {
        shop.send(redeemed("CP-1").set("/timestamp", just_now()))
            .await;
        shop.settle().await;
        let answered = shop.report("/reports/coupons").await;
        let port = shop.system.gateway_url().rsplit_once(':').unwrap().1;
        let report = async |environment: &[(&str, &str)]| {
            let mut report = Command::new(coupons().await);
            report.args(["report", "--json", "--port", port]);
            report
                .env_remove("TIME_ZONE")
                .envs(environment.iter().copied());
            run(report).await.json()
        };
        let printed = report(&[]).await;
        for name in ["time_zone", "from", "to", "tenants"] {
            assert_eq!(printed[name], answered.body[name], "{name}");
        }
        assert_eq!(printed["time_zone"], "Asia/Tokyo");
        let replaced = report(&[("TIME_ZONE", "Europe/Rome")]).await;
        assert_eq!(replaced["time_zone"], "Europe/Rome");
    })
    .await;
}

/// The sample event, as `sam local invoke` passes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_sample_is_answered() {
    in_a_shop(async |shop| {
        let answer = invoked(shop, "reports", &sample("reports")).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
    })
    .await;
}

/// Trials count nowhere, but operators can read their lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_changes_only_the_reversed_figures() {
    in_a_shop(async |shop| {
        let webhook = v2("reward.redeemed").set("/timestamp", just_now());
        assert_eq!(shop.send(webhook.to(ZUPY)).await.word(), "200 accepted");
        let webhook = v2("coupon.cancelled")
            .set("/timestamp", just_now())
            .set("/data/coupon_code", "REWARD-ABC123XYZ");
        shop.send(webhook).await;
        shop.settle().await;
        let report = shop.report("/reports/coupons?timeframe=1d").await;
        let totals: BTreeSet<_> = report.body["redemptions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (
                    row["count"].as_u64(),
                    row["reversed"].as_u64(),
                    row["net"].as_u64(),
                )
            })
            .collect();
        assert_eq!(
            totals,
            BTreeSet::from([(Some(1), Some(1), Some(0))]),
            "{}",
            report.text
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_listed_and_counted_like_what_else_tasks_did() {
    in_a_shop(async |shop| {
        for webhook in [
            redeemed("CP-1"),
            used("CP-1", "ord_1"),
            used("CP-1", "ord_2"),
            used("CP-1", "ord_3"),
        ] {
            shop.send(webhook.set("/timestamp", just_now())).await;
        }
        shop.settle().await;
        let findings = async |query: &str| {
            let asked = format!("/reports/findings?timeframe=2d{query}");
            shop.report(&asked).await.body
        };
        let rows = |body: &Value| body["findings"].as_array().unwrap().clone();
        let all = rows(&findings("").await);
        let duplicates = rows(&findings("&rule=duplicate_usage").await);
        assert_eq!(duplicates.len(), 2, "{all:?}");
        assert_eq!(duplicates[0]["severity"], "high");
        assert!(duplicates[0]["event"].as_str().unwrap().contains("/used#"));
        assert!(rows(&findings("&severity=high").await).len() >= 2);
        assert_eq!(rows(&findings("&rule=final_value").await).len(), 0);

        // The pages together hold every event once.
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = findings(&format!("&limit=1{cursor}")).await;
            paged.extend(rows(&page));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, all);

        let days = shop.report("/reports/days?timeframe=2d").await.body;
        let of_days = days["days"].as_array().unwrap().iter();
        let counted: u64 = of_days.map(|day| day["findings"].as_u64().unwrap()).sum();
        assert_eq!(counted, all.len() as u64);
        let deliveries = shop
            .report("/reports/coupons/deliveries.csv?timeframe=2d")
            .await;
        assert!(deliveries.text.contains("email,"), "{}", deliveries.text);
        let verified = command(shop, &["analytics", "verify", "--json"]).await;
        assert_eq!(verified.json(), json!({"events": 4, "drift": []}));
    })
    .await;
}
