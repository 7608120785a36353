//! What the ledger holds of an event that another event is about.

use jiff::Timestamp;
use webhooks::event::{Event, EventKey, Fact, Member, Redemption};
use webhooks::ledger::{Ledger, read_event};

/// A recorded event, as today's code reads it.
///
/// # Errors
/// The ledger could not be read.
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

/// What was redeemed, by whom, and when.
///
/// # Errors
/// The ledger could not be read.
pub async fn recorded_redemption(
    ledger: &Ledger,
    key: &EventKey,
    now: Timestamp,
) -> anyhow::Result<Option<(Redemption, Member, Timestamp)>> {
    Ok(match recorded_event(ledger, key, now).await? {
        Some(Event {
            member,
            occurred_at,
            fact: Fact::Redeemed(redemption),
            ..
        }) => Some((redemption, member, occurred_at)),
        _ => None,
    })
}
