//! What happened, in order: which calls functions made to AWS, which answers they got, and which
//! processes died.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use emulators::clock::Clock;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

/// One process of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) function: String,
    pub(crate) number: u64,
}

/// A call of a process to AWS.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) process: Process,
    /// `DynamoDB_20120810.PutItem`, or a path.
    pub(crate) operation: String,
    /// The event of a message to the outside.
    pub(crate) about: Option<String>,
    /// JSON, or null.
    pub(crate) body: Value,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) enum Moment {
    /// A call took effect; `status` is missing if the answer got lost.
    Performed {
        call: Call,
        status: Option<StatusCode>,
        /// Whether the process got the answer.
        heard: bool,
    },
    Killed(Process),
    /// A remark about anything else.
    Remark(String),
}

/// The whole history; clones share it.
#[derive(Clone)]
pub(crate) struct History {
    clock: Clock,
    moments: Arc<Mutex<Vec<(Timestamp, Moment)>>>,
}

impl History {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            moments: Arc::default(),
        }
    }

    /// Notes a call. Returns the call's number, for the note about its answer.
    pub(crate) fn performed(&self, call: Call, status: Option<StatusCode>) -> usize {
        self.note(Moment::Performed {
            call,
            status,
            heard: false,
        })
    }

    pub(crate) fn answered(&self, number: usize) {
        if let Moment::Performed { heard, .. } = &mut self.lock()[number].1 {
            *heard = true;
        }
    }

    pub(crate) fn killed(&self, process: &Process) {
        self.note(Moment::Killed(process.clone()));
    }

    pub(crate) fn remark(&self, what: impl Into<String>) {
        self.note(Moment::Remark(what.into()));
    }

    pub(crate) fn moments(&self) -> Vec<(Timestamp, Moment)> {
        self.lock().clone()
    }

    fn note(&self, moment: Moment) -> usize {
        let now = self.clock.now();
        let mut moments = self.lock();
        moments.push((now, moment));
        moments.len() - 1
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Timestamp, Moment)>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.function, self.number)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Performed {
                call,
                status,
                heard,
            } => {
                write!(f, "{}: {}", call.process, call.operation)?;
                if let Some(about) = &call.about {
                    write!(f, " about {about}")?;
                }
                for name in ["Key", "Item"] {
                    let text = |field: &str| call.body[name][field]["S"].as_str();
                    if let (Some(coupon), Some(entry)) = (text("coupon"), text("entry")) {
                        write!(f, " {coupon}/{entry}")?;
                    }
                }
                match status {
                    Some(status) => write!(f, " -> {}", status.as_u16())?,
                    None => f.write_str(" -> answer lost")?,
                }
                if status.is_some() && !heard {
                    f.write_str(", answer not received")?;
                }
                Ok(())
            }
            Moment::Killed(process) => write!(f, "{process}: killed"),
            Moment::Remark(what) => f.write_str(what),
        }
    }
}
