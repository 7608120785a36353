//! The answers of a webhook function. `docs/answers.md` describes them.

use serde::Serialize;
use serde_json::json;

use crate::ledger::body::BODY_MAX_BYTES;
use crate::problem::Problem;
use crate::secrets::Undecided;
use crate::verify::Unverified;

/// When a provider should try again after a 503, in seconds.
const RETRY_AFTER_S: u32 = 30;

/// The answers if the event is durable, or need not be.
#[derive(Debug)]
pub(super) enum Accepted {
    New(String, Vec<Problem>),
    /// Durable, and recorded once DynamoDB works again.
    Waiting(String, Vec<Problem>),
    Duplicate(String, Vec<Problem>),
    Ignored(String),
}

/// The answers if the request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejection {
    #[error("unverified: {0}")]
    Unverified(#[from] Unverified),
    #[error("{} problems in the payload", .0.len())]
    Invalid(Vec<Problem>),
    #[error("{0} is recorded with other contents")]
    Conflict(String),
    #[error("a body of {0} bytes")]
    TooLarge(usize),
    #[error("a body that is compressed")]
    Compressed,
    /// The signature may be good, but cannot be checked now.
    #[error("undecided: {0}")]
    Undecided(Undecided),
    #[error("{0:#}")]
    Unavailable(#[from] anyhow::Error),
}

impl From<Undecided> for Rejection {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Unanswered => Self::Unavailable(undecided.into()),
            Undecided::TooMany => Self::Undecided(undecided),
        }
    }
}

/// An answer as API Gateway and function URLs take it, in both payload formats.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
    headers: serde_json::Value,
    body: String,
}

impl From<Result<Accepted, Rejection>> for Answer {
    fn from(outcome: Result<Accepted, Rejection>) -> Self {
        let (status_code, body) = match &outcome {
            Ok(Accepted::New(key, warnings) | Accepted::Waiting(key, warnings)) => {
                (200, taken("accepted", key, warnings))
            }
            Ok(Accepted::Duplicate(key, warnings)) => (200, taken("duplicate", key, warnings)),
            Ok(Accepted::Ignored(kind)) => (202, json!({"status": "ignored", "type": kind})),
            Err(rejection) => {
                let (status_code, mut error) = describe(rejection);
                if let Rejection::Invalid(problems) = rejection {
                    error["problems"] = json!(problems);
                }
                (status_code, json!({"error": error}))
            }
        };
        let mut headers = json!({"content-type": "application/json"});
        match status_code {
            503 => headers["retry-after"] = json!(RETRY_AFTER_S.to_string()),
            // The coding that is understood (RFC 9110, 15.5.16).
            415 => headers["accept-encoding"] = json!("identity"),
            _ => {}
        }
        Self {
            status_code,
            headers,
            body: body.to_string(),
        }
    }
}

fn taken(status: &str, key: &str, warnings: &[Problem]) -> serde_json::Value {
    let mut body = json!({"status": status, "event": key});
    if !warnings.is_empty() {
        body["warnings"] = json!(warnings);
    }
    body
}

fn describe(rejection: &Rejection) -> (u16, serde_json::Value) {
    let (status_code, code, message) = match rejection {
        Rejection::Invalid(_) => (
            400,
            "invalid_payload",
            "The payload is not valid; see problems.".to_owned(),
        ),
        Rejection::Unverified(_) => (
            401,
            "invalid_signature",
            "The signature is missing, malformed, wrong or too old.".to_owned(),
        ),
        Rejection::Conflict(key) => (
            409,
            "conflicting_payload",
            format!("{key} was received before with other contents; those stand."),
        ),
        Rejection::TooLarge(_) => (
            413,
            "payload_too_large",
            format!("The body is longer than {BODY_MAX_BYTES} bytes."),
        ),
        Rejection::Compressed => (
            415,
            "unsupported_encoding",
            "The body is compressed; send it as it was signed, without Content-Encoding."
                .to_owned(),
        ),
        Rejection::Undecided(_) => (
            503,
            "unavailable",
            format!("The signature cannot be judged now; send it again in {RETRY_AFTER_S} s."),
        ),
        Rejection::Unavailable(_) => (
            503,
            "unavailable",
            format!("The event could not be stored; send it again in {RETRY_AFTER_S} s."),
        ),
    };
    (status_code, json!({"code": code, "message": message}))
}
