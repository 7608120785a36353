//! Records the events that DynamoDB refused when they came.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhooks::retry::run().await
}
