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

/// API Gateway's limit; AWS does not raise it.
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

    /// The lowest wins: a full match, then a greedy match, then `$default`; a method before `ANY`.
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
    // Leaves out headers of the connection; cookies have a field of their own.
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

/// Commas join the values of a repeated parameter.
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
mod tests;
