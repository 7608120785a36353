//! The HTTP API of API Gateway: turns requests into events of payload format 2.0, and answers into
//! responses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE, TRANSFER_ENCODING,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use percent_encoding::percent_decode_str;

use crate::lambda::{ACCOUNT, Event, Lambda, read_body, trace_root};
use crate::template::Route;

/// API Gateway's limit, which cannot be raised.
const MAXIMUM_BODY_BYTES: usize = 10 * 1024 * 1024;

/// The longest time that an HTTP API waits for a function.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

const API_ID: &str = "local";

/// Answers each request by invoking the function of its route.
pub fn router(routes: Vec<(Route, String)>, lambda: Lambda) -> Router {
    router_with_timeout(routes, lambda, INTEGRATION_TIMEOUT)
}

fn router_with_timeout(routes: Vec<(Route, String)>, lambda: Lambda, timeout: Duration) -> Router {
    let endpoints = routes
        .into_iter()
        .map(|(route, function)| Endpoint::new(&route, function));
    let gateway = Gateway {
        endpoints: endpoints.collect(),
        lambda,
        timeout,
    };
    Router::new().fallback(serve).with_state(Arc::new(gateway))
}

struct Gateway {
    endpoints: Vec<Endpoint>,
    lambda: Lambda,
    timeout: Duration,
}

struct Endpoint {
    /// For instance `POST /webhooks/zupy`, or `$default`.
    key: String,
    /// `None` for any method.
    method: Option<String>,
    /// `None` for `$default`, which takes every path.
    segments: Option<Vec<Segment>>,
    function: String,
}

/// The variants are in the order of preference if several routes match.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    /// `{name}`
    Parameter(String),
    /// `{name+}`: this segment and all that follow.
    Greedy(String),
}

impl Segment {
    fn parse(segment: &str) -> Segment {
        match segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            None => Segment::Literal(segment.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                None => Segment::Parameter(name.to_owned()),
                Some(name) => Segment::Greedy(name.to_owned()),
            },
        }
    }

    fn preference(&self) -> u8 {
        match self {
            Segment::Literal(_) => 0,
            Segment::Parameter(_) => 1,
            Segment::Greedy(_) => 2,
        }
    }
}

type PathParameters = BTreeMap<String, String>;

impl Endpoint {
    fn new(route: &Route, function: String) -> Endpoint {
        let method = route.method.to_uppercase();
        let is_default = route.path == "$default";
        Endpoint {
            key: if is_default {
                route.path.clone()
            } else {
                format!("{method} {}", route.path)
            },
            method: (method != "ANY" && !is_default).then_some(method),
            segments: (!is_default).then(|| route.path.split('/').map(Segment::parse).collect()),
            function,
        }
    }

    fn matches(&self, method: &str, path: &[String]) -> Option<PathParameters> {
        if self.method.as_deref().is_some_and(|own| own != method) {
            return None;
        }
        let mut parameters = PathParameters::new();
        let Some(segments) = &self.segments else {
            return Some(parameters);
        };
        let mut rest = path;
        for segment in segments {
            let (first, others) = rest.split_first()?;
            rest = others;
            match segment {
                Segment::Literal(literal) if literal == first => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(_) if first.is_empty() => return None,
                Segment::Parameter(name) => {
                    parameters.insert(name.clone(), first.clone());
                }
                Segment::Greedy(name) => {
                    let all = std::iter::once(first)
                        .chain(rest)
                        .cloned()
                        .collect::<Vec<_>>();
                    parameters.insert(name.clone(), all.join("/"));
                    rest = &[];
                }
            }
        }
        rest.is_empty().then_some(parameters)
    }

    /// Lower is preferred: a full match, then a greedy match, then `$default`; a method before
    /// `ANY`.
    fn preference(&self) -> (bool, bool, Vec<u8>, bool) {
        let segments = self.segments.as_deref().unwrap_or_default();
        (
            self.segments.is_none(),
            matches!(segments.last(), Some(Segment::Greedy(_))),
            segments.iter().map(Segment::preference).collect(),
            self.method.is_none(),
        )
    }
}

impl Gateway {
    fn find(&self, method: &str, path: &str) -> Option<(&Endpoint, PathParameters)> {
        let path: Vec<_> = path.split('/').map(decoded).collect();
        let matching = self
            .endpoints
            .iter()
            .filter_map(|endpoint| Some((endpoint, endpoint.matches(method, &path)?)));
        matching.min_by_key(|(endpoint, _)| endpoint.preference())
    }
}

async fn serve(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let now = gateway.lambda.clock().now();
    let request_id = request_id();
    let (parts, body) = request.into_parts();
    let body = read_body(body, MAXIMUM_BODY_BYTES).await;
    let mut response = match (gateway.find(parts.method.as_str(), parts.uri.path()), body) {
        (_, Err(_)) => message(StatusCode::BAD_REQUEST, "Bad Request"),
        (None, _) => message(StatusCode::NOT_FOUND, "Not Found"),
        (_, Ok(None)) => message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        (Some((endpoint, parameters)), Ok(Some(body))) => {
            let trace = trace(&parts.headers, now);
            let event = event(
                &parts,
                &body,
                endpoint,
                parameters,
                &trace,
                &request_id,
                now,
            );
            let event = Event {
                payload: event.to_string().into(),
                trigger: format!("{} {}", parts.method, parts.uri.path()),
                trace: Some(trace),
            };
            invoke(gateway.clone(), endpoint.function.clone(), event).await
        }
    };
    if let Ok(request_id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("apigw-requestid", request_id);
    }
    response
}

/// Invokes the function in a task of its own. As on AWS, the function continues if the client
/// disconnects.
async fn invoke(gateway: Arc<Gateway>, function: String, event: Event) -> Response {
    let invocation = tokio::spawn(async move {
        let invoked =
            tokio::time::timeout(gateway.timeout, gateway.lambda.invoke(&function, event)).await;
        let Ok(invoked) = invoked else {
            return message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        };
        match invoked {
            Err(failure) if failure.is_event_too_large() => {
                message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
            }
            Err(failure) => {
                tracing::warn!("function `{function}` failed: {failure}");
                internal_error()
            }
            Ok(payload) => answer(payload).unwrap_or_else(|problem| {
                tracing::warn!(
                    "function `{function}` gave an answer that API Gateway cannot use: {problem}"
                );
                internal_error()
            }),
        }
    });
    invocation.await.unwrap_or_else(|_| internal_error())
}

fn event(
    parts: &Parts,
    body: &Bytes,
    endpoint: &Endpoint,
    parameters: PathParameters,
    trace: &str,
    request_id: &str,
    now: Timestamp,
) -> Value {
    let path = decoded(parts.uri.path());
    let host = parts.headers.get(HOST).map(text).unwrap_or_default();
    let (domain, port) = host.rsplit_once(':').unwrap_or((&host, "80"));
    let source = source(parts).to_string();
    let query = parts.uri.query().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": endpoint.key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(&parts.headers, trace, &source, port),
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", parts.version),
                "sourceIp": source,
                "userAgent": parts.headers.get("user-agent").map(text).unwrap_or_default(),
            },
            "requestId": request_id,
            "routeKey": endpoint.key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query_parameters(query));
    }
    if !parameters.is_empty() {
        event["pathParameters"] = json!(parameters);
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(body)
            .ok()
            .filter(|_| is_text(&parts.headers));
        event["isBase64Encoded"] = text.is_none().into();
        event["body"] = text
            .map_or_else(|| STANDARD.encode(body), str::to_owned)
            .into();
    }
    event
}

fn headers(given: &HeaderMap, trace: &str, source: &str, port: &str) -> Map<String, Value> {
    // Headers of the connection are left out, and cookies have a field of their own.
    let passed_on = |name: &&HeaderName| ![COOKIE, CONNECTION, TRANSFER_ENCODING].contains(name);
    let mut headers: BTreeMap<String, String> = given
        .keys()
        .filter(passed_on)
        .map(|name| {
            let values: Vec<_> = given.get_all(name).iter().map(text).collect();
            (name.as_str().to_owned(), values.join(","))
        })
        .collect();
    let hops = headers
        .get("x-forwarded-for")
        .map(|hops| format!("{hops}, "));
    headers.insert(
        "x-forwarded-for".to_owned(),
        hops.unwrap_or_default() + source,
    );
    headers.insert("x-forwarded-port".to_owned(), port.to_owned());
    headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    headers.insert("x-amzn-trace-id".to_owned(), trace.to_owned());
    headers
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(COOKIE).iter().map(text);
    lines
        .flat_map(|line| {
            line.split(';')
                .map(|cookie| cookie.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A broken escape stays as it is.
fn decoded(encoded: &str) -> String {
    percent_decode_str(encoded).decode_utf8_lossy().into_owned()
}

/// The values of a repeated parameter are joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::<String, String>::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| *values = format!("{values},{value}"))
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

/// Bodies of these types stay text. Other bodies, and bodies that are not UTF-8, become base64.
fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .map(text)
        .unwrap_or_default()
        .to_lowercase();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.starts_with("text/")
        || [
            "application/json",
            "application/javascript",
            "application/xml",
        ]
        .contains(&media_type)
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
}

fn trace(headers: &HeaderMap, now: Timestamp) -> String {
    let given = headers
        .get("x-amzn-trace-id")
        .map(text)
        .filter(|trace| trace.contains("Root="));
    given.unwrap_or_else(|| trace_root(now))
}

fn source(parts: &Parts) -> IpAddr {
    let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    connection.map_or(Ipv4Addr::LOCALHOST.into(), |ConnectInfo(address)| {
        address.ip()
    })
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// An id in API Gateway's form: fifteen characters and an equals sign.
fn request_id() -> String {
    let characters = std::iter::repeat_with(fastrand::alphanumeric).take(15);
    characters.chain(['=']).collect()
}

/// Turns a function's answer into a response, or returns the problem with the answer.
fn answer(payload: Bytes) -> Result<Response, String> {
    let answer: Value = serde_json::from_slice(&payload).map_err(|error| {
        format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    let status = &answer["statusCode"];
    if status.is_null() {
        return Ok(([(CONTENT_TYPE, "application/json")], payload).into_response());
    }
    let number = status.as_u64().or_else(|| status.as_str()?.parse().ok());
    let status = number
        .filter(|number| (200..=599).contains(number))
        .and_then(|number| StatusCode::from_u16(u16::try_from(number).ok()?).ok())
        .ok_or_else(|| format!("`statusCode` is {status}"))?;
    let mut response = Response::new(Body::from(answer_body(&answer)?));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer_headers(&answer, response.headers_mut())?;
    Ok(response)
}

fn answer_body(answer: &Value) -> Result<Vec<u8>, String> {
    let body = match &answer["body"] {
        Value::Null => "",
        Value::String(body) => body,
        _ => return Err("`body` is not a string".to_owned()),
    };
    match answer["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD
            .decode(body)
            .map_err(|error| format!("`body` is not base64: {error}")),
        _ => Ok(body.as_bytes().to_vec()),
    }
}

fn answer_headers(answer: &Value, headers: &mut HeaderMap) -> Result<(), String> {
    let given = match &answer["headers"] {
        Value::Null => &Map::new(),
        Value::Object(given) => given,
        _ => return Err("`headers` is not an object".to_owned()),
    };
    for (name, value) in given {
        let header =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("header name {name:?}"))?;
        // The server writes these headers itself, for the body that it sends.
        if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&header) {
            headers.insert(header, header_value(name, value)?);
        }
    }
    let cookies = match &answer["cookies"] {
        Value::Null => &Vec::new(),
        Value::Array(cookies) => cookies,
        _ => return Err("`cookies` is not an array".to_owned()),
    };
    for cookie in cookies {
        headers.append(SET_COOKIE, header_value("set-cookie", cookie)?);
    }
    Ok(())
}

fn header_value(name: &str, value: &Value) -> Result<HeaderValue, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(format!("header {name:?} is not a string")),
    };
    HeaderValue::from_str(&text)
        .map_err(|_| format!("the value of header {name:?} holds a control character"))
}

fn internal_error() -> Response {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn message(status: StatusCode, message: &str) -> Response {
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        json!({"message": message}).to_string(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::lambda::{Options, tests as lambda_tests};

    fn route(method: &str, path: &str) -> Route {
        Route {
            method: method.to_owned(),
            path: path.to_owned(),
        }
    }

    fn check_route(routes: &[(&str, &str)], request: (&str, &str), expected: Option<&str>) {
        let endpoints: Vec<_> = routes
            .iter()
            .map(|(method, path)| Endpoint::new(&route(method, path), String::new()))
            .collect();
        let path: Vec<_> = request.1.split('/').map(decoded).collect();
        let matching = endpoints
            .iter()
            .filter(|endpoint| endpoint.matches(request.0, &path).is_some());
        let found = matching.min_by_key(|endpoint| endpoint.preference());
        assert_eq!(
            found.map(|endpoint| endpoint.key.as_str()),
            expected,
            "{request:?}"
        );
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        for (encoded, expected) in [
            ("%", "%"),
            ("%4", "%4"),
            ("%+1", "%+1"),
            ("%é", "%é"),
            ("%41%zz", "A%zz"),
        ] {
            assert_eq!(decoded(encoded), expected);
        }
    }

    #[test]
    fn a_route_is_its_method_and_its_exact_path() {
        let routes = [
            ("POST", "/webhooks/zupy"),
            ("POST", "/webhooks/zupy/coupon-used"),
        ];
        check_route(
            &routes,
            ("POST", "/webhooks/zupy"),
            Some("POST /webhooks/zupy"),
        );
        check_route(
            &routes,
            ("POST", "/webhooks/zupy/coupon-used"),
            Some("POST /webhooks/zupy/coupon-used"),
        );
        check_route(&routes, ("GET", "/webhooks/zupy"), None);
        check_route(&routes, ("POST", "/webhooks/zupy/"), None);
        check_route(&routes, ("POST", "/webhooks"), None);
        check_route(
            &routes,
            ("POST", "/webhooks/%7Aupy"),
            Some("POST /webhooks/zupy"),
        );
    }

    #[test]
    fn the_most_specific_route_is_preferred() {
        let routes = [
            ("ANY", "$default"),
            ("ANY", "/coupons/{proxy+}"),
            ("GET", "/coupons/{id}"),
            ("ANY", "/coupons/all"),
            ("GET", "/coupons/all"),
        ];
        check_route(&routes, ("GET", "/coupons/all"), Some("GET /coupons/all"));
        check_route(&routes, ("PUT", "/coupons/all"), Some("ANY /coupons/all"));
        check_route(&routes, ("GET", "/coupons/1"), Some("GET /coupons/{id}"));
        check_route(
            &routes,
            ("PUT", "/coupons/1"),
            Some("ANY /coupons/{proxy+}"),
        );
        check_route(
            &routes,
            ("GET", "/coupons/1/uses"),
            Some("ANY /coupons/{proxy+}"),
        );
        check_route(&routes, ("GET", "/elsewhere"), Some("$default"));
    }

    /// The event of a request to `ANY /coupons/{id}/{rest+}`.
    fn event_of(request: axum::http::request::Builder, body: &[u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let endpoint = Endpoint::new(&route("ANY", "/coupons/{id}/{rest+}"), String::new());
        let path: Vec<_> = parts.uri.path().split('/').map(decoded).collect();
        let parameters = endpoint.matches(parts.method.as_str(), &path).unwrap();
        let now = "2026-03-12T19:03:58.390Z".parse().unwrap();
        let body = Bytes::copy_from_slice(body);
        event(
            &parts,
            &body,
            &endpoint,
            parameters,
            "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
            "id=",
            now,
        )
    }

    fn post() -> axum::http::request::Builder {
        Request::post("/coupons/CP-1/a%20b/c").header("host", "127.0.0.1:3000")
    }

    #[test]
    fn builds_an_event_of_format_2() {
        let request = Request::post("/coupons/CP-1/a%20b/c?tag=x&tag=y+z&empty")
            .header("Host", "api.example.com:3000")
            .header("User-Agent", "curl/8")
            .header("X-Signature", "one")
            .header("X-Signature", "two")
            .header("Cookie", "session=1; theme=dark")
            .header("Content-Type", "application/json");
        let expected = json!({
            "version": "2.0",
            "routeKey": "ANY /coupons/{id}/{rest+}",
            "rawPath": "/coupons/CP-1/a b/c",
            "rawQueryString": "tag=x&tag=y+z&empty",
            "cookies": ["session=1", "theme=dark"],
            "headers": {
                "content-type": "application/json",
                "host": "api.example.com:3000",
                "user-agent": "curl/8",
                "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
                "x-forwarded-for": "127.0.0.1",
                "x-forwarded-port": "3000",
                "x-forwarded-proto": "http",
                "x-signature": "one,two",
            },
            "queryStringParameters": {"tag": "x,y z", "empty": ""},
            "pathParameters": {"id": "CP-1", "rest": "a b/c"},
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "domainName": "api.example.com",
                "domainPrefix": "api",
                "http": {
                    "method": "POST",
                    "path": "/coupons/CP-1/a b/c",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "curl/8",
                },
                "requestId": "id=",
                "routeKey": "ANY /coupons/{id}/{rest+}",
                "stage": "$default",
                "time": "12/Mar/2026:19:03:58 +0000",
                "timeEpoch": 1_773_342_238_390_i64,
            },
            "body": "{\"a\": 1}",
            "isBase64Encoded": false,
        });
        assert_eq!(event_of(request, b"{\"a\": 1}"), expected);
    }

    #[test]
    fn leaves_out_absent_parts_of_a_request() {
        let event = event_of(post(), b"");
        for name in ["body", "cookies", "queryStringParameters"] {
            assert_eq!(event.get(name), None, "{name}");
        }
        assert_eq!(event["isBase64Encoded"], false);
    }

    fn check_body(content_type: &str, body: &[u8], expected: &str, is_base64: bool) {
        let event = event_of(post().header("content-type", content_type), body);
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!(expected), &json!(is_base64)),
            "{content_type}"
        );
    }

    #[test]
    fn a_body_is_text_only_if_its_type_says_so_and_its_bytes_are() {
        check_body(
            "application/json; charset=utf-8",
            "{\"é\"}".as_bytes(),
            "{\"é\"}",
            false,
        );
        check_body("Application/JSON", b"{}", "{}", false);
        check_body("application/cloudevents+json", b"{}", "{}", false);
        check_body("text/csv", b"a,b", "a,b", false);
        check_body("application/json", b"{\xff}", "e/99", true);
        check_body("application/x-www-form-urlencoded", b"a=b", "YT1i", true);
        check_body("", b"{}", "e30=", true);
    }

    #[test]
    fn an_odd_header_is_passed_on_lossily() {
        let event = event_of(
            post().header("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap()),
            b"",
        );
        assert_eq!(event["headers"]["x-name"], "caf\u{fffd}");
    }

    /// A status, and the values of some headers.
    type Expected<'a> = (u16, &'a [(&'a str, &'a str)]);

    fn check_answer(payload: &Value, expected: Result<Expected<'_>, &str>) {
        match (answer(payload.to_string().into()), expected) {
            (Ok(response), Ok((status, headers))) => {
                assert_eq!(response.status(), status, "{payload}");
                for (name, value) in headers {
                    let values: Vec<_> =
                        response.headers().get_all(*name).iter().map(text).collect();
                    assert_eq!(values.join("|"), *value, "{name} of {payload}");
                }
            }
            (Err(problem), Err(expected)) => assert_eq!(problem, expected, "{payload}"),
            (found, _) => panic!("{payload} became {found:?}"),
        }
    }

    #[test]
    fn an_answer_with_a_status_is_a_response() {
        let payload = json!({
            "statusCode": 201,
            "headers": {"X-Number": 1, "content-length": "999", "Content-Type": "application/json"},
            "multiValueHeaders": {"x-ignored": ["a"]},
            "cookies": ["a=1", "b=2"],
            "body": "{}",
        });
        let headers = [
            ("x-number", "1"),
            ("content-type", "application/json"),
            ("set-cookie", "a=1|b=2"),
            ("x-ignored", ""),
            ("content-length", ""),
        ];
        check_answer(&payload, Ok((201, &headers)));
        check_answer(&json!({"statusCode": "204"}), Ok((204, &[])));
        check_answer(
            &json!({"statusCode": 200, "body": "hi"}),
            Ok((200, &[("content-type", "text/plain; charset=utf-8")])),
        );
    }

    #[test]
    fn an_answer_without_a_status_is_json() {
        for payload in [json!({"ok": true}), json!([1]), json!("text"), json!(null)] {
            check_answer(&payload, Ok((200, &[("content-type", "application/json")])));
        }
    }

    #[test]
    fn a_malformed_answer_is_refused() {
        check_answer(&json!({"statusCode": 99}), Err("`statusCode` is 99"));
        check_answer(&json!({"statusCode": 100}), Err("`statusCode` is 100"));
        check_answer(
            &json!({"statusCode": "abc"}),
            Err("`statusCode` is \"abc\""),
        );
        check_answer(
            &json!({"statusCode": 200, "body": {}}),
            Err("`body` is not a string"),
        );
        check_answer(
            &json!({"statusCode": 200, "headers": {"a b": "c"}}),
            Err("header name \"a b\""),
        );
        check_answer(
            &json!({"statusCode": 200, "headers": {"a": "c\nd"}}),
            Err("the value of header \"a\" holds a control character"),
        );
        check_answer(
            &json!({"statusCode": 200, "headers": {"a": ["c"]}}),
            Err("header \"a\" is not a string"),
        );
        assert!(answer(Bytes::from_static(b"{")).is_err());
    }

    /// A gateway whose only function does what the request's body says.
    async fn gateway(timeout: Duration) -> (SocketAddr, Lambda) {
        let lambda = Lambda::open(Options::default()).await.unwrap();
        lambda.start(lambda_tests::echo()).await.unwrap();
        let routes = vec![(route("POST", "/echo"), "echo".to_owned())];
        let router = router_with_timeout(routes, lambda.clone(), timeout);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, lambda)
    }

    async fn send(address: SocketAddr, path: &str, body: &[u8]) -> (u16, String) {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(body).await.unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).await.unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        (
            status,
            response.split_once("\r\n\r\n").unwrap().1.to_owned(),
        )
    }

    #[tokio::test]
    async fn a_request_reaches_its_function_and_is_answered() {
        let (address, lambda) = gateway(INTEGRATION_TIMEOUT).await;
        let (status, body) = send(address, "/echo", b"{\"coupon\":\"CP-1\"}").await;
        assert_eq!(status, 200);
        // The function answers with its event, which has no `statusCode` and so becomes the body.
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(event["body"], "{\"coupon\":\"CP-1\"}");
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
        assert_eq!(lambda.recent()[0].trigger, "POST /echo");
        lambda.stop().await;
    }

    #[tokio::test]
    async fn answers_without_a_function_as_api_gateway_does() {
        let (address, lambda) = gateway(Duration::from_secs(2)).await;
        let message = |text: &str| json!({"message": text}).to_string();
        assert_eq!(
            send(address, "/none", b"{}").await,
            (404, message("Not Found"))
        );
        let large = vec![b' '; MAXIMUM_BODY_BYTES + 1];
        assert_eq!(
            send(address, "/echo", &large).await,
            (413, message("Request Entity Too Large"))
        );
        let over_lambda_s_limit = vec![b' '; 7 * 1024 * 1024];
        assert_eq!(
            send(address, "/echo", &over_lambda_s_limit).await,
            (413, message("Request Entity Too Large"))
        );
        assert_eq!(
            send(address, "/echo", b"{\"do\":\"exit\"}").await,
            (500, message("Internal Server Error"))
        );
        assert_eq!(
            send(address, "/echo", b"{\"do\":\"fail\"}").await,
            (500, message("Internal Server Error"))
        );
        assert_eq!(
            send(address, "/echo", b"{\"do\":\"hang\"}").await,
            (503, message("Service Unavailable"))
        );
        lambda.stop().await;
        assert_eq!(
            send(address, "/echo", b"{}").await,
            (500, message("Internal Server Error"))
        );
    }
}
