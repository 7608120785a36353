//! Secrets as bearer tokens: a token grants its holder access.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Entry, Secret, Secrets};

/// The holder of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The token names no tenant, so it is for all tenants.
    OfAll,
    /// The token is for these tenants alone.
    Of(BTreeSet<String>),
}

impl Secrets {
    /// The holder of this token; `None` if it is no known token. The duration of the call reveals
    /// nothing about the tokens.
    ///
    /// If a token stands both with tenants and without one, it is for those tenants alone.
    pub fn holder(&self, token: &str) -> Option<Holder> {
        let digest = keyed(token.as_bytes());
        self.holder_of(|entry| {
            let own = keyed(entry.secret.bytes()).finalize().into_bytes();
            digest.clone().verify_slice(&own).is_ok()
        })
    }

    /// The holder of the token that made the MAC of a message, as [`mac`] does; `None` if no known
    /// token gives this MAC.
    pub fn holder_by_mac(&self, message: &[u8], mac: &[u8]) -> Option<Holder> {
        self.holder_of(|entry| {
            let own = hmac(entry.secret.bytes(), message);
            own.verify_slice(mac).is_ok()
        })
    }

    fn holder_of(&self, is_shown: impl Fn(&Entry) -> bool) -> Option<Holder> {
        // All tokens are compared, even after a match.
        let shown: Vec<_> = self.entries.iter().filter(|it| is_shown(it)).collect();
        if shown.is_empty() {
            return None;
        }
        let tenants: BTreeSet<_> = shown.iter().filter_map(|it| it.tenant.clone()).collect();
        Some(match tenants.is_empty() {
            true => Holder::OfAll,
            false => Holder::Of(tenants),
        })
    }
}

/// HMAC-SHA256 of a message with a token as the key. The MAC proves later that its maker knew the
/// token.
pub fn mac(token: &str, message: &[u8]) -> [u8; 32] {
    // A token is stored without blanks at its ends.
    let key = Secret::new(token);
    let key = key.as_ref().map_or(&[][..], Secret::bytes);
    hmac(key, message).finalize().into_bytes().into()
}

fn hmac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    mac.expect("HMAC takes a key of any length")
        .chain_update(message)
}

/// A digest with a key of this process. All digests have one length, whatever the token's is.
fn keyed(bytes: &[u8]) -> Hmac<Sha256> {
    static KEY: OnceLock<[u8; 32]> = OnceLock::new();
    let key = KEY.get_or_init(|| std::array::from_fn(|_| fastrand::u8(..)));
    hmac(key, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secrets: &str, token: &str, expected: Option<&[&str]>) {
        let holder = Secrets::parse(secrets).unwrap().holder(token);
        let expected = expected.map(|tenants| match tenants {
            [] => Holder::OfAll,
            _ => Holder::Of(tenants.iter().map(|&it| it.to_owned()).collect()),
        });
        assert_eq!(holder, expected, "{token}");
    }

    #[test]
    fn a_token_is_for_all_or_for_its_tenant() {
        let tokens = "all-of-them, comp_a=of-a,comp_b=of-b, comp_c=of-b";
        check(tokens, "all-of-them", Some(&[]));
        check(tokens, "of-a", Some(&["comp_a"]));
        check(tokens, "of-b", Some(&["comp_b", "comp_c"]));
        for wrong in ["", "of-c", "OF-A", "of-a ", "comp_a=of-a", "comp_a", tokens] {
            check(tokens, wrong, None);
        }
    }

    #[test]
    fn the_whole_of_a_list_is_no_token() {
        check("one,two", "one,two", None);
        check(r#"{"secrets": ["one,two"]}"#, "one,two", Some(&[]));
    }

    #[test]
    fn a_token_with_and_without_a_tenant_is_for_that_tenant() {
        check("comp_a=one,one", "one", Some(&["comp_a"]));
    }

    #[test]
    fn a_mac_shows_whose_token_made_it() {
        let tokens = Secrets::parse("all-of-them,comp_a=of-a").unwrap();
        let made = |token: &str| tokens.holder_by_mac(b"message", &mac(token, b"message"));
        assert_eq!(made("all-of-them"), Some(Holder::OfAll));
        assert_eq!(made("of-a"), Some(Holder::Of(["comp_a".into()].into())));
        assert_eq!(made("of-b"), None);
        assert_eq!(made(""), None);
        let other = mac("of-a", b"another message");
        assert_eq!(tokens.holder_by_mac(b"message", &other), None);
        assert_eq!(tokens.holder_by_mac(b"message", &[]), None);
    }
}
