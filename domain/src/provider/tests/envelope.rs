//! The data that a provider sends around an event are kept, and do not make another event.

use jiff::Timestamp;

use super::*;
use crate::message::QueueMessage;
use crate::task::Message;

#[test]
fn aghanims_envelope_is_kept() {
    let context =
        json!({"player": {"name": "Player One", "level": 12_345_678_901_234_567_890_u64}});
    let body = edited(AGHANIM, &[("/context", Some(context.clone()))]);
    let event = event(Aghanim, &body);
    let envelope = &event.envelope;
    assert_eq!(
        envelope.event_id.as_deref(),
        Some("whevt_eCacGbJVbvToOgzjXUgOCitkQE")
    );
    assert_eq!(
        envelope.request_id.as_deref(),
        Some("d1593e9c-c291-4004-8846-6679c2e5810b")
    );
    assert_eq!(envelope.transaction_id.as_deref(), Some("whtx_eCacGbJVbvT"));
    assert_eq!(envelope.trigger.as_deref(), Some("hub.redeem"));
    let kept = envelope.context.as_ref().unwrap().text();
    assert_eq!(kept, context.to_string());
    // The context holds personal data, which no log may show.
    assert!(!format!("{event:?}").contains("Player One"));
}

#[test]
fn the_envelope_passes_through_a_queue() {
    let context = json!({"order": {"note": "\u{FFFF}"}});
    let body = edited(AGHANIM, &[("/context", Some(context))]);
    let mut event = event(Aghanim, &body);
    event.received_at = Some(Timestamp::UNIX_EPOCH);
    let message = Message::new(&event, Timestamp::UNIX_EPOCH, None);
    let read = Message::read(&message.to_body()).unwrap();
    assert_eq!(*read.event, event);
    // Older code wrote no envelope.
    let mut older: Value = serde_json::from_str(&message.to_body()).unwrap();
    older["event"].as_object_mut().unwrap().remove("envelope");
    let read = Message::read(&older.to_string()).unwrap();
    assert!(read.event.envelope.is_empty());
}

#[test]
fn another_envelope_does_not_change_the_contents() {
    for (pointer, value) in [
        ("/request_id", json!("another")),
        ("/transaction_id", json!("another")),
        ("/event_id", json!("another")),
        ("/context", json!({"player": {"level": 2}})),
    ] {
        let other = edited(AGHANIM, &[(pointer, Some(value))]);
        check_same(Aghanim, AGHANIM, &other, true);
    }
}

#[test]
fn zupys_second_format_names_its_webhook() {
    let verified = Verified::recorded(ZUPY_V2_USED.as_bytes(), zupy::V2.name, None);
    let Content::Event(event) = Zupy::every_event().parse(&verified).content else {
        panic!("no event");
    };
    let webhook_id = event.envelope.event_id.unwrap();
    assert_eq!(webhook_id, "e46c2e18-995d-57c8-b613-de125b42f471");
}

#[test]
fn a_price_in_the_smallest_unit_is_a_price() {
    let price = |edits: &[(&str, Option<Value>)]| {
        let body = edited(AGHANIM, edits);
        let item = redemption(event(Aghanim, &body)).reward.items.remove(0);
        (item.price, item.price_minor)
    };
    let dollars = Some(Money::new(decimal("94.99"), "USD"));
    assert_eq!(price(&[]), (dollars.clone(), Some(9499)));
    let no_decimal = ("/event_data/item/price_decimal", None);
    assert_eq!(
        price(std::slice::from_ref(&no_decimal)),
        (dollars, Some(9499))
    );
    let yen = ("/event_data/item/currency", Some(json!("JPY")));
    let expected = Some(Money::new(decimal("9499"), "JPY"));
    assert_eq!(price(&[no_decimal, yen]), (expected, Some(9499)));
    let none = ("/event_data/item/currency", None);
    assert_eq!(price(&[none]), (None, Some(9499)));
}
