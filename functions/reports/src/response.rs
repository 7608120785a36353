//! HTTP answers: JSON, CSV, and refusals.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response};
use reporting::refused::RETRY_AFTER_S;
use reporting::{Refused, Table};
use serde::Serialize;
use serving::Unserved;
use webhooks::steering::escaped;

/// Logs why a request gets no figures, and answers it.
pub(crate) fn refuse(refused: &Refused) -> Response<Body> {
    match refused {
        Refused::Unavailable(_) => tracing::error!("Not answered: {refused}"),
        _ => tracing::info!("Refused: {refused}"),
    }
    let mut response = json_response(&refused.body());
    *response.status_mut() = refused.status();
    let headers = response.headers_mut();
    match refused {
        Refused::Unauthorised(challenge) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        Refused::Unavailable(_) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        _ => {}
    }
    response
}

/// The answer if no route gave one.
pub(crate) fn unserved(unserved: Unserved) -> Response<Body> {
    refuse(&match unserved {
        Unserved::Unreadable => Refused::Unreadable,
        Unserved::TooLarge(bytes) => Refused::TooLarge(bytes),
        Unserved::Failed(error) => Refused::Unavailable(error),
    })
}

/// A JSON answer, in which no text can steer a terminal.
pub(crate) fn json_response(value: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_string(value).unwrap_or_default();
    text_response("application/json", escaped(&text).into_owned())
}

/// Figures change and need a token, so no cache may keep them.
pub(crate) fn text_response(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn csv(table: &Table) -> Response<Body> {
    text_response("text/csv; charset=utf-8", table.csv())
}

/// One page of a list as CSV, which has no place for a cursor: a header holds it.
pub(crate) fn csv_page(table: &Table, next: Option<String>) -> Response<Body> {
    let mut response = csv(table);
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        response.headers_mut().insert("x-next-cursor", next);
    }
    response
}
