//! Keeps the stock: reserves for a redeemed coupon, takes what a used one was good for.

use inventory::Inventory;
use webhooks::worker::{self, from_ledger};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run_batches("inventory", from_ledger(Inventory::read)).await
}
