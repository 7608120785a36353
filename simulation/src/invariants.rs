//! What must hold when everything has settled, after any failures. The module judges by the tables,
//! the sent messages and the dead letters. Its expectations are its own: it shares no code with the
//! functions.

mod accounts;
mod figures;
mod fraud;
mod records;
mod sendings;
mod stock;
mod surveys;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::history::Moment;
use crate::story::{Event, Kind, Story, Variant};
use crate::world::World;
use records::Expected;

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
    of_event.any(|answer| {
        answer
            .status
            .is_some_and(|status| (200..300).contains(&status))
    })
}

/// The events table, by `coupon/entry`.
pub(crate) struct Ledger(BTreeMap<String, Value>);

impl Ledger {
    pub(crate) async fn read(world: &World) -> anyhow::Result<Self> {
        Ok(Self(keyed(world.items("events").await?, "coupon", "entry")))
    }

    /// Gives the uses without an order the keys of their rows.
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

    /// Whether there is a row with this key.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether the ledger has the event with the contents of this variant.
    pub(crate) fn holds(&self, key: &str, variant: &Variant) -> bool {
        let body = self.0.get(key).and_then(|row| row["body"].as_str());
        body.is_some_and(|body| body.as_bytes() == variant.body)
    }
}

/// The channels, by their names in sent messages.
const CHANNELS: [&str; 4] = ["email", "whatsapp", "sms", "game-server"];

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

    /// Every row in a table must have an event as its cause.
    fn rows_have_a_cause(&mut self) {
        let events: BTreeSet<_> = self.story.events.iter().map(|it| it.key.clone()).collect();
        let rows: Vec<_> = self.rows.keys().cloned().collect();
        let mended = self.story.mended_event().map(|(_, key)| key);
        for key in rows {
            if Some(&key) == mended.as_ref() {
                continue;
            }
            // Such a row notes how often SQS delivered a message, of any event, or where the outbox
            // stopped.
            let is_note = key.starts_with("message#") || key == "outbox/place";
            let is_own = self.is_reservation(&key) || self.is_version(&key) || self.is_survey(&key);
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
            // The pauses between a member's surveys.
            let is_known = is_known || self.is_line(&key) || key.ends_with("/surveys");
            self.expect(is_known, || format!("{key} has no cause"));
        }
    }

    /// Every expected channel must have a message. A second message is correct only if its sender
    /// could not know that the first went out, or could not record it.
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
            let recorded = recorded.and_then(|variant| {
                event
                    .variants
                    .iter()
                    .position(|other| std::ptr::eq(variant, other))
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
        self.invitations(&mut sent);
        self.expect(sent.is_empty(), || {
            format!("messages without a cause: {sent:?}")
        });
    }

    fn nothing_is_under_way(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        for (key, row) in &rows {
            self.expect(row["outbox"].is_null(), || {
                format!("{key} is still in the outbox")
            });
            let status = row["status"].as_str().unwrap_or_default();
            // A task may stay undone if its event never got a 2xx and the provider gave up.
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

    /// Every row beneath an accepted event must live as long as the event. Uses and cancellations
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

    /// A function may give up a message only if no function can read it, and with the reason.
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
