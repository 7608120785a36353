//! One look at Secrets Manager: the current version and the previous one, which stays valid until the next rotation.

use std::fmt;

use anyhow::anyhow;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

use crate::verify::{Scheme, Secrets};

/// The secrets, as the secret store told them.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) current: Secrets,
    pub(super) previous: Previous,
}

#[derive(Debug)]
pub(super) enum Previous {
    /// It is this one, or there is none.
    Told(Option<Secrets>),
    /// It was never of any use.
    Unusable,
    /// The secret store did not say.
    Untold,
}

/// Why there are no secrets.
#[derive(Debug)]
pub(super) enum Unfetched {
    /// The secret is missing, of no use or not ours to read: only an operator can mend that.
    Wrong(anyhow::Error),
    /// The secret store does not answer now.
    Unavailable(anyhow::Error),
}

impl fmt::Display for Unfetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfetched::Wrong(error) | Unfetched::Unavailable(error) => write!(f, "{error:#}"),
        }
    }
}

/// Where the current version is of no use and the previous one is, that one stays in use, in doubt: a slip of the hand that
/// replaces a secret ends no function.
pub(super) async fn fetch(
    client: &Client,
    id: &str,
    schemes: &[Scheme],
) -> Result<Fetched, Unfetched> {
    let (current, previous) = tokio::join!(
        fetch_version(client, id, "AWSCURRENT"),
        fetch_version(client, id, "AWSPREVIOUS")
    );
    let current =
        current?.ok_or_else(|| wrong(anyhow!("there is no secret {id} in Secrets Manager")))?;
    let previous = match previous {
        Ok(None) => Previous::Told(None),
        Ok(Some(previous)) => match read(id, previous, schemes) {
            Ok(previous) => Previous::Told(Some(previous)),
            Err(unusable) => {
                tracing::warn!("The previous version is not used: {unusable:#}");
                Previous::Unusable
            }
        },
        Err(unfetched) => {
            tracing::warn!("The previous version is not known: {unfetched}");
            Previous::Untold
        }
    };
    match (read(id, current, schemes), previous) {
        (Ok(current), previous) => Ok(Fetched { current, previous }),
        (Err(unusable), Previous::Told(Some(previous))) => {
            tracing::error!("The previous version stays in use: {unusable:#}");
            Ok(Fetched {
                current: previous,
                previous: Previous::Untold,
            })
        }
        (Err(unusable), _) => Err(wrong(unusable)),
    }
}

fn wrong(error: anyhow::Error) -> Unfetched {
    Unfetched::Wrong(error)
}

/// What a version holds.
enum Contents {
    Text(String),
    Binary,
}

fn read(id: &str, contents: Contents, schemes: &[Scheme]) -> anyhow::Result<Secrets> {
    let Contents::Text(text) = contents else {
        return Err(anyhow!("the secret {id} is binary, it must be text"));
    };
    let secrets = Secrets::parse(&text).and_then(|secrets| {
        secrets.check(schemes)?;
        Ok(secrets)
    });
    secrets.map_err(|unusable| anyhow!("the secret {id} {unusable}"))
}

async fn fetch_version(
    client: &Client,
    id: &str,
    stage: &str,
) -> Result<Option<Contents>, Unfetched> {
    let fetched = client
        .get_secret_value()
        .secret_id(id)
        .version_stage(stage)
        .send()
        .await;
    let error = match fetched {
        Ok(value) => {
            return Ok(Some(
                value.secret_string.map_or(Contents::Binary, Contents::Text),
            ));
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
