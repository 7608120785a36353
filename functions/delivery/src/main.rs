//! Brings a redeemed coupon to its customer: into the account, and by mail.

mod account;
mod delivery;
mod email;

use webhooks::worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (delivery, queue) = delivery::Delivery::from_environment()?;
    worker::run(queue, move |message, until| {
        delivery.clone().deliver(message, until)
    })
    .await
}
