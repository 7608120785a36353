//! An event as it was received, for people.

use anyhow::{Context, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::text;
use crate::event::{Event, EventKey, escape, member_key};
use crate::ledger::{Item, MARK, body};
use crate::problem::Problem;
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::task::tasks;

/// An event as it was received.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Received {
    /// The event's key.
    pub event: String,
    /// The sort key of the event's row, such as `redeemed`.
    pub entry: String,
    /// The provider's name, such as `zupy`.
    pub provider: String,
    /// The scheme of the signature, which also names the body's format.
    pub scheme: String,
    /// The time zone in which a date of the body was read.
    #[serde(skip)]
    pub zone: Option<String>,
    /// The company (Zupy) or the game (Aghanim).
    pub tenant: String,
    /// The id of the member whom the event is about.
    pub member: String,
    /// The coupon's code; empty if the event is about no coupon.
    pub code: String,
    /// When the event happened by the provider's clock, as RFC 3339.
    pub occurred_at: String,
    /// When we received the event first, as RFC 3339.
    pub received_at: String,
    /// Whether the event is a trial: it comes from a sandbox or a test button.
    pub sandbox: bool,
    /// Problems of fields that were left out or mended, as the answer listed them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
    /// The event's tasks whose message SQS refused. The outbox sends it.
    pub undispatched: Vec<String>,
    /// The tasks that the event causes; `None` if its body cannot be read any more.
    pub causes: Option<Vec<&'static str>>,
    /// The body as it was sent. The body is shown on request only, because it holds personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Received {
    /// `None` if the row is not an event's.
    pub fn read(row: &Item) -> Option<Self> {
        let mut received = Self {
            event: format!("{}/{}", text(row, "coupon")?, text(row, "entry")?),
            entry: text(row, "entry")?,
            provider: text(row, "provider")?,
            scheme: text(row, "scheme").unwrap_or_default(),
            zone: text(row, "zone"),
            tenant: text(row, "tenant").unwrap_or_default(),
            member: text(row, "member").unwrap_or_default(),
            code: text(row, "code").unwrap_or_default(),
            occurred_at: text(row, "occurred_at").unwrap_or_default(),
            received_at: text(row, "received_at")?,
            sandbox: matches!(row.get("sandbox"), Some(AttributeValue::Bool(true))),
            warnings: text(row, "warnings")
                .and_then(|it| serde_json::from_str(&it).ok())
                .unwrap_or_default(),
            undispatched: text(row, "undispatched")
                .map(|tasks| tasks.split(' ').map(str::to_owned).collect())
                .unwrap_or_default(),
            causes: None,
            body: Some(body_of(row)?),
        };
        let event = received.parse().ok();
        received.causes = event.map(|event| tasks(&event).iter().map(|it| it.name()).collect());
        if received.undispatched.first().is_some_and(|it| it == MARK)
            && let Some(causes) = &received.causes
        {
            received.undispatched = causes.iter().map(|it| (*it).to_owned()).collect();
        }
        Some(received)
    }

    /// The key of the coupon in the members table: `member` and `entry`.
    pub fn account_key(&self) -> (String, String) {
        (
            member_key(&self.provider, &self.tenant, &self.member),
            format!("coupon#{}", escape(&self.code)),
        )
    }

    /// Reads the recorded body as today's code does. An error never quotes the body.
    ///
    /// # Errors
    /// The row holds no body, or this code reads no event in it.
    pub fn parse(&self) -> anyhow::Result<Event> {
        let body = self.body.as_deref().context("no body was recorded")?;
        let recorded = RecordedBody {
            provider: &self.provider,
            scheme: &self.scheme,
            tenant: &self.tenant,
            body,
            time_zone: self.zone.as_deref(),
        };
        let content = read_recorded(&recorded)
            .with_context(|| format!("there is no provider {:?}", self.provider))?;
        match content {
            Content::Event(mut event) => {
                // Newer code may give such an event another key, but its records stand beneath the
                // row's key.
                event.key = EventKey::parse(&self.event).context("its key is not an event's")?;
                Ok(*event)
            }
            Content::Ignored(_) => bail!("its body has a type that is not handled"),
            Content::Invalid(problems) => {
                let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
                bail!("its body is not valid any more: {}", fields.join(", "))
            }
        }
    }
}

/// The body of a row, for people; `None` if the row is not an event's.
pub(super) fn body_of(row: &Item) -> Option<String> {
    match body::read(row) {
        Ok(body) => Some(String::from_utf8_lossy(&body).into_owned()),
        Err(body::Unreadable::Absent) => None,
        // The row is shown all the same. The code that reads the body reports the error.
        Err(_) => Some(String::new()),
    }
}
