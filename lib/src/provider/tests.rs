//! The providers' samples, whole and damaged, read as the pipeline reads them.

#[allow(unreachable_pub)]
mod acme;
mod envelope;
mod extending;
mod identifiers;
mod lenient;
mod trials;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::aghanim::{self, Aghanim};
use super::wire::{PROBLEMS_MAX, Problem};
use super::zupy::{self, Zupy};
use super::{Content, Parsed, Provider, RecordedBody, read_recorded, without_personal_data};
use crate::event::{DiscountKind, Event, Fact, Item, Member, Money, Redemption, Usage};
use crate::ledger::body::BODY_MAX_BYTES;
use crate::ledger::content_hash;
use crate::per_tenant::Zones;
use crate::verify::Verified;

const ZUPY_REDEEMED: &str = include_str!("../../../events/samples/zupy-coupon-redeemed.json");
const ZUPY_PERCENTAGE: &str =
    include_str!("../../../events/samples/zupy-coupon-redeemed-percentage.json");
const ZUPY_USED: &str = include_str!("../../../events/samples/zupy-coupon-used.json");
const ZUPY_USED_PERCENTAGE: &str =
    include_str!("../../../events/samples/zupy-coupon-used-percentage.json");
const ZUPY_V2_USED: &str = include_str!("../../../events/samples/zupy-v2-coupon-used.json");
const AGHANIM: &str = include_str!("../../../events/samples/aghanim-coupon-redeemed.json");
const AGHANIM_BUNDLE: &str =
    include_str!("../../../events/samples/aghanim-coupon-redeemed-bundle.json");

fn recorded(body: &[u8]) -> Verified<'_> {
    Verified::recorded(body, zupy::V1.name, None)
}

fn parse(provider: impl Provider, body: &str) -> Parsed {
    provider.parse(&recorded(body.as_bytes()))
}

fn event(provider: impl Provider, body: &str) -> Event {
    match parse(provider, body).content {
        Content::Event(event) => *event,
        other => panic!("no event: {other:?}"),
    }
}

fn redemption(event: Event) -> Redemption {
    match event.fact {
        Fact::Redeemed(redemption) => redemption,
        other => panic!("{other:?}"),
    }
}

fn usage(event: Event) -> Usage {
    match event.fact {
        Fact::Used(usage) => usage,
        other => panic!("{other:?}"),
    }
}

/// The sample with some values replaced, named by JSON pointer. `None` removes a field.
fn edited(sample: &str, edits: &[(&str, Option<Value>)]) -> String {
    let mut body: Value = serde_json::from_str(sample).unwrap();
    for (pointer, value) in edits {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert((*name).to_owned(), value.clone()),
            None => parent.remove(name),
        };
    }
    body.to_string()
}

fn problems(provider: impl Provider, body: &str) -> Vec<String> {
    match parse(provider, body).content {
        Content::Invalid(problems) => problems
            .into_iter()
            .map(|Problem { field, problem }| format!("{field} {problem}"))
            .collect(),
        other => panic!("no problem: {other:?}"),
    }
}

/// A Zupy sample with one value replaced or removed has exactly these problems.
fn check_zupy(sample: &str, pointer: &str, value: Option<Value>, expected: &[&str]) {
    let body = edited(sample, &[(pointer, value)]);
    assert_eq!(problems(Zupy::every_event(), &body), expected);
}

fn check_aghanim(pointer: &str, value: Option<Value>, expected: &[&str]) {
    let body = edited(AGHANIM, &[(pointer, value)]);
    assert_eq!(problems(Aghanim, &body), expected);
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn reais(text: &str) -> Option<Money> {
    Some(Money::new(decimal(text), "BRL"))
}

#[test]
fn reads_every_field_of_a_zupy_redemption() {
    let event = event(Zupy::every_event(), ZUPY_REDEEMED);
    assert_eq!(
        event.key.to_string(),
        "zupy#comp_bella_vista#CP-A1B2C3D4/redeemed"
    );
    assert_eq!(event.tenant, "comp_bella_vista");
    assert_eq!(event.occurred_at.to_string(), "2025-08-26T14:20:00Z");
    assert_eq!(event.member.id, "ZP-4F95FB0A");
    assert_eq!(event.member.email.as_deref(), Some("customer@example.com"));
    assert_eq!(event.member.phone.as_deref(), Some("+5511965958122"));
    assert_eq!(event.member.tier.as_deref(), Some("silver"));
    assert!(!event.sandbox);
    let redemption = redemption(event);
    assert_eq!(redemption.points_spent, Some(1000));
    assert_eq!(redemption.new_balance, Some(350));
    assert_eq!(redemption.method.as_deref(), Some("app"));
    assert_eq!(redemption.reward.id.as_deref(), Some("rw_pizza_margherita"));
    assert!(redemption.reward.terms.unwrap().starts_with("Válido"));
    let discount = redemption.discount.unwrap();
    assert_eq!(discount.kind, DiscountKind::ProductFree);
    assert_eq!(discount.value, Some(decimal("35")));
    assert_eq!(discount.maximum, None);
    assert_eq!(discount.minimum_purchase, reais("0"));
}

#[test]
fn reads_a_discount_that_stands_beside_the_coupon() {
    let discount = redemption(event(Zupy::every_event(), ZUPY_PERCENTAGE)).discount;
    let discount = discount.unwrap();
    assert_eq!(discount.kind, DiscountKind::Percentage);
    assert_eq!(discount.maximum, reais("75"));
    let body = edited(ZUPY_PERCENTAGE, &[("/discount_details", None)]);
    assert_eq!(redemption(event(Zupy::every_event(), &body)).discount, None);
}

#[test]
fn reads_every_field_of_a_zupy_use() {
    let event = event(Zupy::every_event(), ZUPY_USED_PERCENTAGE);
    assert_eq!(
        event.key.to_string(),
        "zupy#comp_bella_vista#CP-X9Y8Z7W6/used#ord_GOOMER_456"
    );
    let usage = usage(event);
    assert_eq!(usage.discount_applied, reais("12.75"));
    assert_eq!(usage.order_value, reais("85"));
    assert_eq!(usage.final_value, reais("72.25"));
    assert_eq!(usage.platform.as_deref(), Some("goomer"));
    assert_eq!(usage.location.as_deref(), Some("Delivery"));
    assert_eq!(usage.items.len(), 2);
    assert_eq!(usage.items[1].name.as_deref(), Some("Pizza Portuguesa"));
    assert_eq!(usage.items[1].quantity, Some(decimal("1")));
    assert_eq!(usage.items[1].discount_applied, reais("6.45"));
}

#[test]
fn a_use_without_an_order_goes_by_its_member_and_not_by_its_time() {
    for order_id in [None, Some(Value::Null), Some(json!(" "))] {
        for at in ["2025-08-26T18:45:00Z", "2025-08-26T18:46:00Z"] {
            let order_id = ("/usage/order_id", order_id.clone());
            let body = edited(ZUPY_USED, &[order_id, ("/timestamp", Some(json!(at)))]);
            let event = event(Zupy::every_event(), &body);
            assert_eq!(event.key.entry(), "used@ZP-4F95FB0A#1");
        }
    }
}

#[test]
fn reads_every_field_of_aghanim() {
    let event = event(Aghanim, AGHANIM);
    assert_eq!(
        event.key.to_string(),
        "aghanim#gm_exTAyxPsVwh#idmpt_aXRlb...JkX2VFS/redeemed"
    );
    assert_eq!(event.member.id, "2D2R-OP3C");
    assert_eq!(event.occurred_at.as_second(), 1_725_548_450);
    assert!(!event.sandbox);
    let redemption = redemption(event);
    assert_eq!(redemption.coupon_code, "WELCOME");
    let item = &redemption.reward.items[0];
    assert_eq!(item.quantity, 480_000);
    assert_eq!(item.price, Some(Money::new(decimal("94.99"), "USD")));
}

#[test]
fn reads_bundles_within_bundles_and_the_fallback() {
    let event = event(Aghanim, AGHANIM_BUNDLE);
    assert!(event.sandbox);
    let reward = redemption(event).reward;
    let names =
        |items: &[Item]| -> Vec<String> { items.iter().map(|item| item.sku.clone()).collect() };
    let bundle = &reward.items[0];
    assert_eq!(names(&bundle.nested), ["gems", "chest.bundle"]);
    assert_eq!(names(&bundle.nested[1].nested), ["sword", "coins"]);
    assert_eq!(bundle.nested[1].nested[1].quantity, 250);
    assert_eq!(bundle.fallback.as_ref().unwrap().quantity, 1500);
}

#[test]
fn aghanim_may_send_items_beside_or_instead_of_item() {
    let item = json!({"id": "i", "name": "Gem", "sku": "gem", "quantity": 1, "type": "item"});
    let items = |edits: &[(&str, Option<Value>)]| {
        let reward = redemption(event(Aghanim, &edited(AGHANIM, edits))).reward;
        reward
            .items
            .into_iter()
            .map(|item| item.sku)
            .collect::<Vec<_>>()
    };
    let two = Some(json!([item, item]));
    assert_eq!(items(&[("/event_data/items", two.clone())]), ["gem", "gem"]);
    assert_eq!(
        items(&[("/event_data/items", two), ("/event_data/item", None)]),
        ["gem", "gem"]
    );
    let empty = ("/event_data/items", Some(json!([])));
    assert_eq!(items(std::slice::from_ref(&empty)), ["crystals"]);
    let nothing = edited(AGHANIM, &[empty, ("/event_data/item", None)]);
    assert_eq!(problems(Aghanim, &nothing), ["event_data.item is missing"]);
}

#[test]
fn aghanim_without_an_idempotency_key_goes_by_the_event_id() {
    for key in [None, Some(Value::Null)] {
        let body = edited(AGHANIM, &[("/idempotency_key", key)]);
        let event = event(Aghanim, &body);
        assert!(
            event
                .key
                .coupon()
                .ends_with("#whevt_eCacGbJVbvToOgzjXUgOCitkQE")
        );
    }
}

#[test]
fn the_dashboards_test_button_makes_a_sandbox_event() {
    let body = edited(AGHANIM, &[("/trigger", Some(json!("test")))]);
    assert!(event(Aghanim, &body).sandbox);
}

#[test]
fn a_type_that_a_function_does_not_handle_is_ignored_with_any_contents() {
    let ignored = |provider: Zupy, body: &str| match parse(provider, body).content {
        Content::Ignored(kind) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        ignored(
            Zupy::every_event(),
            r#"{"event":"points.earned","customer":7}"#
        ),
        "points.earned"
    );
    assert_eq!(
        ignored(Zupy::only(&[Zupy::COUPON_USED]), ZUPY_REDEEMED),
        "coupon.redeemed"
    );
    assert!(matches!(
        parse(Aghanim, r#"{"event_type":"item.add"}"#).content,
        Content::Ignored(kind) if kind == "item.add"
    ));
}

#[test]
fn zupy_rules_for_a_redemption() {
    let check = |pointer, value, expected: &[&str]| {
        check_zupy(ZUPY_REDEEMED, pointer, value, expected);
    };
    check("/event", None, &["event is missing"]);
    check("/event", Some(json!(5)), &["event must be a string"]);
    check("/timestamp", None, &["timestamp is missing"]);
    check(
        "/company_id",
        Some(json!("")),
        &["company_id must not be blank"],
    );
    check("/customer", None, &["customer.member_id is missing"]);
    check(
        "/customer",
        Some(json!([])),
        &["customer must be an object that has no field twice"],
    );
    check(
        "/customer/member_id",
        Some(Value::Null),
        &["customer.member_id is missing"],
    );
    check(
        "/coupon/coupon_code",
        None,
        &["coupon.coupon_code is missing"],
    );
    check(
        "/coupon/coupon_code",
        Some(json!("  ")),
        &["coupon.coupon_code must not be blank"],
    );
    check(
        "/coupon/coupon_code",
        Some(json!("#".repeat(200))),
        &["coupon.coupon_code must not be longer than 500 bytes"],
    );
    check(
        "/coupon/points_spent",
        None,
        &["coupon.points_spent is missing"],
    );
    check(
        "/coupon/points_spent",
        Some(json!(0)),
        &["coupon.points_spent must be greater than 0"],
    );
    check(
        "/coupon/points_spent",
        Some(json!(-5)),
        &["coupon.points_spent must be greater than 0"],
    );
    let whole = "coupon.points_spent must be a whole number of at most 64 bits";
    check("/coupon/points_spent", Some(json!(10.5)), &[whole]);
    check("/coupon/points_spent", Some(json!(1e300)), &[whole]);
    check(
        "/coupon/expires_at",
        None,
        &["coupon.expires_at is missing"],
    );
    let time = "coupon.expires_at must be an RFC 3339 time such as 2025-09-26T14:20:00Z, or a date such as 2025-09-26";
    check("/coupon/expires_at", Some(json!("tomorrow")), &[time]);
    check("/coupon/expires_at", Some(json!(1_758_896_400)), &[time]);
}

#[test]
fn zupy_rules_for_a_use() {
    let check = |pointer, value, expected: &[&str]| {
        check_zupy(ZUPY_USED, pointer, value, expected);
    };
    check(
        "/usage",
        None,
        &[
            "usage.coupon_code is missing",
            "usage.discount_applied is missing",
            "usage.order_value is missing",
        ],
    );
    check(
        "/usage/coupon_code",
        None,
        &["usage.coupon_code is missing"],
    );
    for zero in [json!(0), json!(0.0), json!(-1)] {
        check(
            "/usage/discount_applied",
            Some(zero.clone()),
            &["usage.discount_applied must be greater than 0"],
        );
        check(
            "/usage/order_value",
            Some(zero),
            &["usage.order_value must be greater than 0"],
        );
    }
}

#[test]
fn aghanim_rules() {
    check_aghanim("/event_type", None, &["event_type is missing"]);
    check_aghanim("/game_id", None, &["game_id is missing"]);
    check_aghanim("/event_id", Some(Value::Null), &["event_id is missing"]);
    check_aghanim(
        "/event_time",
        Some(json!("now")),
        &["event_time must be a time in seconds since 1970"],
    );
    check_aghanim(
        "/event_data/player_id",
        None,
        &["event_data.player_id is missing"],
    );
    check_aghanim(
        "/event_data/coupon/code",
        None,
        &["event_data.coupon.code is missing"],
    );
    check_aghanim(
        "/event_data/coupon",
        None,
        &["event_data.coupon.code is missing"],
    );
    check_aghanim("/event_data/item", None, &["event_data.item is missing"]);
    check_aghanim(
        "/event_data/item/sku",
        None,
        &["event_data.item.sku is missing"],
    );
    check_aghanim(
        "/event_data/item/nested_items",
        Some(json!([{"id": "a", "name": "A", "sku": "a", "quantity": 1.5, "type": "item"}, null])),
        &[
            "event_data.item.nested_items[0].quantity must be a whole number of at most 64 bits",
            "event_data.item.nested_items[1] is missing",
        ],
    );
}

#[test]
fn every_problem_is_named_at_once() {
    let body = r#"{"event": "coupon.used", "timestamp": "2025-08-26T18:45:00Z", "customer": {"member_id": 7}, "usage": {"order_value": "x"}}"#;
    assert_eq!(
        problems(Zupy::every_event(), body),
        [
            "company_id is missing",
            "customer.member_id must be a string",
            "usage.coupon_code is missing",
            "usage.discount_applied is missing",
            "usage.order_value must be a number of at most 28 digits",
        ]
    );
}

/// A function's answer holds 6 MB, and one line of a log 256 KB.
#[test]
fn the_list_of_problems_is_limited() {
    let items = vec![json!({}); BODY_MAX_BYTES / 4];
    let body = edited(AGHANIM, &[("/event_data/items", Some(json!(items)))]);
    let problems = problems(Aghanim, &body);
    assert_eq!(problems.len(), PROBLEMS_MAX);
    assert_eq!(problems[0], "event_data.items[0].id is missing");
}

#[test]
fn a_body_that_is_not_json_gets_the_place_of_its_fault() {
    let check = |body: &[u8], expected: &str| {
        let parsed = Zupy::every_event().parse(&recorded(body));
        let Content::Invalid(problems) = parsed.content else {
            panic!("{parsed:?}")
        };
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].field, "body");
        assert_eq!(problems[0].problem, expected);
    };
    check(b"", "is not a JSON object");
    check(b"null", "is not a JSON object");
    check(b"[]", "is not a JSON object");
    check(b"{\n \"event\": }", "is not JSON: line 2, column 11");
    check(b"{} {}", "is not JSON: line 1, column 4");
    check(b"{\"event\":\"\xff\"}", "is not UTF-8 from byte 10 on");
    check(
        br#"{"event":"a","event":"b"}"#,
        "has a field twice: line 1, column 20",
    );
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    check(deep.as_bytes(), "is nested deeper than 64 levels");
}

#[test]
fn unknown_fields_and_values_break_nothing() {
    let body = edited(
        ZUPY_REDEEMED,
        &[
            ("/new_field", Some(json!({"deep": [1, 2]}))),
            ("/coupon/redemption_method", Some(json!("carrier_pigeon"))),
            ("/discount_details/discount_type", Some(json!("mystery"))),
            ("/customer/tier", Some(json!("diamond"))),
        ],
    );
    let event = event(Zupy::every_event(), &body);
    assert_eq!(event.member.tier.as_deref(), Some("diamond"));
    let redemption = redemption(event);
    assert_eq!(redemption.method.as_deref(), Some("carrier_pigeon"));
    assert_eq!(
        redemption.discount.unwrap().kind,
        DiscountKind::Other("mystery".into())
    );
}

#[test]
fn times_may_be_finer_or_later_than_a_timestamp_holds() {
    let check = |text: &str, expected: &str| {
        let body = edited(ZUPY_REDEEMED, &[("/coupon/expires_at", Some(json!(text)))]);
        let expires_at = redemption(event(Zupy::every_event(), &body)).expires_at;
        assert_eq!(expires_at.unwrap().to_string(), expected, "{text}");
    };
    check("2025-09-26T11:20:00-03:00", "2025-09-26T14:20:00Z");
    check("2025-09-26t14:20:00z", "2025-09-26T14:20:00Z");
    check(
        "2025-09-26T14:20:00.123456789123Z",
        "2025-09-26T14:20:00.123456789Z",
    );
    check("9999-12-31T23:59:59Z", "9999-12-30T22:00:00.999999999Z");
    check(
        "9999-12-31T23:59:59.999999999999-03:00",
        "9999-12-30T22:00:00.999999999Z",
    );
}

#[test]
fn an_expiry_without_a_time_is_that_days_end_where_the_tenant_is() {
    let zone = |name: &str| Zones::all(TimeZone::get(name).unwrap());
    let read = |text: &str, zones: Option<&Zones>| {
        let body = edited(ZUPY_REDEEMED, &[("/coupon/expires_at", Some(json!(text)))]);
        let verified = recorded(body.as_bytes());
        let verified = zones.map_or(verified, |zones| verified.in_zones(zones));
        match Zupy::every_event().parse(&verified).content {
            Content::Event(event) => *event,
            other => panic!("{other:?}"),
        }
    };
    let check = |text: &str, name: &str, expected: &str| {
        let event = read(text, Some(&zone(name)));
        let warning = &event.warnings[0];
        assert_eq!(warning.field, "coupon.expires_at");
        let problem = format!("has no time: read as the end of that day in {name}");
        assert_eq!(warning.problem, problem);
        assert_eq!(event.envelope.time_zone.as_deref(), Some(name));
        let expires_at = redemption(event).expires_at.unwrap();
        assert_eq!(expires_at.to_string(), expected, "{text} in {name}");
    };
    check("2025-09-26", "America/Sao_Paulo", "2025-09-27T02:59:59Z");
    check(" 2025-09-26\u{a0}", "Asia/Tokyo", "2025-09-26T14:59:59Z");
    // The clock goes forward, and back, on these days.
    check("2026-03-08", "America/New_York", "2026-03-09T03:59:59Z");
    check("2026-11-01", "America/New_York", "2026-11-02T04:59:59Z");
    check(
        "9999-12-31",
        "America/Sao_Paulo",
        &Timestamp::MAX.to_string(),
    );
    let utc = redemption(read("2025-09-26", None)).expires_at.unwrap();
    assert_eq!(utc.to_string(), "2025-09-26T23:59:59Z");
    let exact = read("2025-09-26T10:00:00Z", Some(&zone("Asia/Tokyo")));
    assert_eq!(exact.envelope.time_zone, None);
    assert_eq!(exact.warnings, []);
}

#[test]
fn a_row_reads_its_date_in_the_zone_that_it_was_read_in() {
    let body = edited(
        ZUPY_REDEEMED,
        &[("/coupon/expires_at", Some(json!("2025-09-26")))],
    );
    let recorded = RecordedBody {
        provider: zupy::NAME,
        scheme: zupy::V1.name,
        tenant: "comp_bella_vista",
        body: &body,
        time_zone: Some("America/Sao_Paulo"),
    };
    let Some(Content::Event(event)) = read_recorded(&recorded) else {
        panic!("no event");
    };
    let expires_at = redemption(*event).expires_at.unwrap();
    assert_eq!(expires_at.to_string(), "2025-09-27T02:59:59Z");
}

#[test]
fn half_an_emoji_in_a_name_loses_no_coupon() {
    let check = |name: &str, expected: &str| {
        let body = ZUPY_REDEEMED.replace("Maria Silva", name);
        let name = event(Zupy::every_event(), &body).member.name;
        assert_eq!(name.as_deref(), Some(expected));
    };
    check(r"Ana \ud83c", "Ana \u{FFFD}");
    check(r"\udf55 Ana \ud83c\udf55", "\u{FFFD} Ana \u{1F355}");
    check(r"\\ud83c \ud83c\n", "\\ud83c \u{FFFD}");
    check(" Ana\\n", "Ana");
}

#[test]
fn money_is_exact() {
    let body = ZUPY_USED.replace("67.50", "12345678901234567890.123456");
    let usage = usage(event(Zupy::every_event(), &body));
    assert_eq!(usage.order_value, reais("12345678901234567890.123456"));
    let body = ZUPY_USED.replace("67.50", "6.75e1");
    let usage = self::usage(event(Zupy::every_event(), &body));
    assert_eq!(usage.order_value, reais("67.5"));
}

/// Two bodies have the same contents, or not.
fn check_same(provider: impl Provider + Copy, a: &str, b: &str, same: bool) {
    let (a, b) = (event(provider, a), event(provider, b));
    assert_eq!(content_hash(&a) == content_hash(&b), same);
}

#[test]
fn differences_between_retries_do_not_change_the_contents() {
    let zupy = Zupy::every_event();
    let respelled = serde_json::from_str::<Value>(ZUPY_REDEEMED)
        .unwrap()
        .to_string();
    check_same(zupy, ZUPY_REDEEMED, &respelled, true);
    check_same(
        zupy,
        ZUPY_REDEEMED,
        &ZUPY_REDEEMED.replace("35.00", "35"),
        true,
    );
    let later = edited(
        ZUPY_REDEEMED,
        &[("/timestamp", Some(json!("2025-08-26T15:41:00Z")))],
    );
    check_same(zupy, ZUPY_REDEEMED, &later, true);
    let without_null = edited(
        ZUPY_REDEEMED,
        &[("/discount_details/maximum_discount", None)],
    );
    check_same(zupy, ZUPY_REDEEMED, &without_null, true);
    let retried = edited(
        AGHANIM,
        &[
            ("/event_time", Some(json!(1_725_549_999))),
            ("/request_id", Some(Value::Null)),
        ],
    );
    check_same(Aghanim, AGHANIM, &retried, true);
}

#[test]
fn descriptive_fields_do_not_change_the_contents() {
    let zupy = Zupy::every_event();
    for (pointer, value) in [
        ("/coupon/new_balance", json!(1)),
        ("/coupon/new_balance", Value::Null),
        ("/coupon/terms", json!("Another")),
        ("/coupon/reward_description", Value::Null),
        ("/coupon/redemption_method", json!("manual")),
        ("/customer/tier", json!("gold")),
        ("/customer/name", Value::Null),
        ("/customer/email", json!("another@example.com")),
        ("/customer/whatsapp", json!("+5511900000000")),
    ] {
        let other = edited(ZUPY_REDEEMED, &[(pointer, Some(value))]);
        check_same(zupy, ZUPY_REDEEMED, &other, true);
    }
    for (pointer, value) in [
        ("/usage/reward_name", json!("Another")),
        ("/usage/location", json!("Another")),
        ("/usage/staff_member", Value::Null),
        ("/usage/platform", json!("ifood")),
        ("/usage/order_value", json!(67.5)),
    ] {
        let other = edited(ZUPY_USED, &[(pointer, Some(value))]);
        check_same(zupy, ZUPY_USED, &other, true);
    }
}

#[test]
fn fields_that_tasks_act_on_change_the_contents() {
    let zupy = Zupy::every_event();
    for (pointer, value) in [
        ("/coupon/points_spent", json!(999)),
        ("/coupon/reward_name", json!("Another")),
        ("/coupon/expires_at", json!("2025-09-27T14:20:00Z")),
        ("/customer/member_id", json!("ZP-OTHER")),
        ("/discount_details/discount_value", json!(35.01)),
    ] {
        let other = edited(ZUPY_REDEEMED, &[(pointer, Some(value))]);
        check_same(zupy, ZUPY_REDEEMED, &other, false);
    }
    for (pointer, value) in [
        ("/usage/discount_applied", json!(35.01)),
        ("/usage/final_value", Value::Null),
        ("/usage/discount_type", json!("percentage")),
        ("/usage/items_affected/0/quantity", json!(2)),
        ("/usage/items_affected/0/name", json!("Another")),
        ("/usage/items_affected", json!([])),
    ] {
        let other = edited(ZUPY_USED, &[(pointer, Some(value))]);
        check_same(zupy, ZUPY_USED, &other, false);
    }
    let other = edited(AGHANIM, &[("/event_data/player_id", Some(json!("X")))]);
    check_same(Aghanim, AGHANIM, &other, false);
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        Aghanim.parse(&recorded(&body));
        Zupy::every_event().parse(&recorded(&body));
    }

    /// A sample that is cut short, or has one byte changed, gives an answer and no panic.
    #[test]
    fn no_damage_panics(
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        for sample in [ZUPY_REDEEMED, ZUPY_USED, AGHANIM, AGHANIM_BUNDLE] {
            let mut body = sample.as_bytes().to_vec();
            let position = position.index(body.len());
            if cut {
                body.truncate(position);
            } else {
                body[position] = byte;
            }
            Aghanim.parse(&recorded(&body));
            Zupy::every_event().parse(&recorded(&body));
        }
    }

    /// Any value in any field gives an event or a list of problems, and each problem names a field.
    #[test]
    fn any_value_in_any_place_is_answered(
        place in prop::sample::select(vec![
            "/customer", "/customer/member_id", "/coupon", "/coupon/points_spent", "/coupon/expires_at",
            "/discount_details", "/discount_details/discount_value", "/timestamp", "/company_id",
        ]),
        value in prop_oneof![
            Just(Value::Null), any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(|n| json!(n)), any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from), Just(json!([])), Just(json!({})),
            Just(json!([[{}]])),
        ],
    ) {
        let body = edited(ZUPY_REDEEMED, &[(place, Some(value))]);
        match parse(Zupy::every_event(), &body).content {
            Content::Event(_) => {}
            Content::Invalid(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|problem| !problem.field.is_empty()));
            }
            Content::Ignored(_) => prop_assert!(false),
        }
    }
}

#[test]
fn a_recorded_body_is_read_by_its_providers_name() {
    let zupy = include_str!("../../../events/samples/zupy-coupon-used.json");
    let aghanim = include_str!("../../../events/samples/aghanim-coupon-redeemed.json");
    let v2 = include_str!("../../../events/samples/zupy-v2-coupon-used.json");
    let read = |provider, scheme, body| {
        read_recorded(&RecordedBody {
            provider,
            scheme,
            tenant: "tenant",
            body,
            time_zone: None,
        })
    };
    for (name, scheme, body) in [
        ("zupy", "zupy-v1", zupy),
        ("zupy", "zupy-v2", v2),
        ("aghanim", "aghanim", aghanim),
    ] {
        match read(name, scheme, body).unwrap() {
            Content::Event(event) => assert_eq!(event.provider, name),
            other => panic!("{other:?}"),
        }
    }
    assert!(read("nobody", "", zupy).is_none());
}

#[test]
fn a_body_without_personal_data_keeps_everything_else() {
    const ENROLLED: &str = include_str!("../../../events/samples/zupy-v2-customer-enrolled.json");
    const REGISTERED: &str = include_str!("../../../events/samples/zupy-customer-registered.json");
    let check = |scheme: &str, body: &str| {
        let tenant = "comp_bella_vista";
        let recorded = |body| RecordedBody {
            provider: if scheme == aghanim::NAME {
                aghanim::NAME
            } else {
                zupy::NAME
            },
            scheme,
            tenant,
            body,
            time_zone: None,
        };
        let redacted = without_personal_data(&recorded(body)).unwrap();
        for personal in ["Maria", "customer@example.com", "965958122", "Player"] {
            assert!(!redacted.contains(personal), "{redacted}");
        }
        let read = |body| match read_recorded(&recorded(body)) {
            Some(Content::Event(event)) => *event,
            other => panic!("{other:?}"),
        };
        let (mut before, after) = (read(body), read(&redacted));
        before.member = Member {
            name: None,
            email: None,
            phone: None,
            ..before.member
        };
        before.envelope.context = None;
        assert_eq!(before, after);
    };
    for body in [
        ZUPY_REDEEMED,
        ZUPY_PERCENTAGE,
        ZUPY_USED_PERCENTAGE,
        REGISTERED,
    ] {
        check(zupy::V1.name, body);
    }
    check(zupy::V2.name, ENROLLED);
    let with_player = AGHANIM.replace(
        "\"context\": null",
        r#""context": {"player": {"name": "Player One"}}"#,
    );
    assert_ne!(with_player, AGHANIM);
    check(aghanim::NAME, &with_player);
}

#[test]
fn an_enrolment_holds_its_members_contact() {
    let check = |data: &str, expected: (&str, Option<&str>, Option<&str>, Option<&str>)| {
        let body = format!(
            r#"{{"event": "customer.enrolled", "webhook_id": "w-1", "timestamp": "2026-03-20T09:30:00Z", "data": {data}}}"#
        );
        let recorded = RecordedBody {
            provider: zupy::NAME,
            scheme: zupy::V2.name,
            tenant: "comp",
            body: &body,
            time_zone: None,
        };
        let Some(Content::Event(event)) = read_recorded(&recorded) else {
            panic!("{data} is no event");
        };
        assert_eq!(event.key.to_string(), "zupy#comp#member#C-1/enrolled@w-1");
        assert_eq!(event.fact, Fact::Enrolled);
        let member = &event.member;
        let found = (
            member.id.as_str(),
            member.name.as_deref(),
            member.email.as_deref(),
            member.phone.as_deref(),
        );
        assert_eq!(found, expected);
    };
    check(r#"{"customer_id": "C-1"}"#, ("C-1", None, None, None));
    check(
        r#"{"customer_id": "C-1", "name": "Ana", "email": "a@example.com", "phone": "+5511"}"#,
        ("C-1", Some("Ana"), Some("a@example.com"), Some("+5511")),
    );
    check(
        r#"{"customer_id": "C-1", "customer_name": "Ana", "customer_email": "a@example.com", "whatsapp": "+5511"}"#,
        ("C-1", Some("Ana"), Some("a@example.com"), Some("+5511")),
    );
    check(
        r#"{"customer_id": "C-1", "phone": "+1", "whatsapp": "+2", "customer_phone": "+3"}"#,
        ("C-1", None, None, Some("+1")),
    );
}
