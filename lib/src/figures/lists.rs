//! The lists of the events in a tenant's hours: small items by which reports find the events'
//! records. An index of the records would cost a write unit for each event.
//!
//! A list is written before its events are counted, so that no event is missing. A list may name an
//! event that was not counted, or that another list names too. So a reader checks the records.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;

use crate::event::{EventKey, tenant_key};
use crate::ledger::{Item, ItemKey, Row};

/// The most bytes of one list. DynamoDB accepts items of 400 KB.
const LIST_MAX_BYTES: usize = 200 * 1024;

/// An event as a list names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listed {
    /// The Unix second in which the event occurred.
    pub second: i64,
    /// The event, whose record a reader checks.
    pub key: EventKey,
}

/// A tenant's hour, to which any number of lists belong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct List {
    /// The provider of the tenant, `zupy` or `aghanim`.
    pub provider: String,
    /// The company or the game.
    pub tenant: String,
    /// The tenant's own day.
    pub day: Date,
    /// The hour of the tenant's clock, 0 to 23.
    pub hour: u8,
}

/// The partition of a tenant's lists.
pub(super) fn partition(provider: &str, tenant: &str) -> String {
    format!("{}#events", tenant_key(provider, tenant))
}

/// The prefix of the sort keys of an hour's lists.
pub(super) fn beginning(day: Date, hour: u8) -> String {
    format!("{day}T{hour:02}#")
}

/// The hour to which a list belongs.
pub(super) fn hour(list: &Item) -> Option<u8> {
    let entry = list.get("entry")?.as_s().ok()?;
    let (_, hour) = entry.split_once('#')?.0.split_once('T')?;
    hour.parse().ok()
}

impl List {
    /// The items that list these events. `unique` begins their names within the hour, so that no
    /// other writer's lists have the same names. `forget_at` is the Unix second of their expiry.
    pub(super) fn items(
        &self,
        table: &str,
        events: &BTreeSet<Listed>,
        unique: &str,
        forget_at: i64,
    ) -> Vec<Item> {
        let Some(first) = events.first().map(|it| it.second) else {
            return Vec::new();
        };
        let tenant = format!("{}#", tenant_key(&self.provider, &self.tenant));
        let mut texts = vec![String::new()];
        for listed in events {
            let key = listed.key.to_string();
            let rest = key.strip_prefix(&tenant).unwrap_or(&key);
            let line = format!("{} {rest}\n", listed.second - first);
            match texts.last_mut() {
                Some(text) if text.is_empty() || text.len() + line.len() <= LIST_MAX_BYTES => {
                    text.push_str(&line);
                }
                _ => texts.push(line),
            }
        }
        let items = texts.into_iter().enumerate().map(|(index, text)| {
            let entry = format!("{}{unique}{index}", beginning(self.day, self.hour));
            let key = key(table, partition(&self.provider, &self.tenant), entry);
            let mut row = Row(key.attributes());
            row.set("events", Some(text));
            let number = |number: i64| AttributeValue::N(number.to_string());
            row.0.insert("second".into(), number(first));
            row.0.insert("ttl".into(), number(forget_at));
            row.0
        });
        items.collect()
    }
}

/// The events that lists name. An item that is no list names none.
pub(super) fn read(lists: &[Item], (provider, tenant): (&str, &str)) -> BTreeSet<Listed> {
    let of_tenant = tenant_key(provider, tenant);
    let mut events = BTreeSet::new();
    for list in lists {
        let first = list
            .get("second")
            .and_then(|it| it.as_n().ok()?.parse().ok());
        let text = list.get("events").and_then(|it| it.as_s().ok());
        let (Some(first), Some(text)): (Option<i64>, _) = (first, text) else {
            continue;
        };
        let read = |line: &str| {
            let (after, rest) = line.split_once(' ')?;
            let second = first.checked_add(after.parse().ok()?)?;
            let key = EventKey::parse(&format!("{of_tenant}#{rest}"))?;
            Some(Listed { second, key })
        };
        events.extend(text.lines().filter_map(read));
    }
    events
}

/// The key of an item in the table of figures.
pub(super) fn key(table: &str, partition: String, entry: String) -> ItemKey {
    ItemKey::new(table, ("part", partition), ("entry", entry))
}

/// Events by the hours of their tenants.
pub type Lists = BTreeMap<List, BTreeSet<Listed>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_read_back() {
        let list = List {
            provider: "zupy".into(),
            tenant: "a#b".into(),
            day: "2026-11-25".parse().unwrap(),
            hour: 9,
        };
        let key = |code: &str| EventKey::used("zupy", "a#b", code, "ord 1\n/2");
        let events: BTreeSet<_> = [("CP-1", 5), ("CP 2\n", 7), ("CP#3", 5)]
            .map(|(code, second)| Listed {
                second,
                key: key(code),
            })
            .into();
        let items = list.items("figures", &events, "u", 1);
        assert_eq!(items.len(), 1);
        assert_eq!(
            items[0]["entry"],
            AttributeValue::S("2026-11-25T09#u0".into())
        );
        assert_eq!(read(&items, ("zupy", "a#b")), events);
    }

    #[test]
    fn many_events_are_several_items() {
        let list = List {
            provider: "zupy".into(),
            tenant: "c".into(),
            day: "2026-11-25".parse().unwrap(),
            hour: 9,
        };
        let events: BTreeSet<_> = (0..1000)
            .map(|number| Listed {
                second: number,
                key: EventKey::redeemed("zupy", "c", &format!("{number}{}", "x".repeat(400))),
            })
            .collect();
        let items = list.items("figures", &events, "u", 1);
        assert_eq!(items.len(), 3);
        assert_eq!(read(&items, ("zupy", "c")), events);
    }
}
