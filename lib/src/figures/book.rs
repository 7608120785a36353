//! Writes the figures: the rows that must exist before a commit, and the changes of counters that
//! are part of a commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use sha2::{Digest, Sha256};

use super::cell::{Cell, Group, Tally};
use super::counted_on::COUNTED_ON;
use super::directory::{counters_key, partition_of};
use super::lists::{self, Lists};
use super::names::Names;
use super::store::TENANTS;
use crate::config::{Aws, CallLimits, Environment};
use crate::event::{EventKey, tenant_key};
use crate::ledger::{Attached, Change, ItemKey, Row, unique_id};

/// How many lists are written at the same time.
const CONCURRENCY: usize = 8;

/// The most shards of a tenant's counters, because a report reads the items of each shard.
const SHARDS_MAX: i64 = 64;

/// The table that figures are written to, with the settings of its counters.
#[derive(Debug)]
pub struct Book {
    client: Client,
    table: String,
    names: Names,
    shards: u64,
    /// How long a day is kept after its end.
    keep: SignedDuration,
    /// The partitions that the tenants' rows are known to note: a tenant's key and a number.
    noted: Mutex<HashSet<(String, u64)>>,
}

impl Book {
    /// Reads the table and its settings from the environment. A setting that is missing or wrong
    /// becomes a problem of the environment.
    pub fn read(environment: &mut Environment, aws: &Aws, limits: CallLimits) -> Self {
        let client = Client::new(&aws.sdk_config(limits));
        let table = environment.text("FIGURES_TABLE");
        let days = environment.number("REPORT_DAYS", 1);
        let shards = environment.number("FIGURE_SHARDS", 1);
        if shards > SHARDS_MAX {
            environment.problem(format!(
                "FIGURE_SHARDS is {shards}, it must be at most {SHARDS_MAX}"
            ));
        }
        Self::new(
            client,
            table,
            days,
            shards.clamp(1, SHARDS_MAX).unsigned_abs(),
        )
    }

    /// The figures in this table. A day is kept for `days` days after its end, 1 to 36,500. Each
    /// tenant's counters are spread over `shards` shards, at least 1.
    pub fn new(client: Client, table: impl Into<String>, days: i64, shards: u64) -> Self {
        let table = table.into();
        // The limit of a hundred years keeps every calculated time valid.
        let keep = SignedDuration::from_hours(24 * days.clamp(1, 36_500));
        Self {
            names: Names::new(client.clone(), table.clone(), keep),
            client,
            table,
            shards,
            keep,
            noted: Mutex::default(),
        }
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The number of shards of a tenant's counters, 1 to 64.
    pub fn shards(&self) -> u64 {
        self.shards
    }

    /// How long a day is kept after its end.
    pub fn keep(&self) -> SignedDuration {
        self.keep
    }

    /// Lists events by the hours of their tenants until the Unix second `forget_at`, and notes that
    /// this shard has figures of these tenants. Both happen before anything is counted, so that
    /// reports find every count.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn announce(&self, lists: &Lists, shard: u64, forget_at: i64) -> anyhow::Result<()> {
        let tenants: BTreeSet<_> = lists
            .keys()
            .map(|list| (list.provider.as_str(), list.tenant.as_str()))
            .collect();
        for (provider, tenant) in tenants {
            self.note(provider, tenant, shard).await?;
        }
        let unique = unique_id();
        let mut items = Vec::new();
        for (list, events) in lists {
            items.extend(list.items(&self.table, events, &unique[..16], forget_at));
        }
        while !items.is_empty() {
            let some = items.split_off(items.len().saturating_sub(CONCURRENCY));
            let puts = some.into_iter().map(|item| {
                let put = self.client.put_item().table_name(&self.table);
                put.set_item(Some(item)).send()
            });
            try_join_all(puts).await.context("listing events")?;
        }
        Ok(())
    }

    /// Notes that a shard's partition holds counters of a tenant.
    async fn note(&self, provider: &str, tenant: &str, shard: u64) -> anyhow::Result<()> {
        let tenant_key = tenant_key(provider, tenant);
        let partition = partition_of(shard);
        let noted = (tenant_key.clone(), partition);
        if self.lock().contains(&noted) {
            return Ok(());
        }
        let text = |text: &str| AttributeValue::S(text.to_owned());
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(
                lists::key(&self.table, TENANTS.to_owned(), tenant_key).attributes(),
            ))
            .update_expression("SET provider = :provider, tenant = :tenant ADD shards :shard")
            .expression_attribute_values(":provider", text(provider))
            .expression_attribute_values(":tenant", text(tenant))
            .expression_attribute_values(":shard", AttributeValue::Ss(vec![partition.to_string()]))
            .send()
            .await
            .context("noting a tenant")?;
        self.lock().insert(noted);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<(String, u64)>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes that count a tally of a tenant, `(provider, tenant)`, ready to be attached to
    /// the record of the event. `by`, an event's key, chooses the shard. Call this before an effect
    /// outside, or where a repeat is harmless, because new groups need names in the dictionary.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn attach(
        &self,
        tenant: (&str, &str),
        tally: &Tally,
        by: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<Attached> {
        let opened = self.open(tenant, tally.groups(), by, now).await?;
        opened.attach(tally, now)
    }

    /// Writes the names of these groups of a tenant, `(provider, tenant)`, and the shard's note,
    /// before anything is counted. `by`, an event's key, chooses the shard.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn open(
        &self,
        (provider, tenant): (&str, &str),
        groups: BTreeSet<Group>,
        by: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<Opened<'_>> {
        let shard = self.shard_of(by);
        self.note(provider, tenant, shard).await?;
        let tenant = tenant_key(provider, tenant);
        let ids = self.names.ids(&tenant, groups, now).await?;
        Ok(Opened {
            book: self,
            tenant,
            ids,
            shard,
        })
    }

    /// The shard of an event, chosen by a hash of its key: 0 to [`shards`](Self::shards) less 1.
    pub fn shard_of(&self, key: &EventKey) -> u64 {
        let hash = Sha256::digest(key.to_string());
        u64::from(u16::from_be_bytes([hash[0], hash[1]])) % self.shards
    }

    /// The short names of the groups of a tenant, given by its key, for [`Book::changes`].
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn ids(
        &self,
        tenant: &str,
        groups: BTreeSet<Group>,
        now: Timestamp,
    ) -> anyhow::Result<BTreeMap<Group, String>> {
        self.names.ids(tenant, groups, now).await
    }

    /// The changes that add to the counters of a tenant, given by its key: one change for each
    /// item. Days that are no longer kept are left out.
    ///
    /// # Errors
    /// A group has no id among these, or a counter cannot be written.
    pub fn changes(
        &self,
        tenant: &str,
        tally: &Tally,
        ids: &BTreeMap<Group, String>,
        shard: u64,
        now: Timestamp,
    ) -> anyhow::Result<Vec<Change>> {
        let mut changes: BTreeMap<ItemKey, Change> = BTreeMap::new();
        for (cell, by) in tally.cells() {
            let Some(forget_at) = self.kept_until(cell.day).filter(|it| *it > now.as_second())
            else {
                continue;
            };
            let key = self.key(tenant, shard, cell);
            let change = changes.remove(&key);
            let change = change.unwrap_or_else(|| {
                let forget_at = AttributeValue::N(forget_at.to_string());
                Change::of(key.clone()).keep("ttl", forget_at)
            });
            changes.insert(key, change.add(&field(cell, ids)?, by));
        }
        Ok(changes.into_values().collect())
    }

    /// The key of the item that holds a counter of a tenant, given by its key.
    pub fn key(&self, tenant: &str, shard: u64, cell: &Cell) -> ItemKey {
        counters_key(&self.table, tenant, shard, cell)
    }

    /// The Unix second from which a day is no longer kept; `None` for a day at the calendar's end.
    pub fn kept_until(&self, day: Date) -> Option<i64> {
        // The ends of a day in different zones are at most 26 hours apart.
        let end = day.checked_add(2.days()).ok()?;
        let end = end.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(end.checked_add(self.keep).ok()?.as_second())
    }
}

/// The opened groups of a tenant's counters in one shard, ready for additions.
#[derive(Debug)]
pub struct Opened<'a> {
    book: &'a Book,
    tenant: String,
    ids: BTreeMap<Group, String>,
    shard: u64,
}

impl Opened<'_> {
    /// The changes that count a tally of one day. The record gets that day too, so that an audit
    /// can count the tally again.
    ///
    /// # Errors
    ///
    /// A group is not among the opened ones.
    pub fn attach(&self, tally: &Tally, now: Timestamp) -> anyhow::Result<Attached> {
        let changes = self
            .book
            .changes(&self.tenant, tally, &self.ids, self.shard, now)?;
        let mut fields = Row::default();
        fields.set(COUNTED_ON, tally.days().first());
        Ok(Attached { fields, changes })
    }
}

/// The name of a counter's field in its item.
pub(super) fn field(cell: &Cell, ids: &BTreeMap<Group, String>) -> anyhow::Result<String> {
    let id = ids
        .get(&cell.group)
        .context("a group of counters without a name")?;
    Ok(format!("{id}{}", cell.field))
}
