//! Holds the repository together: a name in one place exists in the others.

mod boundaries;
mod code;
mod cycles;
mod docs;
mod repository;
mod roles;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use emulators::template::{Function, Template};
use jiff::Timestamp;
use serde_json::Value;
use webhooks::dispatch;
use webhooks::event::EventKey;
use webhooks::provider::aghanim::{self, Aghanim};
use webhooks::provider::zupy::{self, Zupy};
use webhooks::provider::{Content, Provider};
use webhooks::survey;
use webhooks::task::{Message, Task, WorkMessage, tasks};
use webhooks::verify::Secrets;
use webhooks::worker::QueueMessage;

use crate::shop::root;

pub(crate) fn template() -> Template {
    template_with(&[])
}

/// The template with these parameters and the required ones.
fn template_with(others: &[(&str, &str)]) -> Template {
    let needed = [
        ("AghanimWebhookSecrets", "local-aghanim-secret"),
        ("ZupyWebhookSecrets", "local-zupy-secret"),
        ("MailFrom", "cupons@example.com"),
        ("MailIdentity", "example.com"),
    ];
    let parameters = needed
        .iter()
        .chain(others)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Template::read(&root().join("template.yaml"), &parameters, 4566).unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn functions() -> BTreeMap<String, Function> {
    let functions = template().functions.into_iter();
    functions
        .map(|function| (function.name.clone(), function))
        .collect()
}

/// The queue of a function has the function's name, except the queue that names no task.
fn queue_of(function: &str) -> &str {
    match function {
        "dispatch" => dispatch::WORK,
        task => task,
    }
}

fn pascal(name: &str) -> String {
    name.split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

/// Whether providers post to the function.
fn is_webhook(function: &Function) -> bool {
    let mut routes = function.routes.iter();
    routes.any(|route| route.path.starts_with("/webhooks/"))
}

fn event(function: &str) -> Value {
    serde_json::from_str(&read(format!("events/{function}.json"))).unwrap()
}

#[test]
fn every_function_is_a_folder_a_package_a_resource_and_a_sample() {
    let folders = names_in("functions");
    let declared: BTreeSet<_> = functions().into_keys().collect();
    assert_eq!(folders, declared, "functions/ and template.yaml");
    let samples: BTreeSet<_> = names_in("events")
        .into_iter()
        .filter_map(|file| Some(file.strip_suffix(".json")?.to_owned()))
        .filter(|name| name != "env")
        .collect();
    assert_eq!(folders, samples, "functions/ and events/");
    let architecture = read("ARCHITECTURE.md");
    for name in &folders {
        let manifest = read(format!("functions/{name}/Cargo.toml"));
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name}: package"
        );
        assert!(
            architecture.contains(&format!("`{name}`")),
            "{name}: ARCHITECTURE.md"
        );
    }
}

#[test]
fn a_functions_main_names_the_thing_and_starts_it() {
    for name in names_in("functions") {
        let main = read(format!("functions/{name}/src/main.rs"));
        let lines = main
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with("//"))
            .count();
        assert!(
            lines <= 12,
            "functions/{name}/src/main.rs has {lines} lines"
        );
        assert!(
            main.starts_with("//! "),
            "functions/{name} has no module docs"
        );
    }
}

#[test]
fn names_are_one_name_respelled() {
    for (name, function) in functions() {
        assert_eq!(function.logical_id, format!("{}Function", pascal(&name)));
        for source in &function.sources {
            assert_eq!(source.queue, queue_of(&name), "the queue of {name}");
        }
        for variable in function.environment.keys() {
            let Some(queue) = variable.strip_suffix("_QUEUE_URL") else {
                continue;
            };
            let queue = queue.to_lowercase().replace('_', "-");
            let url = &function.environment[variable];
            assert!(
                url.ends_with(&format!("/{queue}")),
                "{name}: {variable} is {url}"
            );
        }
    }
}

#[test]
fn every_queue_with_a_function_can_give_up_and_redrive() {
    let template = template();
    for function in &template.functions {
        for source in &function.sources {
            let queue = template.queues.iter().find(|q| q.name == source.queue);
            let queue = queue.unwrap();
            let redrive = queue.redrive.as_ref().expect("a dead-letter queue");
            assert_eq!(
                redrive.dead_letter_queue,
                format!("{}-dead-letter", queue.name)
            );
            assert!(source.reports_batch_item_failures, "{}", queue.name);
            assert!(
                queue.visibility_timeout_s >= 6 * function.timeout_s + source.batching_window_s,
                "{}: AWS asks for six times the function's timeout, and the batching window",
                queue.name
            );
        }
    }
}

#[test]
fn every_queue_with_a_function_has_an_alarm_for_messages_in_flight() {
    let template = read("template.yaml");
    for function in functions().into_values() {
        for source in &function.sources {
            let queue = &pascal(&source.queue);
            let dimension = format!("Value: !GetAtt {queue}Queue.QueueName");
            let alarm = format!("\n  {queue}InFlightAlarm:\n");
            let (_, alarm) = template.split_once(&alarm).expect(queue);
            assert!(
                alarm.lines().take(8).any(|line| line.contains(&dimension)),
                "{queue}"
            );
        }
    }
}

/// `sam deploy --guided` asks for a hidden parameter until a person types something. For a function
/// whose events have no `Auth`, it asks whether that is right, with "no" as the default answer.
#[test]
fn a_guided_deployment_accepts_every_default() {
    let template = read("template.yaml");
    let (_, parameters) = template.split_once("\nParameters:\n").unwrap();
    let (parameters, resources) = parameters.split_once("\nConditions:\n").unwrap();
    let mut parameters_of: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in parameters.split("\n  ") {
        match (line.strip_prefix("  "), parameters_of.last_mut()) {
            (Some(property), Some((_, properties))) => properties.push(property),
            _ => parameters_of.push((line, Vec::new())),
        }
    }
    let parameters = parameters_of;
    assert!(parameters.len() > 20, "{parameters:?}");
    for (name, properties) in &parameters {
        let has = |what: &str| properties.iter().any(|property| property.starts_with(what));
        assert!(
            !(has("NoEcho") && has("Default")),
            "{name} is hidden, but may be left empty"
        );
    }
    let (_, api) = resources.split_once("\n  Api:\n").unwrap();
    let api: Vec<_> = api
        .lines()
        .take_while(|line| line.starts_with("    "))
        .collect();
    assert!(
        api.iter().any(|line| line.trim().starts_with("Auth: ")),
        "{api:?}"
    );
}

#[test]
fn a_webhooks_sample_is_truly_signed_for_the_local_secrets() {
    for (name, function) in functions() {
        if !is_webhook(&function) {
            continue;
        }
        let event = event(&name);
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["rawPath"], function.routes[0].path.as_str());
        let headers = event["headers"].as_object().unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let body = event["body"].as_str().unwrap().as_bytes();
        let (scheme, secret) = match name.split('-').next() {
            Some("aghanim") => (aghanim::SCHEME, "local-aghanim-secret"),
            _ => (zupy::V1, "local-zupy-secret"),
        };
        let secrets = Secrets::parse(secret).unwrap();
        let (verified, _) = scheme.verify(&headers, body, &secrets).unwrap();
        let content = match name.split('-').next() {
            Some("aghanim") => Aghanim.parse(&verified).content,
            _ => Zupy::every_event().parse(&verified).content,
        };
        assert!(matches!(content, Content::Event(_)), "{name}: {content:?}");
    }
}

#[test]
fn a_task_is_known_to_dispatch_and_to_its_own_function_alone() {
    let queue_arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    for (name, function) in functions() {
        let may_send_to = |queue: &str| {
            let mut statements = function.statements.iter();
            statements.any(|it| it.allows("sqs:SendMessage", &queue_arn(queue)))
        };
        let has = |variable: &str| function.environment.contains_key(variable);
        for task in Task::ALL {
            let is_dispatch = name == "dispatch";
            let knows = is_dispatch || name == task.name();
            let variable = task.queue_variable();
            assert_eq!(has(variable), knows, "{name}: {variable}");
            assert_eq!(may_send_to(task.name()), is_dispatch, "{name}: {task:?}");
        }
        let receives = is_webhook(&function) || ["retry", "outbox"].contains(&name.as_str());
        assert_eq!(may_send_to(dispatch::WORK), receives, "{name}");
        let knows = receives || name == "dispatch";
        assert_eq!(has("WORK_QUEUE_URL"), knows, "{name}");
    }
}

#[test]
fn the_reports_sample_asks_for_a_route_with_the_local_token() {
    let (reports, event) = (&functions()["reports"], event("reports"));
    assert_eq!(event["routeKey"], format!("GET {}", reports.routes[0].path));
    assert_eq!(event["rawPath"], "/reports/coupons");
    let token = &event["headers"]["authorization"];
    assert_eq!(token, "Bearer local-report-token");
}

/// The sample opens the survey of the sample's use.
#[test]
fn the_questionnaires_sample_has_a_token_of_the_local_secret() {
    let (questionnaire, event) = (&functions()["questionnaire"], event("questionnaire"));
    let route = format!("GET {}", questionnaire.routes[0].path);
    assert_eq!(event["routeKey"], route);
    let path = event["rawPath"].as_str().unwrap();
    let token = path.strip_prefix("/surveys/").unwrap();
    let secrets = Secrets::parse("local-survey-secret").unwrap();
    let id = survey::open(&secrets, token, Timestamp::now());
    let use_ = EventKey::used("zupy", "comp_bella_vista", "CP-A1B2C3D4", "ord_POS_789");
    assert_eq!(id, Some(survey::id(&use_)));
}

/// The role has read permissions only, also after later changes.
#[test]
fn reports_may_write_nothing() {
    for statement in &functions()["reports"].statements {
        for action in &statement.actions {
            let reads = [
                "dynamodb:BatchGetItem",
                "dynamodb:GetItem",
                "dynamodb:Query",
                "secretsmanager:GetSecretValue",
            ];
            let may = action.starts_with("logs:") || reads.contains(&action.as_str());
            assert!(may, "{action}");
        }
    }
}

#[test]
fn copies_of_a_sample_are_equal() {
    let samples = names_in("events/samples");
    for name in functions().into_keys() {
        if !samples.contains(&format!("{name}.json")) {
            continue;
        }
        let sample = read(format!("events/samples/{name}.json"));
        assert_eq!(event(&name)["body"], sample.as_str(), "{name}");
    }
}

#[test]
fn the_webhooks_samples_cause_the_tasks_samples() {
    for (task, webhook) in [
        ("delivery", "zupy-coupon-redeemed"),
        ("inventory", "zupy-coupon-used"),
        ("fraud", "zupy-coupon-used"),
        ("analytics", "zupy-coupon-used"),
        ("surveys", "zupy-coupon-used"),
    ] {
        let sample = event(task);
        let record = &sample["Records"][0];
        let body = record["body"].as_str().unwrap();
        let message = Message::read(body).unwrap();
        assert_eq!(
            message.to_body(),
            body,
            "{task}: today's code writes another sample"
        );
        let webhook = read(format!("events/samples/{webhook}.json"));
        let secrets = Secrets::parse("local-zupy-secret").unwrap();
        let at = message.received_at;
        let headers = zupy::V1.sign(webhook.as_bytes(), secrets.first(), at);
        let headers = headers.into_iter().collect();
        let (verified, _) = zupy::V1
            .verify(&headers, webhook.as_bytes(), &secrets)
            .unwrap();
        let Content::Event(event) = Zupy::every_event().parse(&verified).content else {
            panic!("the sample is no event");
        };
        let mut expected = *event;
        // The receiver sets the time of receipt.
        expected.received_at = message.event.received_at;
        assert_eq!(*message.event, expected, "{task}");
    }
}

#[test]
fn the_webhooks_sample_causes_the_sample_of_dispatch() {
    let body = |function: &str| event(function)["Records"][0]["body"].clone();
    let sample = body("dispatch");
    let sample = sample.as_str().unwrap();
    let work = WorkMessage::read(sample).unwrap();
    assert_eq!(body("delivery"), work.message.as_str());
    let message = Message::read(&work.message).unwrap();
    let expected = WorkMessage::new(&message, tasks(&message.event));
    assert_eq!(work, expected);
    assert_eq!(
        expected.into_body(),
        sample,
        "today's code writes another sample"
    );
}

#[test]
fn the_samples_environment_sets_what_the_template_declares() {
    let environment: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(&read("events/env.json")).unwrap();
    for (name, function) in functions() {
        let set = &environment[&function.logical_id];
        let set: BTreeSet<_> = set.keys().collect();
        let declared: BTreeSet<_> = function.environment.keys().collect();
        assert_eq!(set, declared, "{name}");
        let number = |name: &str| -> Option<u64> {
            environment[&function.logical_id].get(name)?.parse().ok()
        };
        if let Some(max_age_s) = number("MAX_AGE_S") {
            let retention_s = number("RETENTION_DAYS").unwrap() * 24 * 3600;
            assert!(retention_s > max_age_s, "{name} would not start");
        }
    }
    assert_eq!(environment.len(), functions().len());
}

/// `cargo lambda watch --env-file` gives every function the same variables.
#[test]
fn the_environment_for_cargo_lambda_is_that_of_the_samples() {
    let own: BTreeMap<String, String> = read("events/local.env")
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let environment: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(&read("events/env.json")).unwrap();
    let mut expected = BTreeMap::from(
        [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for (name, value) in environment.into_values().flatten() {
        // cargo-lambda reads an empty value as not set, and cannot read a name before an address.
        let value = match name.as_str() {
            "WEBHOOK_SECRET_ID" => "zupy-secrets".to_owned(),
            "MAIL_FROM" => "cupons@example.com".to_owned(),
            _ => value.replace("172.17.0.1", "127.0.0.1"),
        };
        if !value.is_empty() {
            expected.insert(name, value);
        }
    }
    assert_eq!(own, expected);
}

/// A variable that the benchmark does not set would end the measured function at its start.
#[test]
fn the_benchmark_sets_what_the_template_declares() {
    let peers: Vec<serde_json::Value> = serde_json::from_str(&read("bench/peers.json")).unwrap();
    let ours = peers.iter().find(|peer| peer["name"] == "ours").unwrap();
    let set = ours["env"].as_object().unwrap();
    let functions = functions();
    // The harness itself names the endpoint.
    let declared = functions["zupy-coupon-redeemed"].environment.keys();
    let mut declared = declared.filter(|name| *name != "AWS_ENDPOINT_URL");
    let missing = declared.find(|name| !set.contains_key(*name));
    assert_eq!(missing, None, "bench/peers.json");
}

/// After an outage of weeks a provider still sends delayed webhooks, dated as they happened.
#[test]
fn a_signature_may_be_thirty_days_old_and_expires_before_its_event() {
    for (name, function) in functions() {
        let days = |variable: &str, seconds: i64| -> Option<i64> {
            let number: i64 = function.environment.get(variable)?.parse().unwrap();
            Some(number * seconds)
        };
        let Some(max_age_s) = days("MAX_AGE_S", 1) else {
            continue;
        };
        assert_eq!(max_age_s, 30 * 24 * 3600, "{name}");
        let accepted_s = max_age_s + days("MAX_FUTURE_S", 1).unwrap();
        assert!(days("RETENTION_DAYS", 24 * 3600).unwrap() > accepted_s);
    }
}
