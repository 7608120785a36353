//! Brings a redeemed coupon to its customer.

use delivery::Delivery;
use webhooks::worker::{self, from_ledger};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run("delivery", from_ledger(Delivery::read)).await
}
