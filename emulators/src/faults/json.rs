//! Reads a fault from JSON, with every problem at once.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    CallMode, Calls, Fault, FunctionMode, HELD_BACK, MessageMode, Moment, Refusal, Subject, answers,
};
use crate::service::{SCHEDULER, Service};

const FIELDS: [&str; 14] = [
    "service",
    "operation",
    "function",
    "queue",
    "mode",
    "at",
    "holding",
    "partial",
    "status",
    "code",
    "count",
    "rate",
    "delay_ms",
    "seed",
];
const MODES: [&str; 8] = [
    "fail",
    "throttle",
    "conflict",
    "delay",
    "lose_response",
    "duplicate",
    "reorder",
    "kill",
];
/// Modes of every AWS service.
const CALL_MODES: [&str; 4] = ["fail", "throttle", "delay", "lose_response"];
/// Longer than any Lambda function can run.
const LONGEST_DELAY_MS: u64 = 900_000;
const MOMENTS: &str = "start, answer, call N or after call N, where N is 1 or more";

/// One problem with a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub field: String,
    pub problem: String,
}

/// Names that a fault can refer to.
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    pub functions: Vec<&'a str>,
    pub queues: Vec<&'a str>,
}

impl Fault {
    /// Reads `{"service": ..., "mode": ...}` and the optional fields.
    ///
    /// # Errors
    ///
    /// All problems of the fault.
    pub fn read(value: &Value, targets: &Targets) -> Result<Fault, Vec<Problem>> {
        let Some(fields) = value.as_object() else {
            let problem = "must be a JSON object";
            return Err(vec![problem_with("fault", problem)]);
        };
        let mut reader = Reader {
            fields,
            problems: Vec::new(),
        };
        let fault = reader.fault(targets);
        match fault {
            Some(fault) if reader.problems.is_empty() => Ok(fault),
            _ => Err(reader.problems),
        }
    }
}

/// Where the affected calls go, or what else the fault affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressed {
    Any,
    Aws(Service),
    Lambda,
}

impl Addressed {
    fn named(name: &str) -> Option<Addressed> {
        match name {
            "*" => Some(Addressed::Any),
            "lambda" => Some(Addressed::Lambda),
            // The names that SDKs and users use.
            "socialmessaging" | "whatsapp" => Some(Addressed::Aws(Service::SocialMessaging)),
            _ => Service::ALL
                .into_iter()
                .find(|service| service.name() == name)
                .map(Addressed::Aws),
        }
    }

    fn modes(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Addressed::Lambda => return vec!["kill", "delay"],
            Addressed::Aws(Service::DynamoDb) => &["conflict"],
            Addressed::Aws(Service::Sqs) => &["duplicate", "reorder"],
            _ => &[],
        };
        [&CALL_MODES, own].concat()
    }

    fn operations(self, mode: &str) -> Vec<&'static str> {
        match self {
            Addressed::Lambda => vec![],
            Addressed::Aws(Service::DynamoDb) if mode == "conflict" => {
                answers::CONFLICTING.to_vec()
            }
            Addressed::Aws(service) => service.operations().to_vec(),
            Addressed::Any => Service::ALL
                .into_iter()
                .flat_map(|service| service.operations().iter().copied())
                .collect(),
        }
    }
}

struct Reader<'a> {
    fields: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn fault(&mut self, targets: &Targets) -> Option<Fault> {
        for name in self.fields.keys() {
            if !FIELDS.contains(&name.as_str()) {
                self.refuse(
                    name,
                    format!("is not known; there are {}", FIELDS.join(", ")),
                );
            }
        }
        let addressed = self.service();
        let mode = self.mode(addressed);
        let operation = self.operation(addressed, mode);
        let function = self.function(addressed, targets);
        let queue = self.one_of("queue", &targets.queues);
        let partial = self.partial(addressed, mode);
        let status = self.status(addressed, mode);
        let refusal = self.refusal(addressed, mode, operation);
        let delay = self.delay(mode);
        let at = self.at(mode);
        let holding = self.holding(at);
        let count = self.whole("count", 1, u32::MAX.into());
        let rate = self.rate();
        let seed = self.whole("seed", 0, u64::MAX);
        let (addressed, mode) = (addressed?, mode?);
        if addressed == Addressed::Lambda && function.is_none() && !self.has("function") {
            self.refuse(
                "function",
                "is missing: name the function whose process is killed",
            );
        }
        let is_of_messages = matches!(mode, "duplicate" | "reorder");
        if is_of_messages && self.has("function") {
            self.refuse("function", format!("is not for mode {mode}"));
        }
        if addressed == Addressed::Aws(Service::GameServer) && self.has("function") {
            let problem = "is not for the service game-server, which cannot see the caller";
            self.refuse("function", problem);
        }
        if !is_of_messages && self.has("queue") {
            self.refuse("queue", "is only for modes duplicate and reorder");
        }
        let subject = match addressed {
            Addressed::Lambda => Subject::Function {
                function: function?.to_owned(),
                mode: match mode {
                    "kill" => FunctionMode::Kill(at?),
                    _ => FunctionMode::Delay(delay?),
                },
            },
            _ if is_of_messages => Subject::Messages {
                queue: queue.map(str::to_owned),
                mode: match mode {
                    "duplicate" => MessageMode::Duplicate,
                    _ => MessageMode::Reorder(delay.unwrap_or(HELD_BACK)),
                },
            },
            _ => Subject::Calls {
                calls: Calls {
                    service: match addressed {
                        Addressed::Aws(service) => Some(service),
                        _ => None,
                    },
                    operation: operation.map(str::to_owned),
                    function: function.map(str::to_owned),
                    about: None,
                },
                mode: match refusal {
                    Some(refusal) => CallMode::Refuse(refusal),
                    None => call_mode(mode, partial, status, delay)?,
                },
            },
        };
        Some(Fault {
            subject,
            count: count.and_then(|count| u32::try_from(count).ok()),
            rate,
            seed,
            holding: holding.map(str::to_owned),
        })
    }

    fn service(&mut self) -> Option<Addressed> {
        let name = self.required("service")?;
        let addressed = Addressed::named(name);
        if addressed.is_none() {
            let names = Service::ALL.map(Service::name).join(", ");
            self.refuse("service", format!("must be one of *, {names}, lambda"));
        }
        addressed
    }

    /// Who calls: a function, or the scheduler as it calls its targets.
    fn function(&mut self, addressed: Option<Addressed>, targets: &Targets) -> Option<&'a str> {
        let mut callers = targets.functions.clone();
        if addressed != Some(Addressed::Lambda) {
            callers.push(SCHEDULER);
        }
        self.one_of("function", &callers)
    }

    fn mode(&mut self, addressed: Option<Addressed>) -> Option<&'a str> {
        let mode = self.required("mode")?;
        let allowed = addressed.map_or(MODES.to_vec(), Addressed::modes);
        if allowed.contains(&mode) {
            return Some(mode);
        }
        let service = self.text("service").filter(|_| MODES.contains(&mode));
        let problem = match service {
            Some(service) => format!("{mode} is not for the service {service}; there are "),
            None => "must be one of ".to_owned(),
        };
        self.refuse("mode", problem + &allowed.join(", "));
        None
    }

    fn operation(&mut self, addressed: Option<Addressed>, mode: Option<&str>) -> Option<&'a str> {
        let operation = self.optional("operation")?;
        let (addressed, mode) = (addressed?, mode?);
        if addressed == Addressed::Lambda || matches!(mode, "duplicate" | "reorder") {
            self.refuse("operation", format!("is not for mode {mode}"));
            return None;
        }
        let operations = addressed.operations(mode);
        if !operations.contains(&operation) {
            let problem = format!("must be one of {}", operations.join(", "));
            self.refuse("operation", problem);
            return None;
        }
        Some(operation)
    }

    fn partial(&mut self, addressed: Option<Addressed>, mode: Option<&str>) -> bool {
        let partial = match self.fields.get("partial") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(partial)) => *partial,
            Some(_) => {
                self.refuse("partial", "must be true or false");
                false
            }
        };
        let operation = self.text("operation");
        let is_possible = match (addressed, mode) {
            (Some(Addressed::Aws(service)), Some("fail")) => {
                let mut operations = service.operations().iter();
                operations.any(|name| {
                    operation.is_none_or(|wanted| wanted == *name)
                        && answers::can_fail_partially(service, name)
                })
            }
            _ => false,
        };
        if partial && !is_possible {
            let problem =
                "is only for mode fail of SQS's batch operations and DynamoDB's BatchGetItem";
            self.refuse("partial", problem);
        }
        partial
    }

    fn status(&mut self, addressed: Option<Addressed>, mode: Option<&str>) -> Option<u16> {
        let is_possible =
            addressed == Some(Addressed::Aws(Service::GameServer)) && mode == Some("fail");
        if self.has("status") && !is_possible {
            self.refuse("status", "is only for mode fail of the service game-server");
        }
        // A sender takes other statuses for success.
        let status = self.whole("status", 300, 599)?;
        u16::try_from(status).ok()
    }

    fn refusal(
        &mut self,
        addressed: Option<Addressed>,
        mode: Option<&str>,
        operation: Option<&str>,
    ) -> Option<&'static Refusal> {
        let is_possible = addressed == Some(Addressed::Aws(Service::Sns))
            && mode == Some("fail")
            && operation.is_none_or(|operation| operation == "Publish");
        if self.has("code") && !is_possible {
            self.refuse("code", "is only for mode fail of SNS's Publish");
        }
        let code = self.one_of("code", &Refusal::codes())?;
        Refusal::of(code)
    }

    fn delay(&mut self, mode: Option<&str>) -> Option<Duration> {
        match mode {
            Some("delay") if !self.has("delay_ms") => {
                self.refuse("delay_ms", "is missing");
            }
            Some("delay" | "reorder") | None => {}
            Some(_) if self.has("delay_ms") => {
                self.refuse("delay_ms", "is only for modes delay and reorder");
            }
            Some(_) => {}
        }
        let delay_ms = self.whole("delay_ms", 1, LONGEST_DELAY_MS)?;
        Some(Duration::from_millis(delay_ms))
    }

    fn at(&mut self, mode: Option<&str>) -> Option<Moment> {
        if mode.is_some_and(|mode| mode != "kill") && self.has("at") {
            self.refuse("at", "is only for mode kill");
            return None;
        }
        if mode != Some("kill") {
            return None;
        }
        let moment = Moment::read(self.required("at")?);
        if moment.is_none() {
            self.refuse("at", format!("must be {MOMENTS}"));
        }
        moment
    }

    fn holding(&mut self, at: Option<Moment>) -> Option<&'a str> {
        let holding = self.optional("holding")?;
        if !matches!(at, Some(Moment::Call(_) | Moment::AfterCall(_))) {
            self.refuse("holding", "is only for mode kill at a call");
        }
        Some(holding)
    }

    fn rate(&mut self) -> f64 {
        match self.fields.get("rate") {
            None | Some(Value::Null) => 1.0,
            Some(rate) => match rate.as_f64() {
                Some(rate) if (0.0..=1.0).contains(&rate) => rate,
                _ => {
                    self.refuse("rate", "must be a number from 0 to 1");
                    1.0
                }
            },
        }
    }

    fn whole(&mut self, field: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.fields.get(field).filter(|value| !value.is_null())?;
        match value.as_u64() {
            Some(number) if (min..=max).contains(&number) => Some(number),
            _ => {
                self.refuse(field, format!("must be a whole number from {min} to {max}"));
                None
            }
        }
    }

    fn one_of(&mut self, field: &str, names: &[&str]) -> Option<&'a str> {
        let name = self.optional(field)?;
        if !names.contains(&name) {
            self.refuse(field, format!("must be one of {}", names.join(", ")));
            return None;
        }
        Some(name)
    }

    fn required(&mut self, field: &str) -> Option<&'a str> {
        if !self.has(field) {
            self.refuse(field, "is missing");
        }
        self.optional(field)
    }

    fn optional(&mut self, field: &str) -> Option<&'a str> {
        let text = self.text(field);
        if text.is_none() && self.has(field) {
            self.refuse(field, "must be a text");
        }
        text
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field)?.as_str()
    }

    fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    fn refuse(&mut self, field: &str, problem: impl Into<String>) {
        self.problems.push(problem_with(field, problem));
    }
}

fn call_mode(
    mode: &str,
    partial: bool,
    status: Option<u16>,
    delay: Option<Duration>,
) -> Option<CallMode> {
    Some(match (mode, status) {
        ("fail", Some(status)) => CallMode::FailWith(status),
        ("fail", None) if partial => CallMode::FailPartially,
        ("fail", None) => CallMode::Fail,
        ("throttle", _) => CallMode::Throttle,
        ("conflict", _) => CallMode::Conflict,
        ("delay", _) => CallMode::Delay(delay?),
        _ => CallMode::LoseResponse,
    })
}

impl Moment {
    fn read(text: &str) -> Option<Moment> {
        let nth = |number: &str| number.parse().ok().filter(|nth| *nth > 0);
        match text {
            "start" => Some(Moment::Start),
            "answer" => Some(Moment::Answer),
            _ => match text.strip_prefix("after call ") {
                Some(number) => nth(number).map(Moment::AfterCall),
                None => nth(text.strip_prefix("call ")?).map(Moment::Call),
            },
        }
    }
}

fn problem_with(field: &str, problem: impl Into<String>) -> Problem {
    Problem {
        field: field.to_owned(),
        problem: problem.into(),
    }
}
