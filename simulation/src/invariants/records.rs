//! What must hold of the ledger: accepted events, their contradictions, and the records of their
//! tasks.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Judge, figures, fraud, stock};
use crate::story::{Event, Kind, Reach, Variant};

/// A record that an event leaves, and the channel of its message.
pub(super) struct Expected {
    pub(super) record: &'static str,
    pub(super) channel: Option<&'static str>,
    /// The record must have one of these statuses.
    pub(super) statuses: &'static [&'static str],
}

impl<'a> Judge<'a> {
    /// Whether the provider got the answer that the body is not valid.
    pub(super) fn is_refused(&self, index: usize) -> bool {
        let mut answers = self.answers.iter();
        answers.any(|answer| answer.event == index && answer.status == Some(400))
    }

    /// An accepted event must be in the ledger as one of its variants, with a settled record of
    /// every task. The ledger must keep contradicting variants.
    pub(super) fn events(&mut self) {
        for (index, event) in self.story.events.iter().enumerate() {
            let row = self.rows.get(&event.key).cloned();
            if event.forged {
                self.expect(row.is_none(), || {
                    format!("{} was forged, but is recorded", event.key)
                });
                continue;
            }
            // A 401 makes the provider give up, so a genuine signature never gets one.
            let mut answers = self.answers.iter().filter(|it| it.event == index);
            let is_disowned = answers.any(|it| it.status == Some(401));
            self.expect(!is_disowned, || {
                format!("{} was signed, but got a 401", event.key)
            });
            let accepted = match event.kind {
                Kind::Refused(_) => self.is_refused(index),
                _ => self.is_accepted(index),
            };
            let Some(row) = row else {
                self.expect(!accepted, || {
                    format!("{} was accepted, but is lost", event.key)
                });
                continue;
            };
            let body = row["body"].as_str().unwrap_or_default().to_owned();
            let stated = event
                .variants
                .iter()
                .position(|it| it.body == body.as_bytes());
            self.expect(stated.is_some(), || {
                format!("{} is recorded with contents that nobody sent", event.key)
            });
            if let Kind::Refused(field) = event.kind {
                let names_the_cause = row["problems"]
                    .as_str()
                    .is_some_and(|it| it.contains(field));
                self.expect(names_the_cause, || format!("{} has no reason", event.key));
                continue;
            }
            self.contradictions(index, event, stated);
            if accepted {
                self.records(event, stated);
            }
        }
    }

    pub(super) fn contradictions(&mut self, index: usize, event: &Event, recorded: Option<usize>) {
        let kept: BTreeSet<_> = self
            .rows
            .iter()
            .filter(|(key, _)| key.starts_with(&format!("{}/conflict/", event.key)))
            .filter_map(|(_, row)| row["body"].as_str().map(str::to_owned))
            .collect();
        let of_event = self.answers.iter().filter(|it| it.event == index);
        let heard: BTreeSet<_> = of_event
            .filter(|it| matches!(it.status, Some(200 | 409)))
            .map(|it| it.variant)
            .collect();
        for variant in heard {
            let body = String::from_utf8_lossy(&event.variants[variant].body).into_owned();
            let is_recorded = recorded.is_some_and(|it| event.is_same(it, variant));
            self.expect(is_recorded || kept.contains(&body), || {
                format!(
                    "variant {variant} of {} was accepted, but is not kept",
                    event.key
                )
            });
        }
    }

    pub(super) fn records(&mut self, event: &Event, recorded: Option<usize>) {
        let stated = recorded.map(|it| &event.variants[it]);
        let inventory = Expected {
            record: "inventory",
            channel: None,
            // If the date is already known, nothing moves.
            statuses: match event.kind {
                Kind::Expiring => &["done", "skipped"],
                _ => &["done"],
            },
        };
        let is_stated = stated.is_some_and(|stated| stock::concerns(event.kind, stated));
        let inventory = is_stated.then_some(inventory);
        let fraud = Expected {
            record: "fraud",
            channel: None,
            statuses: if event.sandbox {
                &["skipped"]
            } else {
                &["done"]
            },
        };
        let fraud = fraud::checks(event.kind).then_some(fraud);
        let analytics = Expected {
            record: "analytics",
            channel: None,
            statuses: if event.sandbox {
                &["skipped"]
            } else {
                &["done"]
            },
        };
        let analytics = figures::counts(event.kind).then_some(analytics);
        let inside = inventory.into_iter().chain(fraud).chain(analytics);
        for expected in self.expected(event, recorded).into_iter().chain(inside) {
            let key = format!("{}/{}", event.key, expected.record);
            let found = self
                .rows
                .get(&key)
                .and_then(|row| row["status"].as_str())
                .map(str::to_owned);
            let is_expected = found
                .as_deref()
                .is_some_and(|it| expected.statuses.contains(&it));
            self.expect(is_expected, || {
                format!("{key} should be {:?}, but is {found:?}", expected.statuses)
            });
        }
    }

    /// What an accepted event leaves behind, and sends outside.
    pub(super) fn expected(&self, event: &Event, recorded: Option<usize>) -> Vec<Expected> {
        const DONE: &[&str] = &["done"];
        const SKIPPED: &[&str] = &["skipped"];
        const WAITING: &[&str] = &["waiting"];
        let inside = |record, statuses| Expected {
            record,
            channel: None,
            statuses,
        };
        let variant = recorded.map(|it| &event.variants[it]);
        match event.kind {
            Kind::Used | Kind::Cancelled | Kind::Expired => vec![inside("delivery/account", DONE)],
            Kind::Enrolled => vec![inside("delivery/contact", DONE)],
            Kind::Refused(_) => Vec::new(),
            Kind::Items => {
                let statuses = if event.sandbox { SKIPPED } else { DONE };
                let forward = Expected {
                    record: "delivery/forward",
                    channel: Some("game-server"),
                    statuses,
                };
                vec![inside("delivery/grant", statuses), forward]
            }
            Kind::Expiring => {
                // An unknown member gets no reminder.
                let known = self.reach(event, false);
                let statuses = if known.is_none() {
                    SKIPPED
                } else {
                    &["done", "skipped"]
                };
                let reminder = Expected {
                    record: "delivery/reminder",
                    channel: Some("reminder"),
                    statuses,
                };
                vec![inside("delivery/account", DONE), reminder]
            }
            Kind::Redeemed => {
                let body = variant.map_or(Reach::NOT, |it| it.reach);
                // A member who becomes known later gets a coupon that is still usable.
                let expires_at = variant.and_then(|it| it.expires_at);
                let last = self.moments.last().map(|(at, _)| *at);
                let may_have_expired = expires_at.is_some_and(|it| Some(it) <= last);
                // Nobody gets a message about a coupon that has ended.
                let received_at = self.rows.get(&event.key).and_then(|row| {
                    let at: Timestamp = row["received_at"].as_str()?.parse().ok()?;
                    Some(at)
                });
                let was_over = expires_at.is_some_and(|it| Some(it) <= received_at);
                let is_moved = self.may_be_moved(event);
                let may_be_over = self.may_be_closed(event) || may_have_expired || is_moved;
                let sure = if may_be_over {
                    body
                } else {
                    body.or(self.enrolled(event, true))
                };
                let possible = body.or(self.enrolled(event, false));
                let statuses = |sure: bool, possible: bool| match (sure, possible) {
                    (true, _) if was_over && !is_moved => SKIPPED,
                    (true, _) if may_be_over => &["done", "skipped"],
                    (true, _) => DONE,
                    (false, true) => &["done", "waiting", "skipped"],
                    (false, false) => WAITING,
                };
                let email = statuses(sure.email.is_some(), possible.email.is_some());
                let phone = statuses(sure.phone.is_some(), possible.phone.is_some());
                let mut expected = vec![
                    inside("delivery/account", DONE),
                    Expected {
                        record: "delivery/email",
                        channel: Some("email"),
                        statuses: email,
                    },
                    Expected {
                        record: "delivery/whatsapp",
                        channel: Some("whatsapp"),
                        statuses: phone,
                    },
                ];
                if variant.is_some_and(|it| it.precious) {
                    expected.push(Expected {
                        record: "delivery/sms",
                        channel: Some("sms"),
                        statuses: phone,
                    });
                }
                expected
            }
        }
    }

    /// The known addresses of an event's member, by the recorded events: those that are certain, or
    /// those that may arrive late.
    pub(super) fn reach(&self, event: &Event, surely: bool) -> Reach {
        let redeemed = self.story.events.iter().find(|other| {
            other.kind == Kind::Redeemed && other.account == event.account && !other.forged
        });
        let stated = redeemed
            .and_then(|it| self.variant(it))
            .map_or(Reach::NOT, |it| it.reach);
        stated.or(self.enrolled(event, surely))
    }

    /// The addresses that enrolments give for the member of an event.
    pub(super) fn enrolled(&self, event: &Event, surely: bool) -> Reach {
        let member = event.account.as_ref().map(|(member, _)| member);
        let events = self.story.events.iter().enumerate();
        let mut enrolments = events.filter(|(index, other)| {
            let known = if surely {
                self.is_accepted(*index)
            } else {
                self.rows.contains_key(&other.key)
            };
            other.kind == Kind::Enrolled
                && other.account.as_ref().map(|(member, _)| member) == member
                && known
        });
        enrolments
            .next()
            .map_or(Reach::NOT, |(_, it)| it.variants[0].reach)
    }

    /// The recorded variant of an event.
    pub(super) fn variant(&self, event: &'a Event) -> Option<&'a Variant> {
        let body = self.rows.get(&event.key)?["body"].as_str()?.as_bytes();
        event.variants.iter().find(|it| it.body == body)
    }

    /// Whether the ledger has an event that ends the coupon.
    pub(super) fn may_be_closed(&self, event: &Event) -> bool {
        let mut of_coupon = self
            .story
            .events
            .iter()
            .filter(|it| it.account == event.account);
        of_coupon.any(|other| {
            matches!(other.kind, Kind::Used | Kind::Cancelled | Kind::Expired)
                && self.rows.contains_key(&other.key)
        })
    }

    /// Whether the ledger has an event that moves the coupon's expiry.
    pub(super) fn may_be_moved(&self, event: &Event) -> bool {
        let mut of_coupon = self
            .story
            .events
            .iter()
            .filter(|it| it.account == event.account);
        let until = |it: &Event| it.variants[0].expires_at;
        of_coupon.any(|other| {
            other.kind == Kind::Expiring
                && until(other) != until(event)
                && self.rows.contains_key(&other.key)
        })
    }
}
