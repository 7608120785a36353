//! An order of more products than one transaction takes is taken in parts, each with a record of its own.
//!
//! Part by part an order's items are taken in their order, so that each item is taken once, under whatever name the
//! catalogue knows it then. The first part is committed by itself: its record says how many items a part has, and so
//! decides for everybody, also for other versions of this code (ADR 19).

use std::collections::BTreeSet;
use std::ops::Range;

use webhooks::event::EventKey;
use webhooks::ledger::Item;

use crate::case::text;

/// How many items a part has, and how many products fit one transaction with the records beside them. A transaction
/// takes 100 items (TransactWriteItems' API reference).
pub(crate) const PART_ITEMS: usize = 90;

/// What stands between an event's record and the number of a part, from 0.
const PART: &str = "inventory/part/";

/// The parts of an order that were taken, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Items of each part.
    pub(crate) size: usize,
    taken: BTreeSet<usize>,
}

impl Parts {
    /// Those of an event, of whose coupon these are rows.
    pub(crate) fn read(rows: &[Item], event: &EventKey) -> Self {
        let beneath = event.beneath(PART);
        let mut parts = Self {
            size: PART_ITEMS,
            taken: BTreeSet::new(),
        };
        for row in rows {
            let number =
                text(row, "entry").and_then(|it| it.strip_prefix(&beneath)?.parse::<usize>().ok());
            let Some(number) = number else { continue };
            parts.taken.insert(number);
            let size = row.get("size").and_then(|it| it.as_n().ok()?.parse().ok());
            parts.size = size.filter(|it| *it > 0).unwrap_or(parts.size);
        }
        parts
    }

    /// Whether the order was begun in parts: it must be ended so.
    pub(crate) fn are_begun(&self) -> bool {
        !self.taken.is_empty()
    }

    /// How many parts so many items are.
    pub(crate) fn count(&self, items: usize) -> usize {
        items.div_ceil(self.size)
    }

    /// Those that can be taken next: the first by itself, then all others. None where all are taken.
    pub(crate) fn next(&self, items: usize) -> Vec<usize> {
        if !self.taken.contains(&0) {
            return vec![0];
        }
        let numbers = 1..self.count(items);
        numbers.filter(|it| !self.taken.contains(it)).collect()
    }

    /// The items of a part.
    pub(crate) fn items(&self, part: usize, items: usize) -> Range<usize> {
        let begin = (part * self.size).min(items);
        begin..(begin + self.size).min(items)
    }

    pub(crate) fn note(&mut self, part: usize) {
        self.taken.insert(part);
    }
}

/// How the names of an event's parts begin.
pub(crate) fn beneath(event: &EventKey) -> String {
    event.beneath(PART)
}

/// The name of a part's record beneath its event.
pub(crate) fn name(part: usize) -> String {
    format!("{PART}{part}")
}

/// Whether a row is a part's record.
pub(crate) fn is_part(row: &Item) -> bool {
    text(row, "entry").is_some_and(|it| it.contains(&format!("/{PART}")))
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
    fn what_was_begun_is_ended_in_parts_of_the_same_size() {
        let other = EventKey::used("zupy", "comp", "CP-1", "10");
        let parts = Parts::read(&[row(0, 40), row(2, 40)], &key());
        assert_eq!((parts.size, parts.are_begun()), (40, true));
        assert_eq!(parts.next(100), [1]);
        assert_eq!(parts.items(2, 100), 80..100);
        assert!(!Parts::read(&[row(0, 40)], &other).are_begun());
    }
}
