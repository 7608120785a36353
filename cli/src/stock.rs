//! `coupons stock`: shows and changes how much there is of each product.

mod sheet;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Subcommand;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use webhooks::event::{KEY_PART_MAX_BYTES, escape, tenant_key, unescape};
use webhooks::ledger::Item;
use webhooks::life::text;
use webhooks::provider::zupy;
use webhooks::stock::{Contents, Counted, Level, Mapping, Product, Stock, is_product, readable};

use crate::output::{harmless, say, say_json};
use crate::target::{self, Target};

use sheet::Line;

/// Products that are read or written side by side.
const CONCURRENCY: usize = 8;

/// The threshold of a product without its own: the default of the template's parameter
/// `StockThreshold`.
const THRESHOLD: Decimal = Decimal::from_parts(5, 0, 0, false, 0);

/// How many rows of the events table are read in search of a company, if the stock table has none
/// yet.
const LOOKED_THROUGH: i32 = 1000;

const EXAMPLES: &str = "\
Examples:
  coupons stock
  coupons stock set 'Pizza Margherita' 40 --threshold 10
  coupons stock receive 'Pizza Margherita' 12.5
  coupons stock map 'Pizza Margherita Grátis' 'Pizza Margherita'
  coupons stock export > stock.csv
  coupons stock import stock.csv --tenant comp_bella_vista";

/// Show the stock on hand, reserved by redeemed coupons, and available; or change it.
///
/// A product without its own threshold has that of the variable STOCK_THRESHOLD, or 5. Set the
/// variable to the value of the template's parameter StockThreshold.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    /// Whether the output is for programs.
    pub(crate) fn is_json(&self) -> bool {
        let behind = self.action.as_ref().map(Action::common);
        self.common.json || behind.is_some_and(|it| it.json)
    }
}

#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
struct Common {
    /// The company, by its name, or its key such as zupy#comp_bella_vista; needed for changes if
    /// several companies are known
    #[arg(long, value_name = "COMPANY", value_parser = name)]
    tenant: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

impl Common {
    /// These options, or `before` where these are absent. Options may stand after an action or
    /// before it.
    fn or(self, before: Self) -> Self {
        Self {
            tenant: self.tenant.or(before.tenant),
            json: self.json || before.json,
            target: self.target.or(before.target),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set how much there is of a product, after a count
    Set {
        #[arg(value_parser = product)]
        product: String,
        #[arg(value_name = "N", value_parser = quantity, allow_negative_numbers = true)]
        on_hand: Decimal,
        /// Below this quantity, the stock is low, and one alert is published
        #[arg(long, value_name = "N", value_parser = at_least_zero, allow_negative_numbers = true)]
        threshold: Option<Decimal>,
        #[command(flatten)]
        common: Common,
    },
    /// Add a delivery to a product's stock
    Receive {
        #[arg(value_parser = product)]
        product: String,
        #[arg(value_name = "N", value_parser = above_zero, allow_negative_numbers = true)]
        quantity: Decimal,
        #[command(flatten)]
        common: Common,
    },
    /// Assign a reward, or an item of an order, to a product from now on; without names, list the
    /// assignments
    Map {
        #[arg(value_parser = product, requires = "product")]
        reward: Option<String>,
        #[arg(value_parser = product)]
        product: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Remove an assignment: the reward counts as a product of its own name again
    Unmap {
        #[arg(value_parser = product)]
        reward: String,
        #[command(flatten)]
        common: Common,
    },
    /// Print the stock as CSV: tenant, product, on_hand, reserved, available, threshold, rewards
    Export {
        #[command(flatten)]
        common: Common,
    },
    /// Set the stock from a CSV file; a wrong line stops the command before any change
    ///
    /// The first line names the columns: product and on_hand, and optionally tenant, threshold and
    /// rewards. A cell of rewards has one reward a line. The columns reserved and available are
    /// ignored. A file with semicolons may have decimal commas.
    Import {
        /// The file; - for standard input
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

impl Action {
    fn common(&self) -> &Common {
        match self {
            Action::Set { common, .. }
            | Action::Receive { common, .. }
            | Action::Map { common, .. }
            | Action::Unmap { common, .. }
            | Action::Export { common }
            | Action::Import { common, .. } => common,
        }
    }
}

/// Reads the name of a product or of a reward.
fn product(text: &str) -> Result<String, String> {
    let text = readable(text);
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if !is_product(&text) {
        return Err(format!("it is longer than {KEY_PART_MAX_BYTES} bytes"));
    }
    Ok(text)
}

fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if escape(text).len() > KEY_PART_MAX_BYTES {
        return Err(format!("it is longer than {KEY_PART_MAX_BYTES} bytes"));
    }
    Ok(text.to_owned())
}

/// Reads a quantity that a stock can have; sums of such quantities are exact.
fn quantity(text: &str) -> Result<Decimal, String> {
    let wrong = || "it must be a number such as 12 or 0.5".to_owned();
    let quantity = Decimal::from_str_exact(text.trim()).map_err(|_| wrong())?;
    let quantity = quantity.normalize();
    if quantity.abs() > Decimal::from(1_000_000_000_000_i64) || quantity.scale() > 9 {
        return Err("it has too many digits: up to 1000000000000, and nine decimals".to_owned());
    }
    Ok(quantity)
}

fn above_zero(text: &str) -> Result<Decimal, String> {
    match quantity(text)? {
        it if it > Decimal::ZERO => Ok(it),
        _ => Err("it must be above 0; use `set` for a lower count".to_owned()),
    }
}

fn at_least_zero(text: &str) -> Result<Decimal, String> {
    match quantity(text)? {
        it if it >= Decimal::ZERO => Ok(it),
        _ => Err("it must be at least 0".to_owned()),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { action, common } = arguments;
    let common = match action.as_ref().map(Action::common) {
        Some(behind) => behind.clone().or(common),
        None => common,
    };
    let target = Target::connect(&common.target).await?;
    let desk = Desk {
        stock: Stock::new(
            target.dynamodb.clone(),
            target.table("stock")?,
            target.table("events")?,
            default_threshold()?,
        ),
        json: common.json,
        target,
    };
    let tenant = common.tenant.as_deref();
    match action {
        None => desk.show(tenant).await?,
        Some(Action::Set {
            product,
            on_hand,
            threshold,
            ..
        }) => {
            let counted = Counted::All(on_hand);
            desk.count(tenant, &product, counted, threshold).await?;
        }
        Some(Action::Receive {
            product, quantity, ..
        }) => {
            let counted = Counted::More(quantity);
            desk.count(tenant, &product, counted, None).await?;
        }
        Some(Action::Map {
            reward: Some(reward),
            product: Some(product),
            ..
        }) => desk.map(tenant, &reward, &product).await?,
        Some(Action::Map { .. }) => desk.show_catalogue(tenant).await?,
        Some(Action::Unmap { reward, .. }) => return desk.unmap(tenant, &reward).await,
        Some(Action::Export { .. }) => desk.export(tenant).await?,
        Some(Action::Import { file, .. }) => desk.import(tenant, &file).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn default_threshold() -> anyhow::Result<Decimal> {
    match std::env::var("STOCK_THRESHOLD") {
        Ok(text) if !text.trim().is_empty() => {
            let threshold = at_least_zero(&text).map_err(anyhow::Error::msg);
            threshold.with_context(|| format!("STOCK_THRESHOLD is {text:?}"))
        }
        _ => Ok(THRESHOLD),
    }
}

/// A product as the command shows it.
#[derive(Debug, Serialize)]
struct Shown {
    tenant: String,
    product: String,
    on_hand: Exact,
    reserved: Exact,
    available: Exact,
    threshold: Exact,
    /// Whether anybody has counted the product. Otherwise its stock is unknown, and no alert is
    /// published.
    counted: bool,
    /// The alert since the last restock: `low` or `below_zero`.
    alerted: Option<&'static str>,
    /// Why the last alert was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_failed: Option<String>,
    #[serde(skip)]
    level: Option<Level>,
    #[serde(skip)]
    has_threshold: bool,
}

/// A decimal that keeps every digit in JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Exact(Decimal);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.normalize().to_string());
        raw.map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl Shown {
    fn new(product: &Product, reserved: Decimal) -> Self {
        Self {
            tenant: company(&product.tenant),
            product: product.name.clone(),
            on_hand: Exact(product.on_hand),
            reserved: Exact(reserved),
            available: Exact(product.on_hand - reserved),
            threshold: Exact(product.threshold),
            counted: product.is_counted,
            alerted: product.alerted.map(Level::name),
            alert_failed: product.alert_failed.clone(),
            level: product.level(),
            has_threshold: product.has_threshold,
        }
    }
}

/// A tenant's key without the name of the only provider whose tenants have a stock.
fn company(key: &str) -> String {
    match key.split_once('#') {
        Some((zupy::NAME, company)) => unescape(company),
        _ => key.to_owned(),
    }
}

/// A tenant's key, from the key or the name.
fn key_of(named: &str) -> String {
    match named.split_once('#') {
        Some((provider, tenant)) => tenant_key(provider, &unescape(tenant)),
        None => tenant_key(zupy::NAME, named),
    }
}

struct Desk {
    target: Target,
    stock: Stock,
    json: bool,
}

impl Desk {
    async fn contents(&self, tenant: Option<&str>) -> anyhow::Result<Contents> {
        let key = tenant.map(key_of);
        let contents = self.stock.contents(key.as_deref()).await;
        let contents = contents.context("reading the stock")?;
        if let Some(tenant) = tenant
            && contents.tenants().is_empty()
        {
            let tenant = harmless(tenant);
            eprintln!("note: no stock of {tenant} is recorded");
        }
        Ok(contents)
    }

    async fn show(&self, tenant: Option<&str>) -> anyhow::Result<()> {
        let contents = self.contents(tenant).await?;
        let shown = self.shown(&contents.products).await?;
        self.say(&shown)
    }

    fn say(&self, shown: &[Shown]) -> anyhow::Result<()> {
        match self.json {
            true => say_json(&shown),
            false => say(&harmless(&table(shown))),
        }
    }

    /// Products with their reserved quantities.
    async fn shown(&self, products: &[Product]) -> anyhow::Result<Vec<Shown>> {
        let now = Timestamp::now();
        let shown = stream::iter(products).map(|product| async move {
            let reserved = self.stock.reserved_of(product, now);
            anyhow::Ok(Shown::new(product, reserved.await?))
        });
        shown.buffered(CONCURRENCY).try_collect().await
    }

    async fn count(
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
        let before = before.map_or("unknown before".to_owned(), |it| {
            format!("{} before", it.on_hand)
        });
        let threshold = now.threshold;
        let known = match now.is_counted {
            true => "",
            false => "; it was sold before its first count: count it, and `set` it",
        };
        let text = format!(
            "{product}: {} on hand ({before}), threshold {threshold}{known}\n",
            now.on_hand
        );
        say(&harmless(&text))
    }

    async fn map(&self, tenant: Option<&str>, reward: &str, product: &str) -> anyhow::Result<()> {
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

    async fn unmap(&self, tenant: Option<&str>, reward: &str) -> anyhow::Result<ExitCode> {
        let tenant = self.tenant(tenant).await?;
        self.stock.unite(&tenant).await?;
        if !self.stock.unmap(&tenant, reward).await? {
            bail!("{reward:?} is not assigned at {}", company(&tenant));
        }
        match self.json {
            true => say_json(&serde_json::json!([]))?,
            false => say(&harmless(&format!(
                "{reward} counts as a product of its own name again\n"
            )))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn show_catalogue(&self, tenant: Option<&str>) -> anyhow::Result<()> {
        let contents = self.contents(tenant).await?;
        if self.json {
            let mappings: Vec<_> = contents.catalogue.iter().map(mapped).collect();
            return say_json(&mappings);
        }
        let mut text = String::new();
        for it in &contents.catalogue {
            let company = company(&it.tenant);
            text.push_str(&format!("{company}: {} is {}\n", it.reward, it.product));
        }
        say(&harmless(&text))
    }

    async fn export(&self, tenant: Option<&str>) -> anyhow::Result<()> {
        let contents = self.contents(tenant).await?;
        let shown = self.shown(&contents.products).await?;
        let mut rewards: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for it in contents.catalogue {
            let product = (company(&it.tenant), it.product);
            rewards.entry(product).or_default().push(it.reward);
        }
        let sheet = sheet::write(&shown, rewards)?;
        // A file keeps every character, so that it can be imported again.
        match std::io::stdout().is_terminal() {
            true => say(&harmless(&sheet)),
            false => say(&sheet),
        }
    }

    async fn import(&self, tenant: Option<&str>, file: &std::path::Path) -> anyhow::Result<()> {
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

    async fn write(&self, line: &Line, tenant: Option<&str>) -> anyhow::Result<Option<Product>> {
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
    async fn tenant(&self, named: Option<&str>) -> anyhow::Result<String> {
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
                eprintln!("note: no company is known yet; taking that of the samples, {SAMPLE}");
                Ok(key_of(SAMPLE))
            }
            [] => bail!("no company is known yet: name it with --tenant"),
            _ => bail!(
                "several companies are known: name one with --tenant: {}",
                companies.join(", ")
            ),
        }
    }

    /// Tenants that appear in the first rows of the events table.
    async fn tenants_of_events(&self) -> anyhow::Result<BTreeSet<String>> {
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
const SAMPLE: &str = "comp_bella_vista";

fn mapped(mapping: &Mapping) -> serde_json::Value {
    serde_json::json!({
        "tenant": company(&mapping.tenant), "reward": mapping.reward, "product": mapping.product,
    })
}

/// Draws a table for each company.
fn table(shown: &[Shown]) -> String {
    let mut text = String::new();
    let mut of_companies: BTreeMap<&str, Vec<&Shown>> = BTreeMap::new();
    for product in shown {
        of_companies
            .entry(&product.tenant)
            .or_default()
            .push(product);
    }
    for (company, products) in of_companies {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{company}\n"));
        text.push_str(&table_of_company(&products));
    }
    text
}

fn table_of_company(products: &[&Shown]) -> String {
    let head = ["product", "on hand", "reserved", "available", "threshold"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(products.iter().map(|it| {
        let number = |exact: Exact| exact.0.normalize().to_string();
        let numbers = [it.on_hand, it.reserved, it.available, it.threshold];
        let [on_hand, reserved, available, threshold] = numbers.map(number);
        // Every row takes one line, whatever the name contains.
        let name = it.product.replace(char::is_control, " ");
        [name, on_hand, reserved, available, threshold]
    }));
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    let marks = products.iter().map(|it| mark(it));
    let mut text = String::new();
    for (row, mark) in rows.iter().zip(std::iter::once(String::new()).chain(marks)) {
        let [name, numbers @ ..] = row;
        text.push_str(&format!("  {name:<0$}", widths[0]));
        for (number, width) in numbers.iter().zip(&widths[1..]) {
            text.push_str(&format!("  {number:>width$}"));
        }
        text.push_str(&mark);
        text.push('\n');
    }
    text
}

/// The remark after a product's row: its level, and its alert.
fn mark(product: &Shown) -> String {
    let level = match product.level {
        _ if !product.counted => "  not counted",
        Some(Level::Low) => "  low",
        Some(Level::BelowZero) => "  below zero",
        None => "",
    };
    match &product.alert_failed {
        Some(reason) => format!("{level}  not alerted: {reason}"),
        None => level.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(tenant: &str, name: &str, on_hand: &str) -> Product {
        Product {
            tenant: tenant.into(),
            name: name.into(),
            on_hand: on_hand.parse().unwrap(),
            threshold: 5.into(),
            has_threshold: false,
            is_counted: true,
            alerted: None,
            alert_failed: None,
            spellings: BTreeSet::new(),
        }
    }

    fn shown() -> Vec<Shown> {
        vec![
            Shown::new(&product("zupy#comp_2", "Suco", "4.50"), Decimal::ZERO),
            Shown::new(&product("zupy#comp%231", "Pizza", "10"), Decimal::ONE),
            Shown::new(&product("zupy#comp%231", "Água\n", "-1"), Decimal::ZERO),
        ]
    }

    #[test]
    fn the_table_has_a_heading_for_each_company() {
        assert_eq!(
            table(&shown()),
            "\
comp#1
  product  on hand  reserved  available  threshold
  Pizza         10         1          9          5
  Água          -1         0         -1          5  below zero

comp_2
  product  on hand  reserved  available  threshold
  Suco         4.5         0        4.5          5  low
"
        );
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn a_product_that_nobody_counted_is_shown_as_such() {
        let mut suco = product("zupy#comp", "Suco", "-4");
        suco.is_counted = false;
        let mut agua = product("zupy#comp", "Água", "-1");
        agua.alert_failed = Some("SNS refuses the alert: InvalidParameter".into());
        let shown = [suco, agua].map(|it| Shown::new(&it, Decimal::ZERO));
        assert_eq!(
            table(&shown),
            "\
comp
  product  on hand  reserved  available  threshold
  Suco          -4         0         -4          5  not counted
  Água          -1         0         -1          5  below zero  not alerted: SNS refuses the alert: InvalidParameter
"
        );
    }

    #[test]
    fn numbers_are_exact_in_json() {
        let json = serde_json::to_string(&shown()[0]).unwrap();
        assert_eq!(
            json,
            r#"{"tenant":"comp_2","product":"Suco","on_hand":4.5,"reserved":0,"available":4.5,"threshold":5,"counted":true,"alerted":null}"#
        );
    }

    #[test]
    fn a_company_is_named_by_its_name_or_by_its_key() {
        assert_eq!(key_of("comp_2"), "zupy#comp_2");
        assert_eq!(key_of("zupy#comp_2"), "zupy#comp_2");
        assert_eq!(key_of("50%"), "zupy#50%25");
        assert_eq!(key_of("zupy#50%25"), "zupy#50%25");
        assert_eq!(company("zupy#50%25"), "50%");
        assert_eq!(company("other#comp"), "other#comp");
    }

    #[test]
    fn a_quantity_is_a_decimal() {
        for (text, expected) in [
            ("12", Some("12")),
            (" 0.50 ", Some("0.5")),
            ("-3", Some("-3")),
            ("1,5", None),
            ("1e3", None),
            ("", None),
            ("0.0000000001", None),
            ("1000000000001", None),
        ] {
            let read = quantity(text).ok().map(|it| it.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
        assert!(above_zero("0").is_err());
        assert!(at_least_zero("-1").is_err());
    }
}
