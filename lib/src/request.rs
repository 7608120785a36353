//! The request that API Gateway, or a function URL, hands to a function: headers and the bytes of a
//! body.
//!
//! This code demands as little of the event as possible, because the gateway answers an event that
//! cannot be read with a 500. `lambda_http` panics over some events; see
//! `docs/adr/0002-reading-gateway-events.md`.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Headers by name, in any case, each with all its values.
#[derive(Debug, Default)]
pub struct Headers<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Headers<'a> {
    /// Every value of a header. The gateway joins a repeated header with commas, and this function
    /// splits it again. So it fits only headers whose values hold no comma.
    pub fn values<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.0
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }
}

impl<'a, N: Into<Cow<'a, str>>, V: Into<Cow<'a, str>>> FromIterator<(N, V)> for Headers<'a> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        Self(
            headers
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// A request as it reached the gateway.
#[derive(Debug)]
pub struct Request<'a> {
    pub headers: Headers<'a>,
    pub body: Body<'a>,
}

/// The body's bytes, as the sender sent them.
#[derive(Debug, PartialEq, Eq)]
pub enum Body<'a> {
    Bytes(Cow<'a, [u8]>),
    /// The event says base64, but the body is not.
    Undecodable,
}

impl<'a> Request<'a> {
    /// Reads an event of payload format 2.0 (HTTP API, function URL) or 1.0 (REST API). An event of
    /// another format has no headers and no body, so it is refused as unsigned.
    pub fn read(event: &'a RawValue) -> Self {
        let event: GatewayEvent<'a> = serde_json::from_str(event.get()).unwrap_or_default();
        let body = event.body.map_or(Cow::Borrowed(""), |Text(body)| body);
        let body = if event.is_base64_encoded == Some(true) {
            match STANDARD.decode(body.as_bytes()) {
                Ok(bytes) => Body::Bytes(Cow::Owned(bytes)),
                Err(_) => Body::Undecodable,
            }
        } else {
            Body::Bytes(match body {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            })
        };
        let headers = match event.multi_value_headers {
            Some(headers) if !headers.is_empty() => headers
                .into_iter()
                .flat_map(|(Text(name), values)| {
                    values
                        .into_iter()
                        .map(move |Text(value)| (name.clone(), value))
                })
                .collect(),
            _ => event
                .headers
                .unwrap_or_default()
                .into_iter()
                .map(|(Text(name), Text(value))| (name, value))
                .collect(),
        };
        Self { headers, body }
    }
}

impl Request<'_> {
    /// Whether the body is compressed. A header alone is no proof, because a gateway may decompress
    /// a body and leave the header.
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

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct GatewayEvent<'a> {
    #[serde(borrow)]
    headers: Option<HashMap<Text<'a>, Text<'a>>>,
    #[serde(borrow)]
    multi_value_headers: Option<HashMap<Text<'a>, Vec<Text<'a>>>>,
    #[serde(borrow)]
    body: Option<Text<'a>>,
    is_base64_encoded: Option<bool>,
}

/// Text that borrows from the event if it holds no escape. Inside an `Option` or a map, serde
/// borrows only with this attribute.
#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    fn check(event: serde_json::Value, headers: &[(&str, &[&str])], body: &Body<'_>) {
        let raw = to_raw_value(&event).unwrap();
        let request = Request::read(&raw);
        assert_eq!(&request.body, body);
        for (name, values) in headers {
            let found: Vec<_> = request.headers.values(name).collect();
            assert_eq!(&found, values, "{name}");
        }
    }

    fn bytes(bytes: &[u8]) -> Body<'_> {
        Body::Bytes(Cow::Borrowed(bytes))
    }

    #[test]
    fn reads_payload_2_0_with_joined_headers() {
        check(
            json!({"version": "2.0", "headers": {"x-a": "1,2", "x-b": "é\n"}, "body": "{\"a\": \"é\"}", "isBase64Encoded": false}),
            &[("X-A", &["1", "2"]), ("x-b", &["é"]), ("x-c", &[])],
            &bytes("{\"a\": \"é\"}".as_bytes()),
        );
    }

    #[test]
    fn reads_payload_1_0_with_all_values() {
        check(
            json!({"headers": {"X-A": "2"}, "multiValueHeaders": {"X-A": ["1", "2"]}, "body": "x", "isBase64Encoded": false}),
            &[("x-a", &["1", "2"])],
            &bytes(b"x"),
        );
        check(
            json!({"headers": {"X-A": "2"}, "multiValueHeaders": null, "body": null}),
            &[("x-a", &["2"])],
            &bytes(b""),
        );
    }

    #[test]
    fn decodes_base64_to_any_bytes() {
        check(
            json!({"headers": null, "body": "/wB7", "isBase64Encoded": true}),
            &[],
            &bytes(b"\xff\0{"),
        );
        check(
            json!({"body": "not base64!", "isBase64Encoded": true}),
            &[],
            &Body::Undecodable,
        );
    }

    #[test]
    fn a_compressed_body_is_known_by_its_header_or_by_its_bytes() {
        let check = |coding: Option<&str>, bytes: &[u8], expected: bool| {
            let headers = coding.map(|coding| ("Content-Encoding", coding));
            let request = Request {
                headers: headers.into_iter().collect(),
                body: Body::Bytes(Cow::Borrowed(bytes)),
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
    fn an_event_of_another_kind_is_an_unsigned_empty_request() {
        for event in [json!(null), json!([1]), json!({"headers": 5}), json!("x")] {
            check(event, &[("x-a", &[])], &bytes(b""));
        }
    }
}
