//! Receives from Aghanim that a player redeemed a code.

use webhooks::provider::aghanim::Aghanim;
use webhooks::webhook;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    webhook::run(Aghanim).await
}
