//! Shows people what happened, as pages.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    dashboard::run().await
}
