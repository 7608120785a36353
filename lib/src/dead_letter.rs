//! Reads the messages of dead-letter queues: the event of each, and the reason why its task gave
//! up.

use crate::life::Record;
use crate::retry::Waiting;
use crate::survey::SurveyMessage;
use crate::task::{Queued, Unreadable, WorkMessage};
use crate::worker::QueueMessage;

/// Reads the key of a message's event. The message may be for one task, for several, or for the
/// retry queue.
///
/// # Errors
///
/// The message is none of these, or newer code wrote it.
pub fn event_of(body: &str) -> Result<String, Unreadable> {
    let unreadable = match Queued::read(body) {
        Ok(message) => return Ok(message.key()),
        Err(unreadable) => unreadable,
    };
    let of_work = WorkMessage::read(body).map(|it| it.key());
    of_work
        .or_else(|_| Waiting::read(body).map(|it| it.key()))
        .or_else(|_| SurveyMessage::read(body).map(|it| it.key()))
        .map_err(|_| unreadable)
}

/// The reason in the task's records, for a message that names none itself.
pub fn reason(records: &[Record], event: &str, task: &str) -> String {
    let of_task: Vec<_> = records.iter().filter(|it| it.is_of(event, task)).collect();
    let open: Vec<_> = of_task.iter().filter(|it| !it.is_settled()).collect();
    match (of_task.as_slice(), open.as_slice()) {
        ([], _) => "the task left no record, because no attempt got so far".to_owned(),
        (_, []) => {
            let words: Vec<_> = of_task.iter().map(|it| it.summary()).collect();
            format!(
                "every record is settled, so a redrive changes nothing: {}",
                words.join(", ")
            )
        }
        (_, open) => {
            let words: Vec<_> = open.iter().map(|it| it.summary()).collect();
            words.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "zupy#comp#CP-1/redeemed";

    fn record(task: &str, status: &str, result: Option<&str>) -> Record {
        Record {
            event: EVENT.into(),
            task: task.into(),
            status: status.into(),
            result: result.map(str::to_owned),
            attempts: Some(10),
            ..Record::default()
        }
    }

    #[test]
    fn the_reason_comes_from_the_open_records() {
        let account = record("delivery/account", "done", None);
        let email = record("delivery/email", "released", Some("AccessDenied"));
        assert_eq!(
            reason(&[account.clone(), email], EVENT, "delivery"),
            "delivery/email released: AccessDenied (10 attempts)"
        );
        assert!(reason(&[], EVENT, "delivery").contains("no record"));
        assert!(reason(&[account], EVENT, "delivery").contains("a redrive changes nothing"));
    }

    #[test]
    fn every_kind_of_message_names_its_event() {
        let redeemed = include_str!("../../domain/testdata/messages/work-1.json");
        let used = include_str!("../../domain/testdata/messages/elsewhere-2.json");
        let refused = include_str!("../../domain/testdata/messages/waiting-2-refused.json");
        for (body, expected) in [
            (redeemed, "zupy#comp_bella_vista#CP-A1B2C3D4/redeemed"),
            (used, "zupy#comp_bella_vista#CP-A1B2C3D4/used#ord_POS_789"),
            (refused, "refused#zupy"),
        ] {
            let found = event_of(body.trim()).unwrap();
            assert!(found.starts_with(expected), "{found}");
        }
        assert!(event_of("{}").is_err());
    }
}
