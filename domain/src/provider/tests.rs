//! The providers' samples, whole and damaged, read as the pipeline reads them.

#[allow(unreachable_pub)]
mod acme;
mod contents;
mod envelope;
mod extending;
mod identifiers;
mod lenient;
mod personal_data;
mod rules;
mod times;
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
use crate::body::BODY_MAX_BYTES;
use crate::contents::content_hash;
use crate::event::{DiscountKind, Event, Fact, Item, Member, Money, Redemption, Usage};
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

/// Two bodies have the same contents, or not.
fn check_same(provider: impl Provider + Copy, a: &str, b: &str, same: bool) {
    let (a, b) = (event(provider, a), event(provider, b));
    assert_eq!(content_hash(&a) == content_hash(&b), same);
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
