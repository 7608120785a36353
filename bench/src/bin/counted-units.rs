//! Prints what it costs to count the results of tasks: messages to members, findings, and alerts of
//! low stock. The program measures each with its counters and without.

use std::time::Duration;

use anyhow::ensure;
use aws_sdk_dynamodb::Client;
use bench::counted::Cost;
use bench::tables::{CountedTables, used};
use fraud::Fraud;
use inventory::Inventory;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use webhooks::config::CallLimits;
use webhooks::event::{Event, Fact, tenant_key};
use webhooks::figures::{day_and_hour, tasks};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Claim, Ends, Lease, Status};
use webhooks::stock::{Counted, Stock};

/// How many events each measurement processes.
const EVENTS: usize = 200;

const BATCH_SIZES: [usize; 3] = [1, 10, 100];

/// The product of the events, and a threshold for its stock.
const PRODUCT: &str = "Pizza 0";
const THRESHOLD: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!("| what | in a batch | write units without | with | read units without | with |");
    println!("| --- | --- | --- | --- | --- | --- |");
    print("a message to a member", 1, &message().await?);
    for batch_size in BATCH_SIZES {
        print("a finding", batch_size, &finding(batch_size).await?);
    }
    print("an alert of low stock", 1, &alert().await?);
    Ok(())
}

/// Prints the cost of one, without the counted result and with it.
fn print(what: &str, batch_size: usize, costs: &[Cost; 2]) {
    let [[without, with], [read_without, read_with]] =
        [|it: &Cost| it.write_units, |it: &Cost| it.read_units]
            .map(|units| costs.each_ref().map(|cost| units(cost) / EVENTS as f64));
    println!(
        "| {what} | {batch_size} | {without:.2} | {with:.2} | {read_without:.2} | {read_with:.2} |"
    );
}

/// The claim and the record of a sent message.
async fn message() -> anyhow::Result<[Cost; 2]> {
    let tables = CountedTables::new()?;
    let (ledger, book) = (tables.ledger()?, tables.book()?);
    let mut costs = [Cost::default(); 2];
    for (record, cost) in ["delivery/email", "delivery/whatsapp"]
        .iter()
        .zip(&mut costs)
    {
        let is_counted = *record == "delivery/whatsapp";
        tables.cost();
        for event in used(EVENTS, 1)? {
            let now = Timestamp::now();
            let invocation = Invocation::new(now, now + Duration::from_secs(30));
            let Claim::Granted(lease) = ledger.claim(&event, record, invocation).await? else {
                anyhow::bail!("another worker is at {record}");
            };
            let lease: Lease = match is_counted {
                true => {
                    let (day, _) = day_and_hour(&TimeZone::UTC, event.occurred_at);
                    let tally = tasks::delivery(day, "whatsapp", Status::Done);
                    let tenant = (event.provider.as_str(), event.tenant.as_str());
                    let done = book.attach(tenant, &tally, &event.key, now).await?;
                    lease.ending_with(Ends {
                        done,
                        ..Ends::default()
                    })
                }
                false => lease,
            };
            lease.settle(Status::Done, "an-id-of-some-length").await?;
        }
        *cost = tables.cost();
    }
    Ok(costs)
}

/// A correct use, and a use with contradicting amounts.
async fn finding(batch_size: usize) -> anyhow::Result<[Cost; 2]> {
    let right = used(EVENTS, 1)?;
    let mut wrong = right.clone();
    for event in &mut wrong {
        if let Fact::Used(usage) = &mut event.fact {
            usage.final_value.clone_from(&usage.order_value);
        }
    }
    let mut costs = [Cost::default(); 2];
    for ((events, expected), cost) in [(right, 0), (wrong, EVENTS)].iter().zip(&mut costs) {
        let tables = CountedTables::new()?;
        let fraud = tables.worker("fraud", Fraud::read)?;
        *cost = tables.measure(&fraud, events, batch_size).await?;
        let found = findings(&tables, &events[0]).await?;
        ensure!(found == *expected as u64, "{found} findings are counted");
    }
    Ok(costs)
}

/// How many findings count on the day of an event.
async fn findings(tables: &CountedTables, event: &Event) -> anyhow::Result<u64> {
    let (day, _) = day_and_hour(&TimeZone::UTC, event.occurred_at);
    let figures = tables.figures()?;
    let days = figures
        .days(&event.provider, &event.tenant, day, day)
        .await?;
    let found = days.get(&day).map(|day| day.findings.values().sum());
    Ok(found.unwrap_or(0))
}

/// A use that leaves enough of its product, and a use that leaves too little. The alert's claim is
/// among the cost.
async fn alert() -> anyhow::Result<[Cost; 2]> {
    let mut costs = [Cost::default(); 2];
    for (enough, cost) in [1_000_000, THRESHOLD].into_iter().zip(&mut costs) {
        let tables = CountedTables::new()?;
        let inventory = tables.worker("inventory", Inventory::read)?;
        let stock = tables.operator("inventory", |environment, aws| {
            let client = Client::new(&aws.sdk_config(CallLimits::TASK));
            let (stock, events) = (
                environment.text("STOCK_TABLE"),
                environment.text("EVENTS_TABLE"),
            );
            Stock::new(client, stock, events, THRESHOLD.into())
        })?;
        for event in used(EVENTS, 1)? {
            // Counting the product again allows its next alert.
            let tenant = tenant_key(&event.provider, &event.tenant);
            let on_hand = Counted::All((enough + 1).into());
            stock.count(&tenant, PRODUCT, on_hand, None).await?;
            let one = tables.measure(&inventory, &[event], 1).await?;
            cost.write_units += one.write_units;
            cost.read_units += one.read_units;
        }
    }
    Ok(costs)
}
