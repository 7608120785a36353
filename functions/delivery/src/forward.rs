//! Notifies a game's own server of a redemption of in-game items.

use serde_json::{Value, json};
use webhooks::event::Redemption;
use webhooks::ledger::{Note, Status};
use webhooks::worker::Failure;

use crate::attempt::{Attempt, FORWARD, SANDBOX, TOO_MANY};
use crate::forwarded::{self, Unwritable};
use crate::game_server::GameServer;

/// A redemption to forward to a game's server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forward<'a> {
    pub(crate) attempt: Attempt<'a>,
    pub(crate) redemption: &'a Redemption,
    pub(crate) server: &'a GameServer,
}

impl Forward<'_> {
    /// Notifies the server, unless an earlier attempt did.
    pub(crate) async fn forward(self) -> Result<(), Failure> {
        let Attempt {
            event, invocation, ..
        } = self.attempt;
        let note = |note| self.attempt.note(FORWARD, note);
        let fail = |reason| {
            tracing::error!(event.key = %event.key, record = FORWARD, reason, "Cannot be delivered");
            note(Note::new(Status::Failed, reason))
        };
        let body = match forwarded::body(event, self.redemption) {
            Ok(body) => body,
            Err(Unwritable::TooMany) => return Ok(fail(TOO_MANY).await?),
            Err(Unwritable::TooLong) => {
                return Ok(fail("more items than a request to the game's server holds").await?);
            }
        };
        if event.sandbox {
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let mut sandbox = Note::new(Status::Skipped, SANDBOX);
            sandbox.would_send = Some(json!({"url": self.server.url(), "body": body}));
            return Ok(note(sandbox).await?);
        }
        let effect = self.attempt.effect(FORWARD);
        effect
            .make(async || self.server.notify(event, body, invocation).await)
            .await
    }
}
