//! All that is known of a coupon, as its rows have it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use webhooks::event::{Event, Fact};
use webhooks::fraud::{Finding, RECORD};
use webhooks::ledger::{Item, read_event};

/// A coupon's events, those of a sandbox left out of what rules see.
#[derive(Debug, Default)]
pub(crate) struct Coupon {
    pub(crate) events: Vec<Known>,
}

/// An event of the coupon, and what was found out about it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) event: Event,
    pub(crate) received_at: Timestamp,
    /// The second from which its row is forgotten.
    pub(crate) forget_at: Option<i64>,
    pub(crate) record: Option<Record>,
    /// The alerts of it that were told of, or that nobody need be told of any more.
    pub(crate) told: BTreeSet<usize>,
}

/// What the record beneath an event says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) findings: Vec<Finding>,
    /// The rules of the findings that each alert of the event is about. Once here, they are in no other.
    pub(crate) alerts: Vec<Vec<String>>,
    /// Its redemption is waited for.
    pub(crate) awaits: bool,
}

impl Coupon {
    pub(crate) fn read(rows: &[Item], now: Timestamp) -> Self {
        // What DynamoDB has not deleted yet is forgotten all the same.
        let rows: Vec<_> = rows.iter().filter(|row| !is_past(row, now)).collect();
        let events = rows.iter().filter_map(|row| {
            let entry = text(row, "entry")?;
            let event = read_event(row).filter(|it| it.key.entry() == entry)?;
            let received_at = text(row, "received_at")?.parse().ok()?;
            let mut known = Known::new(event, received_at);
            known.forget_at = forget_at(row);
            // Of two deliveries of the event the one that was recorded says when it was.
            if let Some(at) = text(row, "occurred_at").and_then(|it| it.parse().ok()) {
                known.event.occurred_at = at;
            }
            let record = known.event.key.beneath(RECORD);
            for row in &rows {
                let entry = text(row, "entry").map_or("", String::as_str);
                if let Some(beneath) = entry.strip_prefix(&record) {
                    known.take(beneath, row);
                }
            }
            Some(known)
        });
        Self {
            events: events.collect(),
        }
    }

    /// The event of this name, added where its row is gone.
    pub(crate) fn ensure(&mut self, event: &Event, received_at: Timestamp) {
        if self.known(event.key.entry()).is_none() {
            self.events.push(Known::new(event.clone(), received_at));
        }
    }

    pub(crate) fn known(&self, entry: &str) -> Option<&Known> {
        self.events.iter().find(|it| it.event.key.entry() == entry)
    }

    /// What the record beneath an event says now.
    pub(crate) fn note(&mut self, entry: &str, record: Record) {
        let mut events = self.events.iter_mut();
        if let Some(known) = events.find(|it| it.event.key.entry() == entry) {
            known.record = Some(record);
        }
    }

    /// Until when an event must be remembered with its coupon, where its own row is forgotten before that: a use or a
    /// cancellation counts as long as the coupon is known.
    pub(crate) fn outlives(&self, known: &Known) -> Option<i64> {
        let redemption = self.redemption()?;
        let until = self.known(redemption.key.entry())?.forget_at?;
        known.forget_at.filter(|own| *own < until).map(|_| until)
    }

    pub(crate) fn redemption(&self) -> Option<&Event> {
        self.real(|fact| matches!(fact, Fact::Redeemed(_))).next()
    }

    pub(crate) fn cancelled(&self) -> Option<&Event> {
        self.real(|fact| matches!(fact, Fact::Cancelled(_))).next()
    }

    /// By time; of two at the same time, by name.
    pub(crate) fn uses(&self) -> Vec<&Event> {
        let mut uses: Vec<_> = self.real(|fact| matches!(fact, Fact::Used(_))).collect();
        uses.sort_by_key(|event| (event.occurred_at, event.key.entry()));
        uses
    }

    fn real(&self, is_meant: fn(&Fact) -> bool) -> impl Iterator<Item = &Event> {
        let events = self.events.iter().map(|it| &it.event);
        events.filter(move |event| !event.sandbox && is_meant(&event.fact))
    }
}

impl Known {
    fn new(event: Event, received_at: Timestamp) -> Self {
        Self {
            event,
            received_at,
            forget_at: None,
            record: None,
            told: BTreeSet::new(),
        }
    }

    /// Takes what the record says, or a row beneath it.
    fn take(&mut self, beneath: &str, row: &Item) {
        if beneath.is_empty() {
            self.record = Some(Record::read(row));
        }
        let alert = beneath.strip_prefix(ALERT_BENEATH);
        let alert = alert.and_then(|number| number.parse::<usize>().ok());
        let is_settled = text(row, "status")
            .is_some_and(|it| ["done", "skipped", "failed"].contains(&it.as_str()));
        if is_settled {
            self.told.extend(alert);
        }
    }
}

/// What stands between the record's name and an alert's number.
const ALERT_BENEATH: &str = "/alert/";

/// The name of an alert's record beneath its event. They are numbered from 1.
pub(crate) fn alert_name(number: usize) -> String {
    format!("{RECORD}{ALERT_BENEATH}{number}")
}

impl Record {
    fn read(row: &Item) -> Self {
        let json = |name: &str| text(row, name).map_or("[]", String::as_str);
        Self {
            findings: serde_json::from_str(json("findings")).unwrap_or_default(),
            alerts: serde_json::from_str(json("alerts")).unwrap_or_default(),
            awaits: row.contains_key("awaits"),
        }
    }

    pub(crate) fn has(&self, rule: &str) -> bool {
        self.findings.iter().any(|it| it.rule == rule)
    }
}

fn is_past(row: &Item, now: Timestamp) -> bool {
    forget_at(row).is_some_and(|second| second <= now.as_second())
}

fn forget_at(row: &Item) -> Option<i64> {
    row.get("ttl")?.as_n().ok()?.parse().ok()
}

fn text<'a>(row: &'a Item, name: &str) -> Option<&'a String> {
    row.get(name)?.as_s().ok()
}
