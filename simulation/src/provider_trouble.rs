//! A day on which the services for messages accept only half of them for hours. Everything slows
//! down, and every coupon still reaches its member once on every channel.

use std::collections::BTreeMap;
use std::time::Duration;

use emulators::faults::{CallMode, Fault, MessageMode};
use emulators::service::Service;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use webhooks::provider::zupy;

use crate::history::Moment;
use crate::story::{Event, Kind, Reach, Sending, Story, Variant};
use crate::trouble::Trouble;
use crate::world::{COMPANIES, Format, World};

const COUPONS: usize = 200;

/// When the trouble begins and ends, and how long members keep redeeming coupons.
const BEGINS: Duration = Duration::from_secs(3600 / 2);
const ENDS: Duration = Duration::from_secs(6 * 3600);
const SENDING: Duration = Duration::from_secs(7 * 3600);

/// The share of throttled calls, and of messages that SQS delivers twice meanwhile.
const THROTTLED: f64 = 0.5;
const DOUBLED: f64 = 0.1;

const THROTTLED_STATUSES: [u16; 2] = [400, 429];

/// The channels, each with its service and the path or operation of its calls.
const CHANNELS: [(&str, Service, &str); 3] = [
    ("email", Service::Ses, "outbound-emails"),
    ("whatsapp", Service::SocialMessaging, "whatsapp"),
    ("sms", Service::Sns, "Publish"),
];

/// The day's story: coupons all day long, each worth a text message, and some sent twice.
pub(crate) fn story(random: &mut Rng, now: Timestamp) -> Story {
    let events: Vec<_> = (0..COUPONS).map(|number| redeemed(number, now)).collect();
    let mut sendings = Vec::new();
    for event in 0..events.len() {
        for _ in 0..random.choice([1, 1, 1, 2]).unwrap_or(1) {
            sendings.push(Sending {
                at: SENDING.mul_f64(random.f64()),
                event,
                variant: 0,
                format: Format::V2,
                attempts: u32::MAX,
                pause: Duration::from_secs(60),
            });
        }
    }
    let throttling = CHANNELS.map(|(_, service, _)| {
        let fault = Fault::service(service, CallMode::Throttle).at_rate(THROTTLED);
        (BEGINS, ENDS, fault.seeded(random.u64(..)))
    });
    let doubling = Fault::all_messages(MessageMode::Duplicate).at_rate(DOUBLED);
    let doubling = (BEGINS, ENDS, doubling.seeded(random.u64(..)));
    Story {
        events,
        sendings,
        trouble: Trouble {
            faults: throttling.into_iter().chain([doubling]).collect(),
            kill_rate: 0.0,
            sending: SENDING,
        },
        rotation: None,
        poison: Vec::new(),
        stock: Vec::new(),
        deliveries: Vec::new(),
        mended: None,
    }
}

fn redeemed(number: usize, now: Timestamp) -> Event {
    let (company, secret) = COMPANIES[number % COMPANIES.len()];
    let (code, member) = (format!("CP-{number}"), format!("ZP-{}", number % 70));
    let reach = Reach {
        email: Some("ana@example.com"),
        phone: Some("+5511965958122"),
    };
    let body = json!({
        "event": "coupon.redeemed", "timestamp": now, "company_id": company,
        "customer": {
            "member_id": member, "name": "Ana Lima", "email": reach.email, "whatsapp": reach.phone,
        },
        "coupon": {
            "coupon_code": code, "reward_id": "rw", "reward_name": "Pizza Grátis",
            "points_spent": 200,
            "expires_at": now + SignedDuration::from_hours(24 * 30),
        },
        "discount_details": {"discount_type": "fixed_amount", "discount_value": 50},
    });
    Event {
        key: format!("zupy#{company}#{code}/redeemed"),
        account: Some((format!("zupy#{company}#{member}"), format!("coupon#{code}"))),
        kind: Kind::Redeemed,
        variants: vec![Variant {
            path: "/webhooks/zupy/coupon-redeemed",
            scheme: zupy::V1,
            secret: format!("{company}={secret}"),
            body: body.to_string().into_bytes(),
            reach,
            reward: Some("Pizza Grátis".into()),
            precious: true,
            discount: Some("fixed_amount"),
            expires_at: Some(now + SignedDuration::from_hours(24 * 30)),
            items: Vec::new(),
            at: now,
            amounts: [None; 3],
            maximum: None,
            minimum: None,
        }],
        is_numbered: false,
        forged: false,
        sandbox: false,
    }
}

/// The broken expectations of such a day, beyond those of any day. Throttling is an answer, so
/// nothing excuses a second message.
pub(crate) fn broken(world: &World, story: &Story) -> Vec<String> {
    let mut broken = Vec::new();
    let mut sent: BTreeMap<(String, String), usize> = BTreeMap::new();
    // Fraud reports members who redeem so much at once, which are alerts and not messages to them.
    for message in world.sent().into_iter().filter(|it| it.channel != "topic") {
        let about = message.event.unwrap_or_default();
        *sent.entry((about, message.channel)).or_default() += 1;
    }
    for event in &story.events {
        for (channel, ..) in CHANNELS {
            let count = sent.remove(&(event.key.clone(), channel.to_owned()));
            if count != Some(1) {
                broken.push(format!(
                    "{} was sent by {channel} {count:?} times",
                    event.key
                ));
            }
        }
    }
    if !sent.is_empty() {
        broken.push(format!("messages without a cause: {sent:?}"));
    }
    let moments = world.history.moments();
    for (channel, _, operation) in CHANNELS {
        let (calls, throttled) = calls(&moments, operation);
        let least = story.events.len() / 4;
        if throttled < least {
            broken.push(format!(
                "of {calls} calls {throttled} were throttled by {channel}: too few for a day of \
                 trouble"
            ));
        }
    }
    broken
}

/// How many calls a channel's service got, and how many it throttled.
fn calls(moments: &[(Timestamp, Moment)], operation: &str) -> (usize, usize) {
    let (mut calls, mut throttled) = (0, 0);
    for (_, moment) in moments {
        let Moment::Performed { call, status, .. } = moment else {
            continue;
        };
        if call.operation.contains(operation) {
            calls += 1;
            let refused = status.is_some_and(|it| THROTTLED_STATUSES.contains(&it.as_u16()));
            throttled += usize::from(refused);
        }
    }
    (calls, throttled)
}
