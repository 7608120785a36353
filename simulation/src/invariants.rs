//! What must hold when everything has settled, whatever failed meanwhile. The module judges by the
//! tables, the sent messages and the dead letters. Its expectations are its own: it shares no code
//! with the functions.

mod figures;
mod fraud;
mod sendings;
mod stock;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::history::Moment;
use crate::story::{Event, Kind, Reach, Story, Variant};
use crate::world::World;

/// One answer that a provider got.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) event: usize,
    pub(crate) variant: usize,
    /// `None` if there was no answer in time.
    pub(crate) status: Option<u16>,
}

/// Every broken expectation.
pub(crate) async fn broken(
    world: &World,
    story: &Story,
    answers: &[Answer],
) -> anyhow::Result<Vec<String>> {
    let mut judge = Judge {
        story,
        answers,
        rows: Ledger::read(world).await?.0,
        accounts: keyed(world.items("members").await?, "member", "entry"),
        moments: world.history.moments(),
        broken: Vec::new(),
    };
    judge.events();
    judge.rows_have_a_cause();
    judge.accounts();
    judge.messages(world);
    judge.grants();
    judge.stock(world).await?;
    judge.fraud(world);
    judge.figures(world).await?;
    judge.nothing_is_under_way();
    judge.lifetimes();
    judge.dead_letters(world).await;
    Ok(judge.broken)
}

/// Whether some delivery of the event got a 2xx.
pub(crate) fn is_accepted(answers: &[Answer], event: usize) -> bool {
    let mut of_event = answers.iter().filter(|it| it.event == event);
    of_event.any(|it| it.status.is_some_and(|status| (200..300).contains(&status)))
}

/// The events table, by `coupon/entry`.
pub(crate) struct Ledger(BTreeMap<String, Value>);

impl Ledger {
    pub(crate) async fn read(world: &World) -> anyhow::Result<Self> {
        Ok(Self(keyed(world.items("events").await?, "coupon", "entry")))
    }

    /// Gives the uses without an order the keys that they were recorded with.
    pub(crate) fn number(&self, story: &mut Story) {
        for event in story.events.iter_mut().filter(|it| it.is_numbered) {
            let Some((beginning, _)) = event.key.rsplit_once('#') else {
                continue;
            };
            let beginning = format!("{beginning}#");
            let is_its = |row: &Value| {
                let body = row["body"].as_str().unwrap_or_default().as_bytes();
                event.variants.iter().any(|it| it.body == body)
            };
            let rows = self.0.range(beginning.clone()..);
            let mut rows = rows.take_while(|(key, _)| key.starts_with(&beginning));
            if let Some((key, _)) = rows.find(|(_, row)| is_its(row)) {
                event.key = key.clone();
            }
        }
    }

    /// Whether the event is recorded with the contents of this variant.
    pub(crate) fn holds(&self, key: &str, variant: &Variant) -> bool {
        let body = self.0.get(key).and_then(|row| row["body"].as_str());
        body.is_some_and(|body| body.as_bytes() == variant.body)
    }
}

/// The channels, by their names in sent messages.
const CHANNELS: [&str; 4] = ["email", "whatsapp", "sms", "game-server"];

/// A record that an event leaves, and the channel of its message.
struct Expected {
    record: &'static str,
    channel: Option<&'static str>,
    /// The record must have one of these statuses.
    statuses: &'static [&'static str],
}

fn keyed(items: Vec<Value>, partition: &str, sort: &str) -> BTreeMap<String, Value> {
    let key = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text(partition), text(sort))
    };
    items.into_iter().map(|item| (key(&item), item)).collect()
}

struct Judge<'a> {
    story: &'a Story,
    answers: &'a [Answer],
    rows: BTreeMap<String, Value>,
    /// The members table, by `member/entry`.
    accounts: BTreeMap<String, Value>,
    moments: Vec<(Timestamp, Moment)>,
    broken: Vec<String>,
}

impl<'a> Judge<'a> {
    fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(otherwise());
        }
    }

    fn is_accepted(&self, index: usize) -> bool {
        is_accepted(self.answers, index)
    }

    /// Whether the provider got the answer that the body is not valid.
    fn is_refused(&self, index: usize) -> bool {
        let mut answers = self.answers.iter();
        answers.any(|it| it.event == index && it.status == Some(400))
    }

    /// An accepted event must be in the ledger as one of its variants, with a settled record of
    /// every task. Contradicting variants must be kept.
    fn events(&mut self) {
        for (index, event) in self.story.events.iter().enumerate() {
            let row = self.rows.get(&event.key).cloned();
            if event.forged {
                self.expect(row.is_none(), || {
                    format!("{} was forged, but is recorded", event.key)
                });
                continue;
            }
            let accepted = match event.kind {
                Kind::Refused => self.is_refused(index),
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
            if event.kind == Kind::Refused {
                let names_the_cause = row["problems"]
                    .as_str()
                    .is_some_and(|it| it.contains("points_spent"));
                self.expect(names_the_cause, || format!("{} has no reason", event.key));
                continue;
            }
            self.contradictions(index, event, stated);
            if accepted {
                self.records(event, stated);
            }
        }
    }

    fn contradictions(&mut self, index: usize, event: &Event, recorded: Option<usize>) {
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

    fn records(&mut self, event: &Event, recorded: Option<usize>) {
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
    fn expected(&self, event: &Event, recorded: Option<usize>) -> Vec<Expected> {
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
            Kind::Refused => Vec::new(),
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
    fn reach(&self, event: &Event, surely: bool) -> Reach {
        let redeemed = self
            .story
            .events
            .iter()
            .find(|it| it.kind == Kind::Redeemed && it.account == event.account && !it.forged);
        let stated = redeemed
            .and_then(|it| self.variant(it))
            .map_or(Reach::NOT, |it| it.reach);
        stated.or(self.enrolled(event, surely))
    }

    /// The addresses that enrolments give for the member of an event.
    fn enrolled(&self, event: &Event, surely: bool) -> Reach {
        let member = event.account.as_ref().map(|(member, _)| member);
        let events = self.story.events.iter().enumerate();
        let mut enrolments = events.filter(|(index, it)| {
            let known = if surely {
                self.is_accepted(*index)
            } else {
                self.rows.contains_key(&it.key)
            };
            it.kind == Kind::Enrolled
                && it.account.as_ref().map(|(member, _)| member) == member
                && known
        });
        enrolments
            .next()
            .map_or(Reach::NOT, |(_, it)| it.variants[0].reach)
    }

    /// The recorded variant of an event.
    fn variant(&self, event: &'a Event) -> Option<&'a Variant> {
        let body = self.rows.get(&event.key)?["body"].as_str()?.as_bytes();
        event.variants.iter().find(|it| it.body == body)
    }

    /// Whether an event that ends the coupon was recorded.
    fn may_be_closed(&self, event: &Event) -> bool {
        let mut of_coupon = self
            .story
            .events
            .iter()
            .filter(|it| it.account == event.account);
        of_coupon.any(|it| {
            matches!(it.kind, Kind::Used | Kind::Cancelled | Kind::Expired)
                && self.rows.contains_key(&it.key)
        })
    }

    /// Whether an event that moves the coupon's expiry was recorded.
    fn may_be_moved(&self, event: &Event) -> bool {
        let mut of_coupon = self
            .story
            .events
            .iter()
            .filter(|it| it.account == event.account);
        let until = |it: &Event| it.variants[0].expires_at;
        of_coupon.any(|it| {
            it.kind == Kind::Expiring
                && until(it) != until(event)
                && self.rows.contains_key(&it.key)
        })
    }

    /// Every row in a table must have an event as its cause.
    fn rows_have_a_cause(&mut self) {
        let events: BTreeSet<_> = self.story.events.iter().map(|it| it.key.clone()).collect();
        let rows: Vec<_> = self.rows.keys().cloned().collect();
        for key in rows {
            // Such a row notes how often a message was delivered, of whatever event, or where the
            // outbox stands.
            let is_note = key.starts_with("message#") || key == "outbox/place";
            let is_own = self.is_reservation(&key) || self.is_version(&key);
            if is_note || is_own || self.is_placeholder(&key) {
                continue;
            }
            let mut parts = key.splitn(3, '/');
            let event = match (parts.next(), parts.next()) {
                (Some(coupon), Some(entry)) => format!("{coupon}/{entry}"),
                _ => key.clone(),
            };
            let has_row = self.rows.contains_key(&event);
            self.expect(events.contains(&event) && has_row, || {
                format!("{key} has no cause")
            });
        }
        let coupons: BTreeSet<_> = self.story.events.iter().filter_map(account_key).collect();
        let accounts: Vec<_> = self.accounts.keys().cloned().collect();
        for key in accounts {
            let is_grant = key.contains("/grant#");
            let is_known = is_grant || coupons.contains(&key) || self.is_of_fraud(&key);
            let is_known = is_known || self.is_line(&key);
            self.expect(is_known, || format!("{key} has no cause"));
        }
    }

    /// An account must show the coupon's last state, whatever the order of the events.
    fn accounts(&mut self) {
        let of_coupons = self
            .story
            .events
            .iter()
            .filter(|it| rank(it.kind).is_some());
        let coupons: BTreeSet<_> = of_coupons.filter_map(account_key).collect();
        for key in coupons {
            let of_coupon = self.story.events.iter().enumerate();
            let of_coupon: Vec<_> = of_coupon
                .filter(|(_, event)| account_key(event).as_ref() == Some(&key) && !event.forged)
                .collect();
            let certain = of_coupon
                .iter()
                .filter(|(index, _)| self.is_accepted(*index));
            let certain = certain.filter_map(|(_, event)| rank(event.kind)).max();
            let possible: BTreeSet<_> = of_coupon
                .iter()
                .filter(|(index, _)| !self.is_accepted(*index))
                .filter_map(|(_, event)| rank(event.kind))
                .filter(|rank| Some(*rank) > certain)
                .chain(certain)
                .collect();
            let shown = self.accounts.get(&key).map(|row| row["state"].clone());
            let Some(shown) = shown else {
                self.expect(certain.is_none(), || format!("{key} is not in the account"));
                continue;
            };
            let states = ["active", "expired", "cancelled", "used"];
            // A notice alone leaves a row without a state.
            let is_possible = possible.iter().any(|rank| shown == states[*rank])
                || (certain.is_none() && shown.is_null());
            self.expect(is_possible, || {
                format!("{key} is {shown}; possible are {possible:?}")
            });
            self.described(&key, &of_coupon);
            self.expiry(&key, &of_coupon);
        }
    }

    /// The account must have the latest expiry date, by the provider's clock.
    fn expiry(&mut self, key: &str, of_coupon: &[(usize, &Event)]) {
        let stated = of_coupon.iter().filter_map(|(_, event)| {
            let record = self.rows.get(&format!("{}/delivery/account", event.key))?;
            let is_notice = event.kind == Kind::Expiring;
            let variant = self.variant(event).filter(|_| record["status"] == "done")?;
            Some((variant.at, is_notice, variant.expires_at?))
        });
        let expected = stated.max().map(|(.., expires_at)| expires_at);
        let shown = self.accounts[key]["expires_at"].as_str();
        let shown: Option<Timestamp> = shown.and_then(|it| it.parse().ok());
        self.expect(shown == expected, || {
            format!("{key} expires at {shown:?}, it should be {expected:?}")
        });
    }

    fn described(&mut self, key: &str, of_coupon: &[(usize, &Event)]) {
        let redeemed = of_coupon
            .iter()
            .find(|(_, event)| event.kind == Kind::Redeemed);
        let Some((index, event)) = redeemed else {
            return;
        };
        if !self.is_accepted(*index) {
            return;
        }
        let body = self.rows.get(&event.key).map(|row| row["body"].clone());
        let stated = |body: &Value| {
            let stated = event.variants.iter();
            let mut stated =
                stated.filter(|it| Some(it.body.as_slice()) == body.as_str().map(str::as_bytes));
            stated.next()?.reward.clone()
        };
        let expected = body.as_ref().and_then(stated);
        let shown = self.accounts[key]["reward"].as_str().map(str::to_owned);
        self.expect(shown == expected, || {
            format!("{key} shows the reward {shown:?}, it should be {expected:?}")
        });
    }

    /// Every expected channel must have a message. A second message is allowed only if its sender
    /// could not know that the first was sent, or could not record it.
    fn messages(&mut self, world: &World) {
        let mut sent: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for message in world.sent().into_iter().filter(|it| it.channel != "topic") {
            let about = message.event.unwrap_or_default();
            let channel = match about.contains("/expiring@") {
                true => "reminder",
                false => CHANNELS
                    .iter()
                    .find(|it| **it == message.channel)
                    .copied()
                    .unwrap_or("?"),
            };
            *sent.entry((about, channel)).or_default() += 1;
        }
        for (index, event) in self.story.events.iter().enumerate() {
            if event.forged || !self.rows.contains_key(&event.key) {
                continue;
            }
            let recorded = self.variant(event);
            let recorded = recorded.and_then(|it| {
                event
                    .variants
                    .iter()
                    .position(|other| std::ptr::eq(it, other))
            });
            for Expected {
                record, channel, ..
            } in self.expected(event, recorded)
            {
                let Some(channel) = channel else { continue };
                let about = reference(event, channel);
                let count = sent.remove(&(about.clone(), channel)).unwrap_or_default();
                let key = format!("{}/{record}", event.key);
                let is_done = self
                    .rows
                    .get(&key)
                    .is_some_and(|row| row["status"] == "done");
                self.expect(!is_done || count > 0, || {
                    format!("{key} is done, but nothing was sent")
                });
                let known_as_unsent = self.is_accepted(index) && !is_done;
                let most = usize::from(!known_as_unsent);
                if count > most {
                    let explained = self.explained(&about, &key);
                    self.expect(count <= most + explained, || {
                        format!(
                            "{key} was sent {count} times, of which {explained} had a reason \
                             to be repeated"
                        )
                    });
                }
            }
        }
        self.expect(sent.is_empty(), || {
            format!("messages without a cause: {sent:?}")
        });
    }

    /// Every accepted redemption of items must have a grant, but none of a sandbox.
    fn grants(&mut self) {
        let mut known = 0;
        for (index, event) in self.story.events.iter().enumerate() {
            if event.kind != Kind::Items {
                continue;
            }
            let end = format!(
                "/grant#{}",
                webhooks::event::escape(event.key.trim_end_matches("/redeemed"))
            );
            let granted = self
                .accounts
                .keys()
                .filter(|key| key.ends_with(&end))
                .count();
            let (accepted, recorded) =
                (self.is_accepted(index), self.rows.contains_key(&event.key));
            let expected = usize::from(recorded && !event.sandbox);
            self.expect(
                granted <= expected && (!accepted || granted == expected),
                || format!("{} has {granted} grants", event.key),
            );
            known += granted;
        }
        let grants = self.accounts.keys().filter(|key| key.contains("/grant#"));
        let unknown = grants.count() - known;
        self.expect(unknown == 0, || format!("{unknown} grants have no cause"));
    }

    fn nothing_is_under_way(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        for (key, row) in &rows {
            self.expect(row["outbox"].is_null(), || {
                format!("{key} is still in the outbox")
            });
            let status = row["status"].as_str().unwrap_or_default();
            // A task may be abandoned if its event was never accepted and the provider gave up.
            let event = self
                .story
                .events
                .iter()
                .position(|it| key.starts_with(&format!("{}/", it.key)));
            let accepted = event.is_some_and(|index| self.is_accepted(index));
            self.expect(
                !accepted || !matches!(status, "running" | "released"),
                || format!("{key} is still {status}"),
            );
        }
        self.rows = rows;
    }

    /// Everything beneath an accepted event must live as long as the event. Uses and cancellations
    /// of a coupon must live at least as long as its redemption.
    fn lifetimes(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        for (index, event) in self.story.events.iter().enumerate() {
            let Some(row) = rows.get(&event.key) else {
                continue;
            };
            if !self.is_accepted(index) {
                continue;
            }
            let beneath = format!("{}/", event.key);
            for (key, record) in rows.range(beneath.clone()..) {
                if !key.starts_with(&beneath) {
                    break;
                }
                self.expect(record["ttl"] == row["ttl"], || {
                    format!(
                        "{key} lives until {}, its event until {}",
                        record["ttl"], row["ttl"]
                    )
                });
            }
            let Some((coupon, _)) = event.key.split_once('/') else {
                continue;
            };
            let redeemed = rows.get(&format!("{coupon}/redeemed"));
            let until = redeemed.and_then(|it| it["ttl"].as_i64());
            if matches!(event.kind, Kind::Used | Kind::Cancelled) && !event.sandbox {
                self.expect(row["ttl"].as_i64() >= until, || {
                    format!(
                        "{} lives until {}, its redemption until {until:?}",
                        event.key, row["ttl"]
                    )
                });
            }
        }
        self.rows = rows;
    }

    /// A message may only be given up if no function can read it, and with the reason.
    async fn dead_letters(&mut self, world: &World) {
        for (queue, letters) in world.dead_letters().await {
            let source = queue.trim_end_matches("-dead-letter");
            let poison = self.story.poison.iter().filter(|(_, of, _)| *of == source);
            let poison: Vec<_> = poison.map(|(_, _, body)| body.as_str()).collect();
            for letter in &letters {
                let is_poison = poison.contains(&letter.body.as_str());
                let reason = letter.message_attributes["Reason"]["stringValue"].as_str();
                self.expect(is_poison && reason.is_some(), || {
                    format!(
                        "a message in {queue}, for the reason {reason:?}: {}",
                        letter.body
                    )
                });
            }
            self.expect(letters.len() >= poison.len(), || {
                format!(
                    "{} messages that cannot be read, {} in {queue}",
                    poison.len(),
                    letters.len()
                )
            });
        }
    }
}

/// The row that an event leaves in the members table.
fn account_key(event: &Event) -> Option<String> {
    let (member, entry) = event.account.as_ref()?;
    (!event.forged).then(|| format!("{member}/{entry}"))
}

/// The reference by which a message names its event.
fn reference(event: &Event, channel: &str) -> String {
    match channel {
        "game-server" => format!("msg_{}", &hex::encode(Sha256::digest(&event.key))[..32]),
        _ => event.key.clone(),
    }
}

/// The later of two states counts: active, expired, cancelled, used.
fn rank(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Redeemed => Some(0),
        Kind::Expired => Some(1),
        Kind::Cancelled => Some(2),
        Kind::Used => Some(3),
        Kind::Expiring | Kind::Items | Kind::Enrolled | Kind::Refused => None,
    }
}
