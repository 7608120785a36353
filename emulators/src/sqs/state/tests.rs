//! Queues, call by call.

mod model;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::faults::{Fault, MessageMode};
use crate::sqs::contents::Delivered;
use crate::sqs::move_task::MoveStatus;
use crate::sqs::{Redrive, queue_arn};

const MAX_RECEIVE_COUNT: u32 = 3;

/// Queues `work` and `dead`, the dead-letter queue of `work`.
fn state() -> State {
    let mut state = State::default();
    let queue = |name: &str, redrive| Queue {
        name: name.to_owned(),
        visibility_timeout_s: 30,
        retention_s: 3600,
        delay_s: 0,
        redrive,
    };
    let redrive = Redrive {
        dead_letter_queue: "dead".to_owned(),
        max_receive_count: MAX_RECEIVE_COUNT,
    };
    state.declare(queue("work", Some(redrive)), 0);
    state.declare(queue("dead", None), 0);
    state
}

fn send(state: &mut State, body: &str, now_ms: i64) -> String {
    let draft = Draft {
        body: body.to_owned(),
        ..Draft::default()
    };
    state.send("work", draft, now_ms).unwrap().id.clone()
}

fn receive(state: &mut State, queue: &str, now_ms: i64) -> Vec<Delivered> {
    state.advance(now_ms);
    state.receive(queue, 10, None, now_ms).unwrap()
}

fn counts(state: &mut State, queue: &str, now_ms: i64) -> (usize, usize, usize) {
    state.advance(now_ms);
    let counts = state.counts()[queue];
    (counts.visible, counts.in_flight, counts.delayed)
}

#[test]
fn hides_a_received_message_until_its_timeout_ends() {
    let mut state = state();
    let id = send(&mut state, "x", 0);
    let first = receive(&mut state, "work", 1_000).remove(0);
    assert_eq!(counts(&mut state, "work", 30_999), (0, 1, 0));
    assert!(receive(&mut state, "work", 30_999).is_empty());
    assert_eq!(state.next_visible_ms("work"), Some(31_000));
    let second = receive(&mut state, "work", 31_000).remove(0);
    assert_eq!((&first.contents.id, &second.contents.id), (&id, &id));
    assert_ne!(first.receipt, second.receipt);
    let attributes = second.system_attributes();
    assert_eq!(attributes["SentTimestamp"], "0");
    assert_eq!(attributes["ApproximateFirstReceiveTimestamp"], "1000");
    assert_eq!(attributes["ApproximateReceiveCount"], "2");
}

#[test]
fn delays_a_message_or_all_of_a_queue() {
    let mut state = state();
    state
        .set_attributes(
            "work",
            &BTreeMap::from([("DelaySeconds".to_owned(), "5".to_owned())]),
            0,
        )
        .unwrap();
    send(&mut state, "queue's delay", 0);
    let own = Draft {
        body: "own delay".to_owned(),
        delay_s: Some(9),
        ..Draft::default()
    };
    state.send("work", own, 0).unwrap();
    assert_eq!(counts(&mut state, "work", 4_999), (0, 0, 2));
    assert_eq!(counts(&mut state, "work", 5_000), (1, 0, 1));
    assert_eq!(counts(&mut state, "work", 9_000), (2, 0, 0));
}

#[test]
fn only_the_latest_receipt_deletes() {
    let mut state = state();
    send(&mut state, "x", 0);
    let first = receive(&mut state, "work", 0).remove(0);
    let second = receive(&mut state, "work", 30_000).remove(0);
    state.delete("work", &first.receipt.handle()).unwrap();
    assert_eq!(counts(&mut state, "work", 30_000), (0, 1, 0));
    // The message is visible again, but nobody has received it since.
    assert_eq!(counts(&mut state, "work", 60_000), (1, 0, 0));
    state.delete("work", &second.receipt.handle()).unwrap();
    assert_eq!(counts(&mut state, "work", 60_000), (0, 0, 0));
    state.delete("work", &second.receipt.handle()).unwrap();
}

#[test]
fn changes_the_visibility_of_a_message_in_flight_only() {
    let mut state = state();
    send(&mut state, "x", 0);
    let first = receive(&mut state, "work", 0).remove(0).receipt.handle();
    state.change_visibility("work", &first, 60, 10_000).unwrap();
    assert_eq!(counts(&mut state, "work", 69_999), (0, 1, 0));
    let error = state
        .change_visibility("work", &first, 43_200, 69_999)
        .unwrap_err();
    assert!(error.message.contains("beyond the limit"), "{error:?}");
    state.change_visibility("work", &first, 0, 69_999).unwrap();
    assert_eq!(counts(&mut state, "work", 69_999), (1, 0, 0));
    assert_eq!(
        state
            .change_visibility("work", &first, 9, 69_999)
            .unwrap_err()
            .code,
        "MessageNotInflight"
    );
    let second = receive(&mut state, "work", 70_000)
        .remove(0)
        .receipt
        .handle();
    let late = state
        .change_visibility("work", &first, 9, 70_000)
        .unwrap_err();
    assert!(
        late.message
            .contains("not available for visibility timeout change"),
        "{late:?}"
    );
    state.delete("work", &second).unwrap();
    assert!(state.change_visibility("work", &second, 9, 70_000).is_err());
}

#[test]
fn moves_a_message_that_was_received_too_often() {
    let mut state = state();
    let id = send(&mut state, "x", 5);
    for round in 0..i64::from(MAX_RECEIVE_COUNT) {
        assert_eq!(receive(&mut state, "work", 5 + round * 30_000).len(), 1);
    }
    assert_eq!(counts(&mut state, "dead", 90_005), (0, 0, 0));
    assert!(receive(&mut state, "work", 90_005).is_empty());
    assert_eq!(counts(&mut state, "work", 90_005), (0, 0, 0));
    let dead = receive(&mut state, "dead", 90_006).remove(0);
    let attributes = dead.system_attributes();
    assert_eq!(
        (&dead.contents.id, attributes["SentTimestamp"].as_str()),
        (&id, "5")
    );
    assert_eq!(attributes["DeadLetterQueueSourceArn"], queue_arn("work"));
    assert_eq!(attributes["ApproximateReceiveCount"], "4");
    state.delete("dead", &dead.receipt.handle()).unwrap();
    assert_eq!(counts(&mut state, "dead", 90_006), (0, 0, 0));
}

#[test]
fn delivers_on_while_the_dead_letter_queue_does_not_exist() {
    let mut state = state();
    send(&mut state, "x", 0);
    state.delete_queue("dead").unwrap();
    for round in 0..5 {
        assert_eq!(receive(&mut state, "work", round * 30_000).len(), 1);
    }
}

#[test]
fn a_message_expires_with_its_retention_also_in_flight() {
    let mut state = state();
    send(&mut state, "x", 0);
    receive(&mut state, "work", 3_590_000);
    assert_eq!(counts(&mut state, "work", 3_599_999), (0, 1, 0));
    assert_eq!(counts(&mut state, "work", 3_600_000), (0, 0, 0));
    assert!(state.take_changes().contains(&Change::Gone(0)));
}

#[test]
fn delivers_twice_on_request() {
    let mut state = state();
    send(&mut state, "a", 0);
    send(&mut state, "b", 0);
    state.deliver_twice("work", 1).unwrap();
    let first = receive(&mut state, "work", 0);
    let second = receive(&mut state, "work", 0);
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!(first[0].contents.id, second[0].contents.id);
    state
        .change_visibility("work", &first[0].receipt.handle(), 9, 0)
        .unwrap();
    state.delete("work", &first[0].receipt.handle()).unwrap();
    state.delete("work", &second[0].receipt.handle()).unwrap();
    assert_eq!(counts(&mut state, "work", 30_000), (1, 0, 0));
}

#[test]
fn a_fault_delivers_each_message_twice_and_not_more() {
    let mut state = state();
    state
        .faults
        .add(Fault::messages("work", MessageMode::Duplicate));
    let id = send(&mut state, "a", 0);
    for _ in 0..2 {
        let received = receive(&mut state, "work", 0);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].contents.id, id);
    }
    assert_eq!(counts(&mut state, "work", 0), (0, 1, 0));
}

#[test]
fn a_fault_hands_messages_out_in_another_order_and_later_than_younger_ones() {
    let mut state = state();
    let reorder = MessageMode::Reorder(Duration::from_millis(100));
    state.faults.add(Fault::messages("work", reorder).seeded(7));
    let sent: Vec<_> = (0..20)
        .map(|n| send(&mut state, &n.to_string(), n))
        .collect();
    let mut received = Vec::new();
    let mut now_ms = 20;
    while received.len() < sent.len() {
        let delivered = receive(&mut state, "work", now_ms);
        received.extend(
            delivered
                .into_iter()
                .map(|message| message.contents.id.clone()),
        );
        let held_back = sent.len() - received.len();
        assert_eq!(
            counts(&mut state, "work", now_ms).0,
            held_back,
            "still visible"
        );
        if received.len() < sent.len() {
            now_ms = state.next_visible_ms("work").unwrap().max(now_ms + 1);
        }
    }
    assert!(now_ms <= 120, "{now_ms}");
    assert_ne!(received, sent);
    let all: BTreeSet<_> = received.iter().collect();
    assert_eq!(all, sent.iter().collect());
}

#[test]
fn hurries_hidden_messages_except_those_that_a_function_processes() {
    let mut state = state();
    let later = Draft {
        delay_s: Some(60),
        ..Draft::default()
    };
    state.send("work", later, 0).unwrap();
    let (left, worked_on) = (
        send(&mut state, "left", 0),
        send(&mut state, "worked on", 0),
    );
    let receipts = receive(&mut state, "work", 0);
    state.start_work("work", [worked_on.as_str()].into_iter());
    assert_eq!(state.hurry("work", 1), Ok(2));
    assert_eq!(counts(&mut state, "work", 1), (2, 1, 0));
    let (first, _) = state.queues["work"].messages.with_id(&left).unwrap();
    assert!(
        state
            .take_changes()
            .contains(&Change::Delivery("work".to_owned(), first))
    );
    state.delete("work", &receipts[0].receipt.handle()).unwrap();
    assert_eq!(
        counts(&mut state, "work", 1),
        (1, 1, 0),
        "its receipt is still valid"
    );
    state.end_work("work", [worked_on.as_str()].into_iter());
    assert_eq!(state.hurry("work", 2), Ok(1));
    assert!(state.hurry("nothing", 2).is_err());
}

#[test]
fn purges_at_most_once_a_minute() {
    let mut state = state();
    send(&mut state, "x", 0);
    state.purge("work", 0).unwrap();
    assert_eq!(counts(&mut state, "work", 0), (0, 0, 0));
    assert_eq!(
        state.purge("work", 59_999).unwrap_err().code,
        "PurgeQueueInProgress"
    );
    state.purge("work", 60_000).unwrap();
}

#[test]
fn a_redrive_policy_needs_a_queue_that_allows_it() {
    let mut state = state();
    let policy = format!(
        r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":3}}"#,
        queue_arn("none")
    );
    let given = BTreeMap::from([("RedrivePolicy".to_owned(), policy)]);
    let error = state
        .create_queue("new", &given, BTreeMap::new(), 0)
        .unwrap_err();
    assert!(
        error.message.contains("Dead letter target does not exist."),
        "{error:?}"
    );
    let deny = BTreeMap::from([(
        "RedriveAllowPolicy".to_owned(),
        r#"{"redrivePermission":"denyAll"}"#.to_owned(),
    )]);
    state
        .create_queue("none", &deny, BTreeMap::new(), 0)
        .unwrap();
    assert!(state.set_attributes("work", &given, 0).is_err());
}

/// Sends messages and receives them until they are dead letters.
fn with_dead_letters(count: usize) -> State {
    let mut state = state();
    for _ in 0..count {
        send(&mut state, "x", 0);
    }
    for round in 0..=i64::from(MAX_RECEIVE_COUNT) {
        receive(&mut state, "work", round * 30_000);
    }
    assert_eq!(counts(&mut state, "dead", 90_000), (count, 0, 0));
    state
}

#[test]
fn moves_dead_letters_back_as_new_messages() {
    let mut state = with_dead_letters(2);
    state
        .start_move_task(&queue_arn("dead"), None, None, 100_000)
        .unwrap();
    assert_eq!(state.tasks[0].status, MoveStatus::Completed);
    assert_eq!((state.tasks[0].moved, state.tasks[0].to_move), (2, 2));
    assert_eq!(counts(&mut state, "dead", 100_000), (0, 0, 0));
    let moved = receive(&mut state, "work", 100_000);
    let attributes = moved[0].system_attributes();
    assert_eq!(
        (moved.len(), attributes["ApproximateReceiveCount"].as_str()),
        (2, "1")
    );
    assert_eq!(attributes["SentTimestamp"], "100000");
    assert!(!attributes.contains_key("DeadLetterQueueSourceArn"));
}

#[test]
fn moves_dead_letters_at_the_given_rate_until_cancelled() {
    let mut state = with_dead_letters(5);
    let task = state
        .start_move_task(
            &queue_arn("dead"),
            Some(&queue_arn("work")),
            Some(2),
            100_000,
        )
        .unwrap();
    assert_eq!(counts(&mut state, "work", 100_499), (0, 0, 0));
    assert_eq!(state.next_visible_ms("work"), Some(100_500));
    assert_eq!(counts(&mut state, "work", 100_500), (1, 0, 0));
    assert!(
        state
            .start_move_task(&queue_arn("dead"), None, None, 100_500)
            .is_err()
    );
    assert_eq!(counts(&mut state, "work", 101_000), (2, 0, 0));
    assert_eq!(state.cancel_move_task(&task.id), Ok(2));
    assert_eq!(counts(&mut state, "dead", 110_000), (3, 0, 0));
    assert_eq!(
        state.cancel_move_task(&task.id).unwrap_err().code,
        "UnsupportedOperation"
    );
    assert_eq!(
        state.cancel_move_task("other").unwrap_err().code,
        "ResourceNotFoundException"
    );
}

#[test]
fn a_move_task_fails_without_a_way_back() {
    let mut state = state();
    state
        .send(
            "dead",
            Draft {
                body: "sent directly".to_owned(),
                ..Draft::default()
            },
            0,
        )
        .unwrap();
    state
        .start_move_task(&queue_arn("dead"), None, None, 0)
        .unwrap();
    assert_eq!(
        state.tasks[0].status,
        MoveStatus::Failed("CouldNotDetermineMessageSource".to_owned())
    );
    assert_eq!(counts(&mut state, "dead", 0), (1, 0, 0));
    assert!(
        state
            .start_move_task(&queue_arn("work"), None, None, 0)
            .is_err()
    );
    let missing = state
        .start_move_task(&queue_arn("no"), None, None, 0)
        .unwrap_err();
    assert_eq!(missing.code, "ResourceNotFoundException");
}
