//! Answers requests by calling dynoxide directly, without its server.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JSON;
use crate::AwsError;

pub(super) fn answer(
    database: &Database,
    operation: &str,
    body: &[u8],
) -> Result<Response<Body>, AwsError> {
    let outcome = match operation {
        "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
        "DeleteItem" => call(body, |request| database.delete_item(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        "PutItem" => call(body, |request| database.put_item(request)),
        "Query" => call(body, |request| database.query(request)),
        "Scan" => call(body, |request| database.scan(request)),
        "TransactGetItems" => call(body, |request| database.transact_get_items(request)),
        "TransactWriteItems" => call(body, |request| database.transact_write_items(request)),
        "UpdateItem" => call(body, |request| database.update_item(request)),
        other => Err((
            400,
            format!(
                r#"{{"__type":"UnknownOperationException","message":"{other} is not served without a server"}}"#
            ),
        )),
    };
    let (status, body) = match outcome {
        Ok(answer) => (200, answer),
        Err(refusal) => refusal,
    };
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let json = HeaderValue::from_static(JSON);
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(answer)
}

fn call<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    act: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> Result<String, (u16, String)> {
    let request = serde_json::from_slice(body).map_err(|error| {
        let error = DynoxideError::SerializationException(error.to_string());
        (error.status_code(), error.to_json())
    })?;
    let answer = act(request).map_err(|error| (error.status_code(), error.to_json()))?;
    Ok(serde_json::to_string(&answer).expect("every answer can be written as JSON"))
}
