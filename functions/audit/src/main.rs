//! Compares the figures with the recorded events, once a day.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhooks::audit::run().await
}
