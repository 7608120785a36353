//! The findings that the records of a coupon's events should hold.

use jiff::Timestamp;
use jiff::civil::Date;
use webhooks::event::{Event, Fact, member_key};
use webhooks::figures::{COUNTED_ON, Found, Tally, day_and_hour, tasks};
use webhooks::fraud::{Finding, RECORD, Severity, flag};
use webhooks::ledger::{Change, ItemKey, Row};
use webhooks::row::{number, text};

use crate::case::Case;
use crate::coupon::{Coupon, KnownEvent, Overview, Record};
use crate::grace::Wait;
use crate::history::History;
use crate::rapid::RAPID_REDEMPTION;
use crate::rules::{EXPIRED_USAGE, Sight, UNKNOWN_COUPON, check_all, place};
use crate::rush;
use crate::setup::Fraud;
use crate::turns::RushChange;

/// How many of a coupon's records one commit updates. Each comes with its flags, its row in the
/// list of findings and its day's counters, and a transaction takes 100 items. The next commit
/// updates the rest.
const RECORDS_MAX: usize = 12;

/// The changes that make a coupon's records correct.
pub(crate) struct Update {
    pub(crate) version: Option<String>,
    /// One of the coupon's events, which names the commit.
    pub(crate) event: Event,
    /// The names of the events with changing records, the new records, and the days on which those
    /// count.
    pub(crate) records: Vec<(String, Record, Option<Date>)>,
    pub(crate) changes: Vec<Change>,
    /// What the records add to the figures.
    pub(crate) tally: Tally,
    /// Whether more records must change than one commit takes.
    pub(crate) is_part: bool,
    /// Whether the member's history has its redemption as settled, and it is open again.
    pub(crate) is_open_again: bool,
}

/// An event with rows that are not correct.
struct Stale<'a> {
    known: &'a KnownEvent,
    is_own: bool,
    /// The new record, if it must change.
    record: Option<Record>,
    /// The day on which the event's findings count, if it has or had any.
    counted_on: Option<Date>,
    /// The Unix second until which the ledger must keep the event, if that is later than planned
    /// now.
    until: Option<i64>,
}

impl Fraud {
    /// The changes that make a coupon's records correct, and the changes to the member's rushes.
    pub(crate) fn update(
        &self,
        case: &Case<'_>,
        rush: Option<RushChange>,
        now: Timestamp,
    ) -> Option<Update> {
        let overview = case.coupon.overview();
        let remembered = self.remembered_until(&case.coupon, &overview);
        let raises = rush.as_ref().and_then(|it| it.raises);
        let mut stale = Vec::new();
        let mut is_awaited = false;
        for known in &case.coupon.events {
            let is_own = case.is_own(known.event.key.entry());
            let is_redemption = matches!(known.event.fact, Fact::Redeemed(_));
            if is_redemption && case.counts && known.record.is_none() && !is_own {
                // The use's own message is running or will come, and must see the changes made
                // meanwhile.
                is_awaited = true;
            }
            if !is_own && known.record.is_none() {
                continue;
            }
            let is_looked_at = !is_redemption || case.counts;
            let raises = raises.filter(|_| is_redemption);
            let record = is_looked_at.then(|| self.record(case, known, &overview, raises, now));
            let record = record.filter(|record| known.record.as_ref() != Some(record));
            let until = outlived(known, remembered);
            if record.is_some() || until.is_some() {
                let counted_on = self.counted_on(known, record.as_ref());
                stale.push(Stale {
                    known,
                    is_own,
                    record,
                    counted_on,
                    until,
                });
            }
        }
        if stale.is_empty() && !is_awaited {
            return None;
        }
        // The record that changes the member's rushes comes first, then the records that messages
        // wait for.
        stale.sort_by_key(|stale| {
            let is_of_rush =
                raises.is_some() && matches!(stale.known.event.fact, Fact::Redeemed(_));
            (!is_of_rush, !stale.is_own)
        });
        let is_part = stale.len() > RECORDS_MAX;
        stale.truncate(RECORDS_MAX);
        let event = match stale.first() {
            Some(first) => &first.known.event,
            None => overview.redemption?,
        };
        let mut changes = Vec::new();
        let mut tally = Tally::default();
        let mut is_open_again = false;
        for stale in &stale {
            let Stale { known, until, .. } = stale;
            changes.extend(until.map(|until| self.remember(known, until)));
            match &stale.record {
                Some(record) => {
                    changes.push(self.write(known, record, stale.counted_on, *until, now));
                    changes.extend(self.flags(known, record, now));
                    if let Some(day) = stale.counted_on {
                        let before = counted_before(known);
                        tally.merge(&tasks::findings(day, before, &record.findings));
                        if before != record.findings {
                            changes.extend(self.listed(known, record, day, now));
                        }
                    }
                }
                None => changes.extend(until.map(|until| {
                    let key = &known.event.key;
                    let record = self.ledger.row_key(key.coupon(), key.beneath(RECORD));
                    Change::of(record).set("ttl", number(until))
                })),
            }
        }
        if let (Some(rush), Some(member)) = (rush, case.member.as_deref())
            && let Some((_, of_member, redeemed)) = case.redeemed()
        {
            let key = self.history.rushes_key(&of_member);
            let forget_at = History::forget_at(now);
            changes.push(member.rushes.change(key, &rush.rushes, forget_at));
            let mut rows = member.redemptions.iter();
            let is_settled = rows.any(|row| row.coupon == redeemed.coupon && row.is_settled);
            if rush.raises.is_some() && is_settled {
                // The redemption needs an alert again. Later checks see the redemption until SNS
                // has the alert.
                let row = self.history.key(&of_member, &redeemed);
                changes.push(Change::of(row).set("ttl", number(forget_at)).remove("told"));
                is_open_again = true;
            }
        }
        let records = stale.into_iter().filter_map(|stale| {
            let entry = stale.known.event.key.entry().to_owned();
            Some((entry, stale.record?, stale.counted_on))
        });
        Some(Update {
            version: case.version.clone(),
            event: event.clone(),
            records: records.collect(),
            changes,
            tally,
            is_part,
            is_open_again,
        })
    }

    /// The day on which an event's findings count: its tenant's. Once recorded, the day stays.
    fn counted_on(&self, known: &KnownEvent, record: Option<&Record>) -> Option<Date> {
        let finds = record.is_some_and(|it| !it.findings.is_empty());
        let zone = self.zones.of(&known.event.tenant);
        let (day, _) = day_and_hour(zone, known.event.occurred_at);
        known.counted_on.or(finds.then_some(day))
    }

    /// The event's row in the list of findings.
    fn listed(
        &self,
        known: &KnownEvent,
        record: &Record,
        day: Date,
        now: Timestamp,
    ) -> Option<Change> {
        let event = &known.event;
        let found = Found {
            event: event.key.clone(),
            provider: event.provider.clone(),
            tenant: event.tenant.clone(),
            day,
            occurred_at: event.occurred_at,
            found_at: now,
            findings: record.findings.clone(),
        };
        found.change(&self.book)
    }

    /// The Unix second until which the ledger keeps all of a coupon's events. A use or a
    /// cancellation counts as long as its coupon, and a coupon as long as members can use it.
    fn remembered_until(&self, coupon: &Coupon, overview: &Overview<'_>) -> Option<i64> {
        let redemption = overview.redemption?;
        let known = coupon.known(redemption.key.entry())?;
        let recorded = known.forget_at?;
        let mut moved = redemption.clone();
        if let Fact::Redeemed(moved) = &mut moved.fact {
            moved.expires_at = overview.expires_at;
        }
        let moved = self.ledger.forget_at(&moved, known.received_at);
        let moved = moved.as_n().ok().and_then(|it| it.parse().ok());
        Some(recorded.max(moved.unwrap_or(recorded)))
    }

    /// The record that an event must have.
    fn record(
        &self,
        case: &Case<'_>,
        known: &KnownEvent,
        overview: &Overview<'_>,
        raises: Option<usize>,
        now: Timestamp,
    ) -> Record {
        let before = known.record.clone().unwrap_or_default();
        if known.event.sandbox {
            return before;
        }
        let settings = self.settings(&known.event);
        let wait = self.wait(known, now);
        let mut findings = check_all(&Sight {
            event: &known.event,
            coupon: overview,
            conflicts: &known.conflicts,
            history: case.history(),
            overdue: wait.is_none() && !was_known(known),
            settings,
        });
        // Nothing takes an event back. So if a finding is missing now, it came from rows that have
        // expired since, and stays. But a coupon can become known, and its expiry can move.
        for finding in &before.findings {
            let is_cleared = match finding.rule.as_str() {
                UNKNOWN_COUPON => true,
                EXPIRED_USAGE => overview.expires_at.is_some(),
                rule => !settings.runs(rule),
            };
            if !is_cleared && !findings.iter().any(|it| it.rule == finding.rule) {
                findings.push(finding.clone());
            }
        }
        findings.sort_by_key(|it| place(&it.rule));
        let is_use = matches!(known.event.fact, Fact::Used(_));
        let is_awaited = is_use && overview.redemption.is_none() && settings.runs(UNKNOWN_COUPON);
        let mut alerts = before.alerts;
        let is_new = |rule: &&str| {
            // The member's row decides about alerts of rushes.
            *rule != RAPID_REDEMPTION && !alerts.iter().flatten().any(|it| it == rule)
        };
        let new = findings.iter().map(|it| it.rule.as_str()).filter(is_new);
        let mut new: Vec<_> = new.map(str::to_owned).collect();
        new.extend(raises.map(rush::name));
        if !new.is_empty() {
            alerts.push(new);
        }
        Record {
            findings,
            alerts,
            awaits: wait.filter(|_| is_awaited),
        }
    }

    /// The wait of a use for its redemption, if it still waits.
    fn wait(&self, known: &KnownEvent, now: Timestamp) -> Option<Wait> {
        let record = known.record.as_ref();
        if was_known(known) || record.is_some_and(|it| it.has(UNKNOWN_COUPON)) {
            return None;
        }
        let wait = record.and_then(|it| it.awaits);
        let wait = wait.unwrap_or_else(|| Wait::new(known.recorded_at, self.grace));
        wait.at(now, self.grace)
    }

    fn write(
        &self,
        known: &KnownEvent,
        record: &Record,
        counted_on: Option<Date>,
        until: Option<i64>,
        now: Timestamp,
    ) -> Change {
        let event = &known.event;
        let key = self
            .ledger
            .row_key(event.key.coupon(), event.key.beneath(RECORD));
        let mut row = Row::default();
        row.set(
            "status",
            Some(if event.sandbox { "skipped" } else { "done" }),
        );
        row.set("result", Some(summary(event, record)));
        row.json("findings", Some(&record.findings));
        row.set(COUNTED_ON, counted_on);
        row.json(
            "alerts",
            (!record.alerts.is_empty()).then_some(&record.alerts),
        );
        row.set("awaits", record.awaits.map(|_| "redeemed"));
        row.set("awaits_until", record.awaits.map(|it| it.until));
        if let Some(wait) = record.awaits {
            row.0
                .insert("awaits_number".into(), number(wait.number.into()));
        }
        row.set("finished_at", Some(now));
        match until {
            Some(until) => _ = row.0.insert("ttl".into(), number(until)),
            None if known.record.is_none() => {
                let forget_at = self.ledger.forget_at(event, now);
                row.0.insert("ttl".into(), forget_at);
            }
            None => {}
        }
        let change = Change::of(key).set_all(row);
        match record.awaits {
            Some(_) => change,
            None => change
                .remove("awaits")
                .remove("awaits_until")
                .remove("awaits_number"),
        }
    }

    /// Keeps an event's row until then.
    fn remember(&self, known: &KnownEvent, until: i64) -> Change {
        let key = &known.event.key;
        Change::keep_event(self.ledger.row_key(key.coupon(), key.entry()), until)
    }

    /// Flags the member for new critical findings. A flag that an operator cleared stays cleared.
    fn flags(&self, known: &KnownEvent, record: &Record, now: Timestamp) -> Vec<Change> {
        let event = &known.event;
        let before = known.record.as_ref();
        let is_new = |finding: &&Finding| before.is_none_or(|it| !it.has(&finding.rule));
        let critical = record.findings.iter().filter(is_new);
        let critical = critical.filter(|it| it.severity == Severity::Critical);
        let member = member_key(&event.provider, &event.tenant, &event.member.id);
        let flags = critical.map(|finding| {
            let entry = flag(&event.key, &finding.rule);
            let key = ItemKey::new(
                self.history.table(),
                ("member", member.clone()),
                ("entry", entry),
            );
            Change::of(key)
                .keep("event", text(event.key.to_string()))
                .keep("type", text(&finding.kind))
                .keep("why", text(&finding.details))
                .keep("flagged_at", text(now.to_string()))
        });
        flags.collect()
    }
}

/// The event's findings that the figures count already.
fn counted_before(known: &KnownEvent) -> &[Finding] {
    let record = known.record.as_ref().filter(|_| known.counted_on.is_some());
    record.map_or(&[], |it| &it.findings)
}

/// The Unix second until which the ledger must keep an event with its coupon, if its own row or a
/// record would expire before. The event's row never ends earlier than it did.
fn outlived(known: &KnownEvent, remembered: Option<i64>) -> Option<i64> {
    let own = known.forget_at?;
    let until = remembered.map_or(own, |it| it.max(own));
    let least = known.beneath_forget_at.map_or(own, |it| it.min(own));
    (least < until).then_some(until)
}

/// Whether fraud has checked a use together with its redemption. The answer stays true even after
/// the redemption expires.
fn was_known(known: &KnownEvent) -> bool {
    let record = known.record.as_ref();
    record.is_some_and(|record| record.awaits.is_none() && !record.has(UNKNOWN_COUPON))
}

/// The record's summary: `2 findings: duplicate_usage, expired_usage`.
fn summary(event: &Event, record: &Record) -> String {
    if event.sandbox {
        return "a sandbox or test event: not checked".to_owned();
    }
    let mut kinds: Vec<_> = record.findings.iter().map(|it| it.kind.as_str()).collect();
    kinds.dedup();
    let mut summary = match kinds.as_slice() {
        [] => "nothing found".to_owned(),
        kinds => format!("found {}", kinds.join(", ")),
    };
    if record.awaits.is_some() {
        summary.push_str("; its redemption is not known yet");
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::used;

    #[test]
    fn rows_beneath_an_event_are_raised_to_its_end_and_never_below() {
        let until = |own, beneath, remembered| {
            let event = used("1", "2026-11-22T10:00:00Z");
            let mut known = KnownEvent::new(event, Timestamp::UNIX_EPOCH);
            known.forget_at = own;
            known.beneath_forget_at = beneath;
            outlived(&known, remembered)
        };
        assert_eq!(until(Some(9), Some(9), Some(9)), None);
        assert_eq!(until(Some(9), None, Some(12)), Some(12));
        assert_eq!(until(Some(12), Some(9), Some(12)), Some(12));
        // The coupon's end is earlier than the event's own.
        assert_eq!(until(Some(12), Some(9), Some(11)), Some(12));
        assert_eq!(until(Some(12), Some(9), None), Some(12));
        assert_eq!(until(None, Some(9), Some(12)), None);
    }
}
