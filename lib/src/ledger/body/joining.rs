//! Joins parts of bodies to their rows while rows are read one by one.

use super::{is_part, join, parts_count, parts_of};
use crate::row::{Item, read_text};

/// Joins bodies to rows that are read in the order of their names. A row comes before the parts of
/// its body.
#[derive(Debug, Default)]
pub struct Joining {
    /// Rows that still miss parts, each with the parts that came.
    waiting: Vec<Vec<Item>>,
}

impl Joining {
    /// Takes the next row. Returns a whole row if one is complete now.
    pub fn take(&mut self, row: Item) -> Option<Item> {
        let entry = read_text(&row, "entry").cloned().unwrap_or_default();
        if is_part(&entry) {
            let is_its = |some: &Vec<Item>| {
                let beginning = some.first().and_then(parts_of);
                beginning.is_some_and(|beginning| entry.starts_with(&beginning))
            };
            let place = self.waiting.iter().position(is_its)?;
            self.waiting[place].push(row);
            let is_whole = self.waiting[place].len() > parts_count(&self.waiting[place][0]);
            return is_whole.then(|| join(self.waiting.swap_remove(place)).pop())?;
        }
        if parts_of(&row).is_some() && parts_count(&row) > 0 {
            self.waiting.push(vec![row]);
            return None;
        }
        Some(row)
    }

    /// The rows whose parts did not all come.
    pub fn left(self) -> impl Iterator<Item = Item> {
        let rows = self.waiting.into_iter();
        rows.filter_map(|some| some.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{put, read};
    use super::*;
    use crate::row::{number, text};

    fn row(entry: &str) -> Item {
        let fields = [("coupon", "zupy#comp#CP-1"), ("entry", entry)];
        let mut row: Item = fields.map(|(name, it)| (name.to_owned(), text(it))).into();
        row.insert("ttl".into(), number(7));
        row
    }

    /// Bytes that no compression shortens.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.u8(..))
            .take(bytes)
            .collect()
    }

    #[test]
    fn rows_that_come_one_by_one_are_joined_to_the_parts_that_follow_them() {
        let bodies = [noise(700_000), noise(400_000)];
        let mut rows = vec![row("redeemed/fraud")];
        for (entry, body) in ["redeemed", "redeemed 2"].iter().zip(&bodies) {
            let mut row = row(entry);
            rows.extend(put(&mut row, body));
            rows.push(row);
        }
        // An attempt wrote these parts and died before it wrote their row.
        rows.push(row("redeemed/body/0123456789abcdef/01"));
        rows.sort_by_key(|row| read_text(row, "entry").cloned());
        let mut joining = Joining::default();
        let whole: Vec<_> = rows
            .iter()
            .cloned()
            .filter_map(|it| joining.take(it))
            .collect();
        assert_eq!(joining.left().count(), 0);
        let entries: Vec<_> = whole
            .iter()
            .map(|row| row["entry"].as_s().unwrap())
            .collect();
        assert_eq!(entries, ["redeemed 2", "redeemed", "redeemed/fraud"]);
        assert_eq!(read(&whole[0]).as_ref(), Ok(&bodies[1]));
        assert_eq!(read(&whole[1]).as_ref(), Ok(&bodies[0]));

        // A part is missing.
        let is_last = |row: &Item| row["entry"].as_s().unwrap().ends_with("/03");
        let mut joining = Joining::default();
        let rows = rows.into_iter().filter(|row| !is_last(row));
        assert_eq!(rows.filter_map(|it| joining.take(it)).count(), 2);
        assert_eq!(joining.left().count(), 1);
    }
}
