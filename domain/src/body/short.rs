//! Deflate (RFC 1951) for short bodies, with a dictionary that is known beforehand.
//!
//! A general compressor clears half a megabyte and reads the dictionary again for each body. That
//! took a tenth of a webhook's time. This compressor indexes the dictionary once, and then a body
//! of a few hundred bytes takes a few microseconds. The codes are the fixed ones, which are the
//! shortest for such bodies. Any inflate reads the result.

/// The longest body that is compressed here. Longer bodies gain from codes of their own.
pub(super) const SHORT_MAX_BYTES: usize = 4096;

/// The shortest repetition that is worth a reference.
const MATCH_MIN: usize = 4;
/// The longest repetition that one reference can name.
const MATCH_MAX: usize = 258;

/// How many earlier places with the same beginning are compared.
const CHAIN_MAX: usize = 48;

const HASH_BITS: u32 = 12;
/// No place, because positions count from 1.
const NONE: u16 = 0;

/// The codes of a reference's length, as (first length, extra bits).
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The codes of a reference's distance, as (first distance, extra bits).
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// Where each beginning of four bytes stood in a text, the last place first.
struct Places {
    /// The last place for each hash.
    last: Box<[u16]>,
    /// For each place, the one before it with the same hash.
    before: Vec<u16>,
}

impl Places {
    fn of_length(length: usize) -> Self {
        let mut before = Vec::with_capacity(length + 1);
        before.push(NONE);
        Self {
            last: vec![NONE; 1 << HASH_BITS].into(),
            before,
        }
    }

    /// Adds the next place of a text. The last three bytes begin no group of four.
    fn add(&mut self, text: &[u8]) {
        let at = self.before.len();
        let mut before = NONE;
        if let Some(hash) = hash(&text[at - 1..]) {
            before = self.last[hash];
            self.last[hash] = at as u16;
        }
        self.before.push(before);
    }
}

fn hash(text: &[u8]) -> Option<usize> {
    let word = u32::from_le_bytes(*text.first_chunk::<MATCH_MIN>()?);
    Some((word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize)
}

/// A dictionary, indexed for references.
pub(super) struct Indexed {
    dictionary: &'static [u8],
    places: Places,
}

impl Indexed {
    /// Indexes a dictionary. A reference must reach over the dictionary and a short body together.
    pub(super) fn new(dictionary: &'static [u8]) -> Self {
        assert!(dictionary.len() + SHORT_MAX_BYTES <= 32 * 1024);
        let mut places = Places::of_length(dictionary.len());
        // A group at the dictionary's end would continue in the body, which is not known yet.
        (0..dictionary.len()).for_each(|_| places.add(dictionary));
        Self { dictionary, places }
    }

    /// Appends the deflate stream of a body.
    pub(super) fn deflate(&self, body: &[u8], stored: &mut Vec<u8>) {
        // The dictionary's places are not copied, because that would take longer than a short body.
        let mut own = Places::of_length(body.len());
        let mut bits = Bits::new(stored);
        // The first bits of a last block with fixed codes.
        bits.push(0b011, 3);
        let mut at = 0;
        while at < body.len() {
            let found = self.longest(body, at, &own);
            own.add(body);
            // If the next byte begins a longer repetition, a literal comes first.
            let length = match found {
                Some((length, _)) if length >= 32 => Some(length),
                Some((length, _)) => {
                    let later = self.longest(body, at + 1, &own);
                    Some(length).filter(|_| later.is_none_or(|(later, _)| later <= length))
                }
                None => None,
            };
            match (length, found) {
                (Some(length), Some((_, distance))) => {
                    bits.reference(length, distance);
                    (1..length).for_each(|_| own.add(body));
                    at += length;
                }
                _ => {
                    bits.literal(body[at].into());
                    at += 1;
                }
            }
        }
        bits.literal(256);
        bits.finish();
    }

    /// The longest repetition that begins at a place of the body, and its distance. The body
    /// follows the dictionary, so the body's own places are the nearer ones.
    fn longest(&self, body: &[u8], at: usize, own: &Places) -> Option<(usize, usize)> {
        let rest = body.get(at..)?;
        let hash = hash(rest)?;
        let rest = &rest[..rest.len().min(MATCH_MAX)];
        let mut best = None;
        let mut best_length = MATCH_MIN - 1;
        let mut compared = 0;
        let dictionary = self.dictionary;
        for (places, text, next, end) in [
            (own, body, &[][..], at),
            (&self.places, dictionary, body, dictionary.len() + at),
        ] {
            let mut place = places.last[hash];
            while place != NONE && best_length < rest.len() && compared < CHAIN_MAX {
                compared += 1;
                let start = usize::from(place) - 1;
                // Skips a place that cannot give a longer repetition.
                let decisive = start + best_length;
                let byte = match text.get(decisive) {
                    Some(byte) => *byte,
                    None => next[decisive - text.len()],
                };
                if byte == rest[best_length] {
                    let length = common(&text[start..], next, rest);
                    if length > best_length {
                        best_length = length;
                        best = Some((length, end - start));
                    }
                }
                place = places.before[usize::from(place)];
            }
        }
        best
    }
}

/// How many bytes of `rest` a text and the text after it begin with.
fn common(text: &[u8], next: &[u8], rest: &[u8]) -> usize {
    let length = same(text, rest);
    match length == text.len() {
        true => length + same(next, &rest[length..]),
        false => length,
    }
}

/// How many bytes two texts have in common at their beginnings.
fn same(a: &[u8], b: &[u8]) -> usize {
    let (words, _) = a.as_chunks::<8>();
    let (others, _) = b.as_chunks::<8>();
    let mut length = 0;
    for (word, other) in words.iter().zip(others) {
        let differing = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differing != 0 {
            return length + (differing.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = a[length..].iter().zip(&b[length..]);
    length + rest.take_while(|(a, b)| a == b).count()
}

/// A stream of bits, the lowest first.
struct Bits<'a> {
    bytes: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self {
            bytes,
            held: 0,
            count: 0,
        }
    }

    fn push(&mut self, bits: u32, count: u32) {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// A code; its highest bit comes first.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }

    /// A byte, the end of the block (256), or the first symbol of a reference.
    fn literal(&mut self, symbol: u32) {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xC0 + symbol - 280, 8),
        }
    }

    fn reference(&mut self, length: usize, distance: usize) {
        let of = |table: &[(u16, u8)], value: usize| {
            let code = table.partition_point(|(first, _)| usize::from(*first) <= value) - 1;
            let (first, extra) = table[code];
            (
                code as u32,
                (value - usize::from(first)) as u32,
                extra.into(),
            )
        };
        let (code, rest, extra) = of(&LENGTHS, length);
        self.literal(257 + code);
        self.push(rest, extra);
        let (code, rest, extra) = of(&DISTANCES, distance);
        self.code(code, 5);
        self.push(rest, extra);
    }

    fn finish(mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }
}
