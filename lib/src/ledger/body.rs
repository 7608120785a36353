//! How a body is stored: in its row, or in parts beneath the row. All code writes and reads the
//! bodies of rows through this module.

mod joining;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

pub use domain::body::{
    BODY, BODY_MAX_BYTES, BODY_PARTS, BODY_PARTS_COUNT, Unreadable, compress, decompress, is_part,
};

use crate::row::{Item, number, read_text, text};
pub use joining::Joining;

/// The separator between the row's entry and a part's own name.
const BENEATH: &str = "/body/";

/// The longest stored body that its row holds itself, and the longest part. A DynamoDB item has at
/// most 400 KB, and a row holds more than its body.
const PART_MAX_BYTES: usize = 300_000;

/// Puts a body into a row that already has its key, its `ttl` and the other fields that parts copy.
/// Returns the parts if the body is too large for the row. The caller writes the parts first, so
/// that a row is never there without its parts. DynamoDB deletes parts without a row at their
/// `ttl`.
#[must_use = "the parts must be written before the row"]
pub fn put(row: &mut Item, body: &[u8]) -> Vec<Item> {
    let stored = compress(body);
    for name in [BODY, BODY_PARTS, BODY_PARTS_COUNT] {
        row.remove(name);
    }
    if stored.len() <= PART_MAX_BYTES {
        row.insert(BODY.into(), binary(stored));
        return Vec::new();
    }
    // A part's name is a hash of the body. So several attempts to write one body write the same
    // parts.
    let name = hex::encode(&Sha256::digest(&stored)[..8]);
    let chunks: Vec<_> = stored.chunks(PART_MAX_BYTES).collect();
    let count = i64::try_from(chunks.len()).expect("a body has a few parts");
    row.insert(BODY_PARTS_COUNT.into(), number(count));
    let entry = read_text(row, "entry").cloned().unwrap_or_default();
    let parts = (1..).zip(chunks).map(|(n, chunk)| {
        let shared = ["coupon", "member", "received_at", "ttl"];
        let shared = shared
            .iter()
            .filter_map(|field| Some(((*field).to_owned(), row.get(*field)?.clone())));
        let mut part: Item = shared.collect();
        part.insert(
            "entry".into(),
            text(format!("{entry}{BENEATH}{name}/{n:02}")),
        );
        part.insert(BODY.into(), binary(chunk));
        part
    });
    let parts = parts.collect();
    row.insert(BODY_PARTS.into(), text(name));
    parts
}

/// Reads the body of a row that holds all of it.
///
/// # Errors
/// The row holds no body, the body is damaged, or its parts were not [joined](join) to the row.
pub fn read(row: &Item) -> Result<Vec<u8>, Unreadable> {
    match row.get(BODY) {
        Some(AttributeValue::S(text)) => Ok(text.clone().into_bytes()),
        Some(AttributeValue::B(stored)) => decompress(stored.as_ref()),
        _ if row.contains_key(BODY_PARTS) => Err(Unreadable::PartMissing),
        _ => Err(Unreadable::Absent),
    }
}

/// The prefix of the names of a row's parts, if the body is stored in parts that are not yet joined
/// to the row.
pub fn parts_of(row: &Item) -> Option<String> {
    (!row.contains_key(BODY)).then(|| named_parts(row))?
}

/// The prefix of the names of a row's parts, if the body is stored in parts.
pub fn named_parts(row: &Item) -> Option<String> {
    let (name, entry) = (read_text(row, BODY_PARTS)?, read_text(row, "entry")?);
    Some(format!("{entry}{BENEATH}{name}/"))
}

/// Joins parts to their rows and returns the rows alone. If a row's parts are missing, the row
/// stays as it is.
pub fn join(rows: Vec<Item>) -> Vec<Item> {
    let key = |row: &Item| {
        let field = |name| read_text(row, name).cloned();
        Some((field("coupon")?, field("entry")?))
    };
    let (parts, mut rows): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| read_text(row, "entry").is_some_and(|entry| is_part(entry)));
    if parts.is_empty() {
        return rows;
    }
    let parts: BTreeMap<_, _> = parts
        .iter()
        .filter_map(|part| Some((key(part)?, part)))
        .collect();
    for row in &mut rows {
        let (Some((coupon, _)), Some(beginning)) = (key(row), parts_of(row)) else {
            continue;
        };
        let count = parts_count(row);
        let chunks: Option<Vec<_>> = (1..=count)
            .map(|n| {
                let part = parts.get(&(coupon.clone(), format!("{beginning}{n:02}")))?;
                Some(part.get(BODY)?.as_b().ok()?.as_ref())
            })
            .collect();
        if let Some(chunks) = chunks.filter(|it| !it.is_empty()) {
            row.insert(BODY.into(), binary(chunks.concat()));
        }
    }
    rows
}

/// The number of parts of a row's body.
fn parts_count(row: &Item) -> usize {
    let count = row.get(BODY_PARTS_COUNT).and_then(|it| it.as_n().ok());
    let count: usize = count.and_then(|it| it.parse().ok()).unwrap_or_default();
    count.min(99)
}

fn binary(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../events/samples/zupy-coupon-redeemed.json");

    fn row() -> Item {
        let fields = [("coupon", "zupy#comp#CP-1"), ("entry", "redeemed")];
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
    fn a_row_holds_its_body_and_rows_of_older_code_hold_it_as_text() {
        let mut new = row();
        assert_eq!(put(&mut new, SAMPLE.as_bytes()), []);
        assert_eq!(read(&new).unwrap(), SAMPLE.as_bytes());
        let mut old = row();
        old.insert(BODY.into(), text(SAMPLE));
        assert_eq!(read(&old).unwrap(), SAMPLE.as_bytes());
        assert_eq!(read(&row()), Err(Unreadable::Absent));
    }

    #[test]
    fn a_body_that_no_row_can_hold_is_stored_in_parts_beneath_it() {
        let body = noise(BODY_MAX_BYTES);
        let mut row = row();
        let parts = put(&mut row, &body);
        assert_eq!(parts.len(), 4);
        assert_eq!(read(&row), Err(Unreadable::PartMissing));
        let beginning = parts_of(&row).unwrap();
        for part in &parts {
            let entry = read_text(part, "entry").unwrap();
            assert!(entry.starts_with(&beginning) && entry.starts_with("redeemed/body/"));
            assert!(is_part(entry), "{entry}");
            assert_eq!(part["ttl"], row["ttl"]);
        }
        // In any order.
        let mut rows: Vec<_> = parts.iter().rev().cloned().collect();
        rows.insert(2, row.clone());
        let joined = join(rows);
        assert_eq!(joined.len(), 1);
        assert_eq!(read(&joined[0]).unwrap(), body);
        // Without one of the parts.
        let joined = join(
            std::iter::once(row)
                .chain(parts.into_iter().skip(1))
                .collect(),
        );
        assert_eq!(joined.len(), 1);
        assert_eq!(read(&joined[0]), Err(Unreadable::PartMissing));
    }

    /// Two attempts to record one body write the same parts, and the parts of two bodies never mix.
    #[test]
    fn parts_are_named_by_what_they_hold() {
        let parts = |body: &[u8]| put(&mut row(), body);
        let body = noise(400_000);
        assert_eq!(parts(&body), parts(&body));
        let other = parts(&body[1..]);
        assert_ne!(other[0]["entry"], parts(&body)[0]["entry"]);
    }
}
