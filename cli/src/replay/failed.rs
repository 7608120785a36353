//! `coupons replay --failed`: runs again what failed for good, and nothing else.
//!
//! The command releases a failed record to its task, and does not delete it. If this program
//! crashes before it sends the message, the next `--failed` still finds the record.

use std::collections::BTreeSet;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::life::{Record, text};

use super::decide::Decision;
use crate::target::Target;

/// The reason for skipping an event or a task that had no failure.
pub(super) const NOTHING: &str = "nothing failed";

/// Chooses the failed records, of one channel if the operator names one. After an unanswered
/// attempt, the message of a record may have gone out. Such a record counts only if the operator
/// names its channel.
pub(super) fn choose<'a>(records: &[&'a Record], channel: Option<&str>) -> Decision<'a> {
    let failed = records.iter().copied();
    let failed = failed.filter(|record| {
        record.failed_for_good() && channel.is_none_or(|name| name == record.task)
    });
    let (sure, in_doubt): (Vec<_>, Vec<_>) =
        failed.partition(|it| it.in_doubt == 0 || channel.is_some());
    if !sure.is_empty() {
        return Decision::Repeat(sure);
    }
    Decision::Skip(match in_doubt.first() {
        None => NOTHING.to_owned(),
        Some(record) => format!(
            "before {} failed, an attempt got no answer, so its message may have gone out; \
             --task {} repeats it even so",
            record.task, record.task
        ),
    })
}

/// The coupons that have a failed record. Reads the whole table.
pub(super) async fn coupons(target: &Target) -> anyhow::Result<BTreeSet<String>> {
    let rows = target.scan_all("events", |events| {
        events
            .filter_expression(
                "#status = :failed OR \
                 (#status = :released AND attribute_exists(asked_after_attempts))",
            )
            .projection_expression("coupon")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":failed", AttributeValue::S("failed".into()))
            .expression_attribute_values(":released", AttributeValue::S("released".into()))
    });
    let rows = rows.await?;
    Ok(rows.iter().filter_map(|row| text(row, "coupon")).collect())
}

/// Whether a transaction wrote the record. A task writes such a record only if it is absent.
pub(super) fn is_of_commit(record: &Record) -> bool {
    record.task == "delivery/grant"
}

/// Releases a failed record to its task, unless the record has changed since its reading. If an
/// earlier replay released it, perhaps only its message is missing.
pub(super) async fn give_back(target: &Target, record: &Record) -> anyhow::Result<()> {
    if record.status == "released" {
        return Ok(());
    }
    let (coupon, entry) = record
        .event
        .split_once('/')
        .with_context(|| format!("{:?} is not an event's key", record.event))?;
    let before = record.result.as_deref().unwrap_or_default();
    // Every attempt by the SDK sends the same text, so the command recognises its own change after
    // a lost answer.
    let result = format!("asked for again at {}; before: {before}", Timestamp::now());
    let updated = target
        .dynamodb
        .update_item()
        .table_name(target.table("events")?)
        .key("coupon", AttributeValue::S(coupon.to_owned()))
        .key(
            "entry",
            AttributeValue::S(format!("{entry}/{}", record.task)),
        )
        .update_expression(
            "SET #status = :released, #result = :result, \
             asked_after_attempts = if_not_exists(attempts, :none) \
             REMOVE lease_until_ms, not_before_ms",
        )
        .condition_expression(
            "(#status = :failed AND #result = :before) OR \
             (#status = :released AND #result = :result)",
        )
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#result", "result")
        .expression_attribute_values(":failed", AttributeValue::S("failed".into()))
        .expression_attribute_values(":released", AttributeValue::S("released".into()))
        .expression_attribute_values(":before", AttributeValue::S(before.into()))
        .expression_attribute_values(":result", AttributeValue::S(result))
        .expression_attribute_values(":none", AttributeValue::N("0".into()))
        .send()
        .await;
    match updated {
        Ok(_) => Ok(()),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Err(anyhow!(
                "{} changed meanwhile: look at the record, then try again",
                record.task
            )),
            _ => Err(target
                .explain(error)
                .context(format!("releasing {}", record.task))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(task: &str, status: &str) -> Record {
        Record {
            task: task.into(),
            status: status.into(),
            attempts: Some(2),
            ..Record::default()
        }
    }

    #[track_caller]
    fn check(records: &[Record], channel: Option<&str>, expected: Result<&[&str], &str>) {
        let records: Vec<_> = records.iter().collect();
        match (choose(&records, channel), expected) {
            (Decision::Repeat(chosen), Ok(expected)) => {
                let chosen: Vec<_> = chosen.iter().map(|it| it.task.as_str()).collect();
                assert_eq!(chosen, expected);
            }
            (Decision::Skip(reason), Err(expected)) => {
                assert!(reason.contains(expected), "{reason}")
            }
            (choice, _) => panic!("{choice:?}"),
        }
    }

    #[test]
    fn only_what_failed_is_repeated() {
        let all = [
            record("delivery/account", "done"),
            record("delivery/email", "failed"),
            record("delivery/whatsapp", "skipped"),
            record("delivery/sms", "failed"),
        ];
        check(&all, None, Ok(&["delivery/email", "delivery/sms"]));
        check(&all, Some("delivery/sms"), Ok(&["delivery/sms"]));
        check(&all, Some("delivery/whatsapp"), Err("nothing failed"));
        for status in ["done", "skipped", "waiting", "released", "running"] {
            check(
                &[record("delivery/email", status)],
                None,
                Err("nothing failed"),
            );
        }
        check(&[], None, Err("nothing failed"));
    }

    #[test]
    fn a_message_that_may_have_been_sent_is_repeated_only_by_its_name() {
        let doubtful = Record {
            in_doubt: 1,
            ..record("delivery/email", "failed")
        };
        check(
            std::slice::from_ref(&doubtful),
            None,
            Err("--task delivery/email"),
        );
        let both = [doubtful, record("delivery/sms", "failed")];
        check(&both, None, Ok(&["delivery/sms"]));
        check(&both, Some("delivery/email"), Ok(&["delivery/email"]));
    }

    #[test]
    fn a_released_record_without_a_new_attempt_still_counts_as_failed() {
        let asked = |asked_after_attempts| Record {
            asked_after_attempts,
            ..record("delivery/email", "released")
        };
        check(&[asked(Some(2))], None, Ok(&["delivery/email"]));
        // An attempt has begun since the release.
        check(&[asked(Some(1))], None, Err("nothing failed"));
        check(&[asked(None)], None, Err("nothing failed"));
        let never_tried = Record {
            attempts: None,
            ..asked(Some(0))
        };
        check(&[never_tried], None, Ok(&["delivery/email"]));
    }
}
