//! A commit's changes to one item. Changes that only add become one, even if several events cause
//! them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use rust_decimal::Decimal;

use crate::row::{Item, Row, number, text};

/// The name of an item in a table with two text keys, as all of ours are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// The table's name in this system.
    pub table: String,
    /// The partition key: the attribute's name, and its value.
    pub partition: (&'static str, String),
    /// The sort key: the attribute's name, and its value.
    pub sort: (&'static str, String),
}

impl ItemKey {
    /// The item with these two keys, each a name and a value.
    pub fn new(
        table: impl Into<String>,
        (partition_name, partition): (&'static str, impl Into<String>),
        (sort_name, sort): (&'static str, impl Into<String>),
    ) -> Self {
        Self {
            table: table.into(),
            partition: (partition_name, partition.into()),
            sort: (sort_name, sort.into()),
        }
    }

    /// The key as DynamoDB takes it.
    pub fn attributes(&self) -> Item {
        [&self.partition, &self.sort]
            .map(|(name, value)| ((*name).to_owned(), text(value)))
            .into()
    }

    fn bytes(&self) -> usize {
        let keys = [&self.partition, &self.sort];
        keys.map(|(name, value)| name.len() + value.len())
            .iter()
            .sum()
    }
}

/// A change to one item. DynamoDB creates the item if there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub(in crate::ledger) item: ItemKey,
    set: BTreeMap<String, AttributeValue>,
    /// Fields that are set only if the item does not have them yet.
    keep: BTreeMap<String, AttributeValue>,
    pub(super) add: BTreeMap<String, Decimal>,
    remove: BTreeSet<String>,
    condition: Option<(String, Item)>,
    /// If the item is an event's row: the Unix second until which the row and everything beneath it
    /// are kept.
    pub(super) keeps_until: Option<i64>,
}

impl Change {
    /// A change that changes nothing yet.
    pub fn of(item: ItemKey) -> Self {
        Self {
            item,
            set: BTreeMap::new(),
            keep: BTreeMap::new(),
            add: BTreeMap::new(),
            remove: BTreeSet::new(),
            condition: None,
            keeps_until: None,
        }
    }

    /// Keeps an event's row until this Unix second, if there is one. After the commit, everything
    /// beneath the row is kept as long.
    pub fn keep_event(row: ItemKey, until: i64) -> Self {
        let mut change = Self::of(row)
            .set("ttl", number(until))
            .only_if("attribute_exists(#entry)", &[]);
        change.keeps_until = Some(until);
        change
    }

    /// Sets a field.
    pub fn set(mut self, field: &str, value: AttributeValue) -> Self {
        self.set.insert(field.into(), value);
        self
    }

    /// Sets every field of a row.
    pub fn set_all(mut self, row: Row) -> Self {
        self.set.extend(row.0);
        self
    }

    /// Sets a field if the item has no field of that name.
    pub fn keep(mut self, field: &str, value: AttributeValue) -> Self {
        self.keep.insert(field.into(), value);
        self
    }

    /// Adds to a number; a missing number counts as 0. With `by` 0 the number exists afterwards.
    pub fn add(mut self, field: &str, by: Decimal) -> Self {
        self.add.insert(field.into(), by.normalize());
        self
    }

    /// Removes a field.
    pub fn remove(mut self, field: &str) -> Self {
        self.remove.insert(field.into());
        self
    }

    /// Makes the change only under a condition, in DynamoDB's syntax. `#name` is the field `name`.
    /// `:name` is the value that is set, kept or added under that name, or one of `values`, whose
    /// names must differ from those.
    pub fn only_if(
        mut self,
        condition: impl Into<String>,
        values: &[(&str, AttributeValue)],
    ) -> Self {
        let values = values.iter();
        let values = values.map(|(name, value)| ((*name).to_owned(), value.clone()));
        self.condition = Some((condition.into(), values.collect()));
        self
    }

    /// Whether any number of such changes of the item can be made as one.
    pub(in crate::ledger) fn only_adds(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty() && self.condition.is_none()
    }

    /// Adds another change of the item to this one, if both only add. Refuses if a sum has more
    /// digits than are exact, or if one update cannot hold so many sums.
    pub(in crate::ledger) fn absorb(&mut self, other: &Self) -> bool {
        let new = |field: &&String| !self.add.contains_key(*field);
        if self.add.len() + other.add.keys().filter(new).count() > SUMS_MAX {
            return false;
        }
        let mut sums = self.add.clone();
        for (field, by) in &other.add {
            let sum = sums.entry(field.clone()).or_default();
            match exact_sum(*sum, *by) {
                Some(exact) => *sum = exact,
                None => return false,
            }
        }
        self.add = sums;
        for (field, value) in &other.keep {
            let kept = self.keep.entry(field.clone());
            kept.or_insert_with(|| value.clone());
        }
        true
    }

    pub(super) fn write(&self) -> anyhow::Result<TransactWriteItem> {
        let update = self.update()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Like `write`; a refusal returns the existing item.
    pub(in crate::ledger) fn write_returning(&self) -> anyhow::Result<TransactWriteItem> {
        let mut update = self.update()?;
        update.return_values_on_condition_check_failure =
            Some(ReturnValuesOnConditionCheckFailure::AllOld);
        Ok(TransactWriteItem::builder().update(update).build())
    }

    pub(in crate::ledger) fn update(&self) -> anyhow::Result<Update> {
        let update = Update::builder()
            .table_name(&self.item.table)
            .set_key(Some(self.item.attributes()))
            .update_expression(self.expression())
            .set_condition_expression(self.condition.as_ref().map(|(words, _)| words.clone()))
            .set_expression_attribute_names(Some(self.names()))
            .set_expression_attribute_values(Some(self.values()).filter(|it| !it.is_empty()))
            .build()?;
        Ok(update)
    }

    fn names(&self) -> HashMap<String, String> {
        let changed = self.set.keys().chain(self.keep.keys());
        let changed = changed.chain(self.add.keys()).chain(&self.remove);
        let in_condition = self.condition.iter().flat_map(|(words, _)| names_in(words));
        let all = changed.map(String::as_str).chain(in_condition);
        all.map(|name| (format!("#{name}"), name.to_owned()))
            .collect()
    }

    fn values(&self) -> Item {
        let fields = self.set.iter().chain(&self.keep);
        let in_condition = self.condition.iter().flat_map(|(_, values)| values);
        let texts = fields.chain(in_condition);
        let texts = texts.map(|(name, value)| (format!(":{name}"), value.clone()));
        let sums = self.add.iter();
        let sums = sums.map(|(name, by)| (format!(":{name}"), AttributeValue::N(by.to_string())));
        texts.chain(sums).collect()
    }

    fn expression(&self) -> String {
        let set = self.set.keys().map(|field| format!("#{field} = :{field}"));
        let keep = self.keep.keys();
        let keep = keep.map(|field| format!("#{field} = if_not_exists(#{field}, :{field})"));
        let clauses = [
            ("SET", set.chain(keep).collect::<Vec<_>>()),
            (
                "REMOVE",
                self.remove
                    .iter()
                    .map(|field| format!("#{field}"))
                    .collect(),
            ),
            (
                "ADD",
                self.add
                    .keys()
                    .map(|field| format!("#{field} :{field}"))
                    .collect(),
            ),
        ];
        let clauses = clauses.iter().filter(|(_, actions)| !actions.is_empty());
        let clauses = clauses.map(|(word, actions)| format!("{word} {}", actions.join(", ")));
        clauses.collect::<Vec<_>>().join(" ")
    }

    /// The bytes that the change adds to a transaction. The size of the existing item is not known
    /// here.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.set.iter().chain(&self.keep);
        let fields = fields.map(|(field, value)| field.len() + value_bytes(value));
        let sums = self.add.keys().map(|field| field.len() + NUMBER_MAX_BYTES);
        let condition = self.condition.iter().map(|(_, values)| item_bytes(values));
        self.item.bytes() + fields.chain(sums).chain(condition).sum::<usize>()
    }
}

/// The most sums of one update. An update's expression must stay below 4 KB and 300 operators
/// (developer guide, limits).
const SUMS_MAX: usize = 150;

/// DynamoDB's numbers have 38 digits, two in a byte.
const NUMBER_MAX_BYTES: usize = 21;

/// The sum, or `None` if it was rounded.
fn exact_sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let (a, b) = (a.normalize(), b.normalize());
    let sum = a.checked_add(b)?;
    (sum.scale() == a.scale().max(b.scale()) || a.is_zero() || b.is_zero()).then(|| sum.normalize())
}

/// The fields that an expression names.
fn names_in(expression: &str) -> Vec<&str> {
    let pieces = expression.split('#').skip(1);
    pieces
        .map(|piece| {
            let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            &piece[..end.unwrap_or(piece.len())]
        })
        .collect()
}

/// An item's size by DynamoDB's rules (developer guide, item sizes).
pub(super) fn item_bytes(item: &Item) -> usize {
    let fields = item.iter();
    fields
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(number) => number.len(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => {
            texts.iter().map(String::len).sum()
        }
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => 3 + values.iter().map(|it| 1 + value_bytes(it)).sum::<usize>(),
        AttributeValue::M(fields) => 3 + fields.len() + item_bytes(fields),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pizza() -> Change {
        let key = ItemKey::new("stock", ("tenant", "zupy#comp"), ("entry", "product#Pizza"));
        Change::of(key)
    }

    fn update(change: &Change) -> Update {
        change.write().unwrap().update.unwrap()
    }

    #[test]
    fn a_change_is_one_update() {
        let change = pizza()
            .set("released", text("now"))
            .keep("product", text("Pizza"))
            .add("on_hand", Decimal::new(-15, 1))
            .remove("reserves")
            .only_if(
                "attribute_not_exists(#kind) OR #released < :released AND #ttl <= :now",
                &[("now", number(7))],
            );
        let update = update(&change);
        assert_eq!(
            update.update_expression,
            "SET #released = :released, #product = if_not_exists(#product, :product) \
             REMOVE #reserves ADD #on_hand :on_hand"
        );
        let names: BTreeSet<_> = update
            .expression_attribute_names
            .unwrap()
            .into_keys()
            .collect();
        let expected = [
            "#kind",
            "#on_hand",
            "#product",
            "#released",
            "#reserves",
            "#ttl",
        ];
        assert_eq!(names, expected.map(str::to_owned).into());
        let values = update.expression_attribute_values.unwrap();
        assert_eq!(values[":on_hand"], AttributeValue::N("-1.5".into()));
        assert_eq!(values[":now"], number(7));
        assert_eq!(values.len(), 4);
        assert_eq!(update.key["entry"], text("product#Pizza"));
    }

    #[test]
    fn a_change_without_values_names_none() {
        let update = update(&pizza().remove("reserves"));
        assert_eq!(update.update_expression, "REMOVE #reserves");
        assert_eq!(update.expression_attribute_values, None);
    }

    #[test]
    fn the_first_kept_value_stays() {
        let mut change = pizza()
            .keep("product", text("Pizza"))
            .add("on_hand", 1.into());
        let other = pizza().keep("product", text("PIZZA")).add("sold", 2.into());
        assert!(change.absorb(&other));
        let expected = pizza()
            .keep("product", text("Pizza"))
            .add("on_hand", 1.into())
            .add("sold", 2.into());
        assert_eq!(change, expected);
    }

    #[test]
    fn an_update_has_no_more_sums_than_its_expression_takes() {
        let sums = |numbers: std::ops::Range<usize>| {
            let mut numbers = numbers.map(|it| format!("abcdefgh{it}"));
            numbers.try_fold(pizza(), |change, field| Some(change.add(&field, 1.into())))
        };
        let (mut change, more) = (sums(0..SUMS_MAX - 1).unwrap(), sums(0..2).unwrap());
        assert!(change.absorb(&more));
        assert!(!change.absorb(&sums(SUMS_MAX..SUMS_MAX + 2).unwrap()));
        assert!(change.absorb(&sums(SUMS_MAX..SUMS_MAX + 1).unwrap()));
        assert!(update(&change).update_expression.len() < 4096);
    }

    #[test]
    fn a_sum_is_exact_or_none() {
        let check = |a: &str, b: &str, expected: Option<&str>| {
            let sum = exact_sum(a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(
                sum.map(|it| it.to_string()).as_deref(),
                expected,
                "{a} + {b}"
            );
        };
        check("0.5", "0.5", Some("1"));
        check("-1", "1.000", Some("0"));
        check(
            "0",
            "0.0000000000000000000000000001",
            Some("0.0000000000000000000000000001"),
        );
        check(
            "1",
            "0.0000000000000000000000000001",
            Some("1.0000000000000000000000000001"),
        );
        check("10", "0.0000000000000000000000000001", None);
        check("79228162514264337593543950335", "1", None);
        check("79228162514264337593543950335", "0.5", None);
    }

    /// 64 bits with up to 28 decimals. Some sums are exact, and some are not.
    fn decimal() -> impl Strategy<Value = Decimal> {
        (any::<i64>(), 0..=28_u32).prop_map(|(digits, scale)| Decimal::new(digits, scale))
    }

    proptest! {
        #[test]
        fn a_returned_sum_is_exact(a in decimal(), b in decimal()) {
            // As whole numbers of the smallest unit, if both fit.
            let whole = |number: Decimal, scale: u32| {
                let missing = 10_i128.checked_pow(scale - number.scale())?;
                number.mantissa().checked_mul(missing)
            };
            let scale = a.scale().max(b.scale());
            let wholes = whole(a, scale).zip(whole(b, scale));
            if let (Some(sum), Some((a, b))) = (exact_sum(a, b), wholes) {
                prop_assert_eq!(whole(sum, scale), a.checked_add(b));
            }
        }
    }
}
