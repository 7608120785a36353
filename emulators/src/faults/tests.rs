//! Tests how faults are read and applied.

use serde_json::{Value, json};

use super::*;

const TARGETS: fn() -> Targets<'static> = || Targets {
    functions: vec!["delivery", "zupy"],
    queues: vec!["delivery"],
};

#[track_caller]
fn refused(value: Value, expected: &[&str]) {
    let problems = Fault::read(&value, &TARGETS()).unwrap_err();
    let problems: Vec<_> = problems
        .into_iter()
        .map(|problem| format!("{} {}", problem.field, problem.problem))
        .collect();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(
            problem.starts_with(expected),
            "{problem:?} is not {expected:?}"
        );
    }
}

#[test]
fn a_fault_is_listed_as_it_was_written() {
    for mut asked in [
        json!({"service": "dynamodb", "operation": "PutItem", "mode": "fail", "count": 2, "rate": 0.2, "seed": 7}),
        json!({"service": "*", "function": "zupy", "mode": "delay", "delay_ms": 500, "rate": 1.0, "seed": 1}),
        json!({"service": "dynamodb", "mode": "conflict", "rate": 1.0, "seed": 1}),
        json!({"service": "sqs", "operation": "SendMessageBatch", "mode": "fail", "partial": true, "rate": 1.0, "seed": 1}),
        json!({"service": "dynamodb", "mode": "fail", "partial": true, "rate": 1.0, "seed": 1}),
        json!({"service": "ses", "mode": "lose_response", "rate": 1.0, "seed": 1}),
        json!({"service": "secretsmanager", "mode": "throttle", "rate": 1.0, "seed": 1}),
        json!({"service": "scheduler", "operation": "CreateSchedule", "mode": "throttle", "rate": 1.0, "seed": 1}),
        json!({"service": "sqs", "function": "scheduler", "mode": "fail", "rate": 1.0, "seed": 1}),
        json!({"service": "game-server", "mode": "fail", "status": 404, "rate": 1.0, "seed": 1}),
        json!({"service": "sns", "operation": "Publish", "mode": "fail", "code": "NotFound", "rate": 1.0, "seed": 1}),
        json!({"service": "sqs", "queue": "delivery", "mode": "duplicate", "rate": 0.5, "seed": 1}),
        json!({"service": "sqs", "mode": "reorder", "delay_ms": 50, "rate": 1.0, "seed": 1}),
        json!({"service": "lambda", "function": "delivery", "mode": "kill", "at": "call 3", "rate": 1.0, "seed": 1}),
        json!({"service": "lambda", "function": "delivery", "mode": "kill", "at": "after call 1", "rate": 1.0, "seed": 1}),
        json!({"service": "lambda", "function": "delivery", "mode": "delay", "delay_ms": 9, "rate": 1.0, "seed": 1}),
    ] {
        let faults = Faults::default();
        let id = faults.add(Fault::read(&asked, &TARGETS()).unwrap());
        asked["id"] = json!(id);
        asked["applied"] = json!(0);
        asked["active"] = json!(true);
        assert_eq!(faults.list(), [asked]);
    }
}

#[test]
fn whatsapp_has_three_names() {
    for name in ["social-messaging", "socialmessaging", "whatsapp"] {
        let faults = Faults::default();
        let fault =
            json!({"service": name, "operation": "SendWhatsAppMessage", "mode": "throttle"});
        faults.add(Fault::read(&fault, &TARGETS()).unwrap());
        assert_eq!(faults.list()[0]["service"], "social-messaging");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    refused(json!([]), &["fault must be a JSON object"]);
    refused(json!({}), &["service is missing", "mode is missing"]);
    refused(
        json!({"service": "s3", "mode": "explode", "rate": 1.5, "count": 0, "seed": -1, "color": "red"}),
        &[
            "color is not known",
            "service must be one of *, dynamodb, sqs, secretsmanager, ses, sns, social-messaging, \
             scheduler, game-server, lambda",
            "mode must be one of fail, throttle",
            "count must be a whole number from 1",
            "rate must be a number from 0 to 1",
            "seed must be a whole number",
        ],
    );
    refused(
        json!({"service": "ses", "mode": "conflict"}),
        &[
            "mode conflict is not for the service ses; there are fail, throttle, delay, \
             lose_response",
        ],
    );
    refused(
        json!({"service": "*", "mode": "kill"}),
        &["mode kill is not for the service *"],
    );
    refused(
        json!({"service": "dynamodb", "operation": "Query", "mode": "conflict"}),
        &["operation must be one of TransactWriteItems, PutItem, UpdateItem, DeleteItem"],
    );
    refused(
        json!({"service": "dynamodb", "operation": "putitem", "mode": "fail", "partial": true, "delay_ms": 5, "at": "start", "queue": "delivery"}),
        &[
            "operation must be one of",
            "partial is only for",
            "delay_ms is only for",
            "at is only for",
            "queue is only for",
        ],
    );
    refused(
        json!({"service": "dynamodb", "operation": "GetItem", "mode": "fail", "partial": true}),
        &["partial is only for"],
    );
    refused(
        json!({"service": "sqs", "mode": "delay", "function": "nobody"}),
        &[
            "function must be one of delivery, zupy",
            "delay_ms is missing",
        ],
    );
    refused(
        json!({"service": "sqs", "mode": "reorder", "queue": "inventory", "operation": "SendMessage"}),
        &[
            "operation is not for mode reorder",
            "queue must be one of delivery",
        ],
    );
    for at in ["call 0", "call", "after call x", "later"] {
        refused(
            json!({"service": "lambda", "function": "zupy", "mode": "kill", "at": at}),
            &["at must be start, answer, call N or after call N"],
        );
    }
    refused(
        json!({"service": "ses", "mode": "fail", "status": 404}),
        &["status is only for mode fail of the service game-server"],
    );
    refused(
        json!({"service": "ses", "mode": "fail", "code": "NotFound"}),
        &["code is only for mode fail of SNS's Publish"],
    );
    refused(
        json!({"service": "game-server", "mode": "throttle", "status": 404}),
        &["status is only for mode fail of the service game-server"],
    );
    refused(
        json!({"service": "game-server", "mode": "fail", "status": 200, "function": "zupy"}),
        &[
            "status must be a whole number from 300 to 599",
            "function is not for the service game-server",
        ],
    );
    refused(
        json!({"service": "lambda", "mode": "kill"}),
        &["at is missing", "function is missing"],
    );
}

fn put(faults: &Faults, function: Option<&str>) -> Option<CallMode> {
    faults
        .on_call(Service::DynamoDb, "PutItem", function, b"")
        .mode
}

#[test]
fn a_fault_happens_as_often_as_it_should_where_it_should() {
    let faults = Faults::default();
    let fault = Fault::calls(Service::DynamoDb, "PutItem", CallMode::Fail);
    let id = faults.add(fault.by("zupy").times(2));
    assert_eq!(put(&faults, None), None);
    assert_eq!(put(&faults, Some("delivery")), None);
    let query = faults.on_call(Service::DynamoDb, "Query", Some("zupy"), b"");
    let other = faults.on_call(Service::Ses, "PutItem", Some("zupy"), b"");
    assert_eq!((query, other), (Met::default(), Met::default()));
    for expected in [Some(CallMode::Fail), Some(CallMode::Fail), None] {
        assert_eq!(put(&faults, Some("zupy")), expected);
    }
    assert_eq!(faults.applied(id), Some(2));
    assert_eq!(faults.list()[0]["active"], false);
    assert!(faults.remove(id) && !faults.remove(id));
}

#[test]
fn a_seed_decides_the_same_again() {
    let hits = |seed| {
        let faults = Faults::default();
        faults.add(
            Fault::everywhere(CallMode::Throttle)
                .at_rate(0.2)
                .seeded(seed),
        );
        (0..1000)
            .map(|_| put(&faults, None).is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(hits(7), hits(7));
    assert_ne!(hits(7), hits(8));
    let share = hits(7).into_iter().filter(|hit| *hit).count();
    assert!((150..250).contains(&share), "{share}");
}

#[test]
fn delays_add_to_what_else_happens_and_the_oldest_fault_decides() {
    let faults = Faults::default();
    let delay = Duration::from_millis(5);
    faults.add(Fault::everywhere(CallMode::LoseResponse).once());
    faults.add(Fault::service(Service::DynamoDb, CallMode::Delay(delay)).times(2));
    let later = faults.add(Fault::everywhere(CallMode::Fail));
    faults.add(Fault::everywhere(CallMode::Delay(delay)).once());
    let met = || faults.on_call(Service::DynamoDb, "PutItem", None, b"");
    let mode = Some(CallMode::LoseResponse);
    assert_eq!(
        met(),
        Met {
            delay: 2 * delay,
            mode
        }
    );
    assert_eq!(faults.applied(later), Some(0));
    let mode = Some(CallMode::Fail);
    assert_eq!(met(), Met { delay, mode });
    assert_eq!(
        met(),
        Met {
            delay: Duration::ZERO,
            mode
        }
    );
    assert_eq!(faults.clear(), 4);
    assert_eq!(met(), Met::default());
}

#[test]
fn a_mode_affects_only_operations_that_can_fail_so() {
    let faults = Faults::default();
    faults.add(Fault::service(Service::DynamoDb, CallMode::Conflict));
    faults.add(Fault::service(Service::Sqs, CallMode::FailPartially));
    let mode = |service, operation| faults.on_call(service, operation, None, b"").mode;
    assert_eq!(mode(Service::DynamoDb, "Query"), None);
    assert_eq!(
        mode(Service::DynamoDb, "UpdateItem"),
        Some(CallMode::Conflict)
    );
    assert_eq!(mode(Service::Sqs, "SendMessage"), None);
    let batch = mode(Service::Sqs, "SendMessageBatch");
    assert_eq!(batch, Some(CallMode::FailPartially));
    faults.add(Fault::service(Service::DynamoDb, CallMode::FailPartially));
    assert_eq!(mode(Service::DynamoDb, "BatchWriteItem"), None);
    let batch = mode(Service::DynamoDb, "BatchGetItem");
    assert_eq!(batch, Some(CallMode::FailPartially));
}

#[test]
fn a_kill_counts_the_functions_calls_and_then_starts_again() {
    let faults = Faults::default();
    faults.add(Fault::kill("delivery", Moment::Call(3)).times(2));
    assert_eq!(faults.on_call_of("zupy", b""), None);
    let killed = || faults.on_call_of("delivery", b"").is_some();
    let calls: Vec<bool> = (0..9).map(|_| killed()).collect();
    let (no, yes) = (false, true);
    assert_eq!(calls, [no, no, yes, no, no, yes, no, no, no]);
    faults.add(Fault::kill("delivery", Moment::AfterCall(1)));
    assert_eq!(faults.on_call_of("delivery", b""), Some(Kill::AfterTheCall));
    assert!(!faults.kill("delivery", Moment::Start));
    faults.add(Fault::kill("delivery", Moment::Start).once());
    assert!(faults.kill("delivery", Moment::Start));
    assert!(!faults.kill("delivery", Moment::Start));
}

#[test]
fn a_conflict_names_each_item_of_a_transaction() {
    let request = json!({"TransactItems": [{"Put": {}}, {"Update": {}}]});
    let body = answers::conflict("TransactWriteItems", &request);
    assert_eq!(body["CancellationReasons"].as_array().unwrap().len(), 2);
    let message = body["Message"].as_str().unwrap();
    assert!(message.ends_with("[TransactionConflict, TransactionConflict]"));
    let body = answers::conflict("PutItem", &json!({}));
    let kind = body["__type"].as_str().unwrap();
    assert!(kind.ends_with("#TransactionConflictException"), "{kind}");
}
