//! Secrets as bearer tokens: a token grants its holder access.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Entry, Secrets};

/// The holder of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The token names no tenant, so it is for all tenants.
    OfAll,
    /// The token is for these tenants alone.
    Of(BTreeSet<String>),
}

impl Secrets {
    /// The holder of this token; `None` if it is no known token. The time that this takes reveals
    /// nothing about the tokens.
    ///
    /// If a token stands both with tenants and without one, it is for those tenants alone.
    pub fn holder(&self, token: &str) -> Option<Holder> {
        let digest = keyed(token.as_bytes());
        let is_shown = |entry: &&Entry| {
            let own = keyed(entry.secret.bytes()).finalize().into_bytes();
            digest.clone().verify_slice(&own).is_ok()
        };
        // All are compared, even after a match.
        let shown: Vec<_> = self.entries.iter().filter(is_shown).collect();
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

/// A digest with a key of this process. Its length does not depend on the token.
fn keyed(bytes: &[u8]) -> Hmac<Sha256> {
    static KEY: OnceLock<[u8; 32]> = OnceLock::new();
    let key = KEY.get_or_init(|| std::array::from_fn(|_| fastrand::u8(..)));
    let mac = Hmac::<Sha256>::new_from_slice(key);
    mac.expect("HMAC takes a key of any length")
        .chain_update(bytes)
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
}
