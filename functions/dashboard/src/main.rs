//! Shows what happened, as pages for people.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    dashboard::run().await
}
