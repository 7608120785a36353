//! Receives from Zupy that a customer used a coupon at a store.

use webhooks::provider::zupy::Zupy;
use webhooks::webhook;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhook::run(Zupy::only(&[Zupy::COUPON_USED])).await
}
