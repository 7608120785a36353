//! Where task functions are measured: the template's tables in this process, and events that the samples tell of.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use local::aws::Aws;
use local::dynamodb::DynamoDb;
use local::sent::Outside;
use local::sqs::Sqs;
use local::template::{REGION, Template};
use webhooks::config::{self, Environment};
use webhooks::event::Event;
use webhooks::invocation::Invocation;
use webhooks::provider::{Content, RecordedBody, read_recorded, zupy};
use webhooks::task::Message;
use webhooks::worker::{BatchWork, QueueMessage};

use crate::counted::{Cost, Counted};

const REDEEMED: &str = include_str!("../../events/samples/zupy-coupon-redeemed.json");
const USED: &str = include_str!("../../events/samples/zupy-coupon-used.json");

/// Empty tables, and calls that are counted.
#[derive(Debug)]
pub struct Desk {
    template: Template,
    counted: Counted,
}

impl Desk {
    pub fn new() -> anyhow::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("template.yaml");
        let parameters = [
            ("AghanimWebhookSecrets", "a"),
            ("ZupyWebhookSecrets", "z"),
            ("MailFrom", "cupons@example.com"),
            ("MailIdentity", "example.com"),
            ("AwsEndpointUrl", "http://aws"),
            // What is measured is not recorded first, so no use has a redemption.
            ("FraudRules", "unknown_coupon=off"),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let template = Template::read(&path, &parameters.into(), 4566)?;
        let dynamodb = DynamoDb::without_server(&template.tables)?;
        let (sqs, outside) = (Sqs::open(None)?, Outside::open(None)?);
        let aws = Aws::new(dynamodb, sqs, outside, &template, Timestamp::now());
        Ok(Self {
            counted: Counted::new(Arc::new(aws)),
            template,
        })
    }

    /// The calls, and their cost.
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Makes a function's worker, in the environment that the template gives it.
    pub fn worker<W>(
        &self,
        function: &str,
        read: impl FnOnce(&mut Environment, &config::Aws) -> W,
    ) -> anyhow::Result<W> {
        let mut functions = self.template.functions.iter();
        let declared = functions.find(|it| it.name == function);
        let declared = declared.with_context(|| format!("there is no function {function}"))?;
        let own = [
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut environment = Environment::of(declared.environment.clone().into_iter().chain(own));
        let aws = config::Aws::read(&mut environment).over(self.counted.client());
        let worker = read(&mut environment, &aws);
        environment.check()?;
        Ok(worker)
    }

    /// Has events worked off in batches of a size, and tells what they cost.
    pub async fn measure(
        &self,
        worker: &impl BatchWork<Message = Message<'static>>,
        events: &[Event],
        batch_size: usize,
    ) -> anyhow::Result<Cost> {
        self.counted.take();
        for batch in events.chunks(batch_size) {
            let now = Timestamp::now();
            let messages = batch.iter().map(|event| {
                let body = Message::new(event, now, None).to_body();
                Message::read(&body).context("reading a message back")
            });
            let messages = messages.collect::<Result<_, _>>()?;
            let invocation = Invocation::new(now, now + Duration::from_secs(30));
            let outcomes = worker.work(messages, invocation).await;
            let failed = outcomes.into_iter().find_map(Result::err);
            ensure!(failed.is_none(), "an event was not worked off: {failed:?}");
        }
        Ok(self.counted.take())
    }
}

/// So many coupons, redeemed for so many products in turn.
pub fn redeemed(count: usize, products: usize) -> anyhow::Result<Vec<Event>> {
    let numbers = 0..count;
    numbers
        .map(|it| told(REDEEMED, it, it % products))
        .collect()
}

/// The same coupons, used.
pub fn used(count: usize, products: usize) -> anyhow::Result<Vec<Event>> {
    let numbers = 0..count;
    numbers.map(|it| told(USED, it, it % products)).collect()
}

/// What a sample tells, of another coupon, another member and another product.
fn told(sample: &str, coupon: usize, product: usize) -> anyhow::Result<Event> {
    let body = sample
        .replace("CP-A1B2C3D4", &format!("CP-{coupon:08}"))
        .replace("ZP-4F95FB0A", &format!("ZP-{coupon:08}"))
        .replace("Pizza Margherita", &format!("Pizza {product}"));
    let recorded = RecordedBody {
        provider: zupy::NAME,
        scheme: zupy::V1.name,
        tenant: "comp_bella_vista",
        body: &body,
        time_zone: None,
    };
    match read_recorded(&recorded) {
        Some(Content::Event(event)) => Ok(*event),
        other => anyhow::bail!("the sample is no event: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use inventory::Inventory;

    use super::*;

    /// A record and a reservation, which an index holds too, are each event's own; the product is shared, and alerted of once.
    #[tokio::test]
    async fn a_sale_costs_less_the_more_of_them_there_are() {
        for (batch_size, most) in [(1, 7.02), (10, 5.22), (100, 5.08)] {
            let desk = Desk::new().unwrap();
            let inventory = desk.worker("inventory", Inventory::read).unwrap();
            for events in [redeemed(200, 1).unwrap(), used(200, 1).unwrap()] {
                let cost = desk.measure(&inventory, &events, batch_size).await.unwrap();
                let of_one = cost.write_units / 200.0;
                assert!((5.0..=most).contains(&of_one), "{batch_size}: {of_one}");
            }
        }
    }
}
