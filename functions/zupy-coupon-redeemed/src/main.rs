//! Receives from Zupy that a customer turned points into a coupon.

use webhooks::provider::zupy::Zupy;
use webhooks::webhook;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhook::run(Zupy::only(&[Zupy::COUPON_REDEEMED])).await
}
