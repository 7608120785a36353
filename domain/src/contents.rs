//! Compares what events say, field by field, to find whether two bodies under one key contradict
//! each other (ADR 13).
//!
//! A field counts if a task acts on it, or if it charges or credits somebody. A field that only
//! describes does not count, because a provider renders a retried webhook anew from its current
//! data. All spellings of a product's name are one product, so they do not contradict each other.
//! The code names every field, so a new field does not compile until somebody decides.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::event::{
    AffectedItem, Discount, Event, Fact, Item, Member, Money, Notice, Redemption, Reward, Usage,
};
use crate::product_name::identity;

/// A hash of an event's contents. Two webhooks of one event have the same hash unless they
/// contradict each other.
pub fn content_hash(event: &Event) -> String {
    #[derive(Serialize)]
    struct Contents<'a> {
        sandbox: bool,
        member: &'a str,
        fact: Value,
    }
    let contents = Contents {
        sandbox: event.sandbox,
        member: &event.member.id,
        fact: fact(event),
    };
    let contents = serde_json::to_vec(&contents).expect("an event holds nothing that JSON cannot");
    hex::encode(Sha256::digest(contents))
}

fn fact(event: &Event) -> Value {
    match &event.fact {
        Fact::Redeemed(it) => json!({"redeemed": redemption(it)}),
        Fact::Used(it) => json!({"used": usage(it)}),
        Fact::Cancelled(it) => json!({"cancelled": notice(it)}),
        Fact::Expiring(it) => json!({"expiring": notice(it)}),
        Fact::Expired(it) => json!({"expired": notice(it)}),
        Fact::Enrolled => json!({"enrolled": contact(&event.member)}),
    }
}

/// The contact is the contents of an enrolment. For every other event, the contact only describes
/// the member.
fn contact(member: &Member) -> Value {
    let Member {
        id: _,
        name,
        email,
        phone,
        tier: _,
    } = member;
    json!([name, email, phone])
}

fn redemption(redemption: &Redemption) -> Value {
    let Redemption {
        coupon_code,
        reward,
        points_spent,
        new_balance: _,
        expires_at,
        method: _,
        discount,
    } = redemption;
    let Reward {
        id,
        name,
        description: _,
        terms: _,
        items,
    } = reward;
    // The stock follows the reward's name; for items, the SKUs count.
    let name = name.as_deref().filter(|_| items.is_empty()).map(identity);
    let items: Vec<_> = items.iter().map(item).collect();
    json!({
        "coupon_code": coupon_code,
        "reward": [id, name],
        "items": items,
        "points_spent": points_spent,
        "expires_at": expires_at,
        "discount": discount.as_ref().map(self::discount),
    })
}

fn item(item: &Item) -> Value {
    let Item {
        id,
        name: _,
        description: _,
        sku,
        quantity,
        kind,
        price,
        price_minor: _,
        nested,
        fallback,
    } = item;
    let nested: Vec<_> = nested.iter().map(self::item).collect();
    let fallback = fallback.as_deref().map(self::item);
    json!([
        id,
        sku,
        quantity,
        kind,
        money(price.as_ref()),
        nested,
        fallback
    ])
}

fn discount(discount: &Discount) -> Value {
    let Discount {
        kind,
        value,
        maximum,
        minimum_purchase,
    } = discount;
    json!([
        kind.text(),
        number(value.as_ref()),
        money(maximum.as_ref()),
        money(minimum_purchase.as_ref())
    ])
}

fn usage(usage: &Usage) -> Value {
    let Usage {
        coupon_code,
        reward_name: _,
        discount_kind,
        discount_applied,
        order_value,
        final_value,
        location: _,
        staff_member: _,
        platform: _,
        order_id,
        items,
    } = usage;
    let items: Vec<_> = items.iter().map(affected).collect();
    json!({
        "coupon_code": coupon_code,
        "discount_kind": discount_kind.as_ref().map(|it| it.text()),
        "discount_applied": money(discount_applied.as_ref()),
        "order_value": money(order_value.as_ref()),
        "final_value": money(final_value.as_ref()),
        "order_id": order_id,
        "items": items,
    })
}

fn affected(item: &AffectedItem) -> Value {
    let AffectedItem {
        name,
        quantity,
        unit_price,
        discount_applied,
    } = item;
    json!([
        name.as_deref().map(identity),
        number(quantity.as_ref()),
        money(unit_price.as_ref()),
        money(discount_applied.as_ref())
    ])
}

fn notice(notice: &Notice) -> Value {
    let Notice {
        coupon_code,
        reward_name: _,
        expires_at,
    } = notice;
    json!([coupon_code, expires_at])
}

fn money(money: Option<&Money>) -> Value {
    let money = money.map(|Money { amount, currency }| (number(Some(amount)), currency));
    json!(money)
}

/// 35 and 35.00 are the same number.
fn number(number: Option<&Decimal>) -> Value {
    json!(number.map(|it| it.normalize().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(reward: &str, item: &str) -> String {
        let redemption = Redemption {
            coupon_code: "CP-1".into(),
            reward: Reward {
                name: Some(reward.into()),
                ..Reward::default()
            },
            ..Redemption::default()
        };
        let usage = Usage {
            coupon_code: "CP-1".into(),
            items: vec![AffectedItem {
                name: Some(item.into()),
                quantity: None,
                unit_price: None,
                discount_applied: None,
            }],
            ..Usage::default()
        };
        json!([super::redemption(&redemption), super::usage(&usage)]).to_string()
    }

    #[test]
    fn another_spelling_of_a_product_is_no_contradiction() {
        let first = hash("Pizza Média", "Pão de Queijo");
        for (reward, item) in [
            ("Pizza Me\u{301}dia", "Pa\u{303}o de Queijo"),
            ("PIZZA MÉDIA", "pão de queijo"),
            ("Pizza\u{a0}Média", "Pão  de Queijo"),
        ] {
            assert_eq!(hash(reward, item), first, "{reward:?} {item:?}");
        }
        assert_ne!(hash("Pizza Media", "Pão de Queijo"), first);
        assert_ne!(hash("Pizza Média", "Pao de Queijo"), first);
    }
}
