//! Checks of signatures: no input causes a panic, a provider's signature verifies, and a changed
//! one does not.
//!
//! An input reads like a request: a line of secrets, a line for each header, an empty line, the
//! body.

use domain::headers::Headers;
use domain::provider::{aghanim, zupy};
use domain::verify::{
    Encoding, Freshness, STANDARD_WEBHOOKS, Scheme, Secrets, Unusable, Unverified, verify,
};
use jiff::Timestamp;

const ALL: [Scheme; 4] = [aghanim::SCHEME, zupy::V1, zupy::V2, STANDARD_WEBHOOKS];

/// The most secrets of an input. More take longer and find nothing new.
const SECRETS_MAX: usize = 6;

/// Secrets that an input can contain only if it contains these parts: a text, and base64 of it.
const FOREIGN: &str = "nobody's,whsec_bm9ib2R5J3M=";
const FOREIGN_PARTS: [&str; 2] = ["nobody", "bm9ib2R5"];

pub fn check(data: &[u8]) {
    let Some(input) = Input::read(data) else {
        return;
    };
    let secrets = match Secrets::parse(input.secrets) {
        Ok(secrets) => secrets,
        Err(Unusable::Empty) => {
            assert!(input.pieces().next().is_none(), "a secret was overlooked");
            return;
        }
        Err(_) => return,
    };
    assert_eq!(secrets.clone().and(secrets.clone()), secrets);
    // JSON has its own rules, which the reader's unit tests check.
    if input.secrets.contains(['{', '[']) {
        return;
    }
    let spaced = format!("\t{}\n", input.secrets.replace(',', " ,,\t"));
    let spaced = Secrets::parse(&spaced).expect("blanks do not count");
    assert!(spaced.all().eq(secrets.all()), "blanks do not count");
    freshness_is_a_span(input.signed_at());
    as_it_came(&input, &secrets);
    for scheme in ALL {
        for secret in input.pieces() {
            as_signed(&input, &scheme, &secret, &secrets);
        }
    }
}

struct Input<'a> {
    secrets: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
}

impl<'a> Input<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let end = data.windows(2).position(|bytes| bytes == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&data[..end], &data[end + 2..]),
            None => (data, &[][..]),
        };
        let mut lines = std::str::from_utf8(head).ok()?.split('\n');
        let secrets = lines.next()?;
        let headers = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
        (secrets.split(',').count() <= SECRETS_MAX).then(|| Self {
            secrets,
            headers: headers.collect(),
            body,
        })
    }

    /// The secrets one by one.
    fn pieces(&self) -> impl Iterator<Item = Secrets> {
        self.secrets
            .split(',')
            .filter_map(|piece| Secrets::parse(piece).ok())
    }

    /// The time of signing that the request claims.
    fn signed_at(&self) -> Timestamp {
        let mut numbers = self
            .headers
            .iter()
            .filter_map(|(_, it)| it.trim().parse().ok());
        let seconds = numbers.next().unwrap_or_default();
        Timestamp::from_second(seconds).unwrap_or_default()
    }

    /// A position that depends on the input, so that similar inputs try different positions.
    fn place_in(&self, length: usize) -> usize {
        let bytes = self.secrets.bytes().chain(self.body.iter().copied());
        let sum = bytes.fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        sum % length
    }

    /// The body with one bit flipped, with a byte more, and with a byte less.
    fn damaged_bodies(&self) -> Vec<Vec<u8>> {
        let mut longer = self.body.to_vec();
        longer.push(b' ');
        let mut bodies = vec![longer];
        if let [shorter @ .., _] = self.body {
            bodies.push(shorter.to_vec());
            let mut flipped = self.body.to_vec();
            let bit = self.place_in(8 * flipped.len());
            flipped[bit / 8] ^= 1 << (bit % 8);
            bodies.push(flipped);
        }
        bodies
    }
}

/// The span has the configured length, for any current time.
fn freshness_is_a_span(signed_at: Timestamp) {
    let freshness = Freshness {
        max_age_s: 300,
        max_future_s: 60,
    };
    for now in [
        Timestamp::MIN,
        Timestamp::UNIX_EPOCH,
        Timestamp::MAX,
        signed_at,
    ] {
        let is_fresh = (-60..=300).contains(&(now.as_second() - signed_at.as_second()));
        assert_eq!(freshness.check(signed_at, now).is_ok(), is_fresh);
    }
}

/// The request with its own headers.
fn as_it_came(input: &Input<'_>, secrets: &Secrets) {
    let headers = input.headers.iter().copied().collect();
    let mut first = None;
    for scheme in ALL {
        let Ok((verified, _)) = scheme.verify(&headers, input.body, secrets) else {
            continue;
        };
        first = first.or(Some(verified.scheme()));
        refuses_damage(input, &scheme, &headers, secrets);
    }
    static ALL_OF_THEM: [Scheme; 4] = ALL;
    let verified = verify(&ALL_OF_THEM, &headers, input.body, secrets);
    assert_eq!(verified.ok().map(|(verified, _)| verified.scheme()), first);
}

/// The request with the headers that a provider would add.
fn as_signed(input: &Input<'_>, scheme: &Scheme, signer: &Secrets, secrets: &Secrets) {
    let signed_at = input.signed_at();
    let signed = scheme.sign(input.body, signer.first(), signed_at);
    let headers = signed.iter().cloned().collect();
    let verified = scheme.verify(&headers, input.body, secrets);
    let (_, signature) = signed.last().expect("a scheme has a signature's header");
    if signature.is_empty() {
        let missing = Unverified::Missing(scheme.signature_header);
        assert_eq!(verified.err(), Some(missing), "signed by what is no key");
        return;
    }
    let (verified, time) = verified.expect("what was signed verifies");
    assert_eq!(verified.body(), input.body);
    assert_eq!(verified.scheme(), scheme.name);
    // Several secrets may be the same key; the first of them decides.
    let same = |secret: &Secrets| scheme.sign(input.body, secret.first(), signed_at) == signed;
    let of_first = input.pieces().find(same).expect("one of them signed");
    let (by_first, _) = scheme
        .verify(&headers, input.body, &of_first)
        .expect("what was signed verifies by its secret alone");
    assert_eq!(verified.tenant(), by_first.tenant());
    let whole_second = Timestamp::from_second(signed_at.as_second()).ok();
    assert_eq!(time, scheme.timestamp_header.and(whole_second));

    refuses_damage(input, scheme, &headers, secrets);
    accepts_other_spellings(input, scheme, &signed, secrets);
    refuses_changed_headers(input, scheme, &signed, secrets);
}

fn refuses_damage(input: &Input<'_>, scheme: &Scheme, headers: &Headers<'_>, secrets: &Secrets) {
    for body in input.damaged_bodies() {
        refused(scheme, headers, &body, secrets);
    }
    if !FOREIGN_PARTS
        .iter()
        .any(|part| input.secrets.contains(part))
    {
        let foreign = Secrets::parse(FOREIGN).expect("there are two");
        refused(scheme, headers, input.body, &foreign);
    }
}

fn refused(scheme: &Scheme, headers: &Headers<'_>, body: &[u8], secrets: &Secrets) {
    let verified = scheme.verify(headers, body, secrets);
    assert_eq!(
        verified.err(),
        Some(Unverified::Mismatch),
        "{}",
        scheme.name
    );
}

/// Other cases of names and digits, a proxy's repetitions, and a new secret next to the one that
/// signed.
fn accepts_other_spellings(
    input: &Input<'_>,
    scheme: &Scheme,
    signed: &[(&'static str, String)],
    secrets: &Secrets,
) {
    let shouted = |(name, value): &(&str, String)| (name.to_uppercase(), value.clone());
    let shouted = signed.iter().map(shouted).collect();
    let repeated = |(name, value): &(&'static str, String)| (*name, format!("{value}, {value}"));
    let repeated = signed.iter().map(repeated).collect();
    let wrong = match scheme.encoding {
        Encoding::Hex { prefix } => format!("{prefix}{:064}", 0),
        Encoding::StandardWebhooks => format!("v1,{}=", "A".repeat(43)),
    };
    let after_a_wrong_one = [(scheme.signature_header, wrong)];
    let after_a_wrong_one = after_a_wrong_one.iter().chain(signed).cloned().collect();
    let mut spellings: Vec<Headers<'_>> = vec![shouted, repeated, after_a_wrong_one];
    if let Encoding::Hex { prefix } = scheme.encoding {
        let mut upper = signed.to_vec();
        for (_, value) in &mut upper {
            let digits = value.strip_prefix(prefix).unwrap_or(value);
            *value = format!("{prefix}{}", digits.to_uppercase());
        }
        spellings.push(upper.into_iter().collect());
    }
    let rotated = Secrets::parse(FOREIGN).expect("there are two");
    let rotated = rotated.and(secrets.clone());
    for headers in &spellings {
        let verified = scheme.verify(headers, input.body, &rotated);
        assert!(verified.is_ok(), "{}: {verified:?}", scheme.name);
    }
}

/// Each header left out, and each with one character changed.
fn refuses_changed_headers(
    input: &Input<'_>,
    scheme: &Scheme,
    signed: &[(&'static str, String)],
    secrets: &Secrets,
) {
    for (index, (name, value)) in signed.iter().enumerate() {
        let mut without = signed.to_vec();
        without.remove(index);
        let without = without.into_iter().collect();
        let verified = scheme.verify(&without, input.body, secrets);
        assert_eq!(verified.err(), Some(Unverified::Missing(name)));

        let mut changed = signed.to_vec();
        changed[index].1 = with_another_character(value, input.place_in(value.len()));
        let changed = changed.into_iter().collect();
        let verified = scheme.verify(&changed, input.body, secrets);
        assert!(verified.is_err(), "{}: {name} was changed", scheme.name);
    }
}

/// Another character, and not just the other case, which would be the same digit.
fn with_another_character(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
    String::from_utf8(bytes).expect("headers that are signed are ASCII")
}
