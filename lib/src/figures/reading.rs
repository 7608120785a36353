//! Reads the counters of many tenants at once, with as few requests as their number allows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::cell::{Group, Section, Tally};
use super::directory::{self, Directory, is_of_first_shard, partition_key, place};
use super::{Day, Figures, days, names};
use crate::event::tenant_key;
use crate::ledger::Item;

/// How many partitions are read side by side.
const CONCURRENCY: usize = 16;

/// The first and the last day of a range.
type Days = (Date, Date);

impl Figures {
    /// The days of these tenants, pairs of provider and tenant, within these periods. The answer
    /// has one map for each tenant, in the tenants' order. One query reads a partition of a tenant;
    /// periods that meet are read as one.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn days_of(
        &self,
        directory: &Directory,
        tenants: &[(String, String)],
        periods: &[Days],
    ) -> anyhow::Result<Vec<BTreeMap<Date, Day>>> {
        let tenants = tenants.iter().map(|named| {
            let (provider, tenant) = named;
            (tenant_key(provider, tenant), directory.partitions(named))
        });
        let tallies = self.tallies(tenants.collect(), periods).await?;
        Ok(tallies.iter().map(days).collect())
    }

    /// The counters of these tenants, each with its partitions, within these periods.
    pub(super) async fn tallies(
        &self,
        tenants: Vec<(String, BTreeSet<String>)>,
        periods: &[Days],
    ) -> anyhow::Result<Vec<Tally>> {
        let rows = self.counters(&tenants, periods).await?;
        // A counter is written after its name, so names are read after counters.
        let wanted: Vec<_> = tenants
            .into_iter()
            .zip(&rows)
            .map(|((tenant, _), rows)| (tenant, rows.iter().flat_map(unnamed).collect()))
            .collect();
        let groups = self.groups(&wanted).await?;
        let mut tallies = Vec::new();
        for (rows, groups) in rows.iter().zip(&groups) {
            let mut tally = Tally::default();
            for row in rows {
                read_counters(row, groups, &mut tally)?;
            }
            tallies.push(tally);
        }
        Ok(tallies)
    }

    /// A tenant's counters in the shard that gets repairs.
    pub(super) async fn tally_of_repaired(
        &self,
        tenant: &str,
        days: Days,
    ) -> anyhow::Result<Tally> {
        let first = directory::partition_of(super::recount::REPAIRED_SHARD).to_string();
        let tenants = [(tenant.to_owned(), BTreeSet::from([first]))];
        let mut rows = self.counters(&tenants, &[days]).await?;
        let mut rows = rows.pop().unwrap_or_default();
        rows.retain(is_of_first_shard);
        let wanted = (tenant.to_owned(), rows.iter().flat_map(unnamed).collect());
        let groups = self.groups(&[wanted]).await?;
        let mut tally = Tally::default();
        for (row, groups) in rows.iter().zip(groups.iter().cycle()) {
            read_counters(row, groups, &mut tally)?;
        }
        Ok(tally)
    }

    /// The rows of each tenant.
    async fn counters(
        &self,
        tenants: &[(String, BTreeSet<String>)],
        periods: &[Days],
    ) -> anyhow::Result<Vec<Vec<Item>>> {
        let ranges = joined(periods);
        let mut reads = Vec::new();
        for (index, (tenant, partitions)) in tenants.iter().enumerate() {
            for partition in partitions {
                let partition = partition_key(tenant, partition);
                reads.extend(ranges.iter().map(|days| (index, partition.clone(), *days)));
            }
        }
        // Owned, because the compiler cannot follow a reference into the stream.
        let reads = stream::iter(reads).map(|(index, partition, (from, to))| {
            let figures = self.clone();
            async move {
                let range = ("entry", format!("{from}#"), format!("{to}#\u{10FFFF}"));
                let table = &figures.tables.figures;
                let rows = figures.query(table, ("part", &partition), Some(range));
                anyhow::Ok((index, rows.await?))
            }
        });
        let read: Vec<_> = reads.buffered(CONCURRENCY).try_collect().await?;
        let mut rows = vec![Vec::new(); tenants.len()];
        for (index, some) in read {
            rows[index].extend(some);
        }
        Ok(rows)
    }
}

/// The periods in order. Periods that overlap or meet become one.
fn joined(periods: &[Days]) -> Vec<Days> {
    let mut periods = periods.to_vec();
    periods.sort_unstable();
    let mut joined: Vec<Days> = Vec::new();
    for (from, to) in periods {
        match joined.last_mut() {
            Some((_, end)) if end.tomorrow().is_ok_and(|next| from <= next) => *end = to.max(*end),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// The section of an item's ids that are words or numbers.
fn section(item: &str) -> Section {
    match item {
        "time_to_use" => Section::TimeToUse,
        "findings" => Section::Finding,
        "low_stock" => Section::LowStock,
        "deliveries" => Section::Delivery,
        "surveys_unsent" => Section::SurveyUnsent,
        _ => Section::Hour,
    }
}

/// The counters of an item: the id of the group, the letter of the sum, and the sum.
fn counters(row: &Item) -> impl Iterator<Item = (&str, char, &str)> {
    row.iter().filter_map(|(attribute, value)| {
        let AttributeValue::N(number) = value else {
            return None;
        };
        let field = attribute.chars().next_back()?;
        let id = &attribute[..attribute.len() - field.len_utf8()];
        (attribute != "ttl").then_some((id, field, number.as_str()))
    })
}

/// The ids of an item whose groups only the dictionary knows.
fn unnamed(row: &Item) -> Vec<String> {
    let section = place(row).map(|(_, item)| section(item));
    let ids = counters(row).map(|(id, _, _)| id);
    let is_unnamed = |id: &&str| match &section {
        Ok(section) => names::of_literal(*section, id).is_none(),
        Err(_) => false,
    };
    ids.filter(is_unnamed).map(str::to_owned).collect()
}

/// Adds the counters of one item.
fn read_counters(
    row: &Item,
    groups: &HashMap<String, Group>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (day, item) = place(row)?;
    for (id, field, number) in counters(row) {
        let group = groups.get(id).cloned();
        let group = group.or_else(|| names::of_literal(section(item), id));
        let group = group.with_context(|| {
            format!("the counter {id}{field} of {day} belongs to no known group")
        })?;
        let sum = Decimal::from_scientific(number).or_else(|_| number.parse());
        let sum = sum.with_context(|| format!("the counter {id}{field} of {day}"))?;
        tally.add(day, &group, field, sum);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_that_meet_are_read_as_one() {
        let day = |number: i8| Date::constant(2026, 11, number);
        let check = |periods: &[(i8, i8)], expected: &[(i8, i8)]| {
            let days = |all: &[(i8, i8)]| -> Vec<Days> {
                all.iter()
                    .map(|(from, to)| (day(*from), day(*to)))
                    .collect()
            };
            assert_eq!(joined(&days(periods)), days(expected), "{periods:?}");
        };
        check(&[(11, 20), (1, 10)], &[(1, 20)]);
        check(&[(11, 20), (1, 9)], &[(1, 9), (11, 20)]);
        check(&[(1, 20), (5, 10)], &[(1, 20)]);
        check(&[(5, 10)], &[(5, 10)]);
        check(&[], &[]);
    }
}
