//! An event as its row holds it, and how an attempt to record it compares.

use jiff::Timestamp;

use super::body;
use super::forgotten::forgotten_from;
use crate::event::{Event, EventKey};
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::row::{Item, read_text};

/// What the ledger knew about an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Recorded {
    /// No event had the key, so this attempt recorded its event.
    New,
    /// The event was recorded before, with the same contents.
    Duplicate(Standing),
    /// The key holds other contents, or the same contents as an older version of this code hashed
    /// them. The recorded body decides.
    Differs(Standing),
}

impl Recorded {
    pub(super) fn standing(&self) -> Option<&Standing> {
        match self {
            Self::New => None,
            Self::Duplicate(standing) | Self::Differs(standing) => Some(standing),
        }
    }
}

/// An event as it was recorded first, which is the version that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub(super) key: EventKey,
    body: OwnedBody,
    received_at: Option<Timestamp>,
    /// The Unix second from which the row counts as forgotten.
    pub(super) forgotten_from: Option<i64>,
}

impl Standing {
    pub(super) fn of(row: &Item, key: &EventKey) -> Self {
        Self {
            key: key.clone(),
            body: OwnedBody::of(row),
            received_at: read_text(row, "received_at").and_then(|at| at.parse().ok()),
            forgotten_from: forgotten_from(row),
        }
    }

    /// The event as today's code reads its body, under its recorded key. `None` if this code cannot
    /// read the body.
    pub fn event(&self) -> Option<Event> {
        match read_recorded(&self.body.as_ref()) {
            Some(Content::Event(event)) => Some(Event {
                key: self.key.clone(),
                received_at: self.received_at,
                ..*event
            }),
            _ => None,
        }
    }

    /// The Unix second from which the event's row counts as forgotten.
    pub fn forgotten_from(&self) -> Option<i64> {
        self.forgotten_from
    }

    /// When the event was received first.
    pub fn received_at(&self) -> Option<Timestamp> {
        self.received_at
    }
}

/// A body as a row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedBody {
    provider: String,
    scheme: String,
    tenant: String,
    body: String,
    time_zone: Option<String>,
}

impl OwnedBody {
    /// The body of a row that is [whole](Ledger::whole). If the body cannot be read, it is empty,
    /// and no event is read from it.
    pub(super) fn of(row: &Item) -> Self {
        let field = |name: &str| read_text(row, name).cloned().unwrap_or_default();
        let body = body::read(row).unwrap_or_else(|error| {
            if error != body::Unreadable::Absent {
                let (coupon, entry) = (field("coupon"), field("entry"));
                tracing::error!(event.key = format!("{coupon}/{entry}"), "{error}");
            }
            Vec::new()
        });
        Self {
            provider: field("provider"),
            scheme: field("scheme"),
            tenant: field("tenant"),
            body: String::from_utf8(body).unwrap_or_default(),
            time_zone: read_text(row, "zone").cloned(),
        }
    }

    /// The body, for reading it again.
    pub fn as_ref(&self) -> RecordedBody<'_> {
        RecordedBody {
            provider: &self.provider,
            scheme: &self.scheme,
            tenant: &self.tenant,
            body: &self.body,
            time_zone: self.time_zone.as_deref(),
        }
    }
}
