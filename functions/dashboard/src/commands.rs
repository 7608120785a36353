//! Commands that a person on call can paste into a terminal to repair a coupon's tasks.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use webhooks::life::{Life, Record};
use webhooks::task::Task;

/// A message counts as given up if its record's last try is this long ago and has no later try. The
/// longest pause between two tries is 15 minutes.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Why a command helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// A task has left no record: its message waits in a queue, or is lost.
    Missing,
    /// The other side refuses the effect until an operator fixes the cause.
    Failed,
    /// A record is open, and its last try was long ago: its message may be in a dead-letter queue.
    GivenUp,
    /// Another body contradicts the recorded one.
    Conflict,
    /// A member carries a flag that nobody has cleared.
    Flagged,
}

/// A command, and why it helps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Command {
    pub(crate) why: Why,
    pub(crate) line: String,
}

/// The commands for a coupon; none if all tasks went well, or will go on without an operator.
pub(crate) fn of_coupon(life: &Life, now: Timestamp) -> Vec<Command> {
    let mut commands = BTreeSet::new();
    let mut add = |why, line| {
        commands.insert(Command { why, line });
    };
    for missing in &life.missing {
        let mut received = life.received.iter();
        let event = received.find(|it| it.event == missing.event);
        let task = missing.task.split('/').next().unwrap_or_default();
        // The outbox sends the messages for these tasks without an operator.
        let waits =
            event.is_some_and(|event| event.undispatched.iter().any(|waiting| waiting == task));
        if !waits {
            add(
                Why::Missing,
                format!("coupons replay {}", quoted(&missing.event)),
            );
        }
    }
    for record in &life.tasks {
        if record.failed_for_good() {
            let event = quoted(&record.event);
            add(Why::Failed, format!("coupons replay {event} --failed"));
        } else if is_given_up(record, now) {
            let task = record.task.split('/').next().unwrap_or_default();
            if Task::named(task).is_some() {
                add(Why::GivenUp, format!("coupons dead {task}"));
                add(Why::GivenUp, format!("coupons redrive {task}"));
            }
        }
    }
    if !life.conflicts.is_empty() {
        let coupon = quoted(&life.coupon);
        add(Why::Conflict, format!("coupons show {coupon} --body"));
    }
    commands.into_iter().collect()
}

/// The command that clears a member's flags.
pub(crate) fn clear_flag(member: &str) -> Command {
    Command {
        why: Why::Flagged,
        line: format!("coupons member {} --clear-flag", quoted(member)),
    }
}

fn is_given_up(record: &Record, now: Timestamp) -> bool {
    let finished = record.finished_at.as_deref().and_then(|it| it.parse().ok());
    let last = [record.lease_until, record.not_before, finished];
    let last = last.into_iter().flatten().max();
    !record.is_settled() && last.is_some_and(|at| now.duration_since(at) > GIVEN_UP_AFTER)
}

/// The text as a shell reads it for one word, with any characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use webhooks::life::{Conflict, Missing, Received};

    use super::*;

    const EVENT: &str = "zupy#comp#CP-1/redeemed";

    fn record(task: &str, status: &str, finished_at: &str) -> Record {
        Record {
            event: EVENT.into(),
            task: task.into(),
            status: status.into(),
            finished_at: Some(finished_at.into()),
            ..Record::default()
        }
    }

    fn life(tasks: Vec<Record>) -> Life {
        Life {
            coupon: "zupy#comp#CP-1".into(),
            received: vec![Received {
                event: EVENT.into(),
                ..Received::default()
            }],
            tasks,
            ..Life::default()
        }
    }

    #[track_caller]
    fn check(life: &Life, expected: &[(Why, &str)]) {
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        let commands = of_coupon(life, now);
        let commands: Vec<_> = commands
            .iter()
            .map(|command| (command.why, command.line.as_str()))
            .collect();
        assert_eq!(commands, expected);
    }

    #[test]
    fn nothing_is_to_be_done_about_what_goes_on_by_itself() {
        check(&life(vec![]), &[]);
        let done = record("delivery/account", "done", "2026-11-20T12:00:00Z");
        let tried = record("delivery/email", "released", "2026-11-25T11:59:00Z");
        check(&life(vec![done, tried]), &[]);
    }

    #[test]
    fn what_is_missing_is_replayed_unless_the_outbox_sends_it() {
        let mut life = life(vec![]);
        life.missing = vec![Missing {
            event: EVENT.into(),
            task: "fraud".into(),
        }];
        let line = "coupons replay 'zupy#comp#CP-1/redeemed'";
        check(&life, &[(Why::Missing, line)]);
        life.received[0].undispatched = vec!["fraud".into()];
        check(&life, &[]);
    }

    #[test]
    fn what_failed_is_replayed_and_what_was_given_up_is_redriven() {
        let failed = record("delivery/sms", "failed", "2026-11-25T11:00:00Z");
        let stuck = record("delivery/email", "released", "2026-11-25T10:00:00Z");
        let mut life = life(vec![failed, stuck]);
        life.conflicts = vec![Conflict {
            event: EVENT.into(),
            hash: "0".into(),
            received_at: String::new(),
            body: None,
        }];
        check(
            &life,
            &[
                (
                    Why::Failed,
                    "coupons replay 'zupy#comp#CP-1/redeemed' --failed",
                ),
                (Why::GivenUp, "coupons dead delivery"),
                (Why::GivenUp, "coupons redrive delivery"),
                (Why::Conflict, "coupons show 'zupy#comp#CP-1' --body"),
            ],
        );
    }

    #[test]
    fn a_key_cannot_leave_its_quotes() {
        assert_eq!(quoted("a'; rm -rf ~ #"), r"'a'\''; rm -rf ~ #'");
        let line = clear_flag("zupy#comp#ZP-1").line;
        assert_eq!(line, "coupons member 'zupy#comp#ZP-1' --clear-flag");
    }
}
