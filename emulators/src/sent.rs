//! Messages to the outside, which the local system keeps instead of sending.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One message to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The name of the detail's variant: `email`, `sms`, `whatsapp`, `topic` or `game-server`.
    pub channel: String,
    pub from: String,
    pub to: String,
    pub subject: Option<String>,
    pub text: Option<String>,
    pub html: Option<String>,
    /// The event that caused the message, if the sender named it.
    pub event: Option<String>,
    /// The id in the service's answer; all recipients of one message share it.
    pub message_id: String,
    /// RFC 3339, milliseconds.
    pub at: String,
    #[serde(flatten)]
    pub detail: Detail,
}

/// The fields that only one channel has, under the channel's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    Email(Email),
    Sms(Sms),
    Whatsapp(Whatsapp),
    Topic(Publication),
    GameServer(Forwarded),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    pub reply_to: Vec<String>,
    pub configuration_set: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// The headers that the sender added.
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    /// `Promotional` or `Transactional`.
    #[serde(rename = "type")]
    pub kind: String,
    pub sender_id: Option<String>,
    pub origination_number: Option<String>,
    pub encoding: Encoding,
    pub characters: usize,
    /// The number of messages that carry the text; AWS charges each of them.
    pub parts: usize,
}

/// The alphabet of an SMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    #[serde(rename = "GSM-7")]
    Gsm7,
    #[serde(rename = "UCS-2")]
    Ucs2,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whatsapp {
    /// `template`, `text` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// The template's name; Meta keeps its text.
    pub template: Option<String>,
    /// For instance `pt_BR`.
    pub language: Option<String>,
    pub parameters: Vec<TemplateParameter>,
    pub meta_api_version: String,
    /// The message in the format of Meta's Cloud API.
    pub message: Value,
}

/// The value of one placeholder in a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateParameter {
    /// `header`, `body` or `button 0`.
    pub component: String,
    /// The placeholder's name, or its number within the component: `1`.
    pub name: String,
    pub text: String,
}

/// An alert to a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The topic's name.
    pub topic: String,
    /// For instance `email:ops@example.com`.
    pub subscribers: Vec<String>,
    pub attributes: BTreeMap<String, String>,
}

/// A request that a game's server got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    pub method: String,
    pub url: String,
    /// In lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// RFC 3339, milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The outside world: every message sent there, oldest first.
#[derive(Debug, Clone)]
pub struct Outside {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    sent: Vec<Sent>,
    /// `sent.jsonl`, one line a message.
    file: Option<File>,
}

impl Outside {
    /// Keeps messages in memory. With a directory, its file `sent.jsonl` keeps them too, and this
    /// function reads that file back.
    pub fn open(data_dir: Option<&Path>) -> anyhow::Result<Outside> {
        let kept = match data_dir {
            Some(directory) => read_back(&directory.join("sent.jsonl"))?,
            None => Kept {
                sent: vec![],
                file: None,
            },
        };
        Ok(Outside {
            kept: Arc::new(Mutex::new(kept)),
        })
    }

    /// Adds a message. If writing the file fails, the message counts as not sent.
    pub fn push(&self, sent: Sent) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&sent).context("writing a sent message")?;
        line.push(b'\n');
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut kept.file {
            file.write_all(&line)
                .context("appending a sent message to sent.jsonl")?;
        }
        kept.sent.push(sent);
        Ok(())
    }

    /// All messages, oldest first.
    pub fn all(&self) -> Vec<Sent> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sent.clone()
    }
}

/// Reads the file back. A dying process may leave a last line without its end; opening the file
/// removes it.
fn read_back(path: &Path) -> anyhow::Result<Kept> {
    let place = || format!("opening {}", path.display());
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(place)?;
    let content = std::fs::read(path).with_context(place)?;
    let whole = content
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    if whole < content.len() {
        file.set_len(whole as u64).with_context(place)?;
    }
    let mut sent = Vec::new();
    for (index, line) in content[..whole].split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let read = serde_json::from_slice(line).with_context(|| {
            format!(
                "{}:{}: not a sent message; delete the line or the file",
                path.display(),
                index + 1
            )
        })?;
        sent.push(read);
    }
    Ok(Kept {
        sent,
        file: Some(file),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(to: &str) -> Sent {
        Sent {
            channel: "email".into(),
            from: "shop@example.com".into(),
            to: to.into(),
            subject: Some("Your coupon".into()),
            text: Some("CP-1\nbis".into()),
            html: None,
            event: Some("zupy-1".into()),
            message_id: "1".into(),
            at: "2026-01-02T03:04:05.678Z".into(),
            detail: Detail::Email(Email {
                reply_to: vec!["help@example.com".into()],
                ..Email::default()
            }),
        }
    }

    #[test]
    fn remembers_in_order() {
        let outside = Outside::open(None).unwrap();
        outside.push(email("a@example.com")).unwrap();
        outside.clone().push(email("b@example.com")).unwrap();
        assert_eq!(
            outside.all(),
            [email("a@example.com"), email("b@example.com")]
        );
    }

    #[test]
    fn a_file_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let outside = Outside::open(Some(directory.path())).unwrap();
        outside.push(email("a@example.com")).unwrap();
        drop(outside);
        let outside = Outside::open(Some(directory.path())).unwrap();
        outside.push(email("b@example.com")).unwrap();
        drop(outside);
        let outside = Outside::open(Some(directory.path())).unwrap();
        assert_eq!(
            outside.all(),
            [email("a@example.com"), email("b@example.com")]
        );
    }

    #[test]
    fn a_detail_is_under_its_channels_name() {
        let sent = serde_json::to_value(email("a@example.com")).unwrap();
        assert_eq!(sent["email"]["reply_to"][0], "help@example.com");
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_later_ones_are_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sent.jsonl");
        let outside = Outside::open(Some(directory.path())).unwrap();
        outside.push(email("a@example.com")).unwrap();
        drop(outside);
        let mut content = std::fs::read(&path).unwrap();
        content.extend_from_slice(br#"{"channel":"email","fr"#);
        std::fs::write(&path, content).unwrap();
        let outside = Outside::open(Some(directory.path())).unwrap();
        outside.push(email("b@example.com")).unwrap();
        drop(outside);
        let outside = Outside::open(Some(directory.path())).unwrap();
        assert_eq!(
            outside.all(),
            [email("a@example.com"), email("b@example.com")]
        );
    }

    #[test]
    fn a_whole_line_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("sent.jsonl"), "{}\n").unwrap();
        let error = Outside::open(Some(directory.path())).unwrap_err();
        assert!(error.to_string().contains("sent.jsonl:1"), "{error}");
    }
}
