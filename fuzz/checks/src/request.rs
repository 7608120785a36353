//! Checks of gateway events: reading any JSON never panics, and agrees with a simple reader. A
//! signed request reaches the verifier unchanged, in each format.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::headers::Headers;
use domain::provider::aghanim::Aghanim;
use domain::provider::zupy::Zupy;
use domain::provider::{Provider, SCHEMES};
use domain::verify::{Secrets, verify};
use jiff::Timestamp;
use request::{Body, Request};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, from_value, json};

/// The secrets that sign the samples.
const SECRETS: &str = "local-aghanim-secret,local-zupy-secret";

pub fn check(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<&RawValue>(data) else {
        return;
    };
    let request = Request::read(event);
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        reads_as_a_plain_reader(&request, &value);
    }
    let Body::Bytes(body) = &request.body else {
        return;
    };
    as_the_pipeline(&request.headers, body, &Aghanim);
    as_the_pipeline(&request.headers, body, &Zupy::every_event());
    passes_in_every_format(body);
}

/// Verifies and parses, as a webhook function does.
fn as_the_pipeline(headers: &Headers<'_>, body: &[u8], provider: &impl Provider) {
    let secrets = Secrets::parse(SECRETS).expect("there are two");
    if let Ok((verified, _)) = verify(provider.schemes(), headers, body, &secrets) {
        assert_eq!(verified.body(), body);
        provider.parse(&verified);
    }
}

/// Compares the request with what `serde_json::Value` reads from the event. `Value` does not notice
/// a repeated field, which gives an empty request.
fn reads_as_a_plain_reader(request: &Request, event: &Value) {
    let Some(event) = event.as_object() else {
        return;
    };
    let read = |prefers: Prefers| Plain::read(event, prefers);
    let candidates = [read(Prefers::Several), read(Prefers::Single)];
    let mut candidates = candidates.into_iter().flatten();
    assert!(Plain::empty().is(request) || candidates.any(|plain| plain.is(request)));
}

/// Where an event has headers in both forms, its payload format decides which of them count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefers {
    Several,
    Single,
}

/// Headers that make the URL and the cookies. No webhook reads them.
const UNREAD: [&str; 2] = ["host", "cookie"];

/// A request, read without regard to speed.
struct Plain {
    /// By name, in lower case.
    headers: BTreeMap<String, Vec<String>>,
    /// `None` if the body should be base64 and is not.
    body: Option<Vec<u8>>,
}

impl Plain {
    fn empty() -> Self {
        Self {
            headers: BTreeMap::new(),
            body: Some(Vec::new()),
        }
    }

    /// `None` if a field has another type.
    fn read(event: &Map<String, Value>, prefers: Prefers) -> Option<Self> {
        let field = |name: &str| event.get(name).cloned().unwrap_or_default();
        let single: Option<BTreeMap<String, String>> = from_value(field("headers")).ok()?;
        let several: Option<BTreeMap<String, Vec<String>>> =
            from_value(field("multiValueHeaders")).ok()?;
        let body: Option<String> = from_value(field("body")).ok()?;
        let is_base64: Option<bool> = from_value(field("isBase64Encoded")).ok()?;

        let single = single.unwrap_or_default().into_iter();
        let single = single.map(|(name, value)| (name, vec![value])).collect();
        let several = several.filter(|it| !it.is_empty() && prefers == Prefers::Several);
        let all = several.unwrap_or(single);
        let mut headers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, values) in all {
            let name = name.to_ascii_lowercase();
            if UNREAD.contains(&name.as_str()) {
                continue;
            }
            headers.entry(name).or_default().extend(values);
        }
        let body = body.unwrap_or_default();
        let body = match is_base64 {
            Some(true) => STANDARD.decode(body).ok(),
            _ => Some(body.into_bytes()),
        };
        Some(Self { headers, body })
    }

    fn is(&self, request: &Request) -> bool {
        let same_body = match (&request.body, &self.body) {
            (Body::Bytes(bytes), Some(plain)) => bytes == plain,
            (Body::Undecodable, None) => true,
            _ => false,
        };
        let same_headers = self.headers.iter().all(|(name, values)| {
            let mut found: Vec<_> = request.headers.values(name).collect();
            let pieces = values.iter().flat_map(|value| value.split(','));
            let mut plain: Vec<_> = pieces.map(str::trim).filter(|it| !it.is_empty()).collect();
            found.sort_unstable();
            plain.sort_unstable();
            found == plain
        });
        same_body && same_headers
    }
}

/// Signs the body, and passes it in each form that a gateway may use.
fn passes_in_every_format(body: &[u8]) {
    let secrets = Secrets::parse(SECRETS).expect("there are two");
    for scheme in SCHEMES {
        let signed = scheme.sign(body, secrets.first(), Timestamp::UNIX_EPOCH);
        let one_each: BTreeMap<_, _> = signed.iter().map(|(name, value)| (name, value)).collect();
        let several = |(name, value): &(&'static str, String)| (*name, vec![value.clone(); 2]);
        let several_each: BTreeMap<_, _> = signed.iter().map(several).collect();
        let joined = |(name, value): &(&'static str, String)| (*name, format!("{value},{value}"));
        let joined: BTreeMap<_, _> = signed.iter().map(joined).collect();

        let encoded = STANDARD.encode(body);
        let (v2, v1) = (
            json!({"http": {"method": "POST"}}),
            json!({"httpMethod": "POST"}),
        );
        let mut events = vec![
            json!({"version": "2.0", "requestContext": v2, "headers": joined, "body": encoded, "isBase64Encoded": true}),
            json!({"httpMethod": "POST", "requestContext": v1, "headers": one_each, "multiValueHeaders": several_each, "body": encoded, "isBase64Encoded": true}),
        ];
        if let Ok(text) = std::str::from_utf8(body) {
            events.push(json!({"version": "2.0", "requestContext": v2, "headers": one_each, "body": text, "isBase64Encoded": false}));
        }
        for event in events {
            let event = to_raw_value(&event).expect("it is JSON");
            let request = Request::read(&event);
            assert_eq!(request.body, Body::Bytes(body.to_vec()));
            let verified = scheme.verify(&request.headers, body, &secrets);
            assert!(verified.is_ok(), "{}: {verified:?}", scheme.name);
        }
    }
}
