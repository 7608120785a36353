//! Calls that meet a fault: delayed, refused, half done, or done without an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use http_body_util::{Full, Limited};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Aws, Call, respond};
use crate::AwsError;
use crate::faults::{CallMode, Kill, Met, answers};
use crate::lambda::Lambda;

/// A killed process takes its connections with it, and with them the call. Where it does not, the call ends after this.
const DEATH_TIMEOUT: Duration = Duration::from_secs(5);

/// Does the work of a call, unless a fault is in its way.
pub(super) async fn perform(
    aws: &Arc<Aws>,
    call: Call,
    now: Timestamp,
) -> Result<Response<Body>, AwsError> {
    let kill = kill_of(aws, &call);
    if kill == Some(Kill::BeforeTheCall) {
        return Ok(die(aws, &call).await);
    }
    let function = call.function.as_deref();
    let met = aws
        .faults
        .on_call(call.service, &call.operation, function, &call.body);
    if kill.is_some() {
        // Whatever came of it, the process does not hear of it.
        let _ = meet(aws, &call, met, now).await;
        return Ok(die(aws, &call).await);
    }
    if met == Met::default() {
        return super::perform(aws, &call, now).await;
    }
    let running = aws.lambda.as_ref().map(Lambda::hold);
    let aws = Arc::clone(aws);
    // A caller that hangs up does not stop what a service has begun.
    let work = tokio::spawn(async move {
        let answer = meet(&aws, &call, met, now).await;
        drop(running);
        answer
    });
    work.await.unwrap_or_else(|_| Ok(lost()))
}

async fn meet(
    aws: &Aws,
    call: &Call,
    met: Met,
    now: Timestamp,
) -> Result<Response<Body>, AwsError> {
    tokio::time::sleep(met.delay).await;
    match met.mode {
        None | Some(CallMode::Delay(_)) => super::perform(aws, call, now).await,
        Some(CallMode::Fail) => Err(answers::failure(call.service)),
        Some(CallMode::FailWith(status)) => Err(answers::chosen(status)),
        Some(CallMode::Refuse(refusal)) => Err(refusal.answer()),
        Some(CallMode::Throttle) => Err(answers::throttling(call.service)),
        Some(CallMode::Conflict) => {
            let body = answers::conflict(&call.operation, &call.request()?);
            let content_type = call.service.content_type();
            Ok(respond(StatusCode::BAD_REQUEST, content_type, &body))
        }
        Some(CallMode::FailPartially) => fail_partially(aws, call).await,
        Some(CallMode::LoseResponse) => {
            // A refusal is lost like a success.
            let _ = super::perform(aws, call, now).await;
            Ok(lost())
        }
    }
}

/// Every second entry fails, beginning with the first: also a batch of one is hit.
async fn fail_partially(aws: &Aws, call: &Call) -> Result<Response<Body>, AwsError> {
    let mut body = call.request()?;
    let entries = body["Entries"].as_array().cloned().unwrap_or_default();
    let (failing, passing): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .enumerate()
        .partition(|(index, _)| index % 2 == 0);
    let mut answer = json!({"Successful": []});
    if !passing.is_empty() || failing.is_empty() {
        let passing: Vec<Value> = passing.into_iter().map(|(_, entry)| entry).collect();
        body["Entries"] = passing.into();
        answer = aws.sqs.handle(&call.operation, &body).await?;
    }
    let mut failed = answer["Failed"].as_array().cloned().unwrap_or_default();
    failed.extend(
        failing
            .iter()
            .map(|(_, entry)| answers::failed_entry(entry)),
    );
    answer["Failed"] = failed.into();
    Ok(respond(
        StatusCode::OK,
        call.service.content_type(),
        &answer,
    ))
}

fn kill_of(aws: &Aws, call: &Call) -> Option<Kill> {
    let (function, process) = (call.function.as_deref()?, call.process?);
    // Calls that a process makes while it starts belong to no invocation.
    let serves = aws.lambda.as_ref()?.is_serving(function, process);
    serves.then(|| aws.faults.on_call_of(function, &call.body))?
}

/// Kills the process that calls, and waits for the end of its connection, with which this future ends too.
async fn die(aws: &Aws, call: &Call) -> Response<Body> {
    if let (Some(lambda), Some(function), Some(process)) =
        (&aws.lambda, call.function.as_deref(), call.process)
        && lambda.kill_process(function, process)
    {
        tokio::time::sleep(DEATH_TIMEOUT).await;
    }
    lost()
}

/// Ends the connection without an answer: a body that fails at once fails the head with it, which is not sent before.
fn lost() -> Response<Body> {
    let longer_than_allowed = Full::new(Bytes::from_static(b"lost"));
    Response::new(Body::new(Limited::new(longer_than_allowed, 1)))
}
