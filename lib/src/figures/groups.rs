//! Looks up the groups that the ids of counters stand for.

use std::collections::HashMap;

use anyhow::Context;
use futures_util::future::{try_join, try_join_all};

use super::cell::Group;
use super::dictionaries::{Entry, Wanted};
use super::{Figures, lists, names};
use crate::ledger::{Item, ItemKey, forgotten_from, read_all};

/// Up to this many entries of a tenant are read by their keys, together with those of other
/// tenants. More are read by one query of the whole dictionary, which costs less.
const BY_KEY_MAX: usize = 25;

/// The most keys of one request.
const KEYS_MAX: usize = 100;

impl Figures {
    /// The groups that the ids of each tenant stand for. An id without an entry is missing.
    pub(super) async fn groups(
        &self,
        wanted: &[Wanted],
    ) -> anyhow::Result<Vec<HashMap<String, Group>>> {
        let now = self.now();
        let recall = |wanted| self.dictionaries.recall(wanted, now);
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
