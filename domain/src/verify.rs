//! Who sent these bytes, and when: checks HMAC-SHA256 signatures over the raw body in constant
//! time.
//!
//! Nothing is parsed before it is verified: parsers take [`Verified`], and only this module makes
//! one.

mod secret;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::headers::Headers;
use crate::per_tenant::Zones;

pub use secret::{Holder, Secret, Secrets, Unusable, mac};

/// A body whose sender knew a secret.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a> {
    body: &'a [u8],
    scheme: &'a str,
    tenant: Option<&'a str>,
    zones: Option<&'a Zones>,
}

impl<'a> Verified<'a> {
    /// A body that was verified when it was received, and then stored.
    pub fn recorded(body: &'a [u8], scheme: &'a str, tenant: Option<&'a str>) -> Self {
        Self {
            body,
            scheme,
            tenant,
            zones: None,
        }
    }

    /// The same body with time zones for its dates without a time. Without zones, such dates are
    /// read in UTC.
    pub fn in_zones(self, zones: &'a Zones) -> Self {
        Self {
            zones: Some(zones),
            ..self
        }
    }

    /// The same body in the format of another scheme, if one is named.
    pub fn in_format(self, scheme: Option<&'a str>) -> Self {
        Self {
            scheme: scheme.unwrap_or(self.scheme),
            ..self
        }
    }

    /// The time zone of a tenant.
    pub fn zone(&self, tenant: &str) -> TimeZone {
        self.zones
            .map_or(TimeZone::UTC, |zones| zones.of(tenant).clone())
    }

    /// The body's bytes.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The name of the scheme that the body was signed by.
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// The tenant that the secret names. The tenant's own secret signed the body.
    pub fn tenant(&self) -> Option<&'a str> {
        self.tenant
    }
}

/// Why a request is refused. The sender never learns the reason, because each one gets the same
/// 401.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The request has no header of this name.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// The header is not in its scheme's form, or is repeated with different values.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// The gateway's event says that the body is base64, and the body is not.
    #[error("the body is not the base64 that the event says it is")]
    Undecodable,
    /// The signature is well-formed, and no secret gives it.
    #[error("no configured secret gives this signature")]
    Mismatch,
    /// The signature is good, but its secret may not sign for the tenant that the body names.
    #[error("the secret belongs to another tenant than the body names")]
    OtherTenant,
    /// The signature is good but old, so the request may be a replay.
    #[error("signed {age_s} s ago; at most {max_age_s} s are accepted")]
    Stale {
        /// The signature's age, in seconds.
        age_s: i64,
        /// The greatest accepted age, in seconds.
        max_age_s: i64,
    },
    /// The signature is good, but its time lies too far ahead of our clock.
    #[error("signed {ahead_s} s in the future; at most {max_future_s} s are accepted")]
    Future {
        /// How far the time lies ahead, in seconds.
        ahead_s: i64,
        /// How far it may lie ahead, in seconds.
        max_future_s: i64,
    },
}

/// How old, and how far in the future, a signature may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The greatest accepted age, in seconds.
    pub max_age_s: i64,
    /// How far the sender's clock may be ahead of ours, in seconds.
    pub max_future_s: i64,
}

impl Freshness {
    /// Checks the time of a signature.
    ///
    /// # Errors
    /// The signature is too old, or too far in the future.
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

/// How a provider signs: the signature's header, and the bytes that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// The scheme's name in the ledger.
    pub name: &'static str,
    /// The header that holds the signature. Each scheme of a provider has a header of its own.
    pub signature_header: &'static str,
    /// How the header holds the signature.
    pub encoding: Encoding,
    /// Headers whose values are signed before the body, each followed by a dot.
    pub signed_headers: &'static [&'static str],
    /// The signed header that holds Unix seconds, if there is one.
    pub timestamp_header: Option<&'static str>,
}

/// How a signature is written, and how the secret's text becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits after a prefix; the key is the secret's UTF-8 bytes.
    Hex {
        /// The text before the digits, such as `sha256=`, or nothing.
        prefix: &'static str,
    },
    /// `v1,` and base64, several separated by spaces; the key is the base64 after `whsec_`.
    StandardWebhooks,
}

/// The Standard Webhooks specification, <https://www.standardwebhooks.com>, with symmetric
/// signatures.
pub const STANDARD_WEBHOOKS: Scheme = Scheme {
    name: "standard-webhooks",
    signature_header: "webhook-signature",
    encoding: Encoding::StandardWebhooks,
    signed_headers: &["webhook-id", "webhook-timestamp"],
    timestamp_header: Some("webhook-timestamp"),
};

/// Checks the signature by the first scheme that has its header in the request and a good
/// signature.
///
/// # Errors
/// No signature is good. The reason is for the log only.
pub fn verify<'a>(
    schemes: &'static [Scheme],
    headers: &Headers<'_>,
    body: &'a [u8],
    secrets: &'a Secrets,
) -> Result<(Verified<'a>, Option<Timestamp>), Unverified> {
    let mut genuine = verify_all(schemes, headers, body, secrets)?;
    Ok(genuine.swap_remove(0))
}

/// Checks the signatures by all schemes that have their header in the request. On success, at least
/// one is returned.
///
/// # Errors
/// No signature is good. The reason is for the log only.
pub fn verify_all<'a>(
    schemes: &'static [Scheme],
    headers: &Headers<'_>,
    body: &'a [u8],
    secrets: &'a Secrets,
) -> Result<Vec<(Verified<'a>, Option<Timestamp>)>, Unverified> {
    let mut genuine = Vec::new();
    let mut refusal = None;
    for scheme in schemes {
        match scheme.verify(headers, body, secrets) {
            Ok(verified) => genuine.push(verified),
            Err(Unverified::Missing(_)) if refusal.is_some() => {}
            Err(other) => refusal = Some(other),
        }
    }
    match genuine.is_empty() {
        true => Err(refusal.expect("a provider has a scheme")),
        false => Ok(genuine),
    }
}

impl Scheme {
    /// Checks the signature over the bytes as sent, with every secret. Returns when the body was
    /// signed, if the scheme signs a time.
    ///
    /// # Errors
    /// No signature is good. The reason is for the log only.
    pub fn verify<'a>(
        &self,
        headers: &Headers<'_>,
        body: &'a [u8],
        secrets: &'a Secrets,
    ) -> Result<(Verified<'a>, Option<Timestamp>), Unverified> {
        if headers.values(self.signature_header).next().is_none() {
            return Err(Unverified::Missing(self.signature_header));
        }
        let mut prefix = String::new();
        let mut timestamp = None;
        for &name in self.signed_headers {
            let value = single(headers, name)?;
            prefix.push_str(value);
            prefix.push('.');
            if self.timestamp_header == Some(name) {
                timestamp = Some((name, value));
            }
        }
        let claimed = self.digests(headers);
        if claimed.is_empty() {
            return Err(Unverified::Malformed(self.signature_header));
        }
        let tenant = self
            .signer(secrets, &[prefix.as_bytes(), body], &claimed)
            .ok_or(Unverified::Mismatch)?;
        let verified = Verified {
            body,
            scheme: self.name,
            tenant,
            zones: None,
        };
        Ok((verified, timestamp.map(seconds).transpose()?))
    }

    /// Whether the secret is a key of this scheme: Standard Webhooks needs base64.
    pub fn takes(&self, secret: &Secret) -> bool {
        self.mac(secret, &[]).is_some()
    }

    /// The headers that a sender adds. The same body always has the same id.
    pub fn sign(
        &self,
        body: &[u8],
        secret: &Secret,
        signed_at: Timestamp,
    ) -> Vec<(&'static str, String)> {
        let id = format!("msg_{}", &hex::encode(Sha256::digest(body))[..24]);
        self.sign_as(&id, body, &[secret], signed_at)
    }

    /// Like [`sign`](Self::sign), for a message with this id, and with every secret that is valid
    /// during a rotation. If the scheme's header holds only one signature, the first secret signs.
    pub fn sign_as(
        &self,
        id: &str,
        body: &[u8],
        secrets: &[&Secret],
        signed_at: Timestamp,
    ) -> Vec<(&'static str, String)> {
        let mut headers = Vec::with_capacity(3);
        let mut prefix = String::new();
        for &name in self.signed_headers {
            let value = if self.timestamp_header == Some(name) {
                signed_at.as_second().to_string()
            } else {
                id.to_owned()
            };
            prefix = format!("{prefix}{value}.");
            headers.push((name, value));
        }
        // A secret that is no key of this scheme gives no signature.
        let macs = secrets
            .iter()
            .filter_map(|secret| self.mac(secret, &[prefix.as_bytes(), body]));
        let mut digests = macs.map(|mac| mac.finalize().into_bytes());
        let signature = match self.encoding {
            Encoding::Hex { prefix } => digests.next().map_or(String::new(), |digest| {
                format!("{prefix}{}", hex::encode(digest))
            }),
            Encoding::StandardWebhooks => {
                let signatures = digests.map(|digest| format!("v1,{}", STANDARD.encode(digest)));
                signatures.collect::<Vec<_>>().join(" ")
            }
        };
        headers.push((self.signature_header, signature));
        headers
    }

    /// Every well-formed digest in the signature header.
    fn digests(&self, headers: &Headers<'_>) -> Vec<[u8; 32]> {
        let pieces = headers.values(self.signature_header);
        match self.encoding {
            Encoding::Hex { prefix } => pieces
                .filter_map(|piece| {
                    let mut digest = [0; 32];
                    let digits = piece.strip_prefix(prefix)?;
                    hex::decode_to_slice(digits, &mut digest).ok()?;
                    Some(digest)
                })
                .collect(),
            Encoding::StandardWebhooks => {
                let words: Vec<_> = pieces.flat_map(str::split_whitespace).collect();
                let signatures = words.windows(2).filter(|pair| pair[0] == "v1");
                signatures
                    .filter_map(|pair| STANDARD.decode(pair[1]).ok()?.try_into().ok())
                    .collect()
            }
        }
    }

    /// The tenant of the secret that gives one of the claimed digests. Each secret's own digest is
    /// computed once, and every secret is tried even after a match. So the time reveals nothing
    /// about which secret matched.
    fn signer<'a>(
        &self,
        secrets: &'a Secrets,
        parts: &[&[u8]],
        claimed: &[[u8; 32]],
    ) -> Option<Option<&'a str>> {
        secrets.signers().fold(None, |found, (tenant, secret)| {
            let genuine = self.mac(secret, parts).is_some_and(|mac| {
                let own = mac.finalize();
                let same = |digest: &[u8; 32]| own == CtOutput::new((*digest).into());
                claimed
                    .iter()
                    .fold(false, |found, digest| found | same(digest))
            });
            found.or(genuine.then_some(tenant))
        })
    }

    /// `None` if the secret is no key of this scheme.
    fn mac(&self, secret: &Secret, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let decoded;
        let key = match self.encoding {
            Encoding::Hex { .. } => secret.bytes(),
            Encoding::StandardWebhooks => {
                let text = secret.bytes();
                decoded = STANDARD
                    .decode(text.strip_prefix(b"whsec_").unwrap_or(text))
                    .ok()?;
                &decoded
            }
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        Some(mac)
    }
}

/// A header that a proxy may repeat, but only with the same value.
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
mod tests;
