//! Controls of the running system, below `/_local`: sets faults, runs schedules now, and ends the
//! waits of messages.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::faults::{Fault, Known};
use crate::system::Inner;

pub(crate) fn router() -> Router<Arc<Inner>> {
    let faults = post(add_fault).get(faults).delete(clear_faults);
    Router::new()
        .route("/_local/faults", faults)
        .route("/_local/faults/{id}", delete(remove_fault))
        .route("/_local/queues/{name}/hurry", post(hurry))
        .route("/_local/schedules/{function}", post(run_schedules))
}

/// Reads the body whatever its declared type: `curl -d` declares a form.
async fn add_fault(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let value: Value = match serde_json::from_slice(&body) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("the body is not JSON: {error}");
            return refuse(StatusCode::BAD_REQUEST, json!({"error": message}));
        }
    };
    match Fault::read(&value, &Known::of(&inner.template)) {
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
