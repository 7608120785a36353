//! Serves reports on coupons, as JSON and as CSV, for programs and for people.

mod bearer;
mod response;
mod routes;

use reporting::Guarded;
use serving::Serving;
use webhooks::config::{Aws, Environment};
use webhooks::telemetry;

/// Serves reports until Lambda ends the function.
///
/// # Errors
/// All problems of the environment, or of the tokens.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let guarded = Guarded::open(environment, &aws).await?;
    let serving = Serving::new(routes::router(guarded), response::unserved);
    serving.run().await
}
