//! Invents the events of a story.

use std::sync::OnceLock;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use webhooks::provider::aghanim;

use super::coupon::Coupon;
use super::{AGHANIM, CONTACTS, Event, GAME, Kind, Line, Reach, SPELLINGS, Variant, ZUPY};
use crate::world::{AGHANIM_SECRET, COMPANIES};

/// Inventory takes an order of this many products in parts.
pub(super) const MANY: usize = 250;

pub(super) fn dishes() -> &'static [String] {
    static DISHES: OnceLock<Vec<String>> = OnceLock::new();
    DISHES.get_or_init(|| (0..MANY).map(|number| format!("Prato {number}")).collect())
}

/// Invents events.
pub(super) struct Author<'a> {
    pub(super) random: &'a mut Rng,
    pub(super) now: Timestamp,
    pub(super) events: Vec<Event>,
}

impl Author<'_> {
    /// One coupon of a restaurant's customer, with its whole life.
    pub(super) fn coupon(&mut self, number: usize) {
        let (company, secret) = COMPANIES[self.random.usize(0..COMPANIES.len())];
        let discounts = [
            Some("product_free"),
            Some("product_free"),
            Some("buy_one_get_one"),
            Some("percentage"),
            None,
        ];
        let lasts_s = self
            .random
            .choice([3 * 86_400, 365 * 86_400, 365 * 86_400, 120, -60]);
        let coupon = Coupon {
            company,
            secret: format!("{company}={secret}"),
            code: format!("CP-{number}"),
            member: format!("ZP-{}", self.random.u32(0..2)),
            reach: self.random.choice(CONTACTS).unwrap_or(Reach::NOT),
            precious: self.random.bool(),
            now: self.now,
            discount: self.random.choice(discounts).flatten(),
            expires_at: self.now + SignedDuration::from_secs(lasts_s.unwrap_or(3 * 86_400)),
            maximum: self
                .random
                .choice([None, None, Some(3500), Some(3499)])
                .flatten(),
            minimum: self
                .random
                .choice([None, None, Some(8550), Some(8551)])
                .flatten(),
        };
        if self.random.f64() < 0.85 {
            let newer = self.random.f64() < 0.3;
            let mut variants = vec![coupon.redeemed(newer, "Pizza Grátis")];
            if self.random.f64() < 0.15 {
                variants.push(coupon.redeemed(newer, "Pizza Doce"));
            }
            self.events
                .push(coupon.event("redeemed".into(), Kind::Redeemed, variants));
        }
        for order in 0..self.random.choice([0, 0, 1, 1, 2]).unwrap_or(0) {
            let order = format!("ord-{order}");
            // The till may know another discount than the redemption, or none.
            let discount = match self.random.u32(0..6) {
                0 => None,
                1 => self.random.choice(discounts).flatten(),
                _ => coupon.discount,
            };
            let items = self.items_of_an_order();
            let coupon = coupon.at(self.about_now(&coupon));
            let value = self.random.choice([8550, 8550, 3500, 3499]).unwrap_or(8550);
            let left = (value - 3500).max(0);
            let paid = self
                .random
                .choice([None, Some(left), Some(left), Some(left + 1)]);
            let amounts = [Some(3500), Some(value), paid.flatten()];
            let mut variants = vec![coupon.used(&order, amounts, discount, items)];
            if self.random.f64() < 0.15 {
                let items = self.items_of_an_order();
                let amounts = [Some(3499), Some(value), None];
                variants.push(coupon.used(&order, amounts, discount, items));
            }
            self.events
                .push(coupon.event(format!("used#{order}"), Kind::Used, variants));
        }
        if self.random.f64() < 0.35 {
            self.uses_without_order(&coupon);
        }
        for (kind, name) in [
            (Kind::Cancelled, "cancelled"),
            (Kind::Expiring, "expiring"),
            (Kind::Expired, "expired"),
        ] {
            if self.random.f64() < 0.2 {
                let mut coupon = coupon.at(self.about_now(&coupon));
                if kind == Kind::Expiring {
                    let days = self.random.choice([0, 0, 1, 30]).unwrap_or(0);
                    coupon.expires_at += SignedDuration::from_hours(24 * days);
                }
                let entry = match kind {
                    Kind::Expiring => format!("expiring@{}", coupon.expires_at),
                    _ => name.to_owned(),
                };
                let mut variant = coupon.notice(name);
                if kind == Kind::Expiring {
                    variant.expires_at = Some(coupon.expires_at);
                }
                self.events.push(coupon.event(entry, kind, vec![variant]));
            }
        }
    }

    /// Uses without an order, each repeated within an hour. Uses with the same contents are more
    /// than an hour apart; uses with other contents may be closer.
    pub(super) fn uses_without_order(&mut self, coupon: &Coupon) {
        let newer = self.random.f64() < 0.4;
        let items = self.items_of_an_order();
        let amounts = [Some(3500), Some(8550), None];
        let mut number = 0;
        let mut add = |author: &mut Self, minutes: &[i64], seconds: i64, amounts| {
            let mut variants = Vec::new();
            for minute in minutes {
                if number > 0 && author.random.bool() {
                    continue;
                }
                number += 1;
                let second = 60 * minute + seconds;
                let coupon = coupon.at(coupon.now + SignedDuration::from_secs(second));
                variants.push(match newer {
                    true => coupon.used_without_order(&format!("used-{number}")),
                    false => coupon.used_for(None, amounts, coupon.discount, items.clone()),
                });
            }
            if !variants.is_empty() {
                let entry = format!("used@{}#?{number}", coupon.member);
                let mut event = coupon.event(entry, Kind::Used, variants);
                event.is_numbered = true;
                author.events.push(event);
            }
        };
        add(self, &[0, -1, -20, -60], 0, amounts);
        if self.random.f64() < 0.5 {
            add(self, &[-121, -141, -181], 0, amounts);
        }
        if !newer && self.random.f64() < 0.3 {
            add(self, &[-10, -30], 7, [Some(3000), Some(8550), None]);
        }
    }

    /// One of a few times, so that several events share a time, or happen just before and after a
    /// coupon's end.
    pub(super) fn about_now(&mut self, coupon: &Coupon) -> Timestamp {
        let end = match coupon.expires_at.duration_since(self.now).as_hours() {
            0 => coupon.expires_at,
            _ => self.now,
        };
        let second = self.random.choice([-60, -1, 0, 0, 1, 60]).unwrap_or(0);
        end + SignedDuration::from_secs(second)
    }

    /// A member redeems much within about an hour.
    pub(super) fn spree(&mut self) {
        let (company, secret) = COMPANIES[self.random.usize(0..COMPANIES.len())];
        for number in 0..self.random.usize(4..=6) {
            let minute = self
                .random
                .choice([-61, -60, -60, -40, -30, -10, 0])
                .unwrap_or(0);
            let coupon = Coupon {
                company,
                secret: format!("{company}={secret}"),
                code: format!("CP-spree-{number}"),
                member: "ZP-0".into(),
                reach: CONTACTS[0],
                precious: false,
                now: self.now + SignedDuration::from_mins(minute),
                discount: None,
                expires_at: self.now + SignedDuration::from_hours(24),
                maximum: None,
                minimum: None,
            };
            let variants = vec![coupon.redeemed(false, "Pizza Grátis")];
            self.events
                .push(coupon.event("redeemed".into(), Kind::Redeemed, variants));
        }
    }

    /// The provider sends a member's contact, in v2 or v1.
    pub(super) fn enrolment(&mut self) {
        let (company, secret) = COMPANIES[self.random.usize(0..COMPANIES.len())];
        let member = format!("ZP-{}", self.random.u32(0..2));
        let reach = self.random.choice(CONTACTS).unwrap_or(Reach::NOT);
        let coupon = Coupon {
            company,
            secret: format!("{company}={secret}"),
            code: member.clone(),
            member: member.clone(),
            reach,
            precious: false,
            discount: None,
            expires_at: self.now,
            now: self.now,
            maximum: None,
            minimum: None,
        };
        let newer = self.random.bool();
        let (entry, mut variant) = match newer {
            true => {
                let data = json!({
                    "customer_id": member, "name": "Ana Lima", "email": reach.email,
                    "phone": reach.phone,
                });
                let variant = coupon.v2("customer.enrolled", "enrolled", data);
                (format!("enrolled@enrolled-{member}"), variant)
            }
            false => {
                let variant = coupon.v1(ZUPY, "customer.registered", "registered", json!({}), None);
                (format!("registered@{}", self.now), variant)
            }
        };
        variant.reach = reach;
        self.events.push(Event {
            key: format!("zupy#{company}#member#{member}/{entry}"),
            account: Some((format!("zupy#{company}#{member}"), "contact".into())),
            kind: Kind::Enrolled,
            variants: vec![variant],
            is_numbered: false,
            forged: false,
            sandbox: false,
        });
    }

    pub(super) fn items_of_an_order(&mut self) -> Vec<Line> {
        if self.random.f64() < 0.02 {
            let lines = dishes().iter().map(|name| Line {
                product: name,
                spelled: name,
                halves: 2,
                is_free: true,
            });
            return lines.collect();
        }
        let items = (0..self.random.usize(0..=3)).map(|_| {
            let spellings = SPELLINGS[self.random.usize(0..SPELLINGS.len())];
            Line {
                product: spellings[0],
                spelled: self.random.choice(spellings).unwrap_or("Pizza"),
                halves: self.random.choice([1, 2, 2, 4]).unwrap_or(2),
                is_free: self.random.f64() < 0.7,
            }
        });
        items.collect()
    }

    /// A game's player redeems a code.
    pub(super) fn items(&mut self, number: usize) {
        let sandbox = self.random.f64() < 0.2;
        let key = format!("idmpt_{number}");
        let seconds = self.now.as_second();
        let body = json!({
            "event_type": "coupon.redeemed",
            "event_data": {
                "player_id": "2D2R-OP3C",
                "coupon": {"code": "WELCOME", "sku": "crystals", "redeemed_at": seconds},
                "item": {"id": "itm_1", "name": "Crystals", "sku": "crystals", "quantity": 10, "type": "item"},
            },
            "event_time": seconds, "event_id": format!("whevt_{number}"), "idempotency_key": key,
            "sandbox": sandbox, "trigger": "hub.redeem", "transaction_id": "whtx_1",
            "game_id": GAME,
        });
        self.events.push(Event {
            key: match sandbox {
                true => format!("aghanim#{GAME}#sandbox#{key}/redeemed"),
                false => format!("aghanim#{GAME}#{key}/redeemed"),
            },
            account: None,
            kind: Kind::Items,
            variants: vec![Variant {
                path: AGHANIM,
                scheme: aghanim::SCHEME,
                secret: AGHANIM_SECRET.into(),
                body: body.to_string().into_bytes(),
                reach: Reach::NOT,
                reward: None,
                precious: false,
                discount: None,
                expires_at: None,
                items: Vec::new(),
                at: Timestamp::from_second(seconds).expect("a second of now"),
                amounts: [None; 3],
                maximum: None,
                minimum: None,
            }],
            is_numbered: false,
            forged: false,
            sandbox,
        });
    }

    /// A redemption that format v1 does not allow, or that is no JSON.
    pub(super) fn refused(&mut self) {
        let (company, secret) = COMPANIES[self.random.usize(0..COMPANIES.len())];
        let coupon = Coupon {
            company,
            secret: format!("{company}={secret}"),
            code: "CP-refused".into(),
            member: "ZP-0".into(),
            reach: CONTACTS[0],
            precious: false,
            now: self.now,
            discount: Some("product_free"),
            expires_at: self.now + SignedDuration::from_hours(24 * 3),
            maximum: None,
            minimum: None,
        };
        let mut variant = coupon.redeemed(false, "Pizza Grátis");
        let mut body: Value = serde_json::from_slice(&variant.body).unwrap_or_default();
        let field = match self.random.u32(0..4) {
            0 => {
                body["coupon"]["points_spent"] = json!(0);
                "coupon.points_spent"
            }
            1 => {
                body["customer"]["member_id"] = json!(" ");
                "customer.member_id"
            }
            2 => {
                body["coupon"]["expires_at"] = json!("soon");
                "coupon.expires_at"
            }
            _ => "body",
        };
        variant.body = body.to_string().into_bytes();
        if field == "body" {
            variant.body.pop();
        }
        let key = variant.refused_as("zupy");
        let mut event = coupon.event("refused".into(), Kind::Refused(field), vec![variant]);
        event.key = key;
        event.account = None;
        self.events.push(event);
    }

    /// A redemption that its signer may not send, or sends too late.
    pub(super) fn forgery(&mut self) {
        let [(company, secret), (_, other_secret)] = COMPANIES;
        let mut coupon = Coupon {
            company,
            secret: format!("{company}={secret}"),
            code: "CP-forged".into(),
            member: "ZP-0".into(),
            reach: CONTACTS[0],
            precious: false,
            now: self.now,
            discount: Some("product_free"),
            expires_at: self.now + SignedDuration::from_hours(24 * 3),
            maximum: None,
            minimum: None,
        };
        match self.random.u32(0..4) {
            0 => coupon.secret = "unknown".into(),
            // Another company's secret signs for this company.
            1 => coupon.secret = other_secret.into(),
            2 => coupon.now -= SignedDuration::from_hours(24 * 31),
            _ => coupon.now += SignedDuration::from_hours(1),
        }
        let variant = coupon.redeemed(false, "Pizza Grátis");
        let mut event = coupon.event("redeemed".into(), Kind::Redeemed, vec![variant]);
        event.forged = true;
        self.events.push(event);
    }
}
