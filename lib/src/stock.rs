//! The stock table: how much a tenant has of each product, and which product each reward is. The
//! events table holds reservations, on each coupon's own row.
//!
//! All numbers are exact decimals: half a pizza is 0.5.

mod alert_lease;
mod catalogue;
mod count;
mod many;
mod unite;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::event::{escape, unescape};
use crate::ledger::{Change, Item, ItemKey, read_all};
use crate::row::text;

pub use crate::product_name::{identity, is_product, readable};
pub use alert_lease::{Alert, AlertLease, Published};
pub use catalogue::Catalogue;
pub use count::Counted;
pub use domain::expiry::sortable;

/// The prefixes of the sort keys of products and of catalogue entries.
const PRODUCT: &str = "product#";
const REWARD: &str = "reward#";

/// The entry of a coupon's own row among its events that holds its reservation.
pub const RESERVATION: &str = "reservation";

/// The index of the events table that holds only reservations.
const RESERVATIONS_INDEX: &str = "reservations";

/// The stock table, and the events table that holds the reservations.
#[derive(Debug, Clone)]
pub struct Stock {
    client: Client,
    table: String,
    events_table: String,
    /// The threshold of a product that has none of its own.
    threshold: Decimal,
}

/// The stock of one product.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// The tenant's key: `zupy#comp_bella_vista`.
    pub tenant: String,
    /// The name as people read it, in one of its spellings.
    pub name: String,
    /// The quantity that is left. It falls below zero if more is used than was counted.
    pub on_hand: Decimal,
    /// The quantity at which the product is low.
    pub threshold: Decimal,
    /// Whether the threshold is the product's own; if not, it is `StockThreshold`.
    pub has_threshold: bool,
    /// Whether anybody ever counted the product. If not, `on_hand` only sums up uses and deliveries
    /// since the first one.
    pub is_counted: bool,
    /// The level that was alerted since the product was last restocked.
    pub alerted: Option<Level>,
    /// Why SNS refused the last alert; `None` if SNS took it, or if somebody counted the product
    /// since.
    pub alert_failed: Option<String>,
    /// Names under which rows stood before each product had one key. Old reservations still have
    /// these names.
    pub spellings: BTreeSet<String>,
}

impl Product {
    /// Adds the numbers of an old row to this product.
    fn absorb(&mut self, old: Self) {
        let sum = self.on_hand.checked_add(old.on_hand);
        self.on_hand = sum.unwrap_or(self.on_hand).normalize();
        if !self.has_threshold && old.has_threshold {
            (self.threshold, self.has_threshold) = (old.threshold, true);
        }
        if old.is_counted && !self.is_counted {
            (self.name, self.is_counted) = (old.name, true);
        }
        self.alerted = self.alerted.or(old.alerted);
        self.spellings.extend(old.spellings);
    }

    /// The product's level; `None` if there is enough, or if nobody ever counted the product.
    pub fn level(&self) -> Option<Level> {
        let level = Level::of(self.on_hand, self.threshold);
        level.filter(|_| self.is_counted)
    }
}

/// How low the stock of a product is. The variants go from low to worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// At the product's threshold, or below.
    Low,
    /// Fewer than none: more was used than was counted.
    BelowZero,
}

impl Level {
    /// The level of a quantity; `None` if there is enough.
    pub fn of(on_hand: Decimal, threshold: Decimal) -> Option<Self> {
        if on_hand < Decimal::ZERO {
            return Some(Self::BelowZero);
        }
        (on_hand <= threshold).then_some(Self::Low)
    }

    /// The level as the product's row holds it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::BelowZero => "below_zero",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Low, Self::BelowZero]
            .into_iter()
            .find(|level| level.name() == name)
    }
}

/// A catalogue entry: a reward's name, and the product that the reward is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// The tenant's key: `zupy#comp_bella_vista`.
    pub tenant: String,
    /// The reward's name as an operator last typed it.
    pub reward: String,
    /// The product's name as an operator last typed it.
    pub product: String,
}

/// The contents of the stock table, of one tenant or of all.
#[derive(Debug, Default)]
pub struct Contents {
    /// The products, sorted by tenant and name.
    pub products: Vec<Product>,
    /// The catalogue's entries, sorted by tenant and reward.
    pub catalogue: Vec<Mapping>,
}

impl Contents {
    /// The keys of all tenants that have a product or a reward here.
    pub fn tenants(&self) -> BTreeSet<&str> {
        let of_products = self.products.iter().map(|it| it.tenant.as_str());
        let of_catalogue = self.catalogue.iter().map(|it| it.tenant.as_str());
        of_products.chain(of_catalogue).collect()
    }
}

impl Stock {
    /// The stock in these tables; `threshold` is for products without their own.
    pub fn new(
        client: Client,
        table: impl Into<String>,
        events_table: impl Into<String>,
        threshold: Decimal,
    ) -> Self {
        Self {
            client,
            table: table.into(),
            events_table: events_table.into(),
            threshold,
        }
    }

    /// The key of a product's row. All spellings of its name give the same key.
    pub fn product(&self, tenant: &str, product: &str) -> ItemKey {
        let entry = format!("{PRODUCT}{}", escape(&identity(product)));
        ItemKey::new(&self.table, ("tenant", tenant), ("entry", entry))
    }

    /// The change that adds to a product's quantity on hand; a negative number takes from it. If
    /// the product is unknown, it exists afterwards, even with 0.
    pub fn add(&self, tenant: &str, product: &str, by: Decimal) -> Change {
        Change::of(self.product(tenant, product))
            .keep("product", AttributeValue::S(readable(product)))
            .add("on_hand", by)
    }

    /// Reads products by their tenant's key and their name, in any spelling. Unknown products are
    /// left out. Old rows become part of their products' rows.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. Or a row holds a number with too many digits.
    pub async fn products(
        &self,
        named: &BTreeSet<(String, String)>,
    ) -> anyhow::Result<Vec<Product>> {
        let keys = named.iter();
        let keys = keys.map(|(tenant, product)| self.product(tenant, product));
        let keys: BTreeSet<_> = keys.collect();
        let old = named.iter();
        let old = old.filter_map(|(tenant, product)| self.old_key(tenant, PRODUCT, product));
        let all: Vec<_> = keys.iter().cloned().chain(old).collect();
        let rows = read_all(&self.client, &all, &[]).await;
        let mut rows = rows.context("reading the stock")?;
        let old: Vec<_> = rows.extract_if(.., |row| !self.is_united(row)).collect();
        if !old.is_empty() {
            for row in &old {
                self.unite_row(row).await?;
            }
            let keys: Vec<_> = keys.into_iter().collect();
            let read = read_all(&self.client, &keys, &[]).await;
            rows = read.context("reading the stock")?;
        }
        rows.iter()
            .filter_map(|row| self.read_product(row).transpose())
            .collect()
    }

    /// Reads everything of one tenant, given by its key, or of all tenants.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. Or a row holds a number with too many digits.
    pub async fn contents(&self, tenant: Option<&str>) -> anyhow::Result<Contents> {
        self.read_contents(self.rows(tenant).await?)
    }

    fn read_contents(&self, rows: Vec<Item>) -> anyhow::Result<Contents> {
        let (mut products, mut rewards) = (BTreeMap::new(), BTreeMap::new());
        let (new, old): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| self.is_united(row));
        for row in new.iter().chain(&old) {
            if let Some(product) = self.read_product(row)? {
                let key = (product.tenant.clone(), identity(&product.name));
                match products.get_mut(&key) {
                    None => _ = products.insert(key, product),
                    Some(known) => known.absorb(product),
                }
            }
            if let Some(mapping) = read_mapping(row) {
                let key = (mapping.tenant.clone(), identity(&mapping.reward));
                rewards.entry(key).or_insert(mapping);
            }
        }
        let mut contents = Contents {
            products: products.into_values().collect(),
            catalogue: rewards.into_values().collect(),
        };
        let name = |it: &Product| (it.tenant.clone(), it.name.clone());
        contents.products.sort_by_key(name);
        contents.catalogue.sort();
        Ok(contents)
    }

    async fn rows(&self, tenant: Option<&str>) -> anyhow::Result<Vec<Item>> {
        let rows = match tenant {
            Some(tenant) => {
                let query = self.client.query().table_name(&self.table);
                let query = query
                    .consistent_read(true)
                    .key_condition_expression("tenant = :tenant")
                    .expression_attribute_values(":tenant", text(tenant));
                query.into_paginator().items().send().try_collect().await?
            }
            None => {
                let scan = self.client.scan().table_name(&self.table);
                let scan = scan.consistent_read(true).into_paginator();
                scan.items().send().try_collect().await?
            }
        };
        Ok(rows)
    }

    /// How much of a product is reserved now, under all names that it ever had.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. Or a row holds a number with too many digits.
    pub async fn reserved_of(&self, product: &Product, now: Timestamp) -> anyhow::Result<Decimal> {
        let mut names = product.spellings.clone();
        names.insert(identity(&product.name));
        let mut sum = Decimal::ZERO;
        for name in names {
            let reserved = self.reserved_as(&product.tenant, &name, now).await?;
            sum = sum
                .checked_add(reserved)
                .context("adding up reservations")?;
        }
        Ok(sum.normalize())
    }

    /// How much of a product is reserved now, by coupons that were neither used nor cancelled and
    /// have not expired.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. Or a row holds a number with too many digits.
    pub async fn reserved(
        &self,
        tenant: &str,
        product: &str,
        now: Timestamp,
    ) -> anyhow::Result<Decimal> {
        self.reserved_as(tenant, &identity(product), now).await
    }

    /// The reservations of [`reserved`](Self::reserved) under one spelling of the name.
    async fn reserved_as(
        &self,
        tenant: &str,
        product: &str,
        now: Timestamp,
    ) -> anyhow::Result<Decimal> {
        let open = self
            .client
            .query()
            .table_name(&self.events_table)
            .index_name(RESERVATIONS_INDEX)
            .key_condition_expression("reserves = :product AND reserved_until > :now")
            .expression_attribute_values(":product", text(format!("{tenant}#{}", escape(product))))
            .expression_attribute_values(":now", text(sortable(now)))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .context("reading the reservations")?;
        let mut sum = Decimal::ZERO;
        for row in &open {
            let quantity = read_decimal(row, "quantity")?.unwrap_or_default();
            sum = sum
                .checked_add(quantity)
                .context("adding up reservations")?;
        }
        Ok(sum.normalize())
    }

    /// The old spellings of a row's product, if its key has another spelling today.
    fn spellings(&self, row: &Item) -> BTreeSet<String> {
        let united = row.get("spellings").and_then(|it| it.as_ss().ok());
        let entry = read_text(row, "entry").filter(|_| !self.is_united(row));
        let own = entry.and_then(|it| it.strip_prefix(PRODUCT).map(unescape));
        united.into_iter().flatten().cloned().chain(own).collect()
    }

    fn read_product(&self, row: &Item) -> anyhow::Result<Option<Product>> {
        let Some(name) = name_of(row, PRODUCT, "product") else {
            return Ok(None);
        };
        let tenant = read_text(row, "tenant").unwrap_or_default();
        let of_product = || format!("reading {name:?} of {tenant}");
        let on_hand = read_decimal(row, "on_hand").with_context(of_product)?;
        let threshold = read_decimal(row, "threshold").with_context(of_product)?;
        Ok(Some(Product {
            tenant,
            on_hand: on_hand.unwrap_or_default(),
            threshold: threshold.unwrap_or(self.threshold),
            has_threshold: threshold.is_some(),
            is_counted: row.contains_key("counted"),
            alerted: read_text(row, "alerted").and_then(|name| Level::named(&name)),
            alert_failed: read_text(row, "alert_failed"),
            spellings: self.spellings(row),
            name,
        }))
    }
}

/// The value of `reserves` on the row of a coupon that reserves a product.
pub fn reserves(tenant: &str, product: &str) -> String {
    format!("{tenant}#{}", escape(&identity(product)))
}

fn read_mapping(row: &Item) -> Option<Mapping> {
    Some(Mapping {
        reward: name_of(row, REWARD, "reward")?,
        product: read_text(row, "product")?,
        tenant: read_text(row, "tenant")?,
    })
}

/// The name that a row is about, if the row is of that kind.
fn name_of(row: &Item, kind: &str, field: &str) -> Option<String> {
    let entry = read_text(row, "entry")?;
    let escaped = entry.strip_prefix(kind)?;
    Some(read_text(row, field).unwrap_or_else(|| escaped.to_owned()))
}

fn read_text(row: &Item, field: &str) -> Option<String> {
    row.get(field)?.as_s().ok().cloned()
}

fn read_decimal(row: &Item, field: &str) -> anyhow::Result<Option<Decimal>> {
    let Some(value) = row.get(field) else {
        return Ok(None);
    };
    let number = value.as_n().map_err(|_| anyhow!("{field} is no number"))?;
    let exact = Decimal::from_str_exact(number).or_else(|_| Decimal::from_scientific(number));
    let exact = exact.map_err(|_| anyhow!("{field} is {number}, which has too many digits"))?;
    Ok(Some(exact.normalize()))
}

fn number(number: Decimal) -> AttributeValue {
    AttributeValue::N(number.normalize().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, AttributeValue)]) -> Item {
        let fields = fields.iter();
        fields
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    #[test]
    fn at_its_threshold_a_product_is_low() {
        let check = |on_hand: &str, expected| {
            let level = Level::of(on_hand.parse().unwrap(), 5.into());
            assert_eq!(level, expected, "{on_hand}");
        };
        check("6", None);
        check("5.5", None);
        check("5", Some(Level::Low));
        check("0", Some(Level::Low));
        check("-0.5", Some(Level::BelowZero));
    }

    #[test]
    fn a_number_is_read_exactly_or_refused() {
        let check = |number: &str, expected: Option<&str>| {
            let row = row(&[("on_hand", AttributeValue::N(number.into()))]);
            let read = read_decimal(&row, "on_hand").ok();
            let read = read.map(|it| it.unwrap().to_string());
            assert_eq!(read.as_deref(), expected, "{number}");
        };
        check("7", Some("7"));
        check("-1.50", Some("-1.5"));
        check("1E+3", Some("1000"));
        check("0.00000000000000000000000000001", None);
        check("123456789012345678901234567890", None);
    }

    #[test]
    fn times_sort_as_text() {
        let times = [
            "0999-12-31T00:00:00Z",
            "2025-09-26T14:20:00Z",
            "2025-09-26T14:20:00.5Z",
            "2025-09-26T14:20:01Z",
            "9999-12-30T22:00:00Z",
        ];
        let times = times.map(|time| sortable(time.parse().unwrap()));
        assert!(times.is_sorted(), "{times:?}");
        let lengths: BTreeSet<_> = times.iter().map(String::len).collect();
        assert_eq!(lengths, [24].into());
    }
}
