//! Checks that hold for every event, of any provider.

use domain::contents::content_hash;
use domain::event::{
    Event, EventKey, Fact, Item, KEY_PART_MAX_BYTES, Money, Usage, escape, member_key,
};
use domain::identifier::clean;
use domain::message::QueueMessage;
use domain::task::{Message, tasks};
use jiff::Timestamp;

use crate::message::assert_sqs_takes;

/// The longest partition key and sort key that DynamoDB takes, in bytes.
const PARTITION_KEY_MAX_BYTES: usize = 2048;
const SORT_KEY_MAX_BYTES: usize = 1024;

pub(crate) fn check(event: &Event, body: &[u8]) {
    let names = [event.tenant.as_str(), &event.member.id];
    for name in names.into_iter().chain(event.fact.coupon_code()) {
        assert_is_name(name);
    }
    check_key(event);
    check_fact(&event.fact);
    let contacts = [&event.member.email, &event.member.phone, &event.member.name];
    for text in contacts.into_iter().flatten() {
        assert!(!text.is_empty() && clean(text) == text);
    }
    check_message(event, body);
}

/// Not blank, and short enough for a key.
fn assert_is_name(name: &str) {
    assert!(!name.is_empty() && clean(name) == name);
    assert!(escape(name).len() <= KEY_PART_MAX_BYTES);
}

/// The key's text splits into its parts again, so that no two events share it, and DynamoDB takes
/// it.
fn check_key(event: &Event) {
    let key = &event.key;
    let text = key.to_string();
    let (coupon, entry) = text.split_once('/').expect("a key has an entry");
    assert_eq!(EventKey::recorded(coupon, entry), *key);
    assert!(!entry.contains('/'), "it would pass for a task's record");
    let parts: Vec<_> = coupon.split('#').collect();
    let (provider, tenant, named_by) = match (&event.fact, &parts[..]) {
        (Fact::Enrolled, [provider, tenant, "member", id]) => (*provider, *tenant, *id),
        (Fact::Enrolled, _) => panic!("{coupon}"),
        (_, [provider, tenant, "sandbox" | "test", named_by]) if event.sandbox => {
            (*provider, *tenant, *named_by)
        }
        (_, [provider, tenant, named_by]) if !event.sandbox => (*provider, *tenant, *named_by),
        _ => panic!("{coupon}"),
    };
    assert_eq!(provider, event.provider);
    assert_eq!(unescape(tenant), event.tenant);
    assert_is_name(&unescape(named_by));
    match &event.fact {
        Fact::Redeemed(_) => assert_eq!(entry, "redeemed"),
        Fact::Used(Usage {
            order_id: Some(order_id),
            ..
        }) => {
            assert_is_name(order_id);
            let order = entry.strip_prefix("used#").map(unescape);
            assert_eq!(order.as_ref(), Some(order_id));
        }
        Fact::Used(_) => {
            let member = entry.strip_prefix("used@");
            let member = member.and_then(|it| it.strip_suffix("#1")).map(unescape);
            assert_eq!(member.as_ref(), Some(&event.member.id));
        }
        Fact::Cancelled(_) => assert_eq!(entry, "cancelled"),
        Fact::Expiring(_) => assert_is_name(entry.strip_prefix("expiring@").expect(entry)),
        Fact::Expired(_) => assert_eq!(entry, "expired"),
        Fact::Enrolled => {
            let by = entry
                .strip_prefix("registered@")
                .or_else(|| entry.strip_prefix("enrolled@"));
            assert_is_name(by.expect(entry));
        }
    }

    assert!(key.coupon().len() <= PARTITION_KEY_MAX_BYTES);
    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    assert!(member.len() <= PARTITION_KEY_MAX_BYTES);
    let conflict = format!("conflict/{}", &content_hash(event)[..16]);
    let records = tasks(event).iter().flat_map(|task| task.records());
    for name in records.copied().chain([conflict.as_str()]) {
        assert!(key.beneath(name).len() <= SORT_KEY_MAX_BYTES);
    }
}

fn unescape(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("an escape is ASCII");
                bytes.push(u8::from_str_radix(digits, 16).expect("an escape has two digits"));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).expect("only ASCII is escaped")
}

fn check_fact(fact: &Fact) {
    match fact {
        Fact::Redeemed(redemption) => {
            if let Some(discount) = &redemption.discount {
                assert_normal([&discount.maximum, &discount.minimum_purchase]);
            }
            redemption.reward.items.iter().for_each(check_item);
        }
        Fact::Used(usage) => {
            assert_normal([&usage.discount_applied, &usage.order_value]);
            assert_normal([&usage.final_value]);
            for item in &usage.items {
                assert_normal([&item.unit_price, &item.discount_applied]);
            }
        }
        Fact::Cancelled(_) | Fact::Expiring(_) | Fact::Expired(_) | Fact::Enrolled => {}
    }
}

fn check_item(item: &Item) {
    assert_normal([&item.price]);
    item.nested.iter().for_each(check_item);
    item.fallback.as_deref().map(check_item);
}

/// 35.00 and 35 must be the same amount in the hash of the contents.
fn assert_normal<const N: usize>(amounts: [&Option<Money>; N]) {
    for money in amounts.into_iter().flatten() {
        assert_eq!(money.amount.scale(), money.amount.normalize().scale());
        assert!(!money.currency.trim().is_empty());
    }
}

/// The event is the same after a queue, and has the same contents.
fn check_message(event: &Event, body: &[u8]) {
    let event = &Event {
        received_at: Some(Timestamp::UNIX_EPOCH),
        ..event.clone()
    };
    let message = Message::new(event, Timestamp::UNIX_EPOCH, None);
    let text = message.to_body();
    if !tasks(event).is_empty() {
        // Even a short body may have a hundred warnings.
        let warnings = serde_json::to_string(&event.warnings).map_or(0, |it| it.len());
        assert_sqs_takes(&text, body.len() + warnings);
    }
    let read = Message::read(&text).expect("what is written reads back");
    assert_eq!(read, message);
    assert_eq!(read.key(), event.key.to_string());
    assert_eq!(content_hash(&read.event), content_hash(event));
}
