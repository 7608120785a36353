//! One fetch from Secrets Manager: the current version, and the previous version, which stays valid
//! until the next rotation.

use std::fmt;

use anyhow::anyhow;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

use crate::verify::{Scheme, Secrets};

/// The secrets as the secret store gave them.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) current: Secrets,
    pub(super) previous: Previous,
}

/// The version before the current one, which stays valid until the next rotation.
#[derive(Debug)]
pub(super) enum Previous {
    /// The secret store gave the previous version, or said that there is none.
    Answered(Option<Secrets>),
    /// The previous version cannot be used.
    Unusable,
    /// The secret store did not answer for the previous version.
    Unanswered,
}

/// Why there are no secrets.
#[derive(Debug)]
pub(super) enum Unfetched {
    /// The secret does not exist, cannot be used or may not be read. Only an operator can mend this
    /// fault.
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

/// Fetches both versions. If only the previous version can be used, that version stays in use, and
/// the current one counts as unknown. So a mistake in a new secret stops no function.
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
        Ok(None) => Previous::Answered(None),
        Ok(Some(previous)) => match read(id, previous, schemes) {
            Ok(previous) => Previous::Answered(Some(previous)),
            Err(unusable) => {
                tracing::warn!("The previous version is not used: {unusable:#}");
                Previous::Unusable
            }
        },
        Err(unfetched) => {
            tracing::warn!("The previous version is not known: {unfetched}");
            Previous::Unanswered
        }
    };
    match (read(id, current, schemes), previous) {
        (Ok(current), previous) => Ok(Fetched { current, previous }),
        (Err(unusable), Previous::Answered(Some(previous))) => {
            tracing::error!("The previous version stays in use: {unusable:#}");
            Ok(Fetched {
                current: previous,
                previous: Previous::Unanswered,
            })
        }
        (Err(unusable), _) => Err(wrong(unusable)),
    }
}

fn wrong(error: anyhow::Error) -> Unfetched {
    Unfetched::Wrong(error)
}

/// The contents of a version of the secret.
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

/// Whether Secrets Manager would give the same answer again.
fn is_refusal(error: &SdkError<GetSecretValueError>) -> bool {
    let throttled = error
        .code()
        .is_some_and(|code| code.contains("Throttl") || code.contains("TooManyRequests"));
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    status.is_some_and(|status| (400..500).contains(&status)) && !throttled
}
