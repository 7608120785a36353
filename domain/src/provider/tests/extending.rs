//! The provider that `docs/extending.md` adds: the page's own code, compiled and run.

use jiff::Timestamp;
use serde_json::json;

use super::acme::Acme;
use crate::provider::{Content, Provider};
use crate::verify::{STANDARD_WEBHOOKS, Secrets};

const PAGE: &str = include_str!("../../../../docs/extending.md");
const CODE: &str = include_str!("acme.rs");

fn read(body: &serde_json::Value) -> Content {
    let body = body.to_string();
    let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let at = Timestamp::UNIX_EPOCH;
    let headers = STANDARD_WEBHOOKS.sign(body.as_bytes(), secrets.first(), at);
    let headers = headers.into_iter().collect();
    let verified = Acme.schemes()[0].verify(&headers, body.as_bytes(), &secrets);
    let (verified, _) = verified.unwrap();
    Acme.parse(&verified).content
}

#[test]
fn the_page_shows_the_code_that_is_tested_here() {
    assert!(PAGE.contains(&format!("```rust\n{CODE}```")));
}

#[test]
fn the_pages_provider_reads_its_webhook_and_lists_all_problems() {
    let mut body = json!({
        "type": "voucher.issued", "shop": "north", "member": "m-1", "voucher": "V-1",
        "title": "Coffee", "issued_at": "2026-11-22T10:00:00Z",
    });
    let Content::Event(event) = read(&body) else {
        panic!("no event");
    };
    assert_eq!(event.key.to_string(), "acme#north#V-1/redeemed");

    body["shop"] = json!(7);
    body["member"] = json!(null);
    let Content::Invalid(problems) = read(&body) else {
        panic!("no problems");
    };
    let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["shop", "member"]);

    body["type"] = json!("voucher.lost");
    assert!(matches!(read(&body), Content::Ignored(_)));
}
