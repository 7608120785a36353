//! Who may read what: tokens, each for all tenants or for its own.

use std::collections::BTreeSet;

use tokio::time::Instant;
use webhooks::secrets::{SecretStore, Undecided};
use webhooks::verify::Holder;

use crate::refused::Refused;

/// What a request with a wrong token is told (RFC 6750).
const WRONG: &str = r#"Bearer realm="reports", error="invalid_token""#;

/// Longest token that is looked at, in bytes.
pub const TOKEN_MAX_BYTES: usize = 1024;

/// What a token lets its holder read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Holder);

impl Scope {
    /// All tenants: for who reads the tables by permissions of their own.
    pub fn all() -> Self {
        Self(Holder::OfAll)
    }

    pub fn may_read(&self, tenant: &str) -> bool {
        match &self.0 {
            Holder::OfAll => true,
            Holder::Of(tenants) => tenants.contains(tenant),
        }
    }

    /// The tenants that the token names; none where it is for all.
    pub fn named(&self) -> Option<&BTreeSet<String>> {
        match &self.0 {
            Holder::OfAll => None,
            Holder::Of(tenants) => Some(tenants),
        }
    }

    /// The tenant, where the token is for one alone.
    pub fn only(&self) -> Option<&str> {
        match &self.0 {
            Holder::Of(tenants) if tenants.len() == 1 => tenants.first().map(String::as_str),
            _ => None,
        }
    }
}

/// What a token lets its holder read. A token that nobody knows may have been made since the
/// tokens were fetched, so they are fetched anew, as often as strangers may cause that.
///
/// # Errors
/// The token is not valid, or nobody can tell now.
pub async fn scope(tokens: &SecretStore, token: &str) -> Result<Scope, Refused> {
    let arrived = Instant::now();
    if token.len() > TOKEN_MAX_BYTES {
        return Err(Refused::Unauthorised(WRONG));
    }
    let unanswered = |it: Undecided| Refused::Unavailable(it.into());
    let known = tokens.current().await.map_err(unanswered)?;
    if let Some(holder) = known.holder(token) {
        return Ok(Scope(holder));
    }
    let newer = match tokens.as_of(arrived).await {
        Ok(newer) => newer,
        // Many wrong tokens came: this is likely another. A new token is known within five minutes
        // all the same.
        Err(Undecided::TooMany) => return Err(Refused::Unauthorised(WRONG)),
        Err(undecided) => return Err(unanswered(undecided)),
    };
    match newer.holder(token) {
        Some(holder) => Ok(Scope(holder)),
        None if newer.in_doubt() => Err(unanswered(Undecided::Unanswered)),
        None => Err(Refused::Unauthorised(WRONG)),
    }
}
