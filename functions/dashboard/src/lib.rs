//! Shows people what happened, as pages that the server renders and that work without a script.
//!
//! A request first meets `routes`, then `answer` (headers, compression), then `session` and
//! `reader` (who asks, and in which language). Last come a page in `pages`, and its template.

mod address;
mod answer;
mod assets;
mod chart;
mod commands;
mod frame;
mod language;
mod pages;
mod queues;
mod reader;
mod routes;
mod session;
mod sign_in;
mod tries;
mod words;
mod written;

use aws_sdk_dynamodb::Client;
use queues::Queues;
use reporting::Guarded;
use rust_decimal::Decimal;
use serving::Serving;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::stock::Stock;
use webhooks::telemetry;

use tries::Tries;

/// The parts that every route shares.
#[derive(Debug)]
pub(crate) struct Dashboard {
    pub(crate) guarded: Guarded,
    pub(crate) stock: Stock,
    pub(crate) queues: Queues,
    pub(crate) tries: Tries,
}

/// Serves the pages until Lambda ends the function.
///
/// # Errors
/// All problems of the environment or of the tokens.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let stock = read_stock(&mut environment, &aws);
    let queues = Queues::read(&mut environment, &aws);
    let dashboard = Dashboard {
        stock,
        guarded: Guarded::open(environment, &aws).await?,
        queues,
        tries: Tries::default(),
    };
    let serving = Serving::new(routes::router(dashboard), pages::problem::unserved);
    serving.run().await
}

/// `environment` collects the problems; the caller checks it together with the rest.
fn read_stock(environment: &mut Environment, aws: &Aws) -> Stock {
    let threshold = environment.text("STOCK_THRESHOLD");
    let number: Option<Decimal> = threshold.parse().ok();
    if number.is_none() && !threshold.is_empty() {
        let problem = "it must be a number such as 5 or 2.5";
        environment.problem(format!("STOCK_THRESHOLD is {threshold:?}, {problem}"));
    }
    Stock::new(
        Client::new(&aws.sdk_config(CallLimits::TASK)),
        environment.text("STOCK_TABLE"),
        environment.text("EVENTS_TABLE"),
        number.unwrap_or_default(),
    )
}
