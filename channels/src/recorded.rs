//! Reads the recorded event that another event is about.

use jiff::Timestamp;
use webhooks::event::{Event, EventKey, Fact, Member, Redemption};
use webhooks::ledger::{Item, Ledger, read_event};

/// A redemption as the ledger has it.
#[derive(Debug)]
pub struct RecordedRedemption {
    pub redemption: Redemption,
    /// The member who redeemed it.
    pub member: Member,
    pub redeemed_at: Timestamp,
    /// An operator erased the member's personal data from it.
    pub erased: bool,
}

/// A recorded event, read by today's code.
///
/// # Errors
/// Reading the ledger failed.
pub async fn recorded_event(
    ledger: &Ledger,
    key: &EventKey,
    now: Timestamp,
) -> anyhow::Result<Option<Event>> {
    let Some(recorded) = ledger.row(key.coupon(), key.entry(), now).await? else {
        return Ok(None);
    };
    let recorded = ledger.whole(recorded).await?;
    Ok(read_event(&recorded))
}

/// The redemption with this key: the reward, the member and the time. `None` if the ledger has no
/// such key, or the key belongs to another kind of event.
///
/// # Errors
/// Reading the ledger failed.
pub async fn recorded_redemption(
    ledger: &Ledger,
    key: &EventKey,
    now: Timestamp,
) -> anyhow::Result<Option<RecordedRedemption>> {
    let Some(recorded) = ledger.row(key.coupon(), key.entry(), now).await? else {
        return Ok(None);
    };
    let recorded = ledger.whole(recorded).await?;
    Ok(match read_event(&recorded) {
        Some(Event {
            member,
            occurred_at,
            fact: Fact::Redeemed(redemption),
            ..
        }) => Some(RecordedRedemption {
            redemption,
            member,
            redeemed_at: occurred_at,
            erased: is_erased(&recorded),
        }),
        _ => None,
    })
}

/// Whether an operator erased personal data from an event's row.
pub fn is_erased(row: &Item) -> bool {
    row.contains_key("erased_at")
}
