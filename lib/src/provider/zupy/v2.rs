//! Zupy's format v2 (2026): an envelope of event, id and time around the data. It names no company: the secret does.

use jiff::Timestamp;
use serde::Deserialize;

use super::{NAME, Zupy};
use crate::event::{Event, EventKey, Fact, Member, Notice, Redemption, Reward, Usage};
use crate::provider::wire::{self, Field, Object, Problem, Problems};
use crate::provider::{Content, Parsed};
use crate::verify::Verified;

/// The company where neither the body nor the secret names one: there is only one then.
const ONLY_TENANT: &str = "default";

/// The types of v2 that are about coupons.
const TYPES: [&str; 5] = [
    Zupy::REWARD_REDEEMED,
    Zupy::COUPON_USED,
    Zupy::COUPON_CANCELLED,
    Zupy::COUPON_EXPIRING,
    Zupy::COUPON_EXPIRED,
];

pub(super) fn parse(zupy: &Zupy, verified: &Verified<'_>) -> Parsed {
    let body: Body = match wire::parse(verified.body()) {
        Ok(body) => body,
        Err(problem) => return Parsed::unreadable(problem),
    };
    let sent_at = body.timestamp.value().copied();
    let tenant = verified.tenant().unwrap_or(ONLY_TENANT);
    let content = match body.event.value().cloned() {
        // A redemption has another name in v2; a function that takes one takes the other.
        Some(kind) if kind == Zupy::REWARD_REDEEMED && zupy.takes_redemptions() => {
            Content::settle(read(body, tenant))
        }
        Some(kind) if !zupy.handles(&kind, &TYPES) => Content::Ignored(kind),
        _ => Content::settle(read(body, tenant)),
    };
    Parsed { sent_at, content }
}

/// A body as Zupy sends it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Body {
    pub event: Field<String>,
    /// Opaque text; the same for every attempt.
    pub webhook_id: Field<String>,
    pub timestamp: Field<Timestamp>,
    pub data: Field<Data>,
}

/// The fields of all types; each type has some.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Data {
    pub customer_id: Field<String>,
    pub coupon_code: Field<String>,
    pub reward_id: Field<String>,
    pub reward_name: Field<String>,
    pub points_spent: Field<i64>,
    pub valid_until: Field<Timestamp>,
    pub order_id: Field<String>,
    pub used_at: Field<Timestamp>,
    pub cancelled_at: Field<Timestamp>,
    pub expired_at: Field<Timestamp>,
    pub expires_in_days: Field<i64>,
}

impl Object for Body {}
impl Object for Data {}

fn read(body: Body, tenant: &str) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    let kind = problems.required("event", body.event);
    let webhook_id = problems.name("webhook_id", body.webhook_id);
    let sent_at = problems.required("timestamp", body.timestamp);
    let data = problems.section("data", body.data);
    let event = data.and_then(|data| {
        let member_id = problems.name("data.customer_id", data.customer_id.clone());
        let code = problems.name("data.coupon_code", data.coupon_code.clone());
        let reward_name = problems.text("data.reward_name", data.reward_name.clone());
        let told = read_data(&mut problems, kind.as_deref(), data);
        let (code, webhook_id) = (code?, webhook_id?);
        let (at, fact) = told.into_fact(&code, reward_name);
        Some(Event {
            key: key(tenant, &code, &fact, &webhook_id),
            provider: NAME.into(),
            tenant: tenant.into(),
            occurred_at: at.or(sent_at)?,
            sandbox: false,
            member: Member {
                id: member_id?,
                name: None,
                email: None,
                phone: None,
                tier: None,
            },
            fact,
        })
    });
    problems.settle(event)
}

/// What the data tell, before it is known that nothing is missing.
enum Told {
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

fn read_data(problems: &mut Problems, kind: Option<&str>, data: Data) -> Told {
    match kind {
        Some(Zupy::COUPON_USED) => Told::Used {
            order_id: problems
                .text("data.order_id", data.order_id)
                .and_then(|id| problems.key_part("data.order_id", id)),
            at: problems.optional("data.used_at", data.used_at),
        },
        Some(Zupy::COUPON_CANCELLED) => Told::Cancelled {
            at: problems.optional("data.cancelled_at", data.cancelled_at),
        },
        Some(Zupy::COUPON_EXPIRING) => Told::Expiring {
            valid_until: problems.required("data.valid_until", data.valid_until),
        },
        Some(Zupy::COUPON_EXPIRED) => Told::Expired {
            at: problems.optional("data.expired_at", data.expired_at),
        },
        _ => {
            let points_spent = problems.required("data.points_spent", data.points_spent);
            if points_spent.is_some_and(|points| points < 0) {
                problems.add("data.points_spent", "must not be less than 0");
            }
            Told::Redeemed {
                reward_id: problems.text("data.reward_id", data.reward_id),
                points_spent,
                valid_until: problems.required("data.valid_until", data.valid_until),
            }
        }
    }
}

impl Told {
    /// The fact, and when it happened where the data say so.
    fn into_fact(self, code: &str, reward_name: Option<String>) -> (Option<Timestamp>, Fact) {
        let notice = |reward_name, expires_at| Notice {
            coupon_code: code.into(),
            reward_name,
            expires_at,
        };
        match self {
            Told::Redeemed {
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
                (None, Fact::Redeemed(redemption))
            }
            Told::Used { order_id, at } => {
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
                (at, Fact::Used(usage))
            }
            Told::Cancelled { at } => (at, Fact::Cancelled(notice(reward_name, None))),
            Told::Expiring { valid_until } => {
                (None, Fact::Expiring(notice(reward_name, valid_until)))
            }
            Told::Expired { at } => (at, Fact::Expired(notice(reward_name, at))),
        }
    }
}

fn key(tenant: &str, code: &str, fact: &Fact, webhook_id: &str) -> EventKey {
    match fact {
        Fact::Redeemed(_) => EventKey::redeemed(NAME, tenant, code),
        Fact::Used(Usage {
            order_id: Some(order_id),
            ..
        }) => EventKey::used(NAME, tenant, code, order_id),
        Fact::Used(_) => EventKey::told(NAME, tenant, code, "used", webhook_id),
        Fact::Cancelled(_) => EventKey::once(NAME, tenant, code, "cancelled"),
        Fact::Expired(_) => EventKey::once(NAME, tenant, code, "expired"),
        Fact::Expiring(notice) => {
            // Told anew where the coupon was extended.
            let by = notice
                .expires_at
                .map_or(webhook_id.into(), |at| at.to_string());
            EventKey::told(NAME, tenant, code, "expiring", &by)
        }
    }
}
