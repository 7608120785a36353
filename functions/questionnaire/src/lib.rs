//! The page behind a survey's link: three questions, and one answer that may be changed for an
//! hour.
//!
//! Scanners of mails and chats open every link. So only a form writes; opening a link does not.

mod alert;
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

use desk::Desk;

/// Serves pages until Lambda ends the function.
///
/// # Errors
/// Everything that is wrong with the environment, or with the secrets.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let desk = Desk::open(environment, &aws).await?;
    let serving = Serving::new(routes::router(desk), routes::unserved);
    serving.run().await
}
