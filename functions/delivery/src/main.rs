//! Brings a redeemed coupon to its customer: into the account, and by mail.

mod account;
mod delivery;
mod email;

use webhooks::worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let delivery = delivery::Delivery::from_environment()?;
    worker::run(move |message, until| delivery.clone().deliver(message, until)).await
}
