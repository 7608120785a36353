//! The permissions of the functions' roles.

use emulators::template::{Function, Resources};

use super::{functions, template, template_with};

fn delivery_with(parameters: &[(&str, &str)]) -> Function {
    let functions = template_with(parameters).functions;
    let mut functions = functions.into_iter();
    functions
        .find(|function| function.name == "delivery")
        .unwrap()
}

const A_TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:any";

#[test]
fn no_function_has_a_permission_on_every_resource() {
    for (name, function) in functions() {
        assert!(!function.statements.is_empty(), "{name} has no role");
        for statement in &function.statements {
            let resources = match &statement.resources {
                Resources::These(resources) => resources,
                Resources::AllBut(_) => {
                    // Only phone numbers have no ARN, so the statement excludes everything that has
                    // one.
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

/// The ARN pattern is `arn:.*:phone-number-id/[0-9a-zA-Z]+`; the number's id has a prefix that the
/// ARN does not repeat.
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

/// SES checks the identity, the configuration set (the identity's default set, if none is named),
/// and in the sandbox the recipient's identity.
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

/// A read of dead letters hides them for a moment. So the dashboard may receive only from
/// dead-letter queues, and may read the attributes of all queues.
#[test]
fn the_dashboard_may_change_nothing() {
    let dashboard = &functions()["dashboard"];
    for statement in &dashboard.statements {
        for action in &statement.actions {
            let reads = [
                "dynamodb:BatchGetItem",
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "secretsmanager:GetSecretValue",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
            ];
            let may = action.starts_with("logs:") || reads.contains(&action.as_str());
            assert!(may, "{action}");
        }
    }
    for queue in template().queues {
        let name = &queue.name;
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{name}");
        let may = |action: &str| {
            let mut statements = dashboard.statements.iter();
            statements.any(|it| it.allows(action, &arn))
        };
        let is_dead_letter = name.ends_with("-dead-letter");
        assert!(may("sqs:GetQueueAttributes"), "{name}");
        assert_eq!(may("sqs:ReceiveMessage"), is_dead_letter, "{name}");
        let named = format!("{name}=http://127.0.0.1:4566/000000000000/{name}");
        let urls = &dashboard.environment["QUEUE_URLS"];
        let is_named = urls.split(',').any(|it| it == named);
        // No queue names the schedules' dead-letter queue as its own: EventBridge fills that one.
        let is_of_schedules = name.ends_with("-schedule-dead-letter");
        let is_expected = !is_dead_letter || is_of_schedules;
        assert_eq!(is_named, is_expected, "{name}: {urls}");
    }
}
