//! Checks events by fraud rules: a coupon redeemed too fast, used twice, used too late.

use fraud::Fraud;
use webhooks::worker::{self, from_ledger};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run_batches("fraud", from_ledger(Fraud::read)).await
}
