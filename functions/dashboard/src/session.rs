//! Sessions: a cookie proves that its holder had a token, and says until when the proof counts.
//!
//! The cookie is a time and its MAC; the MAC's key is the token (ADR 28). So the server keeps
//! nothing, and the cookie does not reveal the token. If an operator removes or narrows a token,
//! its sessions end or narrow too.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use webhooks::verify::mac;

pub(crate) const NAME: &str = "session";

/// The length of a session, in seconds: a working day. After that, the reader shows the token
/// again.
pub(crate) const LASTS_S: i64 = 12 * 60 * 60;

const CONTEXT: &[u8] = b"coupons dashboard session 1\n";
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 32;

/// The contents of a cookie. Only the tokens can prove them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) message: Vec<u8>,
    pub(crate) mac: Vec<u8>,
}

/// The value of the cookie for a reader who has just shown this token.
pub(crate) fn begin(token: &str, now: Timestamp) -> String {
    let lasts = SignedDuration::from_secs(LASTS_S);
    let ends_at = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    let time = ends_at.as_second().to_be_bytes();
    let mac = mac(token, &message(&time));
    URL_SAFE_NO_PAD.encode([&time[..], &mac[..]].concat())
}

/// `None` if the text is no cookie of a session, or if the session has ended.
pub(crate) fn read(value: &str, now: Timestamp) -> Option<Claim> {
    let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
    let (time, mac) = bytes.split_at_checked(TIME_BYTES)?;
    let ends_at = i64::from_be_bytes(time.try_into().ok()?);
    let is_valid = mac.len() == MAC_BYTES && now.as_second() < ends_at;
    is_valid.then(|| Claim {
        message: message(time),
        mac: mac.to_owned(),
    })
}

fn message(time: &[u8]) -> Vec<u8> {
    [CONTEXT, time].concat()
}

/// The `Set-Cookie` that begins a session.
pub(crate) fn set(value: &str) -> Option<HeaderValue> {
    kept(NAME, value, LASTS_S)
}

/// The `Set-Cookie` that ends a session.
pub(crate) fn clear() -> Option<HeaderValue> {
    kept(NAME, "", 0)
}

/// A cookie that no script can read, no other site's link can send, and only TLS carries. Browsers
/// count a loopback address as safe, so the local system has the same cookie.
pub(crate) fn kept(name: &str, value: &str, lasts_s: i64) -> Option<HeaderValue> {
    let text = format!(
        "{name}={value}; Path=/dashboard; Max-Age={lasts_s}; HttpOnly; Secure; SameSite=Strict"
    );
    HeaderValue::try_from(text).ok()
}

/// The value of a cookie of the request.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter();
    let lines = lines.filter_map(|it| it.to_str().ok());
    let mut cookies = lines.flat_map(|it| it.split(';'));
    cookies.find_map(|cookie| {
        let (own, value) = cookie.trim().split_once('=')?;
        (own == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use webhooks::verify::{Holder, Secrets};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-25T12:00:00Z".parse().unwrap()
    }

    fn holder(tokens: &str, cookie: &str, now: Timestamp) -> Option<Holder> {
        let claim = read(cookie, now)?;
        let tokens = Secrets::parse(tokens).unwrap();
        tokens.holder_by_mac(&claim.message, &claim.mac)
    }

    #[test]
    fn a_session_is_what_its_token_is() {
        let cookie = begin("of-a", now());
        let of_a = Some(Holder::Of(["comp_a".into()].into()));
        assert_eq!(holder("all-of-them,comp_a=of-a", &cookie, now()), of_a);
        assert_eq!(holder("of-a", &cookie, now()), Some(Holder::OfAll));
        assert_eq!(holder("all-of-them,comp_b=of-b", &cookie, now()), None);
        assert!(!cookie.contains("of-a"));
    }

    #[test]
    fn a_session_ends() {
        let cookie = begin("one", now());
        let after = |seconds| now() + SignedDuration::from_secs(seconds);
        assert!(holder("one", &cookie, after(LASTS_S - 1)).is_some());
        assert!(holder("one", &cookie, after(LASTS_S)).is_none());
    }

    #[test]
    fn a_cookie_that_was_changed_is_none() {
        let cookie = begin("one", now());
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(holder("one", &changed, now()), None, "byte {index}");
        }
        for text in [
            "",
            "x",
            "====",
            &cookie[..cookie.len() - 2],
            &format!("{cookie}AA"),
        ] {
            assert_eq!(holder("one", text, now()), None, "{text}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; session=abc"));
        headers.append(COOKIE, HeaderValue::from_static("language=en"));
        assert_eq!(cookie(&headers, NAME), Some("abc"));
        assert_eq!(cookie(&headers, "language"), Some("en"));
        assert_eq!(cookie(&headers, "sess"), None);
    }
}
