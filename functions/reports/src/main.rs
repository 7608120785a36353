//! Serves the figures, as JSON and as CSV.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    reports::run().await
}
