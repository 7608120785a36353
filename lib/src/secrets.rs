//! The webhook secrets, from Secrets Manager.

use anyhow::Context;
use aws_types::SdkConfig;

use crate::verify::Secrets;

/// Fetches a secret whose value is a comma-separated list: several are valid while one replaces another.
pub async fn fetch(sdk_config: &SdkConfig, id: &str) -> anyhow::Result<Secrets> {
    let client = aws_sdk_secretsmanager::Client::new(sdk_config);
    let value = client
        .get_secret_value()
        .secret_id(id)
        .send()
        .await
        .with_context(|| format!("reading the secret {id} from Secrets Manager"))?;
    let text = value
        .secret_string()
        .with_context(|| format!("the secret {id} is binary, it must be text"))?;
    Secrets::parse(text).with_context(|| {
        format!("the secret {id} is empty: put the provider's webhook secret there, several separated by commas")
    })
}
