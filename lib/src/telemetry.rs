//! What a function tells: log lines in Lambda's format, and counts as CloudWatch metrics within the log.

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::json;

/// The CloudWatch namespace of every count.
pub const NAMESPACE: &str = "CouponWebhooks";

/// The function that counts.
static FUNCTION: OnceLock<String> = OnceLock::new();

/// Starts logging and counting, in the format and at the level that the function's `LoggingConfig` asks for.
pub fn start() {
    FUNCTION.get_or_init(|| std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default());
    lambda_runtime::tracing::init_default_subscriber();
    // A panic's message may quote what it panicked over; its place tells enough.
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => tracing::error!("panicked at {}:{}", place.file(), place.line()),
        None => tracing::error!("panicked"),
    }));
}

/// Something worth counting, per function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Accepted,
    /// Taken while DynamoDB refused; waits on the retry queue.
    SetAside,
    Duplicate,
    Ignored,
    InvalidPayload,
    InvalidSignature,
    /// Wrong by every secret that is known, while too many are for the secret store to be asked about each.
    UndecidedSignature,
    StaleSignature,
    ConflictingPayload,
    /// A recorded body that this code cannot read stood against another body.
    UnreadableRecord,
    PayloadTooLarge,
    CompressedPayload,
    Unavailable,
    TaskDone,
    /// To be tried again.
    TaskFailed,
    /// Went to the dead-letter queue.
    TaskGivenUp,
    /// Nobody was told: SNS does not take the alert, which its record says.
    AlertFailed,
}

/// Counts one, in CloudWatch's embedded metric format: no call, no permission, one line of the log. Only a function
/// that has started has a log.
pub fn count(what: Count) {
    let Some(function) = FUNCTION.get() else {
        return;
    };
    let name = format!("{what:?}");
    let mut line = json!({
        "_aws": {
            "Timestamp": Timestamp::now().as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Function"]],
                "Metrics": [{"Name": name, "Unit": "Count"}],
            }],
        },
        "Function": function,
    });
    line[name] = json!(1);
    println!("{line}");
}
