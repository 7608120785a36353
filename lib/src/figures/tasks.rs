//! The figures of tasks: findings, alerts of low stock, and results of messages about events.
//!
//! Each result counts on the tenant's day of the event that caused it. The task's record holds that
//! day too, in the field [`COUNTED_ON`](super::COUNTED_ON), so that a recount finds it.

use jiff::civil::Date;

use super::cell::{Group, Section, Tally};
use super::counted_on::counted_on;
use crate::fraud::{self, Finding};
use crate::ledger::{Item, Status};

/// The name of the record of an event's findings.
const FINDINGS: &str = fraud::RECORD;
/// The beginning of the names of records of alerts of low stock.
const LOW_STOCK: &str = "inventory/alert/";
/// The beginning of the names of records of messages.
const DELIVERY: &str = "delivery/";

/// The name of an alert's record beneath an event; `id` distinguishes the event's alerts.
pub fn low_stock_record(id: &str) -> String {
    format!("{LOW_STOCK}{id}")
}

/// What an event's current findings add to the tenant's day, on top of the findings that were
/// counted before.
pub fn findings(day: Date, before: &[Finding], now: &[Finding]) -> Tally {
    let of = |findings: &[Finding]| {
        let rules = findings.iter().map(|it| it.rule.as_str());
        rules.fold(Tally::default(), |mut tally, rule| {
            tally.add(day, &Group::new(Section::Finding, [rule]), 'c', 1);
            tally
        })
    };
    of(before).difference(&of(now))
}

/// What an alert of low stock adds to the tenant's day of its use.
pub fn low_stock(day: Date) -> Tally {
    let mut tally = Tally::default();
    tally.add(day, &Group::new(Section::LowStock, []), 'c', 1);
    tally
}

/// What the result of a message adds to the tenant's day of its event. `channel` is `email`,
/// `whatsapp`, `sms`, `reminder` or `forward`. A waiting message has no result yet, and adds
/// nothing.
pub fn delivery(day: Date, channel: &str, status: Status) -> Tally {
    let mut tally = Tally::default();
    let result = match status {
        Status::Done => "sent",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
        Status::Waiting => return tally,
    };
    let group = Group::new(Section::Delivery, [channel, result]);
    tally.add(day, &group, 'c', 1);
    tally
}

/// What a record with this name beneath an event adds, if it was counted.
pub(super) fn recounted(name: &str, row: &Item) -> Option<Tally> {
    let day = counted_on(row)?;
    if name == FINDINGS {
        let found = row.get("findings")?.as_s().ok()?;
        let found: Vec<Finding> = serde_json::from_str(found).ok()?;
        return Some(findings(day, &[], &found));
    }
    if name.starts_with(LOW_STOCK) {
        return Some(low_stock(day));
    }
    let channel = name.strip_prefix(DELIVERY)?;
    let status = match row.get("status")?.as_s().ok()?.as_str() {
        "done" => Status::Done,
        "skipped" => Status::Skipped,
        "failed" => Status::Failed,
        _ => return None,
    };
    Some(delivery(day, channel, status))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::figures::{DeliveryGroup, days};
    use crate::fraud::Severity;

    fn day() -> Date {
        "2026-11-28".parse().unwrap()
    }

    fn finding(rule: &str) -> Finding {
        Finding {
            kind: rule.into(),
            severity: Severity::High,
            details: String::new(),
            rule: rule.into(),
        }
    }

    #[test]
    fn a_finding_that_does_not_stand_any_more_is_taken_back() {
        let (first, second) = ([finding("unknown_coupon")], [finding("duplicate_usage")]);
        let mut tally = findings(day(), &[], &first);
        tally.merge(&findings(day(), &first, &second));
        let day = days(&tally).remove(&day()).unwrap();
        assert_eq!(day.findings, [("duplicate_usage".to_owned(), 1)].into());
    }

    #[test]
    fn a_record_counts_as_it_was_counted() {
        let text = |text: &str| AttributeValue::S(text.into());
        let check = |name: &str, fields: &[(&str, &str)], expected: Option<Tally>| {
            let fields = fields.iter();
            let row = fields.map(|(name, value)| ((*name).to_owned(), text(value)));
            assert_eq!(recounted(name, &row.collect()), expected, "{name}");
        };
        let on = ("counted_on", "2026-11-28");
        let sent = delivery(day(), "email", Status::Done);
        check("delivery/email", &[on, ("status", "done")], Some(sent));
        check("delivery/email", &[on, ("status", "running")], None);
        check("delivery/email", &[("status", "done")], None);
        let found = serde_json::to_string(&[finding("unknown_coupon")]).unwrap();
        let expected = findings(day(), &[], &[finding("unknown_coupon")]);
        check("fraud", &[on, ("findings", &found)], Some(expected));
        check("inventory/alert/1", &[on], Some(low_stock(day())));
        check("fraud/alert/1", &[on, ("status", "done")], None);
    }

    #[test]
    fn a_day_holds_what_tasks_did() {
        let mut tally = low_stock(day());
        tally.merge(&delivery(day(), "whatsapp", Status::Failed));
        tally.merge(&delivery(day(), "whatsapp", Status::Failed));
        tally.merge(&delivery(day(), "whatsapp", Status::Waiting));
        let day = days(&tally).remove(&day()).unwrap();
        assert_eq!(day.low_stock_alerts, 1);
        let failed = DeliveryGroup {
            channel: "whatsapp".into(),
            result: "failed".into(),
        };
        assert_eq!(day.deliveries, [(failed, 2)].into());
    }
}
