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
