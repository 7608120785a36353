//! The dictionaries of the tenants' groups, as far as a reader has needed them.
//!
//! An entry never changes while it lives, so a process remembers it until then.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::cell::Group;

/// The most entries that a process remembers.
const REMEMBERED_MAX: usize = 50_000;

/// What a reader remembers of the dictionaries.
#[derive(Debug, Default)]
pub(super) struct Dictionaries(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// By tenant, and then by id.
    entries: HashMap<String, HashMap<String, Entry>>,
    count: usize,
}

/// An entry of a dictionary.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) group: Group,
    /// The second from which the id may stand for another group.
    pub(super) forgotten_from: i64,
}

/// The ids of a tenant that a reader needs.
pub(super) type Wanted = (String, BTreeSet<String>);

impl Dictionaries {
    /// The groups that the process remembers for these ids.
    pub(super) fn recall(&self, (tenant, ids): &Wanted, now: Timestamp) -> HashMap<String, Group> {
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

    /// Remembers entries of a tenant. If there are too many entries, the old ones are dropped.
    pub(super) fn remember(&self, tenant: &str, found: HashMap<String, Entry>) {
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
