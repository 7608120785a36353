//! Uses that name no order: which of them are the same use, and which number a new one gets (ADR 11).
//!
//! Invariant: whoever records such a use tries the lowest free number, by a conditional write, after looking at every use
//! below it. So of two deliveries that say the same, one finds the other, also where both come at once.

use futures_util::future::try_join;
use jiff::{SignedDuration, Timestamp};

use super::row::{Item, digits, read_text};
use super::{Ledger, Recorded, Standing, content_hash, is_forgotten};
use crate::event::{Event, EventKey, Fact, Usage};

/// The same contents within so long are the same use.
pub const SAME_USE_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// How many uses of one coupon by one member are told apart like this. One more is named by its time or its webhook's id,
/// so that only a delivery that names the same is the same use.
const NUMBERS_MAX: u32 = 32;

/// Where a use that names no order belongs.
pub(super) enum Place {
    /// It stands there already, or what stands there has its name and other contents.
    Known(Recorded),
    Free(EventKey),
}

/// Whether an event is a use that gets its number when it is recorded.
pub(super) fn is_numbered(event: &Event) -> bool {
    matches!(&event.fact, Fact::Used(usage) if usage.order_id.is_none()) && !event.sandbox
}

impl Ledger {
    /// Looks where a use that names no order stands, or may be recorded.
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
            if candidate.is_same_telling || agrees(&standing, event) {
                match candidate.has_hash {
                    true => return Ok(Place::Known(Recorded::Duplicate(standing))),
                    // Older code hashed it, or it has other contents.
                    false if says(&standing, hash) => {
                        return Ok(Place::Known(Recorded::Differs(standing)));
                    }
                    false if candidate.is_same_telling => {
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

    /// What names, times and hashes tell of the numbered uses of a coupon by a member, and of what stands beneath them.
    async fn names(&self, numbers: &EventKey, now: Timestamp) -> anyhow::Result<Vec<Item>> {
        const FIELDS: [&str; 6] = ["coupon", "entry", "ttl", "occurred_at", "hash", TOLD_BY];
        let (coupon, beginning) = (numbers.coupon(), numbers.entry());
        let mut rows = self.query_fields(coupon, beginning, &FIELDS).await?;
        rows.retain(|row| !is_forgotten(row, now));
        Ok(rows)
    }
}

/// The attribute of such a use that holds its webhook's id.
pub(super) const TOLD_BY: &str = "told_by";

/// What the keys of a member's numbered uses begin with.
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

/// The key by what differs between two deliveries: the webhook's id, or the time where there is none. Older code knew no
/// other.
fn named_by_itself(event: &Event) -> EventKey {
    let code = event.fact.coupon_code().unwrap_or_default();
    let at = event.occurred_at.to_string();
    let by = event.envelope.event_id.as_ref().unwrap_or(&at);
    EventKey::told(&event.provider, &event.tenant, code, "used", by)
}

/// The lowest number under which nothing stands. Beneath a use that is forgotten there may be records that are not yet:
/// another use must not take them for its own.
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

/// A row that may be the use that an event is about.
#[derive(Debug, PartialEq)]
struct Candidate {
    key: EventKey,
    /// It has the same time, or came by the same webhook: whatever it says, it is the same delivery.
    is_same_telling: bool,
    has_hash: bool,
    distance: SignedDuration,
}

/// The rows that may be the use: those with its contents first, and the nearest of them.
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
            let told_by = read_text(row, TOLD_BY);
            let candidate = Candidate {
                is_same_telling: key == by_itself
                    || match webhook {
                        Some(_) => told_by == webhook,
                        None => told_by.is_none() && occurred_at == event.occurred_at,
                    },
                has_hash: digits(row, "hash").is_some_and(|it| it == hash),
                distance: occurred_at.duration_since(event.occurred_at).abs(),
                key,
            };
            let is_one = candidate.is_same_telling || candidate.distance <= SAME_USE_WITHIN;
            is_one.then_some(candidate)
        })
        .collect();
    found.sort_by_key(|it| {
        let is_other = (!it.has_hash, !it.is_same_telling);
        (is_other, it.distance, it.key.entry().to_owned())
    });
    found
}

/// Whether a recorded use may have been where an event says that it was. A provider may leave out a place, but does not
/// name another.
fn agrees(standing: &Standing, event: &Event) -> bool {
    let recorded = standing.event();
    let (Some(Fact::Used(recorded)), Fact::Used(told)) =
        (recorded.as_ref().map(|it| &it.fact), &event.fact)
    else {
        return true;
    };
    let places = |usage: &Usage| [usage.location.clone(), usage.platform.clone()];
    let mut places = places(recorded).into_iter().zip(places(told));
    places.all(|pair| match pair {
        (Some(recorded), Some(told)) => recorded == told,
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
    use crate::ledger::row::{number, text};

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
            row.insert(TOLD_BY.into(), text(webhook));
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
    fn one_webhook_tells_one_use_whenever_it_comes() {
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
    fn a_number_is_free_where_neither_a_use_nor_what_belonged_to_one_stands() {
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
        // Ten is not one.
        check(&["used@ZP%2F1#10"], "used@ZP%2F1#1");
        let all: Vec<_> = (1..=NUMBERS_MAX)
            .map(|number| row(&format!("used@ZP%2F1#{number}"), 0, HASH, None))
            .collect();
        assert_eq!(free(&all, &numbers), None);
    }

    #[test]
    fn a_use_is_named_as_older_code_named_it_where_nothing_else_is_left() {
        let by_time = named_by_itself(&used(0, None));
        assert_eq!(by_time.entry(), format!("used@{}", minute(0)));
        assert_eq!(named_by_itself(&used(0, Some("id_1"))).entry(), "used@id_1");
    }
}
