//! Products as `coupons stock` shows them: a table, or JSON with exact numbers.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use webhooks::stock::{Level, Product};

use super::company;

/// A product as the command shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) tenant: String,
    pub(super) product: String,
    pub(super) on_hand: Exact,
    pub(super) reserved: Exact,
    pub(super) available: Exact,
    pub(super) threshold: Exact,
    /// Whether anybody has counted the product. Otherwise its stock is unknown, and inventory
    /// publishes no alert.
    pub(super) counted: bool,
    /// The alert since the last restock: `low` or `below_zero`.
    pub(super) alerted: Option<&'static str>,
    /// Why SNS did not take the last alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alert_failed: Option<String>,
    #[serde(skip)]
    pub(super) level: Option<Level>,
    #[serde(skip)]
    pub(super) has_threshold: bool,
}

/// A decimal that keeps every digit in JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact(pub(super) Decimal);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.normalize().to_string());
        raw.map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl Shown {
    pub(super) fn new(product: &Product, reserved: Decimal) -> Self {
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

/// Draws a table for each company.
pub(super) fn table(shown: &[Shown]) -> String {
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

pub(super) fn table_of_company(products: &[&Shown]) -> String {
    let head = ["product", "on hand", "reserved", "available", "threshold"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(products.iter().map(|shown| {
        let number = |exact: Exact| exact.0.normalize().to_string();
        let numbers = [
            shown.on_hand,
            shown.reserved,
            shown.available,
            shown.threshold,
        ];
        let [on_hand, reserved, available, threshold] = numbers.map(number);
        // Every row takes one line, even if a name contains line breaks.
        let name = shown.product.replace(char::is_control, " ");
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
pub(super) fn mark(product: &Shown) -> String {
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
    use std::collections::BTreeSet;

    use insta::assert_snapshot;

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
        assert_snapshot!(table(&shown()), @"
        comp#1
          product  on hand  reserved  available  threshold
          Pizza         10         1          9          5
          Água          -1         0         -1          5  below zero

        comp_2
          product  on hand  reserved  available  threshold
          Suco         4.5         0        4.5          5  low
        ");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn a_product_that_nobody_counted_is_shown_as_such() {
        let mut suco = product("zupy#comp", "Suco", "-4");
        suco.is_counted = false;
        let mut agua = product("zupy#comp", "Água", "-1");
        agua.alert_failed = Some("SNS refuses the alert: InvalidParameter".into());
        let shown = [suco, agua].map(|it| Shown::new(&it, Decimal::ZERO));
        assert_snapshot!(table(&shown), @"
        comp
          product  on hand  reserved  available  threshold
          Suco          -4         0         -4          5  not counted
          Água          -1         0         -1          5  below zero  not alerted: SNS refuses the alert: InvalidParameter
        ");
    }

    #[test]
    fn numbers_are_exact_in_json() {
        let json = serde_json::to_string(&shown()[0]).unwrap();
        assert_eq!(
            json,
            r#"{"tenant":"comp_2","product":"Suco","on_hand":4.5,"reserved":0,"available":4.5,"threshold":5,"counted":true,"alerted":null}"#
        );
    }
}
