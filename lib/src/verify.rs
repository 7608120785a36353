//! Who sent these bytes, and when: HMAC-SHA256 signatures over the raw body, checked in constant time.
//!
//! Nothing is parsed before it is verified: parsers take [`Verified`], and only this module makes one.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use crate::request::Headers;

/// A body whose sender knew the secret.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a> {
    body: &'a [u8],
}

impl<'a> Verified<'a> {
    /// A body that was verified when it was recorded, read back from the ledger.
    pub(crate) fn recorded(body: &'a [u8]) -> Self {
        Self { body }
    }

    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// Why a request is refused. The sender never learns which: all answer 401 with one text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("the header {0} is missing")]
    Missing(&'static str),
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    #[error("the body is not the base64 that the event says it is")]
    Undecodable,
    #[error("no configured secret gives this signature")]
    Mismatch,
    #[error("signed {age_s} s ago, at most {max_age_s} s are accepted")]
    Stale { age_s: i64, max_age_s: i64 },
    #[error("signed {ahead_s} s in the future, at most {max_future_s} s are accepted")]
    Future { ahead_s: i64, max_future_s: i64 },
}

/// One secret that a provider may sign with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// White space around it is trimmed: a secret stored with a trailing newline is the commonest mistake.
    /// `None` where nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.as_bytes().into()))
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// All secrets that are valid now: several while one replaces another. Never empty.
#[derive(Debug, Clone)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Reads a comma-separated list. `None` where it names no secret.
    pub fn parse(text: &str) -> Option<Self> {
        let secrets: Vec<_> = text.split(',').filter_map(Secret::new).collect();
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    pub fn first(&self) -> &Secret {
        &self.0[0]
    }
}

/// How old, and how far in the future, a signature may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    pub max_age_s: i64,
    pub max_future_s: i64,
}

impl Freshness {
    pub fn check(&self, signed_at: Timestamp, now: Timestamp) -> Result<(), Unverified> {
        let age: SignedDuration = now.duration_since(signed_at);
        let age_s = age.as_secs();
        if age_s > self.max_age_s {
            return Err(Unverified::Stale {
                age_s,
                max_age_s: self.max_age_s,
            });
        }
        if -age_s > self.max_future_s {
            return Err(Unverified::Future {
                ahead_s: -age_s,
                max_future_s: self.max_future_s,
            });
        }
        Ok(())
    }
}

/// How a provider signs: which header carries the signature, and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    pub signature_header: &'static str,
    /// Stands before the hexadecimal digits in the header.
    pub prefix: &'static str,
    /// Unix seconds as text; signed as `{timestamp}.{body}`. `None`: the body alone is signed.
    pub timestamp_header: Option<&'static str>,
}

impl Scheme {
    /// Checks the signature over the bytes as they were sent, with every secret.
    /// Returns when it was signed, where the scheme says so.
    pub fn verify<'a>(
        &self,
        headers: &Headers<'_>,
        body: &'a [u8],
        secrets: &Secrets,
    ) -> Result<(Verified<'a>, Option<Timestamp>), Unverified> {
        let timestamp = match self.timestamp_header {
            Some(name) => Some((name, single(headers, name)?)),
            None => None,
        };
        let prefix = timestamp.map_or(String::new(), |(_, text)| format!("{text}."));
        let parts: [&[u8]; 2] = [prefix.as_bytes(), body];

        let mut refusal = Unverified::Missing(self.signature_header);
        for signature in headers.values(self.signature_header) {
            match self.digest(signature) {
                None if refusal != Unverified::Mismatch => {
                    refusal = Unverified::Malformed(self.signature_header);
                }
                None => {}
                Some(digest) if genuine(secrets, &parts, &digest) => {
                    let signed_at = timestamp.map(seconds).transpose()?;
                    return Ok((Verified { body }, signed_at));
                }
                Some(_) => refusal = Unverified::Mismatch,
            }
        }
        Err(refusal)
    }

    /// The headers that a sender adds, for samples and tests.
    pub fn sign(
        &self,
        body: &[u8],
        secret: &Secret,
        signed_at: Timestamp,
    ) -> Vec<(&'static str, String)> {
        let mut headers = Vec::with_capacity(2);
        let mut prefix = String::new();
        if let Some(name) = self.timestamp_header {
            let text = signed_at.as_second().to_string();
            prefix = format!("{text}.");
            headers.push((name, text));
        }
        let digest = secret
            .mac(&[prefix.as_bytes(), body])
            .finalize()
            .into_bytes();
        let signature = format!("{}{}", self.prefix, hex::encode(digest));
        headers.push((self.signature_header, signature));
        headers
    }

    fn digest(&self, signature: &str) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        hex::decode_to_slice(signature.strip_prefix(self.prefix)?, &mut digest).ok()?;
        Some(digest)
    }
}

/// Tries every secret even after one has matched, so that time tells nothing about which.
fn genuine(secrets: &Secrets, parts: &[&[u8]], digest: &[u8; 32]) -> bool {
    secrets.0.iter().fold(false, |found, secret| {
        secret.mac(parts).verify_slice(digest).is_ok() | found
    })
}

/// A header that may be repeated by a proxy, but only with one value.
fn single<'h>(headers: &'h Headers<'_>, name: &'static str) -> Result<&'h str, Unverified> {
    let mut values = headers.values(name);
    let first = values.next().ok_or(Unverified::Missing(name))?;
    if values.any(|other| other != first) {
        return Err(Unverified::Malformed(name));
    }
    Ok(first)
}

fn seconds((name, text): (&'static str, &str)) -> Result<Timestamp, Unverified> {
    text.parse()
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(Unverified::Malformed(name))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::provider::{aghanim, zupy};

    const GITHUB: Scheme = Scheme {
        signature_header: "X-Hub-Signature-256",
        prefix: "sha256=",
        timestamp_header: None,
    };

    fn check(
        scheme: Scheme,
        secrets: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        expected: Result<(), Unverified>,
    ) {
        let headers = headers.iter().copied().collect();
        let secrets = Secrets::parse(secrets).unwrap();
        let verified = scheme.verify(&headers, body, &secrets);
        assert_eq!(verified.map(|_| ()), expected);
    }

    /// Signatures over exact bytes, computed elsewhere; the published ones are GitHub's and RFC 4231's.
    #[test]
    fn known_answers() {
        #[derive(Deserialize)]
        struct Vector {
            name: String,
            scheme: String,
            secret: String,
            body_base64: String,
            headers: std::collections::BTreeMap<String, String>,
            expect_valid: bool,
        }
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap();
        let mut checked = 0;
        for vector in vectors {
            let scheme = match vector.scheme.as_str() {
                "aghanim" => aghanim::SCHEME,
                "zupy-v1" => zupy::SCHEME,
                "github-sha256" => GITHUB,
                _ => continue,
            };
            let body = STANDARD.decode(vector.body_base64).unwrap();
            let headers = vector.headers.into_iter().collect();
            let secrets = Secrets::parse(&vector.secret).unwrap();
            let verified = scheme.verify(&headers, &body, &secrets);
            assert_eq!(verified.is_ok(), vector.expect_valid, "{}", vector.name);
            checked += 1;
        }
        assert_eq!(checked, 13);
    }

    #[test]
    fn hmac_gives_what_rfc_4231_says() {
        let secret = Secret::new("Jefe").unwrap();
        let mac = secret.mac(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex::encode(mac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    const BODY: &[u8] = b"Hello, World!";
    const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const SECRET: &str = "It's a Secret to Everybody";

    fn check_github(secrets: &str, signatures: &[&str], expected: Result<(), Unverified>) {
        let headers: Vec<_> = signatures
            .iter()
            .map(|&signature| ("x-hub-signature-256", signature))
            .collect();
        check(GITHUB, secrets, &headers, BODY, expected);
    }

    #[test]
    fn accepts_the_old_secret_while_rotating() {
        let signature = format!("sha256={DIGEST}");
        check_github(&format!("new one, {SECRET}\n"), &[&signature], Ok(()));
        check_github("new one", &[&signature], Err(Unverified::Mismatch));
    }

    #[test]
    fn accepts_digits_in_either_case() {
        let signature = format!("sha256={}", DIGEST.to_uppercase());
        check_github(SECRET, &[&signature], Ok(()));
    }

    #[test]
    fn accepts_a_signature_among_repeated_headers() {
        let signature = format!("sha256={DIGEST}");
        let wrong = format!("sha256={}", DIGEST.replace('7', "8"));
        check_github(SECRET, &[&wrong, &signature], Ok(()));
        check_github(SECRET, &[&format!("{signature},{signature}")], Ok(()));
        check_github(SECRET, &[&wrong, "sha256=zz"], Err(Unverified::Mismatch));
    }

    #[test]
    fn refuses_what_is_no_signature() {
        let malformed = Err(Unverified::Malformed("X-Hub-Signature-256"));
        for signature in [
            "sha256=",
            "sha256=test_signature",
            DIGEST,
            &format!("sha512={DIGEST}"),
            &format!("sha256={}", &DIGEST[1..]),
            &format!("sha256={DIGEST}00"),
            "sha256=ção",
        ] {
            check_github(SECRET, &[signature], malformed.clone());
        }
        check_github(SECRET, &[], Err(Unverified::Missing("X-Hub-Signature-256")));
    }

    #[test]
    fn refuses_timestamps_that_contradict_or_are_no_number() {
        let secret = Secret::new("s").unwrap();
        let headers = aghanim::SCHEME.sign(BODY, &secret, Timestamp::from_second(7).unwrap());
        let (time, signature) = (headers[0].1.as_str(), headers[1].1.as_str());
        let names = [headers[0].0, headers[1].0];
        let check = |time: &str, expected| {
            let headers = [(names[0], time), (names[1], signature)];
            check(aghanim::SCHEME, "s", &headers, BODY, expected);
        };
        check(time, Ok(()));
        check("7,7", Ok(()));
        check("7,8", Err(Unverified::Malformed(names[0])));
        check("8", Err(Unverified::Mismatch));
        check("", Err(Unverified::Missing(names[0])));
    }

    #[test]
    fn freshness_has_both_ends() {
        let freshness = Freshness {
            max_age_s: 300,
            max_future_s: 60,
        };
        let now = Timestamp::from_second(1_000_000).unwrap();
        let check = |offset_s: i64, fresh: bool| {
            let signed_at = now + SignedDuration::from_secs(offset_s);
            assert_eq!(freshness.check(signed_at, now).is_ok(), fresh, "{offset_s}");
        };
        check(0, true);
        check(-300, true);
        check(-301, false);
        check(60, true);
        check(61, false);
        assert!(freshness.check(Timestamp::MIN, now).is_err());
        assert!(freshness.check(Timestamp::MAX, now).is_err());
    }

    #[test]
    fn blank_secrets_are_none() {
        assert!(Secrets::parse(" , \n,").is_none());
        assert_eq!(
            format!("{:?}", Secret::new("x").unwrap()),
            "Secret([redacted])"
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_what_is_changed_does_not(
            body in prop::collection::vec(any::<u8>(), 1..200),
            secret in "[!-+--~]{1,40}",
            seconds in 0_i64..4_000_000_000,
            position in any::<prop::sample::Index>(),
        ) {
            let at = Timestamp::from_second(seconds).unwrap();
            let secrets = Secrets::parse(&secret).unwrap();
            for scheme in [aghanim::SCHEME, zupy::SCHEME] {
                let headers = scheme.sign(&body, secrets.first(), at).into_iter().collect();
                prop_assert!(scheme.verify(&headers, &body, &secrets).is_ok());
                let mut changed = body.clone();
                changed[position.index(body.len())] ^= 1;
                prop_assert!(scheme.verify(&headers, &changed, &secrets).is_err());
            }
        }

        #[test]
        fn no_header_panics(signature in "\\PC{0,80}", time in "\\PC{0,30}") {
            let headers = [
                ("X-Aghanim-Signature", signature.as_str()),
                ("X-Aghanim-Signature-Timestamp", time.as_str()),
                ("X-Zupy-Signature", signature.as_str()),
            ];
            let headers = headers.into_iter().collect();
            let secrets = Secrets::parse("s").unwrap();
            for scheme in [aghanim::SCHEME, zupy::SCHEME] {
                prop_assert_eq!(scheme.verify(&headers, b"", &secrets).is_ok(), false);
            }
        }
    }
}
