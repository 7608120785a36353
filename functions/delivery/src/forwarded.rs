//! The webhook that a game's own server gets about a redemption.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use webhooks::event::{Event, Redemption, Verbatim};

use crate::items::{Brought, Detail, TooMany};

/// The most bytes of the webhook's body. The provider's webhook is not larger, and the body holds
/// little more than that.
const BODY_MAX_BYTES: usize = 1024 * 1024;

/// The body of the webhook.
#[derive(Serialize)]
struct Webhook<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    event: String,
    event_id: Option<&'a str>,
    request_id: Option<&'a str>,
    transaction_id: Option<&'a str>,
    trigger: Option<&'a str>,
    game_id: &'a str,
    player_id: &'a str,
    coupon_code: &'a str,
    sku: Option<&'a str>,
    sandbox: bool,
    /// As the provider wrote it, digit by digit.
    context: Option<&'a Verbatim>,
    items: Vec<Value>,
    bundles: Vec<Value>,
}

/// Why the function cannot write a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// A quantity does not fit 64 bits.
    TooMany,
    TooLong,
}

impl From<TooMany> for Unwritable {
    fn from(TooMany: TooMany) -> Self {
        Self::TooMany
    }
}

/// The body of the webhook, which is the same for every attempt. If it would be too long, leaves
/// out the descriptions and the context, and then the prices. The player gets the items in any
/// case.
pub(crate) fn body(event: &Event, redemption: &Redemption) -> Result<String, Unwritable> {
    for detail in [Detail::Described, Detail::Priced, Detail::Named] {
        let webhook = webhook(event, redemption, detail)?;
        let body = serde_json::to_string(&webhook).expect("it holds nothing that JSON cannot");
        if body.len() <= BODY_MAX_BYTES {
            return Ok(body);
        }
    }
    Err(Unwritable::TooLong)
}

fn webhook<'a>(
    event: &'a Event,
    redemption: &'a Redemption,
    detail: Detail,
) -> Result<Webhook<'a>, TooMany> {
    let Brought { items, bundles } = Brought::of(&redemption.reward.items, detail)?;
    let envelope = &event.envelope;
    let context = envelope.context.as_ref();
    Ok(Webhook {
        kind: "coupon.redeemed",
        timestamp: event.occurred_at,
        data: Data {
            event: event.key.to_string(),
            event_id: envelope.event_id.as_deref(),
            request_id: envelope.request_id.as_deref(),
            transaction_id: envelope.transaction_id.as_deref(),
            trigger: envelope.trigger.as_deref(),
            game_id: &event.tenant,
            player_id: &event.member.id,
            coupon_code: &redemption.coupon_code,
            sku: redemption.reward.id.as_deref(),
            sandbox: event.sandbox,
            context: context.filter(|_| detail == Detail::Described),
            items,
            bundles,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use webhooks::event::{Envelope, EventKey, Fact, Item, Member, Reward};

    use super::*;

    fn item(sku: &str, nested: Vec<Item>) -> Item {
        Item {
            id: sku.into(),
            name: sku.into(),
            description: None,
            sku: sku.into(),
            quantity: 1,
            kind: "item".into(),
            price: None,
            price_minor: None,
            nested,
            fallback: None,
        }
    }

    #[test]
    fn a_body_is_not_much_larger_than_the_providers_webhook() {
        let long = "x".repeat(20_000);
        let leaves = || (0..500).map(|n| item(&n.to_string(), Vec::new())).collect();
        let mut of_fallback = item("chest", leaves());
        of_fallback.fallback = Some(Box::new(item(&long, Vec::new())));
        for bundle in [of_fallback, item(&long, leaves())] {
            let redemption = Redemption {
                reward: Reward {
                    items: vec![item("outer", vec![bundle])],
                    ..Reward::default()
                },
                ..Redemption::default()
            };
            let webhook = serde_json::to_string(&redemption).unwrap().len();
            let event = Event {
                received_at: None,
                fact: Fact::Redeemed(redemption.clone()),
                key: EventKey::redeemed("aghanim", "game", "1"),
                provider: "aghanim".into(),
                tenant: "game".into(),
                occurred_at: Timestamp::UNIX_EPOCH,
                sandbox: false,
                member: Member::default(),
                envelope: Envelope::default(),
                warnings: Vec::new(),
            };
            let body = body(&event, &redemption).unwrap().len();
            assert!(body < 3 * webhook, "{body} bytes of {webhook}");
        }
    }

    fn redemption(items: Vec<Item>) -> Redemption {
        Redemption {
            coupon_code: "WELCOME".into(),
            reward: Reward {
                items,
                ..Reward::default()
            },
            ..Redemption::default()
        }
    }

    fn event(redemption: &Redemption, context: &str) -> Event {
        let context = RawValue::from_string(context.to_owned()).unwrap();
        Event {
            received_at: None,
            fact: Fact::Redeemed(redemption.clone()),
            key: EventKey::redeemed("aghanim", "game", "1"),
            provider: "aghanim".into(),
            tenant: "game".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            sandbox: false,
            member: Member::default(),
            envelope: Envelope {
                event_id: Some("whevt_1".into()),
                request_id: None,
                transaction_id: Some("whtx_1".into()),
                trigger: Some("hub.redeem".into()),
                context: Some(context.into()),
                time_zone: None,
            },
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_providers_envelope_is_passed_on_unchanged() {
        let redemption = redemption(vec![item("gem", Vec::new())]);
        let context = r#"{"order": {"id": 12345678901234567890123, "total": 94.990}}"#;
        let body = body(&event(&redemption, context), &redemption).unwrap();
        assert!(body.contains(&format!(r#""context":{context}"#)), "{body}");
        let webhook: Value = serde_json::from_str(&body).unwrap();
        let names = ["event_id", "request_id", "transaction_id", "trigger"];
        assert_eq!(
            serde_json::json!(names.map(|name| &webhook["data"][name])),
            serde_json::json!(["whevt_1", null, "whtx_1", "hub.redeem"])
        );
    }

    #[test]
    fn a_body_that_is_too_long_loses_descriptions_and_no_item() {
        let mut gem = item("gem", Vec::new());
        gem.description = Some("x".repeat(BODY_MAX_BYTES / 2));
        gem.price_minor = Some(9499);
        let whole = redemption(vec![gem.clone()]);
        let webhook = |redemption: &Redemption, context: &str| {
            let body = body(&event(redemption, context), redemption).unwrap();
            assert!(body.len() <= BODY_MAX_BYTES);
            let webhook: Value = serde_json::from_str(&body).unwrap();
            webhook["data"].clone()
        };
        assert!(webhook(&whole, "{}")["items"][0]["description"].is_string());
        for (items, context) in [
            (vec![gem.clone(), gem.clone()], "{}".to_owned()),
            (vec![gem], format!("{:?}", "y".repeat(BODY_MAX_BYTES / 2))),
        ] {
            let count = items.len();
            let webhook = webhook(&redemption(items), &context);
            assert_eq!(webhook["items"].as_array().unwrap().len(), count);
            assert_eq!(webhook["items"][0]["price"], 9499);
            assert_eq!(webhook["items"][0].get("description"), None);
            assert_eq!(webhook["context"], Value::Null);
        }
        let many = (0..20_000).map(|n| item(&n.to_string(), Vec::new()));
        let many = redemption(many.collect());
        let too_long = body(&event(&many, "{}"), &many);
        assert_eq!(too_long, Err(Unwritable::TooLong));
    }
}
