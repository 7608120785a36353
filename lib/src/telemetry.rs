//! A function's log lines, in Lambda's format, and its counts: CloudWatch metrics within the log.
//!
//! Lambda filters JSON lines by their level. Lambda treats a line without a `level`, or without an
//! RFC 3339 `timestamp`, as INFO, whatever the line says
//! (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>). So
//! each line has both. Only the line of an ordinary event has neither: that line is an INFO without
//! a spare byte, because logs cost more than a function's time.

use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock;
use crate::steering::escaped;

/// The CloudWatch namespace of every count.
pub const NAMESPACE: &str = "CouponWebhooks";

/// The facts about the function that a count needs.
static FUNCTION: OnceLock<Function> = OnceLock::new();

#[derive(Debug)]
struct Function {
    name: String,
    level: LevelFilter,
    /// Whether the function's log lines are JSON.
    is_json: bool,
}

/// Starts logging and counting, in the format and at the level of the function's `LoggingConfig`.
/// Before that, [`count`] and [`measure`] do nothing.
pub fn start() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let level = level_of(&["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].map(variable));
    let is_json = variable("AWS_LAMBDA_LOG_FORMAT").eq_ignore_ascii_case("json");
    FUNCTION.get_or_init(|| Function {
        name: variable("AWS_LAMBDA_FUNCTION_NAME"),
        level,
        is_json,
    });
    if is_json {
        // Only a second call fails, and then the lines are set up already.
        let _ = tracing::subscriber::set_global_default(json_lines(level, || {
            Harmless(std::io::stdout())
        }));
    } else {
        let lines = tracing_subscriber::fmt()
            .with_target(false)
            .without_time()
            .with_writer(|| Harmless(std::io::stdout()));
        let _ = lines.with_max_level(level).try_init();
    }
    // A panic's message may quote contents, so only its place is logged.
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => tracing::error!("panicked at {}:{}", place.file(), place.line()),
        None => tracing::error!("panicked"),
    }));
}

/// The level that the first readable setting names; INFO if none does. Empty settings are left out,
/// because an empty text would parse as ERROR.
fn level_of(settings: &[String]) -> LevelFilter {
    let mut settings = settings.iter().filter(|setting| !setting.is_empty());
    let level = settings.find_map(|setting| setting.parse().ok());
    level.unwrap_or(LevelFilter::INFO)
}

/// Escapes the characters of a line that could steer its display, because names of events and types
/// come from outside.
struct Harmless<W>(W);

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // The subscriber writes a whole line at once.
        let text = String::from_utf8_lossy(line);
        self.0.write_all(escaped(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn json_lines<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().json().with_target(false);
    let lines = lines.with_timer(Rfc3339).with_max_level(level);
    lines.with_writer(writer).finish()
}

/// The time of a log line, as Lambda reads it.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        write!(line, "{:.3}", clock::now())
    }
}

/// An occurrence that is counted, per function. The variant's name is the metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A new event was recorded (200).
    Accepted,
    /// DynamoDB refused an event, which now waits on the retry queue (200).
    SetAside,
    /// An event had been recorded before, with the same contents (200).
    Duplicate,
    /// An optional field of an event that got a 200 was left out or mended. This counts beside the
    /// event's own count.
    Warned,
    /// A verified event has a type that this URL does not handle (202).
    Ignored,
    /// No event can be read in a verified body (400).
    InvalidPayload,
    /// A signature is missing, malformed or wrong, or its secret belongs to another tenant (401).
    InvalidSignature,
    /// No known secret gives the signature, and too many signatures are wrong to ask the secret
    /// store about each (503).
    UndecidedSignature,
    /// A signature is good, and too old or too far in the future (401).
    StaleSignature,
    /// An event contradicts the recorded one with the same key (409).
    ConflictingPayload,
    /// A second body came for a recorded body that this code cannot read.
    UnreadableRecord,
    /// A body is longer than 256 KiB (413).
    PayloadTooLarge,
    /// A body is compressed, so its signature or its contents cannot be read (415).
    CompressedPayload,
    /// An event could not be taken now: DynamoDB and SQS refused it, the secret store did not
    /// answer, or the function panicked or was too slow (503).
    Unavailable,
    /// A task's message is done.
    TaskDone,
    /// A task's message failed and will be retried.
    TaskFailed,
    /// A task's message went to the dead-letter queue.
    TaskGivenUp,
    /// SNS refused an alert, and nobody was alerted. The alert's record, or the product's row,
    /// gives the reason.
    AlertFailed,
}

/// Counts one occurrence in CloudWatch's embedded metric format: one line of the log, without a
/// call or a permission. Without [`start`], nothing is counted.
pub fn count(what: Count) {
    let Some(function) = FUNCTION.get() else {
        return;
    };
    println!("{}", metric(what, function, clock::now()));
}

/// A number that is measured from time to time, per function. The variant's name is the metric's
/// name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// How many counters of the figures differ from the recorded events.
    FiguresDrift,
}

/// Reports a number in the format of [`count`].
pub fn measure(what: Measure, value: u64) {
    let Some(function) = FUNCTION.get() else {
        return;
    };
    let name = format!("{what:?}");
    println!("{}", metric_line(&name, value, function, clock::now()));
}

/// The outcome of one event, logged and counted at once.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// How bad the outcome is. At INFO, a JSON line leaves out `message` to be short.
    pub level: Level,
    /// The metrics that the outcome raises by 1.
    pub counts: &'a [Count],
    /// A sentence for people: reasons, never contents.
    pub message: &'a str,
    /// Fields by their dotted names, such as `event.key`: keys and names of fields, never contents.
    pub fields: &'a [(&'a str, &'a str)],
}

impl Outcome<'_> {
    /// Logs and counts the outcome: in one line if lines are JSON, else in a line for people and
    /// one line for each count.
    pub fn write(&self) {
        let Some(function) = FUNCTION.get() else {
            return;
        };
        if function.is_json {
            println!("{}", self.line(function, clock::now()));
            return;
        }
        let fields = self.fields.iter();
        let fields: String = fields
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        match self.level {
            Level::ERROR => tracing::error!("{}{fields}", self.message),
            Level::WARN => tracing::warn!("{}{fields}", self.message),
            _ => tracing::info!("{}{fields}", self.message),
        }
        self.counts.iter().for_each(|what| count(*what));
    }

    /// Log and metrics in one line. If nothing is wrong, the metric's name says what happened.
    fn line(&self, function: &Function, now: Timestamp) -> String {
        let is_logged = self.level <= function.level;
        let mut line = Map::new();
        for what in self.counts {
            line.insert(format!("{what:?}"), json!(1));
        }
        let own = self.fields.iter();
        let own = own.map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        if is_logged && self.level == Level::INFO {
            line.extend(own);
        } else {
            // The metrics must be kept, even if the log is not.
            let level = match is_logged {
                true => self.level.to_string(),
                false => function.level.to_string().to_uppercase(),
            };
            line.insert("timestamp".into(), format!("{now:.3}").into());
            line.insert("level".into(), level.into());
            if is_logged {
                let message = ("message".to_owned(), self.message.into());
                let fields: Map<_, _> = std::iter::once(message).chain(own).collect();
                line.insert("fields".into(), fields.into());
            }
        }
        line.insert("Function".into(), function.name.as_str().into());
        let names: Vec<_> = self.counts.iter().map(|it| format!("{it:?}")).collect();
        line.insert("_aws".into(), directive(&names, now));
        escaped(&Value::from(line).to_string()).to_string()
    }
}

/// The directive that names the metrics of a line for CloudWatch.
fn directive(names: &[String], now: Timestamp) -> Value {
    let names = names.iter();
    let names: Vec<_> = names.map(|name| json!({"Name": name})).collect();
    json!({
        "Timestamp": now.as_millisecond(),
        "CloudWatchMetrics": [{
            "Namespace": NAMESPACE,
            "Dimensions": [["Function"]],
            "Metrics": names,
        }],
    })
}

/// The line of one occurrence. The line has the function's own level, which Lambda always keeps. So
/// a function at level ERROR counts too. The local system knows by the beginning `_aws` that a line
/// is only for CloudWatch.
fn metric(what: Count, function: &Function, now: Timestamp) -> String {
    metric_line(&format!("{what:?}"), 1, function, now)
}

fn metric_line(name: &str, value: u64, function: &Function, now: Timestamp) -> String {
    let mut line = json!({
        "_aws": directive(&[name.to_owned()], now),
        "timestamp": format!("{now:.3}"),
        "level": function.level.to_string().to_uppercase(),
        "Function": function.name,
    });
    line[name] = json!(value);
    escaped(&line.to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Whether Lambda keeps a line at a level, by its page on log-level filtering.
    fn is_kept(line: &str, level: Level) -> bool {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str();
        let has_time = text("timestamp").is_some_and(|at| at.parse::<Timestamp>().is_ok());
        let own = text("level").and_then(|level| level.parse().ok());
        own.filter(|_| has_time).unwrap_or(Level::INFO) <= level
    }

    const LEVELS: [Level; 4] = [Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];

    #[test]
    fn lambda_keeps_every_line_that_a_level_asks_for() {
        for level in LEVELS {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = json_lines(level.into(), move || writer.clone());
            tracing::subscriber::with_default(subscriber, || {
                tracing::error!(event.key = "zupy#c#CP-1/redeemed", "an error");
                tracing::warn!("a warning");
                tracing::info!("a piece of information");
                tracing::debug!("a detail");
            });
            let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            let expected = LEVELS.iter().filter(|own| **own <= level).count();
            assert_eq!(lines.lines().count(), expected, "{level}: {lines}");
            for line in lines.lines() {
                assert!(is_kept(line, level), "{level}: {line}");
            }
        }
    }

    #[test]
    fn the_level_is_info_unless_a_setting_names_one() {
        let check = |settings: &[&str], expected: LevelFilter| {
            let settings: Vec<_> = settings.iter().map(|&it| it.to_owned()).collect();
            assert_eq!(level_of(&settings), expected, "{settings:?}");
        };
        check(&["", ""], LevelFilter::INFO);
        check(&["WARN", "debug"], LevelFilter::WARN);
        check(&["", "debug"], LevelFilter::DEBUG);
        check(&["loud", "webhooks=trace"], LevelFilter::INFO);
    }

    #[test]
    fn lambda_keeps_metrics_at_every_level() {
        for level in LEVELS {
            let function = Function {
                level: level.into(),
                ..function()
            };
            let line = metric(Count::ConflictingPayload, &function, Timestamp::UNIX_EPOCH);
            assert!(is_kept(&line, level), "{level}: {line}");
            assert!(line.len() < 350, "{} bytes: {line}", line.len());
            assert!(line.starts_with(r#"{"_aws""#), "{line}");
            for own in LEVELS {
                let line =
                    outcome(own, &[("event.key", "k")]).line(&function, Timestamp::UNIX_EPOCH);
                assert!(is_kept(&line, level), "{own} at {level}: {line}");
                let parsed: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(parsed["Accepted"], 1);
                let key = match own {
                    Level::INFO => &parsed["event.key"],
                    _ => &parsed["fields"]["event.key"],
                };
                assert_eq!(key == "k", own <= level, "{line}");
            }
        }
    }

    /// With the longest name that CloudFormation gives one of the functions.
    fn function() -> Function {
        Function {
            name: "coupons-AghanimCouponRedeemedFunction-0123456789ab".into(),
            level: LevelFilter::INFO,
            is_json: true,
        }
    }

    fn outcome<'a>(level: Level, fields: &'a [(&'a str, &'a str)]) -> Outcome<'a> {
        Outcome {
            level,
            counts: &[Count::Accepted],
            message: "Accepted",
            fields,
        }
    }

    /// docs/performance.md names the price of such a line.
    #[test]
    fn an_ordinary_event_takes_one_line_of_less_than_300_bytes() {
        for key in [
            "zupy#comp_bella_vista#CP-A1B2C3D4/redeemed",
            "zupy#comp_bella_vista#CP-A1B2C3D4/used#ord_POS_789",
            "aghanim#gm_exTAyxPsVwh#idmpt_aXRlbV90ZXN0X2tleQ/redeemed",
        ] {
            let line = outcome(Level::INFO, &[("event.key", key)]).line(&function(), clock::now());
            assert!(line.len() < 300, "{} bytes: {line}", line.len());
            let parsed: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(parsed["event.key"], key);
            assert_eq!(parsed["Function"], function().name);
            let metrics = &parsed["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(metrics["Namespace"], NAMESPACE);
            assert_eq!(metrics["Dimensions"], json!([["Function"]]));
            assert_eq!(metrics["Metrics"], json!([{"Name": "Accepted"}]));
        }
    }

    #[test]
    fn a_log_line_cannot_reverse_the_text() {
        let mut log = Vec::new();
        let line = "{\"event.kind\":\"x\u{202E}y\u{9B}2J\"}\n";
        Harmless(&mut log).write_all(line.as_bytes()).unwrap();
        let expected = "{\"event.kind\":\"x\\u202ey\\u009b2J\"}\n";
        assert_eq!(String::from_utf8(log).unwrap(), expected);
    }
}
