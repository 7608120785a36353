//! Tokens and their scopes: each token is for all tenants or for some.

use std::collections::BTreeSet;

use tokio::time::Instant;
use webhooks::secrets::{SecretStore, Undecided, ValidSecrets};
use webhooks::verify::Holder;

use crate::refused::Refused;

/// The `WWW-Authenticate` header for a request with a wrong token (RFC 6750).
const WRONG: &str = r#"Bearer realm="reports", error="invalid_token""#;

/// The longest token that a function checks, in bytes.
pub const TOKEN_MAX_BYTES: usize = 1024;

/// The ending of a token's tenant if the holder may see personal data.
const PERSONAL: &str = ".personal";

/// The tenant's name in a scope of all tenants: nothing stands before the ending.
const ALL: &str = "";

/// The scope of a token: what its holder may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `None` if the token is for all tenants.
    tenants: Option<BTreeSet<String>>,
    /// The tenants with visible names and addresses of members; [`ALL`] for all.
    personal: BTreeSet<String>,
}

impl Scope {
    /// All tenants. Readers use this scope if they have permissions of their own on the tables.
    pub fn all() -> Self {
        Self {
            tenants: None,
            personal: BTreeSet::new(),
        }
    }

    /// The scope that the text of a token names: `comp_a`, `comp_a.personal`, or `.personal` for
    /// all. A token that also names a tenant is for that tenant alone.
    fn of(holder: Holder) -> Self {
        let Holder::Of(names) = holder else {
            return Self::all();
        };
        let mut tenants = BTreeSet::new();
        let mut personal = BTreeSet::new();
        for name in names {
            let tenant = match name.strip_suffix(PERSONAL) {
                Some(tenant) => {
                    personal.insert(tenant.to_owned());
                    tenant.to_owned()
                }
                None => name,
            };
            tenants.insert(tenant);
        }
        if tenants.len() == 1 && personal.contains(ALL) {
            return Self {
                tenants: None,
                personal,
            };
        }
        if personal.remove(ALL) {
            tenants.remove(ALL);
        }
        Self {
            tenants: Some(tenants),
            personal,
        }
    }

    pub fn may_read(&self, tenant: &str) -> bool {
        let tenants = self.tenants.as_ref();
        tenants.is_none_or(|tenants| tenants.contains(tenant))
    }

    /// Whether a page may show names and addresses of a tenant's members; otherwise it masks them.
    pub fn shows_personal(&self, tenant: &str) -> bool {
        let name = if self.tenants.is_none() { ALL } else { tenant };
        self.may_read(tenant) && self.personal.contains(name)
    }

    /// Whether the scope covers all tenants, and so also data that belong to no tenant.
    pub fn is_of_all(&self) -> bool {
        self.tenants.is_none()
    }

    /// The tenants that the token names; `None` if it is for all.
    pub fn named(&self) -> Option<&BTreeSet<String>> {
        self.tenants.as_ref()
    }

    /// The tenant, if the token is for one alone.
    pub fn only(&self) -> Option<&str> {
        match &self.tenants {
            Some(tenants) if tenants.len() == 1 => tenants.first().map(String::as_str),
            _ => None,
        }
    }
}

/// What a token lets its holder read.
///
/// # Errors
/// The token is not valid, or the secret store does not answer now.
pub async fn scope(tokens: &SecretStore, token: &str) -> Result<Scope, Refused> {
    if token.len() > TOKEN_MAX_BYTES {
        return Err(Refused::Unauthorised(WRONG));
    }
    find(tokens, |known| known.holder(token)).await
}

/// The scope of the token that made the MAC of a message ([`webhooks::verify::mac`]).
///
/// # Errors
/// No valid token gives this MAC, or the secret store does not answer now.
pub async fn scope_by_mac(
    tokens: &SecretStore,
    message: &[u8],
    mac: &[u8],
) -> Result<Scope, Refused> {
    find(tokens, |known| known.holder_by_mac(message, mac)).await
}

/// An unknown token may be newer than the last fetch. The store therefore fetches the tokens again,
/// within the limit that it sets for strangers.
async fn find(
    tokens: &SecretStore,
    holder: impl Fn(&ValidSecrets) -> Option<Holder>,
) -> Result<Scope, Refused> {
    let arrived = Instant::now();
    let unanswered = |it: Undecided| Refused::Unavailable(it.into());
    let known = tokens.current().await.map_err(unanswered)?;
    if let Some(holder) = holder(&known) {
        return Ok(Scope::of(holder));
    }
    let newer = match tokens.as_of(arrived).await {
        Ok(newer) => newer,
        // After many wrong tokens, this one is probably wrong too. The store still learns a new
        // token within five minutes.
        Err(Undecided::TooMany) => return Err(Refused::Unauthorised(WRONG)),
        Err(undecided) => return Err(unanswered(undecided)),
    };
    match holder(&newer) {
        Some(holder) => Ok(Scope::of(holder)),
        None if newer.in_doubt() => Err(unanswered(Undecided::Unanswered)),
        None => Err(Refused::Unauthorised(WRONG)),
    }
}

#[cfg(test)]
mod tests {
    use webhooks::verify::Secrets;

    use super::*;

    const TOKENS: &str = "all, a=of-a, a.personal=sees-a, .personal=sees-all, a=both, b.personal=both, \
                          .personal=narrow, a=narrow";

    #[track_caller]
    fn check(token: &str, named: Option<&[&str]>, personal: &[&str]) {
        let holder = Secrets::parse(TOKENS).unwrap().holder(token).unwrap();
        let scope = Scope::of(holder);
        let names = named.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(scope.named().cloned(), names, "{token}");
        assert_eq!(scope.is_of_all(), named.is_none(), "{token}");
        for tenant in ["a", "b", "c", "a.personal"] {
            let may_read = named.is_none_or(|named| named.contains(&tenant));
            assert_eq!(scope.may_read(tenant), may_read, "{token} {tenant}");
            let shows = personal.contains(&tenant) || personal == ["all of them"];
            assert_eq!(scope.shows_personal(tenant), shows, "{token} {tenant}");
        }
    }

    #[test]
    fn a_token_shows_personal_data_only_of_tenants_that_it_says_so_of() {
        check("all", None, &[]);
        check("of-a", Some(&["a"]), &[]);
        check("sees-a", Some(&["a"]), &["a"]);
        check("sees-all", None, &["all of them"]);
        check("both", Some(&["a", "b"]), &["b"]);
        check("narrow", Some(&["a"]), &[]);
        assert!(!Scope::all().shows_personal("a"));
    }
}
