//! One attempt at an event, and the names of the records that it leaves.

use webhooks::event::Event;
use webhooks::invocation::Invocation;
use webhooks::ledger::Row;
pub(crate) use webhooks::record::delivery::{ACCOUNT, FORWARD, GRANT, REMINDER};

use crate::setup::Delivery;

/// Reasons why a message did not go out.
pub(crate) const SANDBOX: &str = "a sandbox or test event: not sent";
pub(crate) const DO_NOT_CONTACT: &str = "do not contact";
pub(crate) const TOO_MANY: &str = "the quantity of an item does not fit 64 bits";

/// An event that the function works on in one invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) delivery: &'a Delivery,
    pub(crate) event: &'a Event,
    pub(crate) invocation: Invocation,
}

/// The field of a record that names the records after it, so that a reader can see whether all have
/// settled.
pub(crate) fn following(then: &[&str]) -> Row {
    let mut row = Row::default();
    row.set("then", (!then.is_empty()).then(|| then.join(" ")));
    row
}
