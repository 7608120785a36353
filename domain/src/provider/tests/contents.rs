//! Which differences between two bodies change the contents.

use super::*;

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
