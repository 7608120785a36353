//! A coupon's whole life, as the events table holds it.

use anyhow::{Context, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::event::{Event, EventKey, escape, member_key};
use crate::fraud::{self, Finding};
use crate::ledger::{Item, MARK, body};
use crate::provider::wire::Problem;
use crate::provider::{Content, RecordedBody, read_recorded};
use crate::stock::RESERVATION;
use crate::task::{Task, tasks};

/// How a coupon, or one of its events, is looked up.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// By key: `zupy#comp#CP-1`, or one event: `zupy#comp#CP-1/redeemed`.
    Key {
        coupon: String,
        entry: Option<String>,
    },
    /// By code, of any provider and tenant: `CP-1`.
    Code(String),
}

impl Lookup {
    /// Reads a key or a code. A coupon's key has three parts between `#`; a member's and a trial's
    /// have four. Inside a part, `#` and `/` are escaped.
    pub fn parse(text: &str) -> Self {
        let (coupon, beneath) = match text.split_once('/') {
            Some((coupon, beneath)) => (coupon, Some(beneath)),
            None => (text, None),
        };
        let parts: Vec<_> = coupon.split('#').collect();
        let is_key = parts.len() == 3
            || (parts.len() == 4 && ["member", "sandbox", "test"].contains(&parts[2]));
        if !is_key || parts.iter().any(|part| part.is_empty()) {
            return Self::Code(text.to_owned());
        }
        // A record's key begins with its event's.
        let entry = beneath.and_then(|beneath| beneath.split('/').next());
        Self::Key {
            coupon: coupon.to_owned(),
            entry: entry.filter(|entry| !entry.is_empty()).map(str::to_owned),
        }
    }
}

#[derive(Debug, Default, Serialize)]
pub struct Life {
    pub coupon: String,
    /// The coupon's state in its member's account; `None` if no account holds the coupon.
    pub account: Option<Account>,
    pub received: Vec<Received>,
    pub tasks: Vec<Record>,
    /// Tasks that an event causes and that left no record.
    pub missing: Vec<Missing>,
    pub conflicts: Vec<Conflict>,
    /// Findings about the coupon's events.
    pub findings: Vec<Found>,
    /// The reservation for the coupon, even if it was released; `None` if the inventory has not
    /// worked on it.
    pub reservation: Option<Reservation>,
    /// Entries of kinds that this version does not know.
    pub other: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Account {
    pub state: Option<String>,
    pub expires_at: Option<String>,
}

/// An event as it was received.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Received {
    /// The event's key.
    pub event: String,
    pub entry: String,
    pub provider: String,
    /// The scheme of the signature, which also names the body's format.
    pub scheme: String,
    /// The time zone in which a date of the body was read.
    #[serde(skip)]
    pub zone: Option<String>,
    pub tenant: String,
    pub member: String,
    pub code: String,
    pub occurred_at: String,
    pub received_at: String,
    pub sandbox: bool,
    /// Problems of fields that were left out or mended, as the answer listed them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
    /// The event's tasks whose message SQS refused. The outbox sends it.
    pub undispatched: Vec<String>,
    /// The tasks that the event causes; `None` if its body cannot be read any more.
    pub causes: Option<Vec<&'static str>>,
    /// The body as it was sent. It holds personal data, so it is shown on request only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A task's record of its work on an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Record {
    pub event: String,
    /// The record's name: the task, and its channel, as in `delivery/email`.
    pub task: String,
    pub status: String,
    pub attempts: Option<u32>,
    pub result: Option<String>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// When another worker may take over a running effect.
    pub lease_until: Option<Timestamp>,
    /// The earliest time of the next try after a failure.
    pub not_before: Option<Timestamp>,
    /// How many attempts got no answer. Each of them may have succeeded.
    #[serde(skip)]
    pub in_doubt: u32,
    /// How many attempts a failed record had when an operator asked for another try.
    #[serde(skip)]
    pub asked_after_attempts: Option<u32>,
    /// The records that follow this one.
    #[serde(skip)]
    pub then: Vec<String>,
    /// The message that would have been sent, if the event were no trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_send: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Missing {
    pub event: String,
    pub task: String,
}

/// A finding, and the event that it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    pub event: String,
    #[serde(flatten)]
    pub finding: Finding,
}

/// A body that contradicted the recorded one.
#[derive(Debug, Clone, Serialize)]
pub struct Conflict {
    pub event: String,
    pub hash: String,
    pub received_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The product that is reserved for a coupon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reservation {
    pub product: Option<String>,
    pub quantity: Option<String>,
    pub until: Option<String>,
    /// When the coupon ended and released the reservation.
    pub released: Option<String>,
}

impl Life {
    pub fn read(coupon: String, rows: &[Item]) -> Self {
        let mut life = Self {
            coupon,
            ..Self::default()
        };
        for row in rows {
            life.take(row);
        }
        life.received
            .sort_by(|a, b| a.received_at.cmp(&b.received_at));
        for event in &life.received {
            for &task in event.causes.iter().flatten() {
                if !life.tasks.iter().any(|it| it.is_of(&event.event, task)) {
                    life.missing.push(Missing {
                        event: event.event.clone(),
                        task: task.to_owned(),
                    });
                }
            }
            for name in life
                .tasks
                .iter()
                .filter(|it| it.event == event.event)
                .flat_map(|it| &it.then)
            {
                if !life
                    .tasks
                    .iter()
                    .any(|it| it.event == event.event && it.task == *name)
                {
                    life.missing.push(Missing {
                        event: event.event.clone(),
                        task: name.clone(),
                    });
                }
            }
        }
        life
    }

    fn take(&mut self, row: &Item) {
        let Some(entry) = text(row, "entry") else {
            return;
        };
        let key = |entry: &str| format!("{}/{entry}", self.coupon);
        match entry.split_once('/') {
            None if entry == RESERVATION => self.reservation = Some(Reservation::read(row)),
            // This row holds only the version of the findings.
            None if entry == fraud::RECORD => {}
            None => match Received::read(row) {
                Some(received) => self.received.push(received),
                None => self.other.push(entry),
            },
            Some((event, beneath)) => match beneath.strip_prefix("conflict/") {
                Some(hash) => self.conflicts.push(Conflict {
                    event: key(event),
                    hash: text(row, "hash").unwrap_or_else(|| hash.to_owned()),
                    received_at: text(row, "received_at").unwrap_or_default(),
                    body: body_of(row),
                }),
                None if body::is_part(&entry) => {}
                None => {
                    if beneath == fraud::RECORD {
                        self.findings.extend(Found::read(row, &key(event)));
                    }
                    self.tasks.push(Record::read(row, key(event), beneath));
                }
            },
        }
    }

    /// Removes the parts of other events of the coupon.
    pub fn keep_only(&mut self, entry: &str) {
        let event = format!("{}/{entry}", self.coupon);
        self.received.retain(|it| it.event == event);
        self.tasks.retain(|it| it.event == event);
        self.missing.retain(|it| it.event == event);
        self.conflicts.retain(|it| it.event == event);
        self.findings.retain(|it| it.event == event);
        self.other.clear();
    }

    /// Whether anything was received for the coupon.
    pub fn is_known(&self) -> bool {
        !self.received.is_empty() || !self.tasks.is_empty() || !self.conflicts.is_empty()
    }

    /// Removes the bodies, which hold personal data.
    pub fn without_bodies(mut self) -> Self {
        self.received.iter_mut().for_each(|it| it.body = None);
        self.conflicts.iter_mut().for_each(|it| it.body = None);
        self
    }
}

impl Account {
    pub fn read(row: &Item) -> Self {
        Self {
            state: text(row, "state"),
            expires_at: text(row, "expires_at"),
        }
    }
}

impl Found {
    /// The findings in the record beneath an event.
    fn read(row: &Item, event: &str) -> Vec<Self> {
        let findings = text(row, "findings");
        let findings = findings.and_then(|it| serde_json::from_str::<Vec<Finding>>(&it).ok());
        let findings = findings.into_iter().flatten();
        findings
            .map(|finding| Self {
                event: event.to_owned(),
                finding,
            })
            .collect()
    }
}

impl Reservation {
    fn read(row: &Item) -> Self {
        Self {
            product: text(row, "product"),
            quantity: row.get("quantity").and_then(|it| it.as_n().ok()).cloned(),
            until: text(row, "reserved_until"),
            released: text(row, "released"),
        }
    }
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
            Content::Ignored(_) => bail!("its body is of a type that is not handled"),
            Content::Invalid(problems) => {
                let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
                bail!("its body is not valid any more: {}", fields.join(", "))
            }
        }
    }
}

impl Record {
    pub fn read(row: &Item, event: String, task: &str) -> Self {
        let number = |name: &str| row.get(name).and_then(|value| value.as_n().ok());
        let time = |name: &str| Timestamp::from_millisecond(number(name)?.parse().ok()?).ok();
        let count = |name: &str| number(name)?.parse().ok();
        Self {
            event,
            task: task.to_owned(),
            status: text(row, "status").unwrap_or_default(),
            attempts: count("attempts"),
            result: text(row, "result").filter(|result| !result.is_empty()),
            started_at: text(row, "started_at"),
            finished_at: text(row, "finished_at"),
            lease_until: time("lease_until_ms"),
            not_before: time("not_before_ms"),
            in_doubt: count("in_doubt").unwrap_or(0),
            asked_after_attempts: count("asked_after_attempts"),
            then: text(row, "then")
                .map(|names| names.split(' ').map(str::to_owned).collect())
                .unwrap_or_default(),
            would_send: text(row, "would_send").and_then(|it| serde_json::from_str(&it).ok()),
        }
    }

    /// Whether the record belongs to the task or to one of its channels.
    pub fn is_of(&self, event: &str, task: &str) -> bool {
        let rest = self.task.strip_prefix(task);
        self.event == event && rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
    }

    /// Whether the record is done or given up for good, so that the task will not touch it again.
    pub fn is_settled(&self) -> bool {
        matches!(
            self.status.as_str(),
            "done" | "skipped" | "waiting" | "failed"
        )
    }

    /// Whether the effect failed for good. An operator may have asked for another try that has not
    /// begun yet.
    pub fn failed_for_good(&self) -> bool {
        let asked = self.asked_after_attempts;
        self.status == "failed"
            || (self.status == "released" && asked == Some(self.attempts.unwrap_or(0)))
    }

    /// `delivery/email released: Throttling (3 attempts)`
    pub fn summary(&self) -> String {
        let mut summary = format!("{} {}", self.task, self.status);
        if let Some(result) = &self.result {
            summary.push_str(&format!(": {result}"));
        }
        if let Some(attempts) = self.attempts.filter(|&attempts| attempts > 1) {
            summary.push_str(&format!(" ({attempts} attempts)"));
        }
        summary
    }
}

/// The records that a finished task leaves beneath an event: always the first, and those that the
/// first names.
pub fn expected<'a>(
    task: Task,
    event: &Event,
    records: impl IntoIterator<Item = &'a Record>,
) -> Vec<String> {
    let first = task.first_record(event);
    let record = records.into_iter().find(|it| it.task == first);
    let then = record.into_iter().flat_map(|it| it.then.iter().cloned());
    std::iter::once(first.to_owned()).chain(then).collect()
}

/// The body of a row, for people; `None` if the row is not an event's.
fn body_of(row: &Item) -> Option<String> {
    match body::read(row) {
        Ok(body) => Some(String::from_utf8_lossy(&body).into_owned()),
        Err(body::Unreadable::Absent) => None,
        // The row is shown all the same. The code that reads the body reports the error.
        Err(_) => Some(String::new()),
    }
}

pub fn text(row: &Item, name: &str) -> Option<String> {
    row.get(name)?.as_s().ok().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, &str)]) -> Item {
        let fields = fields.iter();
        fields
            .map(|&(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
            .collect()
    }

    const COUPON: &str = "zupy#comp_bella_vista#CP-A1B2C3D4";

    fn redeemed() -> Item {
        row(&[
            ("coupon", COUPON),
            ("entry", "redeemed"),
            ("provider", "zupy"),
            ("code", "CP-A1B2C3D4"),
            ("received_at", "2026-11-22T10:00:00Z"),
            (
                "body",
                include_str!("../../events/samples/zupy-coupon-redeemed.json"),
            ),
        ])
    }

    #[track_caller]
    fn check_lookup(text: &str, expected: Option<(&str, Option<&str>)>) {
        let expected = match expected {
            Some((coupon, entry)) => Lookup::Key {
                coupon: coupon.to_owned(),
                entry: entry.map(str::to_owned),
            },
            None => Lookup::Code(text.to_owned()),
        };
        assert_eq!(Lookup::parse(text), expected);
    }

    #[test]
    fn a_key_is_recognised_among_codes() {
        check_lookup("zupy#comp#CP-1", Some(("zupy#comp#CP-1", None)));
        check_lookup("zupy#comp#CP-1/", Some(("zupy#comp#CP-1", None)));
        let redeemed = Some(("zupy#comp#CP-1", Some("redeemed")));
        check_lookup("zupy#comp#CP-1/redeemed", redeemed);
        check_lookup("zupy#comp#CP-1/redeemed/delivery/email", redeemed);
        let used = Some(("zupy#comp#CP-1", Some("used#1%2F2")));
        check_lookup("zupy#comp#CP-1/used#1%2F2", used);
        for code in ["CP-1", "CP#1", "50%/off", "##", ""] {
            check_lookup(code, None);
        }
    }

    #[test]
    fn a_task_without_a_record_is_missing() {
        let event = format!("{COUPON}/redeemed");
        let life = Life::read(COUPON.into(), &[redeemed()]);
        assert_eq!(life.received[0].event, event);
        let missing = |life: &Life| {
            life.missing
                .iter()
                .map(|it| it.task.clone())
                .collect::<Vec<_>>()
        };
        let all = ["delivery", "inventory", "fraud", "analytics"];
        assert_eq!(missing(&life), all);

        let record = row(&[("entry", "redeemed/delivery/email"), ("status", "running")]);
        let life = Life::read(COUPON.into(), &[redeemed(), record]);
        assert_eq!(missing(&life), ["inventory", "fraud", "analytics"]);
        assert_eq!(life.tasks[0].task, "delivery/email");
        assert!(life.tasks[0].is_of(&event, "delivery"));
        assert!(!life.tasks[0].is_of(&event, "deli"));
    }

    #[test]
    fn conflicts_and_unknown_entries_are_recognised() {
        let conflict = row(&[("entry", "redeemed/conflict/0123"), ("body", "{}")]);
        let unknown = row(&[("entry", "summary")]);
        let life = Life::read(COUPON.into(), &[redeemed(), conflict, unknown]);
        assert_eq!(life.conflicts[0].hash, "0123");
        assert_eq!(life.other, ["summary"]);
        assert_eq!(life.reservation, None);
        let life = life.without_bodies();
        let json = serde_json::to_value(&life).unwrap();
        assert!(!json.to_string().contains("body"), "{json}");
    }

    #[test]
    fn findings_name_their_event() {
        let findings =
            r#"[{"type":"expired_usage","severity":"high","details":"d","rule":"expired_usage"}]"#;
        let rows = [
            redeemed(),
            row(&[("entry", "fraud"), ("attempt", "0123")]),
            row(&[("entry", "redeemed/fraud"), ("findings", "[]")]),
            row(&[("entry", "used#1/fraud"), ("findings", findings)]),
            row(&[("entry", "used#1/fraud/alert/1"), ("status", "done")]),
        ];
        let mut life = Life::read(COUPON.into(), &rows);
        assert_eq!(life.other, Vec::<String>::new());
        assert_eq!(
            serde_json::to_value(&life.findings).unwrap(),
            serde_json::json!([{
                "event": format!("{COUPON}/used#1"), "type": "expired_usage", "severity": "high", "details": "d",
                "rule": "expired_usage",
            }])
        );
        life.keep_only("redeemed");
        assert_eq!(life.findings, []);
    }

    #[test]
    fn a_reservation_is_no_event() {
        let mut reservation = row(&[("entry", "reservation"), ("product", "Pizza")]);
        reservation.insert("quantity".into(), AttributeValue::N("1".into()));
        let life = Life::read(COUPON.into(), &[redeemed(), reservation]);
        assert_eq!((life.received.len(), life.other.len()), (1, 0));
        let reservation = life.reservation.unwrap();
        assert_eq!(reservation.product.as_deref(), Some("Pizza"));
        assert_eq!(reservation.quantity.as_deref(), Some("1"));
    }

    #[test]
    fn an_unreadable_body_is_reported_by_its_fields() {
        let mut unreadable = redeemed();
        let body = r#"{"event":"coupon.redeemed","timestamp":"2026-01-01T00:00:00Z","company_id":"Maria"}"#;
        unreadable.insert("body".into(), AttributeValue::S(body.into()));
        let received = Received::read(&unreadable).unwrap();
        assert_eq!(received.causes, None);
        let error = received.parse().unwrap_err().to_string();
        assert!(error.contains("customer.member_id"), "{error}");
        assert!(!error.contains("Maria"), "{error}");
    }
}
