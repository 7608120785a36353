//! The page behind a survey's link, and the answers that it takes.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    questionnaire::run().await
}
