//! What happened, in order: what functions asked of AWS, whether they heard the answer, and which of them died.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use jiff::Timestamp;
use local::clock::Clock;
use serde_json::Value;

/// One process of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) function: String,
    pub(crate) number: u64,
}

/// What a process asks of AWS.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) process: Process,
    /// `DynamoDB_20120810.PutItem`, or a path.
    pub(crate) operation: String,
    /// The event that a message to the outside is about.
    pub(crate) about: Option<String>,
    /// JSON, or nothing.
    pub(crate) body: Value,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum Moment {
    /// A call was performed; `status` is missing where the answer got lost on its way.
    Performed {
        call: Call,
        status: Option<StatusCode>,
        /// Whether the process had the answer.
        heard: bool,
    },
    Killed(Process),
    /// Anything else that is worth telling.
    Told(String),
}

/// All of it; clones share it.
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

    /// Returns the call's number, by which its answer is noted.
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

    pub(crate) fn tell(&self, what: impl Into<String>) {
        self.note(Moment::Told(what.into()));
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
                    f.write_str(", not heard")?;
                }
                Ok(())
            }
            Moment::Killed(process) => write!(f, "{process}: killed"),
            Moment::Told(what) => f.write_str(what),
        }
    }
}
