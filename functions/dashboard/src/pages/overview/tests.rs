//! The overview as rendered, on days that the tests make up.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use reporting::tenant::{OfTenant, Tenant};
use reporting::{Asked, Compare, Period, Scope};
use rust_decimal::Decimal;
use webhooks::event::EventKey;
use webhooks::figures::{
    Cohort, Day, DeliveryGroup, HourSums, RedemptionGroup, RedemptionSums, Reward, Sketch,
    SurveyGroup, SurveySums, UseGroup, UseSums,
};
use webhooks::fraud::{Finding, Severity};
use webhooks::stock::Product;

use super::*;
use crate::language::Language;
use crate::pages::readable::section;

const TODAY: Date = date(2026, 11, 25);

fn reader(language: Language, query: &str) -> Reader {
    Reader {
        scope: Scope::all(),
        language,
        now: "2026-11-25T15:00:00Z".parse::<Timestamp>().unwrap(),
        address: Address::read("/dashboard", query),
    }
}

/// A day with a redemption and a use of each of these rewards.
fn day(rewards: &[&str], location: &str) -> Day {
    let mut day = Day::default();
    for (index, name) in rewards.iter().enumerate() {
        let count = 40 + u64::try_from(index).unwrap();
        let reward = Reward {
            id: format!("rw_{index}"),
            name: (*name).to_owned(),
        };
        let group = RedemptionGroup {
            reward: reward.clone(),
            ..RedemptionGroup::default()
        };
        let sums = RedemptionSums {
            count,
            points: 1000,
            ..RedemptionSums::default()
        };
        day.redemptions.insert(group, sums);
        let group = UseGroup {
            reward_name: (*name).to_owned(),
            location: location.to_owned(),
            platform: "pos".to_owned(),
            currency: "BRL".to_owned(),
        };
        let amount = Decimal::new(123_450, 2);
        let sums = UseSums {
            count: count / 2,
            discount_applied: amount,
            order_value: amount,
            order_count: count / 2,
            ..UseSums::default()
        };
        day.uses.insert(group, sums);
        let cohort = Cohort {
            redeemed: count,
            used: count / 2,
            ..Cohort::default()
        };
        day.cohorts.insert(reward, cohort);
        day.time_to_use.add(Sketch::bucket(7200), count / 2);
    }
    for hour in 9..22 {
        let sums = HourSums {
            redemptions: 12,
            uses: 7,
            ..HourSums::default()
        };
        day.hours.insert(hour, sums);
    }
    let group = DeliveryGroup {
        channel: "email".to_owned(),
        result: "sent".to_owned(),
    };
    day.deliveries.insert(group, 38);
    day.findings.insert("rapid_redemption".to_owned(), 2);
    day
}

fn seen(number_of_days: i64, rewards: &[&str], location: &str) -> Seen {
    let days = (0..number_of_days).map(|before| {
        let date = TODAY.checked_sub(jiff::Span::new().days(before)).unwrap();
        (date, day(rewards, location))
    });
    let days: BTreeMap<_, _> = days.collect();
    let from = *days.keys().next().unwrap();
    let tenant = OfTenant {
        tenant: Tenant {
            provider: "zupy".to_owned(),
            tenant: "comp_bella_vista".to_owned(),
            time_zone: "America/Sao_Paulo".to_owned(),
        },
        now: "2026-11-25T12:00:00".parse().unwrap(),
        compared: days.clone(),
        days,
    };
    let named = |tenant: &str| ("zupy".to_owned(), tenant.to_owned());
    Seen {
        asked: Asked {
            period: Period::new(from, TODAY),
            compare: Compare::Previous,
            tenant: None,
            provider: None,
        },
        today: TODAY.into(),
        all: vec![named("comp_bella_vista"), named("comp_other")],
        tenants: vec![tenant],
        zone: "America/Sao_Paulo".to_owned(),
        products: Some(Vec::new()),
        found: Vec::new(),
        found_elsewhere: false,
    }
}

fn rendered(language: Language, seen: &Seen) -> String {
    let html = Page::new(&reader(language, ""), seen).render().unwrap();
    // No page may contain these, with any data.
    for never in ["style=", "<script", "javascript:", "onload=", "{}", "NaN"] {
        assert!(!html.contains(never), "{never} in {html}");
    }
    assert_eq!(html.matches("<h1>").count(), 1);
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    html
}

fn compressed(html: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(html.as_bytes()).unwrap();
    encoder.finish().unwrap().len()
}

#[test]
fn thirty_days_fit_into_their_size() {
    let names: Vec<_> = (0..20).map(|it| format!("Pizza Margherita {it}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let html = rendered(Language::PtBr, &seen(30, &names, "Loja Centro"));
    assert!(html.len() < 60_000, "{} bytes", html.len());
    let compressed = compressed(&html);
    assert!(compressed < 15_000, "{compressed} bytes compressed");
    assert!(html.contains("Mais 10 estão no CSV."));
}

#[test]
fn every_language_writes_its_own_numbers_and_dates() {
    let seen = seen(30, &["Pizza"], "Centro");
    let html = rendered(Language::PtBr, &seen);
    assert!(html.contains("<html lang=\"pt-BR\""));
    assert!(html.contains("27/10/2026 – 25/11/2026"));
    assert_snapshot!(section(&html, "totals"), @"
    Totais
    Resgates | 1.200 | novo | antes: 0
    Usos | 600 | novo | antes: 0
    Pontos gastos | 30.000 | novo | antes: 0
    Desconto dado | R$ 37.035,00 | novo | antes: R$ 0,00
    CSV
    ");
    let html = rendered(Language::En, &seen);
    assert!(html.contains("<html lang=\"en\""));
    assert!(html.contains("Oct 27, 2026 – Nov 25, 2026"));
    assert_snapshot!(section(&html, "totals"), @"
    Totals
    Redemptions | 1,200 | new | before: 0
    Uses | 600 | new | before: 0
    Points spent | 30,000 | new | before: 0
    Discount given | R$37,035.00 | new | before: R$0.00
    CSV
    ");
    // Thirty days become thirty bars and thirty rows.
    assert_eq!(html.matches("<rect class=\"bar\"").count(), 30 + 24 + 7);
    assert_eq!(html.matches("<polyline").count(), 3);
}

#[test]
fn a_name_is_text_and_nothing_else() {
    let script = "<script>alert(1)</script>";
    let long = "Pão de queijo ".repeat(20);
    let arabic = "قسيمة مجانية";
    let html = rendered(Language::En, &seen(1, &[script, &long, arabic], script));
    assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;"));
    assert!(html.contains(&format!("<bdi>{arabic}</bdi>")));
    assert!(html.contains(&format!("<bdi>{long}</bdi>")));
}

#[test]
fn one_day_and_a_year_are_drawn_too() {
    let html = rendered(Language::En, &seen(1, &["Pizza"], "Centro"));
    assert!(html.contains("<strong>Nov 25, 2026</strong>"));
    assert_eq!(html.matches("<rect class=\"bar\"").count(), 1 + 24 + 7);
    let html = rendered(Language::PtBr, &seen(365, &["Pizza"], "Centro"));
    assert!(html.contains("Resgates e usos por mês"));
    assert_eq!(html.matches("<rect class=\"bar\"").count(), 13 + 24 + 7);
    assert!(html.contains("nov. 2025"));
}

#[test]
fn of_nothing_the_page_says_what_to_do_first() {
    let mut empty = seen(1, &[], "");
    empty.tenants.clear();
    empty.all.clear();
    let html = rendered(Language::En, &empty);
    assert_snapshot!(section(&html, "empty"), @"
    No event has arrived so far
    As soon as a provider sends its first coupon, its figures appear here.
    Register this system&#39;s webhook URLs with Zupy or Aghanim. The output WebhookUrl of the stack has them.
    On your own machine, send a sample in another terminal: | cargo run -- send
    ");
    let mut quiet = seen(7, &[], "");
    quiet.tenants[0].days.clear();
    let html = rendered(Language::En, &quiet);
    assert!(html.contains("Nothing happened in this period."));
    assert_snapshot!(section(&html, "conversion"), @"
    Conversion by reward
    No coupon was redeemed in this period.
    Events | CSV
    ");
}

#[test]
fn every_view_has_an_address_of_its_own() {
    let reader = reader(
        Language::En,
        "tenant=comp_other&from=2026-11-01&to=2026-11-25",
    );
    let html = Page::new(&reader, &seen(30, &["Pizza"], "Loja Centro"))
        .render()
        .unwrap();
    for href in [
        "/dashboard?tenant=comp_other&#38;timeframe=7d",
        "/dashboard/csv/usage.csv?tenant=comp_other&#38;from=2026-11-01&#38;to=2026-11-25",
        "/dashboard/events?tenant=comp_other&#38;from=2026-11-01&#38;to=2026-11-25&#38;reward=rw_0",
        "to=2026-11-25&#38;location=Loja+Centro",
        "to=2026-11-25&#38;language=pt-BR",
    ] {
        assert!(html.contains(href), "{href} in {html}");
    }
}

#[test]
fn little_stock_is_shown_with_its_level() {
    let mut seen = seen(1, &["Pizza"], "Centro");
    let product = |name: &str, on_hand| Product {
        tenant: "zupy#comp_bella_vista".to_owned(),
        name: name.to_owned(),
        on_hand: Decimal::new(on_hand, 1),
        threshold: Decimal::new(50, 1),
        has_threshold: true,
        is_counted: true,
        alerted: None,
        alert_failed: None,
        spellings: Default::default(),
    };
    seen.products = Some(vec![product("Dough", -15), product("Cheese", 25)]);
    let html = rendered(Language::En, &seen);
    assert!(html.contains("<span class=\"mark bad\">below zero</span>"));
    assert_snapshot!(section(&html, "low"), @"
    Low stock
    Product | On hand | Threshold | Level
    Dough | −1.5 | 5 | below zero
    Cheese | 2.5 | 5 | low
    ");
}

#[test]
fn findings_are_shown_with_their_coupon_and_severity() {
    let mut seen = seen(1, &["Pizza"], "Centro");
    seen.found = vec![figures::Found {
        event: EventKey::used("zupy", "comp", "CP/1 <b>", "ord_1"),
        provider: "zupy".to_owned(),
        tenant: "comp".to_owned(),
        day: TODAY,
        occurred_at: "2026-11-25T12:00:00Z".parse().unwrap(),
        found_at: "2026-11-25T12:00:01Z".parse().unwrap(),
        findings: vec![Finding {
            kind: "double_use".to_owned(),
            severity: Severity::Critical,
            details: "The coupon was used <twice>.".to_owned(),
            rule: "used_twice".to_owned(),
        }],
    }];
    let html = rendered(Language::PtBr, &seen);
    assert!(html.contains("<span class=\"mark bad\">crítica</span>"));
    assert_snapshot!(section(&html, "latest"), @"
    Últimas suspeitas
    Hora | Cupom | Regra | Gravidade | Detalhes
    25/11/2026 09:00 | CP/1 &#60;b&#62; | used_twice | crítica | The coupon was used &#60;twice&#62;.
    ");
}

#[test]
fn surveys_are_shown_once_there_are_some() {
    let mut seen = seen(1, &["Pizza"], "Centro");
    assert!(!rendered(Language::En, &seen).contains("Net promoter score"));
    let mut sums = SurveySums {
        scheduled: 6,
        sent: 5,
        answered: 4,
        ..SurveySums::default()
    };
    sums.ratings = [0, 0, 0, 1, 3];
    sums.recommend[10] = 3;
    sums.recommend[0] = 1;
    let days = &mut seen.tenants[0].days;
    let day = days.values_mut().next().unwrap();
    day.surveys.insert(SurveyGroup::default(), sums);
    let html = rendered(Language::En, &seen);
    assert_snapshot!(section(&html, "surveys"), @"
    Surveys
    Average rating | 4.8 | of 5
    Net promoter score | 50.0 | ± 84.9 (4 answers)
    Response rate | 80% | 4 of 5 sent
    Rating | Answers
    5 | 3
    4 | 1
    3 | 0
    2 | 0
    1 | 0
    Comments | CSV
    ");
}
