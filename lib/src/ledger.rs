//! The events table. One conditional write records an event, a lease guards each effect outside,
//! and a transaction binds each effect inside DynamoDB to its task's record.
//!
//! Invariant: every write here is conditional on the state that it expects, and the SDK may repeat
//! it after a lost answer. So every write carries an id of its own: by that id we recognise that a
//! refused write had succeeded before.

pub mod body;
mod commit;
mod forgotten;
mod lease;
mod lifetime;
mod missing;
mod outbox;
mod progress;
mod read;
mod record;
mod refused;
mod standing;
mod together;
mod uses;
mod wait;

use anyhow::anyhow;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use jiff::SignedDuration;

use crate::config::{Aws, CallLimits, Environment};

pub use crate::row::{Item, Row};
pub use commit::{Attached, Change, Committed, Effects, ItemKey, Uncommitted, version};
pub use domain::contents::content_hash;
pub use domain::record::REFUSED;
pub use forgotten::{forgotten_from, is_forgotten};
pub use lease::{Claim, Ends, Lease, Note};
pub use outbox::{MARK, OutboxPage, OutboxPlace, Undispatched};
pub use progress::Progress;
pub use read::{read_all, read_conflict, read_event};
pub use refused::Refused;
pub use standing::{OwnedBody, Recorded, Standing};
pub use together::{Together, change_together};
pub use uses::SAME_USE_WITHIN;
pub(crate) use wait::Wait;

/// The field of a row that only holds the place of a task's record.
pub const PLACEHOLDER: &str = "placeholder";

/// The events table.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) client: Client,
    pub(crate) table: String,
    retention: SignedDuration,
}

/// How an effect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The effect was made.
    Done,
    /// There was nothing to do.
    Skipped,
    /// The effect can be made once something else is known. A waiting record can be claimed again.
    Waiting,
    /// The effect can never be made. The record holds the reason.
    Failed,
}

impl Status {
    /// The word that records have.
    pub fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Skipped => "skipped",
            Status::Waiting => "waiting",
            Status::Failed => "failed",
        }
    }
}

impl Ledger {
    /// The ledger in this table, which remembers an event for `retention`.
    pub fn new(client: Client, table: impl Into<String>, retention: SignedDuration) -> Self {
        Self {
            client,
            table: table.into(),
            retention,
        }
    }

    /// Reads the table and the retention from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws, limits: CallLimits) -> Self {
        let retention = SignedDuration::from_hours(24 * environment.number("RETENTION_DAYS", 1));
        let client = Client::new(&aws.sdk_config(limits));
        Self::new(client, environment.text("EVENTS_TABLE"), retention)
    }

    /// How long an event is remembered.
    pub fn retention(&self) -> SignedDuration {
        self.retention
    }
}

/// An id that no other attempt has.
pub(crate) fn unique_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The item that made the condition of an update fail.
pub(crate) fn refused_item(error: SdkError<UpdateItemError>) -> anyhow::Result<Item> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
            Ok(refusal.item().cloned().unwrap_or_default())
        }
        _ => Err(anyhow!(error)),
    }
}

fn is_refused_put(error: &SdkError<PutItemError>) -> bool {
    matches!(
        error.as_service_error(),
        Some(PutItemError::ConditionalCheckFailedException(_))
    )
}
