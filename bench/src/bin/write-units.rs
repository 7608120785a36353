//! Prints the cost of an event in DynamoDB: its own row, then each task by the size of its batches.
//! `main` lists the tasks.

use analytics::Analytics;
use bench::counted::Cost;
use bench::rows::{SAMPLES, record};
use bench::tables::{CountedTables, REWARDS, redeemed, redeemed_today, used, used_today};
use fraud::Fraud;
use inventory::Inventory;
use webhooks::dispatch::Dispatch;
use webhooks::event::Event;
use webhooks::task::Message;
use webhooks::worker::BatchWork;

const BATCH_SIZES: [usize; 3] = [1, 10, 100];

/// How many products the events have.
const PRODUCTS: [usize; 2] = [1, 10];

/// How many coupons have a redemption and a use before the measurement.
const WARM_UP: usize = 400;

/// How many events each measurement processes.
const EVENTS: usize = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!("| sample | body | row | write units |");
    println!("| --- | --- | --- | --- |");
    for (name, body) in SAMPLES {
        let cost = record(&CountedTables::new()?, body).await?;
        let (body, row, units) = (body.len(), cost.item_bytes, cost.write_units);
        println!("| {name} | {body} | {row} | {units} |");
    }
    println!();
    println!(
        "| task | event | products | in a batch | requests | requests elsewhere | write units | \
         read units |"
    );
    println!("|{}", " --- |".repeat(8));
    for batch_size in BATCH_SIZES {
        let tables = CountedTables::new()?;
        let dispatch = tables.worker("dispatch", Dispatch::read)?;
        let table = Table {
            tables: &tables,
            task: "dispatch",
            products: 1,
            batch_size,
        };
        for (what, events) in [
            ("redeemed", redeemed(EVENTS, 1)?),
            ("used", used(EVENTS, 1)?),
        ] {
            let cost = tables.measure_dispatch(&dispatch, &events, batch_size);
            table.print(what, cost.await?, events.len());
        }
    }
    for products in PRODUCTS {
        for batch_size in BATCH_SIZES {
            let tables = CountedTables::new()?;
            let inventory = tables.worker("inventory", Inventory::read)?;
            let table = Table {
                tables: &tables,
                task: "inventory",
                products,
                batch_size,
            };
            let (redeemed, used) = (redeemed(EVENTS, products)?, used(EVENTS, products)?);
            table.row("redeemed", &inventory, &redeemed).await?;
            table.row("used", &inventory, &used).await?;
        }
    }
    for batch_size in BATCH_SIZES {
        let tables = CountedTables::new()?;
        let fraud = tables.worker("fraud", Fraud::read)?;
        let table = Table {
            tables: &tables,
            task: "fraud",
            products: 1,
            batch_size,
        };
        table.row("redeemed", &fraud, &redeemed(EVENTS, 1)?).await?;
        table.row("used", &fraud, &used(EVENTS, 1)?).await?;
    }
    for batch_size in [1, 10, 100, 1000] {
        let tables = CountedTables::new()?;
        let analytics = tables.worker("analytics", Analytics::read)?;
        let table = Table {
            tables: &tables,
            task: "analytics",
            products: REWARDS,
            batch_size,
        };
        // Analytics writes each name once, with its first count, and then not for more than a year.
        tables
            .measure(&analytics, &redeemed_today(0, WARM_UP)?, WARM_UP)
            .await?;
        tables
            .measure(&analytics, &used_today(0, WARM_UP)?, WARM_UP)
            .await?;
        let redeemed = redeemed_today(WARM_UP, EVENTS)?;
        let used = used_today(WARM_UP, EVENTS)?;
        table.row("redeemed", &analytics, &redeemed).await?;
        table.row("used", &analytics, &used).await?;
    }
    Ok(())
}

struct Table<'a> {
    tables: &'a CountedTables,
    task: &'static str,
    products: usize,
    batch_size: usize,
}

impl Table<'_> {
    /// Processes the events, and prints the cost of one.
    async fn row(
        &self,
        what: &str,
        worker: &impl BatchWork<Message = Message<'static>>,
        events: &[Event],
    ) -> anyhow::Result<()> {
        let cost = self.tables.measure(worker, events, self.batch_size).await?;
        self.print(what, cost, events.len());
        Ok(())
    }

    /// Prints the cost of one of these events.
    fn print(&self, what: &str, cost: Cost, events: usize) {
        let of_one = |sum: f64| sum / events as f64;
        println!(
            "| {} | {what} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            self.task,
            self.products,
            self.batch_size,
            of_one(cost.requests.into()),
            of_one(cost.other_requests.into()),
            of_one(cost.write_units),
            of_one(cost.read_units),
        );
    }
}
