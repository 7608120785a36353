//! Applies faults to calls: a call can be delayed, refused, half done, or done without an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Response, StatusCode};
use http_body_util::{Full, Limited};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Aws, Call, MAXIMUM_BODY, respond};
use crate::AwsError;
use crate::faults::{CallMode, Kill, Met, answers};
use crate::lambda::Lambda;
use crate::service::Service;

/// A killed process closes its connections, which ends the call. If a connection stays open, the
/// call ends after this time.
const DEATH_TIMEOUT: Duration = Duration::from_secs(5);

/// Performs a call, unless a fault prevents it.
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
        // The process gets no answer, whatever the result is.
        let _ = meet(aws, &call, met, now).await;
        return Ok(die(aws, &call).await);
    }
    if met == Met::default() {
        return super::perform(aws, &call, now).await;
    }
    let running = aws.lambda.as_ref().map(Lambda::hold);
    let aws = Arc::clone(aws);
    // If the caller hangs up, the service still completes the work.
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
        Some(CallMode::FailPartially) if call.service == Service::DynamoDb => {
            leave_out_keys(aws, call).await
        }
        Some(CallMode::FailPartially) => fail_partially(aws, call).await,
        Some(CallMode::LoseResponse) => {
            // The answer is lost, whether the call succeeds or not.
            let _ = super::perform(aws, call, now).await;
            Ok(lost())
        }
    }
}

/// Every second entry of an SQS batch fails, beginning with the first, so that a batch of one
/// fails too.
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

/// BatchGetItem leaves out every second key, beginning with the first, as it does if a table lacks
/// capacity. If it can read none, it is throttled (API reference, BatchGetItem).
async fn leave_out_keys(aws: &Aws, call: &Call) -> Result<Response<Body>, AwsError> {
    let mut body = call.request()?;
    let mut left_out = Map::new();
    let mut index = 0;
    let tables = body["RequestItems"].as_object_mut();
    for (table, asked) in tables.into_iter().flatten() {
        let keys = asked["Keys"].as_array().cloned().unwrap_or_default();
        let (left, kept): (Vec<_>, Vec<_>) = keys.into_iter().partition(|_| {
            index += 1;
            index % 2 == 1
        });
        if !left.is_empty() {
            let mut rest = asked.clone();
            rest["Keys"] = left.into();
            left_out.insert(table.clone(), rest);
        }
        asked["Keys"] = kept.into();
    }
    if let Some(tables) = body["RequestItems"].as_object_mut() {
        tables.retain(|_, asked| asked["Keys"] != json!([]));
        if tables.is_empty() && !left_out.is_empty() {
            return Err(answers::throttling(call.service));
        }
    }
    let body = Bytes::from(body.to_string());
    let answered = aws.dynamodb.answer(&call.operation, &call.headers, body);
    let (head, body) = answered.await?.into_parts();
    let body = to_bytes(body, MAXIMUM_BODY).await.unwrap_or_default();
    let Some(mut answer) = serde_json::from_slice::<Value>(&body)
        .ok()
        .filter(|_| head.status == StatusCode::OK)
    else {
        return Ok(Response::from_parts(head, Body::from(body)));
    };
    // Whatever dynoxide itself has left out, after 16 MB, is named too.
    for (table, mut rest) in left_out {
        let own = answer["UnprocessedKeys"][&table]["Keys"]
            .as_array()
            .cloned();
        if let Some(keys) = rest["Keys"].as_array_mut() {
            keys.extend(own.unwrap_or_default());
        }
        answer["UnprocessedKeys"][&table] = rest;
    }
    Ok(respond(head.status, call.service.content_type(), &answer))
}

fn kill_of(aws: &Aws, call: &Call) -> Option<Kill> {
    let (function, process) = (call.function.as_deref()?, call.process?);
    // Calls that a process makes while it starts belong to no invocation.
    let serves = aws.lambda.as_ref()?.is_serving(function, process);
    serves.then(|| aws.faults.on_call_of(function, &call.body))?
}

/// Kills the calling process, and waits for the end of its connection, which also drops this
/// future.
async fn die(aws: &Aws, call: &Call) -> Response<Body> {
    if let (Some(lambda), Some(function), Some(process)) =
        (&aws.lambda, call.function.as_deref(), call.process)
        && lambda.kill_process(function, process)
    {
        tokio::time::sleep(DEATH_TIMEOUT).await;
    }
    lost()
}

/// Ends the connection without an answer. The body fails at once, so the head is never sent.
fn lost() -> Response<Body> {
    let longer_than_allowed = Full::new(Bytes::from_static(b"lost"));
    Response::new(Body::new(Limited::new(longer_than_allowed, 1)))
}
