//! Deliberate faults: what fails, how often, and the seed that decides when.
//!
//! Each fault has its own generator. So a seed decides the same for the same calls in the same
//! order.

pub(crate) mod answers;
mod json;
#[cfg(test)]
mod tests;
mod written;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::service::Service;

pub use answers::Refusal;
pub use json::{Problem, Targets};

/// The default for the longest time that [`MessageMode::Reorder`] holds a message back.
pub const HELD_BACK: Duration = Duration::from_millis(200);

/// What goes wrong, and how often; for instance `Fault::calls(...).once()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub subject: Subject,
    /// How many times the fault happens; `None` means until it is removed.
    pub count: Option<u32>,
    /// The share of the occasions on which the fault happens, from 0 to 1.
    pub rate: f64,
    /// Decides on which occasions the fault happens; `None` means a random seed.
    pub seed: Option<u64>,
    /// For a kill at a call: only calls whose request contains this text count.
    pub holding: Option<String>,
}

/// What the fault affects.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// Calls to AWS.
    Calls { calls: Calls, mode: CallMode },
    /// Messages of a queue, or of all queues, when they are received.
    Messages {
        queue: Option<String>,
        mode: MessageMode,
    },
    /// Processes of a function.
    Function {
        function: String,
        mode: FunctionMode,
    },
}

/// Which calls are affected; `None` means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    pub service: Option<Service>,
    pub operation: Option<String>,
    /// The function that calls.
    pub function: Option<String>,
    /// A text that the request contains, such as the label of a secret's version.
    pub about: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallMode {
    /// The service fails, and does nothing.
    Fail,
    /// Every second entry of an SQS batch fails, beginning with the first; the others are done.
    /// BatchGetItem leaves out every second key, and names it; if one key is left, it is throttled.
    FailPartially,
    /// A game's server answers with this HTTP status, and does nothing.
    FailWith(u16),
    /// SNS refuses to publish, with one of its own codes.
    Refuse(&'static Refusal),
    Throttle,
    /// DynamoDB reports a conflict with another transaction.
    Conflict,
    /// The service does the work later, even if the caller gives up meanwhile.
    Delay(Duration),
    /// The service does the work, but the connection ends without an answer.
    LoseResponse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageMode {
    /// A received message is visible again at once, and either receipt deletes it.
    Duplicate,
    /// Messages arrive in random order. Each affected message is first held back for a random part
    /// of this time.
    Reorder(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionMode {
    Kill(Moment),
    /// An invocation starts later.
    Delay(Duration),
}

/// When a process is killed. Only calls to AWS during invocations count. Counting starts with the
/// fault's creation, and again after each time that the count was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// When the process gets an invocation.
    Start,
    /// At its nth call, before the service does anything.
    Call(u32),
    /// After its nth call is done, before the process gets the answer.
    AfterCall(u32),
    /// When the process answers; the answer is lost.
    Answer,
}

impl Fault {
    fn new(subject: Subject) -> Fault {
        Fault {
            subject,
            count: None,
            rate: 1.0,
            seed: None,
            holding: None,
        }
    }

    /// A fault in every call to one operation of a service.
    pub fn calls(service: Service, operation: &str, mode: CallMode) -> Fault {
        let calls = Calls {
            service: Some(service),
            operation: Some(operation.to_owned()),
            ..Calls::default()
        };
        Fault::new(Subject::Calls { calls, mode })
    }

    /// A fault in every call to a service.
    pub fn service(service: Service, mode: CallMode) -> Fault {
        let calls = Calls {
            service: Some(service),
            ..Calls::default()
        };
        Fault::new(Subject::Calls { calls, mode })
    }

    /// A fault in every call to every service.
    pub fn everywhere(mode: CallMode) -> Fault {
        let calls = Calls::default();
        Fault::new(Subject::Calls { calls, mode })
    }

    pub fn messages(queue: &str, mode: MessageMode) -> Fault {
        let queue = Some(queue.to_owned());
        Fault::new(Subject::Messages { queue, mode })
    }

    /// A fault in the messages of every queue.
    pub fn all_messages(mode: MessageMode) -> Fault {
        Fault::new(Subject::Messages { queue: None, mode })
    }

    pub fn kill(function: &str, at: Moment) -> Fault {
        Fault::new(Subject::Function {
            function: function.to_owned(),
            mode: FunctionMode::Kill(at),
        })
    }

    /// A fault that makes invocations of the function start later.
    pub fn slow_start(function: &str, delay: Duration) -> Fault {
        Fault::new(Subject::Function {
            function: function.to_owned(),
            mode: FunctionMode::Delay(delay),
        })
    }

    /// Limits the fault to calls by this function.
    pub fn by(mut self, caller: &str) -> Fault {
        if let Subject::Calls { calls, .. } = &mut self.subject {
            calls.function = Some(caller.to_owned());
        }
        self
    }

    /// Limits the fault to calls whose request contains this text.
    pub fn about(mut self, text: &str) -> Fault {
        if let Subject::Calls { calls, .. } = &mut self.subject {
            calls.about = Some(text.to_owned());
        }
        self
    }

    /// Limits a kill to calls whose request contains this text, for instance a coupon's code.
    pub fn holding(mut self, text: &str) -> Fault {
        self.holding = Some(text.to_owned());
        self
    }

    pub fn once(self) -> Fault {
        self.times(1)
    }

    pub fn times(mut self, count: u32) -> Fault {
        self.count = Some(count);
        self
    }

    pub fn at_rate(mut self, rate: f64) -> Fault {
        self.rate = rate;
        self
    }

    pub fn seeded(mut self, seed: u64) -> Fault {
        self.seed = Some(seed);
        self
    }
}

/// The faults of one system; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    active: Arc<Mutex<Active>>,
}

#[derive(Debug, Default)]
struct Active {
    last_id: u64,
    faults: Vec<ActiveFault>,
}

#[derive(Debug)]
struct ActiveFault {
    id: u64,
    fault: Fault,
    seed: u64,
    random: fastrand::Rng,
    applied: u32,
    /// Calls since the count was last reached.
    calls: u32,
}

/// The effect of all faults on one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// The delay before the work.
    pub(crate) delay: Duration,
    /// What else happens. If several faults apply, the oldest decides.
    pub(crate) mode: Option<CallMode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    BeforeTheCall,
    AfterTheCall,
}

impl Faults {
    /// Adds a fault, which is active at once. Returns the fault's id.
    pub fn add(&self, fault: Fault) -> u64 {
        // Short enough for a person to type again, and exact in the JSON of any language.
        let seed = fault.seed.unwrap_or_else(|| fastrand::u32(..).into());
        let mut active = self.lock();
        active.last_id += 1;
        let id = active.last_id;
        active.faults.push(ActiveFault {
            id,
            fault,
            seed,
            random: fastrand::Rng::with_seed(seed),
            applied: 0,
            calls: 0,
        });
        id
    }

    /// Removes all faults. Returns how many there were.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut self.lock().faults).len()
    }

    /// Removes one fault. Returns false if there is no fault with this id.
    pub fn remove(&self, id: u64) -> bool {
        let mut active = self.lock();
        let before = active.faults.len();
        active.faults.retain(|fault| fault.id != id);
        active.faults.len() < before
    }

    /// How often a fault has happened; `None` if it was removed.
    pub fn applied(&self, id: u64) -> Option<u32> {
        let active = self.lock();
        let fault = active.faults.iter().find(|fault| fault.id == id)?;
        Some(fault.applied)
    }

    /// All faults that were not removed, oldest first, as JSON with `id`, `seed`, `applied` and
    /// `active`. A fault that has reached its count is no longer active.
    pub fn list(&self) -> Vec<Value> {
        self.lock().faults.iter().map(ActiveFault::json).collect()
    }

    /// The effect of all faults on a call of one operation.
    pub(crate) fn on_call(
        &self,
        service: Service,
        operation: &str,
        function: Option<&str>,
        request: &[u8],
    ) -> Met {
        let mut met = Met::default();
        for active in &mut self.lock().faults {
            let Subject::Calls { calls, mode } = &active.fault.subject else {
                continue;
            };
            let mode = *mode;
            if !calls.include(service, operation, function)
                || !calls.are_about(request)
                || !mode.is_for(service, operation)
            {
                continue;
            }
            match mode {
                CallMode::Delay(delay) if active.happens() => met.delay += delay,
                CallMode::Delay(_) => {}
                _ if met.mode.is_none() && active.happens() => met.mode = Some(mode),
                _ => {}
            }
        }
        met
    }

    /// Counts a call that a function makes during an invocation. Returns the kill if its process
    /// has to die.
    pub(crate) fn on_call_of(&self, function: &str, request: &[u8]) -> Option<Kill> {
        let mut killed = None;
        for active in &mut self.lock().faults {
            let (nth, kill) = match active.fault.moment_of(function) {
                Some(Moment::Call(nth)) => (nth, Kill::BeforeTheCall),
                Some(Moment::AfterCall(nth)) => (nth, Kill::AfterTheCall),
                _ => continue,
            };
            if active.is_spent() || !active.fault.is_held_by(request) {
                continue;
            }
            active.calls += 1;
            if active.calls >= nth {
                active.calls = 0;
                if active.happens() {
                    killed.get_or_insert(kill);
                }
            }
        }
        killed
    }

    /// Whether a process of the function dies at this moment, the start or the answer of an
    /// invocation.
    pub(crate) fn kill(&self, function: &str, at: Moment) -> bool {
        let mut active = self.lock();
        let mut those = active
            .faults
            .iter_mut()
            .filter(|active| active.fault.moment_of(function) == Some(at));
        those.any(ActiveFault::happens)
    }

    /// By how much an invocation of the function starts later.
    pub(crate) fn delay_of(&self, function: &str) -> Duration {
        let mut delay = Duration::ZERO;
        for active in &mut self.lock().faults {
            match &active.fault.subject {
                Subject::Function {
                    function: of,
                    mode: FunctionMode::Delay(by),
                } if of == function => {
                    let by = *by;
                    if active.happens() {
                        delay += by;
                    }
                }
                _ => {}
            }
        }
        delay
    }

    /// Whether a received message stays visible.
    pub(crate) fn duplicates(&self, queue: &str) -> bool {
        let mut active = self.lock();
        let mut those = active
            .faults
            .iter_mut()
            .filter(|active| active.fault.message_mode(queue) == Some(MessageMode::Duplicate));
        those.any(ActiveFault::happens)
    }

    /// Whether the queue's messages are reordered now.
    pub(crate) fn reorders(&self, queue: &str) -> bool {
        self.lock().reordering(queue).is_some()
    }

    /// How long a message is held back that could be received.
    pub(crate) fn hold_back(&self, queue: &str) -> Duration {
        let mut active = self.lock();
        let Some((fault, longest)) = active.reordering(queue) else {
            return Duration::ZERO;
        };
        if !fault.happens() {
            return Duration::ZERO;
        }
        longest.mul_f64(fault.random.f64())
    }

    pub(crate) fn shuffle<T>(&self, queue: &str, items: &mut [T]) {
        if let Some((fault, _)) = self.lock().reordering(queue) {
            fault.random.shuffle(items);
        }
    }

    /// Locks the faults. They are consistent even after a panic, because no lock is held over more
    /// than one step.
    fn lock(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn reordering(&mut self, queue: &str) -> Option<(&mut ActiveFault, Duration)> {
        self.faults
            .iter_mut()
            .find_map(|active| match active.fault.message_mode(queue) {
                Some(MessageMode::Reorder(longest)) if !active.is_spent() => {
                    Some((active, longest))
                }
                _ => None,
            })
    }
}

impl ActiveFault {
    fn is_spent(&self) -> bool {
        self.fault.count.is_some_and(|count| self.applied >= count)
    }

    /// Whether the fault happens on this occasion. If so, the occasion counts.
    fn happens(&mut self) -> bool {
        let happens = !self.is_spent() && self.random.f64() < self.fault.rate;
        self.applied += u32::from(happens);
        happens
    }
}

impl Calls {
    fn include(&self, service: Service, operation: &str, function: Option<&str>) -> bool {
        self.service.is_none_or(|only| only == service)
            && self
                .operation
                .as_deref()
                .is_none_or(|only| only == operation)
            && self
                .function
                .as_deref()
                .is_none_or(|only| Some(only) == function)
    }
}

impl Calls {
    fn are_about(&self, request: &[u8]) -> bool {
        let about = self.about.as_deref();
        about.is_none_or(|about| String::from_utf8_lossy(request).contains(about))
    }
}

impl CallMode {
    /// Whether the fault can affect this operation at all.
    fn is_for(self, service: Service, operation: &str) -> bool {
        match self {
            CallMode::Conflict => {
                service == Service::DynamoDb && answers::CONFLICTING.contains(&operation)
            }
            CallMode::FailWith(_) => service == Service::GameServer,
            CallMode::Refuse(_) => service == Service::Sns && operation == "Publish",
            CallMode::FailPartially => answers::can_fail_partially(service, operation),
            _ => true,
        }
    }
}

impl Fault {
    fn is_held_by(&self, request: &[u8]) -> bool {
        let Some(text) = &self.holding else {
            return true;
        };
        text.is_empty() || request.windows(text.len()).any(|it| it == text.as_bytes())
    }

    fn moment_of(&self, function: &str) -> Option<Moment> {
        match &self.subject {
            Subject::Function {
                function: of,
                mode: FunctionMode::Kill(at),
            } if of == function => Some(*at),
            _ => None,
        }
    }

    fn message_mode(&self, queue: &str) -> Option<MessageMode> {
        match &self.subject {
            Subject::Messages { queue: of, mode } if of.as_deref().is_none_or(|of| of == queue) => {
                Some(*mode)
            }
            _ => None,
        }
    }
}
