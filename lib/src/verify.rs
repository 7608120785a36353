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

use crate::per_tenant::Zones;
use crate::request::Headers;

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
    pub(crate) fn recorded(body: &'a [u8], scheme: &'a str, tenant: Option<&'a str>) -> Self {
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

    /// The time zone of a tenant.
    pub fn zone(&self, tenant: &str) -> TimeZone {
        self.zones
            .map_or(TimeZone::UTC, |zones| zones.of(tenant).clone())
    }

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
    #[error("the header {0} is missing")]
    Missing(&'static str),
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    #[error("the body is not the base64 that the event says it is")]
    Undecodable,
    #[error("no configured secret gives this signature")]
    Mismatch,
    #[error("the secret is of another tenant than the body names")]
    OtherTenant,
    #[error("signed {age_s} s ago; at most {max_age_s} s are accepted")]
    Stale { age_s: i64, max_age_s: i64 },
    #[error("signed {ahead_s} s in the future; at most {max_future_s} s are accepted")]
    Future { ahead_s: i64, max_future_s: i64 },
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

/// How a provider signs: the signature's header, and the bytes that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// The scheme's name in the ledger.
    pub name: &'static str,
    pub signature_header: &'static str,
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
    Hex { prefix: &'static str },
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
    /// during a rotation. If the scheme's header holds only one signature, it is the first
    /// secret's.
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
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::provider::{aghanim, zupy};

    const GITHUB: Scheme = Scheme {
        signature_header: "X-Hub-Signature-256",
        name: "github",
        encoding: Encoding::Hex { prefix: "sha256=" },
        signed_headers: &[],
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

    /// Signatures over exact bytes that other programs computed. Some are published by GitHub and
    /// in RFC 4231.
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
                "zupy-v1" => zupy::V1,
                "zupy-v2" => zupy::V2,
                "standard-webhooks" => STANDARD_WEBHOOKS,
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
        assert_eq!(checked, 16);
    }

    #[test]
    fn hmac_gives_what_rfc_4231_says() {
        let secret = Secret::new("Jefe").unwrap();
        let mac = GITHUB.mac(&secret, &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex::encode(mac.unwrap().finalize().into_bytes()),
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
    fn refuses_a_malformed_signature() {
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
    fn standard_webhooks_takes_any_of_several_signatures() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let genuine = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let check = |secrets: &str, signature: &str, expected| {
            let headers = [
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", signature),
            ];
            let body = br#"{"test": 2432232314}"#;
            check(STANDARD_WEBHOOKS, secrets, &headers, body, expected);
        };
        check(secret, genuine, Ok(()));
        check(
            secret,
            &format!("v1,{} v1a,xyz {genuine}", "A".repeat(43) + "="),
            Ok(()),
        );
        let malformed = Err(Unverified::Malformed("webhook-signature"));
        check(secret, &genuine.replace("v1", "v2"), malformed.clone());
        check(secret, "v1,!!!", malformed);
        check("whsec_bm90IHRoaXM=", genuine, Err(Unverified::Mismatch));
        check("no base64", genuine, Err(Unverified::Mismatch));
    }

    #[test]
    fn a_secret_may_name_its_tenant() {
        let check = |text: &str, expected: &[(Option<&str>, &str)]| {
            let secrets = Secrets::parse(text).unwrap();
            let secrets: Vec<_> = secrets
                .signers()
                .map(|(tenant, secret)| (tenant, std::str::from_utf8(secret.bytes()).unwrap()))
                .collect();
            assert_eq!(secrets, expected);
        };
        check("a, b\n", &[(None, "a"), (None, "b"), (None, "a, b")]);
        check(
            " comp_1 = s=1= ,b",
            &[(Some("comp_1"), "s=1="), (None, "b")],
        );
        check("YWJj=", &[(None, "YWJj=")]);
        check("whsec_YQ==", &[(None, "whsec_YQ==")]);
        check("a/b=c", &[(None, "a/b=c")]);
        check("=x", &[(None, "=x")]);
    }

    #[test]
    fn the_secret_that_matched_names_the_tenant() {
        let secrets = Secrets::parse("one=first,two=second,third").unwrap();
        for (secret, tenant) in [
            ("first", Some("one")),
            ("second", Some("two")),
            ("third", None),
        ] {
            let secret = Secret::new(secret).unwrap();
            let headers = zupy::V1.sign(BODY, &secret, Timestamp::UNIX_EPOCH);
            let headers = headers.into_iter().collect();
            let (verified, _) = zupy::V1.verify(&headers, BODY, &secrets).unwrap();
            assert_eq!(verified.tenant(), tenant);
        }
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
        assert_eq!(Secrets::parse(" , \n,"), Err(Unusable::Empty));
        assert_eq!(
            format!("{:?}", Secret::new("x").unwrap()),
            "Secret([redacted])"
        );
    }

    proptest! {
        #[test]
        fn a_signed_body_verifies_and_a_changed_one_does_not(
            body in prop::collection::vec(any::<u8>(), 1..200),
            secret in "[!-~]{1,40}",
            seconds in 0_i64..4_000_000_000,
            position in any::<prop::sample::Index>(),
        ) {
            let at = Timestamp::from_second(seconds).unwrap();
            let secrets = serde_json::json!({"secret": secret}).to_string();
            let secrets = Secrets::parse(&secrets).unwrap();
            for scheme in [aghanim::SCHEME, zupy::V1, zupy::V2] {
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
                ("X-Webhook-Signature", signature.as_str()),
                ("webhook-signature", signature.as_str()),
                ("webhook-timestamp", time.as_str()),
                ("webhook-id", "msg_1"),
            ];
            let headers = headers.into_iter().collect();
            let secrets = Secrets::parse("s").unwrap();
            for scheme in [aghanim::SCHEME, zupy::V1, zupy::V2, STANDARD_WEBHOOKS] {
                prop_assert_eq!(scheme.verify(&headers, b"", &secrets).is_ok(), false);
            }
        }
    }
}
