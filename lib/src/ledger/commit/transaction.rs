//! Groups parts of a commit into transactions: as many parts as fit. Two parts of one transaction
//! never touch the same item, unless both only add to it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::change::{Change, ItemKey, item_bytes};
use crate::row::Item;

/// The most items of one transaction (TransactWriteItems' API reference).
pub(super) const ITEMS_MAX: usize = 100;

/// The most bytes of one transaction. DynamoDB takes 4 MB; the rest is for the existing contents of
/// changed items.
pub(super) const BYTES_MAX: usize = 3 * 1024 * 1024;

/// One event's part, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) record: (ItemKey, Put),
    /// Changes that only add, one for each item.
    pub(super) adding: BTreeMap<ItemKey, Change>,
    /// All other changes, one for each item.
    pub(super) own: BTreeMap<ItemKey, Change>,
    bytes: usize,
}

/// Why no transaction can hold a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it changes one item in two ways")]
    Twice,
    #[error("it adds numbers that have no exact sum")]
    Inexact,
    #[error("it touches {0} items; a transaction takes at most {ITEMS_MAX}")]
    TooMany(usize),
}

impl Part {
    pub(super) fn new(
        key: ItemKey,
        record: Put,
        fields: &Item,
        changes: &[Change],
    ) -> Result<Self, Unfit> {
        let mut part = Self {
            record: (key, record),
            adding: BTreeMap::new(),
            own: BTreeMap::new(),
            bytes: item_bytes(fields),
        };
        for change in changes {
            part.take(change)?;
        }
        match part.items() {
            items if items > ITEMS_MAX => Err(Unfit::TooMany(items)),
            _ => Ok(part),
        }
    }

    fn take(&mut self, change: &Change) -> Result<(), Unfit> {
        let item = &change.item;
        self.bytes += change.bytes();
        if self.own.contains_key(item) || self.record.0 == *item {
            return Err(Unfit::Twice);
        }
        match self.adding.get_mut(item) {
            Some(_) if !change.only_adds() => return Err(Unfit::Twice),
            Some(adding) => return adding.absorb(change).then_some(()).ok_or(Unfit::Inexact),
            None if change.only_adds() => self.adding.insert(item.clone(), change.clone()),
            None => self.own.insert(item.clone(), change.clone()),
        };
        Ok(())
    }

    fn items(&self) -> usize {
        1 + self.adding.len() + self.own.len()
    }
}

/// The parts that an item of a transaction belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    RecordOf(usize),
    ChangeOf(usize),
    /// Several parts add to it.
    Shared,
}

/// The items of one transaction, and the owner of each.
pub(super) fn writes(
    parts: &[Part],
    members: &[usize],
) -> anyhow::Result<(Vec<TransactWriteItem>, Vec<Owner>)> {
    let mut adding: BTreeMap<&ItemKey, Change> = BTreeMap::new();
    let (mut writes, mut owners) = (Vec::new(), Vec::new());
    for &member in members {
        let part = &parts[member];
        let record = TransactWriteItem::builder().put(part.record.1.clone());
        writes.push(record.build());
        owners.push(Owner::RecordOf(member));
        for change in part.own.values() {
            writes.push(change.write()?);
            owners.push(Owner::ChangeOf(member));
        }
        for (item, change) in &part.adding {
            match adding.get_mut(item) {
                Some(sum) => anyhow::ensure!(sum.absorb(change), "sums that are not exact"),
                None => _ = adding.insert(item, change.clone()),
            }
        }
    }
    for change in adding.values() {
        writes.push(change.write()?);
        owners.push(Owner::Shared);
    }
    Ok((writes, owners))
}

/// Splits parts into transactions, each as full as possible.
pub(super) fn split(parts: &[Part], members: impl IntoIterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut transactions: Vec<Filling> = Vec::new();
    for member in members {
        let part = &parts[member];
        let taken = transactions.iter_mut().any(|it| it.take(member, part));
        if !taken {
            let mut transaction = Filling::default();
            transaction.take(member, part);
            transactions.push(transaction);
        }
    }
    transactions.into_iter().map(|it| it.members).collect()
}

/// A transaction that is being filled.
#[derive(Default)]
struct Filling {
    members: Vec<usize>,
    /// The items that the transaction touches, each with its sum if it is only added to.
    items: BTreeMap<ItemKey, Option<Change>>,
    bytes: usize,
}

impl Filling {
    /// Takes a part if it fits. An empty transaction takes every part, and DynamoDB decides.
    fn take(&mut self, member: usize, part: &Part) -> bool {
        let mut own = part.own.keys().chain([&part.record.0]);
        let is_new = |item: &&ItemKey| !self.items.contains_key(*item);
        let new = part.adding.keys().filter(is_new).count();
        let items = self.items.len() + 1 + part.own.len() + new;
        let is_full = items > ITEMS_MAX || self.bytes + part.bytes > BYTES_MAX;
        if !self.members.is_empty() && (is_full || own.any(|item| self.items.contains_key(item))) {
            return false;
        }
        let mut sums = Vec::new();
        for (item, change) in &part.adding {
            match self.items.get(item) {
                None => sums.push(change.clone()),
                Some(None) => return false,
                Some(Some(sum)) => {
                    let mut sum = sum.clone();
                    if !sum.absorb(change) {
                        return false;
                    }
                    sums.push(sum);
                }
            }
        }
        let own = part.own.keys().chain([&part.record.0]);
        self.items.extend(own.map(|item| (item.clone(), None)));
        let sums = sums.into_iter().map(|sum| (sum.item.clone(), Some(sum)));
        self.items.extend(sums);
        self.members.push(member);
        self.bytes += part.bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;
    use crate::row::{number, text};

    fn item(name: &str) -> ItemKey {
        ItemKey::new("stock", ("tenant", "t"), ("entry", name))
    }

    fn add(name: &str, by: Decimal) -> Change {
        Change::of(item(name)).add("on_hand", by)
    }

    fn set(name: &str) -> Change {
        Change::of(item(name)).set("released", number(1))
    }

    fn try_part(record: &str, bytes: usize, changes: &[Change]) -> Result<Part, Unfit> {
        let key = ItemKey::new("events", ("coupon", "c"), ("entry", record));
        let mut fields = key.attributes();
        fields.insert("body".into(), text("x".repeat(bytes)));
        let put = Put::builder().table_name("events");
        let put = put.set_item(Some(fields.clone())).build().unwrap();
        Part::new(key, put, &fields, changes)
    }

    fn part(record: &str, changes: &[Change]) -> Part {
        try_part(record, 0, changes).unwrap()
    }

    fn split_all(parts: &[Part]) -> Vec<Vec<usize>> {
        split(parts, 0..parts.len())
    }

    #[test]
    fn a_hundred_records_and_one_sum_are_two_transactions() {
        let parts: Vec<_> = (0..100)
            .map(|n| part(&n.to_string(), &[add("pizza", (-1).into())]))
            .collect();
        let transactions = split_all(&parts);
        let lengths: Vec<_> = transactions.iter().map(Vec::len).collect();
        assert_eq!(lengths, [99, 1]);
        let (writes, owners) = writes(&parts, &transactions[0]).unwrap();
        assert_eq!(writes.len(), ITEMS_MAX);
        assert_eq!(owners[0], Owner::RecordOf(0));
        assert_eq!(owners[99], Owner::Shared);
        let sum = writes[99].update().unwrap();
        let values = sum.expression_attribute_values().unwrap();
        assert_eq!(values[":on_hand"], AttributeValue::N("-99".into()));
    }

    #[test]
    fn one_event_twice_is_in_two_transactions() {
        let parts = [part("a", &[]), part("a", &[]), part("b", &[])];
        assert_eq!(split_all(&parts), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn an_item_that_one_part_sets_is_in_no_other_part() {
        let parts = [
            part("a", &[set("x")]),
            part("b", &[set("x")]),
            part("c", &[add("x", 1.into())]),
            part("d", &[set("y"), add("x", 1.into())]),
            part("e", &[set("y")]),
        ];
        assert_eq!(split_all(&parts), [vec![0, 4], vec![1], vec![2, 3]]);
    }

    #[test]
    fn a_record_that_another_changes_is_not_in_the_same_transaction() {
        let record = ItemKey::new("events", ("coupon", "c"), ("entry", "a"));
        let rewrite = Change::of(record).set("findings", text("[]"));
        let parts = [part("a", &[]), part("b", &[rewrite])];
        assert_eq!(split_all(&parts), [vec![0], vec![1]]);
    }

    #[test]
    fn large_records_are_spread() {
        let parts: Vec<_> = (0..20)
            .map(|n| try_part(&n.to_string(), 390_000, &[]).unwrap())
            .collect();
        for transaction in split_all(&parts) {
            assert!((1..=8).contains(&transaction.len()), "{transaction:?}");
        }
    }

    #[test]
    fn parts_without_an_exact_sum_are_in_separate_transactions() {
        let most: Decimal = "79228162514264337593543950335".parse().unwrap();
        let parts = [
            part("a", &[add("x", most)]),
            part("b", &[add("x", Decimal::new(1, 1))]),
            part("c", &[add("x", Decimal::new(2, 1))]),
        ];
        assert_eq!(split_all(&parts), [vec![0], vec![1, 2]]);
    }

    #[test]
    fn a_part_that_fits_no_transaction_names_the_reason() {
        let check = |changes: &[Change], expected: Unfit| {
            assert_eq!(try_part("a", 0, changes).unwrap_err(), expected);
        };
        check(&[set("x"), set("x")], Unfit::Twice);
        check(&[add("x", 1.into()), set("x")], Unfit::Twice);
        check(&[set("x"), add("x", 1.into())], Unfit::Twice);
        check(
            &[add("x", Decimal::MAX), add("x", 1.into())],
            Unfit::Inexact,
        );
        let many: Vec<_> = (0..100).map(|n| set(&n.to_string())).collect();
        check(&many, Unfit::TooMany(101));
        assert!(try_part("a", 0, &many[1..]).is_ok());
    }

    #[derive(Debug, Clone)]
    struct Sketch {
        record: u8,
        bytes: usize,
        adds: Vec<(u8, i32, u32)>,
        sets: BTreeSet<u8>,
    }

    fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
        let adds = vec((0..5_u8, -50..50_i32, 0..4_u32), 0..4);
        let sets = proptest::collection::btree_set(10..30_u8, 0..3);
        let bytes = prop_oneof![20 => 0..2000_usize, 1 => 300_000..400_000_usize];
        let part = (0..200_u8, bytes, adds, sets);
        let part = part.prop_map(|(record, bytes, adds, sets)| Sketch {
            record,
            bytes,
            adds,
            sets,
        });
        vec(part, 0..250)
    }

    /// The keys of the item that a write touches.
    fn target(write: &TransactWriteItem) -> String {
        match (write.put(), write.update()) {
            (Some(put), _) => format!("events {:?}", put.item()["entry"]),
            (_, Some(update)) => format!("{} {:?}", update.table_name(), update.key()["entry"]),
            _ => panic!("neither put nor update"),
        }
    }

    fn added(write: &TransactWriteItem) -> Decimal {
        let values = write
            .update()
            .and_then(|it| it.expression_attribute_values());
        match values.and_then(|it| it.get(":on_hand")) {
            Some(AttributeValue::N(number)) => number.parse().unwrap(),
            _ => Decimal::ZERO,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_part_is_in_one_transaction_that_dynamodb_takes(sketches in sketches()) {
            let mut expected: BTreeMap<String, Decimal> = BTreeMap::new();
            let parts: Vec<_> = sketches.iter().map(|sketch| {
                let adds = sketch.adds.iter().map(|&(name, by, scale)| {
                    let by = Decimal::new(by.into(), scale);
                    *expected.entry(format!("stock {:?}", text(name.to_string()))).or_default() += by;
                    add(&name.to_string(), by)
                });
                let sets = sketch.sets.iter().map(|name| set(&name.to_string()));
                let changes: Vec<_> = adds.chain(sets).collect();
                try_part(&sketch.record.to_string(), sketch.bytes, &changes).unwrap()
            }).collect();
            let transactions = split_all(&parts);
            let mut members: Vec<_> = transactions.iter().flatten().copied().collect();
            members.sort_unstable();
            prop_assert_eq!(members, (0..parts.len()).collect::<Vec<_>>());
            let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
            for transaction in &transactions {
                let (writes, owners) = writes(&parts, transaction).unwrap();
                prop_assert_eq!(writes.len(), owners.len());
                prop_assert!(writes.len() <= ITEMS_MAX);
                let bytes: usize = transaction.iter().map(|&it| parts[it].bytes).sum();
                prop_assert!(bytes <= BYTES_MAX);
                let targets: BTreeSet<_> = writes.iter().map(target).collect();
                prop_assert_eq!(targets.len(), writes.len(), "an item twice");
                for write in &writes {
                    *sums.entry(target(write)).or_default() += added(write);
                }
            }
            sums.retain(|_, sum| !sum.is_zero());
            expected.retain(|_, sum| !sum.is_zero());
            prop_assert_eq!(sums, expected);
        }
    }
}
