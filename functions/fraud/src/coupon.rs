//! All facts about a coupon, read from its rows.
//!
//! A coupon may have thousands of uses. Fraud reads its rows page by page, and keeps only the parts
//! of an event that rules need.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use webhooks::event::{Event, Fact, Redemption};
use webhooks::expiry;
use webhooks::figures::COUNTED_ON;
use webhooks::fraud::{Finding, RECORD};
use webhooks::ledger::{Item, forgotten_from, is_forgotten, read_event};
use webhooks::row::{read_number, read_text, read_time};

use crate::conflict::Conflict;
use crate::grace::Wait;
use crate::rush;

/// A coupon's events. Rules do not see those of a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Coupon {
    pub(crate) events: Vec<KnownEvent>,
    /// The index of each event, by its entry.
    places: HashMap<String, usize>,
}

/// An event of the coupon, with its record and its alerts.
#[derive(Debug, Clone)]
pub(crate) struct KnownEvent {
    pub(crate) event: Event,
    pub(crate) received_at: Timestamp,
    /// Later than `received_at`, if DynamoDB was down meanwhile.
    pub(crate) recorded_at: Timestamp,
    /// The Unix second at which its row expires.
    pub(crate) forget_at: Option<i64>,
    /// The least such second of the event's records. If a worker died on the way, they may end
    /// before the event's row.
    pub(crate) beneath_forget_at: Option<i64>,
    pub(crate) record: Option<Record>,
    /// The tenant's day on which the record's findings count, if they do.
    pub(crate) counted_on: Option<Date>,
    /// The published alerts of the event, and those that nobody needs any more.
    pub(crate) published: BTreeSet<usize>,
    /// Bodies that contradict the event.
    pub(crate) conflicts: Vec<Conflict>,
}

/// The contents of an event's record.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) findings: Vec<Finding>,
    /// The rules of the findings of each alert of the event. A rule is in one alert only, except
    /// for the alerts of a [rush].
    pub(crate) alerts: Vec<Vec<String>>,
    /// The wait for its redemption, if it waits.
    pub(crate) awaits: Option<Wait>,
}

/// Facts about a coupon that rules need in addition to the event, collected once for all events.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Overview<'a> {
    pub(crate) redemption: Option<&'a Event>,
    pub(crate) cancelled: Option<&'a Event>,
    /// The first use by time; of two at the same time, the first by name.
    pub(crate) first_use: Option<&'a Event>,
    /// From the latest statement.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Coupon {
    /// Takes a row of the coupon. An event's row comes before the rows beneath it.
    pub(crate) fn take(&mut self, row: &Item, grace: SignedDuration, now: Timestamp) {
        // DynamoDB may delete a forgotten row late.
        if is_forgotten(row, now) {
            return;
        }
        let Some(entry) = read_text(row, "entry") else {
            return;
        };
        match entry.split_once('/') {
            Some((event, beneath)) => {
                if let Some(place) = self.places.get(event) {
                    let known = &mut self.events[*place];
                    known.take(beneath, row, grace);
                    let ends = [known.beneath_forget_at, forgotten_from(row)];
                    known.beneath_forget_at = ends.into_iter().flatten().min();
                }
            }
            // The other rows of a coupon record no body.
            None => {
                if let Some(known) = row.get("scheme").and_then(|_| KnownEvent::read(row)) {
                    self.add(known);
                }
            }
        }
    }

    /// Adds an event without a row.
    pub(crate) fn ensure(&mut self, event: &Event, received_at: Timestamp) {
        if self.known(event.key.entry()).is_none() {
            self.add(KnownEvent::new(slim(event.clone()), received_at));
        }
    }

    fn add(&mut self, known: KnownEvent) {
        let entry = known.event.key.entry().to_owned();
        self.places.insert(entry, self.events.len());
        self.events.push(known);
    }

    pub(crate) fn known(&self, entry: &str) -> Option<&KnownEvent> {
        self.places.get(entry).map(|place| &self.events[*place])
    }

    /// Replaces an event's record.
    pub(crate) fn note(&mut self, entry: &str, record: Record, counted_on: Option<Date>) {
        if let Some(place) = self.places.get(entry) {
            let known = &mut self.events[*place];
            known.record = Some(record);
            known.counted_on = counted_on;
        }
    }

    pub(crate) fn redemption(&self) -> Option<&Event> {
        self.real(|fact| matches!(fact, Fact::Redeemed(_))).next()
    }

    pub(crate) fn overview(&self) -> Overview<'_> {
        let uses = self.real(|fact| matches!(fact, Fact::Used(_)));
        Overview {
            redemption: self.redemption(),
            cancelled: self.real(|fact| matches!(fact, Fact::Cancelled(_))).next(),
            first_use: uses.min_by_key(|event| (event.occurred_at, event.key.entry())),
            expires_at: expiry::latest(self.events.iter().map(|it| &it.event)),
        }
    }

    fn real(&self, is_wanted: fn(&Fact) -> bool) -> impl Iterator<Item = &Event> {
        let events = self.events.iter().map(|it| &it.event);
        events.filter(move |event| !event.sandbox && is_wanted(&event.fact))
    }
}

impl KnownEvent {
    pub(crate) fn new(event: Event, received_at: Timestamp) -> Self {
        Self {
            event,
            received_at,
            recorded_at: received_at,
            forget_at: None,
            beneath_forget_at: None,
            record: None,
            counted_on: None,
            published: BTreeSet::new(),
            conflicts: Vec::new(),
        }
    }

    fn read(row: &Item) -> Option<Self> {
        let mut known = Self::new(slim(read_event(row)?), read_time(row, "received_at")?);
        if let Some(at) = read_time(row, "recorded_at") {
            known.recorded_at = at;
        }
        known.forget_at = forgotten_from(row);
        // If the event came twice with different times, the recorded time counts.
        if let Some(at) = read_time(row, "occurred_at") {
            known.event.occurred_at = at;
        }
        Some(known)
    }

    /// Takes a row beneath the event.
    fn take(&mut self, beneath: &str, row: &Item, grace: SignedDuration) {
        if beneath == RECORD {
            self.record = Some(Record::read(row, self.recorded_at, grace));
            self.counted_on = read_text(row, COUNTED_ON).and_then(|it| it.parse().ok());
            return;
        }
        if beneath.starts_with("conflict/") && row.contains_key("scheme") {
            self.conflicts.extend(Conflict::read(row, &self.event));
            return;
        }
        let alert = beneath
            .strip_prefix(RECORD)
            .and_then(|it| it.strip_prefix(ALERT_BENEATH));
        let alert = alert.and_then(|number| number.parse::<usize>().ok());
        let is_settled = read_text(row, "status")
            .is_some_and(|it| ["done", "skipped", "failed"].contains(&it.as_str()));
        if is_settled {
            self.published.extend(alert);
        }
    }
}

/// The event without the parts that no rule needs, because a coupon may have thousands of events.
fn slim(mut event: Event) -> Event {
    event.member.name = None;
    event.member.email = None;
    event.member.phone = None;
    event.member.tier = None;
    match &mut event.fact {
        Fact::Redeemed(redemption) => {
            *redemption = Redemption {
                coupon_code: std::mem::take(&mut redemption.coupon_code),
                expires_at: redemption.expires_at,
                discount: redemption.discount.take(),
                ..Redemption::default()
            };
        }
        Fact::Used(usage) => {
            usage.items = Vec::new();
            usage.reward_name = None;
            usage.location = None;
            usage.staff_member = None;
        }
        _ => {}
    }
    event
}

/// The separator between the record's name and an alert's number.
const ALERT_BENEATH: &str = "/alert/";

/// The name of an alert's record, within its event. The numbers begin at 1.
pub(crate) fn alert_name(number: usize) -> String {
    format!("{RECORD}{ALERT_BENEATH}{number}")
}

impl Record {
    fn read(row: &Item, recorded_at: Timestamp, grace: SignedDuration) -> Self {
        let json = |name: &str| read_text(row, name).map_or("[]", String::as_str);
        let awaits = row.contains_key("awaits").then(|| {
            // Records of older code name no end.
            let mut wait = Wait::new(recorded_at, grace);
            wait.until = read_time(row, "awaits_until").unwrap_or(wait.until);
            wait.number = read_number(row, "awaits_number")
                .and_then(|it| it.try_into().ok())
                .unwrap_or(wait.number);
            wait
        });
        Self {
            findings: serde_json::from_str(json("findings")).unwrap_or_default(),
            alerts: serde_json::from_str(json("alerts")).unwrap_or_default(),
            awaits,
        }
    }

    pub(crate) fn has(&self, rule: &str) -> bool {
        self.findings.iter().any(|it| it.rule == rule)
    }

    /// Whether the record has an alert of this rule; for a rush, an alert with at least this count.
    pub(crate) fn is_alerted(&self, rule: &str, count: usize) -> bool {
        let mut names = self.alerts.iter().flatten().map(|it| rush::parse(it));
        names.any(|(alerted, of)| alerted == rule && of.is_none_or(|of| of >= count))
    }
}
