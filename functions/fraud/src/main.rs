//! Looks for events that do not look right: redeemed too fast, used twice, used too late.

use fraud::Fraud;
use webhooks::worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run_batches("fraud", Fraud::read).await
}
