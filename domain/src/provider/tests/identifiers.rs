//! Blanks at the ends of an identifier do not make another coupon, member or company.

use super::*;

/// Blanks that a spreadsheet, a form or a file leaves: no-break space, zero-width space, line
/// break, byte order mark.
const BLANKS: [&str; 5] = [" ", "\u{a0}", "\u{200b}", "\n", "\u{feff}"];

fn read(scheme: &str, body: &str) -> Event {
    let verified = Verified::recorded(body.as_bytes(), scheme, None);
    let parsed = match scheme {
        aghanim::NAME => Aghanim.parse(&verified),
        _ => Zupy::every_event().parse(&verified),
    };
    match parsed.content {
        Content::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

/// A sample with blanks around the text at this place is the same event.
fn check(scheme: &str, sample: &str, pointers: &[&str]) {
    let body: Value = serde_json::from_str(sample).unwrap();
    let expected = read(scheme, sample);
    for pointer in pointers {
        let identifier = body.pointer(pointer).unwrap().as_str().unwrap();
        for blank in BLANKS {
            for text in [
                format!("{identifier}{blank}"),
                format!("{blank}{identifier}"),
            ] {
                let body = edited(sample, &[(pointer, Some(json!(text)))]);
                assert_eq!(read(scheme, &body), expected, "{pointer} {text:?}");
            }
        }
    }
}

#[test]
fn blanks_around_an_identifier_do_not_change_the_event() {
    check(
        zupy::V1.name,
        ZUPY_REDEEMED,
        &[
            "/event",
            "/company_id",
            "/customer/member_id",
            "/coupon/coupon_code",
            "/coupon/reward_id",
            "/coupon/redemption_method",
            "/discount_details/discount_type",
        ],
    );
    check(
        zupy::V1.name,
        ZUPY_USED,
        &[
            "/event",
            "/usage/coupon_code",
            "/usage/order_id",
            "/usage/discount_type",
            "/usage/platform",
            "/usage/items_affected/0/name",
        ],
    );
    check(
        zupy::V2.name,
        ZUPY_V2_USED,
        &[
            "/event",
            "/webhook_id",
            "/data/customer_id",
            "/data/coupon_code",
        ],
    );
    check(
        aghanim::NAME,
        AGHANIM,
        &[
            "/event_type",
            "/event_id",
            "/idempotency_key",
            "/game_id",
            "/event_data/player_id",
            "/event_data/coupon/code",
            "/event_data/coupon/sku",
            "/event_data/item/id",
            "/event_data/item/sku",
            "/event_data/item/type",
            "/event_data/item/currency",
        ],
    );
}

#[test]
fn an_identifier_of_blanks_alone_is_refused() {
    for blank in BLANKS {
        check_zupy(
            ZUPY_REDEEMED,
            "/coupon/coupon_code",
            Some(json!(blank)),
            &["coupon.coupon_code must not be blank"],
        );
        check_zupy(
            ZUPY_USED,
            "/customer/member_id",
            Some(json!(blank)),
            &["customer.member_id must not be blank"],
        );
        check_aghanim(
            "/event_data/player_id",
            Some(json!(blank)),
            &["event_data.player_id must not be blank"],
        );
    }
}
