//! An optional field that cannot be read is left out or mended, with a warning, and loses no event.

use super::*;

/// A sample with one value replaced is accepted with exactly these warnings.
fn check(sample: &str, pointer: &str, value: Value, expected: &[&str]) -> Event {
    let event = event(
        Zupy::every_event(),
        &edited(sample, &[(pointer, Some(value))]),
    );
    let warnings = event.warnings.iter();
    let warnings: Vec<_> = warnings
        .map(|Problem { field, problem }| format!("{field} {problem}"))
        .collect();
    assert_eq!(warnings, expected, "{pointer}");
    event
}

#[test]
fn an_optional_field_of_a_wrong_type_counts_as_absent() {
    let email = "customer.email must be a string: left out";
    let event = check(ZUPY_REDEEMED, "/customer/email", json!(5), &[email]);
    assert_eq!(event.member.email, None);
    let details = "discount_details must be an object that has no field twice: left out";
    let event = check(
        ZUPY_REDEEMED,
        "/discount_details",
        json!("none"),
        &[details],
    );
    assert_eq!(redemption(event).discount, None);
    let quantity =
        "usage.items_affected[0].quantity must be a number of at most 28 digits: left out";
    let items = json!([{"name": "Pizza", "quantity": "one"}]);
    check(ZUPY_USED, "/usage/items_affected", items, &[quantity]);
}

#[test]
fn plain_decimal_strings_are_numbers() {
    let event = check(ZUPY_USED, "/usage/order_value", json!("35.00"), &[]);
    assert_eq!(usage(event).order_value, reais("35"));
    let event = check(ZUPY_REDEEMED, "/coupon/points_spent", json!("1000"), &[]);
    assert_eq!(redemption(event).points_spent, Some(1000));
    for text in ["35,00", "1e5", "", "R$ 35", "35.", ".5", "+35", "0x10"] {
        check_zupy(
            ZUPY_USED,
            "/usage/order_value",
            Some(json!(text)),
            &["usage.order_value must be a number of at most 28 digits"],
        );
    }
}

#[test]
fn more_digits_than_are_kept_are_rounded() {
    let long = "35.000000000000000000000000000000000001";
    let rounded = "usage.order_value has more digits than are kept: rounded";
    let event = check(ZUPY_USED, "/usage/order_value", json!(long), &[rounded]);
    assert_eq!(usage(event).order_value, reais("35"));
    let scientific = ZUPY_USED.replacen("67.50", "3.5000000000000000000000000000000000001e1", 1);
    let event = super::event(Zupy::every_event(), &scientific);
    assert_eq!(event.warnings.len(), 1, "{:?}", event.warnings);
    assert_eq!(event.warnings[0].field, "usage.order_value");
    assert_eq!(usage(event).order_value, reais("35"));
    // A whole number is not rounded to one.
    let fraction = "1000.0000000000000000000000000000000001e0";
    let body = ZUPY_REDEEMED.replacen("1000", fraction, 1);
    let expected = ["coupon.points_spent must be a whole number of at most 64 bits"];
    assert_eq!(problems(Zupy::every_event(), &body), expected);
    let huge = format!("1{}", "0".repeat(40));
    let left_out = "usage.final_value must be a number of at most 28 digits: left out";
    check(ZUPY_USED, "/usage/final_value", json!(huge), &[left_out]);
    let required = "usage.order_value must be a number of at most 28 digits";
    check_zupy(
        ZUPY_USED,
        "/usage/order_value",
        Some(json!(huge)),
        &[required],
    );
}

#[test]
fn a_time_without_a_zone_is_utc() {
    for text in ["2025-08-26T18:45:00", "2025-08-26 18:45:00"] {
        let zone = "timestamp has no time zone: read as UTC";
        let event = check(ZUPY_USED, "/timestamp", json!(text), &[zone]);
        assert_eq!(event.occurred_at.to_string(), "2025-08-26T18:45:00Z");
    }
}

#[test]
fn a_byte_order_mark_in_front_is_skipped() {
    let marked = format!("\u{feff}{ZUPY_USED}");
    let zupy = Zupy::every_event();
    assert_eq!(event(zupy, &marked), event(zupy, ZUPY_USED));
}

#[test]
fn a_discount_is_read_beside_the_coupon_and_inside_it() {
    let details = serde_json::from_str::<Value>(ZUPY_REDEEMED).unwrap()["discount_details"].take();
    let beside = redemption(event(Zupy::every_event(), ZUPY_REDEEMED)).discount;
    let inside = ("/coupon/discount_details", Some(details));
    let moved = edited(
        ZUPY_REDEEMED,
        &[("/discount_details", None), inside.clone()],
    );
    let both = edited(ZUPY_REDEEMED, &[inside]);
    for body in [&moved, &both] {
        assert_eq!(
            redemption(event(Zupy::every_event(), body)).discount,
            beside
        );
    }
    check_zupy(
        &both,
        "/coupon/discount_details/discount_value",
        Some(json!(36)),
        &[
            "coupon.discount_details.discount_value must be what discount_details beside the coupon says",
        ],
    );
}

#[test]
fn a_discount_without_a_type_keeps_its_value_and_limits() {
    let event = check(
        ZUPY_PERCENTAGE,
        "/discount_details/discount_type",
        Value::Null,
        &[],
    );
    let discount = redemption(event).discount.unwrap();
    assert_eq!(discount.maximum, reais("75"));
    assert!(discount.value.is_some());
    assert_eq!(discount.kind, DiscountKind::Other(String::new()));
}
