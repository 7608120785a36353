//! Sends the messages that SQS refused when their events came.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhooks::outbox::run().await
}
