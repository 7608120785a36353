//! The rules of each provider for its fields.

use super::*;

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
