//! Records the in-game items of a redemption for its player, as a row of the members table.

use channels::Members;
use serde_json::json;
use webhooks::event::{Event, Redemption, part};
use webhooks::ledger::{Change, Effects, Note, Row, Status};
use webhooks::worker::Failure;

use crate::attempt::{Attempt, FORWARD, GRANT, SANDBOX, TOO_MANY, following};
use crate::items::{Brought, Detail};

/// The prefix of the entry of a redemption's items.
const ENTRY: &str = "grant#";

/// The most bytes of a grant's items. With the other fields, the row stays below DynamoDB's 400 KB.
const GRANT_MAX_BYTES: usize = 350_000;

/// A redemption with items to record for its player.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant<'a> {
    pub(crate) attempt: Attempt<'a>,
    pub(crate) redemption: &'a Redemption,
}

impl Grant<'_> {
    /// Records the items, or the reason for leaving them out, in one transaction with the task's
    /// record.
    pub(crate) async fn grant(&self) -> Result<(), Failure> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        let then: &[&str] = match &delivery.game_server {
            Some(_) => &[FORWARD],
            None => &[],
        };
        let end = |status, reason, would_send| Note {
            would_send,
            then: then.join(" "),
            ..Note::new(status, reason)
        };
        let skip = |reason, would_send| end(Status::Skipped, reason, would_send);
        let note = |note| self.attempt.note(GRANT, note);
        if !delivery.grants {
            return Ok(note(skip("off: Aghanim's item.add credits the items", None)).await?);
        }
        let fail = |reason| {
            tracing::error!(event.key = %event.key, record = GRANT, reason, "Cannot be delivered");
            note(end(Status::Failed, reason, None))
        };
        let Ok(brought) = Brought::of(&self.redemption.reward.items, Detail::Named) else {
            return Ok(fail(TOO_MANY).await?);
        };
        let Some(granted) = Granted::of(&brought) else {
            return Ok(fail("more items than a row of the player's account holds").await?);
        };
        if event.sandbox {
            let Brought { items, bundles } = brought;
            let would_send = json!({"items": items, "bundles": bundles});
            return Ok(note(skip(SANDBOX, Some(would_send))).await?);
        }
        let change = granted.change(&delivery.members, event, &self.redemption.coupon_code);
        let forget_at = delivery.ledger.forget_at(event, invocation.now());
        let effects = Effects::new(event, GRANT).fields(following(then));
        let effects = effects.change(change.set("ttl", forget_at));
        delivery.ledger.commit(effects, invocation).await?;
        Ok(())
    }
}

/// The items of a redemption, as the grant's row holds them.
#[derive(Debug)]
struct Granted {
    items: String,
    bundles: Option<String>,
}

impl Granted {
    /// `None` if the items are larger than a row allows.
    fn of(brought: &Brought) -> Option<Self> {
        let bundles = (!brought.bundles.is_empty()).then_some(&brought.bundles);
        let granted = Self {
            items: json!(brought.items).to_string(),
            bundles: bundles.map(|it| json!(it).to_string()),
        };
        let bytes = granted.items.len() + granted.bundles.as_ref().map_or(0, String::len);
        (bytes <= GRANT_MAX_BYTES).then_some(granted)
    }

    /// The change that records the items for the player.
    fn change(self, members: &Members, event: &Event, code: &str) -> Change {
        let mut row = Row::default();
        row.set("code", Some(code));
        row.set("granted_at", Some(event.occurred_at));
        row.set("event", Some(&event.key));
        row.set("items", Some(self.items));
        row.set("bundles", self.bundles);
        let entry = format!("{ENTRY}{}", part(event.key.coupon()));
        members.change(event, entry).set_all(row)
    }
}
