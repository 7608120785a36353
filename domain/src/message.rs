//! Messages on queues: JSON that names the version of its shape.
//!
//! Old code may read a message that newer code wrote. If old code does not know a part of the
//! message, the message waits, because old code must not drop that part. The rules for a change are
//! in `docs/extending.md`, "Changing a message".

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A message that a queue may hold.
pub trait QueueMessage: Sized {
    /// Reads the body of a queue's message.
    ///
    /// # Errors
    /// The body is no such message, or only newer code can read it.
    fn read(body: &str) -> Result<Self, Unreadable>;

    /// The key of the message's event, for the log.
    fn key(&self) -> String;
}

/// Why a message cannot be worked on, now or ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No code wrote this message. The error never quotes the message, which holds personal data.
    #[error("the message is not one that a webhook function writes (line {line}, column {column})")]
    Malformed {
        /// The line of the JSON in which reading ended, from 1.
        line: usize,
        /// The column of that line, in bytes.
        column: usize,
    },
    /// A version that only newer code can read. The message waits.
    #[error("the message has version {version}, this function reads up to {newest}")]
    Newer {
        /// The version that the message names.
        version: u32,
        /// The newest version that this code reads.
        newest: u32,
    },
    /// A known version with a part that this code does not know. The message waits.
    #[error("the message has {0} that this function does not know")]
    Unknown(Unknown),
}

/// A part that newer code may add to a message without a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A field, which may forbid what this code is about to do.
    Field,
    /// One of several words, such as the kind of an event.
    Variant,
    /// A task's name, in a message of the `work` queue.
    Task,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unknown::Field => "a field",
            Unknown::Variant => "a kind",
            Unknown::Task => "a task",
        })
    }
}

impl Unreadable {
    /// Whether newer code wrote the message and can read it.
    pub fn waits_for_newer_code(&self) -> bool {
        match self {
            Unreadable::Malformed { .. } => false,
            Unreadable::Newer { .. } | Unreadable::Unknown(_) => true,
        }
    }
}

/// JSON that SQS takes. SQS refuses U+FFFE and U+FFFF, which JSON may hold unescaped.
pub fn queue_body(message: &impl Serialize) -> String {
    let body = serde_json::to_string(message).expect("a message holds nothing that JSON cannot");
    if body.contains(['\u{FFFE}', '\u{FFFF}']) {
        return body
            .replace('\u{FFFE}', "\\ufffe")
            .replace('\u{FFFF}', "\\uffff");
    }
    body
}

/// Reads a message of version `newest` or an older one. A field or a word that this code does not
/// know is newer than this code. Without it, this code could do what the newer code wanted to
/// prevent.
///
/// # Errors
/// The body is malformed, or only newer code can read it.
pub fn read_versioned<T: DeserializeOwned>(body: &str, newest: u32) -> Result<T, Unreadable> {
    let version = version_of(body)?;
    if version > newest {
        return Err(Unreadable::Newer { version, newest });
    }
    let mut unknown = false;
    let mut json = serde_json::Deserializer::from_str(body);
    let read = serde_ignored::deserialize(&mut json, |_| unknown = true);
    let message = read.and_then(|message| json.end().map(|()| message));
    match message {
        Ok(_) if unknown => Err(Unreadable::Unknown(Unknown::Field)),
        // serde has no kind of error for this, only a text.
        Err(error) if error.is_data() && error.to_string().starts_with("unknown variant") => {
            Err(Unreadable::Unknown(Unknown::Variant))
        }
        message => message.map_err(|error| malformed(&error)),
    }
}

pub(crate) fn version_of(body: &str) -> Result<u32, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(body).map_err(|error| malformed(&error))?;
    Ok(version)
}

fn malformed(error: &serde_json::Error) -> Unreadable {
    Unreadable::Malformed {
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests;
