//! Receives every type of Zupy's events, at the one URL that Zupy lets a company register.

use webhooks::provider::zupy::Zupy;
use webhooks::webhook;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhook::run(Zupy::every_event()).await
}
