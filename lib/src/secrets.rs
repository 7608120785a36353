//! The webhook secrets, from Secrets Manager: fetched at start, kept, and fetched again on a schedule and when a
//! signature fails, so that a rotation needs no restart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_types::SdkConfig;
use tokio::time::Instant;

use crate::verify::Secrets;

/// How old the kept secrets may get.
const REFRESH_AFTER: Duration = Duration::from_secs(300);

/// Shortest time between two fetches because of a signature: anybody can send a wrong one.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// A secret whose value is a comma-separated list of `secret` or `tenant=secret`.
#[derive(Debug)]
pub struct SecretStore {
    client: Client,
    id: String,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// `None` while the secret store has not answered yet.
    secrets: Option<Arc<Secrets>>,
    /// When they were fetched, or when that was last tried.
    tried_at: Instant,
    /// When that was because of a signature.
    asked_at: Option<Instant>,
    /// Whether it failed the last time: there may be newer secrets than these.
    in_doubt: bool,
}

/// Why there are no secrets.
#[derive(Debug)]
enum Unfetched {
    /// The secret is missing, empty or not ours to read: only an operator can mend that.
    Wrong(anyhow::Error),
    /// The secret store does not answer now.
    Unavailable(anyhow::Error),
}

impl From<Unfetched> for anyhow::Error {
    fn from(unfetched: Unfetched) -> Self {
        match unfetched {
            Unfetched::Wrong(error) | Unfetched::Unavailable(error) => error,
        }
    }
}

impl SecretStore {
    pub fn new(sdk_config: &SdkConfig, id: String) -> Self {
        Self {
            client: Client::new(sdk_config),
            id,
            kept: Mutex::new(Kept {
                secrets: None,
                tried_at: Instant::now(),
                asked_at: None,
                in_doubt: false,
            }),
        }
    }

    /// Fetches the secrets for the first time. Where the secret store does not answer, who first needs them asks again:
    /// a function that does not start is answered for by the gateway, with a 500. Nothing is returned then.
    ///
    /// # Errors
    /// There is no such secret, or it is empty, or may not be read: the error names it.
    pub async fn start(&self) -> anyhow::Result<Option<Arc<Secrets>>> {
        match fetch(&self.client, &self.id).await {
            Ok(secrets) => {
                let secrets = Arc::new(secrets);
                self.lock().secrets = Some(Arc::clone(&secrets));
                Ok(Some(secrets))
            }
            Err(Unfetched::Wrong(error)) => Err(error),
            Err(Unfetched::Unavailable(error)) => {
                tracing::error!("No secrets yet: {error:#}");
                Ok(None)
            }
        }
    }

    /// What the secret store knows them by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secrets that are valid now; fetched anew where they are old. Those that are kept stay where that fails.
    ///
    /// # Errors
    /// None are kept, and they cannot be fetched.
    pub async fn current(&self) -> anyhow::Result<Arc<Secrets>> {
        let kept = {
            let mut kept = self.lock();
            let due = kept.tried_at.elapsed() >= REFRESH_AFTER;
            match &kept.secrets {
                Some(secrets) if !due => return Ok(Arc::clone(secrets)),
                _ => {}
            }
            kept.tried_at = Instant::now();
            kept.secrets.clone()
        };
        match (self.refresh().await, kept) {
            (Err(error), Some(kept)) => {
                tracing::error!("The secrets that are kept stay in use: {error:#}");
                Ok(kept)
            }
            (fetched, _) => fetched,
        }
    }

    /// Other secrets than those, after a signature matched none of them; not too often.
    ///
    /// # Errors
    /// The secrets could not be fetched: the signature may be good.
    pub async fn newer_than(&self, known: &Secrets) -> anyhow::Result<Option<Arc<Secrets>>> {
        {
            let mut kept = self.lock();
            // Another request may have fetched them meanwhile.
            match &kept.secrets {
                Some(newer) if **newer != *known => return Ok(Some(Arc::clone(newer))),
                _ => {}
            }
            let recently = |at: Instant| at.elapsed() < AT_MOST_EVERY;
            if kept.asked_at.is_some_and(recently) {
                anyhow::ensure!(!kept.in_doubt, "the secret store did not answer just now");
                return Ok(None);
            }
            kept.asked_at = Some(Instant::now());
        }
        let fetched = self.refresh().await?;
        Ok((*fetched != *known).then_some(fetched))
    }

    async fn refresh(&self) -> anyhow::Result<Arc<Secrets>> {
        let fetched = fetch(&self.client, &self.id).await;
        let mut kept = self.lock();
        kept.in_doubt = fetched.is_err();
        let fetched = Arc::new(fetched?);
        kept.secrets = Some(Arc::clone(&fetched));
        kept.tried_at = Instant::now();
        Ok(fetched)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both the current version and the previous one, which stays valid until the next rotation.
async fn fetch(client: &Client, id: &str) -> Result<Secrets, Unfetched> {
    let (current, previous) = tokio::join!(
        fetch_version(client, id, "AWSCURRENT"),
        fetch_version(client, id, "AWSPREVIOUS")
    );
    let current = current?
        .ok_or_else(|| Unfetched::Wrong(anyhow!("there is no secret {id} in Secrets Manager")))?;
    let current = Secrets::parse(&current).ok_or_else(|| {
        Unfetched::Wrong(anyhow!(
            "the secret {id} is empty: put the provider's webhook secret there, several separated by commas"
        ))
    })?;
    let previous = previous.unwrap_or_else(|unfetched| {
        let error = anyhow::Error::from(unfetched);
        tracing::warn!("Only the current secrets are known: {error:#}");
        None
    });
    let previous = previous.and_then(|previous| Secrets::parse(&previous));
    Ok(match previous {
        Some(previous) => current.and(previous),
        None => current,
    })
}

async fn fetch_version(
    client: &Client,
    id: &str,
    stage: &str,
) -> Result<Option<String>, Unfetched> {
    let fetched = client
        .get_secret_value()
        .secret_id(id)
        .version_stage(stage)
        .send()
        .await;
    let error = match fetched {
        Ok(value) => {
            return match value.secret_string {
                Some(text) => Ok(Some(text)),
                None => Err(Unfetched::Wrong(anyhow!(
                    "the secret {id} is binary, it must be text"
                ))),
            };
        }
        Err(error) => error,
    };
    if let Some(GetSecretValueError::ResourceNotFoundException(_)) = error.as_service_error() {
        return Ok(None);
    }
    let refused = is_refusal(&error);
    let error = anyhow!(error).context(format!("reading the secret {id} from Secrets Manager"));
    Err(match refused {
        true => Unfetched::Wrong(error),
        false => Unfetched::Unavailable(error),
    })
}

/// Secrets Manager answered, and would answer the same again.
fn is_refusal(error: &SdkError<GetSecretValueError>) -> bool {
    let throttled = error
        .code()
        .is_some_and(|code| code.contains("Throttl") || code.contains("TooManyRequests"));
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    status.is_some_and(|status| (400..500).contains(&status)) && !throttled
}
