//! In-game items: what a redemption brings its player, with bundles taken apart.

use anyhow::Context;
use serde_json::{Value, json};
use webhooks::event::Item;

/// The items that are no bundles, each with its whole quantity. What an item is replaced by where it cannot be given is
/// its own fallback, else that of the bundle that it came in.
pub(crate) fn flattened(items: &[Item]) -> anyhow::Result<Vec<Value>> {
    let mut flat = Vec::new();
    for item in items {
        flatten(item, 1, None, &mut flat)?;
    }
    Ok(flat)
}

fn flatten(
    item: &Item,
    times: i64,
    bundle: Option<&Item>,
    flat: &mut Vec<Value>,
) -> anyhow::Result<()> {
    let quantity = item.quantity.checked_mul(times);
    let quantity =
        quantity.with_context(|| format!("the quantity of {} is too large", item.sku))?;
    if item.nested.is_empty() {
        let fallback = item
            .fallback
            .as_ref()
            .or(bundle.and_then(|it| it.fallback.as_ref()));
        let mut one = named(item, quantity);
        one["bundle"] = json!(bundle.map(|it| &it.sku));
        one["fallback_item"] = json!(fallback.map(|it| named(it, it.quantity)));
        flat.push(one);
        return Ok(());
    }
    for nested in &item.nested {
        flatten(nested, quantity, Some(item), flat)?;
    }
    Ok(())
}

fn named(item: &Item, quantity: i64) -> Value {
    json!({"id": item.id, "sku": item.sku, "name": item.name, "quantity": quantity, "type": item.kind})
}

#[cfg(test)]
mod tests {
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
            nested,
            fallback: None,
        }
    }

    /// `sku x quantity (bundle, or its fallback)`
    fn check(items: &[Item], expected: &[&str]) {
        let flat = flattened(items).unwrap();
        let flat: Vec<_> = flat
            .iter()
            .map(|it| {
                let text = |it: &Value| it.as_str().unwrap_or("-").to_owned();
                let (bundle, fallback) = (text(&it["bundle"]), text(&it["fallback_item"]["sku"]));
                format!(
                    "{} x {} ({bundle}, {fallback})",
                    text(&it["sku"]),
                    it["quantity"]
                )
            })
            .collect();
        assert_eq!(flat, expected);
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
            &[
                "coin x 600 (purse, -)",
                "gem x 12 (purse, -)",
                "sword x 2 (chest, -)",
                "map x 1 (-, -)",
            ],
        );
    }

    #[test]
    fn a_fallback_is_the_items_own_or_its_bundles() {
        let mut coin = item("coin", 5, vec![]);
        coin.fallback = Some(Box::new(item("dust", 1, vec![])));
        let mut chest = item("chest", 1, vec![coin, item("gem", 1, vec![])]);
        chest.fallback = Some(Box::new(item("ticket", 1, vec![])));
        check(
            &[chest],
            &["coin x 5 (chest, dust)", "gem x 1 (chest, ticket)"],
        );
    }

    #[test]
    fn an_empty_bundle_is_an_item_and_too_much_is_an_error() {
        let mut empty = item("empty", 4, vec![]);
        empty.kind = "bundle".into();
        check(&[empty], &["empty x 4 (-, -)"]);
        let much = item("much", i64::MAX, vec![item("coin", 2, vec![])]);
        assert!(flattened(&[much]).unwrap_err().to_string().contains("coin"));
    }
}
