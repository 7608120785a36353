//! The order of rows: the greatest counts first, and equal ones in the order of their groups.

pub(crate) fn most_first<T>(
    rows: impl IntoIterator<Item = T>,
    count: impl Fn(&T) -> u64,
) -> Vec<T> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(count(row)));
    rows
}
