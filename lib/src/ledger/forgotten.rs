//! A row whose `ttl` has passed counts as absent, even if DynamoDB has not deleted it yet. The
//! deletion can take days.

use jiff::Timestamp;

use crate::row::Item;

/// The Unix second from which a row counts as forgotten, if it has one.
pub fn forgotten_from(row: &Item) -> Option<i64> {
    row.get("ttl")?.as_n().ok()?.parse().ok()
}

/// Whether a row counts as absent.
pub fn is_forgotten(row: &Item, now: Timestamp) -> bool {
    forgotten_from(row).is_some_and(|second| second <= now.as_second())
}
