//! The measurement of task functions: the template's tables in this process, and events made from
//! the samples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use emulators::dynamodb::DynamoDb;
use emulators::endpoint::{Aws, access_key_id};
use emulators::sent::Outside;
use emulators::sqs::Sqs;
use emulators::template::{REGION, Template};
use jiff::Timestamp;
use webhooks::config::{self, CallLimits, Environment};
use webhooks::dispatch::Dispatch;
use webhooks::event::{Event, Fact};
use webhooks::figures::{Book, Figures};
use webhooks::invocation::Invocation;
use webhooks::ledger::Ledger;
use webhooks::provider::{Content, RecordedBody, read_recorded, zupy};
use webhooks::task::{Message, WorkMessage, tasks};
use webhooks::verify::Secrets;
use webhooks::worker::{BatchWork, QueueMessage};

use crate::counted::{Cost, Counted};

const REDEEMED: &str = include_str!("../../events/samples/zupy-coupon-redeemed.json");
const USED: &str = include_str!("../../events/samples/zupy-coupon-used.json");

/// Tables that start empty and count the calls to them.
#[derive(Debug)]
pub struct CountedTables {
    template: Template,
    counted: Counted,
}

impl CountedTables {
    pub fn new() -> anyhow::Result<Self> {
        Self::at("http://aws")
    }

    /// Lets functions find AWS at this endpoint.
    pub fn at(endpoint: &str) -> anyhow::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("template.yaml");
        let parameters = [
            ("AghanimWebhookSecrets", "a"),
            ("ZupyWebhookSecrets", "z"),
            ("MailFrom", "cupons@example.com"),
            ("MailIdentity", "example.com"),
            ("AwsEndpointUrl", endpoint),
            // The ledger has no measured event before its task, so no use has a redemption.
            ("FraudRules", "unknown_coupon=off"),
            // A zone with daylight saving time, so that days have different lengths.
            ("TimeZone", "Europe/Lisbon"),
            ("ReportDays", "36500"),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let template = Template::read(&path, &parameters.into(), 4566)?;
        let dynamodb = DynamoDb::without_server(&template.tables)?;
        let (sqs, outside) = (Sqs::open(None)?, Outside::open(None)?);
        for queue in &template.queues {
            sqs.declare(queue.clone())?;
        }
        let aws = Aws::new(dynamodb, sqs, outside, &template, Timestamp::now());
        Ok(Self {
            counted: Counted::new(Arc::new(aws)),
            template,
        })
    }

    /// The calls and their cost.
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Makes a function's worker, in the environment that the template gives it.
    pub fn worker<W>(
        &self,
        function: &str,
        read: impl FnOnce(&mut Environment, &config::Aws) -> W,
    ) -> anyhow::Result<W> {
        self.read(self.environment(function)?, read)
    }

    /// Like [`worker`](Self::worker), for an operator, who may do everything.
    pub fn operator<W>(
        &self,
        function: &str,
        read: impl FnOnce(&mut Environment, &config::Aws) -> W,
    ) -> anyhow::Result<W> {
        let mut environment = self.environment(function)?;
        environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "operator".to_owned());
        self.read(environment, read)
    }

    fn read<W>(
        &self,
        environment: BTreeMap<String, String>,
        read: impl FnOnce(&mut Environment, &config::Aws) -> W,
    ) -> anyhow::Result<W> {
        let mut environment = Environment::of(environment);
        let aws = config::Aws::read(&mut environment).over(self.counted.client());
        let worker = read(&mut environment, &aws);
        environment.check()?;
        Ok(worker)
    }

    /// The environment that the template gives a function, with keys and a region.
    pub fn environment(&self, function: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let mut functions = self.template.functions.iter();
        let declared = functions.find(|it| it.name == function);
        let declared = declared.with_context(|| format!("there is no function {function}"))?;
        let mut environment = declared.environment.clone();
        let own = [
            ("AWS_REGION", REGION.to_owned()),
            // The endpoint allows a function what the template allows it.
            ("AWS_ACCESS_KEY_ID", access_key_id(function)),
            ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Ok(environment)
    }

    /// The figures that a report reads.
    pub fn figures(&self) -> anyhow::Result<Figures> {
        let read = |environment: &mut Environment, aws: &config::Aws| {
            Figures::read(environment, aws, CallLimits::TASK)
        };
        self.operator("analytics", read)
    }

    /// The book through which a function writes figures.
    pub fn book(&self) -> anyhow::Result<Book> {
        let read = |environment: &mut Environment, aws: &config::Aws| {
            Book::read(environment, aws, CallLimits::TASK)
        };
        self.operator("analytics", read)
    }

    /// The events table.
    pub fn ledger(&self) -> anyhow::Result<Ledger> {
        let read = |environment: &mut Environment, aws: &config::Aws| {
            Ledger::read(environment, aws, CallLimits::TASK)
        };
        self.operator("analytics", read)
    }

    /// Records events as a webhook function does, with bodies made for them.
    pub async fn record(&self, events: &[Event]) -> anyhow::Result<()> {
        let ledger = self.ledger()?;
        let secrets = Secrets::parse("z").map_err(|_| anyhow!("the secret is empty"))?;
        for event in events {
            let body = body_of(event);
            let now = Timestamp::now();
            let headers = zupy::V1.sign(body.as_bytes(), secrets.first(), now);
            let headers = headers.into_iter().collect();
            let verified = zupy::V1.verify(&headers, body.as_bytes(), &secrets);
            let (verified, _) = verified.map_err(|_| anyhow!("the body's signature is wrong"))?;
            let mut event = event.clone();
            ledger.record(&mut event, &verified, now, now).await?;
        }
        Ok(())
    }

    /// Adds 1 to a counter of each item. Returns the number of different counters, in all shards
    /// together.
    pub async fn corrupt_counters(&self) -> anyhow::Result<usize> {
        let read = |environment: &mut Environment, aws: &config::Aws| {
            let client = Client::new(&aws.sdk_config(CallLimits::TASK));
            (client, environment.text("FIGURES_TABLE"))
        };
        let (client, table) = self.operator("analytics", read)?;
        let rows = client.scan().table_name(&table).send().await?;
        let mut corrupted = BTreeSet::new();
        for row in rows.items.unwrap_or_default() {
            // The result of an audit is no counter.
            if row["part"].as_s().is_ok_and(|part| part == "audit") {
                continue;
            }
            let counter = row
                .iter()
                .find(|(name, value)| !["ttl", "second"].contains(&name.as_str()) && value.is_n());
            let Some((name, _)) = counter else {
                continue;
            };
            // One counter may be in several shards, in items with names such as `<item>~<shard>`.
            let entry = row["entry"]
                .as_s()
                .map_err(|_| anyhow!("an entry is no text"))?;
            let counter = entry.split('~').next().unwrap_or(entry).to_owned();
            corrupted.insert((counter, name.clone()));
            client
                .update_item()
                .table_name(&table)
                .key("part", row["part"].clone())
                .key("entry", row["entry"].clone())
                .update_expression("ADD #name :one")
                .expression_attribute_names("#name", name)
                .expression_attribute_values(":one", AttributeValue::N("1".into()))
                .send()
                .await?;
        }
        Ok(corrupted.len())
    }

    /// The calls and their cost since the last call of this function.
    pub fn cost(&self) -> Cost {
        self.counted.take()
    }

    /// Processes events in batches of a size, and returns their cost.
    pub async fn measure(
        &self,
        worker: &impl BatchWork<Message = Message<'static>>,
        events: &[Event],
        batch_size: usize,
    ) -> anyhow::Result<Cost> {
        self.measure_bodies(worker, events, batch_size, |message| message.to_body())
            .await
    }

    /// The same for `dispatch`; its messages name all tasks of an event.
    pub async fn measure_dispatch(
        &self,
        dispatch: &Dispatch,
        events: &[Event],
        batch_size: usize,
    ) -> anyhow::Result<Cost> {
        self.measure_bodies(dispatch, events, batch_size, work_body)
            .await
    }

    async fn measure_bodies<W: BatchWork>(
        &self,
        worker: &W,
        events: &[Event],
        batch_size: usize,
        to_body: impl Fn(&Message<'_>) -> String,
    ) -> anyhow::Result<Cost> {
        self.counted.take();
        for batch in events.chunks(batch_size) {
            let now = Timestamp::now();
            let messages = batch.iter().map(|event| {
                let body = to_body(&Message::new(event, now, None));
                W::Message::read(&body).context("reading a message back")
            });
            let messages = messages.collect::<Result<_, _>>()?;
            let invocation = Invocation::new(now, now + Duration::from_secs(30));
            let outcomes = worker.work(messages, invocation).await;
            let failed = outcomes.into_iter().find_map(Result::err);
            ensure!(failed.is_none(), "an event failed: {failed:?}");
        }
        Ok(self.counted.take())
    }
}

/// The message to `work`, for all tasks of the event.
fn work_body(message: &Message<'_>) -> String {
    WorkMessage::new(message, tasks(&message.event)).into_body()
}

/// How many rewards and locations the measured events of a company have.
pub const REWARDS: usize = 20;
const PLACES: usize = 10;

/// Coupons from a number on, redeemed today: 20 rewards in turn, and each with another member.
pub fn redeemed_today(from: usize, count: usize) -> anyhow::Result<Vec<Event>> {
    (from..from + count).map(|it| today(REDEEMED, it)).collect()
}

/// The same coupons, used at 10 locations in turn.
pub fn used_today(from: usize, count: usize) -> anyhow::Result<Vec<Event>> {
    (from..from + count).map(|it| today(USED, it)).collect()
}

/// The body of one of these events.
fn body_of(event: &Event) -> String {
    let sample = match &event.fact {
        Fact::Redeemed(_) => REDEEMED,
        _ => USED,
    };
    let mut body: serde_json::Value = serde_json::from_str(sample).unwrap_or_default();
    body["timestamp"] = event.occurred_at.to_string().into();
    body["customer"]["member_id"] = event.member.id.clone().into();
    let code = event.fact.coupon_code();
    match &event.fact {
        Fact::Redeemed(redemption) => {
            body["coupon"]["coupon_code"] = code.into();
            body["coupon"]["reward_id"] = redemption.reward.id.clone().into();
            body["coupon"]["reward_name"] = redemption.reward.name.clone().into();
        }
        Fact::Used(usage) => {
            body["usage"]["coupon_code"] = code.into();
            body["usage"]["reward_name"] = usage.reward_name.clone().into();
            body["usage"]["location"] = usage.location.clone().into();
            body["usage"]["staff_member"] = usage.staff_member.clone().into();
        }
        _ => {}
    }
    body.to_string()
}

fn today(sample: &str, number: usize) -> anyhow::Result<Event> {
    let (reward, place) = (number % REWARDS, number / REWARDS % PLACES);
    let mut event = reported(sample, number, reward)?;
    // All events are in the same hour, as in a real batch. A coupon's use comes two days after its
    // redemption.
    let hour = Timestamp::now().as_second() / 3600 * 3600;
    let minute = i64::try_from(number % 60)?;
    let second = match &mut event.fact {
        Fact::Redeemed(redemption) => {
            redemption.reward.id = Some(format!("rw_{reward}"));
            redemption.reward.name = Some(format!("Pizza {reward} Grátis"));
            hour - 3600 * 49 + 60 * minute
        }
        Fact::Used(usage) => {
            usage.reward_name = Some(format!("Pizza {reward} Grátis"));
            usage.location = Some(format!("Loja {place}"));
            usage.staff_member = Some(format!("Ana {place}"));
            hour
        }
        _ => hour,
    };
    event.occurred_at = Timestamp::from_second(second)?;
    Ok(event)
}

/// This many coupons, redeemed for this many products in turn.
pub fn redeemed(count: usize, products: usize) -> anyhow::Result<Vec<Event>> {
    let numbers = 0..count;
    numbers
        .map(|number| reported(REDEEMED, number, number % products))
        .collect()
}

/// The same coupons, used.
pub fn used(count: usize, products: usize) -> anyhow::Result<Vec<Event>> {
    let numbers = 0..count;
    numbers
        .map(|number| reported(USED, number, number % products))
        .collect()
}

/// A sample's event with another coupon, another member and another product.
fn reported(sample: &str, coupon: usize, product: usize) -> anyhow::Result<Event> {
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
        other => anyhow::bail!("the sample holds no event: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use inventory::Inventory;

    use super::*;

    /// Each event has its own record and its own reservation, which an index holds too. The events
    /// share the product and its one alert.
    #[tokio::test]
    async fn a_sale_costs_less_the_more_of_them_there_are() {
        for (batch_size, most) in [(1, 7.02), (10, 5.22), (100, 5.08)] {
            let tables = CountedTables::new().unwrap();
            let inventory = tables.worker("inventory", Inventory::read).unwrap();
            for events in [redeemed(200, 1).unwrap(), used(200, 1).unwrap()] {
                let cost = tables
                    .measure(&inventory, &events, batch_size)
                    .await
                    .unwrap();
                let of_one = cost.write_units / 200.0;
                assert!((5.0..=most).contains(&of_one), "{batch_size}: {of_one}");
            }
        }
    }

    /// A redemption of a free product has four tasks, and each queue takes ten messages at once.
    #[tokio::test]
    async fn dispatch_sends_ten_messages_in_a_request_and_writes_nothing() {
        for (batch_size, requests) in [(1, 800), (10, 80), (100, 80)] {
            let tables = CountedTables::new().unwrap();
            let dispatch = tables.worker("dispatch", Dispatch::read).unwrap();
            let events = redeemed(200, 1).unwrap();
            let cost = tables
                .measure_dispatch(&dispatch, &events, batch_size)
                .await;
            let cost = cost.unwrap();
            assert_eq!(cost.other_requests, requests, "{batch_size}");
            assert_eq!((cost.requests, cost.write_units), (0, 0.0), "{batch_size}");
        }
    }
}
