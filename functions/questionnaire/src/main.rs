//! The page behind a survey's link, and the answers that it saves.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    questionnaire::run().await
}
