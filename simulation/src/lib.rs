//! Plays the whole system in one process and in simulated time, under the faults that a seed
//! chooses. When the system has settled, judges the result.
//!
//! The functions' own handlers run here against the emulators of `local`, as `template.yaml` wires
//! them. Every random decision comes from the seed, and time is tokio's paused clock, so a seed
//! always plays the same story. `tests/end_to_end` tests real processes and real connections.

mod answering;
#[cfg(test)]
mod attempts;
mod auditing;
#[cfg(test)]
mod commits;
#[cfg(test)]
mod dispatching;
mod form;
mod history;
mod invariants;
mod later;
#[cfg(test)]
mod left_out;
mod named;
#[cfg(test)]
mod named_alerts;
mod network;
#[cfg(test)]
mod outbox_rotation;
mod process;
mod provider_trouble;
mod refused;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod settling;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod stock_keeping;
mod story;
mod trouble;
#[cfg(test)]
mod uses;
#[cfg(test)]
mod watch;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use webhooks::stock::Counted;

use invariants::Answer;
use story::{CATALOGUE, Sending, Stocked, Story};
use trouble::TROUBLE;
use world::{COMPANIES, Format, World};

/// The time for the system to settle after the trouble: a task's retry comes after up to a quarter
/// of an hour.
const SETTLES_WITHIN: Duration = Duration::from_secs(3 * 3600);

/// The result of a seed.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    /// The broken expectations; empty if all is well.
    pub broken: Vec<String>,
    /// What happened, line by line.
    pub history: Vec<String>,
    pub calls: usize,
}

/// Plays a seed on a runtime of its own.
///
/// # Errors
///
/// The simulation itself failed.
pub fn play(seed: u64) -> anyhow::Result<Outcome> {
    play_story(seed, Story::of, |_, _| Vec::new())
}

/// Plays a day on which SES, WhatsApp and SMS throttle half of all calls for hours, with hundreds
/// of coupons.
///
/// # Errors
///
/// The simulation itself failed.
pub fn play_a_day_of_provider_trouble(seed: u64) -> anyhow::Result<Outcome> {
    play_story(seed, provider_trouble::story, provider_trouble::broken)
}

/// Plays a story, and judges it by additional expectations.
fn play_story(
    seed: u64,
    tell_of: fn(&mut Rng, Timestamp) -> Story,
    judge: fn(&World, &Story) -> Vec<String>,
) -> anyhow::Result<Outcome> {
    world::read_template()?;
    // Other code draws from this thread's generator: names of attempts, pauses between retries.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(run(seed, tell_of, judge))
}

async fn run(
    seed: u64,
    tell_of: fn(&mut Rng, Timestamp) -> Story,
    judge: fn(&World, &Story) -> Vec<String>,
) -> anyhow::Result<Outcome> {
    let mut random = Rng::with_seed(seed);
    let world = Arc::new(World::start(seed, &mut random)?);
    let mut story = Arc::new(tell_of(&mut random, world.now()));
    fill_stock(&world, &story).await?;
    refused::keep(&world, &story).await?;
    let answers = play_events(&world, &story, seed).await?;
    let mut broken = Vec::new();
    let mut is_settled = settle(&world).await;
    if let Some(story) = Arc::get_mut(&mut story) {
        invariants::Ledger::read(&world).await?.number(story);
    }
    while is_settled && world.redrive_killed().await > 0 {
        is_settled = settle(&world).await;
    }
    if !is_settled {
        let counts = world.sqs.counts();
        broken.push(format!("still busy after {SETTLES_WITHIN:?}: {counts:?}"));
    }
    broken.extend(answering::play(&world, seed).await?);
    broken.extend(invariants::broken(&world, &story, &answers).await?);
    broken.extend(judge(&world, &story));
    broken.extend(send_again(&world, &story, &answers).await?);
    broken.extend(auditing::play(&world, seed).await?);
    if random.f64() < 0.3 {
        broken.extend(named::repeat_one(&world, &story, &mut random).await?);
    }
    broken.extend(later::send_again(&world, &story, &answers, &mut random).await?);
    let moments = world.history.moments();
    let began_at = moments.first().map(|(at, _)| *at);
    let history = moments.iter().map(|(at, moment)| {
        let since = began_at.map_or(0, |began_at| {
            at.as_millisecond() - began_at.as_millisecond()
        });
        format!("{:>9.3} {moment}", since as f64 / 1000.0)
    });
    Ok(Outcome {
        seed,
        broken,
        history: history.collect(),
        calls: moments.len(),
    })
}

/// Writes the stock at the beginning.
async fn fill_stock(world: &World, story: &Story) -> anyhow::Result<()> {
    let (company, reward, product) = CATALOGUE;
    let mapping = json!({
        "tenant": {"S": format!("zupy#{company}")}, "entry": {"S": format!("reward#{reward}")},
        "reward": {"S": reward}, "product": {"S": product},
    });
    world.put("stock", mapping).await?;
    for stocked in &story.stock {
        let mut row = json!({
            "tenant": {"S": format!("zupy#{}", stocked.company)},
            "entry": {"S": format!("product#{}", stocked.product.to_lowercase())},
            "product": {"S": stocked.product},
            "on_hand": {"N": (stocked.halves as f64 / 2.0).to_string()},
            "counted": {"S": "at the beginning"},
        });
        if let Some(threshold) = stocked.threshold {
            row["threshold"] = json!({"N": threshold.to_string()});
        }
        world.put("stock", row).await?;
    }
    Ok(())
}

/// Plays everything in the story, and returns every answer.
async fn play_events(
    world: &Arc<World>,
    story: &Arc<Story>,
    seed: u64,
) -> anyhow::Result<Vec<Answer>> {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let mut running = JoinSet::new();
    for sending in story.sendings.clone() {
        let (world, story, answers) = (Arc::clone(world), Arc::clone(story), Arc::clone(&answers));
        running.spawn(async move { send(&world, &story, sending, &answers).await });
    }
    for (begins, ends, fault) in story.trouble.faults.clone() {
        let world = Arc::clone(world);
        running.spawn(async move {
            tokio::time::sleep(begins).await;
            world
                .history
                .remark(format!("fault until {:.3}: {fault:?}", ends.as_secs_f64()));
            let id = world.faults.add(fault);
            tokio::time::sleep(ends - begins).await;
            world.faults.remove(id);
        });
    }
    for (at, stocked) in story.deliveries.clone() {
        let world = Arc::clone(world);
        running.spawn(async move {
            tokio::time::sleep(at).await;
            let Stocked {
                company,
                product,
                halves,
                ..
            } = stocked;
            let more = Counted::More(Decimal::new(halves * 5, 1));
            let tenant = format!("zupy#{company}");
            let counted = world.stock().count(&tenant, product, more, None).await;
            counted.expect("an operator's calls meet no fault");
        });
    }
    for (at, queue, body) in story.poison.clone() {
        let world = Arc::clone(world);
        running.spawn(async move {
            tokio::time::sleep(at).await;
            let message = json!({"QueueUrl": queue, "MessageBody": body});
            let sent = world.sqs.handle("SendMessage", &message).await;
            sent.expect("a message that SQS accepts");
        });
    }
    if let Some(at) = story.rotation {
        let world = Arc::clone(world);
        running.spawn(async move {
            tokio::time::sleep(at).await;
            // The old secrets still sign: they are the previous version now.
            let secrets = COMPANIES.map(|(name, secret)| format!("{name}=new-{secret}"));
            world.rotate(&secrets.join(",")).expect("the secret exists");
        });
    }
    if let Some(mended) = story.mended.clone() {
        let (world, story, answers) = (Arc::clone(world), Arc::clone(story), Arc::clone(&answers));
        running.spawn(async move {
            tokio::time::sleep(mended.at).await;
            refused::replay_until_done(&world, &story, &answers).await;
        });
    }
    {
        let world = Arc::clone(world);
        running.spawn(async move {
            let audited = auditing::run_meanwhile(&world, seed).await;
            audited.expect("tables that can be read");
        });
    }
    world.functions.kill(story.trouble.kill_rate);
    tokio::time::sleep(TROUBLE).await;
    world.functions.kill(0.0);
    while let Some(ended) = running.join_next().await {
        ended?;
    }
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(answers.clone())
}

/// Sends every accepted event again, without faults. Nothing recorded may change.
async fn send_again(
    world: &World,
    story: &Story,
    answers: &[Answer],
) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    let sent = world.sent().len();
    let before = effects(world).await?;
    let ledger = invariants::Ledger::read(world).await?;
    for (index, event) in story.events.iter().enumerate() {
        if !invariants::is_accepted(answers, index) {
            continue;
        }
        for variant in &event.variants {
            let headers = variant.headers(world.now());
            let answer = world
                .post(variant.path, &headers, &variant.body, Format::V2)
                .await;
            let is_same = event.is_numbered || ledger.holds(&event.key, variant);
            let expected = match is_same {
                true => (200, "duplicate"),
                false => (409, "conflicting_payload"),
            };
            let heard = answer.as_ref().map(|(status, body)| {
                let word = body["status"].as_str().or(body["error"]["code"].as_str());
                (*status, word.unwrap_or_default())
            });
            if heard != Some(expected) {
                broken.push(format!(
                    "{} sent again: {heard:?}, it should be {expected:?}",
                    event.key
                ));
            }
        }
    }
    broken.extend(refused::broken(world, story, answers).await?);
    if !settle(world).await {
        broken.push("the system does not settle after duplicates".to_owned());
    }
    let again = world.sent().len() - sent;
    if again > 0 {
        broken.push(format!("duplicates caused {again} messages"));
    }
    let changed: Vec<_> = effects(world).await?.difference(&before).cloned().collect();
    if !changed.is_empty() {
        broken.push(format!("duplicates changed {changed:?}"));
    }
    Ok(broken)
}

/// The effects of events: the rows of the members and of the stock.
async fn effects(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let (members, stock) = (world.items("members").await?, world.items("stock").await?);
    in_order(members.into_iter().chain(stock))
}

/// Rows as texts that can be compared. The fields of a scan have no fixed order.
fn in_order(rows: impl IntoIterator<Item = Value>) -> anyhow::Result<BTreeSet<String>> {
    let in_order = |row| serde_json::from_value::<BTreeMap<String, Value>>(row);
    let rows = rows.into_iter();
    rows.map(|row| Ok(format!("{:?}", in_order(row)?)))
        .collect()
}

/// Sends as a provider does: until a final answer, or the last attempt.
async fn send(world: &World, story: &Story, sending: Sending, answers: &Mutex<Vec<Answer>>) {
    let variant = &story.events[sending.event].variants[sending.variant];
    tokio::time::sleep(sending.at).await;
    for _ in 0..sending.attempts {
        let headers = variant.headers(world.now());
        let answer = world
            .post(variant.path, &headers, &variant.body, sending.format)
            .await;
        let status = answer.as_ref().map(|(status, _)| *status);
        world.history.remark(format!(
            "{} variant {}: {}",
            story.events[sending.event].key,
            sending.variant,
            answer.map_or("no answer".into(), |(status, body)| format!(
                "{status} {body}"
            )),
        ));
        answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Answer {
                event: sending.event,
                variant: sending.variant,
                status,
            });
        if status.is_some_and(|status| status < 500) {
            return;
        }
        tokio::time::sleep(sending.pause).await;
    }
}

/// Waits until the system is idle.
async fn settle(world: &World) -> bool {
    let settled = async {
        loop {
            // The pause is longer than the outbox's minute.
            tokio::time::sleep(Duration::from_secs(61)).await;
            if world.is_idle() && world.outbox_is_empty().await {
                return;
            }
        }
    };
    tokio::time::timeout(SETTLES_WITHIN, settled).await.is_ok()
}
