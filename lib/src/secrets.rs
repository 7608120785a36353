//! The webhook secrets, from Secrets Manager. A function fetches the secrets at start, every five
//! minutes, and after a signature that no secret gives. So a rotation needs no restart.
//! `docs/adr/0010-secrets.md` gives the reasons.

mod budget;
mod fetch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;
use tokio::time::Instant;

use crate::verify::{Holder, Scheme, Secrets};

use budget::Budget;
use fetch::{Fetched, Previous, Unfetched};

/// The time after a fetch, or after a failed one, at which the next request fetches again.
const REFRESH_AFTER: Duration = Duration::from_secs(300);

/// The most fetches at once that wrong signatures cause, because anybody can send wrong signatures.
/// A fetch is two calls. So any flood of forgeries costs a process 10 calls, and then 0.4 calls a
/// second.
const FETCHES_AT_ONCE: u32 = 5;
/// The pause after which such a flood causes one more fetch.
const PAUSE: Duration = Duration::from_secs(5);

/// One secret of Secrets Manager, and the values that a process keeps of it. The value is JSON, or
/// a comma-separated list of `secret` or `tenant=secret`.
#[derive(Debug)]
pub struct SecretStore {
    client: Client,
    id: String,
    /// The schemes that each secret must be a key of.
    schemes: &'static [Scheme],
    kept: Mutex<Kept>,
    /// Held during a fetch. All other requests wait for the fetch's result.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    /// `None` until the secret store answers for the first time.
    known: Option<Arc<ValidSecrets>>,
    /// When the last fetch ended, or the store was created.
    tried_at: Instant,
    /// When the last failed fetch began.
    failed: Option<Instant>,
    budget: Budget,
}

/// The secrets as the secret store gave them.
#[derive(Debug)]
pub struct ValidSecrets {
    current: Secrets,
    previous: Option<Secrets>,
    all: Secrets,
    /// When the fetch of these secrets began.
    began: Instant,
    /// Whether other secrets may be valid too.
    in_doubt: bool,
}

/// Why a signature may be good although no known secret gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The secret store gave no usable answer, so other secrets may be valid.
    #[error("the secret store does not answer, so the valid secrets are unknown")]
    Unanswered,
    /// So many signatures are wrong that the secret store is not asked about this one.
    #[error("too many signatures are wrong to ask the secret store about each")]
    TooMany,
}

impl ValidSecrets {
    /// All secrets that are valid: the current ones and the previous ones.
    pub fn secrets(&self) -> &Secrets {
        &self.all
    }

    /// The holder of this token; `None` if the token is not valid. The current version decides
    /// first: if a rotation narrows a token, the token is narrow at once.
    pub fn holder(&self, token: &str) -> Option<Holder> {
        let current = self.current.holder(token);
        let previous = self.previous.as_ref().and_then(|it| it.holder(token));
        current.or(previous)
    }

    /// The holder of the token that made the MAC of a message; `None` if no valid token did. The
    /// current version decides first here too.
    pub fn holder_by_mac(&self, message: &[u8], mac: &[u8]) -> Option<Holder> {
        let by_mac = |it: &Secrets| it.holder_by_mac(message, mac);
        by_mac(&self.current).or(self.previous.as_ref().and_then(by_mac))
    }

    /// Whether a signature that none of these secrets gives may be good all the same, because a
    /// version of the secret is unknown.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    fn new(fetched: Fetched, before: Option<&Self>, began: Instant) -> Self {
        let Fetched { current, previous } = fetched;
        // If the current version changed, the earlier current one is now the previous one.
        let kept = before.and_then(|before| match before.current == current {
            true => before.previous.clone(),
            false => Some(before.current.clone()),
        });
        let (previous, in_doubt) = match previous {
            Previous::Answered(previous) => (previous, false),
            Previous::Unusable => (kept, false),
            Previous::Unanswered => (kept, true),
        };
        let all = match previous.clone() {
            Some(previous) => current.clone().and(previous),
            None => current.clone(),
        };
        Self {
            current,
            previous,
            all,
            began,
            in_doubt,
        }
    }

    /// The same secrets, in doubt because a later fetch failed.
    fn doubted(&self) -> Self {
        Self {
            current: self.current.clone(),
            previous: self.previous.clone(),
            all: self.all.clone(),
            began: self.began,
            in_doubt: true,
        }
    }
}

impl SecretStore {
    /// A store of the secret with this id, whose values must be keys of these schemes. It fetches
    /// nothing yet.
    pub fn new(sdk_config: &SdkConfig, id: String, schemes: &'static [Scheme]) -> Self {
        let now = Instant::now();
        Self {
            client: Client::new(sdk_config),
            id,
            schemes,
            kept: Mutex::new(Kept {
                known: None,
                tried_at: now,
                failed: None,
                budget: Budget::new(FETCHES_AT_ONCE, PAUSE, now),
            }),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Fetches the secrets for the first time. If the secret store does not answer, the function
    /// starts anyway, because otherwise the gateway would answer 500. The first request that needs
    /// the secrets asks again.
    ///
    /// # Errors
    /// The secret does not exist, cannot be used, or may not be read. The error names the secret.
    pub async fn start(&self) -> anyhow::Result<()> {
        let _fetching = self.fetching.lock().await;
        match self.fetch().await {
            Ok(_) => Ok(()),
            Err(Unfetched::Wrong(error)) => Err(error),
            Err(Unfetched::Unavailable(error)) => {
                tracing::error!("No secrets yet: {error:#}");
                Ok(())
            }
        }
    }

    /// The secret's id in the secret store.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secrets that are valid now. If the kept secrets are old, they are fetched again. If that
    /// fetch fails, the kept secrets stay in use.
    ///
    /// # Errors
    /// No secrets are kept, and they cannot be fetched.
    pub async fn current(&self) -> Result<Arc<ValidSecrets>, Undecided> {
        let kept = {
            let mut kept = self.lock();
            let due = kept.tried_at.elapsed() >= REFRESH_AFTER;
            match &kept.known {
                Some(known) if !due => return Ok(Arc::clone(known)),
                _ => {}
            }
            kept.tried_at = Instant::now();
            kept.known.clone()
        };
        let Some(kept) = kept else {
            return self.as_of(Instant::now()).await;
        };
        let _fetching = self.fetching.lock().await;
        // A failure is logged in `fetch`.
        Ok(self.fetch().await.unwrap_or(kept))
    }

    /// Secrets that were fetched at this time or later, for a signature that came at this time and
    /// that no kept secret gives. Only such secrets can prove the signature wrong.
    ///
    /// # Errors
    /// The secrets cannot be fetched now, so the signature may be good.
    pub async fn as_of(&self, at: Instant) -> Result<Arc<ValidSecrets>, Undecided> {
        let _fetching = self.fetching.lock().await;
        {
            let mut kept = self.lock();
            // Another request may have fetched the secrets, or tried to, while this one waited.
            match &kept.known {
                Some(known) if known.began >= at => return Ok(Arc::clone(known)),
                _ => {}
            }
            if kept.failed.is_some_and(|began| began >= at) {
                return Err(Undecided::Unanswered);
            }
            if !kept.budget.take(Instant::now()) {
                return Err(match kept.known.as_ref().is_none_or(|it| it.in_doubt) {
                    true => Undecided::Unanswered,
                    false => Undecided::TooMany,
                });
            }
        }
        self.fetch().await.map_err(|_| Undecided::Unanswered)
    }

    /// Asks the secret store. The caller holds `fetching`.
    async fn fetch(&self) -> Result<Arc<ValidSecrets>, Unfetched> {
        let began = Instant::now();
        let fetched = fetch::fetch(&self.client, &self.id, self.schemes).await;
        let mut kept = self.lock();
        kept.tried_at = Instant::now();
        let fetched = fetched.inspect_err(|unfetched| {
            kept.failed = Some(began);
            if let Some(known) = &kept.known {
                // If only an operator can mend the fault, it is an error. An outage passes.
                match unfetched {
                    Unfetched::Wrong(_) => {
                        tracing::error!("The secrets that are kept stay in use: {unfetched}");
                    }
                    Unfetched::Unavailable(_) => {
                        tracing::warn!("The secrets that are kept stay in use: {unfetched}");
                    }
                }
                kept.known = Some(Arc::new(known.doubted()));
            }
        })?;
        let known = ValidSecrets::new(fetched, kept.known.as_deref(), began);
        let known = Arc::new(known);
        kept.known = Some(Arc::clone(&known));
        Ok(known)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_a_rotation_narrows_is_narrow_at_once() {
        let secrets = |text: &str| Secrets::parse(text).unwrap();
        let fetched = Fetched {
            current: secrets("comp_a=one"),
            previous: Previous::Answered(Some(secrets("one,two"))),
        };
        let known = ValidSecrets::new(fetched, None, Instant::now());
        let narrow = Holder::Of(["comp_a".to_owned()].into());
        assert_eq!(known.holder("one"), Some(narrow));
        assert_eq!(known.holder("two"), Some(Holder::OfAll));
        assert_eq!(known.holder("three"), None);
    }
}
