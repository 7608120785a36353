//! Times and the zones in which they are read.

use super::*;

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
