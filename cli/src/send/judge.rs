//! Judges a run: decides from the tables and the sent messages whether the system lost or doubled
//! an event.
//!
//! After a 2xx, an event is lost if its row, a task's record, its entry in the member's account, or
//! its mail is missing. An event is doubled if it has an effect outside twice, or if its coupon is
//! in the tables twice. Losing a webhook needs a 2xx first.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;
use webhooks::ledger::{Item, body};
use webhooks::life::{Received, Record, expected, text};
use webhooks::task::tasks;

/// The record of the entry in the account.
const ACCOUNT: &str = "delivery/account";

/// Records of a message, each with its channel. A reminder is not here: it may use any channel. A
/// forwarded webhook is not here: it names its event differently.
const CHANNELS: [(&str, &str); 3] = [
    ("delivery/email", "email"),
    ("delivery/whatsapp", "whatsapp"),
    ("delivery/sms", "sms"),
];

/// How many messages a channel sent for an event. The event's name is percent-encoded as in a
/// mail's header.
pub(super) type Messages = HashMap<(String, String), u32>;

/// What the system holds of a run.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Events by key.
    events: HashMap<String, Received>,
    /// Records by their event's key.
    records: HashMap<String, Vec<Record>>,
    /// `member` and `entry` of every row.
    accounts: HashSet<(String, String)>,
    /// `None` if the system does not show the sent messages.
    messages: Option<Messages>,
}

/// An event with its fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) event: String,
    pub(super) what: String,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// How many events got a 2xx.
    pub(super) judged: usize,
    pub(super) lost: Vec<Finding>,
    pub(super) doubled: Vec<Finding>,
}

impl Found {
    pub(super) fn with_messages(messages: Option<Messages>) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }

    /// Reads a row of the events table.
    pub(super) fn take_event(&mut self, row: &Item) {
        let (Some(coupon), Some(entry)) = (text(row, "coupon"), text(row, "entry")) else {
            return;
        };
        match entry.split_once('/') {
            None => {
                if let Some(received) = Received::read(row) {
                    self.events.insert(received.event.clone(), received);
                }
            }
            Some((_, beneath)) if beneath.starts_with("conflict/") || body::is_part(&entry) => {}
            Some((event, beneath)) => {
                let event = format!("{coupon}/{event}");
                let record = Record::read(row, event.clone(), beneath);
                self.records.entry(event).or_default().push(record);
            }
        }
    }

    /// Reads a row of the members table.
    pub(super) fn take_account(&mut self, row: &Item) {
        if let (Some(member), Some(entry)) = (text(row, "member"), text(row, "entry")) {
            self.accounts.insert((member, entry));
        }
    }

    /// Whether tasks of the run wait for the outbox.
    pub(super) fn waits_for_the_outbox(&self) -> bool {
        self.events.values().any(|it| !it.undispatched.is_empty())
    }

    /// Judges the events in `taken`, which got a 2xx; each has the number of its webhook. `body`
    /// returns that webhook's body. `mark` is part of the names of this run alone.
    pub(super) fn judge(
        &self,
        taken: &BTreeSet<(String, u32)>,
        body: impl Fn(u32) -> anyhow::Result<Vec<u8>>,
        mark: &str,
    ) -> anyhow::Result<Verdict> {
        let mut lost = Vec::new();
        for (event, index) in taken {
            let missing = match self.events.get(event) {
                None => vec!["no row".to_owned()],
                Some(row) if row.body.as_deref().map(str::as_bytes) != Some(&body(*index)?) => {
                    vec!["its row holds another body than the sent one".to_owned()]
                }
                Some(row) => self.missing(row),
            };
            lost.extend(Finding::of(event, &missing));
        }
        Ok(Verdict {
            judged: taken.len(),
            lost,
            doubled: self.doubled(mark),
        })
    }

    /// What an event should have left behind, but did not.
    fn missing(&self, row: &Received) -> Vec<String> {
        let event = match row.parse() {
            Ok(event) => event,
            Err(error) => return vec![format!("{error:#}")],
        };
        let records = self.records.get(&row.event).map_or(&[][..], Vec::as_slice);
        let mut missing = Vec::new();
        for task in tasks(&event) {
            for name in expected(*task, &event, records) {
                let record = records.iter().find(|record| record.task == name);
                missing.extend(match record {
                    None if row.undispatched.iter().any(|it| it == task.name()) => {
                        Some(format!("{name}: no record, it waits for the outbox"))
                    }
                    None => Some(format!("{name}: no record")),
                    Some(record)
                        if !matches!(record.status.as_str(), "done" | "skipped" | "waiting") =>
                    {
                        Some(record.summary())
                    }
                    Some(record) if record.status == "done" => self.missing_effect(row, &name),
                    Some(_) => None,
                });
            }
        }
        missing
    }

    /// The missing effect, if a record says `done` without one.
    fn missing_effect(&self, row: &Received, record: &str) -> Option<String> {
        if record == ACCOUNT {
            let missing = "no entry in the member's account, although its record is done";
            return (!self.accounts.contains(&row.account_key())).then(|| missing.to_owned());
        }
        let messages = self.messages.as_ref()?;
        let (_, channel) = CHANNELS.iter().find(|(name, _)| *name == record)?;
        let message = ((*channel).to_owned(), as_header(&row.event));
        let missing = || format!("{channel} sent nothing, although its record is done");
        (!messages.contains_key(&message)).then(missing)
    }

    fn doubled(&self, mark: &str) -> Vec<Finding> {
        let messages = self.messages.iter().flatten();
        let sent = messages
            .filter(|(_, count)| **count > 1)
            .map(|((channel, event), count)| {
                (event.clone(), format!("{channel} sent {count} times"))
            });
        let events = self.events.keys().filter_map(|event| {
            let (coupon, _) = event.split_once('/')?;
            Some(coupon.to_owned())
        });
        let recorded = twice(events).map(|(coupon, count)| {
            (
                coupon,
                format!("the ledger has {count} events of one coupon"),
            )
        });
        // The run did not invent every code: several coupons may share one.
        let codes = self.accounts.iter().map(|(_, entry)| entry.clone());
        let stored = twice(codes.filter(|entry| entry.contains(mark)))
            .map(|(entry, count)| (entry, format!("it is in {count} accounts")));
        let mut doubled: Vec<_> = sent
            .chain(recorded)
            .chain(stored)
            .map(|(event, what)| Finding { event, what })
            .collect();
        doubled.sort_unstable_by(|a, b| (&a.event, &a.what).cmp(&(&b.event, &b.what)));
        doubled
    }
}

impl Finding {
    fn of(event: &str, missing: &[String]) -> Option<Self> {
        (!missing.is_empty()).then(|| Self {
            event: event.to_owned(),
            what: missing.join("; "),
        })
    }
}

/// Names that occur more than once, and how often.
fn twice(names: impl Iterator<Item = String>) -> impl Iterator<Item = (String, u32)> {
    let mut counts = HashMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1)
}

/// An event's key as its mail's header holds it: every other character than printable ASCII is
/// percent-encoded.
fn as_header(event: &str) -> String {
    let mut header = String::with_capacity(event.len());
    for byte in event.bytes() {
        match byte {
            b'!'..=b'~' => header.push(byte.into()),
            _ => header.push_str(&format!("%{byte:02X}")),
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    const EMAIL: &str = "delivery/email";
    /// The records of the other tasks.
    const OTHERS: [&str; 3] = ["inventory", "fraud", "analytics"];
    const MARK: &str = "-RUN-";
    const COUPON: &str = "zupy#comp_bella_vista#CP-A1B2C3D4-RUN-1";
    const MEMBER: &str = "zupy#comp_bella_vista#ZP-4F95FB0A";

    fn body() -> String {
        include_str!("../../../events/samples/zupy-coupon-redeemed.json")
            .replace("CP-A1B2C3D4", "CP-A1B2C3D4-RUN-1")
    }

    fn row(fields: &[(&str, &str)]) -> Item {
        let fields = fields.iter();
        fields
            .map(|&(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
            .collect()
    }

    fn event(entry: &str) -> Item {
        row(&[
            ("coupon", COUPON),
            ("entry", entry),
            ("provider", "zupy"),
            ("tenant", "comp_bella_vista"),
            ("member", "ZP-4F95FB0A"),
            ("code", "CP-A1B2C3D4-RUN-1"),
            ("received_at", "2026-11-22T10:00:00Z"),
            ("body", &body()),
        ])
    }

    fn record(name: &str, status: &str) -> Item {
        let entry = format!("redeemed/{name}");
        row(&[("coupon", COUPON), ("entry", &entry), ("status", status)])
    }

    fn account(member: &str) -> Item {
        let entry = "coupon#CP-A1B2C3D4-RUN-1";
        row(&[("member", member), ("entry", entry)])
    }

    /// One event that left everything behind.
    fn whole() -> Found {
        let mail = ("email".to_owned(), format!("{COUPON}/redeemed"));
        let mut found = Found::with_messages(Some(HashMap::from([(mail, 1)])));
        found.take_event(&event("redeemed"));
        let mut account_record = record(ACCOUNT, "done");
        account_record.insert("then".into(), AttributeValue::S(EMAIL.into()));
        found.take_event(&account_record);
        found.take_event(&record(EMAIL, "done"));
        for other in OTHERS {
            found.take_event(&record(other, "done"));
        }
        found.take_account(&account(MEMBER));
        found
    }

    fn verdict(found: &Found) -> Verdict {
        let taken = BTreeSet::from([(format!("{COUPON}/redeemed"), 1)]);
        let body = |_| Ok(body().into_bytes());
        found.judge(&taken, body, MARK).unwrap()
    }

    /// Changes something in a whole run, and checks the verdict.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Found), lost: &[&str], doubled: &[&str]) {
        let mut found = whole();
        change(&mut found);
        let verdict = verdict(&found);
        assert_eq!(verdict.judged, 1);
        let whats = |all: Vec<Finding>| all.into_iter().map(|it| it.what).collect::<Vec<_>>();
        assert_eq!(whats(verdict.lost), lost);
        assert_eq!(whats(verdict.doubled), doubled);
    }

    #[test]
    fn an_event_that_left_everything_once_is_neither() {
        check(|_| {}, &[], &[]);
        let skipped = record(EMAIL, "skipped");
        let skip = |found: &mut Found| {
            found.records.values_mut().for_each(|all| {
                all.retain(|it| it.task != EMAIL);
            });
            found.take_event(&skipped);
            found.messages = Some(HashMap::new());
        };
        check(skip, &[], &[]);
    }

    #[test]
    fn an_event_without_its_row_or_a_record_is_lost() {
        check(|found| found.events.clear(), &["no row"], &[]);
        let another = |found: &mut Found| {
            found
                .events
                .values_mut()
                .for_each(|row| row.body = Some("{}".into()));
        };
        check(
            another,
            &["its row holds another body than the sent one"],
            &[],
        );
        let none = "delivery/account: no record; inventory: no record; fraud: no record; \
                    analytics: no record";
        check(|found| found.records.clear(), &[none], &[]);
        for (status, said) in [("running", "running"), ("failed", "failed")] {
            let unsettled = |found: &mut Found| {
                for record in found.records.values_mut().flatten() {
                    if record.task == EMAIL {
                        record.status = status.into();
                    }
                }
            };
            check(unsettled, &[&format!("delivery/email {said}")], &[]);
        }
        let waits = |found: &mut Found| {
            found.records.values_mut().for_each(|all| {
                all.retain(|it| it.task != EMAIL);
            });
            let waiting = || vec!["delivery".to_owned()];
            found
                .events
                .values_mut()
                .for_each(|row| row.undispatched = waiting());
            assert!(found.waits_for_the_outbox());
        };
        check(
            waits,
            &["delivery/email: no record, it waits for the outbox"],
            &[],
        );
    }

    #[test]
    fn an_event_without_an_effect_is_lost_whatever_its_record_says() {
        let account = "no entry in the member's account, although its record is done";
        check(|found| found.accounts.clear(), &[account], &[]);
        let mail = "email sent nothing, although its record is done";
        check(|found| found.messages = Some(HashMap::new()), &[mail], &[]);
        check(|found| found.messages = None, &[], &[]);
    }

    #[test]
    fn an_effect_that_was_made_twice_is_doubled() {
        let mail = |found: &mut Found| {
            found
                .messages
                .iter_mut()
                .flatten()
                .for_each(|(_, count)| *count = 2);
        };
        check(mail, &[], &["email sent 2 times"]);
        let rows = |found: &mut Found| found.take_event(&event("redeemed#2"));
        check(rows, &[], &["the ledger has 2 events of one coupon"]);
        let accounts = |found: &mut Found| found.take_account(&account("zupy#another#ZP-1"));
        check(accounts, &[], &["it is in 2 accounts"]);
        // Coupons may share a code, so a shared code is no double.
        let shared = |found: &mut Found| {
            for member in [MEMBER, "zupy#another#ZP-1"] {
                let row = row(&[("member", member), ("entry", "coupon#LAUNCHDAY")]);
                found.take_account(&row);
            }
        };
        check(shared, &[], &[]);
    }

    #[test]
    fn a_kept_contradiction_is_no_record() {
        check(
            |found| found.take_event(&record("conflict/0123", "")),
            &[],
            &[],
        );
    }

    #[test]
    fn a_key_is_known_by_the_header_of_its_mail() {
        assert_eq!(
            as_header("zupy#a b%23#ção/redeemed"),
            "zupy#a%20b%23#%C3%A7%C3%A3o/redeemed"
        );
    }
}
