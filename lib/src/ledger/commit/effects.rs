//! The effects of one event, and the record that confirms them.

use std::borrow::Cow;

use super::change::Change;
use crate::event::Event;
use crate::ledger::Status;
use crate::row::{Item, Row, read_text};

/// One event's effects inside DynamoDB, and the record that confirms them.
#[derive(Debug)]
pub struct Effects<'a> {
    pub(super) event: &'a Event,
    pub(super) name: Cow<'a, str>,
    pub(super) once: Once,
    pub(super) status: Status,
    pub(super) fields: Row,
    pub(super) changes: Vec<Change>,
    /// The least Unix second until which the record is kept.
    pub(super) until: Option<i64>,
}

/// Attachments to a record that share its transaction: further fields, and changes of other items.
#[derive(Debug, Default)]
pub struct Attached {
    /// Fields of the record itself, beside those that every record has.
    pub fields: Row,
    /// Changes that only add, so that no condition of theirs can refuse the record.
    pub changes: Vec<Change>,
}

impl From<Vec<Change>> for Attached {
    fn from(changes: Vec<Change>) -> Self {
        Self {
            fields: Row::default(),
            changes,
        }
    }
}

/// How effects are kept from being made twice.
#[derive(Debug)]
pub(super) enum Once {
    /// By a record of this name beneath the event. A record that exists forbids a second commit.
    Record,
    /// By a row of this name of the event's coupon. The row must still have the version that was
    /// read, and gets a new version.
    Version(Option<String>),
    /// By a record of this name beneath the event. Another row may hold its place, if that row has
    /// the version that was read.
    Replaces(Option<String>),
}

impl<'a> Effects<'a> {
    /// Effects with a record of this name beneath the event.
    pub fn new(event: &'a Event, name: impl Into<Cow<'a, str>>) -> Self {
        Self::of(event, name.into(), Once::Record)
    }

    /// Effects that bring up to date what an earlier event of the coupon caused. A row of this name
    /// of the coupon holds the version, as [`version`] reads it. The commit succeeds only if that
    /// is still the version that was `seen`.
    pub fn since(event: &'a Event, name: &'a str, seen: Option<String>) -> Self {
        Self::of(event, name.into(), Once::Version(seen))
    }

    /// Effects with a record of this name beneath the event. If a row that is no record holds the
    /// record's place, it must have the version that was `seen`, as [`version`] reads it. The
    /// record then replaces it.
    pub fn replacing(event: &'a Event, name: &'a str, seen: Option<String>) -> Self {
        Self::of(event, name.into(), Once::Replaces(seen))
    }

    fn of(event: &'a Event, name: Cow<'a, str>, once: Once) -> Self {
        Self {
            event,
            name,
            once,
            status: Status::Done,
            fields: Row::default(),
            changes: Vec::new(),
            until: None,
        }
    }

    /// Keeps the record at least until this Unix second, until which the caller saw the event kept.
    /// An effect that nobody retries needs this: without it, a crash after the commit leaves a
    /// record that ends before its event.
    pub fn kept_until(mut self, until: Option<i64>) -> Self {
        self.until = until;
        self
    }

    /// Sets the record's status.
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Adds fields to the record.
    pub fn fields(mut self, fields: Row) -> Self {
        self.fields.0.extend(fields.0);
        self
    }

    /// Adds the fields and changes that another part attaches to the record.
    pub fn attach(self, attached: Attached) -> Self {
        let with_fields = self.fields(attached.fields);
        attached.changes.into_iter().fold(with_fields, Self::change)
    }

    /// Adds a change. A commit may change one item once, but any number of changes that only add
    /// count as one.
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

/// The version that a row of a coupon has, for [`Effects::since`].
pub fn version(row: &Item) -> Option<&String> {
    read_text(row, "attempt")
}
