//! The message of a verified body that waits on the `retry` queue until it can be recorded.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::body;
use crate::event::Event;
use crate::message::{QueueMessage, Unreadable, queue_body, read_versioned};
use crate::record::REFUSED;
use crate::task::MESSAGE_VERSION;
use crate::verify::Verified;

/// The newest version of [`Waiting`] that this code reads. This code writes it for large bodies and
/// refused bodies; an older version does for the others.
pub const WAITING_VERSION: u32 = 2;

/// The longest body that waits as text. A longer body waits compressed.
const TEXT_MAX_BYTES: usize = 256 * 1024;

/// The longest message, in bytes: SQS takes 1 MiB, and a dead letter also has its reason.
pub const WAITING_MAX_BYTES: usize = 1024 * 1024 - 8 * 1024;

/// A verified body that waits to be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The version of the message's shape: 1, or [`WAITING_VERSION`].
    pub version: u32,
    /// The provider's name, such as `zupy`.
    pub provider: String,
    /// The name of the signature scheme that verified the body.
    pub scheme: String,
    /// For a refused body, the tenant that its secret names; empty if the secret names none.
    pub tenant: String,
    /// The body as it was sent; empty if it is `stored`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    body: String,
    /// The body as the ledger stores it, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<String>,
    /// No event was read in the body. It is kept as refused, unless this code reads an event.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refused: bool,
    /// When the webhook function received the body.
    pub received_at: Timestamp,
    /// The trace id of the webhook's request, for the log; `None` if Lambda gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The event's key, for the log.
    pub key: String,
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Waiting {
    /// An event that waits to be recorded.
    pub fn new(
        provider: &str,
        event: &Event,
        body: &Verified<'_>,
        trace: Option<&str>,
        received_at: Timestamp,
    ) -> Self {
        let mut waiting = Self::compressed(provider, body, received_at);
        waiting.tenant = event.tenant.clone();
        waiting.trace = trace.map(Into::into);
        waiting.key = event.key.to_string();
        if let Ok(text) = std::str::from_utf8(body.body())
            && text.len() <= TEXT_MAX_BYTES
        {
            // Older code, which may run during a deployment, reads this version too.
            waiting.version = MESSAGE_VERSION;
            waiting.body = text.to_owned();
            waiting.stored = None;
        }
        waiting
    }

    /// Waiting for a body in which no event was read.
    pub fn refused(provider: &str, body: &Verified<'_>, received_at: Timestamp) -> Self {
        Self {
            refused: true,
            ..Self::compressed(provider, body, received_at)
        }
    }

    fn compressed(provider: &str, body: &Verified<'_>, received_at: Timestamp) -> Self {
        Self {
            version: WAITING_VERSION,
            provider: provider.into(),
            scheme: body.scheme().into(),
            tenant: body.tenant().unwrap_or_default().into(),
            body: String::new(),
            stored: Some(STANDARD.encode(body::compress(body.body()))),
            refused: false,
            received_at,
            trace: None,
            key: format!("{REFUSED}{provider}"),
        }
    }

    /// The message as the `retry` queue takes it.
    pub fn to_body(&self) -> String {
        queue_body(self)
    }

    /// The body as it was sent. `None` if the stored body is damaged.
    pub fn body(&self) -> Option<Cow<'_, [u8]>> {
        match &self.stored {
            None => Some(Cow::Borrowed(self.body.as_bytes())),
            Some(stored) => {
                let stored = STANDARD.decode(stored).ok()?;
                body::decompress(&stored).ok().map(Cow::Owned)
            }
        }
    }

    /// The body with what its signature proved, for reading it again.
    pub fn verified<'a>(&'a self, body: &'a [u8]) -> Verified<'a> {
        let names_one = !self.refused || !self.tenant.is_empty();
        let tenant = names_one.then_some(self.tenant.as_str());
        Verified::recorded(body, &self.scheme, tenant)
    }
}

impl QueueMessage for Waiting {
    fn read(body: &str) -> Result<Self, Unreadable> {
        read_versioned(body, WAITING_VERSION)
    }

    fn key(&self) -> String {
        self.key.clone()
    }
}
