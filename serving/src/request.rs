//! Reads a gateway's event as an HTTP request with an encoded path, because some gateways decode
//! it.

use std::fmt::Write;

use lambda_http::request::LambdaRequest;
use serde_json::value::RawValue;

use crate::Unserved;

/// Reads an event of API Gateway, in either payload format, or of a function URL.
///
/// # Errors
/// The event has none of these forms.
pub(crate) fn read(event: &RawValue) -> Result<LambdaRequest, Unserved> {
    let mut request = serde_json::from_str(event.get()).map_err(|_| Unserved::Unreadable)?;
    match &mut request {
        LambdaRequest::ApiGatewayV2(event) => {
            // An HTTP API decodes the path, and names the route; a function URL does neither.
            let route = event.route_key.as_deref();
            let decoded = route.is_some_and(|route| route != "$default");
            event.raw_path = event.raw_path.take().map(|path| encoded(&path, decoded));
            let query = event.raw_query_string.take();
            event.raw_query_string = query.map(|query| encoded(&query, false));
            // The router's paths do not contain the stage.
            event.request_context.stage = None;
        }
        LambdaRequest::ApiGatewayV1(event) => {
            event.path = event.path.take().map(|path| encoded(&path, false));
            event.request_context.stage = None;
        }
        _ => return Err(Unserved::Unreadable),
    }
    Ok(request)
}

/// Encodes what a URI's path or query may not contain. If the gateway decoded the text before, this
/// function encodes `%` too.
fn encoded(text: &str, decoded: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        let is_escape = || {
            let digits = text.as_bytes().get(index + 1..index + 3);
            digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
        };
        let stays = match byte {
            b'%' => !decoded && is_escape(),
            b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*'
            | b'+' | b',' | b';' | b'=' | b':' | b'@' => true,
            other => other.is_ascii_alphanumeric(),
        };
        match stays {
            true => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            false => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_encoded_once() {
        let check = |text: &str, decoded: bool, expected: &str| {
            assert_eq!(encoded(text, decoded), expected, "{text}");
        };
        check("/reports/coupons", true, "/reports/coupons");
        check("/a/zupy#c#CP%2F1", true, "/a/zupy%23c%23CP%252F1");
        check("/a/zupy%23c%23CP%252F1", false, "/a/zupy%23c%23CP%252F1");
        check("/a/Pão ?\"", true, "/a/P%C3%A3o%20%3F%22");
        check("/100%", false, "/100%25");
        check("/100%zz", false, "/100%25zz");
    }
}
