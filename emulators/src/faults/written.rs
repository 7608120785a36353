//! Writes a fault as JSON, with the fields of the request.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ActiveFault, CallMode, FunctionMode, MessageMode, Moment, Subject};
use crate::service::Service;

impl ActiveFault {
    pub(super) fn json(&self) -> Value {
        let mut json = json!({"id": self.id});
        let mut set = |name: &str, value: Value| {
            if !value.is_null() {
                json[name] = value;
            }
        };
        match &self.fault.subject {
            Subject::Calls { calls, mode } => {
                set("service", calls.service.map_or("*", Service::name).into());
                set("operation", json!(calls.operation));
                set("function", json!(calls.function));
                set("about", json!(calls.about));
                let name = match mode {
                    CallMode::Fail
                    | CallMode::FailPartially
                    | CallMode::FailWith(_)
                    | CallMode::Refuse(_) => "fail",
                    CallMode::Throttle => "throttle",
                    CallMode::Conflict => "conflict",
                    CallMode::Delay(_) => "delay",
                    CallMode::LoseResponse => "lose_response",
                };
                set("mode", name.into());
                match mode {
                    CallMode::FailPartially => set("partial", true.into()),
                    CallMode::Refuse(refusal) => set("code", refusal.code.into()),
                    CallMode::FailWith(status) => set("status", json!(status)),
                    CallMode::Delay(delay) => set("delay_ms", milliseconds(*delay)),
                    _ => {}
                }
            }
            Subject::Messages { queue, mode } => {
                set("service", Service::Sqs.name().into());
                set("queue", json!(queue));
                match mode {
                    MessageMode::Duplicate => set("mode", "duplicate".into()),
                    MessageMode::Reorder(longest) => {
                        set("mode", "reorder".into());
                        set("delay_ms", milliseconds(*longest));
                    }
                }
            }
            Subject::Function { function, mode } => {
                set("service", "lambda".into());
                set("function", json!(function));
                match mode {
                    FunctionMode::Kill(at) => {
                        set("mode", "kill".into());
                        set("at", at.text().into());
                    }
                    FunctionMode::Delay(delay) => {
                        set("mode", "delay".into());
                        set("delay_ms", milliseconds(*delay));
                    }
                }
            }
        }
        set("holding", json!(self.fault.holding));
        set("count", json!(self.fault.count));
        set("rate", json!(self.fault.rate));
        set("seed", json!(self.seed));
        set("applied", json!(self.applied));
        set("active", json!(!self.is_spent()));
        json
    }
}

fn milliseconds(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl Moment {
    fn text(self) -> String {
        match self {
            Moment::Start => "start".to_owned(),
            Moment::Answer => "answer".to_owned(),
            Moment::Call(nth) => format!("call {nth}"),
            Moment::AfterCall(nth) => format!("after call {nth}"),
        }
    }
}
