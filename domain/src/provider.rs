//! The providers: each one's signature scheme, its wire types, and how they become an event.

pub mod aghanim;
#[cfg(test)]
mod tests;
pub mod wire;
pub mod zupy;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::event::Event;
use crate::per_tenant::Zones;
use crate::problem::Problem;
use crate::verify::{Scheme, Verified};

/// Every provider's signature scheme, for senders of samples. The signature's header identifies the
/// provider.
pub const SCHEMES: [Scheme; 3] = [aghanim::SCHEME, zupy::V1, zupy::V2];

/// A provider's webhooks, as one function receives them.
pub trait Provider {
    /// The provider's name in keys.
    fn name(&self) -> &'static str;

    /// The schemes that the provider signs by. Each has its own signature header.
    fn schemes(&self) -> &'static [Scheme];

    /// The scheme that fits the format of a verified body. The body is read by this scheme, even if
    /// another scheme's header held the good signature. If there is none, the header's scheme
    /// decides.
    fn scheme_of(&self, _verified: &[u8]) -> Option<&'static str> {
        None
    }

    /// Reads a verified body.
    fn parse(&self, body: &Verified<'_>) -> Parsed;
}

/// A body that was verified when it was received, with the facts that the verification found.
#[derive(Debug, Clone, Copy)]
pub struct RecordedBody<'a> {
    /// The provider's name, such as `zupy`.
    pub provider: &'a str,
    /// The name of the [`Scheme`] that signed the body, which also names the body's format.
    pub scheme: &'a str,
    /// The tenant that the body or its secret names.
    pub tenant: &'a str,
    /// The text as the provider sent it.
    pub body: &'a str,
    /// The IANA time zone in which a date without a time was read, if the body has such a date.
    pub time_zone: Option<&'a str>,
}

/// Reads a recorded body again, from any function. `None` if there is no module for the provider.
pub fn read_recorded(recorded: &RecordedBody<'_>) -> Option<Content> {
    let body = recorded.body.as_bytes();
    let verified = Verified::recorded(body, recorded.scheme, Some(recorded.tenant));
    // If this system no longer knows the zone, dates are read in UTC.
    let zone = recorded.time_zone.and_then(|it| TimeZone::get(it).ok());
    let zones = Zones::all(zone.unwrap_or(TimeZone::UTC));
    read_verified(recorded.provider, &verified.in_zones(&zones))
}

/// Reads a provider's verified body, from any function. `None` if there is no module for the
/// provider.
pub fn read_verified(provider: &str, verified: &Verified<'_>) -> Option<Content> {
    let parsed = match provider {
        aghanim::NAME => aghanim::Aghanim.parse(verified),
        zupy::NAME => zupy::Zupy::every_event().parse(verified),
        _ => return None,
    };
    Some(parsed.content)
}

/// A recorded body without its member's personal data, apart from the member's id. `None` if the
/// body is no object, or if there is no module for the provider.
pub fn without_personal_data(recorded: &RecordedBody<'_>) -> Option<String> {
    let mut body: Value =
        serde_json::from_slice(wire::without_mark(recorded.body.as_bytes())).ok()?;
    let fields = body.as_object_mut()?;
    match recorded.provider {
        aghanim::NAME => {
            // Aghanim publishes no schema of it, so it may hold the player's data.
            fields.remove("context");
        }
        zupy::NAME if recorded.scheme == zupy::V2.name => {
            keep(fields, "data", &zupy::v2::NOT_PERSONAL)
        }
        zupy::NAME => keep(fields, "customer", &zupy::v1::NOT_PERSONAL),
        _ => return None,
    }
    Some(body.to_string())
}

/// Keeps only these fields of a section, because a provider may add other personal data.
fn keep(fields: &mut Map<String, Value>, section: &str, known: &[&str]) {
    if let Some(Value::Object(section)) = fields.get_mut(section) {
        section.retain(|name, _| known.contains(&name.as_str()));
    }
}

/// The contents of a verified body.
#[derive(Debug)]
pub struct Parsed {
    /// When the body says that it was sent, for a provider whose signature holds no time.
    pub sent_at: Option<Timestamp>,
    /// The event, or why there is none.
    pub content: Content,
}

impl Parsed {
    fn unreadable(problem: Problem) -> Self {
        Self {
            sent_at: None,
            content: Content::Invalid(vec![problem]),
        }
    }
}

/// What a verified body holds.
#[derive(Debug)]
pub enum Content {
    /// An event with all required fields, and with warnings about fields that were left out or
    /// mended.
    Event(Box<Event>),
    /// An event of a type that this function does not handle.
    Ignored(String),
    /// All problems of the body.
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
