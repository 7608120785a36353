//! Asks members how the use of a coupon was.

use surveys::Surveys;
use webhooks::worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run("surveys", Surveys::read).await
}
