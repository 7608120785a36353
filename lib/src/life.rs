//! A coupon's whole life, as the events table holds it.

mod lookup;
mod received;
mod record;

use serde::Serialize;

use crate::fraud::{self, Finding};
use crate::ledger::{Item, body};
use crate::stock::RESERVATION;

pub use lookup::Lookup;
pub use received::Received;
use received::body_of;
pub use record::{Record, expected};

/// Everything that the events table holds about one coupon.
#[derive(Debug, Default, Serialize)]
pub struct Life {
    /// The partition key of the coupon's rows: `<provider>#<tenant>#<coupon>`, each part escaped.
    pub coupon: String,
    /// The coupon's state in its member's account; `None` if no account holds the coupon.
    pub account: Option<Account>,
    /// The coupon's events, in the order in which we received them.
    pub received: Vec<Received>,
    /// The tasks' records beneath all of the coupon's events.
    pub tasks: Vec<Record>,
    /// Tasks that an event causes and that left no record.
    pub missing: Vec<Missing>,
    /// The bodies that got a 409, because they contradicted an event.
    pub conflicts: Vec<Conflict>,
    /// Findings about the coupon's events.
    pub findings: Vec<Found>,
    /// The reservation for the coupon, even if it was released; `None` if the inventory has not
    /// worked on it.
    pub reservation: Option<Reservation>,
    /// Entries of kinds that this version does not know.
    pub other: Vec<String>,
}

/// The coupon in its member's account.
#[derive(Debug, Serialize)]
pub struct Account {
    /// `active`, `used`, `cancelled` or `expired`; `None` if the account's row has no state.
    pub state: Option<String>,
    /// When the coupon ends, as RFC 3339; `None` if no event names an expiry.
    pub expires_at: Option<String>,
}

/// A task, or one of its records, that is missing beneath an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Missing {
    /// The key of the event.
    pub event: String,
    /// The name of the task, or of the record that another record promises: `delivery/email`.
    pub task: String,
}

/// A finding, and the event that it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The key of the event.
    pub event: String,
    /// What the rule reported.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A body that contradicted the recorded one.
#[derive(Debug, Clone, Serialize)]
pub struct Conflict {
    /// The key of the event that the body contradicts.
    pub event: String,
    /// The hash of the body's contents, in hexadecimal digits. Each conflict of one event has
    /// another hash.
    pub hash: String,
    /// When the first such body was received, as RFC 3339.
    pub received_at: String,
    /// The body as it was sent. The body is shown on request only, because it holds personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The product that is reserved for a coupon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reservation {
    /// The product's name, as people read it.
    pub product: Option<String>,
    /// How much of the product is reserved, as a decimal number.
    pub quantity: Option<String>,
    /// When the reservation ends by itself, as RFC 3339.
    pub until: Option<String>,
    /// When the coupon ended and released the reservation.
    pub released: Option<String>,
}

impl Life {
    /// Reads a coupon's life from all of its rows, whose bodies are whole.
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
                    .any(|record| record.event == event.event && record.task == *name)
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
            // The row holds only the version of the findings.
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
    /// Reads the row of a coupon in the members table.
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

/// Reads a text; `None` if the field is missing or of another type.
pub fn text(row: &Item, name: &str) -> Option<String> {
    row.get(name)?.as_s().ok().cloned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

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
