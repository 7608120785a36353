//! Weeks later: DynamoDB has deleted some of what is forgotten, and providers tell once more what is not.

use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use webhooks::provider::zupy;

use crate::invariants::{Answer, Ledger, is_accepted};
use crate::story::{Event, Kind, Story, Telling};
use crate::world::{Format, World};
use crate::{effects, settle};

/// How long an event is remembered after it was received, and a redemption with its uses after its coupon expires.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 35);

const DAY: Duration = Duration::from_secs(86_400);

/// Tells everything once more that belongs to a coupon that is remembered: nothing is done twice.
pub(crate) async fn tell(
    world: &World,
    story: &Story,
    answers: &[Answer],
    random: &mut Rng,
) -> anyhow::Result<Vec<String>> {
    let ledger = Ledger::read(world).await?;
    tokio::time::advance(DAY * random.u32(36..=60)).await;
    let mut broken = Vec::new();
    if !settle(world).await {
        broken.push("time alone does not come to rest".to_owned());
    }
    world.sweep(random).await?;
    let (sent, before) = (world.sent().len(), effects(world).await?);
    for (index, event) in story.events.iter().enumerate() {
        if !is_accepted(answers, index) || !is_remembered(world, story, answers, &ledger, event) {
            continue;
        }
        for telling in recorded(&ledger, event) {
            if event.is_numbered && telling.scheme.name == zupy::V1.name {
                // Another time makes it another use, weeks later; by the newer format its webhook's id is the same.
                continue;
            }
            let (headers, body) = telling.anew(world.now());
            let answer = world.post(telling.path, &headers, &body, Format::V2).await;
            let heard = answer.as_ref().map(|(_, body)| body["status"].clone());
            if heard != Some(json!("duplicate")) {
                broken.push(format!("{} after weeks: {answer:?}", event.key));
            }
        }
    }
    if !settle(world).await {
        broken.push("what comes after weeks does not come to rest".to_owned());
    }
    let again = world.sent().len() - sent;
    if again > 0 {
        broken.push(format!(
            "{again} messages went out because of what came after weeks"
        ));
    }
    let changed: Vec<_> = effects(world).await?.difference(&before).cloned().collect();
    if !changed.is_empty() {
        broken.push(format!("what came after weeks changed {changed:?}"));
    }
    Ok(broken)
}

/// A coupon's redemption, its uses and its cancellation are remembered until long after it expires.
fn is_remembered(
    world: &World,
    story: &Story,
    answers: &[Answer],
    ledger: &Ledger,
    event: &Event,
) -> bool {
    let coupon = event.key.split('/').next();
    let mut events = story.events.iter().enumerate();
    let redeemed = events.find(|(index, it)| {
        it.kind == Kind::Redeemed
            && it.key.split('/').next() == coupon
            && is_accepted(answers, *index)
            && !it.sandbox
            && !it.forged
    });
    let expires_at: Option<Timestamp> = redeemed
        .and_then(|(_, it)| recorded(ledger, it).next())
        .and_then(|it| it.expires_at);
    matches!(event.kind, Kind::Redeemed | Kind::Used | Kind::Cancelled)
        && expires_at.is_some_and(|at| at + REMEMBERED > world.now())
}

fn recorded<'a>(ledger: &'a Ledger, event: &'a Event) -> impl Iterator<Item = &'a Telling> {
    let tellings = event.tellings.iter();
    tellings.filter(|it| ledger.holds(&event.key, it))
}

impl Telling {
    /// The same, rendered anew: its headers and its body.
    fn anew(&self, now: Timestamp) -> (Vec<(String, String)>, Vec<u8>) {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if !body["timestamp"].is_null() {
            body["timestamp"] = json!(now);
        }
        let body = body.to_string().into_bytes();
        (self.headers_of(&body, now), body)
    }
}
