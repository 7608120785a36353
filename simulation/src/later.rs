//! Weeks later, DynamoDB has deleted some expired rows, and providers repeat the events that have
//! not expired.

use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use webhooks::provider::zupy;

use crate::invariants::{Answer, Ledger, is_accepted};
use crate::story::{Event, Kind, Story, Variant};
use crate::world::{Format, World};
use crate::{effects, settle};

/// The lifetime of an event after its receipt, and of a redemption with its uses after its coupon's
/// expiry.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 35);

const DAY: Duration = Duration::from_secs(86_400);

/// Sends every event with a recorded coupon again. Nothing may happen twice.
pub(crate) async fn send_again(
    world: &World,
    story: &Story,
    answers: &[Answer],
    random: &mut Rng,
) -> anyhow::Result<Vec<String>> {
    let ledger = Ledger::read(world).await?;
    tokio::time::advance(DAY * random.u32(36..=60)).await;
    let mut broken = Vec::new();
    if !settle(world).await {
        broken.push("the system does not settle after weeks".to_owned());
    }
    world.sweep(random).await?;
    let (sent, before) = (world.sent().len(), effects(world).await?);
    for (index, event) in story.events.iter().enumerate() {
        if !is_accepted(answers, index) || !is_remembered(world, story, answers, &ledger, event) {
            continue;
        }
        for variant in recorded(&ledger, event) {
            if event.is_numbered && variant.scheme.name == zupy::V1.name {
                // With another time, v1 counts it as another use weeks later. In v2 the webhook's
                // id stays the same.
                continue;
            }
            let (headers, body) = variant.anew(world.now());
            let answer = world.post(variant.path, &headers, &body, Format::V2).await;
            let heard = answer.as_ref().map(|(_, body)| body["status"].clone());
            if heard != Some(json!("duplicate")) {
                broken.push(format!("{} after weeks: {answer:?}", event.key));
            }
        }
    }
    if !settle(world).await {
        broken.push("the system does not settle after repeats weeks later".to_owned());
    }
    let again = world.sent().len() - sent;
    if again > 0 {
        broken.push(format!("repeats weeks later caused {again} messages"));
    }
    let changed: Vec<_> = effects(world).await?.difference(&before).cloned().collect();
    if !changed.is_empty() {
        broken.push(format!("repeats weeks later changed {changed:?}"));
    }
    Ok(broken)
}

/// Whether the ledger still has a coupon's redemption, uses and cancellation: they expire long
/// after the coupon.
fn is_remembered(
    world: &World,
    story: &Story,
    answers: &[Answer],
    ledger: &Ledger,
    event: &Event,
) -> bool {
    let coupon = event.key.split('/').next();
    let mut events = story.events.iter().enumerate();
    let redeemed = events.find(|(index, other)| {
        other.kind == Kind::Redeemed
            && other.key.split('/').next() == coupon
            && is_accepted(answers, *index)
            && !other.sandbox
            && !other.forged
    });
    let expires_at: Option<Timestamp> = redeemed
        .and_then(|(_, it)| recorded(ledger, it).next())
        .and_then(|it| it.expires_at);
    matches!(event.kind, Kind::Redeemed | Kind::Used | Kind::Cancelled)
        && expires_at.is_some_and(|at| at + REMEMBERED > world.now())
}

fn recorded<'a>(ledger: &'a Ledger, event: &'a Event) -> impl Iterator<Item = &'a Variant> {
    let variants = event.variants.iter();
    variants.filter(|it| ledger.holds(&event.key, it))
}

impl Variant {
    /// The same contents with new headers and a new body.
    fn anew(&self, now: Timestamp) -> (Vec<(String, String)>, Vec<u8>) {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if !body["timestamp"].is_null() {
            body["timestamp"] = json!(now);
        }
        let body = body.to_string().into_bytes();
        (self.headers_of(&body, now), body)
    }
}
