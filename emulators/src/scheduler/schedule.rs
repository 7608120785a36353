//! One schedule: read from a request with AWS's checks, and described in answers.

use std::hash::Hasher;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::validation;
use crate::AwsError;

/// In characters (API reference).
const NAME_MAX: usize = 64;
const DESCRIPTION_MAX: usize = 512;
const CLIENT_TOKEN_MAX: usize = 64;
const GROUP_ID_MAX: usize = 128;
/// In bytes (EventBridge Scheduler's quotas).
const INPUT_MAX: usize = 256 * 1024;
/// The limits of a retry policy, which are also its defaults (API reference, RetryPolicy).
const ATTEMPTS_MAX: u32 = 185;
const AGE_S: std::ops::RangeInclusive<u32> = 60..=86_400;
/// The minutes of a flexible window (API reference, FlexibleTimeWindow).
const WINDOW_MIN: std::ops::RangeInclusive<u32> = 1..=1_440;

/// A schedule's name is unique within its group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) group: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(group: &str, name: &str) -> Key {
        Key {
            group: group.to_owned(),
            name: name.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    pub(super) key: Key,
    /// The request's settings with their defaults, for GetSchedule.
    pub(super) settings: Map<String, Value>,
    pub(super) target: Target,
    pub(super) client_token: Option<String>,
    pub(super) created_ms: i64,
    pub(super) modified_ms: i64,
    /// The time in the schedule's expression.
    pub(super) scheduled_ms: i64,
    /// The time of the next call; `None` after the last call, or for a disabled schedule.
    pub(super) next_ms: Option<i64>,
    pub(super) failures: u32,
}

/// The queue that gets the message, and the handling of failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) arn: String,
    pub(super) role_arn: String,
    pub(super) input: String,
    pub(super) message_group_id: Option<String>,
    /// How many retries a failed call gets.
    pub(super) attempts_max: u32,
    /// How long after its time the scheduler retries a call.
    pub(super) age_max_s: u32,
    pub(super) dead_letter_arn: Option<String>,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    ///
    /// What AWS would refuse, and what the local system does not support.
    pub(super) fn read(key: Key, request: &Value, now: Timestamp) -> Result<Schedule, AwsError> {
        let expression = needed_text(request, "ScheduleExpression")?;
        let zone = match optional_text(request, "ScheduleExpressionTimezone")? {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|_| validation(format!("Invalid Schedule Expression Timezone {name}.")))?,
        };
        let at = read_at(expression, zone)?;
        if at < now {
            return Err(validation(format!(
                "Invalid Schedule Expression {expression}. The local system refuses a time \
                 that has passed; it is {now:.0}."
            )));
        }
        let window_min = window_min(request)?;
        let state = one_of(request, "State", &["ENABLED", "DISABLED"])?;
        one_of(request, "ActionAfterCompletion", &["NONE", "DELETE"])?;
        let target = Target::read(request)?;
        bounded_text(request, "Description", 0..=DESCRIPTION_MAX)?;
        let client_token = bounded_text(request, "ClientToken", 1..=CLIENT_TOKEN_MAX)?;
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if client_token.is_some_and(|token| !token.chars().all(is_legal)) {
            return Err(validation(
                "ClientToken must have letters, digits, '-' and '_' alone.".to_owned(),
            ));
        }
        let now_ms = now.as_millisecond();
        let scheduled_ms = at.as_millisecond();
        let called_ms = scheduled_ms + delay_ms(&key, window_min);
        Ok(Schedule {
            key,
            settings: settings(request, &target),
            target,
            client_token: client_token.map(str::to_owned),
            created_ms: now_ms,
            modified_ms: now_ms,
            scheduled_ms,
            next_ms: (state == "ENABLED").then_some(called_ms),
            failures: 0,
        })
    }

    pub(super) fn state(&self) -> &str {
        self.settings["State"].as_str().unwrap_or_default()
    }

    pub(super) fn deletes_itself(&self) -> bool {
        self.settings["ActionAfterCompletion"] == "DELETE"
    }

    /// Whether the schedule's target failed, and gets another call.
    pub(super) fn is_retried(&self) -> bool {
        self.failures > 0 && self.next_ms.is_some()
    }

    /// The answer of GetSchedule.
    pub(super) fn described(&self) -> Value {
        let mut described = self.settings.clone();
        let Value::Object(own) = self.named() else {
            unreachable!("it is made as an object");
        };
        described.extend(own);
        described.into()
    }

    /// The entry in the answer of ListSchedules.
    pub(super) fn summary(&self) -> Value {
        let mut summary = self.named();
        summary["State"] = self.state().into();
        summary["Target"] = json!({"Arn": self.target.arn});
        summary
    }

    fn named(&self) -> Value {
        json!({
            "Arn": self.key.arn(),
            "GroupName": self.key.group,
            "Name": self.key.name,
            "CreationDate": seconds(self.created_ms),
            "LastModificationDate": seconds(self.modified_ms),
        })
    }
}

impl Target {
    fn read(request: &Value) -> Result<Target, AwsError> {
        let target = &request["Target"];
        if !target.is_object() {
            return Err(validation("Target is missing.".to_owned()));
        }
        let arn = needed_text(target, "Arn")?;
        if !is_queue(arn) {
            return Err(validation(format!(
                "{arn} is not a target that the local system calls, which are standard queues."
            )));
        }
        let role_arn = needed_text(target, "RoleArn")?;
        let input = needed_text(target, "Input")?;
        if input.is_empty() || input.len() > INPUT_MAX {
            let message = format!("Target.Input must have 1 to {INPUT_MAX} bytes.");
            return Err(validation(message));
        }
        let dead_letter_arn = optional_text(&target["DeadLetterConfig"], "Arn")?;
        if let Some(arn) = dead_letter_arn
            && !is_queue(arn)
        {
            let message = format!("DeadLetterConfig.Arn {arn} is not the ARN of a standard queue.");
            return Err(validation(message));
        }
        let to_queue = &target["SqsParameters"];
        let group_id = bounded_text(to_queue, "MessageGroupId", 1..=GROUP_ID_MAX)?;
        let retry = &target["RetryPolicy"];
        Ok(Target {
            arn: arn.to_owned(),
            role_arn: role_arn.to_owned(),
            input: input.to_owned(),
            message_group_id: group_id.map(str::to_owned),
            attempts_max: number(retry, "MaximumRetryAttempts", 0..=ATTEMPTS_MAX)?
                .unwrap_or(ATTEMPTS_MAX),
            age_max_s: number(retry, "MaximumEventAgeInSeconds", AGE_S)?.unwrap_or(*AGE_S.end()),
            dead_letter_arn: dead_letter_arn.map(str::to_owned),
        })
    }
}

/// Checks the name of a schedule or of a group, by the same rule.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), AwsError> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(is_legal) {
        return Ok(());
    }
    Err(validation(format!(
        "{field} must have 1 to {NAME_MAX} letters, digits, '-', '_' and '.'."
    )))
}

/// Reads `at(yyyy-mm-ddThh:mm:ss)`, without a fraction of a second and without a zone.
fn read_at(expression: &str, zone: TimeZone) -> Result<Timestamp, AwsError> {
    let invalid = || validation(format!("Invalid Schedule Expression {expression}."));
    let time = expression
        .strip_prefix("at(")
        .and_then(|rest| rest.strip_suffix(')'))
        .filter(|time| time.len() == "yyyy-mm-ddThh:mm:ss".len())
        .ok_or_else(invalid)?;
    let time = DateTime::strptime("%Y-%m-%dT%H:%M:%S", time).map_err(|_| invalid())?;
    let zoned = time.to_zoned(zone).map_err(|_| invalid())?;
    Ok(zoned.timestamp())
}

fn window_min(request: &Value) -> Result<Option<u32>, AwsError> {
    let window = &request["FlexibleTimeWindow"];
    let minutes = number(window, "MaximumWindowInMinutes", WINDOW_MIN)?;
    match (needed_text(window, "Mode")?, minutes) {
        ("OFF", None) => Ok(None),
        ("FLEXIBLE", Some(minutes)) => Ok(Some(minutes)),
        ("OFF", Some(_)) => Err(validation(
            "MaximumWindowInMinutes is not for a FlexibleTimeWindow that is OFF.".to_owned(),
        )),
        ("FLEXIBLE", None) => Err(validation(
            "A FLEXIBLE FlexibleTimeWindow needs MaximumWindowInMinutes.".to_owned(),
        )),
        (other, _) => Err(validation(format!(
            "FlexibleTimeWindow.Mode must be OFF or FLEXIBLE, is {other}."
        ))),
    }
}

/// How much later than its time a schedule's call may come. The delay depends on the name, so that
/// it is the same each time.
fn delay_ms(key: &Key, window_min: Option<u32>) -> i64 {
    let Some(minutes) = window_min else {
        return 0;
    };
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(key.name.as_bytes());
    let window_ms = u64::from(minutes) * 60_000;
    i64::try_from(hasher.finish() % window_ms).unwrap_or_default()
}

/// The settings that GetSchedule repeats.
fn settings(request: &Value, target: &Target) -> Map<String, Value> {
    let defaults = [
        ("ActionAfterCompletion", json!("NONE")),
        ("ScheduleExpressionTimezone", json!("UTC")),
        ("State", json!("ENABLED")),
    ];
    let mut settings: Map<String, Value> = defaults
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for name in [
        "ActionAfterCompletion",
        "Description",
        "EndDate",
        "FlexibleTimeWindow",
        "KmsKeyArn",
        "ScheduleExpression",
        "ScheduleExpressionTimezone",
        "StartDate",
        "State",
        "Target",
    ] {
        if let Some(given) = request.get(name).filter(|given| !given.is_null()) {
            settings.insert(name.to_owned(), given.clone());
        }
    }
    settings["Target"]["RetryPolicy"] = json!({
        "MaximumEventAgeInSeconds": target.age_max_s,
        "MaximumRetryAttempts": target.attempts_max,
    });
    settings
}

/// Whether the ARN is a standard queue's: the name of a FIFO queue ends in `.fifo`.
fn is_queue(arn: &str) -> bool {
    let name = match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", partition, "sqs", _, account, name]
            if partition.starts_with("aws") && account.len() == 12 =>
        {
            name
        }
        _ => return false,
    };
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !name.is_empty() && name.chars().all(is_legal)
}

fn needed_text<'a>(object: &'a Value, name: &str) -> Result<&'a str, AwsError> {
    optional_text(object, name)?.ok_or_else(|| validation(format!("{name} is missing.")))
}

fn optional_text<'a>(object: &'a Value, name: &str) -> Result<Option<&'a str>, AwsError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(validation(format!("{name} must be a text."))),
    }
}

/// A text with limits of its length in characters.
fn bounded_text<'a>(
    object: &'a Value,
    name: &str,
    lengths: std::ops::RangeInclusive<usize>,
) -> Result<Option<&'a str>, AwsError> {
    let text = optional_text(object, name)?;
    match text.map(|text| text.chars().count()) {
        Some(length) if !lengths.contains(&length) => Err(validation(format!(
            "{name} must have {} to {} characters, has {length}.",
            lengths.start(),
            lengths.end()
        ))),
        _ => Ok(text),
    }
}

fn one_of<'a>(request: &'a Value, name: &str, known: &[&'a str]) -> Result<&'a str, AwsError> {
    let value = optional_text(request, name)?.unwrap_or(known[0]);
    if known.contains(&value) {
        return Ok(value);
    }
    let known = known.join(" or ");
    Err(validation(format!("{name} must be {known}, is {value}.")))
}

fn number(
    object: &Value,
    name: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Result<Option<u32>, AwsError> {
    let Some(value) = object.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = value.as_u64().and_then(|value| u32::try_from(value).ok());
    match number.filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(validation(format!(
            "{name} must be a whole number from {} to {}.",
            range.start(),
            range.end()
        ))),
    }
}

/// A time in the protocol's form: seconds, with a fraction.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
