//! Schedules as AWS keeps them, and the calls to their targets.

mod calls;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::template::{Resources, Statement};

const ROLE: &str = "arn:aws:iam::000000000000:role/schedules";

fn noon() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

fn template() -> Template {
    let role = |name: &str, trusted: &str, queues: &[&str]| Role {
        arn: format!("arn:aws:iam::000000000000:role/{name}"),
        trusted: vec![trusted.to_owned()],
        statements: vec![Statement {
            actions: vec!["sqs:SendMessage".to_owned()],
            resources: Resources::These(queues.iter().map(|it| arn("sqs", it)).collect()),
            conditions: vec![],
        }],
    };
    Template {
        functions: vec![],
        queues: vec![],
        tables: vec![],
        secrets: vec![],
        topics: vec![],
        roles: vec![
            role("schedules", PRINCIPAL, &["due", "gone", "dead"]),
            role("narrow", PRINCIPAL, &["dead"]),
            role("other", "events.amazonaws.com", &["due"]),
        ],
        schedule_groups: vec!["surveys".to_owned()],
    }
}

/// A one-time schedule for the queue `due`.
fn asked(name: &str, at: &str) -> Value {
    json!({
        "Name": name,
        "GroupName": "surveys",
        "ScheduleExpression": format!("at({at})"),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": arn("sqs", "due"),
            "RoleArn": ROLE,
            "Input": format!("input of {name}"),
            "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600},
            "DeadLetterConfig": {"Arn": arn("sqs", "dead")},
        },
    })
}

fn with(mut request: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    request.pointer_mut(parent).unwrap()[name] = value;
    request
}

#[track_caller]
fn check_refused(request: &Value, code: &str, message: &str) {
    let scheduler = Scheduler::in_memory(&template());
    let error = scheduler.handle("CreateSchedule", request, noon());
    let error = error.unwrap_err();
    assert_eq!(error.code, code, "{}", error.message);
    assert!(error.message.contains(message), "{}", error.message);
    assert!(scheduler.all().is_empty());
}

#[test]
fn what_aws_refuses_is_refused() {
    let good = || asked("one", "2026-11-28T14:00:00");
    let check = |pointer: &str, value: Value, message: &str| {
        let request = with(good(), pointer, value);
        check_refused(&request, "ValidationException", message);
    };
    for wrong in [
        "at(2026-11-28T14:00:00Z)",
        "at(2026-11-28T14:00:00.5)",
        "at(2026-11-28 14:00:00)",
        "at(2026-02-30T14:00:00)",
        "2026-11-28T14:00:00",
        "rate(1 hour)",
    ] {
        check(
            "/ScheduleExpression",
            json!(wrong),
            "Invalid Schedule Expression",
        );
    }
    let past = "at(2026-11-28T11:59:59)";
    check("/ScheduleExpression", json!(past), "a time that has passed");
    check(
        "/ScheduleExpressionTimezone",
        json!("Mars"),
        "Timezone Mars",
    );
    check("/Name", json!("one#two"), "Name must have");
    check("/Name", json!("x".repeat(65)), "Name must have");
    check("/FlexibleTimeWindow", json!({}), "Mode is missing");
    let endless = json!({"Mode": "FLEXIBLE"});
    check(
        "/FlexibleTimeWindow",
        endless,
        "needs MaximumWindowInMinutes",
    );
    check("/State", json!("ON"), "State must be ENABLED or DISABLED");
    check(
        "/Target/Arn",
        json!(arn("lambda", "function:x")),
        "not a target",
    );
    check("/Target/Arn", json!(arn("sqs", "due.fifo")), "not a target");
    check("/Target/Input", json!("x".repeat(262_145)), "262144 bytes");
    check("/ClientToken", json!("x".repeat(65)), "1 to 64 characters");
    check(
        "/ClientToken",
        json!("zupy#1"),
        "letters, digits, '-' and '_'",
    );
    check(
        "/Description",
        json!("x".repeat(513)),
        "0 to 512 characters",
    );
    let group = json!({"MessageGroupId": "x".repeat(129)});
    check("/Target/SqsParameters", group, "1 to 128 characters");
    let often = json!({"MaximumRetryAttempts": 186});
    check("/Target/RetryPolicy", often, "from 0 to 185");
    let brief = json!({"MaximumEventAgeInSeconds": 59});
    check("/Target/RetryPolicy", brief, "from 60 to 86400");
    let other = json!("arn:aws:iam::000000000000:role/other");
    check(
        "/Target/RoleArn",
        other,
        "must allow AWS EventBridge Scheduler",
    );
    let elsewhere = with(good(), "/GroupName", json!("elsewhere"));
    let message = "Schedule group elsewhere does not exist.";
    check_refused(&elsewhere, "ResourceNotFoundException", message);
}

#[test]
fn a_name_is_taken_once_within_its_group() {
    let scheduler = Scheduler::in_memory(&template());
    let create = |request: Value| scheduler.handle("CreateSchedule", &request, noon());
    let first = || asked("one", "2026-11-28T14:00:00");
    let created = create(with(first(), "/ClientToken", json!("t1"))).unwrap();
    let arn = "arn:aws:scheduler:us-east-1:000000000000:schedule/surveys/one";
    assert_eq!(created["ScheduleArn"], arn);
    // The client's own retry, because the client did not see the answer.
    assert_eq!(
        create(with(first(), "/ClientToken", json!("t1"))),
        Ok(created)
    );
    for other in [first(), with(first(), "/ClientToken", json!("t2"))] {
        let error = create(other).unwrap_err();
        assert_eq!((error.status, &*error.code), (409, "ConflictException"));
        assert_eq!(error.message, "Schedule one already exists.");
    }
    create(with(first(), "/GroupName", json!("default"))).unwrap();
    assert_eq!(scheduler.all().len(), 2);
}

#[test]
fn ten_thousand_schedules_created_twice_are_ten_thousand() {
    let scheduler = Scheduler::in_memory(&template());
    for round in 0..2 {
        for number in 0..10_000 {
            let request = asked(&format!("s{number}"), "2026-11-28T14:00:00");
            let created = scheduler.handle("CreateSchedule", &request, noon());
            assert_eq!(created.is_ok(), round == 0);
        }
    }
    assert_eq!(scheduler.all().len(), 10_000);
    let (mut listed, mut token) = (BTreeMap::new(), Value::Null);
    loop {
        let mut request = json!({"GroupName": "surveys"});
        if !token.is_null() {
            request["NextToken"] = token;
        }
        let page = scheduler.handle("ListSchedules", &request, noon()).unwrap();
        for schedule in page["Schedules"].as_array().unwrap() {
            *listed.entry(schedule["Name"].to_string()).or_insert(0) += 1;
        }
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(listed.len(), 10_000);
    assert!(listed.values().all(|times| *times == 1));
}

#[test]
fn a_schedule_is_described_updated_and_deleted() {
    let scheduler = Scheduler::in_memory(&template());
    let handle = |operation: &str, request: &Value| scheduler.handle(operation, request, noon());
    let one = json!({"Name": "one", "GroupName": "surveys"});
    for operation in ["GetSchedule", "DeleteSchedule"] {
        let missing = handle(operation, &one).unwrap_err();
        assert_eq!(missing.code, "ResourceNotFoundException");
    }
    let request = asked("one", "2026-11-28T11:00:00");
    let request = with(
        request,
        "/ScheduleExpressionTimezone",
        json!("America/Sao_Paulo"),
    );
    handle("CreateSchedule", &request).unwrap();
    let described = handle("GetSchedule", &one).unwrap();
    assert_eq!(described["ScheduleExpression"], "at(2026-11-28T11:00:00)");
    assert_eq!(described["State"], "ENABLED");
    assert_eq!(described["CreationDate"], noon().as_second() as f64);
    assert_eq!(described["Target"]["Input"], "input of one");
    let next_at = || scheduler.all()[0].next_at.map(|at| at.to_string());
    assert_eq!(next_at().as_deref(), Some("2026-11-28T14:00:00Z"));

    let later = with(
        asked("one", "2026-11-28T15:00:00"),
        "/State",
        json!("DISABLED"),
    );
    handle("UpdateSchedule", &later).unwrap();
    assert_eq!(next_at(), None);
    assert_eq!(handle("GetSchedule", &one).unwrap()["State"], "DISABLED");

    handle("DeleteSchedule", &one).unwrap();
    assert!(scheduler.all().is_empty());
}

#[test]
fn a_flexible_window_spreads_schedules_by_their_names() {
    let scheduler = Scheduler::in_memory(&template());
    let window = json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10});
    for number in 0..100 {
        let request = asked(&format!("s{number}"), "2026-11-28T14:00:00");
        let request = with(request, "/FlexibleTimeWindow", window.clone());
        scheduler
            .handle("CreateSchedule", &request, noon())
            .unwrap();
    }
    let due: BTreeSet<_> = scheduler
        .all()
        .into_iter()
        .map(|it| it.next_at.unwrap())
        .collect();
    assert!(due.len() > 90, "{}", due.len());
    let (first, last) = (due.first().unwrap(), due.last().unwrap());
    assert!(first.to_string().as_str() >= "2026-11-28T14:00:00");
    assert!(last.to_string().as_str() < "2026-11-28T14:10:00");
}

#[test]
fn what_is_kept_in_a_directory_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Scheduler::open(Some(directory.path()), &template()).unwrap();
    let scheduler = open();
    for name in ["one", "two"] {
        let request = asked(name, "2026-11-28T14:00:00");
        scheduler
            .handle("CreateSchedule", &request, noon())
            .unwrap();
    }
    let two = json!({"Name": "two", "GroupName": "surveys"});
    scheduler.handle("DeleteSchedule", &two, noon()).unwrap();
    let before = scheduler.all();
    drop(scheduler);
    assert_eq!(open().all(), before);
    assert_eq!(before.len(), 1);
}
