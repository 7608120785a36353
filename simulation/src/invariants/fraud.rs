//! What must hold of fraud: the findings of each event, the alerts, and the flags. The expectations
//! come from the events alone.

use std::collections::{BTreeMap, BTreeSet};

use emulators::sent::Detail;
use jiff::SignedDuration;
use serde_json::Value;

use super::Judge;
use crate::story::{Event, Kind, Variant};
use crate::world::World;

/// The number of a member's redemptions within an hour that is too many.
const RAPID: usize = 5;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Whether fraud gets an event of this kind.
pub(super) fn checks(kind: Kind) -> bool {
    match kind {
        Kind::Redeemed | Kind::Items | Kind::Used | Kind::Cancelled | Kind::Expiring => true,
        Kind::Expired | Kind::Enrolled | Kind::Refused(_) => false,
    }
}

/// An event as recorded.
#[derive(Clone, Copy)]
struct Recorded<'a> {
    event: &'a Event,
    variant: &'a Variant,
}

impl Judge<'_> {
    pub(super) fn fraud(&mut self, world: &World) {
        let recorded: Vec<_> = self
            .story
            .events
            .iter()
            .filter(|event| checks(event.kind) && !event.forged)
            .filter_map(|event| {
                let variant = self.variant(event)?;
                Some(Recorded { event, variant })
            })
            .collect();
        let mut flags = BTreeSet::new();
        for judged in &recorded {
            if self.record(judged.event).is_none() {
                continue;
            }
            let is_redemption = matches!(judged.event.kind, Kind::Redeemed | Kind::Items);
            let is_counted = self.history(judged.event).is_some();
            self.expect(is_counted || !is_redemption || judged.event.sandbox, || {
                format!("{} is not in its member's history", judged.event.key)
            });
            let found = self.found(judged.event);
            let possible = self.possible(*judged, &recorded);
            self.expect(possible.contains(&found), || {
                format!(
                    "{} has the findings {found:?}, they should be one of {possible:?}",
                    judged.event.key
                )
            });
            if found.contains("excessive_discount") {
                flags.insert(judged.event.key.clone());
            }
            if found.contains("rapid_redemption") {
                let is_stated = self
                    .history(judged.event)
                    .is_some_and(|row| row["told"] == true);
                self.expect(is_stated, || {
                    format!("{} is still being checked", judged.event.key)
                });
            }
        }
        self.flags(&flags);
        self.rushes();
        self.fraud_alerts(world);
    }

    /// Whether the row is the version of a coupon's findings. The version exists if fraud checked
    /// an event of the coupon.
    pub(super) fn is_version(&self, key: &str) -> bool {
        let Some(coupon) = key.strip_suffix("/fraud") else {
            return false;
        };
        !coupon.contains('/')
            && self
                .story
                .events
                .iter()
                .any(|event| coupon_of(event) == coupon && checks(event.kind) && !event.forged)
    }

    /// Whether the row of a member is fraud's, and has a cause.
    pub(super) fn is_of_fraud(&self, key: &str) -> bool {
        let Some((_, entry)) = key.split_once('/') else {
            return false;
        };
        if entry.starts_with("flag#") {
            // Another check judges each of these rows.
            return true;
        }
        if entry == "rushes" {
            let member = key.strip_suffix("/rushes").unwrap_or_default();
            let mut events = self.story.events.iter();
            return events.any(|event| {
                member_of(event) == member && self.found(event).contains("rapid_redemption")
            });
        }
        let events = self.story.events.iter();
        let mut redemptions = events.filter(|event| !event.forged && !event.sandbox);
        entry.starts_with("redeemed@")
            && redemptions.any(|event| {
                matches!(event.kind, Kind::Redeemed | Kind::Items)
                    && self.rows.contains_key(&event.key)
                    && entry.ends_with(&format!("#{}", webhooks::event::escape(coupon_of(event))))
            })
    }

    fn record(&self, event: &Event) -> Option<&Value> {
        self.rows.get(&format!("{}/fraud", event.key))
    }

    /// The rules of an event's findings.
    fn found(&self, event: &Event) -> BTreeSet<String> {
        let findings = self.record(event).map(|row| json(&row["findings"]));
        let findings = findings.as_ref().and_then(Value::as_array);
        let rules = findings.into_iter().flatten();
        rules
            .filter_map(|it| Some(it["rule"].as_str()?.to_owned()))
            .collect()
    }

    fn history(&self, event: &Event) -> Option<&Value> {
        let end = format!("#{}", webhooks::event::escape(coupon_of(event)));
        let mut rows = self.accounts.iter();
        let is_its = |key: &str| key.contains("/redeemed@") && key.ends_with(&end);
        rows.find(|(key, _)| is_its(key)).map(|(_, row)| row)
    }

    /// The possible findings: one set, unless the ledger recorded an event without an answer
    /// because its provider gave up. Fraud may have seen such an event or not.
    fn possible(&self, judged: Recorded<'_>, all: &[Recorded<'_>]) -> Vec<BTreeSet<String>> {
        let of_coupon = all
            .iter()
            .filter(|other| coupon_of(other.event) == coupon_of(judged.event));
        let (certain, doubtful): (Vec<_>, Vec<_>) =
            of_coupon.partition(|other| self.record(other.event).is_some());
        let contradicted = self.contradicted(judged);
        let mut possible = Vec::new();
        for subset in 0..1_u32 << doubtful.len() {
            let seen = doubtful.iter().enumerate();
            let seen = seen.filter(|(bit, _)| subset & (1 << bit) != 0);
            let coupon: Vec<_> = certain
                .iter()
                .copied()
                .chain(seen.map(|(_, other)| *other))
                .copied()
                .collect();
            for is_contradicted in &contradicted {
                let mut found = self.expected_of(judged, &coupon, all);
                if *is_contradicted {
                    found.insert("conflicting_usage".to_owned());
                }
                if !possible.contains(&found) {
                    possible.push(found);
                }
            }
        }
        possible
    }

    /// Whether another body contradicted a use. One certainly did if its provider got that answer.
    /// If nobody got an answer, the ledger may have the contradiction without any task knowing it.
    fn contradicted(&self, judged: Recorded<'_>) -> Vec<bool> {
        let beneath = format!("{}/conflict/", judged.event.key);
        let is_kept = self.rows.keys().any(|key| key.starts_with(&beneath));
        if judged.event.kind != Kind::Used || !is_kept {
            return vec![false];
        }
        let mut recorded = judged.event.variants.iter();
        let recorded = recorded.position(|variant| std::ptr::eq(variant, judged.variant));
        let events = self.story.events.iter();
        let event = events
            .clone()
            .position(|event| std::ptr::eq(event, judged.event));
        let mut answers = self.answers.iter();
        let is_heard = answers.any(|answer| {
            Some(answer.event) == event
                && Some(answer.variant) != recorded
                && matches!(answer.status, Some(200 | 409))
        });
        match is_heard {
            true => vec![true],
            false => vec![true, false],
        }
    }

    fn expected_of(
        &self,
        judged: Recorded<'_>,
        coupon: &[Recorded<'_>],
        all: &[Recorded<'_>],
    ) -> BTreeSet<String> {
        let mut rules: BTreeSet<&str> = BTreeSet::new();
        if judged.event.sandbox {
            return BTreeSet::new();
        }
        let at = judged.variant.at;
        match judged.event.kind {
            Kind::Redeemed | Kind::Items => {
                let within = all.iter().filter(|other| {
                    matches!(other.event.kind, Kind::Redeemed | Kind::Items)
                        && !other.event.sandbox
                        && member_of(other.event) == member_of(judged.event)
                        && self.history(other.event).is_some()
                        && at - HOUR <= other.variant.at
                        && other.variant.at <= at
                });
                if within.count() >= RAPID {
                    rules.insert("rapid_redemption");
                }
            }
            Kind::Used => {
                let of_kind = |kind: Kind| coupon.iter().find(|it| it.event.kind == kind);
                let earlier = coupon.iter().any(|other| {
                    other.event.kind == Kind::Used
                        && (other.variant.at, &other.event.key) < (at, &judged.event.key)
                });
                let redemption = of_kind(Kind::Redeemed);
                let cancelled = of_kind(Kind::Cancelled);
                let terms = redemption.map(|it| it.variant);
                let statements = coupon.iter().filter_map(|other| {
                    let is_notice = match other.event.kind {
                        Kind::Redeemed => false,
                        Kind::Expiring => true,
                        _ => return None,
                    };
                    Some((other.variant.at, is_notice, other.variant.expires_at?))
                });
                let expires_at = statements.max().map(|(.., expires_at)| expires_at);
                let [discount, order, paid] = judged.variant.amounts;
                let exceeds = |a: Option<i64>, b: Option<i64>| a.zip(b).is_some_and(|(a, b)| a > b);
                let left = discount.zip(order).map(|(a, b)| (b - a).max(0));
                for (rule, is_found) in [
                    ("duplicate_usage", earlier),
                    ("expired_usage", expires_at.is_some_and(|it| at > it)),
                    (
                        "cancelled_usage",
                        cancelled.is_some_and(|it| at > it.variant.at),
                    ),
                    ("unknown_coupon", redemption.is_none()),
                    ("excessive_discount", exceeds(discount, order)),
                    (
                        "maximum_discount",
                        exceeds(discount, terms.and_then(|it| it.maximum)),
                    ),
                    (
                        "minimum_purchase",
                        exceeds(terms.and_then(|it| it.minimum), order),
                    ),
                    (
                        "final_value",
                        paid.zip(left).is_some_and(|(paid, left)| paid != left),
                    ),
                ] {
                    if is_found {
                        rules.insert(rule);
                    }
                }
            }
            _ => {}
        }
        rules.into_iter().map(str::to_owned).collect()
    }

    /// Every critical finding must have a flag, and every flag a critical finding.
    fn flags(&mut self, expected: &BTreeSet<String>) {
        let flags = self.accounts.iter();
        let flags = flags.filter(|(key, _)| key.contains("/flag#"));
        let found: Vec<_> = flags
            .map(|(key, row)| {
                let member = key.split('/').next().unwrap_or_default().to_owned();
                let event = row["event"].as_str().unwrap_or_default().to_owned();
                (event, member)
            })
            .collect();
        let members: BTreeMap<_, _> = self
            .story
            .events
            .iter()
            .map(|event| (event.key.clone(), member_of(event)))
            .collect();
        for (event, member) in &found {
            let is_its = members.get(event).is_some_and(|it| it == member);
            self.expect(is_its, || format!("{member} is flagged for {event}"));
        }
        let mut flagged: Vec<_> = found.iter().map(|(event, _)| event).collect();
        flagged.sort();
        self.expect(flagged.iter().copied().eq(expected), || {
            format!("there are flags for {flagged:?}, they should be for {expected:?}")
        });
    }

    /// Each rush of a member must have one alert for each time that it has doubled. All redemptions
    /// of a story are within two hours, so a member has one rush, or two with an hour between them.
    fn rushes(&mut self) {
        const RUSHES_MAX: usize = 2;
        // By member: the most redemptions within an hour, and the number in each alert.
        let mut members: BTreeMap<String, (usize, Vec<usize>)> = BTreeMap::new();
        let events: Vec<_> = self.story.events.iter().collect();
        for event in &events {
            let Some(record) = self.record(event) else {
                continue;
            };
            let member = members.entry(member_of(event)).or_default();
            if self.found(event).contains("rapid_redemption") {
                member.0 = member.0.max(self.redeemed_before(event));
            }
            let alerts = json(&record["alerts"]);
            let names = alerts.as_array().into_iter().flatten();
            let names = names.filter_map(Value::as_array).flatten();
            let names = names.filter_map(|it| it.as_str()?.strip_prefix("rapid_redemption/"));
            member
                .1
                .extend(names.filter_map(|count| count.parse::<usize>().ok()));
        }
        for (member, (most, alerts)) in members {
            let mut stated = BTreeMap::<usize, usize>::new();
            for count in &alerts {
                *stated.entry(*count).or_default() += 1;
            }
            let level = match most / RAPID {
                0 => 0,
                times => RAPID << times.ilog2(),
            };
            let is_right = stated.keys().last().copied().unwrap_or_default() == level
                && stated.values().all(|times| *times <= RUSHES_MAX);
            self.expect(is_right, || {
                format!("alerts of {alerts:?} redemptions of {member}, who made {most} in an hour")
            });
        }
    }

    /// How many redemptions the member made in the hour up to a redemption, by the member's
    /// history.
    fn redeemed_before(&self, event: &Event) -> usize {
        let member = member_of(event);
        let at = |event: &Event| self.variant(event).map(|variant| variant.at);
        let Some(until) = at(event) else {
            return 0;
        };
        let others = self.story.events.iter().filter(|other| {
            matches!(other.kind, Kind::Redeemed | Kind::Items)
                && !other.forged
                && !other.sandbox
                && member_of(other) == member
                && self.history(other).is_some()
                && at(other).is_some_and(|at| until - HOUR <= at && at <= until)
        });
        others.count()
    }

    /// All findings of an event at one time must have one alert. A second alert is correct only if
    /// its sender could not know that the first went out, or could not record it.
    fn fraud_alerts(&mut self, world: &World) {
        let mut sent: BTreeMap<String, usize> = BTreeMap::new();
        for alert in world.sent() {
            if let Detail::Topic(topic) = &alert.detail
                && topic.attributes.get("type").is_some_and(|it| it == "fraud")
            {
                *sent.entry(alert.event.unwrap_or_default()).or_default() += 1;
            }
        }
        for (index, event) in self.story.events.iter().enumerate() {
            let Some(record) = self.record(event) else {
                continue;
            };
            let alerts = json(&record["alerts"]);
            let alerts = alerts.as_array().cloned().unwrap_or_default();
            let rules: Vec<_> = alerts
                .iter()
                .flat_map(|it| it.as_array().cloned().unwrap_or_default())
                .filter_map(|it| Some(it.as_str()?.to_owned()))
                .collect();
            let each: BTreeSet<_> = rules.iter().cloned().collect();
            let found = self.found(event);
            // Not every redemption of a rush has an alert.
            let mut owed = found.clone();
            owed.remove("rapid_redemption");
            self.expect(each.len() == rules.len() && owed.is_subset(&each), || {
                format!(
                    "{} has the findings {found:?}, alerted are {rules:?}",
                    event.key
                )
            });
            let mut done = 0;
            let mut most = 0;
            for number in 1..=alerts.len() {
                let key = format!("{}/fraud/alert/{number}", event.key);
                let status = self.rows.get(&key).map(|row| row["status"].clone());
                let is_done = status.as_ref().is_some_and(|it| it == "done");
                let is_skipped = status.as_ref().is_some_and(|it| it == "skipped");
                let accepted = self.is_accepted(index);
                self.expect(!accepted || is_done || is_skipped, || {
                    format!("{key} is {status:?}")
                });
                done += usize::from(is_done);
                // An alert that never settled may have gone out.
                let unsettled = !is_done && !is_skipped;
                most += usize::from(is_done || unsettled) + self.explained(&event.key, &key);
            }
            let count = sent.remove(&event.key).unwrap_or_default();
            self.expect(done <= count && count <= most, || {
                format!(
                    "{count} alerts of {}, there should be {done} to {most}",
                    event.key
                )
            });
        }
        self.expect(sent.is_empty(), || {
            format!("alerts without a cause: {sent:?}")
        });
    }
}

/// A field with JSON as its text.
fn json(field: &Value) -> Value {
    let text = field.as_str().unwrap_or("[]");
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn coupon_of(event: &Event) -> &str {
    event.key.split('/').next().unwrap_or_default()
}

/// The member's key. One player redeems all items.
fn member_of(event: &Event) -> String {
    match &event.account {
        Some((member, _)) => member.clone(),
        None => {
            let game = event.key.split('#').nth(1).unwrap_or_default();
            format!("aghanim#{game}#2D2R-OP3C")
        }
    }
}
