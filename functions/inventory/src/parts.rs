//! Parts: inventory takes an order with too many products for one transaction in parts, each with a
//! record of its own.
//!
//! The parts follow the order of the items. So each item is taken once, even if the catalogue
//! changes its product meanwhile. The first part commits alone. Its record says how many items a
//! part has, and so decides for all workers and all versions of this code (ADR 19).

use std::collections::BTreeSet;
use std::ops::Range;

use webhooks::event::EventKey;
use webhooks::ledger::Item;
use webhooks::row::read_text;

/// How many items a part has, so that one transaction has room for their products and records. A
/// transaction takes 100 items (TransactWriteItems' API reference).
pub(crate) const PART_ITEMS: usize = 90;

/// The name of a part's record, within its event, before the part's number, which begins at 0.
const PART: &str = "inventory/part/";

/// The parts of an order that have records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How many items each part has.
    pub(crate) size: usize,
    taken: BTreeSet<usize>,
}

impl Parts {
    /// The parts of an event, from rows of its coupon.
    pub(crate) fn read(rows: &[Item], event: &EventKey) -> Self {
        let beneath = event.beneath(PART);
        let mut parts = Self {
            size: PART_ITEMS,
            taken: BTreeSet::new(),
        };
        for row in rows {
            let number = read_text(row, "entry")
                .and_then(|it| it.strip_prefix(&beneath)?.parse::<usize>().ok());
            let Some(number) = number else { continue };
            parts.taken.insert(number);
            let size = row.get("size").and_then(|it| it.as_n().ok()?.parse().ok());
            parts.size = size.filter(|it| *it > 0).unwrap_or(parts.size);
        }
        parts
    }

    /// Whether a part has a record, so that the order must go on in parts.
    pub(crate) fn are_begun(&self) -> bool {
        !self.taken.is_empty()
    }

    /// How many parts this many items make.
    pub(crate) fn count(&self, items: usize) -> usize {
        items.div_ceil(self.size)
    }

    /// The next parts to take: the first alone, then all others. Empty after the last part.
    pub(crate) fn next(&self, items: usize) -> Vec<usize> {
        if !self.taken.contains(&0) {
            return vec![0];
        }
        let numbers = 1..self.count(items);
        numbers.filter(|it| !self.taken.contains(it)).collect()
    }

    /// The range of a part's items.
    pub(crate) fn items(&self, part: usize, items: usize) -> Range<usize> {
        let begin = (part * self.size).min(items);
        begin..(begin + self.size).min(items)
    }

    pub(crate) fn note(&mut self, part: usize) {
        self.taken.insert(part);
    }
}

/// The prefix of the entries of an event's parts.
pub(crate) fn beneath(event: &EventKey) -> String {
    event.beneath(PART)
}

/// The name of a part's record, within its event.
pub(crate) fn name(part: usize) -> String {
    format!("{PART}{part}")
}

/// Whether a row is a part's record.
pub(crate) fn is_part(row: &Item) -> bool {
    read_text(row, "entry").is_some_and(|it| it.contains(&format!("/{PART}")))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn key() -> EventKey {
        EventKey::used("zupy", "comp", "CP-1", "1")
    }

    fn row(part: usize, size: usize) -> Item {
        let entry = AttributeValue::S(key().beneath(&name(part)));
        let size = AttributeValue::N(size.to_string());
        [("entry".to_owned(), entry), ("size".to_owned(), size)].into()
    }

    #[test]
    fn the_first_part_comes_by_itself() {
        let mut parts = Parts::read(&[], &key());
        assert!(!parts.are_begun());
        assert_eq!(parts.next(200), [0]);
        parts.note(0);
        assert_eq!(parts.next(200), [1, 2]);
        parts.note(2);
        assert_eq!(parts.next(200), [1]);
        parts.note(1);
        assert_eq!(parts.next(200), [0_usize; 0]);
        let items: Vec<_> = (0..3).map(|it| parts.items(it, 200)).collect();
        assert_eq!(items, [0..90, 90..180, 180..200]);
    }

    #[test]
    fn an_order_goes_on_in_parts_of_the_same_size() {
        let other = EventKey::used("zupy", "comp", "CP-1", "10");
        let parts = Parts::read(&[row(0, 40), row(2, 40)], &key());
        assert_eq!((parts.size, parts.are_begun()), (40, true));
        assert_eq!(parts.next(100), [1]);
        assert_eq!(parts.items(2, 100), 80..100);
        assert!(!Parts::read(&[row(0, 40)], &other).are_begun());
    }
}
