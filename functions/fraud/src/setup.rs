//! The tables and settings that checking needs.

use aws_sdk_dynamodb::Client;
use jiff::SignedDuration;
use webhooks::alerts::Topic;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::Event;
use webhooks::figures::Book;
use webhooks::ledger::Ledger;
use webhooks::per_tenant::Zones;

use crate::history::History;
use crate::parameters::Parameters;
use crate::rapid::RAPID_REDEMPTION;
use crate::settings::Settings;

/// Checks events by the fraud rules.
#[derive(Debug)]
pub struct Fraud {
    pub(crate) ledger: Ledger,
    pub(crate) history: History,
    pub(crate) topic: Topic,
    pub(crate) book: Book,
    pub(crate) zones: Zones,
    pub(crate) parameters: Parameters,
    /// How long a use waits for its redemption.
    pub(crate) grace: SignedDuration,
}

impl Fraud {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let rules = environment.optional("FRAUD_RULES").unwrap_or_default();
        let parameters = Parameters::parse(&rules).unwrap_or_else(|problems| {
            for problem in problems {
                environment.problem(format!("FRAUD_RULES: {problem}"));
            }
            Parameters::default()
        });
        let client = Client::new(&aws.sdk_config(CallLimits::TASK));
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            history: History::new(client, environment.text("MEMBERS_TABLE")),
            topic: Topic::read(environment, aws),
            book: Book::read(environment, aws, CallLimits::TASK),
            zones: Zones::read_zones(environment),
            parameters,
            grace: SignedDuration::from_secs(environment.number("UNKNOWN_COUPON_GRACE_S", 0)),
        }
    }
    pub(crate) fn counts_for(&self, event: &Event) -> bool {
        self.settings(event).runs(RAPID_REDEMPTION)
    }

    pub(crate) fn settings(&self, event: &Event) -> &Settings {
        self.parameters.of(&event.tenant)
    }
}
