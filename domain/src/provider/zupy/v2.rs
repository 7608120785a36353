//! Zupy's format v2 (2026): an envelope of event, id and time around the data. The body names no
//! company, but the secret does.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{NAME, Zupy, kind};
use crate::event::{Envelope, Event, EventKey, Fact, Member, Notice, Redemption, Reward, Usage};
use crate::provider::wire::{self, Field, Object, Problem, Problems, Until};
use crate::provider::{Content, Parsed};
use crate::verify::Verified;

/// The tenant if neither the body nor the secret names a company. The system then has only one
/// tenant.
const ONLY_TENANT: &str = "default";

/// The types of v2 that this code can read.
const TYPES: [&str; 6] = [
    Zupy::CUSTOMER_ENROLLED,
    Zupy::REWARD_REDEEMED,
    Zupy::COUPON_USED,
    Zupy::COUPON_CANCELLED,
    Zupy::COUPON_EXPIRING,
    Zupy::COUPON_EXPIRED,
];

/// The fields of the data that hold no personal data apart from the id.
pub(in crate::provider) const NOT_PERSONAL: [&str; 12] = [
    "customer_id",
    "coupon_code",
    "reward_id",
    "reward_name",
    "points_spent",
    "valid_until",
    "order_id",
    "used_at",
    "cancelled_at",
    "expired_at",
    "expires_in_days",
    "tier",
];

pub(super) fn parse(zupy: &Zupy, verified: &Verified<'_>) -> Parsed {
    let body: Body = match wire::parse(verified.body()) {
        Ok(body) => body,
        Err(problem) => return Parsed::unreadable(problem),
    };
    let sent_at = body.timestamp.value().copied();
    let tenant = verified.tenant().unwrap_or(ONLY_TENANT);
    let content = match kind(&body.event) {
        // A redemption has another name in v2. A function that takes one name takes the other too.
        Some(kind) if kind == Zupy::REWARD_REDEEMED && zupy.takes_redemptions() => {
            Content::settle(read(body, tenant, &verified.zone(tenant)))
        }
        Some(kind) if !zupy.handles(&kind, &TYPES) => Content::Ignored(kind),
        Some(kind) if kind == Zupy::CUSTOMER_ENROLLED => Content::settle(enrolled(body, tenant)),
        _ => Content::settle(read(body, tenant, &verified.zone(tenant))),
    };
    Parsed { sent_at, content }
}

/// A body as Zupy sends it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Body {
    /// The type, such as `reward.redeemed`. Types that the function does not handle are ignored.
    event: Field<String>,
    /// Opaque text, the same for every attempt.
    webhook_id: Field<String>,
    /// When Zupy made the webhook. A body's age counts from this time, because no signed header
    /// holds one.
    timestamp: Field<Timestamp>,
    /// If the object is missing, each of its required fields is a problem.
    data: Field<Data>,
}

/// The fields of all types. Each type has some of them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Data {
    /// Every type has this field.
    customer_id: Field<String>,
    /// Every type but `customer.enrolled` has this field.
    coupon_code: Field<String>,
    /// Only redemptions have this field.
    reward_id: Field<String>,
    /// Types about a coupon may have this field.
    reward_name: Field<String>,
    /// At least 0. Only redemptions have this field.
    points_spent: Field<i64>,
    /// RFC 3339, or a date without a time. Redemptions and reminders have this field.
    valid_until: Field<Until>,
    /// Only uses have this field. Without an order, the member and a number name the use.
    order_id: Field<String>,
    /// Only uses have this field. Without this time, `timestamp` counts.
    used_at: Field<Timestamp>,
    /// Only cancellations have this field. Without this time, `timestamp` counts.
    cancelled_at: Field<Timestamp>,
    /// Only expiries have this field. Without this time, `timestamp` counts.
    expired_at: Field<Until>,
    // Fields of a customer who joined. Zupy does not document the names of the contact's fields;
    // these are likely names.
    name: Field<String>,
    customer_name: Field<String>,
    email: Field<String>,
    customer_email: Field<String>,
    phone: Field<String>,
    whatsapp: Field<String>,
    customer_phone: Field<String>,
    /// A word for the customer's tier, as in v1.
    tier: Field<String>,
}

impl Object for Body {}
impl Object for Data {}

fn read(body: Body, tenant: &str, zone: &TimeZone) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    let kind = problems.label("event", body.event);
    let webhook_id = problems.name("webhook_id", body.webhook_id);
    let sent_at = problems.required("timestamp", body.timestamp);
    let data = problems.section("data", body.data);
    let event = data.and_then(|data| {
        let member_id = problems.name("data.customer_id", data.customer_id.clone());
        let code = problems.name("data.coupon_code", data.coupon_code.clone());
        let reward_name = problems.text("data.reward_name", data.reward_name.clone());
        let contents = read_data(&mut problems, kind.as_deref(), data, zone);
        let (code, member_id, webhook_id) = (code?, member_id?, webhook_id?);
        let names = (code.as_str(), member_id.as_str(), webhook_id.as_str());
        let (key, at, fact) = contents.settle(tenant, names, reward_name);
        Some(Event {
            key,
            provider: NAME.into(),
            tenant: tenant.into(),
            occurred_at: at.or(sent_at)?,
            sandbox: false,
            received_at: None,
            member: Member {
                id: member_id,
                name: None,
                email: None,
                phone: None,
                tier: None,
            },
            fact,
            envelope: named(webhook_id),
            warnings: Vec::new(),
        })
    });
    problems.settle(event)
}

fn enrolled(body: Body, tenant: &str) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    problems.required("event", body.event);
    let webhook_id = problems.name("webhook_id", body.webhook_id);
    let sent_at = problems.required("timestamp", body.timestamp);
    let data = problems.section("data", body.data);
    let event = data.and_then(|data| {
        let id = problems.name("data.customer_id", data.customer_id);
        let name = problems.text("data.name", data.name);
        let name = name.or(problems.text("data.customer_name", data.customer_name));
        let email = problems.text("data.email", data.email);
        let email = email.or(problems.text("data.customer_email", data.customer_email));
        let phone = problems.text("data.phone", data.phone);
        let phone = phone.or(problems.text("data.whatsapp", data.whatsapp));
        let phone = phone.or(problems.text("data.customer_phone", data.customer_phone));
        let tier = problems.text("data.tier", data.tier);
        let (id, webhook_id) = (id?, webhook_id?);
        Some(Event {
            key: EventKey::of_member(NAME, tenant, &id, "enrolled", &webhook_id),
            provider: NAME.into(),
            tenant: tenant.into(),
            occurred_at: sent_at?,
            sandbox: false,
            received_at: None,
            member: Member {
                id,
                name,
                email,
                phone,
                tier,
            },
            fact: Fact::Enrolled,
            envelope: named(webhook_id),
            warnings: Vec::new(),
        })
    });
    problems.settle(event)
}

fn named(webhook_id: String) -> Envelope {
    Envelope {
        event_id: Some(webhook_id),
        ..Envelope::default()
    }
}

/// The contents of the data, before it is known whether a field is missing.
enum Contents {
    Redeemed {
        reward_id: Option<String>,
        points_spent: Option<i64>,
        valid_until: Option<Timestamp>,
    },
    Used {
        order_id: Option<String>,
        at: Option<Timestamp>,
    },
    Cancelled {
        at: Option<Timestamp>,
    },
    Expiring {
        valid_until: Option<Timestamp>,
    },
    Expired {
        at: Option<Timestamp>,
    },
}

fn read_data(problems: &mut Problems, kind: Option<&str>, data: Data, zone: &TimeZone) -> Contents {
    match kind {
        Some(Zupy::COUPON_USED) => Contents::Used {
            order_id: problems
                .text("data.order_id", data.order_id)
                .and_then(|id| problems.key_part("data.order_id", id)),
            at: problems.optional("data.used_at", data.used_at),
        },
        Some(Zupy::COUPON_CANCELLED) => Contents::Cancelled {
            at: problems.optional("data.cancelled_at", data.cancelled_at),
        },
        Some(Zupy::COUPON_EXPIRING) => Contents::Expiring {
            valid_until: problems.until("data.valid_until", data.valid_until, zone),
        },
        Some(Zupy::COUPON_EXPIRED) => Contents::Expired {
            at: problems.optional_until("data.expired_at", data.expired_at, zone),
        },
        _ => {
            let points_spent = problems.required("data.points_spent", data.points_spent);
            if points_spent.is_some_and(|points| points < 0) {
                problems.add("data.points_spent", "must not be less than 0");
            }
            Contents::Redeemed {
                reward_id: problems.text("data.reward_id", data.reward_id),
                points_spent,
                valid_until: problems.until("data.valid_until", data.valid_until, zone),
            }
        }
    }
}

impl Contents {
    /// The fact with its key, and the time when it happened if the data name one.
    fn settle(
        self,
        tenant: &str,
        (code, member_id, webhook_id): (&str, &str, &str),
        reward_name: Option<String>,
    ) -> (EventKey, Option<Timestamp>, Fact) {
        let once = |what| EventKey::once(NAME, tenant, code, what);
        let notice = |reward_name, expires_at| Notice {
            coupon_code: code.into(),
            reward_name,
            expires_at,
        };
        match self {
            Contents::Redeemed {
                reward_id,
                points_spent,
                valid_until,
            } => {
                let reward = Reward {
                    id: reward_id,
                    name: reward_name,
                    ..Reward::default()
                };
                let redemption = Redemption {
                    coupon_code: code.into(),
                    reward,
                    points_spent,
                    new_balance: None,
                    expires_at: valid_until,
                    method: None,
                    discount: None,
                };
                let key = EventKey::redeemed(NAME, tenant, code);
                (key, None, Fact::Redeemed(redemption))
            }
            Contents::Used { order_id, at } => {
                let key = match &order_id {
                    Some(order_id) => EventKey::used(NAME, tenant, code, order_id),
                    None => EventKey::used_by(NAME, tenant, code, member_id, 1),
                };
                let usage = Usage {
                    coupon_code: code.into(),
                    reward_name,
                    discount_kind: None,
                    discount_applied: None,
                    order_value: None,
                    final_value: None,
                    location: None,
                    staff_member: None,
                    platform: None,
                    order_id,
                    items: Vec::new(),
                };
                (key, at, Fact::Used(usage))
            }
            Contents::Cancelled { at } => {
                let notice = notice(reward_name, None);
                (once("cancelled"), at, Fact::Cancelled(notice))
            }
            Contents::Expiring { valid_until } => {
                // Zupy sends another reminder after the coupon was extended.
                let by = valid_until.map_or(webhook_id.into(), |at| at.to_string());
                let key = EventKey::repeatable(NAME, tenant, code, "expiring", &by);
                (key, None, Fact::Expiring(notice(reward_name, valid_until)))
            }
            Contents::Expired { at } => {
                (once("expired"), at, Fact::Expired(notice(reward_name, at)))
            }
        }
    }
}
