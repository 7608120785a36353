//! Who may read what: bearer tokens (RFC 6750), each for all tenants or for its own.

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use tokio::time::Instant;
use webhooks::secrets::{SecretStore, Undecided};
use webhooks::verify::Holder;

use crate::refused::Refused;

const NONE: &str = r#"Bearer realm="reports""#;
const WRONG: &str = r#"Bearer realm="reports", error="invalid_token""#;

/// Longest token that is looked at, in bytes.
const TOKEN_MAX_BYTES: usize = 1024;

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

/// Who asks. A token that nobody knows may have been made since the tokens were fetched, so they
/// are fetched anew, as often as strangers may cause that.
///
/// # Errors
/// The request bears no valid token, or nobody can tell now.
pub(crate) async fn scope(tokens: &SecretStore, headers: &HeaderMap) -> Result<Scope, Refused> {
    let arrived = Instant::now();
    let token = bearer(headers).ok_or(Refused::Unauthorised(NONE))?;
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

/// The token of the `Authorization` header. A gateway may hand the same header over twice.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    if values.any(|other| other != value) {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    (is_bearer && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_bearer_token_stands_alone_in_its_header() {
        let check = |values: &[&'static str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers), expected, "{values:?}");
        };
        check(&["Bearer abc"], Some("abc"));
        check(&["bearer  abc "], Some("abc"));
        check(&[], None);
        check(&["abc"], None);
        check(&["Bearer"], None);
        check(&["Bearer "], None);
        check(&["Basic abc"], None);
        check(&["Bearer abc", "Bearer abc"], Some("abc"));
        check(&["Bearer abc", "Bearer abd"], None);
    }
}
