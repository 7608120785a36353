//! The token in a survey's link: the survey's id, the end of the link, and a signature over both.
//!
//! Every wrong token takes the same time, so the time of an answer does not reveal which part is
//! wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use jiff::Timestamp;

use crate::verify::{Secret, Secrets};

/// A survey's id: a truncated hash of the use's key.
pub type Id = [u8; 16];

const ID: usize = size_of::<Id>();
const EXPIRY: usize = 4;
const SIGNATURE: usize = 16;
const BYTES: usize = ID + EXPIRY + SIGNATURE;

/// The number of characters of a token.
pub const TOKEN_LENGTH: usize = BYTES / 3 * 4;

/// A prefix of the signed bytes, so that no other signature with the same secret is a token.
const PURPOSE: &[u8] = b"survey link 1\0";

/// The token of a survey, signed with the first of the secrets. The token opens the survey until
/// `expires_at`, in whole seconds; a time after 7 February 2106 counts as that day.
pub fn sign(secrets: &Secrets, id: Id, expires_at: Timestamp) -> String {
    let expiry = expires_at.as_second().clamp(0, u32::MAX.into());
    let expiry = u32::try_from(expiry).unwrap_or(u32::MAX).to_be_bytes();
    let mac = signature(secrets.first(), &[&id, &expiry]);
    let signature = mac.finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([&id[..], &expiry, &signature[..SIGNATURE]].concat())
}

/// The id of the survey that a token opens now; `None` if the token is forged, cut, too long,
/// foreign or expired.
pub fn open(secrets: &Secrets, token: &str, now: Timestamp) -> Option<Id> {
    let mut bytes = [0; BYTES];
    let decoded = decode(token, &mut bytes);
    let (signed, claimed) = bytes.split_at(ID + EXPIRY);
    let (id, expiry) = signed.split_at(ID);
    // Every secret is tried, even after a match.
    let genuine = secrets.all().fold(false, |found, secret| {
        let mac = signature(secret, &[id, expiry]);
        found | mac.verify_truncated_left(claimed).is_ok()
    });
    let expiry = u32::from_be_bytes(expiry.try_into().ok()?);
    let open = now.as_second() < i64::from(expiry);
    if !(decoded & genuine & open) {
        return None;
    }
    id.try_into().ok()
}

/// Whether the token has the right form. If not, the bytes stay zero, and are verified like any
/// others.
fn decode(token: &str, bytes: &mut [u8; BYTES]) -> bool {
    // The length of a token must not influence the time.
    let token = match token.len() {
        TOKEN_LENGTH => token,
        _ => "",
    };
    let decoded = URL_SAFE_NO_PAD.decode_slice(token, bytes);
    let is_whole = decoded.is_ok_and(|length| length == BYTES);
    if !is_whole {
        *bytes = [0; BYTES];
    }
    is_whole
}

fn signature(secret: &Secret, parts: &[&[u8]]) -> hmac::Hmac<sha2::Sha256> {
    let mut mac = secret.mac();
    mac.update(PURPOSE);
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn secrets(text: &str) -> Secrets {
        Secrets::parse(text).unwrap()
    }

    const ID_OF_ALL: Id = *b"0123456789abcdef";

    #[test]
    fn a_token_opens_its_survey_until_it_expires() {
        let secrets = secrets("first-secret");
        let token = sign(&secrets, ID_OF_ALL, at("2026-11-25T12:00:00Z"));
        assert_eq!(token.len(), TOKEN_LENGTH);
        let check = |now: &str, expected: Option<Id>| {
            assert_eq!(open(&secrets, &token, at(now)), expected, "{now}");
        };
        check("2026-11-11T12:00:00Z", Some(ID_OF_ALL));
        check("2026-11-25T11:59:59.999Z", Some(ID_OF_ALL));
        check("2026-11-25T12:00:00Z", None);
        check("2027-01-01T00:00:00Z", None);
    }

    #[test]
    fn a_token_outlives_a_rotation_of_its_secret() {
        let now = at("2026-11-25T12:00:00Z");
        let token = sign(&secrets("old"), ID_OF_ALL, at("2026-12-01T00:00:00Z"));
        assert_eq!(open(&secrets("new,old"), &token, now), Some(ID_OF_ALL));
        assert_eq!(open(&secrets("new"), &token, now), None);
        let token = sign(&secrets("new,old"), ID_OF_ALL, at("2026-12-01T00:00:00Z"));
        assert_eq!(open(&secrets("new"), &token, now), Some(ID_OF_ALL));
    }

    #[test]
    fn a_known_token_stays_what_it_is() {
        let token = sign(&secrets("secret"), ID_OF_ALL, Timestamp::UNIX_EPOCH);
        assert_eq!(token, "MDEyMzQ1Njc4OWFiY2RlZgAAAAAYIau_ZxUWLbEDTJTQexw2");
    }

    #[test]
    fn a_wrong_token_opens_nothing() {
        let secrets = secrets("secret");
        let now = at("2026-11-25T12:00:00Z");
        let token = sign(&secrets, ID_OF_ALL, at("2026-12-01T00:00:00Z"));
        assert!(open(&secrets, &token, now).is_some());
        let long = format!("{token}AAAA");
        let padded = format!("{token}=");
        let zeros = "A".repeat(TOKEN_LENGTH);
        let huge = "A".repeat(1 << 20);
        let wrong = [
            "",
            "A",
            &token[1..],
            &token[..44],
            &long,
            &padded,
            &zeros,
            &huge,
        ];
        for wrong in wrong
            .into_iter()
            .chain(["ä".repeat(TOKEN_LENGTH / 2).as_str()])
        {
            assert_eq!(
                open(&secrets, wrong, now),
                None,
                "{} characters",
                wrong.len()
            );
        }
    }

    proptest! {
        #[test]
        fn no_character_of_a_token_may_be_another(place in 0..TOKEN_LENGTH, by in 1..64_u8) {
            const DIGITS: &[u8] =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let secrets = secrets("secret");
            let now = at("2026-11-25T12:00:00Z");
            let token = sign(&secrets, ID_OF_ALL, at("2026-12-01T00:00:00Z"));
            let mut bytes = token.into_bytes();
            let digit = DIGITS.iter().position(|digit| *digit == bytes[place]).unwrap();
            bytes[place] = DIGITS[(digit + usize::from(by)) % 64];
            prop_assert_eq!(open(&secrets, std::str::from_utf8(&bytes).unwrap(), now), None);
        }
    }
}
