//! How a body is stored: compressed, in its row or in parts beneath the row. All code writes and
//! reads bodies through this module.
//!
//! A stored body is one byte, the number of a dictionary, and a raw deflate stream that was made
//! with that dictionary. A dictionary holds what the providers' bodies have in common, so an
//! ordinary row costs one write unit.
//!
//! Invariant: a dictionary never changes, because each row names the dictionary that reads it. A
//! better dictionary gets the next number.

mod joining;
mod short;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use sha2::{Digest, Sha256};

use crate::row::{Item, number, read_text, text};
pub use joining::Joining;
use short::{Indexed, SHORT_MAX_BYTES};

/// The longest body that is accepted, in bytes: Zupy documents up to 1 MB. A stored body that
/// expands beyond this length is refused.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// The attribute that holds a body. Rows of older code hold it as text.
pub const BODY: &str = "body";
/// The attribute that holds the name that all parts of a body share, if the body is stored in
/// parts.
pub const BODY_PARTS: &str = "body_parts";
/// The attribute that holds the number of parts.
pub const BODY_PARTS_COUNT: &str = "body_parts_count";
/// The separator between the row's entry and a part's own name.
const BENEATH: &str = "/body/";

/// The longest stored body that its row holds itself, and the longest part. A DynamoDB item has at
/// most 400 KB, and a row holds more than its body.
const PART_MAX_BYTES: usize = 300_000;

/// The number of the dictionary that bodies are written with.
const NEWEST: u8 = 1;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the row holds no body")]
    Absent,
    #[error("this version does not know the body's dictionary {0}")]
    Dictionary(u8),
    #[error("the stored body is damaged")]
    Damaged,
    #[error("the stored body is longer than {BODY_MAX_BYTES} bytes")]
    TooLong,
    #[error("a part of the body is missing")]
    PartMissing,
}

fn dictionary(id: u8) -> Result<&'static [u8], Unreadable> {
    match id {
        1 => Ok(include_bytes!("body/dictionary-1.txt")),
        _ => Err(Unreadable::Dictionary(id)),
    }
}

/// The newest dictionary, ready for short bodies.
static INDEXED: LazyLock<Indexed> = LazyLock::new(|| {
    let dictionary = dictionary(NEWEST).expect("the newest dictionary is known");
    Indexed::new(dictionary)
});

/// Compresses a body for storage.
pub fn compress(body: &[u8]) -> Vec<u8> {
    if body.len() <= SHORT_MAX_BYTES {
        let mut stored = Vec::with_capacity(body.len() + body.len() / 8 + 16);
        stored.push(NEWEST);
        INDEXED.deflate(body, &mut stored);
        return stored;
    }
    compress_long(body)
}

fn compress_long(body: &[u8]) -> Vec<u8> {
    let dictionary = dictionary(NEWEST).expect("the newest dictionary is known");
    let mut deflate = Compress::new(Compression::default(), false);
    deflate
        .set_dictionary(dictionary)
        .expect("a new stream takes a dictionary");
    // A body that does not compress grows by a few bytes in each block. The buffer grows if that is
    // not enough.
    let mut stored = Vec::with_capacity(body.len() / 2 + 256);
    stored.push(NEWEST);
    loop {
        let read = usize::try_from(deflate.total_in()).expect("no more than was given");
        let status = deflate.compress_vec(&body[read..], &mut stored, FlushCompress::Finish);
        match status.expect("deflating memory cannot fail") {
            Status::StreamEnd => return stored,
            Status::Ok | Status::BufError => stored.reserve(stored.len().max(4096)),
        }
    }
}

/// Restores a body that was stored.
///
/// # Errors
/// The stored body is damaged, longer than any accepted body, or made with a dictionary that this
/// version does not know.
pub fn decompress(stored: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let (id, stream) = stored.split_first().ok_or(Unreadable::Damaged)?;
    let mut inflate = Decompress::new(false);
    inflate
        .set_dictionary(dictionary(*id)?)
        .map_err(|_| Unreadable::Damaged)?;
    let mut body = Vec::with_capacity((stream.len() * 4).clamp(1024, BODY_MAX_BYTES + 1));
    loop {
        let read = usize::try_from(inflate.total_in()).map_err(|_| Unreadable::Damaged)?;
        let before = (read, body.len());
        let status = inflate
            .decompress_vec(&stream[read..], &mut body, FlushDecompress::Finish)
            .map_err(|_| Unreadable::Damaged)?;
        if body.len() > BODY_MAX_BYTES {
            return Err(Unreadable::TooLong);
        }
        if status == Status::StreamEnd {
            return Ok(body);
        }
        let read = usize::try_from(inflate.total_in()).map_err(|_| Unreadable::Damaged)?;
        if body.len() < body.capacity() && (read, body.len()) == before {
            // The stream ends in the middle.
            return Err(Unreadable::Damaged);
        }
        if body.len() == body.capacity() {
            let longer = body.len().min(BODY_MAX_BYTES + 1 - body.len());
            body.reserve_exact(longer.max(1));
        }
    }
}

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

/// Whether the row with this entry is a part of another row's body.
pub fn is_part(entry: &str) -> bool {
    let mut from_the_end = entry.rsplit('/');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    from_the_end.next().is_some_and(is_number)
        && from_the_end.next().is_some_and(|name| name.len() == 16)
        && from_the_end.next() == Some("body")
        && from_the_end.next().is_some()
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
    let parts: BTreeMap<_, _> = parts.iter().filter_map(|it| Some((key(it)?, it))).collect();
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
    use proptest::prelude::*;

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

    /// Every row names its dictionary, so an edit of a dictionary would make rows unreadable.
    #[test]
    fn a_dictionary_never_changes() {
        let digest = Sha256::digest(dictionary(1).unwrap());
        assert_eq!(
            hex::encode(digest),
            "f81348c28afa6e3f22b991bef353ee46f8bccf60108d2cefc8c9a655e348a044"
        );
        assert_eq!(dictionary(2), Err(Unreadable::Dictionary(2)));
    }

    /// The stored bytes come from another implementation, zlib's own, with dictionary 1.
    #[test]
    fn a_body_written_by_dictionary_1_stays_readable() {
        let stored = hex::decode("0123b22c32d33530d435300a3130b63230b13230c59eb22a946a01").unwrap();
        assert_eq!(
            decompress(&stored).unwrap(),
            br#"{"event":"coupon.used","timestamp":"2026-01-02T03:04:05Z","company_id":"comp_x"}"#
        );
    }

    #[test]
    fn a_sample_takes_a_quarter_of_its_bytes() {
        let stored = compress(SAMPLE.as_bytes());
        assert!(stored.len() < SAMPLE.len() / 4, "{}", stored.len());
        assert_eq!(decompress(&stored).unwrap(), SAMPLE.as_bytes());
    }

    /// For short bodies, our own compressor saves at least as much as a general one.
    #[test]
    fn short_bodies_take_no_more_than_by_a_general_compressor() {
        for body in [
            SAMPLE,
            include_str!("../../../events/samples/zupy-coupon-used.json"),
            include_str!("../../../events/samples/zupy-v2-reward-redeemed.json"),
            include_str!("../../../events/samples/aghanim-coupon-redeemed-bundle.json"),
        ] {
            let (short, long) = (compress(body.as_bytes()), compress_long(body.as_bytes()));
            assert_eq!(decompress(&short).unwrap(), decompress(&long).unwrap());
            let (short, long) = (short.len(), long.len());
            assert!(short <= long + long / 50, "{short} and {long} bytes");
        }
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

    #[test]
    fn a_record_is_no_part() {
        for entry in [
            "redeemed",
            "redeemed/body",
            "redeemed/delivery/email",
            "redeemed/fraud/alert/1",
            "redeemed/conflict/0123456789abcdef",
            "body/0123456789abcdef/01",
            "redeemed/body/0123456789abcdef",
            "redeemed/body/0123456789abcdef/",
        ] {
            assert!(!is_part(entry), "{entry}");
        }
        assert!(is_part("used#1/body/0123456789abcdef/01"));
        assert!(is_part(
            "used#1/conflict/0123456789abcdef/body/0123456789abcdef/01"
        ));
    }

    #[test]
    fn a_bomb_is_not_expanded() {
        let longest = vec![b' '; BODY_MAX_BYTES];
        assert_eq!(decompress(&compress(&longest)).unwrap(), longest);
        let bomb = compress(&vec![b' '; 8 * BODY_MAX_BYTES]);
        assert!(bomb.len() < 20_000);
        assert_eq!(decompress(&bomb), Err(Unreadable::TooLong));
    }

    #[test]
    fn a_damaged_body_is_an_error() {
        let stored = compress(SAMPLE.as_bytes());
        assert_eq!(decompress(&[]), Err(Unreadable::Damaged));
        assert_eq!(decompress(&[NEWEST]), Err(Unreadable::Damaged));
        assert_eq!(decompress(&[9, 1, 2]), Err(Unreadable::Dictionary(9)));
        for end in 0..stored.len() {
            assert!(decompress(&stored[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn every_stored_body_is_read_back(body in prop::collection::vec(any::<u8>(), 0..20_000)) {
            prop_assert_eq!(decompress(&compress(&body)), Ok(body));
        }

        #[test]
        fn short_bodies_that_repeat_themselves_are_read_back(
            pieces in prop::collection::vec((0..9_000_usize, 1..400_usize, any::<u8>()), 0..12),
        ) {
            let dictionary = dictionary(NEWEST).unwrap();
            let mut body = Vec::new();
            for (start, length, byte) in pieces {
                body.extend(dictionary.iter().skip(start).take(length));
                body.push(byte);
            }
            body.truncate(SHORT_MAX_BYTES);
            prop_assert_eq!(decompress(&compress(&body)), Ok(body));
        }

        #[test]
        fn no_stored_body_panics(stored in prop::collection::vec(any::<u8>(), 0..2_000)) {
            for id in [0, 1, 2] {
                let stored = [&[id], stored.as_slice()].concat();
                if let Ok(body) = decompress(&stored) {
                    prop_assert!(body.len() <= BODY_MAX_BYTES);
                }
            }
        }
    }
}
