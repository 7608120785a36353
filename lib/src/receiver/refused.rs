//! Takes a refused body as an event, once the cause of its refusal is mended.

use jiff::Timestamp;

use super::{Receiver, Taken};
use crate::event::EventKey;
use crate::ledger::Refused;
use crate::problem::Problem;
use crate::provider::Content;

/// The outcome of taking a refused body again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retaken {
    /// The body became this event, with this outcome.
    Taken(EventKey, Taken),
    /// The problems that today's code finds in the body.
    StillRefused(Vec<Problem>),
    /// The body will never be taken, for this reason.
    Never(&'static str),
}

impl Refused {
    /// Why the body is not taken again; `None` if it can be taken.
    pub fn settled(&self) -> Option<String> {
        if let Some((at, event)) = &self.taken {
            return Some(format!("it was taken as {event} at {at}"));
        }
        let erased_at = self.erased_at?;
        Some(format!(
            "it was erased at {erased_at}, for a member whom it named"
        ))
    }
}

impl Receiver {
    /// Takes a refused body as its webhook would with today's code, and marks the body as taken.
    /// After a crash in between, the next attempt finds a duplicate and marks the body.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. The caller may make the same call again.
    pub async fn take_refused(&self, refused: &Refused, now: Timestamp) -> anyhow::Result<Retaken> {
        let mut event = match refused.read(&self.zones) {
            Some(Content::Event(event)) => *event,
            Some(Content::Invalid(problems)) => return Ok(Retaken::StillRefused(problems)),
            Some(Content::Ignored(_)) => {
                return Ok(Retaken::Never("it has a type that is not handled"));
            }
            None => return Ok(Retaken::Never("there is no such provider")),
        };
        let body = refused.verified();
        if body.tenant().is_some_and(|tenant| tenant != event.tenant) {
            return Ok(Retaken::Never(
                "its secret belongs to another tenant than its body names",
            ));
        }
        let taken = self.take(&mut event, &body, now, None, now).await?;
        self.ledger
            .mark_taken(&refused.key, &event.key, now)
            .await?;
        Ok(Retaken::Taken(event.key, taken))
    }
}
