//! What a function tells: log lines in Lambda's format, and counts as CloudWatch metrics within the log.

use std::io::Write;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::json;

use crate::steering::escaped;

/// The CloudWatch namespace of every count.
pub const NAMESPACE: &str = "CouponWebhooks";

/// The function that counts.
static FUNCTION: OnceLock<String> = OnceLock::new();

/// Starts logging and counting, in the format and at the level that the function's `LoggingConfig` asks for.
pub fn start() {
    FUNCTION.get_or_init(|| std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default());
    lambda_runtime::tracing::init_default_subscriber_with_writer(|| Harmless(std::io::stdout()));
    // A panic's message may quote what it panicked over; its place tells enough.
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => tracing::error!("panicked at {}:{}", place.file(), place.line()),
        None => tracing::error!("panicked"),
    }));
}

/// Takes out of a line what could steer whoever shows it: names of events and types come from outside.
struct Harmless<W>(W);

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // The subscriber writes a line at once.
        let text = String::from_utf8_lossy(line);
        self.0.write_all(escaped(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
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
    println!("{}", escaped(&line.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_turn_the_text_around() {
        let mut log = Vec::new();
        let line = "{\"event.kind\":\"x\u{202E}y\u{9B}2J\"}\n";
        Harmless(&mut log).write_all(line.as_bytes()).unwrap();
        let expected = "{\"event.kind\":\"x\\u202ey\\u009b2J\"}\n";
        assert_eq!(String::from_utf8(log).unwrap(), expected);
    }
}
