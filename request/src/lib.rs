//! The request in an event of API Gateway or of a function URL: its headers, and its body's bytes.
//!
//! `lambda_http` reads the event, but panics over some events and cannot read others. Such an event
//! becomes a request without a signature, because a function error would become a 500. See
//! `docs/adr/0032-lambda-http-inside-a-guard.md`.

#![warn(clippy::missing_errors_doc, missing_docs)]

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use domain::headers::Headers;
use lambda_http::http::header::HOST;
use lambda_http::request::LambdaRequest;
use serde_json::value::RawValue;

/// A request as it reached the gateway.
#[derive(Debug)]
pub struct Request {
    /// The headers whose values are UTF-8.
    pub headers: Headers<'static>,
    /// The body without the gateway's base64.
    pub body: Body,
}

/// The body's bytes, as the sender sent them.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// Any bytes, perhaps compressed. The signature covers exactly these bytes.
    Bytes(Vec<u8>),
    /// The event says base64, but the body is not.
    Undecodable,
}

impl Request {
    /// Reads an event of payload format 2.0 (HTTP API, function URL) or 1.0 (REST API).
    /// An event that is neither has no headers and no body, so it is refused as unsigned.
    pub fn read(event: &RawValue) -> Self {
        match catch_unwind(AssertUnwindSafe(|| read_by_lambda_http(event))) {
            Ok(Some(request)) => request,
            Ok(None) => Self {
                headers: Headers::default(),
                body: Body::Bytes(Vec::new()),
            },
            // In the rest of the event, only base64 makes `lambda_http` panic.
            Err(_) => Self {
                headers: Headers::default(),
                body: Body::Undecodable,
            },
        }
    }
}

fn read_by_lambda_http(event: &RawValue) -> Option<Request> {
    let mut event: LambdaRequest = serde_json::from_str(event.get()).ok()?;
    // A webhook needs no URL. Parts that would make an unreadable URL are removed.
    match &mut event {
        LambdaRequest::ApiGatewayV2(event) => {
            event.headers.remove(HOST);
            event.raw_path = None;
            event.raw_query_string = None;
            event.request_context.stage = None;
            event.request_context.domain_name = None;
        }
        LambdaRequest::ApiGatewayV1(event) => {
            // For a repeated header, `lambda_http` would keep only the single value.
            if !event.multi_value_headers.is_empty() {
                event.headers.clear();
            }
            event.headers.remove(HOST);
            event.path = None;
            event.query_string_parameters = Default::default();
            event.multi_value_query_string_parameters = Default::default();
            event.request_context.stage = None;
            event.request_context.domain_name = None;
        }
        _ => return None,
    }
    let (parts, body) = lambda_http::Request::from(event).into_parts();
    let body = match body {
        lambda_http::Body::Empty => Vec::new(),
        lambda_http::Body::Text(text) => text.into_bytes(),
        lambda_http::Body::Binary(bytes) => bytes,
        _ => return None,
    };
    Some(Request {
        headers: Headers::from(&parts.headers),
        body: Body::Bytes(body),
    })
}

impl Request {
    /// Whether the body is compressed. A header alone is no proof: a gateway that decompresses a
    /// body may leave the header there.
    pub fn is_compressed(&self) -> bool {
        let Body::Bytes(bytes) = &self.body else {
            return false;
        };
        let mut codings = self.headers.values("content-encoding");
        let is_said = codings.any(|coding| !coding.eq_ignore_ascii_case("identity"));
        is_magic(bytes) || (is_said && !bytes.is_empty() && !is_json_object(bytes))
    }
}

/// The first bytes of gzip (RFC 1952), zstd (RFC 8878) and zlib (RFC 1950). No text begins like
/// this.
fn is_magic(bytes: &[u8]) -> bool {
    let magic: [&[u8]; 4] = [b"\x1F\x8B", b"\x28\xB5\x2F\xFD", b"\x78\x9C", b"\x78\xDA"];
    magic.iter().any(|magic| bytes.starts_with(magic))
}

fn is_json_object(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes);
    text.trim_ascii_start().starts_with(b"{") && std::str::from_utf8(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;

    /// The fewest fields that make an event of a payload format.
    fn v2(parts: Value) -> Value {
        with(
            parts,
            json!({"version": "2.0", "requestContext": {"http": {"method": "POST"}}}),
        )
    }

    fn v1(parts: Value) -> Value {
        with(
            parts,
            json!({"httpMethod": "POST", "requestContext": {"httpMethod": "POST"}}),
        )
    }

    fn with(mut parts: Value, least: Value) -> Value {
        let all = parts.as_object_mut().unwrap();
        all.extend(least.as_object().unwrap().clone());
        parts
    }

    fn check(event: Value, headers: &[(&str, &[&str])], body: &Body) {
        let raw = to_raw_value(&event).unwrap();
        let request = Request::read(&raw);
        assert_eq!(&request.body, body, "{event}");
        for (name, values) in headers {
            let found: Vec<_> = request.headers.values(name).collect();
            assert_eq!(&found, values, "{name}");
        }
    }

    fn bytes(bytes: &[u8]) -> Body {
        Body::Bytes(bytes.to_vec())
    }

    #[test]
    fn reads_payload_2_0_with_joined_headers() {
        check(
            v2(json!({
                "headers": {"x-a": "1,2", "x-b": "é"},
                "body": "{\"a\": \"é\"}",
                "isBase64Encoded": false,
            })),
            &[("X-A", &["1", "2"]), ("x-b", &["é"]), ("x-c", &[])],
            &bytes("{\"a\": \"é\"}".as_bytes()),
        );
    }

    #[test]
    fn reads_payload_1_0_with_all_values() {
        check(
            v1(json!({
                "headers": {"X-A": "2"},
                "multiValueHeaders": {"X-A": ["1", "2"]},
                "body": "x",
                "isBase64Encoded": false,
            })),
            &[("x-a", &["1", "2"])],
            &bytes(b"x"),
        );
        check(
            v1(json!({"headers": {"X-A": "2"}, "multiValueHeaders": null, "body": null})),
            &[("x-a", &["2"])],
            &bytes(b""),
        );
    }

    #[test]
    fn decodes_base64_to_any_bytes() {
        for event in [v2, v1] {
            let body = |body: &str| event(json!({"body": body, "isBase64Encoded": true}));
            check(body("/wB7"), &[], &bytes(b"\xff\0{"));
            check(body("not base64!"), &[], &Body::Undecodable);
        }
    }

    #[test]
    fn an_odd_url_loses_no_signature() {
        let headers = |odd: &str| json!({"host": odd, "x-forwarded-proto": odd, "x-a": "1"});
        for odd in ["", "a b", "[", "exa mple:99999"] {
            let events = [
                v2(json!({
                    "headers": headers(odd), "body": "x", "isBase64Encoded": false,
                    "rawPath": "/a b\u{0}%", "rawQueryString": "x=é ^",
                    "queryStringParameters": {"x": "é ^"},
                })),
                v1(json!({
                    "headers": headers(odd), "body": "x", "isBase64Encoded": false,
                    "path": "/a b\u{0}%", "queryStringParameters": {"x": "é ^"},
                    "multiValueQueryStringParameters": {"x": ["é ^"]},
                })),
            ];
            for event in events {
                check(event, &[("x-a", &["1"])], &bytes(b"x"));
            }
        }
    }

    #[test]
    fn a_compressed_body_is_known_by_its_header_or_by_its_bytes() {
        let check = |coding: Option<&'static str>, bytes: &[u8], expected: bool| {
            let headers = coding.map(|coding| ("Content-Encoding", coding));
            let request = Request {
                headers: headers.into_iter().collect(),
                body: Body::Bytes(bytes.to_vec()),
            };
            assert_eq!(request.is_compressed(), expected, "{coding:?} {bytes:x?}");
        };
        let brotli = b"\x0b\x02\x80{}\x03";
        for coding in ["gzip", "GZIP", "br", "deflate, gzip", "x-new"] {
            check(Some(coding), brotli, true);
            // A proxy has decompressed the body and left the header.
            check(Some(coding), b"\xEF\xBB\xBF {\"a\":1}", false);
            check(Some(coding), b"", false);
        }
        check(Some("identity"), brotli, false);
        check(None, brotli, false);
        check(None, b"{}", false);
        for magic in [
            &b"\x1f\x8b\x08\0"[..],
            b"\x28\xb5\x2f\xfd\0",
            b"\x78\x9c\x03",
        ] {
            check(None, magic, true);
        }
        check(None, b"x}", false);
    }

    #[test]
    fn an_event_that_lambda_http_cannot_read_is_an_unsigned_empty_request() {
        let odd_header = v2(json!({"headers": {"x-a": "1", "x-b": "a\nb"}, "body": "x"}));
        let without_method = json!({"version": "2.0", "headers": {"x-a": "1"}, "body": "x"});
        for event in [
            json!(null),
            json!([1]),
            json!({"headers": 5}),
            json!("x"),
            odd_header,
            without_method,
        ] {
            check(event, &[("x-a", &[])], &bytes(b""));
        }
    }
}
