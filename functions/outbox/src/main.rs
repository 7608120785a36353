//! Sends the tasks that SQS refused when their event came.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhooks::outbox::run().await
}
