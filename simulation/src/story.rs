//! What a simulation plays: the events that providers send, and the faults meanwhile, all chosen by
//! a seed.

mod author;
mod coupon;

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use webhooks::verify::{Scheme, Secrets};

use crate::trouble::{Trouble, moment};
use crate::world::{COMPANIES, Format};
use author::Author;

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
    /// The time of a rotation of Zupy's secrets, if there is one.
    pub(crate) rotation: Option<Duration>,
    /// Messages that no function can read, by queue.
    pub(crate) poison: Vec<(Duration, &'static str, String)>,
    /// The stock at the beginning, by company and product.
    pub(crate) stock: Vec<Stocked>,
    /// Deliveries, with their times.
    pub(crate) deliveries: Vec<(Duration, Stocked)>,
    pub(crate) mended: Option<Mended>,
}

/// An event with a first variant that older code refused. Today's code reads it.
#[derive(Debug, Clone)]
pub(crate) struct Mended {
    pub(crate) event: usize,
    /// When an operator begins to replay the refused bodies.
    pub(crate) at: Duration,
}

/// A quantity of a product. Quantities are whole numbers of halves.
#[derive(Debug, Clone)]
pub(crate) struct Stocked {
    pub(crate) company: &'static str,
    pub(crate) product: &'static str,
    pub(crate) halves: i64,
    pub(crate) threshold: Option<i64>,
}

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
    /// Whether this is a use without an order. All its variants say the same, and its recording
    /// reveals its key.
    pub(crate) is_numbered: bool,
    /// Whether the signer may not send this event. It must leave nothing.
    pub(crate) forged: bool,
    /// Whether the event is from a sandbox. It must reach nobody.
    pub(crate) sandbox: bool,
}

/// A member's addresses.
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
    /// Correctly signed, but not valid, because of this field. The ledger keeps the body, which
    /// causes nothing.
    Refused(&'static str),
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
    /// The story of a seed, with events at about `now`.
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
        let mut story = Self {
            events,
            sendings,
            trouble,
            rotation: (random.f64() < 0.2).then(|| moment(random)),
            poison: poison(random),
            stock: stock(random),
            deliveries: deliveries(random),
            mended: None,
        };
        if random.f64() < 0.2 {
            story.mend(random);
        }
        story
    }
}

impl Story {
    /// Makes older code refuse the body of one of the events. Half of the providers never send such
    /// a body again.
    fn mend(&mut self, random: &mut Rng) {
        let events = self.events.iter().enumerate();
        let readable = events.filter(|(_, event)| {
            let is_refused = matches!(event.kind, Kind::Refused(_));
            !is_refused && !event.forged && !event.is_numbered
        });
        let Some(event) = random.choice(readable.map(|(index, _)| index).collect::<Vec<_>>())
        else {
            return;
        };
        if random.bool() {
            let sendings = &mut self.sendings;
            sendings.retain(|sending| sending.event != event || sending.variant != 0);
        }
        self.mended = Some(Mended {
            event,
            at: moment(random),
        });
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

/// Each product has one stock, with any spelling of its name.
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

/// The stock at the beginning; some products have none.
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
