//! The gateway's own pages, in addition to the template's routes: the page at `/`, and `/_local`
//! for scripts and tests.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{Request, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use emulators::dynamodb::TableCount;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bodies::readable;
use crate::controls;
use crate::drafts::draft;
use crate::examples::{first_token, tokens};
use crate::running::{Inner, Until};

/// The function that serves the pages for people.
const DASHBOARD: &str = "dashboard";

const IDLE_TIMEOUT_S: f64 = 30.0;
const IDLE_TIMEOUT_MAX_S: f64 = 600.0;

/// How many invocations and messages the page shows.
const SHOWN_INVOCATIONS: usize = 100;
const SHOWN_MESSAGES: usize = 100;

/// The table with the drafts of messages. Above this number of items the page does not scan it,
/// because the page asks every second.
const EVENTS: &str = "events";
const SEARCHED_ITEMS: usize = 5_000;

const PAGE: &str = include_str!("page/index.html");

/// The other parts of the page: a file below `/_local/page/`, its type and its contents.
const ASSETS: [(&str, &str, &str); 4] = [
    ("style.css", "text/css", include_str!("page/style.css")),
    ("elements.js", SCRIPT, include_str!("page/elements.js")),
    ("messages.js", SCRIPT, include_str!("page/messages.js")),
    ("page.js", SCRIPT, include_str!("page/page.js")),
];
const SCRIPT: &str = "text/javascript";

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/_local/page/{name}", get(asset))
        .route("/_local/dashboard", get(dashboard))
        .route("/_local/state", get(state))
        .route("/_local/messages", get(messages))
        .route("/_local/queues", get(queues))
        .route("/_local/idle", get(idle))
        .route("/_local/tables/{name}", get(table))
        .merge(controls::router())
        .with_state(inner)
}

async fn asset(UrlPath(name): UrlPath<String>) -> Response {
    match ASSETS.iter().find(|(asset, ..)| *asset == name) {
        Some((_, content_type, content)) => {
            let charset = format!("{content_type}; charset=utf-8");
            ([(CONTENT_TYPE, charset)], *content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Signs in with the first of this system's tokens, as the form does, and redirects to the
/// dashboard.
async fn dashboard(State(inner): State<Arc<Inner>>) -> Response {
    let mut functions = inner.template.functions.iter();
    let function = functions.find(|function| function.name == DASHBOARD);
    let token = function
        .and_then(|function| tokens(function, &inner.template))
        .and_then(first_token);
    let Some(token) = token else {
        let message = "the template has no dashboard with tokens";
        return (StatusCode::NOT_FOUND, Json(json!({"error": message}))).into_response();
    };
    match signed_in(&inner.gateway_url, token).await {
        Ok(response) => response,
        Err(error) => failed(&error),
    }
}

async fn signed_in(gateway_url: &str, token: &str) -> anyhow::Result<Response> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .finish();
    let request = Request::post(format!("{gateway_url}/dashboard/sign-in"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (answer, _) = client.request(request).await?.into_parts();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    for name in [SET_COOKIE, LOCATION] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

async fn state(State(inner): State<Arc<Inner>>) -> Response {
    let tables = match inner.dynamodb.tables().await {
        Ok(tables) => tables,
        Err(error) => return failed(&error),
    };
    let mut messages = match all_messages(&inner, &tables).await {
        Ok(messages) => messages,
        Err(error) => return failed(&error),
    };
    let tables: Vec<_> = tables
        .into_iter()
        .map(|table| json!({"name": table.name, "items": table.items}))
        .collect();
    let mut invocations = inner.lambda.recent();
    invocations.reverse();
    invocations.truncate(SHOWN_INVOCATIONS);
    let (schedules, next_at) = inner.scheduler.overview();
    let message_count = messages.len();
    messages.drain(..message_count.saturating_sub(SHOWN_MESSAGES));
    Json(json!({
        "gateway": inner.gateway_url,
        "aws": inner.aws_url,
        "game_server": inner.game_server_url(),
        "time_zone": inner.time_zone(),
        "routes": inner.examples,
        "messages": messages,
        "message_count": message_count,
        "queues": inner.sqs.counts(),
        "invocations": invocations,
        "tables": tables,
        "faults": inner.faults.list(),
        // The state leaves out the time, because the page compares whole states to find a change.
        "clock": {"ahead_s": inner.clock.ahead().as_secs_f64()},
        "schedules": {"count": schedules, "next_at": next_at},
    }))
    .into_response()
}

/// Sent messages, and the drafts of sandbox and test events, oldest first.
async fn all_messages(inner: &Inner, tables: &[TableCount]) -> anyhow::Result<Vec<Value>> {
    let sent = inner.outside.all().into_iter();
    let mut messages: Vec<_> = sent
        .filter_map(|sent| serde_json::to_value(sent).ok())
        .collect();
    let searched = |table: &TableCount| table.name == EVENTS && table.items <= SEARCHED_ITEMS;
    if tables.iter().any(searched) {
        let rows = inner.dynamodb.scan_having(EVENTS, "would_send").await?;
        messages.extend(rows.iter().filter_map(draft));
    }
    // The sort does not compare times as text, because tasks write more digits than services do.
    messages.sort_by_cached_key(|message| {
        let at = message["at"].as_str();
        at.and_then(|at| at.parse::<Timestamp>().ok())
    });
    Ok(messages)
}

/// Every message sent outside, oldest first.
async fn messages(State(inner): State<Arc<Inner>>) -> Response {
    Json(inner.outside.all()).into_response()
}

async fn queues(State(inner): State<Arc<Inner>>) -> Response {
    Json(inner.sqs.counts()).into_response()
}

#[derive(Deserialize)]
struct Idle {
    timeout_s: Option<f64>,
    #[serde(default)]
    in_flight: bool,
}

/// Answers when the system is idle.
async fn idle(State(inner): State<Arc<Inner>>, Query(query): Query<Idle>) -> Response {
    let timeout_s = query.timeout_s.unwrap_or(IDLE_TIMEOUT_S);
    // `clamp` keeps NaN; the endpoint refuses it like a negative number.
    let timeout_s = timeout_s.clamp(-1.0, IDLE_TIMEOUT_MAX_S);
    let Ok(timeout) = Duration::try_from_secs_f64(timeout_s) else {
        let message = "timeout_s must be a number of seconds, 0 or more";
        return (StatusCode::BAD_REQUEST, Json(json!({"error": message}))).into_response();
    };
    let until = if query.in_flight {
        Until::NothingWaits
    } else {
        Until::NothingToDo
    };
    let idle = inner.settle(timeout, until).await;
    let status = if idle {
        StatusCode::OK
    } else {
        StatusCode::GATEWAY_TIMEOUT
    };
    let body = json!({
        "idle": idle,
        "running": inner.lambda.running(),
        "queues": inner.sqs.counts(),
    });
    (status, Json(body)).into_response()
}

async fn table(State(inner): State<Arc<Inner>>, UrlPath(name): UrlPath<String>) -> Response {
    if !inner.template.tables.iter().any(|table| table.name == name) {
        let names: Vec<_> = inner.template.tables.iter().map(|t| &t.name).collect();
        let message = format!("there is no table {name}; there are {names:?}");
        return (StatusCode::NOT_FOUND, Json(json!({"error": message}))).into_response();
    }
    match inner.dynamodb.scan(&name).await {
        Ok(items) => Json(readable(items)).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    let message = json!({"error": format!("{error:#}")});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(message)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_uses_only_what_the_gateway_serves() {
        let mut named: Vec<_> = PAGE.split("\"/_local/page/").skip(1).collect();
        for name in &mut named {
            *name = name.split('"').next().unwrap();
        }
        let served: Vec<_> = ASSETS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(named, served);
        let parts = ASSETS.iter().map(|(_, _, content)| *content);
        for part in parts.chain([PAGE]) {
            // The only address is SVG's namespace, which nobody fetches.
            let part = part.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http:", "https:", "src=\"//", "@import", "url("] {
                assert!(!part.contains(elsewhere), "{elsewhere}");
            }
        }
    }
}
