//! Aghanim: a player of a game redeems a code for a free item.
//!
//! The source is Aghanim's page on the coupon redeemed webhook, <https://docs.aghanim.com>.

use rust_decimal::Decimal;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::event::{
    Envelope, Event, EventKey, Fact, Item, Member, Money, Redemption, Reward, Verbatim,
};
use crate::identifier::clean;
use crate::provider::wire::{Field, Object, Problem, Problems, UnixSeconds, parse};
use crate::provider::{Content, Parsed, Provider};
use crate::verify::{Encoding, Scheme, Verified};

/// The provider's name in keys and rows.
pub const NAME: &str = "aghanim";

/// The signature covers `{timestamp}.{raw body}`, in lower-case hexadecimal digits.
pub const SCHEME: Scheme = Scheme {
    name: NAME,
    signature_header: "X-Aghanim-Signature",
    encoding: Encoding::Hex { prefix: "" },
    signed_headers: &["X-Aghanim-Signature-Timestamp"],
    timestamp_header: Some("X-Aghanim-Signature-Timestamp"),
};

/// Aghanim's webhooks of type `coupon.redeemed`.
///
/// The webhook only names the items: Aghanim's own `item.add` webhook grants them.
#[derive(Debug, Clone, Copy)]
pub struct Aghanim;

impl Aghanim {
    /// The one type of event that this module reads.
    pub const COUPON_REDEEMED: &'static str = "coupon.redeemed";
}

impl Provider for Aghanim {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schemes(&self) -> &'static [Scheme] {
        &[SCHEME]
    }

    fn parse(&self, verified: &Verified<'_>) -> Parsed {
        let content = match parse::<Body>(verified.body()) {
            Err(problem) => Content::Invalid(vec![problem]),
            Ok(Body {
                event_type: Field::Value(kind),
                ..
            }) if clean(&kind) != Self::COUPON_REDEEMED => {
                Content::Ignored(clean(&kind).to_owned())
            }
            Ok(body) => Content::settle(redeemed(body)),
        };
        Parsed {
            sent_at: None,
            content,
        }
    }
}

/// A body as Aghanim sends it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Body {
    /// Only [`Aghanim::COUPON_REDEEMED`] is read. Other types are ignored.
    event_type: Field<String>,
    /// The player, the code and the item. If the object is missing, each of its required fields is
    /// a problem.
    event_data: Field<EventData>,
    /// When the event happened. The coupon's `redeemed_at` goes first if it is there.
    event_time: Field<UnixSeconds>,
    /// Aghanim's id for the event. The event's key is made of it if there is no idempotency key.
    event_id: Field<String>,
    /// Null for some types; then `event_id` names the event.
    idempotency_key: Field<String>,
    /// Null unless a request to Aghanim's API caused the event.
    request_id: Field<String>,
    /// Whether a sandbox game sent the event. The trigger `test` may come with either value.
    sandbox: Field<bool>,
    /// `hub.redeem`, or `test` from the dashboard's button.
    trigger: Field<String>,
    /// Several events may share one transaction, so its id is never a key.
    transaction_id: Field<String>,
    /// Data of the order and the player, or null. Aghanim publishes no schema of these data.
    context: Field<Verbatim>,
    /// Aghanim's id for the game, which is the tenant.
    game_id: Field<String>,
}

/// The data of an event.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EventData {
    /// The id by which the player signs in. The game chooses it.
    player_id: Field<String>,
    /// The code. If the object is missing, each of its required fields is a problem.
    coupon: Field<Coupon>,
    /// The free item, as Aghanim's page documents it, or nothing if `items` is sent.
    item: Field<WireItem>,
    /// All free items. If the list has an item, the list counts instead of `item`.
    items: Field<Vec<Field<WireItem>>>,
}

/// The code that was redeemed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Coupon {
    /// Many players share one code.
    code: Field<String>,
    /// The free item's SKU, which becomes the reward's id.
    sku: Field<String>,
    /// When the player used the code. If this time is missing, `event_time` counts.
    redeemed_at: Field<UnixSeconds>,
}

/// An item, or a bundle of items.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct WireItem {
    /// Aghanim's id for the item.
    id: Field<String>,
    /// The name as players see it; perhaps blank, but not missing.
    name: Field<String>,
    /// Null if the item has no description.
    description: Field<String>,
    /// The item's SKU, the same in the game and at Aghanim.
    sku: Field<String>,
    /// How many the player gets, such as 480,000 crystals.
    quantity: Field<i64>,
    /// In the currency's smallest unit: 9499 cents. The page's example has it, its table has not.
    price: Field<i64>,
    /// The same price in the currency's main unit: 94.99. `price` counts only if this one is
    /// missing.
    price_decimal: Field<Decimal>,
    /// ISO 4217. A price without a currency is left out.
    currency: Field<String>,
    /// `item`, or `bundle` for an item with `nested_items`.
    #[serde(rename = "type")]
    kind: Field<String>,
    /// The items of a bundle, which may be bundles again; else null.
    nested_items: Field<Vec<Field<WireItem>>>,
    /// What the player gets if the item cannot be given.
    fallback_item: Field<Box<WireItem>>,
}

impl Object for Body {}
impl Object for EventData {}
impl Object for Coupon {}
impl Object for WireItem {}
impl Object for Box<WireItem> {}

fn redeemed(body: Body) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    problems.required("event_type", body.event_type);
    let tenant = problems.name("game_id", body.game_id);
    let event_id = problems.name("event_id", body.event_id);
    let idempotency_key = problems.text("idempotency_key", body.idempotency_key);
    let idempotency_key = idempotency_key.and_then(|key| problems.key_part("idempotency_key", key));
    let event_time = problems.required("event_time", body.event_time);
    let sandbox = problems.optional("sandbox", body.sandbox) == Some(true);
    let trigger = problems.text("trigger", body.trigger);
    let envelope = Envelope {
        event_id: event_id.clone(),
        request_id: problems.text("request_id", body.request_id),
        transaction_id: problems.text("transaction_id", body.transaction_id),
        trigger,
        context: problems.optional("context", body.context),
        time_zone: None,
    };
    let data = problems.section("event_data", body.event_data);
    let data = data.map(|data| read_data(&mut problems, data));
    let event = (|| {
        let (tenant, data) = (tenant?, data?);
        let event_id = event_id?;
        let occurred_at = data.redeemed_at.or(event_time)?.0;
        let is_test = envelope.trigger.as_deref() == Some("test");
        let (space, named_by) = match (is_test, sandbox) {
            // A second press of the button is another test, even if the provider repeats the ids.
            (true, _) => {
                let press = (&event_id, event_time?.0, occurred_at, &data.redemption);
                let press = serde_json::to_vec(&press).ok()?;
                (Some("test"), hex::encode(&Sha256::digest(press)[..16]))
            }
            (false, true) => (Some("sandbox"), idempotency_key.unwrap_or(event_id)),
            (false, false) => (None, idempotency_key.unwrap_or(event_id)),
        };
        Some(Event {
            key: match space {
                None => EventKey::redeemed(NAME, &tenant, &named_by),
                Some(space) => EventKey::trial(NAME, &tenant, space, &named_by),
            },
            provider: NAME.into(),
            tenant,
            occurred_at,
            sandbox: sandbox || is_test,
            received_at: None,
            member: data.player?,
            fact: Fact::Redeemed(data.redemption?),
            envelope,
            warnings: Vec::new(),
        })
    })();
    problems.settle(event)
}

struct Data {
    player: Option<Member>,
    redeemed_at: Option<UnixSeconds>,
    redemption: Option<Redemption>,
}

fn read_data(problems: &mut Problems, data: EventData) -> Data {
    let player_id = problems.name("event_data.player_id", data.player_id);
    let has_list = data.items.value().is_some_and(|items| !items.is_empty());
    if !has_list && data.item.value().is_none() {
        match (&data.item, &data.items) {
            (Field::Wrong(expected), _) => problems.add("event_data.item", *expected),
            (_, Field::Wrong(expected)) => problems.add("event_data.items", *expected),
            _ => problems.add("event_data.item", "is missing"),
        }
    }
    let item = problems.optional("event_data.item", data.item);
    let item = item.and_then(|item| read_item(problems, "event_data.item", item));
    let items = read_items(problems, "event_data.items", data.items);
    // If both are sent, `items` is the longer form of `item`.
    let items = match item {
        Some(item) if items.is_empty() => vec![item],
        _ => items,
    };
    let coupon = problems.section("event_data.coupon", data.coupon);
    let (code, sku, redeemed_at) = match coupon {
        None => (None, None, None),
        Some(coupon) => (
            problems.name("event_data.coupon.code", coupon.code),
            problems.text("event_data.coupon.sku", coupon.sku),
            problems.optional("event_data.coupon.redeemed_at", coupon.redeemed_at),
        ),
    };
    Data {
        player: player_id.map(|id| Member {
            id,
            name: None,
            email: None,
            phone: None,
            tier: None,
        }),
        redeemed_at,
        redemption: code.map(|coupon_code| Redemption {
            coupon_code,
            reward: Reward {
                id: sku,
                name: items.first().map(|item| item.name.clone()),
                description: items.first().and_then(|item| item.description.clone()),
                terms: None,
                items,
            },
            points_spent: None,
            new_balance: None,
            expires_at: None,
            method: None,
            discount: None,
        }),
    }
}

fn read_items(
    problems: &mut Problems,
    path: &str,
    items: Field<Vec<Field<WireItem>>>,
) -> Vec<Item> {
    let items = problems.optional(path, items).unwrap_or_default();
    let items = items.into_iter().enumerate();
    items
        .filter_map(|(index, item)| {
            let path = format!("{path}[{index}]");
            let item = problems.required(&path, item)?;
            read_item(problems, &path, item)
        })
        .collect()
}

fn read_item(problems: &mut Problems, path: &str, item: WireItem) -> Option<Item> {
    let at = |name: &str| format!("{path}.{name}");
    let id = problems.label(&at("id"), item.id);
    let name = problems.label(&at("name"), item.name);
    let description = problems.text(&at("description"), item.description);
    let sku = problems.label(&at("sku"), item.sku);
    let quantity = problems.required(&at("quantity"), item.quantity);
    let kind = problems.label(&at("type"), item.kind);
    let price_minor = problems.optional(&at("price"), item.price);
    let price = problems.optional(&at("price_decimal"), item.price_decimal);
    let currency = problems.text(&at("currency"), item.currency);
    let nested = read_items(problems, &at("nested_items"), item.nested_items);
    let fallback = problems.optional(&at("fallback_item"), item.fallback_item);
    let fallback =
        fallback.and_then(|fallback| read_item(problems, &at("fallback_item"), *fallback));
    Some(Item {
        id: id?,
        name: name?,
        description,
        sku: sku?,
        quantity: quantity?,
        kind: kind?,
        price: currency.and_then(|currency| match (price, price_minor) {
            (Some(price), _) => Some(Money::new(price, currency)),
            (None, Some(minor)) => Some(Money::of_minor(minor, currency)),
            (None, None) => None,
        }),
        price_minor,
        nested,
        fallback: fallback.map(Box::new),
    })
}
