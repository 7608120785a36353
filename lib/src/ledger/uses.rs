//! Uses that name no order: decides which of them are the same use, and numbers a new one (ADR 11).
//!
//! Invariant: code that records such a use first reads every use below the lowest free number, then
//! tries that number by a conditional write. So if two webhooks say the same, one finds the other,
//! even if both come at once.

use futures_util::future::try_join;
use jiff::{SignedDuration, Timestamp};

use super::{Ledger, Recorded, Standing, content_hash, is_forgotten};
use crate::event::{Event, EventKey, Fact, Usage};
use crate::product_name::identity;
use crate::row::{Item, digits, read_text};

/// Uses with the same contents within this time are the same use.
pub const SAME_USE_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// How many uses of one coupon by one member get numbers. A further use is named by its time or its
/// webhook's id, so only a webhook with the same name is the same use.
const NUMBERS_MAX: u32 = 32;

/// Where a use that names no order belongs.
pub(super) enum Place {
    /// The use is recorded already, or its name holds other contents.
    Known(Recorded),
    Free(EventKey),
}

/// Whether an event is a use that gets its number when it is recorded.
pub(super) fn is_numbered(event: &Event) -> bool {
    matches!(&event.fact, Fact::Used(usage) if usage.order_id.is_none()) && !event.sandbox
}

impl Ledger {
    /// Finds the row of a use that names no order, or the place where it can be recorded.
    pub(super) async fn place(
        &self,
        event: &Event,
        hash: &str,
        now: Timestamp,
    ) -> anyhow::Result<Place> {
        let named = named_by_itself(event);
        let numbers = numbers(event);
        let (mut rows, by_name) = try_join(
            self.names(&numbers, now),
            self.row(named.coupon(), named.entry(), now),
        )
        .await?;
        let free = free(&rows, &numbers);
        rows.extend(by_name);
        let mut contradicted = None;
        for candidate in candidates(&rows, event, hash) {
            let Some(standing) = self.standing(&candidate.key, now).await? else {
                continue;
            };
            if candidate.is_same_webhook || agrees(&standing, event) {
                match candidate.has_hash {
                    true => return Ok(Place::Known(Recorded::Duplicate(standing))),
                    // Older code wrote the hash, or the contents differ.
                    false if says(&standing, hash) => {
                        return Ok(Place::Known(Recorded::Differs(standing)));
                    }
                    false if candidate.is_same_webhook => {
                        contradicted = contradicted.or(Some(standing));
                    }
                    false => {}
                }
            }
        }
        Ok(match contradicted {
            Some(standing) => Place::Known(Recorded::Differs(standing)),
            None => Place::Free(free.unwrap_or(named)),
        })
    }

    /// Reads the entries, times and hashes of a member's numbered uses of a coupon, and of the rows
    /// beneath them.
    async fn names(&self, numbers: &EventKey, now: Timestamp) -> anyhow::Result<Vec<Item>> {
        const FIELDS: [&str; 6] = ["coupon", "entry", "ttl", "occurred_at", "hash", SENT_BY];
        let (coupon, beginning) = (numbers.coupon(), numbers.entry());
        let mut rows = self.query_fields(coupon, beginning, &FIELDS).await?;
        rows.retain(|row| !is_forgotten(row, now));
        Ok(rows)
    }
}

/// The attribute of a numbered use that holds its webhook's id.
pub(super) const SENT_BY: &str = "told_by";

/// The prefix of the keys of a member's numbered uses.
fn numbers(event: &Event) -> EventKey {
    let first = numbered(event, 1);
    let beginning = first.entry().trim_end_matches('1');
    EventKey::recorded(first.coupon(), beginning)
}

fn numbered(event: &Event, number: u32) -> EventKey {
    let code = event.fact.coupon_code().unwrap_or_default();
    let member = &event.member.id;
    EventKey::used_by(&event.provider, &event.tenant, code, member, number)
}

/// The key by what differs between two webhooks: the webhook's id, or the time if there is no id.
/// Older code had only this key.
fn named_by_itself(event: &Event) -> EventKey {
    let code = event.fact.coupon_code().unwrap_or_default();
    let at = event.occurred_at.to_string();
    let by = event.envelope.event_id.as_ref().unwrap_or(&at);
    EventKey::repeatable(&event.provider, &event.tenant, code, "used", by)
}

/// The lowest number that no row uses. Records may outlast a forgotten use, and another use must
/// not take them for its own.
fn free(rows: &[Item], numbers: &EventKey) -> Option<EventKey> {
    let is_taken = |key: &EventKey| {
        let mut entries = rows.iter().filter_map(|row| read_text(row, "entry"));
        entries.any(|entry| {
            let rest = entry.strip_prefix(key.entry());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let key = |number| {
        let entry = format!("{}{number}", numbers.entry());
        EventKey::recorded(numbers.coupon(), &entry)
    };
    (1..=NUMBERS_MAX).map(key).find(|key| !is_taken(key))
}

/// A row that may be the event's use.
#[derive(Debug, PartialEq)]
struct Candidate {
    key: EventKey,
    /// The row has the same time or the same webhook's id: it is the same webhook, even if the
    /// contents differ.
    is_same_webhook: bool,
    has_hash: bool,
    distance: SignedDuration,
}

/// The rows that may be the use. Rows with the same contents come first, and among these the
/// nearest in time.
fn candidates(rows: &[Item], event: &Event, hash: &str) -> Vec<Candidate> {
    let by_itself = named_by_itself(event);
    let webhook = event.envelope.event_id.as_ref();
    let mut found: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let key = EventKey::recorded(read_text(row, "coupon")?, read_text(row, "entry")?);
            if key.entry().contains('/') {
                return None;
            }
            let occurred_at: Timestamp = read_text(row, "occurred_at")?.parse().ok()?;
            let sent_by = read_text(row, SENT_BY);
            let candidate = Candidate {
                is_same_webhook: key == by_itself
                    || match webhook {
                        Some(_) => sent_by == webhook,
                        None => sent_by.is_none() && occurred_at == event.occurred_at,
                    },
                has_hash: digits(row, "hash").is_some_and(|it| it == hash),
                distance: occurred_at.duration_since(event.occurred_at).abs(),
                key,
            };
            let is_one = candidate.is_same_webhook || candidate.distance <= SAME_USE_WITHIN;
            is_one.then_some(candidate)
        })
        .collect();
    found.sort_by_key(|row| {
        let is_other = (!row.has_hash, !row.is_same_webhook);
        (is_other, row.distance, row.key.entry().to_owned())
    });
    found
}

/// Whether a recorded use can have been at the event's place. A provider may leave out a place or
/// spell it in another way, but never names another.
fn agrees(standing: &Standing, event: &Event) -> bool {
    let recorded = standing.event();
    let (Some(Fact::Used(recorded)), Fact::Used(stated)) =
        (recorded.as_ref().map(|it| &it.fact), &event.fact)
    else {
        return true;
    };
    let places =
        |usage: &Usage| [&usage.location, &usage.platform].map(|it| it.as_deref().map(identity));
    let mut places = places(recorded).into_iter().zip(places(stated));
    places.all(|pair| match pair {
        (Some(recorded), Some(stated)) => recorded == stated,
        _ => true,
    })
}

/// Whether a recorded use has these contents, as today's code reads it.
fn says(standing: &Standing, hash: &str) -> bool {
    let event = standing.event();
    event.is_some_and(|event| content_hash(&event) == hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Envelope, Member};
    use crate::row::{number, text};

    const HASH: &str = "aa";

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + 60 * minute).unwrap()
    }

    fn used(at: i64, webhook: Option<&str>) -> Event {
        Event {
            key: EventKey::used_by("zupy", "comp", "CP-1", "ZP/1", 1),
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: minute(at),
            sandbox: false,
            received_at: None,
            member: Member {
                id: "ZP/1".into(),
                ..Member::default()
            },
            fact: Fact::Used(Usage {
                coupon_code: "CP-1".into(),
                ..Usage::default()
            }),
            envelope: Envelope {
                event_id: webhook.map(str::to_owned),
                ..Envelope::default()
            },
            warnings: Vec::new(),
        }
    }

    fn row(entry: &str, at: i64, hash: &str, webhook: Option<&str>) -> Item {
        let mut row = Item::new();
        row.insert("coupon".into(), text("zupy#comp#CP-1"));
        row.insert("entry".into(), text(entry));
        row.insert("occurred_at".into(), text(minute(at).to_string()));
        row.insert("hash".into(), text(hash));
        row.insert("ttl".into(), number(i64::MAX));
        if let Some(webhook) = webhook {
            row.insert(SENT_BY.into(), text(webhook));
        }
        row
    }

    fn numbers_of(rows: &[Item], event: &Event) -> Vec<String> {
        let candidates = candidates(rows, event, HASH).into_iter();
        candidates.map(|it| it.key.entry().to_owned()).collect()
    }

    #[test]
    fn the_same_contents_within_an_hour_come_first_and_the_nearest_of_them() {
        let rows = [
            row("used@ZP%2F1#1", 0, HASH, None),
            row("used@ZP%2F1#2", 61, HASH, None),
            row("used@ZP%2F1#3", 10, "bb", None),
            row("used@ZP%2F1#1/fraud", 0, HASH, None),
        ];
        let check = |at, expected: &[&str]| {
            let expected: Vec<_> = expected
                .iter()
                .map(|it| format!("used@ZP%2F1#{it}"))
                .collect();
            assert_eq!(numbers_of(&rows, &used(at, None)), expected, "{at}");
        };
        check(0, &["1", "3"]);
        check(20, &["1", "2", "3"]);
        check(60, &["2", "1", "3"]);
        check(-60, &["1"]);
        check(-61, &[]);
        check(121, &["2"]);
        check(122, &[]);
    }

    #[test]
    fn one_webhook_is_one_use_at_any_time() {
        let rows = [
            row("used@ZP%2F1#1", 0, HASH, Some("id_1")),
            row("used@ZP%2F1#2", 500, HASH, Some("id_2")),
            row("used@id_3", 900, HASH, None),
        ];
        let check = |at, webhook, expected: &[&str]| {
            assert_eq!(numbers_of(&rows, &used(at, Some(webhook))), expected);
        };
        check(3000, "id_1", &["used@ZP%2F1#1"]);
        check(3000, "id_2", &["used@ZP%2F1#2"]);
        check(3000, "id_3", &["used@id_3"]);
        check(3000, "id_4", &[]);
        check(501, "id_1", &["used@ZP%2F1#1", "used@ZP%2F1#2"]);
    }

    #[test]
    fn a_number_is_free_if_no_use_and_no_record_has_it() {
        let numbers = numbers(&used(0, None));
        assert_eq!(numbers.entry(), "used@ZP%2F1#");
        let check = |entries: &[&str], expected: &str| {
            let rows: Vec<_> = entries.iter().map(|it| row(it, 0, HASH, None)).collect();
            let found = free(&rows, &numbers);
            assert_eq!(found.unwrap().entry(), expected, "{entries:?}");
        };
        check(&[], "used@ZP%2F1#1");
        check(&["used@ZP%2F1#1"], "used@ZP%2F1#2");
        check(&["used@ZP%2F1#2"], "used@ZP%2F1#1");
        check(&["used@ZP%2F1#1/fraud", "used@ZP%2F1#2"], "used@ZP%2F1#3");
        // The number 10 is not the number 1.
        check(&["used@ZP%2F1#10"], "used@ZP%2F1#1");
        let all: Vec<_> = (1..=NUMBERS_MAX)
            .map(|number| row(&format!("used@ZP%2F1#{number}"), 0, HASH, None))
            .collect();
        assert_eq!(free(&all, &numbers), None);
    }

    #[test]
    fn without_a_free_number_a_use_gets_the_name_that_older_code_gave_it() {
        let by_time = named_by_itself(&used(0, None));
        assert_eq!(by_time.entry(), format!("used@{}", minute(0)));
        assert_eq!(named_by_itself(&used(0, Some("id_1"))).entry(), "used@id_1");
    }
}
