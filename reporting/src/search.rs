//! Finds what a text names: a coupon by key or code, a member by id, or a game's code.

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use webhooks::event::{escape, member_key, tenant_key};
use webhooks::ledger::is_forgotten;
use webhooks::life::Lookup;

use crate::access::Scope;
use crate::codes::{self, Redeemed};
use crate::life::{SPACES, lately, tenant_of};
use crate::refused::Refused;
use crate::sources::{Named, Sources};

/// How many keys this module looks up at the same time.
const CONCURRENCY: usize = 16;

/// The most results of each kind.
pub const FOUND_MAX: usize = 50;

/// A result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The key of a coupon or an event.
    Coupon(String),
    Member {
        tenant: Named,
        id: String,
    },
    /// A redeemed code, perhaps with several redemptions.
    Code(Redeemed),
}

/// All that a text names and a token may read. The search covers codes of games within [`lately`].
///
/// # Errors
/// The token may not read the tenant, no such tenant exists, or DynamoDB does not answer.
pub async fn search(
    sources: &Sources,
    text: &str,
    (tenant, provider): (Option<&str>, Option<&str>),
    scope: &Scope,
    now: Timestamp,
) -> Result<Vec<Found>, Refused> {
    let text = text.trim();
    if let Lookup::Key { coupon, entry } = Lookup::parse(text) {
        let may_read = tenant_of(&coupon).is_some_and(|own| scope.may_read(&own));
        let is_there =
            may_read && has_rows(sources, &Rows::of_coupon(sources, &coupon), now).await?;
        let key = match entry {
            Some(entry) => format!("{coupon}/{entry}"),
            None => coupon,
        };
        return Ok(is_there.then_some(Found::Coupon(key)).into_iter().collect());
    }
    let tenants = sources.tenants(scope, tenant, provider).await?;
    let coupons = tenants.iter().flat_map(|(provider, tenant)| {
        let tenant = tenant_key(provider, tenant);
        SPACES.map(|space| format!("{tenant}#{space}{}", escape(text)))
    });
    let coupons = coupons.map(|key| (Rows::of_coupon(sources, &key), Found::Coupon(key)));
    let members = tenants.iter().map(|named| {
        let (provider, tenant) = named;
        let rows = Rows::of_member(sources, &member_key(provider, tenant, text));
        let (tenant, id) = (named.clone(), text.to_owned());
        (rows, Found::Member { tenant, id })
    });
    let candidates: Vec<_> = coupons.chain(members).collect();
    let looks = stream::iter(candidates).map(|(rows, found)| async move {
        let is_there = has_rows(sources, &rows, now).await?;
        anyhow::Ok(is_there.then_some(found))
    });
    let found: Vec<_> = looks.buffered(CONCURRENCY).try_collect().await?;
    let mut found: Vec<_> = found.into_iter().flatten().take(FOUND_MAX).collect();
    let codes = codes::redeemed(sources, &tenants, text, lately(now)).await?;
    found.extend(codes.into_iter().take(FOUND_MAX).map(Found::Code));
    Ok(found)
}

/// The rows of a partition.
struct Rows {
    table: String,
    name: &'static str,
    partition: String,
}

impl Rows {
    fn of_coupon(sources: &Sources, coupon: &str) -> Self {
        let key = sources.ledger.row_key(coupon, "");
        Self {
            table: key.table,
            name: "coupon",
            partition: coupon.to_owned(),
        }
    }

    fn of_member(sources: &Sources, member: &str) -> Self {
        Self {
            table: sources.members_table.clone(),
            name: "member",
            partition: member.to_owned(),
        }
    }
}

/// How many rows of a partition the search reads, because expired rows may come before a valid one.
const LOOKED_AT: i32 = 25;

async fn has_rows(sources: &Sources, rows: &Rows, now: Timestamp) -> anyhow::Result<bool> {
    // DynamoDB accepts no longer key, and no empty one.
    if rows.partition.is_empty() || rows.partition.len() > 2048 {
        return Ok(false);
    }
    let page = sources
        .client
        .query()
        .table_name(&rows.table)
        .key_condition_expression("#partition = :partition")
        .projection_expression("#partition, #ttl")
        .expression_attribute_names("#partition", rows.name)
        .expression_attribute_names("#ttl", "ttl")
        .expression_attribute_values(":partition", AttributeValue::S(rows.partition.clone()))
        .limit(LOOKED_AT)
        .send()
        .await
        .with_context(|| format!("reading {}", rows.table))?;
    Ok(page.items().iter().any(|row| !is_forgotten(row, now)))
}
