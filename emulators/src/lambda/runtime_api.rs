//! The Lambda Runtime API, version 2018-06-01, with one path per process.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::call::{Call, Handed};
use super::{Failure, Invoked, MAXIMUM_PAYLOAD_BYTES, Shared, Status};

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let runtime = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{request_id}/response", post(response))
        .route("/invocation/{request_id}/error", post(error))
        .route("/init/error", post(init_error))
        .with_state(shared);
    Router::new().nest("/{function}/{instance}/2018-06-01/runtime", runtime)
}

#[derive(Deserialize)]
struct Caller {
    function: String,
    instance: u64,
}

#[derive(Deserialize)]
struct Answering {
    function: String,
    instance: u64,
    request_id: String,
}

async fn next(State(shared): State<Arc<Shared>>, Path(caller): Path<Caller>) -> Response {
    let Some(calls) = calls(&shared, &caller.function, caller.instance) else {
        return unknown_process();
    };
    let (asks, event) = oneshot::channel();
    if calls.send(Call::Next(asks)).await.is_err() {
        return unknown_process();
    }
    match event.await {
        Ok(event) => handed(event),
        Err(_) => refusal(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "The invocation has not been answered yet",
        ),
    }
}

async fn response(
    State(shared): State<Arc<Shared>>,
    Path(answering): Path<Answering>,
    body: Body,
) -> Response {
    let outcome = match read_body(body, MAXIMUM_PAYLOAD_BYTES).await {
        Err(_) => return broken_body(),
        Ok(Some(payload)) => Ok(payload),
        Ok(None) => Err(Failure::new(
            Status::Error,
            "Function.ResponseSizeTooLarge",
            format!(
                "Response payload size exceeded maximum allowed payload size \
                 ({MAXIMUM_PAYLOAD_BYTES} bytes)."
            ),
        )),
    };
    answer(&shared, answering, outcome).await
}

async fn error(
    State(shared): State<Arc<Shared>>,
    Path(answering): Path<Answering>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match read_body(body, MAXIMUM_PAYLOAD_BYTES).await {
        Err(_) => broken_body(),
        Ok(body) => answer(&shared, answering, Err(reported(&headers, body))).await,
    }
}

async fn init_error(
    State(shared): State<Arc<Shared>>,
    Path(caller): Path<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (Some(calls), Ok(body)) = (
        calls(&shared, &caller.function, caller.instance),
        read_body(body, MAXIMUM_PAYLOAD_BYTES).await,
    ) else {
        return unknown_process();
    };
    match calls.send(Call::InitError(reported(&headers, body))).await {
        Ok(()) => accepted(),
        Err(_) => unknown_process(),
    }
}

async fn answer(shared: &Shared, answering: Answering, outcome: Invoked) -> Response {
    let Some(calls) = calls(shared, &answering.function, answering.instance) else {
        return unknown_process();
    };
    let is_too_large =
        matches!(&outcome, Err(failure) if failure.error_type == "Function.ResponseSizeTooLarge");
    let (reply, is_accepted) = oneshot::channel();
    let call = Call::Answer {
        request_id: answering.request_id,
        outcome,
        accepted: reply,
    };
    if calls.send(call).await.is_err() {
        return unknown_process();
    }
    match is_accepted.await {
        Ok(true) if is_too_large => refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            &format!("Exceeded maximum allowed payload size ({MAXIMUM_PAYLOAD_BYTES} bytes)."),
        ),
        Ok(true) => accepted(),
        _ => refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "Invalid request ID",
        ),
    }
}

fn calls(shared: &Shared, function: &str, instance: u64) -> Option<mpsc::Sender<Call>> {
    shared.function(function)?.calls(instance)
}

/// A whole body, or `None` if the body is above the limit. Reads even a body above the limit to its
/// end. Otherwise the connection would break while the function writes, and the function would end
/// without seeing the answer.
pub(crate) async fn read_body(
    mut body: Body,
    maximum_bytes: usize,
) -> Result<Option<Bytes>, axum::Error> {
    let mut bytes = Vec::new();
    let mut is_too_large = false;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        is_too_large |= bytes.len() + data.len() > maximum_bytes;
        if !is_too_large {
            bytes.extend_from_slice(&data);
        }
    }
    Ok((!is_too_large).then(|| bytes.into()))
}

/// The function's error, from the body or else from the header.
fn reported(headers: &HeaderMap, body: Option<Bytes>) -> Failure {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Diagnostic {
        error_type: Option<String>,
        error_message: Option<String>,
    }
    let body = body.unwrap_or_default();
    let diagnostic = serde_json::from_slice(&body).unwrap_or_else(|_| Diagnostic {
        error_type: None,
        error_message: Some(String::from_utf8_lossy(&body).into_owned()),
    });
    let header = headers
        .get("lambda-runtime-function-error-type")
        .and_then(|value| value.to_str().ok());
    let error_type = diagnostic
        .error_type
        .as_deref()
        .or(header)
        .unwrap_or("Runtime.Unknown");
    Failure::new(
        Status::Error,
        error_type,
        diagnostic.error_message.unwrap_or_default(),
    )
}

fn handed(event: Handed) -> Response {
    let headers = [
        ("lambda-runtime-aws-request-id", event.request_id),
        ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", event.function_arn),
        ("lambda-runtime-trace-id", event.trace),
    ];
    let mut response = Response::new(event.payload.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        // Only a caller's trace header can be an invalid header value; the answer leaves such a
        // header out.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn accepted() -> Response {
    json(StatusCode::ACCEPTED, &serde_json::json!({"status": "OK"}))
}

fn unknown_process() -> Response {
    refusal(
        StatusCode::GONE,
        "UnknownProcess",
        "Lambda does not know this process any more",
    )
}

fn broken_body() -> Response {
    refusal(
        StatusCode::BAD_REQUEST,
        "InvalidBody",
        "The body did not arrive whole",
    )
}

fn refusal(status: StatusCode, error_type: &str, message: &str) -> Response {
    json(
        status,
        &serde_json::json!({"errorType": error_type, "errorMessage": message}),
    )
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
