//! The dictionaries of the tenants' groups, as far as a reader has needed them.
//!
//! An entry never changes while it lives, so a process remembers it until then.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use futures_util::future::{try_join, try_join_all};
use jiff::Timestamp;

use super::cell::Group;
use super::{Figures, lists, names};
use crate::clock;
use crate::ledger::{Item, ItemKey, forgotten_from, read_all};

/// The most entries that a process remembers.
const REMEMBERED_MAX: usize = 50_000;

/// Up to this many entries of a tenant are read by their keys, together with those of other
/// tenants. More are read by one query of the whole dictionary, which costs less.
const BY_KEY_MAX: usize = 25;

/// The most keys of one request.
const KEYS_MAX: usize = 100;

/// What a reader remembers of the dictionaries.
#[derive(Debug, Default)]
pub(super) struct Dictionaries(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// By tenant, and then by id.
    entries: HashMap<String, HashMap<String, Entry>>,
    count: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    group: Group,
    /// The second from which the id may stand for another group.
    forgotten_from: i64,
}

/// The ids of a tenant that a reader needs.
pub(super) type Wanted = (String, BTreeSet<String>);

impl Dictionaries {
    /// The groups that are remembered of these ids.
    fn recall(&self, (tenant, ids): &Wanted, now: Timestamp) -> HashMap<String, Group> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entries) = remembered.entries.get(tenant) else {
            return HashMap::new();
        };
        let known = ids.iter().filter_map(|id| {
            let entry = entries.get(id)?;
            (entry.forgotten_from > now.as_second()).then(|| (id.clone(), entry.group.clone()))
        });
        known.collect()
    }

    fn remember(&self, tenant: &str, found: HashMap<String, Entry>) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.count + found.len() > REMEMBERED_MAX {
            *remembered = Remembered::default();
        }
        // An entry that is read again counts twice, so the limit is met a little early.
        remembered.count += found.len();
        let entries = remembered.entries.entry(tenant.to_owned()).or_default();
        entries.extend(found);
    }
}

impl Figures {
    /// What the ids of each tenant stand for. An id without an entry is missing.
    pub(super) async fn groups(
        &self,
        wanted: &[Wanted],
    ) -> anyhow::Result<Vec<HashMap<String, Group>>> {
        let now = clock::now();
        let recall = |it| self.dictionaries.recall(it, now);
        let mut known: Vec<_> = wanted.iter().map(recall).collect();
        let (mut by_key, mut whole) = (Vec::new(), Vec::new());
        for ((tenant, ids), known) in wanted.iter().zip(&known) {
            let open: Vec<_> = ids.iter().filter(|id| !known.contains_key(*id)).collect();
            match open.len() {
                0 => {}
                1..=BY_KEY_MAX => by_key.extend(open.into_iter().map(|id| self.entry(tenant, id))),
                _ => whole.push(names::partition(tenant)),
            }
        }
        if by_key.is_empty() && whole.is_empty() {
            return Ok(known);
        }
        let by_key = by_key
            .chunks(KEYS_MAX)
            .map(|keys| read_all(&self.client, keys, &[]));
        let whole = whole
            .iter()
            .map(|partition| self.query(&self.tables.figures, ("part", partition), None));
        let (by_key, whole) = try_join(try_join_all(by_key), try_join_all(whole))
            .await
            .context("reading what groups are called")?;
        let mut found: HashMap<String, Vec<Item>> = HashMap::new();
        for row in by_key.into_iter().chain(whole).flatten() {
            if let Some(partition) = row.get("part").and_then(|it| it.as_s().ok()) {
                found.entry(partition.clone()).or_default().push(row);
            }
        }
        for ((tenant, ids), known) in wanted.iter().zip(&mut known) {
            let rows = found.remove(&names::partition(tenant)).unwrap_or_default();
            let entries = rows.iter().filter_map(|row| {
                let (id, group) = names::read(row)?;
                let forgotten_from = forgotten_from(row).unwrap_or(i64::MAX);
                let entry = Entry {
                    group,
                    forgotten_from,
                };
                (ids.contains(&id) && forgotten_from > now.as_second()).then_some((id, entry))
            });
            let entries: HashMap<_, _> = entries.collect();
            let groups = entries.iter();
            known.extend(groups.map(|(id, entry)| (id.clone(), entry.group.clone())));
            self.dictionaries.remember(tenant, entries);
        }
        Ok(known)
    }

    fn entry(&self, tenant: &str, id: &str) -> ItemKey {
        let partition = names::partition(tenant);
        lists::key(&self.tables.figures, partition, id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Section;

    fn entry(name: &str, forgotten_from: i64) -> (String, Entry) {
        let group = Group::new(Section::Method, [name]);
        let entry = Entry {
            group,
            forgotten_from,
        };
        (name.to_owned(), entry)
    }

    #[test]
    fn an_entry_is_remembered_for_as_long_as_it_lives() {
        let dictionaries = Dictionaries::default();
        let now = Timestamp::from_second(100).unwrap();
        dictionaries.remember("a", [entry("new", 101), entry("old", 100)].into());
        let ids = ["new", "old", "other"].map(str::to_owned);
        let wanted = ("a".to_owned(), BTreeSet::from(ids));
        let known = dictionaries.recall(&wanted, now);
        assert_eq!(known.len(), 1);
        assert_eq!(known["new"].names, ["new"]);
        let foreign = ("b".to_owned(), wanted.1);
        assert!(dictionaries.recall(&foreign, now).is_empty());
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let dictionaries = Dictionaries::default();
        for number in 0..3 {
            let entries = (0..REMEMBERED_MAX / 2).map(|it| entry(&format!("{number}/{it}"), 1));
            dictionaries.remember("a", entries.collect());
        }
        let remembered = dictionaries.0.lock().unwrap();
        assert_eq!(remembered.entries["a"].len(), REMEMBERED_MAX / 2);
        assert!(remembered.entries["a"].contains_key("2/0"));
    }
}
