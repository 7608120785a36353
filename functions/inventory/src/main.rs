//! Keeps the stock: reserves a product for each redeemed coupon, and takes the products of a used
//! one.

use inventory::Inventory;
use webhooks::worker::{self, from_ledger};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run_batches("inventory", from_ledger(Inventory::read)).await
}
