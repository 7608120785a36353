//! A survey's page: which tokens open it, what it saves, and what it never does.

mod alerts;
mod mailed;
mod page;

use std::collections::{BTreeMap, BTreeSet};

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use futures_util::future::join_all;
use insta::assert_snapshot;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use webhooks::event::EventKey;
use webhooks::survey::{About, Asked, sign};
use webhooks::verify::Secrets;

use crate::shop::{
    COMPANY, MEMBER, OWN_SECRET, Shop, Visited, in_a_shop, in_a_shop_with, redeemed, reported, used,
};
use crate::support::command;

const SECRET: &str = "local-survey-secret";

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn token(asked: &Asked) -> String {
    asked.token(&Secrets::parse(SECRET).unwrap())
}

/// A use, and the survey that its member gets about it now.
async fn asked(shop: &Shop, code: &str) -> Asked {
    let now = Timestamp::now();
    for webhook in [redeemed(code), used(code, "ord_1")] {
        let webhook = webhook.set("/timestamp", now.to_string());
        assert_eq!(shop.send(webhook).await.word(), "200 accepted");
    }
    shop.settle().await;
    let zone = TimeZone::get("America/Sao_Paulo").unwrap();
    let asked = Asked {
        event: EventKey::used("zupy", COMPANY, code, "ord_1"),
        tenant: COMPANY.into(),
        about: About {
            questions: 1,
            language: "pt-BR".into(),
            reward_name: Some("Pizza Margherita Grátis".into()),
            location: Some("Loja Centro".into()),
            staff_member: Some("Ana Costa".into()),
            day: now.to_zoned(zone).date(),
        },
        sent_at: now,
    };
    put(shop, &asked).await;
    asked
}

/// Stores a survey's row.
async fn put(shop: &Shop, asked: &Asked) {
    let item = asked.row().into_iter().map(|(name, value)| {
        let value = match value.as_s() {
            Ok(text) => json!({"S": text}),
            Err(value) => json!({"N": value.as_n().unwrap()}),
        };
        (name, value)
    });
    let item: Map<String, Value> = item.collect();
    let row = json!({"TableName": "events", "Item": item});
    shop.aws("DynamoDB_20120810.PutItem", &row).await;
}

async fn open(shop: &Shop, token: &str, query: &str) -> Visited {
    shop.visit("GET", &format!("/surveys/{token}{query}"), &[], "")
        .await
}

async fn send(shop: &Shop, token: &str, form: &str) -> Visited {
    shop.visit("POST", &format!("/surveys/{token}"), &[FORM], form)
        .await
}

/// What a page shows: the contents of `main`, without blank lines.
fn main(page: &Visited) -> String {
    let main = between(&page.text, "<main id=\"main\">", "</main>");
    let lines = main.lines().filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// The answer's record.
async fn answer(shop: &Shop, code: &str) -> Option<Value> {
    let mut rows = shop.ledger(code).await;
    rows.remove("used#ord_1/surveys/answer")
}

/// All rows of all tables, one line each.
async fn stored(shop: &Shop) -> BTreeSet<String> {
    let mut stored = BTreeSet::new();
    for table in ["events", "members", "figures"] {
        for row in shop.system.items(table).await.unwrap() {
            let fields: BTreeMap<_, _> = row.as_object().unwrap().iter().collect();
            stored.insert(format!("{table}: {}", json!(fields)));
        }
    }
    stored
}

/// Checks that no function has written, changed or deleted a row since.
async fn unchanged(shop: &Shop, before: &BTreeSet<String>) {
    let after = stored(shop).await;
    let changed: Vec<_> = after.symmetric_difference(before).collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

/// The text between these two texts, which each occur once.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin}: {text}"));
    rest.split_once(end).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rating_is_kept_at_once_and_the_rest_completes_it() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        let page = open(shop, &token, "?rating=4").await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert_snapshot!(main(&page), @r#"
        <h1>Sua opinião</h1>
        <p class="about">Cupom: Pizza Margherita Grátis</p>
        <p class="about">Local: Loja Centro</p>
        <form method="post" action="?">
        <fieldset>
        <legend>Como foi sua experiência ao usar o cupom?</legend>
        <div class="choices">
        <label><input type="radio" name="rating" value="1" required> <span>1 – Muito ruim</span></label>
        <label><input type="radio" name="rating" value="2" required> <span>2 – Ruim</span></label>
        <label><input type="radio" name="rating" value="3" required> <span>3 – Regular</span></label>
        <label><input type="radio" name="rating" value="4" required checked> <span>4 – Boa</span></label>
        <label><input type="radio" name="rating" value="5" required> <span>5 – Muito boa</span></label>
        </div>
        </fieldset>
        <button type="submit">Enviar</button>
        </form>
        "#);
        assert_eq!(answer(shop, "CP-1").await, None);

        let saved = send(shop, &token, "rating=4").await;
        assert_eq!(
            (saved.status, saved.header("location").as_str()),
            (303, "?step=rest")
        );
        let row = answer(shop, "CP-1").await.unwrap();
        assert_eq!(
            (&row["rating"], &row["recommend"]),
            (&json!(4), &Value::Null)
        );
        assert_eq!(row["status"], "done");

        let rest = open(shop, &token, "?step=rest").await;
        assert_eq!(
            rest.text.matches("type=\"radio\"").count(),
            11,
            "{}",
            rest.text
        );
        let form = "step=rest&recommend=10&comment=Tudo+%3Cb%3Ebom%3C%2Fb%3E%21%0D%0AVolto.";
        let saved = send(shop, &token, form).await;
        assert_eq!(
            (saved.status, saved.header("location").as_str()),
            (303, "?step=thanks")
        );
        let row = answer(shop, "CP-1").await.unwrap();
        assert_eq!((&row["rating"], &row["recommend"]), (&json!(4), &json!(10)));
        assert_eq!(row["comment"], "Tudo <b>bom</b>!\nVolto.");
        assert_eq!(
            (&row["questions"], &row["language"]),
            (&json!("1"), &json!("pt-BR"))
        );

        let thanks = open(shop, &token, "?step=thanks").await;
        assert_snapshot!(main(&thanks), @r#"
        <h1>Obrigado pela resposta!</h1>
        <p>Sua opinião ajuda a melhorar o programa.</p>
        <p><a href="?">Mudar a resposta (por até uma hora)</a></p>
        "#);
        // The page shows the comment as text.
        let rest = open(shop, &token, "?step=rest").await;
        let comment = between(&rest.text, "maxlength=\"2000\"", "</textarea>");
        assert!(
            comment.ends_with("Tudo &#60;b&#62;bom&#60;/b&#62;!\nVolto."),
            "{comment}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_every_link_of_a_mail_ten_times_moves_nothing() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        let before = stored(shop).await;
        let links: Vec<String> = (1..=5)
            .map(|rating| format!("/surveys/{token}?rating={rating}"))
            .chain([
                format!("/surveys/{token}"),
                format!("/surveys/{token}?step=thanks"),
            ])
            .collect();
        let visits = (0..10)
            .flat_map(|_| &links)
            .flat_map(|link| ["GET", "HEAD"].map(|method| shop.visit(method, link, &[], "")));
        for page in join_all(visits).await {
            assert_eq!(page.status, 200, "{}", page.text);
        }
        unchanged(shop, &before).await;
        // After an answer, opening a link still writes nothing.
        send(shop, &token, "rating=2").await;
        let before = stored(shop).await;
        for link in &links {
            shop.visit("GET", link, &[], "").await;
        }
        unchanged(shop, &before).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_token_gets_the_same_page() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let good = token(&survey);
        let now = Timestamp::now();
        let local = Secrets::parse(SECRET).unwrap();
        let foreign = survey.token(&Secrets::parse("another-secret").unwrap());
        let expired = sign(&local, survey.id(), now - 1.second());
        let of_nothing = sign(&local, [7; 16], now + 1.hour());
        let mut forged = good.clone();
        forged.replace_range(5..6, if &good[5..6] == "A" { "B" } else { "A" });
        let wrong = [
            forged,
            foreign,
            expired,
            of_nothing,
            good[..40].to_owned(),
            format!("{good}AAAA"),
            "A".repeat(150),
            "x".to_owned(),
            "%C3%A9%20%22".to_owned(),
        ];
        let expected = open(shop, "no-token", "").await;
        assert_eq!(expected.status, 404);
        assert!(
            expected.text.contains("Esta pesquisa não está aberta"),
            "{}",
            expected.text
        );
        for token in &wrong {
            for page in [
                open(shop, token, "?rating=5").await,
                send(shop, token, "rating=5").await,
            ] {
                assert_eq!((page.status, &page.text), (404, &expected.text), "{token}");
            }
        }
        assert_eq!(open(shop, &good, "").await.status, 200);
        assert_eq!(answer(shop, "CP-1").await, None);
        // A token in a log line would let its reader answer.
        send(shop, &good, "rating=5").await;
        for line in shop.system.logs("questionnaire") {
            assert!(!line.line.contains(&good), "{}", line.line);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_to_itself() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        let pages = [
            open(shop, &token, "").await,
            send(shop, &token, "rating=5").await,
            open(shop, &token, "?step=rest").await,
            open(shop, "wrong", "").await,
        ];
        let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";
        for page in &pages {
            assert_eq!(page.header("content-security-policy"), policy);
            assert_eq!(page.header("cache-control"), "no-store");
            assert_eq!(page.header("referrer-policy"), "no-referrer");
            assert_eq!(page.header("x-content-type-options"), "nosniff");
            assert!(page.header("x-robots-tag").contains("noindex"));
            assert_eq!(page.header("set-cookie"), "");
        }
        let style = between(&pages[0].text, "rel=\"stylesheet\" href=\"", "\"");
        let file = shop
            .visit("GET", &format!("/surveys/{style}"), &[], "")
            .await;
        assert_eq!(
            (file.status, file.header("content-type").as_str()),
            (200, "text/css; charset=utf-8")
        );
        assert!(file.header("cache-control").contains("immutable"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_none_changes_nothing_and_says_what_to_do() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        let before = stored(shop).await;
        for (form, status) in [
            ("", 422),
            ("rating=0", 422),
            ("rating=6", 422),
            ("rating=five", 422),
            ("rating=5&recommend=11", 422),
            ("rating=5&rating=1", 400),
            ("step=rest&recommend=9&comment=x", 422),
        ] {
            let page = send(shop, &token, form).await;
            assert_eq!(page.status, status, "{form}: {}", page.text);
        }
        let page = send(shop, &token, "rating=6").await;
        assert!(
            page.text.contains("Escolha uma nota de 1 a 5."),
            "{}",
            page.text
        );
        let long = format!("rating=5&comment={}", "x".repeat(40_000));
        assert_eq!(send(shop, &token, &long).await.status, 413);
        let path = format!("/surveys/{token}");
        let json = [("content-type", "application/json")];
        let page = shop.visit("POST", &path, &json, r#"{"rating": 5}"#).await;
        assert_eq!(page.status, 415);
        assert_eq!(shop.visit("POST", &path, &[], "rating=5").await.status, 415);
        unchanged(shop, &before).await;
        // The longest comment that the page accepts, in a browser's encoding.
        let comment = "%F0%9F%8D%95".repeat(2000);
        let saved = send(shop, &token, &format!("rating=5&comment={comment}")).await;
        assert_eq!(saved.status, 303, "{}", saved.text);
        let row = answer(shop, "CP-1").await.unwrap();
        assert_eq!(row["comment"], "🍕".repeat(2000));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_changed_for_an_hour_and_stays_after_that() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        send(shop, &token, "rating=1").await;
        send(shop, &token, "step=rest&recommend=3&comment=Frio").await;
        assert_eq!(send(shop, &token, "rating=5").await.status, 303);
        let row = answer(shop, "CP-1").await.unwrap();
        assert_eq!((&row["rating"], &row["recommend"]), (&json!(5), &json!(3)));
        assert_eq!(row["comment"], "Frio");
        let (status, _) = answered_at(shop, "CP-1", Timestamp::now() - 61.minutes()).await;
        assert_eq!(status, "done");
        let before = stored(shop).await;
        for form in ["rating=2", "step=rest&recommend=10&comment="] {
            let page = send(shop, &token, form).await;
            assert_eq!(page.status, 200);
            assert!(page.text.contains("Você já respondeu"), "{}", page.text);
        }
        for query in ["", "?rating=2", "?step=rest"] {
            let page = open(shop, &token, query).await;
            assert!(
                page.text.contains("Você já respondeu"),
                "{query}: {}",
                page.text
            );
            assert!(!page.text.contains("<form"), "{query}: {}", page.text);
        }
        unchanged(shop, &before).await;
    })
    .await;
}

/// Sets the time of an answer.
async fn answered_at(shop: &Shop, code: &str, at: Timestamp) -> (String, Value) {
    let update = json!({
        "TableName": "events",
        "Key": {
            "coupon": {"S": format!("zupy#{COMPANY}#{code}")},
            "entry": {"S": "used#ord_1/surveys/answer"},
        },
        "UpdateExpression": "SET answered_at = :at",
        "ExpressionAttributeValues": {":at": {"S": at.to_string()}},
    });
    shop.aws("DynamoDB_20120810.UpdateItem", &update).await;
    let row = answer(shop, code).await.unwrap();
    (row["status"].as_str().unwrap().to_owned(), row)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_changes_nothing_still_keeps_the_answer_as_long_as_the_use() {
    in_a_shop(async |shop| {
        let token = token(&asked(shop, "CP-1").await);
        assert_eq!(send(shop, &token, "rating=4").await.status, 303);
        let kept_until = shop.ledger("CP-1").await["used#ord_1"]["ttl"].clone();
        assert!(kept_until.is_i64(), "{kept_until}");
        // As if its process had died before it raised the end of the answer.
        let sooner = Timestamp::now() + 48.hours();
        let update = json!({
            "TableName": "events",
            "Key": {
                "coupon": {"S": format!("zupy#{COMPANY}#CP-1")},
                "entry": {"S": "used#ord_1/surveys/answer"},
            },
            "UpdateExpression": "SET #ttl = :ttl",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {":ttl": {"N": sooner.as_second().to_string()}},
        });
        shop.aws("DynamoDB_20120810.UpdateItem", &update).await;
        assert_eq!(send(shop, &token, "rating=4").await.status, 303);
        assert_eq!(answer(shop, "CP-1").await.unwrap()["ttl"], kept_until);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_come_at_once_are_one_answer() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        let clicks = (0..10).map(|_| send(shop, &token, "rating=3"));
        for saved in join_all(clicks).await {
            assert_eq!(saved.status, 303, "{}", saved.text);
        }
        let first = answer(shop, "CP-1").await.unwrap();
        let others = ["rating=1", "rating=5", "step=rest&recommend=7&comment=a"];
        let others = others.map(|form| send(shop, &token, form));
        for saved in join_all(others).await {
            assert_eq!(saved.status, 303, "{}", saved.text);
        }
        let last = answer(shop, "CP-1").await.unwrap();
        assert_eq!(last["answered_at"], first["answered_at"]);
        assert_eq!(
            (&last["recommend"], &last["comment"]),
            (&json!(7), &json!("a"))
        );
        let rating = last["rating"].as_u64().unwrap();
        assert!(rating == 1 || rating == 5, "{rating}");
        counted(shop, rating, Some(7), 1).await;
    })
    .await;
}

/// Checks that the figures have this one answer and no other.
async fn counted(shop: &Shop, rating: u64, recommend: Option<u64>, comments: u64) {
    let report = shop.report("/reports/coupons?timeframe=2d").await;
    let surveys = &report.body["satisfaction"]["surveys"];
    assert_eq!(surveys["answered"], 1, "{surveys}");
    assert_eq!(surveys["average_rating"], json!(rating as f64), "{surveys}");
    assert_eq!(surveys["comments"], comments, "{surveys}");
    let expected = json!(u64::from(recommend.is_some()));
    assert_eq!(surveys["nps_n"], expected, "{surveys}");
    let ratings = (1..=5).map(|it| surveys[format!("rating_{it}")].as_u64().unwrap());
    let expected: Vec<_> = (1..=5).map(|it| u64::from(it == rating)).collect();
    assert_eq!(ratings.collect::<Vec<_>>(), expected, "{surveys}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_own_answer_was_lost_is_one() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        let lose = |mode| Fault::calls(Service::DynamoDb, "TransactWriteItems", mode).once();
        let faults = shop.system.faults();
        for (mode, rating) in [
            (CallMode::LoseResponse, 2),
            (CallMode::Conflict, 3),
            (CallMode::Throttle, 4),
        ] {
            faults.add(lose(mode));
            let saved = send(shop, &token, &format!("rating={rating}")).await;
            assert_eq!(saved.status, 303, "{mode:?}: {}", saved.text);
            let row = answer(shop, "CP-1").await.unwrap();
            assert_eq!(row["rating"], rating, "{mode:?}");
            counted(shop, rating, None, 0).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_asks_for_patience() {
    in_a_shop(async |shop| {
        let survey = asked(shop, "CP-1").await;
        let token = token(&survey);
        let outage = Fault::service(Service::DynamoDb, CallMode::Fail).by("questionnaire");
        let id = shop.system.faults().add(outage);
        shop.expect_error("Not answered");
        for page in [
            open(shop, &token, "").await,
            send(shop, &token, "rating=5").await,
        ] {
            assert_eq!(
                (page.status, page.header("retry-after").as_str()),
                (503, "5")
            );
            assert!(page.text.contains("Tente de novo"), "{}", page.text);
        }
        shop.system.faults().remove(id);
        assert_eq!(send(shop, &token, "rating=5").await.status, 303);
        counted(shop, 5, None, 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_closes_with_its_coupon_and_with_its_member() {
    in_a_shop_with(&[OWN_SECRET], async |shop| {
        let closed = open(shop, "wrong", "").await.text;
        let survey = asked(shop, "CP-1").await;
        let cancelled = reported("coupon.cancelled", "CP-1");
        assert_eq!(shop.send(cancelled).await.status, 200);
        shop.settle().await;
        for page in [
            open(shop, &token(&survey), "").await,
            send(shop, &token(&survey), "rating=5").await,
        ] {
            assert_eq!((page.status, &page.text), (404, &closed));
        }
        assert_eq!(answer(shop, "CP-1").await, None);

        let survey = asked(shop, "CP-2").await;
        let unanswered = asked(shop, "CP-3").await;
        send(shop, &token(&survey), "rating=2").await;
        send(
            shop,
            &token(&survey),
            "step=rest&recommend=1&comment=Sou+a+Maria",
        )
        .await;
        let forget = ["member", MEMBER, "--forget", "--json"];
        let forgotten = command(shop, &forget).await.json();
        assert_eq!(forgotten["comments"], 1, "{forgotten}");
        assert_eq!(forgotten["links"], 3, "{forgotten}");
        for survey in [&survey, &unanswered] {
            let page = send(shop, &token(survey), "rating=5&comment=Maria").await;
            assert_eq!((page.status, &page.text), (404, &closed));
        }
        let row = answer(shop, "CP-2").await.unwrap();
        assert_eq!((&row["rating"], &row["recommend"]), (&json!(2), &json!(1)));
        assert_eq!(row["comment"], Value::Null);
        assert_eq!(answer(shop, "CP-3").await, None);
        let left = stored(shop).await;
        assert!(!format!("{left:?}").contains("Sou a Maria"));
        counted(shop, 2, Some(1), 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_listed_and_found_by_their_words() {
    in_a_shop(async |shop| {
        let mut tokens = Vec::new();
        for (code, rest) in [
            ("CP-1", "rating=1&recommend=2&comment=A+pizza+veio+FRIA"),
            ("CP-2", "rating=5&recommend=9&comment=%3Dcmd%28%29+%3Cb%3E"),
            ("CP-3", "rating=4"),
        ] {
            let token = token(&asked(shop, code).await);
            assert_eq!(send(shop, &token, rest).await.status, 303);
            tokens.push(token);
        }
        let listed = async |query: &str| {
            let report = shop
                .report(&format!("/reports/surveys?timeframe=2d{query}"))
                .await;
            assert_eq!(report.status, 200, "{}", report.text);
            let answers = report.body["answers"].as_array().unwrap().clone();
            let ratings = answers.iter().map(|it| it["rating"].as_u64().unwrap());
            (
                ratings.collect::<Vec<_>>(),
                report.body["next_cursor"].clone(),
            )
        };
        // The newest first, and only answers with a comment.
        assert_eq!(listed("").await, (vec![5, 1], Value::Null));
        assert_eq!(listed("&answers=all").await, (vec![4, 5, 1], Value::Null));
        assert_eq!(listed("&search=fria").await, (vec![1], Value::Null));
        assert_eq!(listed("&rating=5").await, (vec![5], Value::Null));
        assert_eq!(listed("&tenant=comp_bella_vista").await.0, [5, 1]);
        let mut pages = Vec::new();
        let (first, mut cursor) = listed("&answers=all&limit=1").await;
        pages.extend(first);
        while let Some(next) = cursor.as_str() {
            let (page, after) = listed(&format!("&answers=all&limit=1&cursor={next}")).await;
            pages.extend(page);
            cursor = after;
        }
        assert_eq!(pages, [4, 5, 1]);
        // Another comment changes no figure, and a recount still agrees.
        let other = "step=rest&recommend=2&comment=Fria+e+tarde";
        assert_eq!(send(shop, &tokens[0], other).await.status, 303);
        // No spreadsheet reads a cell as a formula.
        let csv = shop.report("/reports/surveys.csv?timeframe=2d").await;
        assert!(csv.text.contains(",'=cmd() <b>,"), "{}", csv.text);

        let report = shop.report("/reports/coupons?timeframe=2d").await;
        let surveys = &report.body["satisfaction"]["surveys"];
        assert_eq!(surveys["average_rating"], 3.33, "{surveys}");
        assert_eq!(
            (&surveys["nps"], &surveys["nps_n"]),
            (&json!(0.0), &json!(2))
        );
        assert_eq!(surveys["locations"][0]["name"], "Loja Centro");
        assert_eq!(surveys["staff"][0]["answered"], 3);
        let csv = shop
            .report("/reports/coupons/surveys.csv?timeframe=2d")
            .await;
        assert!(csv.text.contains("\nlocation,Loja Centro,"), "{}", csv.text);
        // A recount agrees with the counters.
        let verified = command(shop, &["analytics", "verify", "--json"]).await;
        assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.error);
    })
    .await;
}
