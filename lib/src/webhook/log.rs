//! The log line and the counts of a request.

use tracing::Level;

use super::answer::{Accepted, Rejection};
use crate::problem::Problem;
use crate::telemetry::{Count, Outcome};
use crate::verify::Unverified;

/// Logs and counts the outcome of a request, in one line: keys and reasons, never contents.
pub(super) fn log_outcome(outcome: &Result<Accepted, Rejection>) {
    match outcome {
        Ok(Accepted::New(key, warnings)) => {
            log_accepted(Count::Accepted, "Accepted", key, warnings)
        }
        Ok(Accepted::Waiting(key, warnings)) => {
            log_accepted(Count::SetAside, "Set aside", key, warnings);
        }
        Ok(Accepted::Duplicate(key, warnings)) => {
            log_accepted(Count::Duplicate, "Seen before", key, warnings);
        }
        Ok(Accepted::Ignored(kind)) => {
            let kind: String = kind.chars().take(64).collect();
            Outcome {
                level: Level::INFO,
                counts: &[Count::Ignored],
                message: "Not a type that this URL handles",
                fields: &[("event.kind", &kind)],
            }
            .write();
        }
        Err(rejection) => log_rejected(rejection),
    }
}

fn log_accepted(what: Count, message: &str, key: &str, warnings: &[Problem]) {
    if warnings.is_empty() {
        Outcome {
            level: Level::INFO,
            counts: &[what],
            message,
            fields: &[("event.key", key)],
        }
        .write();
        return;
    }
    Outcome {
        level: Level::WARN,
        counts: &[what, Count::Warned],
        message: &format!("{message}, with fields that were left out or mended"),
        fields: &[("event.key", key), ("payload.fields", &names(warnings))],
    }
    .write();
}

fn log_rejected(rejection: &Rejection) {
    let what = match rejection {
        Rejection::Unverified(Unverified::Stale { .. } | Unverified::Future { .. }) => {
            Count::StaleSignature
        }
        Rejection::Unverified(_) => Count::InvalidSignature,
        Rejection::Invalid(_) => Count::InvalidPayload,
        Rejection::Conflict(_) => Count::ConflictingPayload,
        Rejection::TooLarge(_) => Count::PayloadTooLarge,
        Rejection::Compressed => Count::CompressedPayload,
        Rejection::Undecided(_) => Count::UndecidedSignature,
        Rejection::Unavailable(_) => Count::Unavailable,
    };
    let (level, message) = match rejection {
        Rejection::Unavailable(_) => (Level::ERROR, format!("Not taken: {rejection}")),
        _ => (Level::WARN, format!("Refused: {rejection}")),
    };
    let names = match rejection {
        Rejection::Invalid(problems) => Some(names(problems)),
        _ => None,
    };
    let fields = names.as_ref().map(|it| ("payload.fields", it.as_str()));
    Outcome {
        level,
        counts: &[what],
        message: &message,
        fields: fields.as_slice(),
    }
    .write();
}

fn names(problems: &[Problem]) -> String {
    let names: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
    names.join(" ")
}
