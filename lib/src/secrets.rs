//! The webhook secrets, from Secrets Manager: fetched at start, kept, and fetched again on a schedule and when a
//! signature fails, so that a rotation needs no restart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_secretsmanager::Client;
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
    secrets: Arc<Secrets>,
    /// When they were fetched, or when that was last tried.
    tried_at: Instant,
    /// When that was because of a signature.
    asked_at: Option<Instant>,
    /// Whether it failed the last time: there may be newer secrets than these.
    in_doubt: bool,
}

impl SecretStore {
    /// Fetches the secrets for the first time.
    ///
    /// # Errors
    /// There is no such secret, or it is empty: the error names it.
    pub async fn open(sdk_config: &SdkConfig, id: String) -> anyhow::Result<Self> {
        let client = Client::new(sdk_config);
        let secrets = fetch(&client, &id).await?;
        Ok(Self {
            client,
            id,
            kept: Mutex::new(Kept {
                secrets: Arc::new(secrets),
                tried_at: Instant::now(),
                asked_at: None,
                in_doubt: false,
            }),
        })
    }

    /// The secrets that are valid now; fetched anew where they are old. Those that are kept stay where that fails.
    pub async fn current(&self) -> Arc<Secrets> {
        let due = {
            let mut kept = self.lock();
            let due = kept.tried_at.elapsed() >= REFRESH_AFTER;
            if due {
                kept.tried_at = Instant::now();
            }
            due
        };
        match due {
            true => match self.refresh().await {
                Ok(secrets) => secrets,
                Err(error) => {
                    tracing::error!("The secrets that are kept stay in use: {error:#}");
                    self.kept()
                }
            },
            false => self.kept(),
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
            if *kept.secrets != *known {
                return Ok(Some(Arc::clone(&kept.secrets)));
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
        kept.secrets = Arc::new(fetched?);
        kept.tried_at = Instant::now();
        Ok(Arc::clone(&kept.secrets))
    }

    fn kept(&self) -> Arc<Secrets> {
        Arc::clone(&self.lock().secrets)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both the current version and the previous one, which stays valid until the next rotation.
async fn fetch(client: &Client, id: &str) -> anyhow::Result<Secrets> {
    let (current, previous) = tokio::join!(
        fetch_version(client, id, "AWSCURRENT"),
        fetch_version(client, id, "AWSPREVIOUS")
    );
    let current =
        current?.with_context(|| format!("there is no secret {id} in Secrets Manager"))?;
    let current = Secrets::parse(&current).with_context(|| {
        format!(
            "the secret {id} is empty: put the provider's webhook secret there, several separated by commas"
        )
    })?;
    let previous = previous.unwrap_or_else(|error| {
        tracing::warn!("Only the current secrets are known: {error:#}");
        None
    });
    let previous = previous.and_then(|previous| Secrets::parse(&previous));
    Ok(match previous {
        Some(previous) => current.and(previous),
        None => current,
    })
}

async fn fetch_version(client: &Client, id: &str, stage: &str) -> anyhow::Result<Option<String>> {
    let fetched = client
        .get_secret_value()
        .secret_id(id)
        .version_stage(stage)
        .send()
        .await;
    match fetched {
        Ok(value) => {
            let text = value
                .secret_string()
                .with_context(|| format!("the secret {id} is binary, it must be text"))?;
            Ok(Some(text.to_owned()))
        }
        Err(error) => match error.as_service_error() {
            Some(GetSecretValueError::ResourceNotFoundException(_)) => Ok(None),
            _ => {
                Err(anyhow!(error).context(format!("reading the secret {id} from Secrets Manager")))
            }
        },
    }
}
