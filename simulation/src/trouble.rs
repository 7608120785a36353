//! The faults of a story: all at random, or mostly of one kind, so that rare faults coincide.

use std::time::Duration;

use emulators::faults::{CallMode, Calls, Fault, MessageMode, Subject};
use emulators::service::Service;
use fastrand::Rng;

/// How long faults last.
pub(crate) const TROUBLE: Duration = Duration::from_secs(300);

/// The services that messages to people go through.
const OUTSIDE: [Service; 4] = [
    Service::Ses,
    Service::Sns,
    Service::SocialMessaging,
    Service::GameServer,
];

/// The operations that functions call most. In another service, such an operation matches nothing,
/// which is a valid story too.
const OPERATIONS: [&str; 11] = [
    "PutItem",
    "UpdateItem",
    "TransactWriteItems",
    "Query",
    "GetItem",
    "BatchGetItem",
    "Publish",
    "SendMessage",
    "SendMessageBatch",
    "SendEmail",
    "CreateSchedule",
];

#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// When each fault begins and ends.
    pub(crate) faults: Vec<(Duration, Duration, Fault)>,
    /// The share of invocations that end with the death of their process.
    pub(crate) kill_rate: f64,
    /// The time within which providers begin to send.
    pub(crate) sending: Duration,
}

impl Trouble {
    pub(crate) fn of(random: &mut Rng) -> Self {
        let mut trouble = Self {
            sending: random
                .choice([TROUBLE, TROUBLE, TROUBLE / 5, TROUBLE / 60])
                .unwrap_or(TROUBLE),
            ..Self::default()
        };
        match random.u32(0..11) {
            0..=4 => trouble.anything(random),
            5 => trouble.crashes(random),
            9 => trouble.batches_taken_in_part(random),
            6 => trouble.lost_answers(random),
            7 => trouble.stores_down(random),
            8 => trouble.slowness(random),
            _ => trouble.outside_refuses(random),
        }
        trouble
    }

    fn anything(&mut self, random: &mut Rng) {
        self.kill_rate = random.choice([0.0, 0.0, 0.1, 0.4]).unwrap_or(0.0);
        for _ in 0..random.usize(0..=4) {
            let fault = match random.u32(0..6) {
                0 => Fault::everywhere(mode(random)),
                1 => messages(random),
                _ => some_calls(random),
            };
            self.add(random, fault);
        }
    }

    /// Processes die, and meanwhile SQS delivers their messages to others.
    fn crashes(&mut self, random: &mut Rng) {
        self.kill_rate = random.choice([0.3, 0.6]).unwrap_or(0.3);
        for _ in 0..2 {
            let fault = messages(random);
            self.always(random, fault, 0.6);
        }
    }

    /// The service does the work, but the answer gets lost.
    fn lost_answers(&mut self, random: &mut Rng) {
        let fault = Fault::everywhere(CallMode::LoseResponse);
        self.always(random, fault, 0.25);
        let fault = messages(random);
        self.always(random, fault, 0.3);
    }

    /// Both stores refuse most calls, for a while or all the time.
    fn stores_down(&mut self, random: &mut Rng) {
        for service in [Service::DynamoDb, Service::Sqs] {
            for _ in 0..2 {
                let mode = random
                    .choice([CallMode::Fail, CallMode::Throttle])
                    .unwrap_or(CallMode::Fail);
                let mut fault = Fault::service(service, mode);
                narrow(random, &mut fault);
                let rate = random.choice([0.7, 0.9, 1.0]).unwrap_or(1.0);
                match random.bool() {
                    true => self.always(random, fault, rate),
                    false => self.add(random, fault),
                }
            }
        }
    }

    /// SQS accepts some messages of a request but not the others, DynamoDB reads some items of a
    /// request but not the others, and processes die between the requests.
    fn batches_taken_in_part(&mut self, random: &mut Rng) {
        let fault = Fault::service(Service::Sqs, CallMode::FailPartially);
        let rate = random.choice([0.5, 0.9, 1.0]).unwrap_or(1.0);
        self.always(random, fault, rate);
        let fault = Fault::calls(Service::Sqs, "SendMessageBatch", mode(random));
        self.always(random, fault, 0.3);
        self.kill_rate = random.choice([0.0, 0.3]).unwrap_or(0.0);
        let fault = Fault::calls(Service::DynamoDb, "BatchGetItem", CallMode::FailPartially);
        self.always(random, fault, 0.5);
    }

    /// Some calls take longer than their caller waits. One delay follows another. If several were
    /// in force at once, callers would repeat half of all calls, and seconds of such a story cost
    /// more than ten others.
    fn slowness(&mut self, random: &mut Rng) {
        let lasts = TROUBLE / 3;
        for begins in [Duration::ZERO, lasts, lasts * 2] {
            let delay = Duration::from_millis(random.u64(100..=25_000));
            let fault = Fault::everywhere(CallMode::Delay(delay)).at_rate(0.2);
            let fault = fault.seeded(random.u64(..));
            self.faults.push((begins, begins + lasts, fault));
        }
    }

    /// The services for messages to people accept few of them.
    fn outside_refuses(&mut self, random: &mut Rng) {
        for service in OUTSIDE {
            let mode = mode(random);
            self.always(random, Fault::service(service, mode), 0.6);
        }
        self.kill_rate = random.choice([0.0, 0.2]).unwrap_or(0.0);
    }

    fn add(&mut self, random: &mut Rng, fault: Fault) {
        let (one, other) = (moment(random), moment(random));
        let rate = random.choice([0.1, 0.3, 0.7, 1.0]).unwrap_or(1.0);
        let fault = fault.at_rate(rate).seeded(random.u64(..));
        self.faults.push((one.min(other), one.max(other), fault));
    }

    fn always(&mut self, random: &mut Rng, fault: Fault, rate: f64) {
        let fault = fault.at_rate(rate).seeded(random.u64(..));
        self.faults.push((Duration::ZERO, TROUBLE, fault));
    }
}

/// A time during the trouble.
pub(crate) fn moment(random: &mut Rng) -> Duration {
    TROUBLE.mul_f64(random.f64())
}

fn mode(random: &mut Rng) -> CallMode {
    match random.u32(0..7) {
        0 | 1 => CallMode::Fail,
        2 => CallMode::Throttle,
        3 => CallMode::Conflict,
        4 => CallMode::Delay(Duration::from_millis(random.u64(100..=25_000))),
        _ => CallMode::LoseResponse,
    }
}

/// Messages come twice, or in another order.
fn messages(random: &mut Rng) -> Fault {
    let mode = match random.bool() {
        true => MessageMode::Duplicate,
        false => MessageMode::Reorder(Duration::from_secs(random.u64(1..=60))),
    };
    Fault::all_messages(mode)
}

fn some_calls(random: &mut Rng) -> Fault {
    let service = random.choice(Service::ALL).unwrap_or(Service::DynamoDb);
    let mut fault = Fault::service(service, mode(random));
    narrow(random, &mut fault);
    fault
}

/// Limits the fault to one operation, half of the time.
fn narrow(random: &mut Rng, fault: &mut Fault) {
    if let Subject::Calls {
        calls: Calls { operation, .. },
        ..
    } = &mut fault.subject
        && random.bool()
    {
        *operation = random.choice(OPERATIONS).map(str::to_owned);
    }
}
