//! Reads the figures from their tables. The cost of a read depends on days and groups, and on the
//! number of requested events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;

use super::cell::Tally;
use super::dictionaries::Dictionaries;
use super::directory::{self, Directory};
use super::line::{LINE, Standing};
use super::lists;
use super::{Day, Profile, days};
use crate::clock;
use crate::config::{Aws, CallLimits, Environment};
use crate::event::{member_key, tenant_key};
use crate::ledger::{Item, is_forgotten, read_all};
use crate::record;

/// The partition of the tenants with figures.
pub(super) const TENANTS: &str = "tenants";

/// The name of the record that `analytics` leaves beneath an event.
pub const RECORD: &str = record::ANALYTICS;

/// The figures of all tenants.
#[derive(Debug, Clone)]
pub struct Figures {
    pub(super) client: Client,
    pub(super) tables: Tables,
    pub(super) dictionaries: Arc<Dictionaries>,
    /// When the figures are read; `None` means at the time of each request.
    as_of: Option<Timestamp>,
}

/// The names of the tables from which figures are read.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The table of the counters, the lists and the audits.
    pub figures: String,
    /// The table of the recorded events, with their tracked fields.
    pub events: String,
    /// The table of the coupons' lines, of which profiles are made.
    pub members: String,
}

impl Figures {
    /// Reads the tables from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws, limits: CallLimits) -> Self {
        let client = Client::new(&aws.sdk_config(limits));
        let tables = Tables {
            figures: environment.text("FIGURES_TABLE"),
            events: environment.text("EVENTS_TABLE"),
            members: environment.text("MEMBERS_TABLE"),
        };
        Self::new(client, tables)
    }

    /// The figures in these tables.
    pub fn new(client: Client, tables: Tables) -> Self {
        Self {
            client,
            tables,
            dictionaries: Arc::default(),
            as_of: None,
        }
    }

    /// The same figures, read at `now`: a row whose `ttl` has passed by then counts as absent.
    pub fn as_of(&self, now: Timestamp) -> Self {
        Self {
            as_of: Some(now),
            ..self.clone()
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.as_of.unwrap_or_else(clock::now)
    }

    /// The tenants with figures: pairs of provider and tenant.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn tenants(&self) -> anyhow::Result<Vec<(String, String)>> {
        Ok(self.directory().await?.tenants())
    }

    /// The tenants with figures, each with the partitions of its counters.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn directory(&self) -> anyhow::Result<Directory> {
        let rows = self
            .query(&self.tables.figures, ("part", TENANTS), None)
            .await?;
        Ok(rows.iter().filter_map(Directory::read).collect())
    }

    /// The days of a tenant from one to another, both included. A day without figures is missing.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn days(
        &self,
        provider: &str,
        tenant: &str,
        from: Date,
        to: Date,
    ) -> anyhow::Result<BTreeMap<Date, Day>> {
        let tally = self.tally(&tenant_key(provider, tenant), from, to).await?;
        Ok(days(&tally))
    }

    /// A member's profile; `None` if no counted event that is kept names the member.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn member(
        &self,
        provider: &str,
        tenant: &str,
        member_id: &str,
    ) -> anyhow::Result<Option<Profile>> {
        let member = member_key(provider, tenant, member_id);
        let lines = ("entry", LINE.to_owned(), format!("{LINE}\u{10FFFF}"));
        let rows = self
            .query(&self.tables.members, ("member", &member), Some(lines))
            .await?;
        let mut profile = Profile::default();
        for row in &rows {
            let standing = Standing::read(row).context("reading a coupon's line")?;
            profile.add(&standing.line.share);
        }
        Ok((profile != Profile::default()).then_some(profile))
    }

    /// The current counters of a tenant's days, both included. `tenant` is the tenant's key:
    /// `zupy#comp_bella_vista`.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn tally(&self, tenant: &str, from: Date, to: Date) -> anyhow::Result<Tally> {
        let partitions = self.partitions(tenant).await?;
        let tenants = vec![(tenant.to_owned(), partitions)];
        let tallies = self.tallies(tenants, &[(from, to)]).await?;
        Ok(tallies.into_iter().next().unwrap_or_default())
    }

    async fn partitions(&self, tenant: &str) -> anyhow::Result<BTreeSet<String>> {
        let keys = [lists::key(
            &self.tables.figures,
            TENANTS.to_owned(),
            tenant.to_owned(),
        )];
        let rows = read_all(&self.client, &keys, &[]).await;
        let rows = rows.context("reading a tenant's row")?;
        Ok(rows.first().map(directory::partitions).unwrap_or_default())
    }

    /// Rows of a partition of the figures within a range of sort keys, the last row first. Each
    /// page is read when it is needed.
    pub(super) fn newest(
        &self,
        partition: &str,
        (from, to): (String, String),
        limit: Option<usize>,
    ) -> Newest {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let query = self
            .client
            .query()
            .table_name(&self.tables.figures)
            .consistent_read(true)
            .scan_index_forward(false)
            .set_limit(limit.and_then(|it| i32::try_from(it).ok()))
            .key_condition_expression("#part = :part AND #entry BETWEEN :from AND :to")
            .expression_attribute_names("#part", "part")
            .expression_attribute_names("#entry", "entry")
            .expression_attribute_values(":part", text(partition))
            .expression_attribute_values(":from", text(&from))
            .expression_attribute_values(":to", text(&to));
        Newest {
            query,
            rows: Vec::new().into_iter(),
            is_last: false,
            now: self.now(),
        }
    }

    /// All rows of a partition, or those within a range of sort keys, page by page.
    pub(super) async fn query(
        &self,
        table: &str,
        (name, partition): (&str, &str),
        range: Option<(&str, String, String)>,
    ) -> anyhow::Result<Vec<Item>> {
        let mut query = self
            .client
            .query()
            .table_name(table)
            .consistent_read(true)
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", name)
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()));
        if let Some((sort, from, to)) = range {
            query = query
                .key_condition_expression("#partition = :partition AND #sort BETWEEN :from AND :to")
                .expression_attribute_names("#sort", sort)
                .expression_attribute_values(":from", AttributeValue::S(from))
                .expression_attribute_values(":to", AttributeValue::S(to));
        }
        let rows = query.into_paginator().items().send().try_collect().await;
        let mut rows = rows.with_context(|| format!("reading {table}"))?;
        let now = self.now();
        rows.retain(|row| !is_forgotten(row, now));
        Ok(rows)
    }
}

/// Rows that are read when they are needed.
pub(super) struct Newest {
    query: QueryFluentBuilder,
    rows: std::vec::IntoIter<Item>,
    /// Whether the last page was read.
    is_last: bool,
    now: Timestamp,
}

impl Newest {
    /// The next row that is not forgotten; `None` after the last.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Item>> {
        loop {
            let now = self.now;
            if let Some(row) = self.rows.find(|row| !is_forgotten(row, now)) {
                return Ok(Some(row));
            }
            if self.is_last {
                return Ok(None);
            }
            let page = self.query.clone().send().await;
            let page = page.context("reading the table of figures")?;
            self.rows = page.items.unwrap_or_default().into_iter();
            self.is_last = page.last_evaluated_key.is_none();
            let query = self.query.clone();
            self.query = query.set_exclusive_start_key(page.last_evaluated_key);
        }
    }
}
