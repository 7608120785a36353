//! Messages as each version wrote them, in files: they are in flight during a deployment, and after
//! a rollback. If this code writes a message differently, a test here fails. `docs/extending.md`,
//! "Changing a message", says what to do then.

use super::*;
use crate::event::Fact;
use crate::task::{Message, Queued, Task, WorkMessage};
use crate::waiting::Waiting;

macro_rules! message {
    ($name:literal) => {
        include_str!(concat!("../../testdata/messages/", $name, ".json"))
    };
}

const OF_TASKS: [&str; 4] = [
    message!("task-1-redeemed"),
    message!("task-1-used"),
    message!("task-1-items"),
    message!("task-1-enrolled"),
];
const ELSEWHERE: &str = message!("elsewhere-2");
const OF_WORK: [&str; 2] = [message!("work-1"), message!("work-1-elsewhere")];
const WAITING: [&str; 3] = [
    message!("waiting-1"),
    message!("waiting-2-large"),
    message!("waiting-2-refused"),
];

/// Today's code writes exactly the bytes that older readers know.
#[test]
fn todays_messages_are_those_in_flight() {
    for text in OF_TASKS {
        let message = Message::read(text).unwrap();
        assert_eq!(message.to_body(), text);
        assert_eq!(message.to_queue(), text);
        let Ok(Queued::Whole(queued)) = Queued::read(text) else {
            panic!("{text}");
        };
        assert_eq!(*queued, message);
    }
    let Ok(Queued::Elsewhere(elsewhere)) = Queued::read(ELSEWHERE) else {
        panic!("{ELSEWHERE}");
    };
    assert_eq!(queue_body(&elsewhere), ELSEWHERE);
    for text in OF_WORK {
        assert_eq!(WorkMessage::read(text).unwrap().into_body(), text);
    }
    for text in WAITING {
        let waiting = Waiting::read(text).unwrap();
        assert_eq!(waiting.to_body(), text);
        assert!(waiting.body().is_some());
    }
}

#[test]
fn messages_in_flight_keep_their_meaning() {
    let facts = OF_TASKS.map(|text| Message::read(text).unwrap().event.into_owned().fact);
    assert!(matches!(&facts[0], Fact::Redeemed(it) if it.coupon_code == "CP-A1B2C3D4"));
    assert!(matches!(&facts[1], Fact::Used(it) if it.order_id.as_deref() == Some("ord_POS_789")));
    assert!(matches!(&facts[2], Fact::Redeemed(it) if !it.reward.items.is_empty()));
    assert!(matches!(&facts[3], Fact::Enrolled));
    let work = OF_WORK.map(|text| WorkMessage::read(text).unwrap());
    assert_eq!(work[0].message, OF_TASKS[0]);
    assert_eq!(
        work[0].tasks,
        [Task::Delivery, Task::Inventory, Task::Fraud]
    );
    assert_eq!(work[1].message, ELSEWHERE);
    assert_eq!(work[1].tasks, [Task::Fraud]);
    assert!(work.iter().all(|it| it.tenant == "comp_bella_vista"));
}

/// Checks a message that newer code may write, made from one of today's.
#[track_caller]
fn check<M: QueueMessage + std::fmt::Debug>(
    text: &str,
    from: &str,
    to: &str,
    expected: Unreadable,
) {
    let newer = text.replacen(from, to, 1);
    assert_ne!(newer, text, "{from}");
    let unreadable = M::read(&newer).err();
    assert_eq!(unreadable.as_ref(), Some(&expected), "{to}");
    assert!(expected.waits_for_newer_code());
}

#[test]
fn a_message_with_a_newer_part_waits_for_newer_code() {
    let [redeemed, used, items, enrolled] = OF_TASKS;
    let field = Unreadable::Unknown(Unknown::Field);
    for (text, from) in [
        (redeemed, "\"version\":1,"),
        (redeemed, "\"provider\":"),
        (redeemed, "\"name\":\"Maria"),
        (redeemed, "\"points_spent\":"),
        (used, "\"unit_price\":"),
        (items, "\"sku\":"),
    ] {
        let to = format!("\"new\":{{\"a\":[1]}},{from}");
        check::<Message<'static>>(text, from, &to, field.clone());
        check::<Queued>(text, from, &to, field.clone());
    }
    let kind = Unreadable::Unknown(Unknown::Variant);
    check::<Message<'static>>(redeemed, "\"redeemed\":{", "\"donated\":{", kind.clone());
    check::<Queued>(enrolled, "\"enrolled\"", "\"left\"", kind);
    let version = Unreadable::Newer {
        version: 3,
        newest: 2,
    };
    check::<Queued>(redeemed, "\"version\":1", "\"version\":3", version.clone());
    check::<Waiting>(WAITING[0], "\"version\":1", "\"version\":3", version);
    check::<Queued>(ELSEWHERE, "\"key\":", "\"new\":1,\"key\":", field.clone());
    for text in WAITING {
        check::<Waiting>(
            text,
            "\"scheme\":",
            "\"new\":null,\"scheme\":",
            field.clone(),
        );
    }
    for text in OF_WORK {
        check::<WorkMessage>(text, "\"key\":", "\"new\":1,\"key\":", field.clone());
        let task = Unreadable::Unknown(Unknown::Task);
        check::<WorkMessage>(text, "\"fraud\"", "\"fraud\",\"surveys-of-tomorrow\"", task);
        let version = Unreadable::Newer {
            version: 2,
            newest: 1,
        };
        check::<WorkMessage>(text, "\"version\":1", "\"version\":2", version);
    }
}

/// `dispatch` passes on the task's message without reading it.
#[test]
fn a_tasks_message_may_change_without_dispatch() {
    let newer = OF_WORK[0].replace(
        "\"message\":{\"version\":1",
        "\"message\":{\"version\":9,\"x\":1",
    );
    assert_ne!(newer, OF_WORK[0]);
    let work = WorkMessage::read(&newer).unwrap();
    assert!(work.message.starts_with("{\"version\":9,\"x\":1,"));
    assert_eq!(work.into_body(), newer);
}

#[test]
fn a_malformed_message_waits_for_nothing() {
    for text in [
        "",
        "not JSON",
        "[]",
        "{}",
        "{\"version\":1}",
        "{\"version\":1,\"event\":5}",
        "{\"version\":\"1\"}",
        "{\"version\":-1}",
    ] {
        let is_malformed = |read: Option<Unreadable>| {
            assert!(
                matches!(read, Some(Unreadable::Malformed { .. })),
                "{text}: {read:?}"
            );
        };
        is_malformed(Queued::read(text).err());
        is_malformed(WorkMessage::read(text).err());
        is_malformed(Waiting::read(text).err());
    }
}
