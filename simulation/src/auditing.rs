//! Audits of the figures. One begins during the trouble; the others begin when everything has
//! settled. Each meets interruptions, as the audit of a large table does, and its processes die.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use emulators::faults::{CallMode, Fault};
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::history::Moment;
use crate::trouble::moment;
use crate::world::World;
use crate::{in_order, settle};

/// What makes a seed of a story one for its audits.
const OWN: u64 = 0x5EED_0FA0_D175;

/// The longest pause between two invocations of an unfinished audit.
const PAUSE_MAX_S: u64 = 60;

/// A story's audit has at least this many invocations to finish, and more if there are many rows.
const INVOCATIONS_MIN: usize = 60;

const DAY: Duration = Duration::from_secs(86_400);

/// Begins an audit during the trouble, and continues it until it has finished.
pub(crate) async fn run_meanwhile(world: &World, seed: u64) -> anyhow::Result<()> {
    let random = &mut Rng::with_seed(seed ^ OWN);
    tokio::time::sleep(moment(random)).await;
    run(world, random, world.now()).await.map(|_| ())
}

/// Audits the settled figures, changes a counter, and audits again. Returns every broken
/// expectation.
pub(crate) async fn play(world: &World, seed: u64) -> anyhow::Result<Vec<String>> {
    let random = &mut Rng::with_seed(!seed ^ OWN);
    let mut broken = Vec::new();
    for result in results(world) {
        if result["differ"]["N"] != "0" {
            broken.push(format!("an audit during the trouble differs: {result}"));
        }
    }
    let before = figures(world).await?;
    let counted = counted_events(world).await?;
    match next(world, random).await? {
        None => broken.push("an audit does not finish".to_owned()),
        Some(result) if result["differ"] != 0 || result["events"] != counted => {
            broken.push(format!(
                "the audit of {counted} events differs though everything has settled: {result}"
            ));
        }
        Some(_) => {}
    }
    if let Some(counter) = choose(world, random).await? {
        let by = random.choice([-1, 1]).unwrap_or(1);
        counter.add(world, by).await?;
        let result = next(world, random).await?;
        if !result.as_ref().is_some_and(|it| counter.is_named(it, by)) {
            broken.push(format!(
                "{counter:?} is changed by {by}, and the audit says {result:?}"
            ));
        }
        counter.add(world, -by).await?;
    }
    if figures(world).await? != before {
        broken.push("an audit changed the figures".to_owned());
    }
    broken.extend(writes(world));
    if !settle(world).await {
        broken.push("the system does not settle after an audit".to_owned());
    }
    Ok(broken)
}

/// A day later, audits under faults, and returns the result.
async fn next(world: &World, random: &mut Rng) -> anyhow::Result<Option<Value>> {
    tokio::time::advance(DAY).await;
    let fault = match random.bool() {
        true => Fault::everywhere(CallMode::LoseResponse),
        false => Fault::everywhere(CallMode::Delay(Duration::from_millis(
            random.u64(100..=500),
        ))),
    };
    let fault = fault.by("audit").at_rate(0.1).seeded(random.u64(..));
    let fault = world.faults.add(fault);
    world.functions.kill(0.2);
    let result = run(world, random, world.now()).await;
    world.functions.kill(0.0);
    world.faults.remove(fault);
    result
}

/// Invokes the audit until one that began at `began` or later has finished, and returns its result.
async fn run(world: &World, random: &mut Rng, began: Timestamp) -> anyhow::Result<Option<Value>> {
    let rows = world.items("events").await?.len();
    // The scan takes real time and no simulated time. What else begins at this moment, such as the
    // daily audit after a day has passed, must begin before this audit in every run.
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..INVOCATIONS_MIN.max(rows) {
        let answer = world.functions.invoke("audit", "{}".to_owned()).await;
        world.history.remark(match answer {
            Ok(answer) => format!("audit: {answer}"),
            Err(error) => format!("audit: {error:#}"),
        });
        let rows = world.items("figures").await?.into_iter();
        let mut results = rows.filter(|row| row["part"] == "audit" && row["entry"] == "result");
        if let Some(result) = results.next() {
            let started_at = result["started_at"].as_str().unwrap_or_default();
            if started_at.parse::<Timestamp>()? >= began {
                return Ok(Some(result));
            }
        }
        tokio::time::sleep(Duration::from_secs(random.u64(1..=PAUSE_MAX_S))).await;
    }
    Ok(None)
}

/// The calls by which audits changed a table: the operation and the body.
fn changes(world: &World) -> Vec<(String, Value)> {
    let moments = world.history.moments().into_iter();
    let changes = moments.filter_map(|(_, moment)| match moment {
        Moment::Performed { call, .. } if call.process.function == "audit" => {
            let (_, operation) = call.operation.rsplit_once('.')?;
            let only_reads = ["GetItem", "BatchGetItem", "Query", "Scan"].contains(&operation);
            (!only_reads).then(|| (operation.to_owned(), call.body))
        }
        _ => None,
    });
    changes.collect()
}

/// What audits wrote outside their own partition.
fn writes(world: &World) -> Vec<String> {
    let changes = changes(world).into_iter();
    let others = changes.filter(|(operation, body)| {
        let is_own = body["TableName"] == "figures" && body["Item"]["part"]["S"] == "audit";
        operation != "PutItem" || !is_own
    });
    others
        .map(|(operation, body)| format!("an audit changed something: {operation} {body}"))
        .collect()
}

/// Every result that an audit has written so far.
fn results(world: &World) -> Vec<Value> {
    let changes = changes(world).into_iter();
    let items = changes.map(|(_, mut body)| body["Item"].take());
    items.filter(|it| it["entry"]["S"] == "result").collect()
}

/// Everything in the figures except what audits leave.
async fn figures(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let mut rows = world.items("figures").await?;
    rows.retain(|row| row["part"] != "audit");
    in_order(rows)
}

/// How many recorded events count, by their records.
async fn counted_events(world: &World) -> anyhow::Result<usize> {
    let rows = world.items("events").await?.into_iter();
    let counted = rows.filter(|row| {
        let entry = row["entry"].as_str().unwrap_or_default();
        let is_placeholder = row["placeholder"] == true;
        entry.ends_with("/analytics") && row["status"] == "done" && !is_placeholder
    });
    Ok(counted.count())
}

/// A counter of the figures.
#[derive(Debug)]
struct Counter {
    tenant: String,
    part: String,
    entry: String,
    name: String,
}

/// Any of the counters, if there is one.
async fn choose(world: &World, random: &mut Rng) -> anyhow::Result<Option<Counter>> {
    let mut counters = Vec::new();
    for row in world.items("figures").await? {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let (part, entry) = (text("part"), text("entry"));
        let Some((tenant, partition)) = part.rsplit_once('#') else {
            continue;
        };
        if partition.parse::<u64>().is_err() {
            continue;
        }
        let fields = row.as_object().context("a row")?.iter();
        let names = fields.filter(|(name, value)| value.is_number() && *name != "ttl");
        counters.extend(
            names.map(|(name, _)| (tenant.to_owned(), part.clone(), entry.clone(), name.clone())),
        );
    }
    // The rows of a scan have no fixed order.
    counters.sort();
    let counter = random.choice(counters);
    Ok(counter.map(|(tenant, part, entry, name)| Counter {
        tenant,
        part,
        entry,
        name,
    }))
}

impl Counter {
    /// Changes the counter behind the functions' back.
    async fn add(&self, world: &World, by: i64) -> anyhow::Result<()> {
        let update = json!({
            "TableName": "figures",
            "Key": {"part": {"S": self.part}, "entry": {"S": self.entry}},
            "UpdateExpression": "ADD #name :by",
            "ExpressionAttributeNames": {"#name": self.name},
            "ExpressionAttributeValues": {":by": {"N": by.to_string()}},
        });
        world.ask("UpdateItem", update).await.map(|_| ())
    }

    /// Whether an audit's result names this counter alone, and by how much it differs.
    fn is_named(&self, result: &Value, by: i64) -> bool {
        let drift = result["drift"].as_str().unwrap_or_default();
        let drift: Value = serde_json::from_str(drift).unwrap_or_default();
        let [differs] = drift.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return false;
        };
        let number = |name: &str| differs[name].as_str().and_then(|it| it.parse::<f64>().ok());
        let differs_by = number("counted").zip(number("recorded"));
        result["differ"] == 1
            && differs["tenant"] == self.tenant
            && self
                .entry
                .starts_with(differs["day"].as_str().unwrap_or("-"))
            && self
                .name
                .ends_with(differs["field"].as_str().unwrap_or("-"))
            && differs_by
                .is_some_and(|(counted, recorded)| (counted - recorded - by as f64).abs() < 1e-6)
    }
}
