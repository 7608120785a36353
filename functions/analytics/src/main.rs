//! Counts the events of coupons by day, reward, location and member.

use analytics::Analytics;
use webhooks::worker::{self, from_ledger};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run_batches("analytics", from_ledger(Analytics::read)).await
}
