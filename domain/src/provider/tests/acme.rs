//! Acme: a voucher was issued to a member.

use jiff::Timestamp;
use serde::Deserialize;

use crate::event::{Envelope, Event, EventKey, Fact, Member, Redemption, Reward};
use crate::provider::wire::{self, Field, Object, Problem, Problems};
use crate::provider::{Content, Parsed, Provider};
use crate::verify::{STANDARD_WEBHOOKS, Scheme, Verified};

/// The provider's name in keys and rows.
pub const NAME: &str = "acme";

/// Acme's webhooks of type `voucher.issued`.
#[derive(Debug, Clone, Copy)]
pub struct Acme;

impl Provider for Acme {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schemes(&self) -> &'static [Scheme] {
        &[STANDARD_WEBHOOKS]
    }

    fn parse(&self, verified: &Verified<'_>) -> Parsed {
        let body: Body = match wire::parse(verified.body()) {
            Ok(body) => body,
            Err(problem) => return Parsed::unreadable(problem),
        };
        let content = match body.kind.value() {
            Some(kind) if kind != "voucher.issued" => Content::Ignored(kind.clone()),
            _ => Content::settle(issued(body)),
        };
        // The signed header has the time, so the body need not.
        Parsed {
            sent_at: None,
            content,
        }
    }
}

/// A body as Acme sends it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(rename = "type")]
    kind: Field<String>,
    shop: Field<String>,
    member: Field<String>,
    voucher: Field<String>,
    title: Field<String>,
    issued_at: Field<Timestamp>,
}

impl Object for Body {}

fn issued(body: Body) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    problems.required("type", body.kind);
    let shop = problems.name("shop", body.shop);
    let member = problems.name("member", body.member);
    let voucher = problems.name("voucher", body.voucher);
    let title = problems.text("title", body.title);
    let issued_at = problems.required("issued_at", body.issued_at);
    let event = (|| {
        let (tenant, coupon_code) = (shop?, voucher?);
        Some(Event {
            key: EventKey::redeemed(NAME, &tenant, &coupon_code),
            provider: NAME.into(),
            tenant,
            occurred_at: issued_at?,
            sandbox: false,
            received_at: None,
            member: Member {
                id: member?,
                ..Member::default()
            },
            fact: Fact::Redeemed(Redemption {
                coupon_code,
                reward: Reward {
                    name: title,
                    ..Reward::default()
                },
                ..Redemption::default()
            }),
            envelope: Envelope::default(),
            warnings: Vec::new(),
        })
    })();
    problems.settle(event)
}
