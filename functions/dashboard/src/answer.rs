//! Completes every answer: adds the headers that protect a page, and compresses it.

use std::io::Write;

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The pages use no script, no inline style and nothing from outside. So a text of an event cannot
/// bring in a script or a style.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// A body below this many bytes is too short to be worth compressing.
const COMPRESSED_FROM_BYTES: usize = 1024;

/// The longest answer that the function compresses. The crate `serving` limits all answers to less.
const ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response<Body> {
    let html = template.render();
    let html = html.expect("the templates hold only text, and a string takes any amount of it");
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

/// Redirects to another address, which the browser opens by GET.
pub(crate) fn see_other(address: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(address) = HeaderValue::try_from(address) {
        response.headers_mut().insert(LOCATION, address);
    }
    response
}

/// Completes every answer, whichever route gave it.
pub(crate) async fn complete(request: Request, next: Next) -> Response<Body> {
    let takes_gzip = takes_gzip(request.headers());
    let response = next.run(request).await;
    let mut response = match takes_gzip {
        true => compressed(response).await,
        false => response,
    };
    guard(response.headers_mut());
    response
}

/// The headers that every answer has.
pub(crate) fn guard(headers: &mut HeaderMap) {
    let fixed = HeaderValue::from_static;
    headers.insert(CONTENT_SECURITY_POLICY, fixed(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    headers.insert(VARY, fixed("accept-encoding, accept-language, cookie"));
    // A page is for one moment and one reader, so no cache may keep it. Assets set their own
    // header.
    let private = || fixed("private, no-store");
    headers.entry(CACHE_CONTROL).or_insert_with(private);
}

async fn compressed(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_MAX_BYTES).await else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    };
    if bytes.len() < COMPRESSED_FROM_BYTES {
        return Response::from_parts(parts, Body::from(bytes));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    let Ok(written) = written else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    let gzip = HeaderValue::from_static("gzip");
    parts.headers.insert(CONTENT_ENCODING, gzip);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(written))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let values = values.filter_map(|it| it.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case("gzip"));
        let is_refused = parts
            .filter_map(|it| it.strip_prefix("q="))
            .any(|weight| weight.parse() == Ok(0.0));
        is_gzip && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use flate2::read::GzDecoder;
    use lambda_http::Context;
    use serde_json::Value;
    use serde_json::value::RawValue;
    use serving::Serving;

    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let check = |accepted: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        };
        check("gzip, deflate, br", true);
        check("br;q=1.0, GZIP;q=0.8", true);
        check("gzip;q=0", false);
        check("identity", false);
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_compressed_answer_reaches_the_gateway_whole() {
        let text = "Pizza Margherita ".repeat(200);
        let route = text.clone();
        let router = Router::new()
            .route("/dashboard", get(async move || route))
            .layer(from_fn(complete));
        let serving = Serving::new(router, crate::pages::problem::unserved);
        let event = include_str!("../../../events/dashboard.json");
        let mut event: Value = serde_json::from_str(event).unwrap();
        event["rawPath"] = "/dashboard".into();
        event["headers"]["accept-encoding"] = "gzip, br".into();
        let event = RawValue::from_string(event.to_string()).unwrap();
        let mut context = Context::default();
        context.deadline = 20_000;
        let answer = serving.answer(&event, context).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        assert_eq!(answer["headers"]["content-encoding"], "gzip");
        assert_eq!(answer["isBase64Encoded"], true);
        let body = STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
        assert!(body.len() < text.len() / 5);
        let mut written = String::new();
        GzDecoder::new(&body[..])
            .read_to_string(&mut written)
            .unwrap();
        assert_eq!(written, text);
    }
}
