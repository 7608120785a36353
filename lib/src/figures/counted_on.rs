//! The day on which a task's record was counted.

use jiff::civil::Date;

use crate::row::Item;

/// The field of a task's record that holds the tenant's day on which the record was counted.
pub const COUNTED_ON: &str = "counted_on";

/// The day on which a task's record was counted; `None` if it was not counted.
pub(super) fn counted_on(row: &Item) -> Option<Date> {
    row.get(COUNTED_ON)?.as_s().ok()?.parse().ok()
}
