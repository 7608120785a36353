//! The tables and settings that keeping the stock needs.

use rust_decimal::Decimal;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::ledger::Ledger;
use webhooks::per_tenant::Zones;
use webhooks::record;
use webhooks::stock::Stock;

use crate::low_stock::Alerts;

/// The record's name, within an event.
pub(crate) const RECORD: &str = record::INVENTORY;

/// Keeps the stock.
#[derive(Debug)]
pub struct Inventory {
    pub(crate) ledger: Ledger,
    pub(crate) stock: Stock,
    pub(crate) alerts: Alerts,
    pub(crate) zones: Zones,
}

impl Inventory {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config(CallLimits::TASK));
        let threshold = environment.text("STOCK_THRESHOLD");
        let threshold = Decimal::from_str_exact(&threshold).unwrap_or_else(|_| {
            environment.problem(format!(
                "STOCK_THRESHOLD is {threshold:?}, it must be a number such as 5 or 2.5"
            ));
            Decimal::ZERO
        });
        let stock = Stock::new(
            client,
            environment.text("STOCK_TABLE"),
            environment.text("EVENTS_TABLE"),
            threshold,
        );
        let ledger = Ledger::read(environment, aws, CallLimits::TASK);
        Self {
            alerts: Alerts::read(environment, aws, stock.clone(), ledger.clone()),
            zones: Zones::read_zones(environment),
            ledger,
            stock,
        }
    }
}
