//! The providers: for each its signature scheme, its wire types, and how they become an event.

pub mod aghanim;
#[cfg(test)]
mod tests;
pub mod wire;
pub mod zupy;

use jiff::Timestamp;

use crate::event::Event;
use crate::provider::wire::Problem;
use crate::verify::{Scheme, Verified};

/// Every provider's signature scheme, for senders of samples: a signature's header tells whose it is.
pub const SCHEMES: [Scheme; 2] = [aghanim::SCHEME, zupy::SCHEME];

/// A provider's webhooks, as one function receives them.
pub trait Provider {
    fn scheme(&self) -> Scheme;

    /// Reads a verified body.
    fn parse(&self, body: &Verified<'_>) -> Parsed;
}

/// Reads a body back that the ledger recorded from the provider of this name; `None` where no provider has it.
pub fn read_recorded(provider: &str, body: &str) -> Option<Parsed> {
    let body = Verified::recorded(body.as_bytes());
    match provider {
        aghanim::NAME => Some(aghanim::Aghanim.parse(&body)),
        zupy::NAME => Some(zupy::Zupy::every_event().parse(&body)),
        _ => None,
    }
}

/// A verified body, read.
#[derive(Debug)]
pub struct Parsed {
    /// When the body says it was sent, for a provider that signs no time beside it.
    pub sent_at: Option<Timestamp>,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    Event(Box<Event>),
    /// An event of a type that this function does not handle.
    Ignored(String),
    /// Every problem at once.
    Invalid(Vec<Problem>),
}

impl Content {
    fn settle(event: Result<Event, Vec<Problem>>) -> Self {
        match event {
            Ok(event) => Self::Event(Box::new(event)),
            Err(problems) => Self::Invalid(problems),
        }
    }
}
