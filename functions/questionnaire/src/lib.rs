//! The page behind a survey's link: three questions, and one answer that can be changed for an
//! hour.
//!
//! Scanners of mails and chats open every link. So opening a link writes nothing; only a form
//! writes.

mod desk;
mod form;
mod page;
mod routes;
mod save;
mod style;
mod words;

use serving::Serving;
use webhooks::config::{Aws, Environment};
use webhooks::telemetry;

pub use desk::{Desk, Survey};
pub use save::Saved;

/// Serves pages until Lambda ends the function.
///
/// # Errors
///
/// All problems of the environment or of the secrets.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let desk = Desk::open(environment, &aws).await?;
    let serving = Serving::new(routes::router(desk), routes::unserved);
    serving.run().await
}
