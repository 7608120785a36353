//! Decides from the records of a task whether the task runs again.

use jiff::Timestamp;
use webhooks::life::Record;

/// Whether the command sends a task's message.
#[derive(Debug, PartialEq)]
pub(super) enum Decision<'a> {
    Send {
        /// Settled records to delete first: the task would skip what they cover.
        forget: Vec<&'a Record>,
    },
    /// Only what these failed records cover.
    Repeat(Vec<&'a Record>),
    Skip(String),
}

pub(super) fn names(records: &[&Record]) -> Vec<String> {
    records.iter().map(|it| it.task.clone()).collect()
}

/// Decides by a task's records. Unsettled records run again, settled ones only by force, leased
/// ones not at all.
pub(super) fn decide<'a>(
    expected: &[String],
    channel: Option<&str>,
    records: &[&'a Record],
    force: bool,
    now: Timestamp,
) -> Decision<'a> {
    let meant: Vec<_> = records
        .iter()
        .copied()
        .filter(|record| channel.is_none_or(|channel| record.task == channel))
        .collect();
    let running = meant.iter().find_map(|record| {
        let until = record.lease_until.filter(|until| *until > now)?;
        (!record.is_settled()).then_some((record, until))
    });
    if let Some((record, until)) = running {
        return Decision::Skip(format!(
            "{} is running; its lease ends at {until} at the latest",
            record.task
        ));
    }
    let expected = expected.iter();
    let expected = expected.filter(|name| channel.is_none_or(|channel| channel == name.as_str()));
    let all_left_one = expected
        .clone()
        .all(|name| meant.iter().any(|record| record.task == *name));
    if let Some(channel) = channel
        && expected.clone().next().is_none()
        && meant.is_empty()
    {
        return Decision::Skip(format!("this event does not cause {channel}"));
    }
    let settled = meant.iter().copied().filter(|record| record.is_settled());
    if force {
        return Decision::Send {
            forget: settled.collect(),
        };
    }
    if all_left_one && settled.count() == meant.len() {
        let summaries: Vec<_> = meant.iter().map(|record| record.summary()).collect();
        return Decision::Skip(format!("{}; --force runs it again", summaries.join(", ")));
    }
    Decision::Send { forget: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "zupy#comp#CP-1/redeemed";

    fn record(task: &str, status: &str) -> Record {
        Record {
            event: EVENT.into(),
            task: task.into(),
            status: status.into(),
            ..Record::default()
        }
    }

    /// Checks the decision on these records: the records to delete, or why the command sends
    /// nothing.
    #[track_caller]
    fn check(
        records: &[Record],
        channel: Option<&str>,
        force: bool,
        expected: Result<&[&str], &str>,
    ) {
        let records: Vec<_> = records.iter().collect();
        let left = ["delivery/account", "delivery/email"].map(str::to_owned);
        let now = Timestamp::from_second(1_000).unwrap();
        match (decide(&left, channel, &records, force, now), expected) {
            (Decision::Send { forget }, Ok(expected)) => {
                let forget: Vec<_> = forget.iter().map(|it| it.task.as_str()).collect();
                assert_eq!(forget, expected);
            }
            (Decision::Skip(reason), Err(expected)) => {
                assert!(reason.contains(expected), "{reason}");
            }
            (decided, _) => panic!("{decided:?}"),
        }
    }

    #[test]
    fn what_is_not_settled_is_sent() {
        let account = record("delivery/account", "done");
        check(&[], None, false, Ok(&[]));
        check(std::slice::from_ref(&account), None, false, Ok(&[]));
        let released = record("delivery/email", "released");
        check(&[account, released], None, false, Ok(&[]));
    }

    #[test]
    fn what_is_done_is_not_repeated_unless_forced() {
        let records = [
            record("delivery/account", "done"),
            record("delivery/email", "failed"),
        ];
        check(&records, None, false, Err("delivery/email failed"));
        let both: &[&str] = &["delivery/account", "delivery/email"];
        check(&records, None, true, Ok(both));
        let email = Some("delivery/email");
        check(&records, email, false, Err("delivery/email failed"));
        check(&records, email, true, Ok(&["delivery/email"]));
    }

    #[test]
    fn a_channel_is_decided_by_itself() {
        let records = [record("delivery/account", "done")];
        check(&records, Some("delivery/email"), false, Ok(&[]));
        check(&records, Some("delivery/account"), false, Err("done"));
    }

    #[test]
    fn a_channel_that_the_event_does_not_cause_is_skipped() {
        let records = [record("delivery/account", "done")];
        check(&records, Some("delivery/sms"), false, Err("does not cause"));
        check(&records, Some("delivery/sms"), true, Err("does not cause"));
    }

    #[test]
    fn a_running_task_is_skipped_until_its_lease_ends() {
        let running = |second| Record {
            lease_until: Some(Timestamp::from_second(second).unwrap()),
            ..record("delivery/email", "running")
        };
        check(&[running(1_001)], None, false, Err("is running"));
        check(&[running(1_001)], None, true, Err("is running"));
        check(&[running(999)], None, false, Ok(&[]));
        check(&[running(999)], None, true, Ok(&[]));
    }
}
