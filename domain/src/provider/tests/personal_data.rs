//! What a body keeps without its personal data.

use super::*;

#[test]
fn a_body_without_personal_data_keeps_everything_else() {
    const ENROLLED: &str =
        include_str!("../../../../events/samples/zupy-v2-customer-enrolled.json");
    const REGISTERED: &str =
        include_str!("../../../../events/samples/zupy-customer-registered.json");
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
