//! Checks that hold for every provider. A signed body is an event that keeps its promises, or of an
//! ignored type, or a list of problems. Nothing panics.

use std::collections::BTreeMap;

use domain::contents::content_hash;
use domain::event::Event;
use domain::message::QueueMessage;
use domain::provider::wire::{PROBLEMS_MAX, Problem};
use domain::provider::{Content, Provider, read_verified};
use domain::verify::{Scheme, Secrets, Verified};
use domain::waiting::Waiting;
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::event;
use crate::json;
use crate::message::assert_sqs_takes;

/// Signs the body as the provider does, with a secret that names a tenant and with one that does
/// not, and reads it. `particular` checks what holds for this provider alone.
pub(crate) fn check(
    scheme: &Scheme,
    provider: &impl Provider,
    body: &[u8],
    particular: impl Fn(&Verified<'_>, &Content),
) {
    for secrets in ["secret", "shop-1=secret"] {
        let secrets = Secrets::parse(secrets).expect("there is one");
        let (verified, signed_at) = sign(scheme, body, &secrets);
        let parsed = provider.parse(&verified);
        match &parsed.content {
            Content::Event(event) => {
                // Otherwise a signature would be good for ever.
                assert!(signed_at.or(parsed.sent_at).is_some(), "no time is signed");
                assert_eq!(event.provider, provider.name());
                event::check(event, body);
                waits_and_is_read_again(event, &verified);
                for respelled in respellings(body) {
                    let (verified, _) = sign(scheme, &respelled, &secrets);
                    let Content::Event(mut again) = provider.parse(&verified).content else {
                        panic!("no event: {}", String::from_utf8_lossy(&respelled));
                    };
                    // The event keeps the context exactly as spelled.
                    again.envelope.context = event.envelope.context.clone();
                    assert_eq!(again, *event);
                    assert_eq!(content_hash(&again), content_hash(event));
                }
            }
            Content::Ignored(_) => {}
            Content::Invalid(problems) => are_limited_and_quote_nothing(problems),
        }
        particular(&verified, &parsed.content);
    }
}

/// Signs a body and verifies it, which is the only way to a verified body.
fn sign<'a>(
    scheme: &Scheme,
    body: &'a [u8],
    secrets: &'a Secrets,
) -> (Verified<'a>, Option<Timestamp>) {
    let headers = scheme.sign(body, secrets.first(), Timestamp::UNIX_EPOCH);
    let headers = headers.into_iter().collect();
    let verified = scheme.verify(&headers, body, secrets);
    verified.expect("what was signed verifies")
}

/// While DynamoDB refuses an event, the event waits as a message. Reading it from there gives the
/// same event, as from the ledger.
fn waits_and_is_read_again(event: &Event, verified: &Verified<'_>) {
    let at = Timestamp::UNIX_EPOCH;
    let waiting = Waiting::new(&event.provider, event, verified, Some("Root=1-2-3"), at);
    let message = waiting.to_body();
    assert_sqs_takes(&message, verified.body().len());
    let read = Waiting::read(&message).expect("what is written reads back");
    assert_eq!(read, waiting);
    assert_eq!(read.key(), event.key.to_string());
    let body = read.body().expect("what is stored is not damaged");
    assert_eq!(body, verified.body());
    let content = read_verified(&read.provider, &read.verified(&body));
    assert!(
        matches!(&content, Some(Content::Event(again)) if **again == *event),
        "{content:?}"
    );
}

/// The body in other spellings: with white space around it, an unknown field, another order of
/// fields, or other forms of strings and numbers.
fn respellings(body: &[u8]) -> Vec<Vec<u8>> {
    let padded = [b" \n", body, b"\r\n\t"].concat();
    let end = body.iter().rposition(|&byte| byte == b'}');
    let (open, close) = body.split_at(end.expect("an event's body is an object"));
    let extended = [open, br#","x_unknown":[{"event":null}]"#, close].concat();
    let mut bodies = vec![padded, extended, json::respelled(body)];
    let fields = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(body);
    // Nobody reads a name that is not UTF-8.
    bodies.extend(
        fields
            .ok()
            .and_then(|fields| serde_json::to_vec(&fields).ok()),
    );
    bodies
}

/// The answer and the log list the problems, so they must be limited and quote nothing of the body.
fn are_limited_and_quote_nothing(problems: &[Problem]) {
    assert!((1..=PROBLEMS_MAX).contains(&problems.len()));
    for Problem { field, problem } in problems {
        let is_path = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.[]".contains(&byte)
        };
        assert!(!field.is_empty() && field.bytes().all(is_path), "{field}");
        let begins = ["is ", "must ", "has "]
            .iter()
            .any(|it| problem.starts_with(it));
        assert!(
            begins && problem.len() < 100 && problem.is_ascii(),
            "{problem}"
        );
    }
}
