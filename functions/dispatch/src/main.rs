//! Sends the events of the `work` queue on to the queues of their tasks.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhooks::dispatch::run().await
}
