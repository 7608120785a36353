//! Refused bodies: verified bodies without a readable event. An operator lists them, and replays
//! them after a fix of the cause.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use webhooks::ledger::{REFUSED, Refused};
use webhooks::receiver::{Receiver, Retaken, Taken};

use crate::invariants::{Answer, Ledger};
use crate::story::{Event, Kind, Story, Variant};
use crate::world::{Format, World};

const PROVIDERS: [&str; 2] = ["aghanim", "zupy"];

/// How long the ledger keeps a refused body.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 35);

/// The operator's pause after a command that failed.
const PAUSE: Duration = Duration::from_secs(30);

impl Variant {
    /// The tenant that the secret names, if the secret names one.
    fn tenant(&self) -> Option<&str> {
        self.secret.split_once('=').map(|(tenant, _)| tenant)
    }

    /// The key of this body if a function refuses it. The key consists of the format, the tenant
    /// that the secret names, and the bytes.
    pub(crate) fn refused_as(&self, provider: &str) -> String {
        let tenant = self.tenant().unwrap_or_default();
        let named_by = [
            self.scheme.name.as_bytes(),
            b"\0",
            tenant.as_bytes(),
            b"\0",
            &self.body,
        ];
        let hash = hex::encode(&Sha256::digest(named_by.concat())[..16]);
        format!("refused#{provider}/{hash}")
    }
}

impl Story {
    /// The event with a body that older code refused, and the key of that body.
    pub(crate) fn mended_event(&self) -> Option<(usize, String)> {
        let index = self.mended.as_ref()?.event;
        Some((index, self.events[index].refused_before()))
    }

    /// The refused bodies' keys, with their events.
    fn refused(&self) -> impl Iterator<Item = (usize, &Event, &'static str)> {
        let events = self.events.iter().enumerate();
        events.filter_map(|(index, event)| match event.kind {
            Kind::Refused(field) => Some((index, event, field)),
            _ => None,
        })
    }
}

impl Event {
    /// The key of the body that older code refused.
    fn refused_before(&self) -> String {
        let provider = self.key.split('#').next().unwrap_or_default();
        self.variants[0].refused_as(provider)
    }
}

/// Writes the row of the body that older code refused.
pub(crate) async fn keep(world: &World, story: &Story) -> anyhow::Result<()> {
    let Some((index, key)) = story.mended_event() else {
        return Ok(());
    };
    let (coupon, entry) = key.split_once('/').unwrap_or_default();
    let variant = &story.events[index].variants[0];
    let problems = json!([{"field": "body", "problem": "has a field that was not known"}]);
    let mut row = json!({
        "coupon": {"S": coupon}, "entry": {"S": entry}, "scheme": {"S": variant.scheme.name},
        "received_at": {"S": world.now().to_string()}, "problems": {"S": problems.to_string()},
        "ttl": {"N": (world.now() + KEPT).as_second().to_string()},
        "body": {"S": String::from_utf8_lossy(&variant.body)},
    });
    if let Some(tenant) = variant.tenant() {
        row["tenant"] = json!({"S": tenant});
    }
    world.put("events", row).await
}

/// Replays all refused bodies, again and again until the command succeeds. Its process may die.
pub(crate) async fn replay_until_done(world: &World, story: &Story, answers: &Mutex<Vec<Answer>>) {
    loop {
        let operator = world.functions.operator();
        let (process, receiver) = operator.expect("the settings of a function are complete");
        let command = replay(world, &receiver, |key, retaken| {
            let (Some((event, mended)), Retaken::Taken(_, taken)) = (story.mended_event(), retaken)
            else {
                return;
            };
            if key == mended {
                let status = match taken {
                    Taken::New | Taken::Duplicate => 200,
                    Taken::Conflict => 409,
                };
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.push(Answer {
                    event,
                    variant: 0,
                    status: Some(status),
                });
            }
        });
        let done = world.functions.command(&process, command).await;
        world.history.remark(format!("{process}: {done:?}"));
        if let Some(Ok(_)) = done {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads every refused body again that has no mark, as `coupons replay --refused` does.
async fn replay(
    world: &World,
    receiver: &Receiver,
    heard: impl Fn(&str, &Retaken),
) -> anyhow::Result<Vec<(String, Retaken)>> {
    let mut outcomes = Vec::new();
    for refused in list(world, receiver).await? {
        if refused.settled().is_some() {
            continue;
        }
        let retaken = receiver.take_refused(&refused, world.now()).await?;
        let key = refused.key.to_string();
        heard(&key, &retaken);
        outcomes.push((key, retaken));
    }
    Ok(outcomes)
}

/// Lists the refused bodies, as `coupons refused` does.
async fn list(world: &World, receiver: &Receiver) -> anyhow::Result<Vec<Refused>> {
    let mut all = Vec::new();
    for provider in PROVIDERS {
        let partition = format!("{REFUSED}{provider}");
        let rows = receiver.ledger.rows_of(&partition, "", world.now()).await;
        all.extend(rows?.iter().filter_map(Refused::of));
    }
    Ok(all)
}

/// Lists and replays the refused bodies, and sends them once more, without faults. The ledger must
/// keep each body once, and nothing may change.
pub(crate) async fn broken(
    world: &World,
    story: &Story,
    answers: &[Answer],
) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    if story.mended.is_none() && story.refused().next().is_none() {
        return Ok(broken);
    }
    let (_, receiver) = world.functions.operator()?;
    let before = rows(world).await?;
    let listed = list(world, &receiver).await?;
    let mut expect = |holds: bool, otherwise: String| {
        if !holds {
            broken.push(otherwise);
        }
    };
    let of_key = |key: &str| listed.iter().find(|it| it.key.to_string() == key);
    let ledger = Ledger::read(world).await?;
    if let Some((index, key)) = story.mended_event() {
        let event = &story.events[index];
        let taken = of_key(&key).and_then(|it| it.taken.clone());
        let taken_as = taken.map(|(_, event)| event);
        let is_taken = taken_as.as_ref() == Some(&event.key);
        expect(is_taken, format!("{key} is taken as {taken_as:?}"));
        expect(
            ledger.knows(&event.key),
            format!("{key} was taken, but its event is lost"),
        );
    }
    for (index, event, field) in story.refused() {
        let body = &event.variants[0].body;
        let kept = listed.iter().filter(|it| it.body == *body);
        let kept: Vec<_> = kept.collect();
        let is_answered = answers
            .iter()
            .any(|answer| answer.event == index && answer.status == Some(400));
        let is_once = kept.len() == 1 || (kept.is_empty() && !is_answered);
        expect(
            is_once,
            format!("{} is listed {} times", event.key, kept.len()),
        );
        for refused in kept {
            let mut problems = refused.problems.iter();
            let is_named = problems.any(|it| it.field == field);
            let is_whole = is_named && refused.key.to_string() == event.key;
            let is_open = refused.taken.is_none() && refused.forget_at.is_some();
            expect(is_whole && is_open, format!("{} is {refused:?}", event.key));
        }
    }
    for (key, retaken) in replay(world, &receiver, |_, _| {}).await? {
        let mut still = story.refused().filter(|(_, event, _)| event.key == key);
        let names = |field| match &retaken {
            Retaken::StillRefused(problems) => problems.iter().any(|it| it.field == field),
            _ => false,
        };
        let is_refused = still.any(|(_, _, field)| names(field));
        expect(is_refused, format!("{key} is replayed: {retaken:?}"));
    }
    for (_, event, _) in story.refused().filter(|(_, it, _)| ledger.knows(&it.key)) {
        let variant = &event.variants[0];
        let headers = variant.headers(world.now());
        let answer = world
            .post(variant.path, &headers, &variant.body, Format::V2)
            .await;
        let status = answer.map(|(status, _)| status);
        expect(
            status == Some(400),
            format!("{} sent again: {status:?}", event.key),
        );
    }
    expect(
        rows(world).await? == before,
        "a replay or a repeat changed refused bodies".to_owned(),
    );
    Ok(broken)
}

/// The rows of the refused bodies. The fields of a scan have no fixed order.
async fn rows(world: &World) -> anyhow::Result<BTreeMap<String, BTreeMap<String, Value>>> {
    let mut rows = BTreeMap::new();
    for row in world.items("events").await? {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        if text("coupon").starts_with(REFUSED) {
            let key = format!("{}/{}", text("coupon"), text("entry"));
            rows.insert(key, serde_json::from_value(row)?);
        }
    }
    Ok(rows)
}
