//! The page behind a survey's link: three questions, and one answer that the member can change for
//! an hour.
//!
//! Scanners of mails and chats open every link. So opening a link writes nothing; only a form
//! writes.

mod form;
mod page;
mod routes;
mod save;
mod store;
mod style;
mod words;

use serving::Serving;
use webhooks::config::{Aws, Environment};
use webhooks::telemetry;

pub use save::Saved;
pub use store::{Survey, SurveyStore};

/// Serves pages until Lambda ends the function.
///
/// # Errors
///
/// All problems of the environment or of the secrets.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let store = SurveyStore::open(environment, &aws).await?;
    let serving = Serving::new(routes::router(store), routes::unserved);
    serving.run().await
}
