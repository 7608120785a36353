//! Where the counters of each tenant are: which partitions, and which item of a shard.
//!
//! The shards of a tenant are items beside each other, four in a partition. So one query reads four
//! shards, and two batches that count at the same time still write different items.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use jiff::civil::Date;

use super::cell::Cell;
use super::lists;
use crate::ledger::{Item, ItemKey};

/// How many shards are in one partition; `docs/tables.md` calculates how much they take.
const SHARDS_OF_PARTITION: u64 = 4;

/// What stands between an item's name and its shard, for all shards of a partition but the first.
const SHARD: char = '~';

/// The tenants with figures, as pairs of provider and tenant, each with the partitions of its
/// counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory(BTreeMap<(String, String), BTreeSet<String>>);

impl FromIterator<((String, String), BTreeSet<String>)> for Directory {
    fn from_iter<I: IntoIterator<Item = ((String, String), BTreeSet<String>)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl Directory {
    /// A tenant and its partitions, from the tenant's row.
    pub(super) fn read(row: &Item) -> Option<((String, String), BTreeSet<String>)> {
        let text = |name: &str| Some(row.get(name)?.as_s().ok()?.clone());
        Some(((text("provider")?, text("tenant")?), partitions(row)))
    }

    /// The tenants with figures: pairs of provider and tenant.
    pub fn tenants(&self) -> Vec<(String, String)> {
        self.0.keys().cloned().collect()
    }

    /// The partitions of a tenant, `(provider, tenant)`; none of a tenant without figures.
    pub(super) fn partitions(&self, tenant: &(String, String)) -> BTreeSet<String> {
        self.0.get(tenant).cloned().unwrap_or_default()
    }

    /// The least number of queries that read a range of days of these tenants: one for each
    /// partition.
    pub fn queries(&self, tenants: &[(String, String)]) -> usize {
        let partitions = tenants.iter().filter_map(|tenant| self.0.get(tenant));
        partitions.map(BTreeSet::len).sum()
    }
}

/// The partitions that a tenant's row notes.
pub(super) fn partitions(row: &Item) -> BTreeSet<String> {
    let noted = row.get("shards").and_then(|it| it.as_ss().ok());
    noted.into_iter().flatten().cloned().collect()
}

/// The number of a shard's partition.
pub(super) fn partition_of(shard: u64) -> u64 {
    shard / SHARDS_OF_PARTITION
}

/// The key of one of a tenant's partitions.
pub(super) fn partition_key(tenant: &str, partition: &str) -> String {
    format!("{tenant}#{partition}")
}

/// The key of the item that holds a counter in a shard.
pub(super) fn counters_key(table: &str, tenant: &str, shard: u64, cell: &Cell) -> ItemKey {
    let partition = partition_key(tenant, &partition_of(shard).to_string());
    let mut entry = format!("{}#{}", cell.day, cell.group.item());
    let place = shard % SHARDS_OF_PARTITION;
    if place > 0 {
        entry.push_str(&format!("{SHARD}{place}"));
    }
    lists::key(table, partition, entry)
}

/// The day and the item's name of a row of counters, without the shard.
pub(super) fn place(row: &Item) -> anyhow::Result<(Date, &str)> {
    let (day, item) = entry(row)
        .and_then(|entry| entry.split_once('#'))
        .context("an item of counters without a day")?;
    let day = day
        .parse()
        .context("an item of counters with an unreadable day")?;
    Ok((day, item.split_once(SHARD).map_or(item, |(item, _)| item)))
}

/// Whether a row belongs to the first shard of its partition.
pub(super) fn is_of_first_shard(row: &Item) -> bool {
    entry(row).is_some_and(|it| !it.contains(SHARD))
}

fn entry(row: &Item) -> Option<&str> {
    row.get("entry")?.as_s().ok().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Group, Section};

    #[test]
    fn four_shards_are_items_of_one_partition() {
        let check = |shard: u64, partition: &str, entry: &str| {
            let cell = Cell {
                day: "2026-11-25".parse().unwrap(),
                group: Group::new(Section::Hour, ["09"]),
                field: 'r',
            };
            let key = counters_key("figures", "zupy#comp", shard, &cell).attributes();
            assert_eq!(key["part"].as_s().unwrap(), partition, "{shard}");
            assert_eq!(key["entry"].as_s().unwrap(), entry, "{shard}");
            assert_eq!(place(&key).unwrap(), (cell.day, "hours"), "{shard}");
            assert_eq!(is_of_first_shard(&key), shard.is_multiple_of(4), "{shard}");
        };
        check(0, "zupy#comp#0", "2026-11-25#hours");
        check(3, "zupy#comp#0", "2026-11-25#hours~3");
        check(4, "zupy#comp#1", "2026-11-25#hours");
        check(63, "zupy#comp#15", "2026-11-25#hours~3");
    }

    #[test]
    fn no_items_name_looks_as_if_it_had_a_shard() {
        let sections = [
            Section::Redemption,
            Section::Use,
            Section::Staff,
            Section::Code,
            Section::Survey,
        ];
        for section in sections {
            let item = Group::new(section, ["a~1", "b~2", "c~3", "d~4"]).item();
            assert!(!item.contains(SHARD), "{item}");
        }
    }
}
