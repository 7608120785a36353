//! Why a function refuses a request, and the answer, in the form of the webhooks' errors.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::said::Said;

/// When a client should try again after a 503, in seconds.
pub const RETRY_AFTER_S: &str = "5";

/// The longest part of a parameter's value that an answer repeats, in characters.
const REPEATED_MAX: usize = 64;

/// A problem with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The parameter's name.
    pub field: String,
    /// The parameter's value, cut if it is long.
    pub value: String,
    /// The allowed values, in English as programs get it.
    pub problem: String,
    /// The same for readers of Portuguese.
    #[serde(skip)]
    pub portuguese: String,
}

impl Problem {
    pub fn new(field: &str, value: &str, problem: Said) -> Self {
        let cut = |text: &str| match text.char_indices().nth(REPEATED_MAX) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text.to_owned(),
        };
        Self {
            field: cut(field),
            value: cut(value),
            problem: problem.english.into_owned(),
            portuguese: problem.portuguese.into_owned(),
        }
    }
}

/// Why a request gets no figures.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{} problems in the parameters", .0.len())]
    Invalid(Vec<Problem>),
    /// The request has no token, or no valid one.
    #[error("unauthorised: {0}")]
    Unauthorised(&'static str),
    #[error("there is no {what}")]
    NotFound { what: &'static str, hint: String },
    #[error("an answer of {0} bytes")]
    TooLarge(usize),
    #[error("a request that cannot be read")]
    Unreadable,
    #[error("{0:#}")]
    Unavailable(#[from] anyhow::Error),
}

impl Refused {
    pub fn not_found(what: &'static str, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        Self::NotFound { what, hint }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Unauthorised(_) => StatusCode::UNAUTHORIZED,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn body(&self) -> Value {
        let (code, message) = match self {
            Self::Invalid(_) => (
                "invalid_parameters",
                "The parameters are not valid; see problems.".to_owned(),
            ),
            Self::Unauthorised(_) => (
                "unauthorised",
                "Send a valid token: `Authorization: Bearer <token>`.".to_owned(),
            ),
            Self::NotFound { what, hint } => ("not_found", format!("There is no {what}{hint}.")),
            Self::TooLarge(_) => (
                "answer_too_large",
                "The answer is longer than Lambda can give: ask for fewer days, one tenant, or a \
                 lower limit."
                    .to_owned(),
            ),
            Self::Unreadable => ("invalid_request", "The request cannot be read.".to_owned()),
            Self::Unavailable(_) => (
                "unavailable",
                format!("The figures cannot be read now; try again in {RETRY_AFTER_S} s."),
            ),
        };
        let mut error = json!({"code": code, "message": message});
        if let Self::Invalid(problems) = self {
            error["problems"] = json!(problems);
        }
        json!({"error": error})
    }
}
