//! `coupons stock`: shows and changes how much there is of each product.

mod sheet;
mod shown;
mod storeroom;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use rust_decimal::Decimal;
use webhooks::event::{KEY_PART_MAX_BYTES, escape, tenant_key, unescape};
use webhooks::provider::zupy;
use webhooks::stock::{Counted, Stock, is_product, readable};

use crate::target::{self, Target};
use storeroom::Storeroom;

/// The threshold of a product without its own: the default of the template's parameter
/// `StockThreshold`.
const THRESHOLD: Decimal = Decimal::from_parts(5, 0, 0, false, 0);

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
    /// the system has several companies
    #[arg(long, value_name = "COMPANY", value_parser = name)]
    tenant: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

impl Common {
    /// Takes these options, or those of `before` where these are absent. Options may stand after an
    /// action or before it.
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
        /// Below this quantity, the stock is low, and inventory publishes one alert
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
    /// rewards. A cell of rewards has one reward a line. The import ignores the columns reserved
    /// and available. A file with semicolons may have decimal commas.
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
        number if number > Decimal::ZERO => Ok(number),
        _ => Err("it must be above 0; use `set` for a lower count".to_owned()),
    }
}

fn at_least_zero(text: &str) -> Result<Decimal, String> {
    match quantity(text)? {
        number if number >= Decimal::ZERO => Ok(number),
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
    let storeroom = Storeroom {
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
        None => storeroom.show(tenant).await?,
        Some(Action::Set {
            product,
            on_hand,
            threshold,
            ..
        }) => {
            let counted = Counted::All(on_hand);
            storeroom
                .count(tenant, &product, counted, threshold)
                .await?;
        }
        Some(Action::Receive {
            product, quantity, ..
        }) => {
            let counted = Counted::More(quantity);
            storeroom.count(tenant, &product, counted, None).await?;
        }
        Some(Action::Map {
            reward: Some(reward),
            product: Some(product),
            ..
        }) => storeroom.map(tenant, &reward, &product).await?,
        Some(Action::Map { .. }) => storeroom.show_catalogue(tenant).await?,
        Some(Action::Unmap { reward, .. }) => return storeroom.unmap(tenant, &reward).await,
        Some(Action::Export { .. }) => storeroom.export(tenant).await?,
        Some(Action::Import { file, .. }) => storeroom.import(tenant, &file).await?,
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

/// A tenant's key without the provider, because only one provider's tenants have a stock.
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

#[cfg(test)]
mod tests {
    use super::*;

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
