//! The tables, channels and settings that surveys need.

use aws_sdk_dynamodb::Client;
use channels::{Channels, Members};
use webhooks::alerts::Topic;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::figures::Book;
use webhooks::ledger::Ledger;
use webhooks::secrets::SecretStore;
use webhooks::survey::are_alerts_on;

use crate::scheduler::Scheduler;
use crate::settings::Settings;

/// Schedules surveys, and sends those that are due.
#[derive(Debug)]
pub struct Surveys {
    pub(crate) ledger: Ledger,
    pub(crate) members: Members,
    pub(crate) client: Client,
    pub(crate) channels: Channels,
    pub(crate) scheduler: Scheduler,
    pub(crate) secrets: SecretStore,
    pub(crate) book: Book,
    pub(crate) settings: Settings,
    /// The topic for alerts of bad answers, if alerts are on.
    pub(crate) alerts: Option<Topic>,
}

impl Surveys {
    /// Reads the settings. A wrong variable becomes a problem of the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let secret_id = environment.text("SURVEY_SECRET_ID");
        let config = aws.sdk_config(CallLimits::TASK);
        let topic = Topic::read(environment, aws);
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            members: Members::read(environment, aws),
            client: Client::new(&config),
            channels: Channels::read_for_surveys(environment, aws),
            scheduler: Scheduler::read(environment, aws),
            secrets: SecretStore::new(&config, secret_id, &[]),
            book: Book::read(environment, aws, CallLimits::TASK),
            settings: Settings::read(environment),
            alerts: are_alerts_on(environment).then_some(topic),
        }
    }
}
