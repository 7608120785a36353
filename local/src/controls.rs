//! Controls of the running system, below `/_local`: sets faults, runs schedules now, and ends the
//! waits of messages.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use emulators::faults::{Fault, Targets};
use emulators::template::Template;
use serde_json::{Value, json};

use crate::kept_clock::AHEAD_MAX;
use crate::running::Inner;

pub(crate) fn router() -> Router<Arc<Inner>> {
    let faults = post(add_fault).get(faults).delete(clear_faults);
    Router::new()
        .route("/_local/faults", faults)
        .route("/_local/faults/{id}", delete(remove_fault))
        .route("/_local/queues/{name}/hurry", post(hurry))
        .route("/_local/schedules", get(schedules))
        .route("/_local/schedules/{function}", post(run_schedules))
        .route("/_local/clock", get(clock).post(advance))
}

async fn clock(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(clock_of(&inner))
}

/// The time, and how far it is ahead of the real clock.
fn clock_of(inner: &Inner) -> Value {
    json!({
        "now": format!("{:.3}", inner.clock.now()),
        "ahead_s": inner.clock.ahead().as_secs_f64(),
    })
}

/// Lets time pass, and answers with the new time.
async fn advance(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let by = match read_advance(&body) {
        Ok(by) => by,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, json!({"error": message})),
    };
    match inner.advance(by).await {
        Ok(_) => Json(clock_of(&inner)).into_response(),
        Err(error) => {
            let body = json!({"error": format!("{error:#}")});
            refuse(StatusCode::CONFLICT, body)
        }
    }
}

/// Reads `{"advance_s": 7200}`.
fn read_advance(body: &[u8]) -> Result<Duration, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let problem = || {
        let most = AHEAD_MAX.as_secs();
        format!("advance_s must be a number of seconds from 0 to {most}: time does not go back")
    };
    let fields = value.as_object().ok_or_else(problem)?;
    if let Some(other) = fields.keys().find(|name| *name != "advance_s") {
        return Err(format!("{other} is unknown; the only field is advance_s"));
    }
    let seconds = value["advance_s"].as_f64().ok_or_else(problem)?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|by| *by <= AHEAD_MAX)
        .ok_or_else(problem)
}

/// The schedules of EventBridge Scheduler.
async fn schedules(State(inner): State<Arc<Inner>>) -> Response {
    Json(inner.scheduler.all()).into_response()
}

/// Reads the body with any declared type: `curl -d` declares a form.
async fn add_fault(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let value: Value = match serde_json::from_slice(&body) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("the body is not JSON: {error}");
            return refuse(StatusCode::BAD_REQUEST, json!({"error": message}));
        }
    };
    match Fault::read(&value, &targets(&inner.template)) {
        Ok(fault) => {
            let id = inner.faults.add(fault);
            let listed = inner.faults.list().into_iter();
            let added = listed.rev().find(|fault| fault["id"] == id);
            (StatusCode::CREATED, Json(added)).into_response()
        }
        Err(problems) => {
            let error = "the fault is not valid; see problems";
            let body = json!({"error": error, "problems": problems});
            refuse(StatusCode::BAD_REQUEST, body)
        }
    }
}

/// What a fault can name.
fn targets(template: &Template) -> Targets<'_> {
    let functions = template.functions.iter().map(|function| &*function.name);
    let queues = template.queues.iter().map(|queue| &*queue.name);
    Targets {
        functions: functions.collect(),
        queues: queues.collect(),
    }
}

async fn faults(State(inner): State<Arc<Inner>>) -> Response {
    Json(inner.faults.list()).into_response()
}

async fn clear_faults(State(inner): State<Arc<Inner>>) -> Response {
    Json(json!({"removed": inner.faults.clear()})).into_response()
}

async fn remove_fault(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> Response {
    if id.parse().is_ok_and(|id| inner.faults.remove(id)) {
        return Json(json!({"removed": 1})).into_response();
    }
    let message = format!("there is no fault {id}; GET /_local/faults lists all");
    refuse(StatusCode::NOT_FOUND, json!({"error": message}))
}

/// Ends the delays and visibility timeouts of a queue's messages.
async fn hurry(State(inner): State<Arc<Inner>>, Path(name): Path<String>) -> Response {
    match inner.sqs.hurry(&name) {
        Ok(hurried) => Json(json!({"queue": name, "hurried": hurried})).into_response(),
        Err(_) => {
            let names: Vec<_> = inner.sqs.counts().into_keys().collect();
            let message = format!("there is no queue {name}; there are {names:?}");
            refuse(StatusCode::NOT_FOUND, json!({"error": message}))
        }
    }
}

/// Runs the schedules of a function now, and answers when they have ended.
async fn run_schedules(State(inner): State<Arc<Inner>>, Path(function): Path<String>) -> Response {
    let runs = inner.run_schedules(Some(&function)).await;
    if runs.is_empty() {
        let scheduled = inner.template.functions.iter();
        let scheduled = scheduled.filter(|function| !function.schedules.is_empty());
        let names: Vec<_> = scheduled.map(|function| &function.name).collect();
        let message = format!("{function} has no schedule; those that have one: {names:?}");
        return refuse(StatusCode::NOT_FOUND, json!({"error": message}));
    }
    let runs: Vec<Value> = runs
        .into_iter()
        .map(|run| match run.outcome {
            Ok(_) => json!({"schedule": run.schedule, "succeeded": true}),
            Err(failure) => {
                json!({"schedule": run.schedule, "succeeded": false, "error": failure.to_string()})
            }
        })
        .collect();
    Json(json!({"function": function, "runs": runs})).into_response()
}

fn refuse(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_let_pass_in_seconds_and_never_back() {
        let check = |body: &str, expected: Result<f64, &str>| {
            let read = read_advance(body.as_bytes());
            match expected {
                Ok(seconds) => assert_eq!(read.unwrap().as_secs_f64(), seconds, "{body}"),
                Err(problem) => assert!(read.unwrap_err().contains(problem), "{body}"),
            }
        };
        check(r#"{"advance_s": 7200}"#, Ok(7200.0));
        check(r#"{"advance_s": 0.5}"#, Ok(0.5));
        for wrong in ["-1", "1e300", "\"soon\"", "null", "315360001"] {
            let body = format!(r#"{{"advance_s": {wrong}}}"#);
            check(&body, Err("a number of seconds from 0 to 315360000"));
        }
        check("{}", Err("advance_s must be"));
        check("[]", Err("advance_s must be"));
        check(
            r#"{"advance_s": 1, "advance_h": 1}"#,
            Err("advance_h is unknown"),
        );
        check("advance_s=1", Err("is not JSON"));
    }
}
