//! Which message leads to which step: a use to the scheduling, and a due survey to the sending.

use webhooks::invocation::Invocation;
use webhooks::survey::SurveyMessage;
use webhooks::worker::{Failure, Work, load};

use crate::asking::Asking;
use crate::planned::Planned;
use crate::setup::Surveys;

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
