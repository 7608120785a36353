//! Reads and changes the stock of a system, for the actions of `coupons stock`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;
use webhooks::event::tenant_key;
use webhooks::ledger::Item;
use webhooks::life::text;
use webhooks::provider::zupy;
use webhooks::stock::{Contents, Counted, Mapping, Product, Stock};

use super::sheet::{self, Line};
use super::shown::{Shown, table};
use super::{company, key_of};
use crate::output::{harmless, say, say_json};
use crate::target::Target;

/// How many products the command reads or writes at the same time.
pub(super) const CONCURRENCY: usize = 8;

/// How many rows of the events table the command reads in search of a company, if the stock table
/// has none.
pub(super) const LOOKED_THROUGH: i32 = 1000;

pub(super) struct Storeroom {
    pub(super) target: Target,
    pub(super) stock: Stock,
    pub(super) json: bool,
}

impl Storeroom {
    pub(super) async fn contents(&self, tenant: Option<&str>) -> anyhow::Result<Contents> {
        let key = tenant.map(key_of);
        let contents = self.stock.contents(key.as_deref()).await;
        let contents = contents.context("reading the stock")?;
        if let Some(tenant) = tenant
            && contents.tenants().is_empty()
        {
            let tenant = harmless(tenant);
            eprintln!("note: {tenant} has no stock");
        }
        Ok(contents)
    }

    pub(super) async fn show(&self, tenant: Option<&str>) -> anyhow::Result<()> {
        let contents = self.contents(tenant).await?;
        let shown = self.shown(&contents.products).await?;
        self.say(&shown)
    }

    pub(super) fn say(&self, shown: &[Shown]) -> anyhow::Result<()> {
        match self.json {
            true => say_json(&shown),
            false => say(&harmless(&table(shown))),
        }
    }

    /// Products with their reserved quantities.
    pub(super) async fn shown(&self, products: &[Product]) -> anyhow::Result<Vec<Shown>> {
        let now = Timestamp::now();
        let shown = stream::iter(products).map(|product| async move {
            let reserved = self.stock.reserved_of(product, now);
            anyhow::Ok(Shown::new(product, reserved.await?))
        });
        shown.buffered(CONCURRENCY).try_collect().await
    }

    pub(super) async fn count(
        &self,
        tenant: Option<&str>,
        product: &str,
        counted: Counted,
        threshold: Option<Decimal>,
    ) -> anyhow::Result<()> {
        let tenant = self.tenant(tenant).await?;
        self.stock.unite(&tenant).await?;
        let counted = self.stock.count(&tenant, product, counted, threshold);
        let (before, now) = counted.await?;
        if self.json {
            return self.say(&self.shown(&[now]).await?);
        }
        let before = before.map_or("unknown before".to_owned(), |before| {
            format!("{} before", before.on_hand)
        });
        let threshold = now.threshold;
        let known = match now.is_counted {
            true => "",
            false => "; it sold before its first count: count it, and `set` it",
        };
        let text = format!(
            "{product}: {} on hand ({before}), threshold {threshold}{known}\n",
            now.on_hand
        );
        say(&harmless(&text))
    }

    pub(super) async fn map(
        &self,
        tenant: Option<&str>,
        reward: &str,
        product: &str,
    ) -> anyhow::Result<()> {
        let tenant = self.tenant(tenant).await?;
        self.stock.unite(&tenant).await?;
        self.stock.map(&tenant, reward, product).await?;
        if self.json {
            let mapping = Mapping {
                tenant,
                reward: reward.to_owned(),
                product: product.to_owned(),
            };
            return say_json(&[mapped(&mapping)]);
        }
        say(&harmless(&format!("{reward} is {product}\n")))
    }

    pub(super) async fn unmap(
        &self,
        tenant: Option<&str>,
        reward: &str,
    ) -> anyhow::Result<ExitCode> {
        let tenant = self.tenant(tenant).await?;
        self.stock.unite(&tenant).await?;
        if !self.stock.unmap(&tenant, reward).await? {
            bail!("{reward:?} has no assignment at {}", company(&tenant));
        }
        match self.json {
            true => say_json(&serde_json::json!([]))?,
            false => say(&harmless(&format!(
                "{reward} counts as a product of its own name again\n"
            )))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    pub(super) async fn show_catalogue(&self, tenant: Option<&str>) -> anyhow::Result<()> {
        let contents = self.contents(tenant).await?;
        if self.json {
            let mappings: Vec<_> = contents.catalogue.iter().map(mapped).collect();
            return say_json(&mappings);
        }
        let mut text = String::new();
        for mapping in &contents.catalogue {
            let company = company(&mapping.tenant);
            text.push_str(&format!(
                "{company}: {} is {}\n",
                mapping.reward, mapping.product
            ));
        }
        say(&harmless(&text))
    }

    pub(super) async fn export(&self, tenant: Option<&str>) -> anyhow::Result<()> {
        let contents = self.contents(tenant).await?;
        let shown = self.shown(&contents.products).await?;
        let mut rewards: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for mapping in contents.catalogue {
            let product = (company(&mapping.tenant), mapping.product);
            rewards.entry(product).or_default().push(mapping.reward);
        }
        let sheet = sheet::write(&shown, rewards)?;
        // A file keeps every character, so that an import reads the same.
        match std::io::stdout().is_terminal() {
            true => say(&harmless(&sheet)),
            false => say(&sheet),
        }
    }

    pub(super) async fn import(
        &self,
        tenant: Option<&str>,
        file: &std::path::Path,
    ) -> anyhow::Result<()> {
        let lines = sheet::read(file)?;
        let names_all = lines.iter().all(|line| line.tenant.is_some());
        let tenant = match names_all {
            true => None,
            false => Some(self.tenant(tenant).await?),
        };
        let named = lines.iter().filter_map(|line| line.tenant.as_deref());
        let tenants: BTreeSet<_> = named.map(key_of).chain(tenant.clone()).collect();
        for tenant in &tenants {
            self.stock.unite(tenant).await?;
        }
        let written = stream::iter(&lines).map(|line| self.write(line, tenant.as_deref()));
        let written: Vec<Option<Product>> = written.buffered(CONCURRENCY).try_collect().await?;
        let products: Vec<_> = written.into_iter().flatten().collect();
        let shown = self.shown(&products).await?;
        self.say(&shown)
    }

    pub(super) async fn write(
        &self,
        line: &Line,
        tenant: Option<&str>,
    ) -> anyhow::Result<Option<Product>> {
        let tenant = match (&line.tenant, tenant) {
            (Some(named), _) => key_of(named),
            (None, Some(tenant)) => tenant.to_owned(),
            (None, None) => bail!("the line names no company; add the column tenant, or --tenant"),
        };
        let at_line = || {
            format!(
                "writing line {}; earlier lines may already be written",
                line.number
            )
        };
        for reward in &line.rewards {
            let mapped = self.stock.map(&tenant, reward, &line.product).await;
            mapped.with_context(at_line)?;
        }
        let Some(on_hand) = line.on_hand else {
            return Ok(None);
        };
        let counted = Counted::All(on_hand);
        let counted = self
            .stock
            .count(&tenant, &line.product, counted, line.threshold);
        let (_, now) = counted.await.with_context(at_line)?;
        Ok(Some(now))
    }

    /// The named tenant, or the only known one.
    pub(super) async fn tenant(&self, named: Option<&str>) -> anyhow::Result<String> {
        if let Some(named) = named {
            return Ok(key_of(named));
        }
        let contents = self
            .stock
            .contents(None)
            .await
            .context("reading the stock")?;
        let mut known: BTreeSet<_> = contents.tenants().into_iter().map(str::to_owned).collect();
        if known.is_empty() {
            known = self.tenants_of_events().await?;
        }
        let companies: Vec<_> = known.iter().map(|key| company(key)).collect();
        match companies.as_slice() {
            [_] => Ok(known.into_iter().next().unwrap_or_default()),
            [] if self.target.is_local() => {
                eprintln!(
                    "note: the system knows no company so far; using that of the samples, {SAMPLE}"
                );
                Ok(key_of(SAMPLE))
            }
            [] => bail!("the system knows no company so far: name it with --tenant"),
            _ => bail!(
                "the system has several companies; name one with --tenant: {}",
                companies.join(", ")
            ),
        }
    }

    /// Tenants that appear in the first rows of the events table.
    pub(super) async fn tenants_of_events(&self) -> anyhow::Result<BTreeSet<String>> {
        let table = self.target.table("events")?;
        let page = self
            .target
            .dynamodb
            .scan()
            .table_name(table)
            .filter_expression("provider = :zupy")
            .expression_attribute_values(":zupy", AttributeValue::S(zupy::NAME.to_owned()))
            .limit(LOOKED_THROUGH)
            .send()
            .await
            .map_err(|error| self.target.explain(error))
            .with_context(|| format!("reading the table {table}"))?;
        let tenant = |row: &Item| Some(tenant_key(zupy::NAME, &text(row, "tenant")?));
        Ok(page.items().iter().filter_map(tenant).collect())
    }
}

/// The company of the samples in `events/`.
pub(super) const SAMPLE: &str = "comp_bella_vista";

pub(super) fn mapped(mapping: &Mapping) -> serde_json::Value {
    serde_json::json!({
        "tenant": company(&mapping.tenant), "reward": mapping.reward, "product": mapping.product,
    })
}
