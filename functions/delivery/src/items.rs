//! In-game items of a redemption, with bundles taken apart.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use webhooks::event::Item;

/// How many fields an item shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The fields that name it.
    Named,
    /// The fields that name it, and its price.
    Priced,
    /// All fields of the provider.
    Described,
}

/// The items of a redemption. The lines are not much longer than the redemption: each bundle
/// appears once, and its items name the bundle's place.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// The items that are no bundles, each with its whole quantity, its own fallback and the place
    /// of its bundle.
    pub(crate) items: Vec<Value>,
    /// The bundles, each before those within it. A fallback replaces a bundle with all its items.
    pub(crate) bundles: Vec<Value>,
}

/// A quantity, multiplied along its bundles, does not fit 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Brought {
    pub(crate) fn of(items: &[Item], detail: Detail) -> Result<Self, TooMany> {
        let mut brought = Self::default();
        for item in items {
            brought.take(item, 1, None, detail)?;
        }
        Ok(brought)
    }

    /// Takes an item that comes `times` times, in the bundle at a place.
    fn take(
        &mut self,
        item: &Item,
        times: i64,
        bundle: Option<usize>,
        detail: Detail,
    ) -> Result<(), TooMany> {
        let mut one = shown(item, times, detail)?;
        one["bundle"] = json!(bundle);
        // The fallback replaces the item, with any quantity. So the fallback comes once for each
        // line of the item.
        let fallback = item.fallback.as_ref().map(|it| shown(it, times, detail));
        one["fallback_item"] = json!(fallback.transpose()?);
        if item.nested.is_empty() {
            self.items.push(one);
            return Ok(());
        }
        let place = self.bundles.len();
        self.bundles.push(one);
        let times = item.quantity.checked_mul(times).ok_or(TooMany)?;
        for nested in &item.nested {
            self.take(nested, times, Some(place), detail)?;
        }
        Ok(())
    }
}

fn shown(item: &Item, times: i64, detail: Detail) -> Result<Value, TooMany> {
    let quantity = item.quantity.checked_mul(times).ok_or(TooMany)?;
    let (id, sku, name, kind) = (&item.id, &item.sku, &item.name, &item.kind);
    let mut shown = json!({"id": id, "sku": sku, "name": name, "quantity": quantity, "type": kind});
    if detail == Detail::Described {
        shown["description"] = json!(item.description);
    }
    if detail != Detail::Named {
        // The fields as the provider sends them: for one line of the redemption, without
        // multiplication.
        shown["price"] = json!(item.price_minor);
        shown["price_decimal"] = json!(item.price.as_ref().map(|it| number(&it.amount)));
        shown["currency"] = json!(item.price.as_ref().map(|it| &it.currency));
    }
    Ok(shown)
}

/// A decimal as a JSON number; a price has few enough digits to stay exact.
fn number(decimal: &Decimal) -> Value {
    serde_json::from_str(&decimal.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use webhooks::event::Money;

    use super::*;

    fn item(sku: &str, quantity: i64, nested: Vec<Item>) -> Item {
        Item {
            id: format!("itm_{sku}"),
            name: sku.to_uppercase(),
            description: None,
            sku: sku.into(),
            quantity,
            kind: if nested.is_empty() { "item" } else { "bundle" }.into(),
            price: None,
            price_minor: None,
            nested,
            fallback: None,
        }
    }

    fn or(mut item: Item, fallback: &str, quantity: i64) -> Item {
        item.fallback = Some(Box::new(self::item(fallback, quantity, vec![])));
        item
    }

    /// Shows an item as `quantity sku in the bundle, else its fallback`.
    fn lines(all: &[Value]) -> Vec<String> {
        let one = |it: &Value| format!("{} {}", it["quantity"], it["sku"].as_str().unwrap());
        let all = all.iter().map(|item| {
            let mut shown = one(item);
            if let Some(bundle) = item["bundle"].as_u64() {
                shown.push_str(&format!(" in {bundle}"));
            }
            if item["fallback_item"].is_object() {
                shown.push_str(&format!(", else {}", one(&item["fallback_item"])));
            }
            shown
        });
        all.collect()
    }

    fn check(items: &[Item], expected: &[&str], bundles: &[&str]) {
        let brought = Brought::of(items, Detail::Named).unwrap();
        assert_eq!(lines(&brought.items), expected);
        assert_eq!(lines(&brought.bundles), bundles);
    }

    #[test]
    fn bundles_are_taken_apart_and_quantities_multiplied() {
        let purse = item(
            "purse",
            3,
            vec![item("coin", 100, vec![]), item("gem", 2, vec![])],
        );
        let chest = item("chest", 2, vec![purse, item("sword", 1, vec![])]);
        check(
            &[chest, item("map", 1, vec![])],
            &["600 coin in 1", "12 gem in 1", "2 sword in 0", "1 map"],
            &["2 chest", "6 purse in 0"],
        );
    }

    #[test]
    fn a_bundles_fallback_stands_once_with_the_bundle() {
        let coin = or(item("coin", 5, vec![]), "dust", 1);
        let chest = item("chest", 3, vec![coin, item("gem", 1, vec![])]);
        check(
            &[or(chest, "ticket", 1)],
            // The coins come in three lines of five, and each line has one fallback.
            &["15 coin in 0, else 3 dust", "3 gem in 0"],
            &["3 chest, else 1 ticket"],
        );
    }

    #[test]
    fn a_fallback_below_the_first_level_comes_as_often_as_what_it_replaces() {
        let coins = || vec![item("coin", 10, vec![])];
        let purse = or(item("purse", 5, coins()), "ticket", 2);
        let twins = item("chest", 2, vec![purse.clone(), purse]);
        check(
            &[or(twins, "trophy", 1)],
            &["100 coin in 1", "100 coin in 2"],
            &[
                "2 chest, else 1 trophy",
                "10 purse in 0, else 4 ticket",
                "10 purse in 0, else 4 ticket",
            ],
        );
    }

    #[test]
    fn prices_and_descriptions_are_passed_on_unchanged() {
        let mut coin = item("coin", 5, vec![]);
        coin.description = Some("Shiny".into());
        coin.price_minor = Some(9499);
        coin.price = Some(Money::of_minor(9499, "USD"));
        let chest = item("chest", 3, vec![coin]);
        let shown = |detail| {
            let brought = Brought::of(std::slice::from_ref(&chest), detail).unwrap();
            let coin = &brought.items[0];
            let fields = [
                "quantity",
                "description",
                "price",
                "price_decimal",
                "currency",
            ];
            json!(fields.map(|name| coin.get(name)))
        };
        assert_eq!(shown(Detail::Named), json!([15, null, null, null, null]));
        assert_eq!(shown(Detail::Priced), json!([15, null, 9499, 94.99, "USD"]));
        assert_eq!(
            shown(Detail::Described),
            json!([15, "Shiny", 9499, 94.99, "USD"])
        );
    }

    #[test]
    fn an_empty_bundle_is_an_item_and_too_much_is_an_error() {
        let mut empty = item("empty", 4, vec![]);
        empty.kind = "bundle".into();
        check(&[or(empty, "ticket", 1)], &["4 empty, else 1 ticket"], &[]);
        let much = item("much", i64::MAX, vec![item("coin", 2, vec![])]);
        let of = |items: &[Item]| Brought::of(items, Detail::Named);
        assert_eq!(of(&[much]).unwrap_err(), TooMany);
        let much = or(item("coin", 1, vec![]), "dust", i64::MAX);
        assert_eq!(of(&[item("chest", 2, vec![much])]).unwrap_err(), TooMany);
    }
}
