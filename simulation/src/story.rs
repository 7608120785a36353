//! What a simulation plays: the events that providers send, and the faults meanwhile, all chosen by
//! a seed.

use std::sync::OnceLock;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use webhooks::provider::{aghanim, zupy};
use webhooks::verify::{Scheme, Secrets};

use crate::trouble::{Trouble, moment};
use crate::world::{AGHANIM_SECRET, COMPANIES, Format};

const GAME: &str = "gm_exTAyxPsVwh";
const ZUPY: &str = "/webhooks/zupy";
const ZUPY_REDEEMED: &str = "/webhooks/zupy/coupon-redeemed";
const ZUPY_USED: &str = "/webhooks/zupy/coupon-used";
const AGHANIM: &str = "/webhooks/aghanim/coupon-redeemed";

/// Contacts as people type them.
const CONTACTS: [Reach; 4] = [
    Reach::new(Some("ana@pão.example"), Some("+5511965958122")),
    Reach::new(Some("rui@example.com"), None),
    Reach::new(None, Some("(11) 6595-8123")),
    Reach::new(None, None),
];

#[derive(Debug)]
pub(crate) struct Story {
    /// The events, each with another key.
    pub(crate) events: Vec<Event>,
    pub(crate) sendings: Vec<Sending>,
    pub(crate) trouble: Trouble,
    /// When Zupy's secrets are rotated, if they are.
    pub(crate) rotation: Option<Duration>,
    /// Messages that no function can read, by queue.
    pub(crate) poison: Vec<(Duration, &'static str, String)>,
    /// The stock at the beginning, by company and product.
    pub(crate) stock: Vec<Stocked>,
    /// Deliveries, with their times.
    pub(crate) deliveries: Vec<(Duration, Stocked)>,
}

/// A quantity of a product. Quantities are whole numbers of halves.
#[derive(Debug, Clone)]
pub(crate) struct Stocked {
    pub(crate) company: &'static str,
    pub(crate) product: &'static str,
    pub(crate) halves: i64,
    pub(crate) threshold: Option<i64>,
}

/// The threshold of a product without its own.
pub(crate) const THRESHOLD: i64 = 5;

/// In one company's catalogue the reward is the product; in the other company the reward is a
/// product of its own name.
pub(crate) const CATALOGUE: (&str, &str, &str) = ("comp_sul", "Pizza Grátis", "Pizza");

/// An event, in several variants if its provider contradicts itself.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) key: String,
    /// The coupon's row in its member's account; none for a game's items.
    pub(crate) account: Option<(String, String)>,
    pub(crate) kind: Kind,
    pub(crate) variants: Vec<Variant>,
    /// Whether this is a use without an order. All its variants say the same, and its key is known
    /// once it is recorded.
    pub(crate) is_numbered: bool,
    /// Whether the signer may not send this event. It must leave nothing.
    pub(crate) forged: bool,
    /// Whether the event is from a sandbox. It must reach nobody.
    pub(crate) sandbox: bool,
}

/// How a member can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) email: Option<&'static str>,
    pub(crate) phone: Option<&'static str>,
}

impl Reach {
    pub(crate) const NOT: Self = Self::new(None, None);

    const fn new(email: Option<&'static str>, phone: Option<&'static str>) -> Self {
        Self { email, phone }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self::new(self.email.or(other.email), self.phone.or(other.phone))
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::NOT
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redeemed,
    Used,
    Cancelled,
    Expiring,
    Expired,
    Items,
    /// The provider sent a member's contact.
    Enrolled,
    /// Correctly signed, but not valid: the body is kept, and causes nothing.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) path: &'static str,
    pub(crate) scheme: Scheme,
    pub(crate) secret: String,
    pub(crate) body: Vec<u8>,
    /// The addresses in the body.
    pub(crate) reach: Reach,
    pub(crate) reward: Option<String>,
    /// Whether the reward is worth a text message.
    pub(crate) precious: bool,
    /// The type of discount, if the body has one.
    pub(crate) discount: Option<&'static str>,
    /// When the coupon expires, if the body says so.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) items: Vec<Line>,
    /// When the event happened.
    pub(crate) at: Timestamp,
    /// An order's discount, value and payment, in cents.
    pub(crate) amounts: [Option<i64>; 3],
    /// The coupon's maximum discount and minimum order value, in cents.
    pub(crate) maximum: Option<i64>,
    pub(crate) minimum: Option<i64>,
}

/// An item of an order.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) product: &'static str,
    /// The item's name as the till writes it.
    spelled: &'static str,
    pub(crate) halves: i64,
    pub(crate) is_free: bool,
}

/// One event, sent until there is an answer.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(crate) at: Duration,
    pub(crate) event: usize,
    pub(crate) variant: usize,
    pub(crate) format: Format,
    /// The maximum number of attempts.
    pub(crate) attempts: u32,
    /// The pause before each further attempt.
    pub(crate) pause: Duration,
}

impl Variant {
    /// The headers that the sender adds.
    pub(crate) fn headers(&self, now: Timestamp) -> Vec<(String, String)> {
        self.headers_of(&self.body, now)
    }

    /// The headers for another body.
    pub(crate) fn headers_of(&self, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
        let secrets = Secrets::parse(&self.secret).expect("a story's secret is not empty");
        let signed = self.scheme.sign(body, secrets.first(), now);
        let signed = signed
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value));
        std::iter::once(("content-type".to_owned(), "application/json".to_owned()))
            .chain(signed)
            .collect()
    }
}

impl Event {
    /// Whether two variants say the same.
    pub(crate) fn is_same(&self, a: usize, b: usize) -> bool {
        self.is_numbered || a == b
    }
}

impl Story {
    /// The story of a seed, whose events happen about now.
    pub(crate) fn of(random: &mut Rng, now: Timestamp) -> Self {
        let mut author = Author {
            random,
            now,
            events: Vec::new(),
        };
        for number in 0..author.random.usize(1..=3) {
            author.coupon(number);
        }
        for number in 0..author.random.usize(0..=1) {
            author.items(number);
        }
        if author.random.f64() < 0.2 {
            author.spree();
        }
        if author.random.f64() < 0.5 {
            author.enrolment();
        }
        if author.random.f64() < 0.3 {
            author.forgery();
        }
        if author.random.f64() < 0.2 {
            author.refused();
        }
        let events = author.events;
        let trouble = Trouble::of(random);
        let sendings = events
            .iter()
            .enumerate()
            .flat_map(|(index, event)| sendings(random, index, event, trouble.sending))
            .collect();
        Self {
            events,
            sendings,
            trouble,
            rotation: (random.f64() < 0.2).then(|| moment(random)),
            poison: poison(random),
            stock: stock(random),
            deliveries: deliveries(random),
        }
    }
}

fn sendings(random: &mut Rng, index: usize, event: &Event, within: Duration) -> Vec<Sending> {
    let mut sendings = Vec::new();
    let gives_up = random.f64() < 0.1;
    for variant in 0..event.variants.len() {
        for _ in 0..random.choice([1, 1, 2, 3]).unwrap_or(1) {
            let format = random.choice([Format::V1, Format::V2, Format::V2Base64]);
            sendings.push(Sending {
                at: within.mul_f64(random.f64()),
                event: index,
                variant,
                format: format.unwrap_or(Format::V2),
                attempts: if gives_up {
                    random.u32(1..=2)
                } else {
                    u32::MAX
                },
                pause: Duration::from_secs(random.u64(1..=60)),
            });
        }
    }
    sendings
}

fn poison(random: &mut Rng) -> Vec<(Duration, &'static str, String)> {
    if random.f64() > 0.15 {
        return Vec::new();
    }
    let queue = random.choice(["work", "delivery", "inventory", "fraud", "retry"]);
    let queue = queue.unwrap_or("delivery");
    let body = random.choice([
        "not JSON",
        "{}",
        r#"{"version":1,"event":5}"#,
        r#"{"version":0}"#,
    ]);
    vec![(moment(random), queue, body.unwrap_or_default().to_owned())]
}

const PRODUCTS: [&str; 2] = ["Pizza", "Suco"];

/// Each product has one stock, whatever the spelling of its name.
const SPELLINGS: [[&str; 5]; 2] = [
    ["Pizza", "Pizza", "PIZZA", " pizza\u{a0}", "Piz\u{200b}za"],
    ["Suco", "Suco", "suco", "SUCO\n", "\u{feff}Suco"],
];

/// The product that stories call by a name.
pub(crate) fn product_of(name: &str) -> &str {
    let mut products = PRODUCTS.into_iter();
    let known = products.find(|it| it.to_lowercase() == name.to_lowercase());
    known.unwrap_or(name)
}

/// An order of this many products is processed in parts.
const MANY: usize = 250;

fn dishes() -> &'static [String] {
    static DISHES: OnceLock<Vec<String>> = OnceLock::new();
    DISHES.get_or_init(|| (0..MANY).map(|number| format!("Prato {number}")).collect())
}

/// The stock at the beginning; some products have none yet.
fn stock(random: &mut Rng) -> Vec<Stocked> {
    let mut stock = Vec::new();
    for (company, _) in COMPANIES {
        for product in PRODUCTS {
            if random.f64() < 0.8 {
                stock.push(Stocked {
                    company,
                    product,
                    halves: random.i64(-2..=20),
                    threshold: random.bool().then(|| random.i64(0..=6)),
                });
            }
        }
    }
    stock
}

fn deliveries(random: &mut Rng) -> Vec<(Duration, Stocked)> {
    let deliveries = (0..random.choice([0, 0, 1, 2]).unwrap_or(0)).map(|_| {
        let (company, _) = COMPANIES[random.usize(0..COMPANIES.len())];
        let stocked = Stocked {
            company,
            product: random.choice(PRODUCTS).unwrap_or("Pizza"),
            halves: random.i64(1..=20),
            threshold: None,
        };
        (moment(random), stocked)
    });
    deliveries.collect()
}

/// Invents events.
struct Author<'a> {
    random: &'a mut Rng,
    now: Timestamp,
    events: Vec<Event>,
}

impl Author<'_> {
    /// One coupon of a restaurant's customer, with its whole life.
    fn coupon(&mut self, number: usize) {
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
    fn uses_without_order(&mut self, coupon: &Coupon) {
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
    fn about_now(&mut self, coupon: &Coupon) -> Timestamp {
        let end = match coupon.expires_at.duration_since(self.now).as_hours() {
            0 => coupon.expires_at,
            _ => self.now,
        };
        let second = self.random.choice([-60, -1, 0, 0, 1, 60]).unwrap_or(0);
        end + SignedDuration::from_secs(second)
    }

    /// A member redeems much within about an hour.
    fn spree(&mut self) {
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
    fn enrolment(&mut self) {
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

    fn items_of_an_order(&mut self) -> Vec<Line> {
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
    fn items(&mut self, number: usize) {
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

    /// A redemption that cost nothing, which format v1 does not allow.
    fn refused(&mut self) {
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
        body["coupon"]["points_spent"] = json!(0);
        variant.body = body.to_string().into_bytes();
        // The key is made from the format, the tenant that the secret names, and the bytes.
        let named_by = [b"zupy-v1\0", company.as_bytes(), b"\0", &variant.body].concat();
        let hash = hex::encode(&Sha256::digest(named_by)[..16]);
        let mut event = coupon.event("refused".into(), Kind::Refused, vec![variant]);
        event.key = format!("refused#zupy/{hash}");
        event.account = None;
        self.events.push(event);
    }

    /// A redemption that its signer may not send, or sends too late.
    fn forgery(&mut self) {
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

/// A restaurant's coupon, in its provider's terms.
#[derive(Clone)]
struct Coupon {
    company: &'static str,
    secret: String,
    code: String,
    member: String,
    reach: Reach,
    precious: bool,
    now: Timestamp,
    /// The type of discount, if the redemption has one.
    discount: Option<&'static str>,
    expires_at: Timestamp,
    maximum: Option<i64>,
    minimum: Option<i64>,
}

impl Coupon {
    /// The same coupon, for an event that happened at this time.
    fn at(&self, now: Timestamp) -> Self {
        Self {
            now,
            ..self.clone()
        }
    }

    fn event(&self, entry: String, kind: Kind, variants: Vec<Variant>) -> Event {
        Event {
            key: format!("zupy#{}#{}/{entry}", self.company, self.code),
            account: Some((
                format!("zupy#{}#{}", self.company, self.member),
                format!("coupon#{}", self.code),
            )),
            kind,
            variants,
            is_numbered: false,
            forged: false,
            sandbox: false,
        }
    }

    fn redeemed(&self, newer: bool, reward: &str) -> Variant {
        let data = json!({
            "customer_id": self.member, "coupon_code": self.code, "reward_name": reward,
            "reward_id": "rw",
            "points_spent": 200, "valid_until": self.expires_at,
        });
        if newer {
            let mut variant = self.v2("reward.redeemed", "redeemed", data);
            variant.reward = Some(reward.into());
            variant.expires_at = Some(self.expires_at);
            return variant;
        }
        let coupon = json!({
            "coupon_code": self.code, "reward_id": "rw", "reward_name": reward, "points_spent": 200,
            "expires_at": self.expires_at,
        });
        let mut variant = self.v1(ZUPY_REDEEMED, "coupon.redeemed", "coupon", coupon, None);
        variant.reach = self.reach;
        variant.reward = Some(reward.into());
        variant.precious = self.precious;
        variant.discount = self.discount;
        variant.expires_at = Some(self.expires_at);
        variant.maximum = self.maximum;
        variant.minimum = self.minimum;
        variant
    }

    fn used(
        &self,
        order: &str,
        amounts: [Option<i64>; 3],
        discount: Option<&'static str>,
        items: Vec<Line>,
    ) -> Variant {
        self.used_for(Some(order), amounts, discount, items)
    }

    /// A use in format v2, by a webhook with this id.
    fn used_without_order(&self, id: &str) -> Variant {
        let data = json!({
            "customer_id": self.member, "coupon_code": self.code, "reward_name": "Pizza Grátis",
        });
        self.v2("coupon.used", id, data)
    }

    fn used_for(
        &self,
        order: Option<&str>,
        amounts: [Option<i64>; 3],
        discount: Option<&'static str>,
        items: Vec<Line>,
    ) -> Variant {
        let affected = items.iter().map(|line| {
            let discount = if line.is_free { 35.0 } else { 5.0 };
            json!({
                "name": line.spelled, "quantity": line.halves as f64 / 2.0, "unit_price": 35.00,
                "discount_applied": discount,
            })
        });
        let usage = json!({
            "coupon_code": self.code, "reward_name": "Pizza Grátis", "discount_type": discount,
            "discount_applied": amounts[0].map(money), "order_value": amounts[1].map(money),
            "final_value": amounts[2].map(money), "location": "Loja Centro", "platform": "pos",
            "order_id": order,
            "items_affected": affected.collect::<Vec<_>>(),
        });
        let mut variant = self.v1(ZUPY_USED, "coupon.used", "usage", usage, None);
        variant.discount = discount;
        variant.items = items;
        variant.amounts = amounts;
        variant
    }

    fn notice(&self, name: &str) -> Variant {
        let data = json!({
            "customer_id": self.member, "coupon_code": self.code, "reward_name": "Pizza Grátis",
            "valid_until": self.expires_at, "cancelled_at": self.now, "expired_at": self.now,
        });
        self.v2(&format!("coupon.{name}"), name, data)
    }

    fn v1(
        &self,
        path: &'static str,
        kind: &str,
        section: &str,
        contents: Value,
        beside: Option<(&str, Value)>,
    ) -> Variant {
        let mut body = json!({
            "event": kind, "timestamp": self.now, "company_id": self.company,
            "customer": {
                "member_id": self.member, "name": "Ana Lima", "email": self.reach.email,
                "whatsapp": self.reach.phone,
            },
            "discount_details": {
                "discount_type": self.discount.unwrap_or("fixed_amount"),
                "discount_value": if self.precious { 50 } else { 49 },
                "maximum_discount": self.maximum.map(money),
                "minimum_purchase": self.minimum.map(money),
            },
        });
        body[section] = contents;
        if let Some((section, contents)) = beside {
            body[section] = contents;
        }
        self.variant(path, zupy::V1, &body)
    }

    fn v2(&self, kind: &str, id: &str, data: Value) -> Variant {
        let webhook_id = format!("{id}-{}", self.code);
        let body =
            json!({"event": kind, "webhook_id": webhook_id, "timestamp": self.now, "data": data});
        self.variant(ZUPY, zupy::V2, &body)
    }

    fn variant(&self, path: &'static str, scheme: Scheme, body: &Value) -> Variant {
        Variant {
            path,
            scheme,
            secret: self.secret.clone(),
            body: body.to_string().into_bytes(),
            reach: Reach::NOT,
            reward: None,
            precious: false,
            discount: None,
            expires_at: None,
            items: Vec::new(),
            at: self.now,
            amounts: [None; 3],
            maximum: None,
            minimum: None,
        }
    }
}

/// Cents as units of the currency.
fn money(cents: i64) -> f64 {
    cents as f64 / 100.0
}
