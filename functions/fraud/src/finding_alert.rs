//! The text of an alert about an event's findings. The text names no address and no phone number.

use webhooks::alerts::{Alert, SUBJECT_MAX_CHARS, line, quoted, shorten};
use webhooks::event::{Event, member_key};
use webhooks::fraud::{Finding, Severity};

/// The alert of an event's findings; there is at least one finding.
pub(crate) fn alert(event: &Event, findings: &[Finding]) -> Alert {
    let worst = findings.iter().map(|it| it.severity).max();
    let worst = worst.unwrap_or(Severity::Medium);
    let mut kinds: Vec<_> = findings.iter().map(|it| it.kind.as_str()).collect();
    kinds.dedup();
    let coupon = line(event.fact.coupon_code().unwrap_or_default());
    let subject = format!(
        "Fraud, {}: {}, coupon {coupon}",
        worst.name(),
        kinds.join(", ")
    );
    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    let mut text = format!(
        "An event does not look right.\n\n\
         Company:  {}\n\
         Member:   {}\n\
         Coupon:   {coupon}\n\
         Event:    {}\n\
         Occurred: {}\n\n",
        line(&event.tenant),
        line(&event.member.id),
        event.key,
        event.occurred_at
    );
    for finding in findings {
        text.push_str(&format!(
            "{} ({}): {}\n",
            finding.kind,
            finding.severity.name(),
            line(&finding.details)
        ));
    }
    if worst == Severity::Critical {
        text.push_str("\nThe member is flagged.\n");
    }
    text.push_str(&format!(
        "\nTo look further:\n\
         coupons show {}\n\
         coupons member {}\n",
        quoted(event.key.coupon()),
        quoted(&member)
    ));
    Alert {
        subject: shorten(&subject, SUBJECT_MAX_CHARS - 1),
        text,
        attributes: vec![
            ("type", "fraud".to_owned()),
            ("severity", worst.name().to_owned()),
            ("tenant", line(&event.tenant)),
            ("findings", kinds.join(",")),
            ("event", event.key.to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::rules::tests::used;

    fn finding(kind: &str, severity: Severity) -> Finding {
        Finding {
            kind: kind.into(),
            severity,
            details: format!("what is wrong\nwith {kind}"),
            rule: kind.into(),
        }
    }

    #[test]
    fn an_alert_names_tenant_member_coupon_and_findings_and_where_to_look() {
        let event = used("ord 1", "2026-11-22T10:00:00Z");
        let findings = [
            finding("duplicate_usage", Severity::High),
            finding("excessive_discount", Severity::Critical),
            finding("excessive_discount", Severity::Medium),
        ];
        let alert = alert(&event, &findings);
        assert_eq!(
            alert.subject,
            "Fraud, critical: duplicate_usage, excessive_discount, coupon CP-1"
        );
        assert_snapshot!(alert.text, @"
        An event does not look right.

        Company:  comp
        Member:   ZP-1
        Coupon:   CP-1
        Event:    zupy#comp#CP-1/used#ord 1
        Occurred: 2026-11-22T10:00:00Z

        duplicate_usage (high): what is wrong with duplicate_usage
        excessive_discount (critical): what is wrong with excessive_discount
        excessive_discount (medium): what is wrong with excessive_discount

        The member is flagged.

        To look further:
        coupons show 'zupy#comp#CP-1'
        coupons member 'zupy#comp#ZP-1'
        ");
        let attributes = [
            ("type", "fraud".to_owned()),
            ("severity", "critical".to_owned()),
            ("tenant", "comp".to_owned()),
            ("findings", "duplicate_usage,excessive_discount".to_owned()),
            ("event", "zupy#comp#CP-1/used#ord 1".to_owned()),
        ];
        assert_eq!(alert.attributes, attributes);
    }

    #[test]
    fn no_alert_has_an_address_a_phone_number_or_a_name() {
        let event = used("1", "2026-11-22T10:00:00Z");
        let sent = format!(
            "{:?}",
            alert(&event, &[finding("duplicate_usage", Severity::High)])
        );
        for personal in [&event.member.email, &event.member.phone, &event.member.name] {
            let personal = personal.as_deref().unwrap();
            assert!(!sent.contains(personal), "{personal}: {sent}");
        }
    }

    #[test]
    fn a_subject_is_one_that_sns_takes() {
        let kinds = [
            "duplicate_usage",
            "expired_usage",
            "cancelled_usage",
            "unknown_coupon",
            "excessive_discount",
        ];
        let findings = kinds.map(|kind| finding(kind, Severity::High));
        let subject = alert(&used("1", "2026-11-22T10:00:00Z"), &findings).subject;
        assert!(subject.chars().count() <= SUBJECT_MAX_CHARS, "{subject}");
        assert!(subject.ends_with('…'), "{subject}");
    }
}
