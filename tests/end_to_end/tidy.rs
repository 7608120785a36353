//! Holds the repository together: what is named in one place is there in the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use local::template::{Function, Resources, Template};
use serde_json::Value;
use webhooks::provider::aghanim::{self, Aghanim};
use webhooks::provider::zupy::{self, Zupy};
use webhooks::provider::{Content, Provider, RecordedBody, read_recorded};
use webhooks::task::{Message, tasks};
use webhooks::verify::Secrets;
use webhooks::worker::QueueMessage;

use crate::shop::root;

fn template() -> Template {
    template_with(&[])
}

/// The template with these parameters besides those that it cannot do without.
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

fn delivery_with(parameters: &[(&str, &str)]) -> Function {
    let functions = template_with(parameters).functions;
    let mut functions = functions.into_iter();
    functions
        .find(|function| function.name == "delivery")
        .unwrap()
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
            "functions/{name} does not say what it is for"
        );
    }
}

#[test]
fn names_are_one_name_respelled() {
    let pascal = |name: &str| -> String {
        name.split('-')
            .map(|word| word[..1].to_uppercase() + &word[1..])
            .collect()
    };
    for (name, function) in functions() {
        assert_eq!(function.logical_id, format!("{}Function", pascal(&name)));
        for source in &function.sources {
            assert_eq!(source.queue, name, "the queue of {name}");
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
fn every_queue_that_is_worked_on_can_give_up_and_give_back() {
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
fn every_queue_that_is_worked_on_has_an_alarm_for_messages_in_flight() {
    let template = read("template.yaml");
    for function in functions().into_values() {
        for _ in &function.sources {
            let queue = function.logical_id.strip_suffix("Function").unwrap();
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

const A_TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:any";

#[test]
fn a_function_may_do_nothing_to_everything() {
    for (name, function) in functions() {
        assert!(!function.statements.is_empty(), "{name} has no role");
        for statement in &function.statements {
            let resources = match &statement.resources {
                Resources::These(resources) => resources,
                Resources::AllBut(_) => {
                    // Phone numbers alone have no ARN, and are named by what they are not.
                    assert_eq!(statement.actions, ["sns:Publish"], "{name}");
                    assert!(!statement.allows("sns:Publish", A_TOPIC), "{name}");
                    continue;
                }
            };
            for word in statement.actions.iter().chain(resources) {
                let open =
                    word == "*" || word.ends_with(":*") && !word.starts_with("arn:aws:logs:");
                assert!(!open, "{name}: {word}");
            }
        }
    }
}

/// The ARN pattern is `arn:.*:phone-number-id/[0-9a-zA-Z]+`; the number's id has a prefix that the ARN does not repeat.
#[test]
fn delivery_may_send_from_its_own_whatsapp_number() {
    let delivery = delivery_with(&[("WhatsAppPhoneNumberId", "phone-number-id-0a1b")]);
    let may_send_from = |id: &str| {
        let arn = format!("arn:aws:social-messaging:us-east-1:000000000000:phone-number-id/{id}");
        let mut statements = delivery.statements.iter();
        statements.any(|it| it.allows("social-messaging:SendWhatsAppMessage", &arn))
    };
    assert!(may_send_from("0a1b"));
    assert!(!may_send_from("phone-number-id-0a1b"));
    assert!(!may_send_from("0a1c"));
}

/// SES asks for the identity, for the configuration set (the identity's default one, if none is named), and in the
/// sandbox for the recipient's identity.
#[test]
fn delivery_may_send_mail_from_its_own_identity_only() {
    let identity = |name: &str| format!("arn:aws:ses:us-east-1:000000000000:identity/{name}");
    let set = |name: &str| format!("arn:aws:ses:us-east-1:000000000000:configuration-set/{name}");
    let may_send = |function: &Function, resource: &str, from: &str| {
        let context = [("ses:FromAddress", from)];
        let mut statements = function.statements.iter();
        statements.any(|it| it.allows_when("ses:SendEmail", resource, &context))
    };
    let unnamed = delivery_with(&[]);
    let (ours, theirs) = ("cupons@example.com", "cupons@example.org");
    assert!(may_send(&unnamed, &identity("example.com"), ours));
    assert!(may_send(&unnamed, &set("the-identitys-default"), ours));
    assert!(may_send(&unnamed, &identity("maria@example.net"), ours));
    assert!(may_send(
        &unnamed,
        &identity("maria@example.net"),
        "a@news.example.com"
    ));
    assert!(!may_send(&unnamed, &identity("example.org"), theirs));
    assert!(!may_send(
        &unnamed,
        &identity("example.org"),
        "a@badexample.com"
    ));
    let named = delivery_with(&[("MailConfigurationSet", "tracked")]);
    assert!(may_send(&named, &set("tracked"), ours));
    assert!(!may_send(&named, &set("other"), ours));
    let of_address = delivery_with(&[("MailIdentity", ours)]);
    assert!(may_send(&of_address, &identity("maria@example.net"), ours));
    assert!(!may_send(
        &of_address,
        &identity("maria@example.net"),
        "x@example.com"
    ));
}

/// `sam deploy --guided` asks for a hidden parameter until something is typed, and for a function whose events have no
/// `Auth` whether that is right, with "no" as the default answer.
#[test]
fn a_guided_deployment_goes_on_where_a_default_is_taken() {
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
            "{name} is hidden, and may be left empty"
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
        if function.routes.is_empty() {
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
fn a_webhook_can_send_to_every_task_that_its_sample_causes() {
    for (name, function) in functions() {
        if function.routes.is_empty() {
            continue;
        }
        let body = event(&name)["body"].as_str().unwrap().to_owned();
        let provider = name.split('-').next().unwrap_or_default();
        let recorded = RecordedBody {
            provider,
            scheme: "",
            tenant: "",
            body: &body,
        };
        let Some(Content::Event(event)) = read_recorded(&recorded) else {
            panic!("{name}: its sample is no event");
        };
        for task in tasks(&event) {
            let variable = task.queue_variable();
            assert!(
                function.environment.contains_key(variable),
                "{name}: {variable}"
            );
            let queue = format!("arn:aws:sqs:us-east-1:000000000000:{}", task.name());
            let mut statements = function.statements.iter();
            assert!(
                statements.any(|it| it.allows("sqs:SendMessage", &queue)),
                "{name}: {queue}"
            );
        }
    }
}

#[test]
fn samples_are_the_same_wherever_they_stand() {
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
fn the_tasks_samples_are_what_the_webhooks_samples_cause() {
    for (task, webhook) in [
        ("delivery", "zupy-coupon-redeemed"),
        ("inventory", "zupy-coupon-used"),
        ("fraud", "zupy-coupon-used"),
    ] {
        let sample = event(task);
        let record = &sample["Records"][0];
        let body = record["body"].as_str().unwrap();
        let message = Message::read(body).unwrap();
        assert_eq!(
            message.to_body(),
            body,
            "{task}: not as it is written today"
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
        // The receiver says when it received the event.
        expected.received_at = message.event.received_at;
        assert_eq!(*message.event, expected, "{task}");
    }
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
        // cargo-lambda reads neither an empty value, which counts as not set, nor a name before an address.
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

/// After an outage of weeks a provider still sends what it could not send before, dated as it happened.
#[test]
fn a_signature_may_be_thirty_days_old_and_is_forgotten_later() {
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

/// cargo-lambda sets what the profile leaves open, and it chooses `abort`. `tests/built` runs a function that it built.
#[test]
fn what_is_deployed_unwinds_from_a_panic() {
    let manifest = read("Cargo.toml");
    let (_, release) = manifest.split_once("\n[profile.release]\n").unwrap();
    let settings = release.lines().take_while(|line| !line.starts_with('['));
    let panic: Vec<_> = settings.filter(|line| line.starts_with("panic")).collect();
    assert_eq!(panic, ["panic = \"unwind\""]);
}

/// `cargo lambda build`, `watch` and `sam build` find only the binaries of default members.
#[test]
fn every_function_can_be_built_at_the_root() {
    let manifest = read("Cargo.toml");
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("default-members = "))
        .unwrap();
    assert_eq!(members, r#"["cli", "functions/*"]"#);
    assert!(read("cli/Cargo.toml").contains("\ndefault-run = \"coupons\"\n"));
}

#[test]
fn versions_stand_only_in_the_workspace_table() {
    let crates = names_in("functions")
        .into_iter()
        .map(|name| format!("functions/{name}"));
    let others = [
        "lib",
        "local",
        "cli",
        "simulation",
        "tests",
        "bench",
        "fuzz/checks",
    ];
    for package in crates.chain(others.map(str::to_owned)) {
        let manifest = read(format!("{package}/Cargo.toml"));
        let (_, dependencies) = manifest.split_once("dependencies]").unwrap();
        for line in dependencies.lines().filter(|line| line.contains('=')) {
            assert!(!line.contains("version ="), "{package}: {line}");
            let value = line.split_once("= \"").map(|(_, value)| value);
            let is_version = |value: &str| value.starts_with(|c: char| c.is_ascii_digit());
            assert!(!value.is_some_and(is_version), "{package}: {line}");
        }
    }
}

#[test]
fn every_fuzz_target_has_a_check_a_description_and_a_small_corpus() {
    let targets: BTreeSet<_> = names_in("fuzz/fuzz_targets")
        .into_iter()
        .map(|file| file.strip_suffix(".rs").unwrap().to_owned())
        .collect();
    assert_eq!(names_in("fuzz/corpus"), targets, "fuzz/corpus/");
    let manifest = read("fuzz/Cargo.toml");
    let checks = read("fuzz/checks/src/lib.rs");
    let description = read("docs/fuzzing.md");
    for name in &targets {
        let path = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&path), "{name}: fuzz/Cargo.toml");
        let replayed = format!("(\"{name}\", {}::check)", name.replace('-', "_"));
        assert!(checks.contains(&replayed), "{name}: fuzz/checks");
        let row = format!("| `{name}` |");
        assert!(description.contains(&row), "{name}: docs/fuzzing.md");

        let inputs = fs::read_dir(root().join("fuzz/corpus").join(name)).unwrap();
        let sizes: Vec<_> = inputs
            .map(|input| input.unwrap().metadata().unwrap().len())
            .collect();
        let (count, bytes) = (sizes.len(), sizes.iter().sum::<u64>());
        assert!((1..=100).contains(&count), "{name}: {count} inputs");
        assert!(bytes <= 200_000, "{name}: {bytes} bytes");
    }
}

#[test]
fn every_mistake_that_the_simulation_catches_can_still_be_made() {
    let record = read("docs/adr/0009-simulation.md");
    let files = names_in("simulation/bugs").into_iter();
    let patches: Vec<_> = files.filter(|name| name != "run").collect();
    assert!(patches.len() >= 3, "{patches:?}");
    for patch in patches {
        let checked = Command::new("git")
            .args(["apply", "--check"])
            .arg(root().join("simulation/bugs").join(&patch))
            .current_dir(root())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{patch}: {said}");
        let name = patch.strip_suffix(".patch").unwrap();
        let row = format!("| `{name}`: ");
        assert!(record.contains(&row), "{name}: docs/adr/0009-simulation.md");
    }
}

/// The fuzz targets have a lock file of their own. Mend it by copying the other over it, then building a target.
#[test]
fn what_is_fuzzed_is_what_is_built() {
    let versions = |lock: &str| -> BTreeMap<String, BTreeSet<String>> {
        let mut versions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for package in read(lock).split("[[package]]").skip(1) {
            let mut values = package.lines().filter_map(|line| line.split('"').nth(1));
            let (name, version) = (values.next().unwrap(), values.next().unwrap());
            let all = versions.entry(name.to_owned()).or_default();
            all.insert(version.to_owned());
        }
        versions
    };
    let built = versions("Cargo.lock");
    for (name, fuzzed) in versions("fuzz/Cargo.lock") {
        if let Some(built) = built.get(&name) {
            assert!(fuzzed.is_subset(built), "{name}: {fuzzed:?}, not {built:?}");
        }
    }
}

#[test]
fn the_architecture_is_short_enough_to_be_read() {
    let words = read("ARCHITECTURE.md").split_whitespace().count();
    assert!(words < 1500, "{words} words");
}
