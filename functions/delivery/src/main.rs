//! Brings a redeemed coupon to its customer.

use delivery::Delivery;
use webhooks::worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run("delivery", Delivery::read).await
}
