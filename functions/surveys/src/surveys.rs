//! Which message leads to which step: a use is scheduled, and a due survey is sent.

use aws_sdk_dynamodb::Client;
use channels::{Channels, Members};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::figures::Book;
use webhooks::invocation::Invocation;
use webhooks::ledger::Ledger;
use webhooks::secrets::SecretStore;
use webhooks::survey::SurveyMessage;
use webhooks::worker::{Failure, Work, load};

use crate::asking::Asking;
use crate::planned::Planned;
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
}

impl Surveys {
    /// Reads the settings. A wrong variable becomes a problem of the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let secret_id = environment.text("SURVEY_SECRET_ID");
        let config = aws.sdk_config(CallLimits::TASK);
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            members: Members::read(environment, aws),
            client: Client::new(&config),
            channels: Channels::read_for_surveys(environment, aws),
            scheduler: Scheduler::read(environment, aws),
            secrets: SecretStore::new(&config, secret_id, &[]),
            book: Book::read(environment, aws, CallLimits::TASK),
            settings: Settings::read(environment),
        }
    }
}

impl Work for Surveys {
    type Message = SurveyMessage;

    async fn start(&self) -> anyhow::Result<()> {
        self.secrets.start().await
    }

    async fn work(&self, message: SurveyMessage, invocation: Invocation) -> Result<(), Failure> {
        match message {
            SurveyMessage::Used(queued) => {
                let message = load(queued, &self.ledger, invocation.now()).await?;
                let planned = Planned {
                    surveys: self,
                    event: message.event.as_ref(),
                    invocation,
                };
                planned.plan().await
            }
            SurveyMessage::Due(due) => {
                let asking = Asking {
                    surveys: self,
                    due: &due,
                    invocation,
                };
                asking.work().await
            }
        }
    }
}
