//! How a body is compressed for storage, and the names of its attributes and parts. All code
//! compresses and restores bodies through this module.
//!
//! A stored body is one byte, the number of a dictionary, and a raw deflate stream that was made
//! with that dictionary. A dictionary holds what the providers' bodies have in common, so an
//! ordinary row costs one write unit.
//!
//! Invariant: a dictionary never changes, because each row names the dictionary that reads it. A
//! better dictionary gets the next number.

mod short;

use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use short::{Indexed, SHORT_MAX_BYTES};

/// The attribute that holds a body. Rows of older code hold it as text.
pub const BODY: &str = "body";
/// The attribute that holds the name that all parts of a body share, if the body is stored in
/// parts.
pub const BODY_PARTS: &str = "body_parts";
/// The attribute that holds the number of parts.
pub const BODY_PARTS_COUNT: &str = "body_parts_count";

/// The longest body that is accepted, in bytes: Zupy documents up to 1 MB. A stored body that
/// expands beyond this length is refused.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// The number of the dictionary that bodies are written with.
const NEWEST: u8 = 1;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The row is of a kind without a body, such as a task's record.
    #[error("the row holds no body")]
    Absent,
    /// Newer code wrote the body. The number is the first stored byte.
    #[error("this version does not know the body's dictionary {0}")]
    Dictionary(u8),
    /// The stored bytes are no deflate stream that their dictionary reads.
    #[error("the stored body is damaged")]
    Damaged,
    /// The stored body expands beyond what is ever accepted.
    #[error("the stored body is longer than {BODY_MAX_BYTES} bytes")]
    TooLong,
    /// The row names parts that do not exist, or that were not joined to the row.
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

/// Whether the row with this entry is a part of another row's body.
pub fn is_part(entry: &str) -> bool {
    let mut from_the_end = entry.rsplit('/');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    from_the_end.next().is_some_and(is_number)
        && from_the_end.next().is_some_and(|name| name.len() == 16)
        && from_the_end.next() == Some("body")
        && from_the_end.next().is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    const SAMPLE: &str = include_str!("../../events/samples/zupy-coupon-redeemed.json");

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
            include_str!("../../events/samples/zupy-coupon-used.json"),
            include_str!("../../events/samples/zupy-v2-reward-redeemed.json"),
            include_str!("../../events/samples/aghanim-coupon-redeemed-bundle.json"),
        ] {
            let (short, long) = (compress(body.as_bytes()), compress_long(body.as_bytes()));
            assert_eq!(decompress(&short).unwrap(), decompress(&long).unwrap());
            let (short, long) = (short.len(), long.len());
            assert!(short <= long + long / 50, "{short} and {long} bytes");
        }
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
