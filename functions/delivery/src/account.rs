//! The customer's account: the rows of the members table, one per coupon.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use webhooks::event::{Event, Fact, Redemption, escape, member_key};
use webhooks::ledger::Row;

/// What a coupon's row says of it. Events come in any order; of two states the later in this list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Active,
    Expired,
    Cancelled,
    Used,
}

impl State {
    fn of(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Redeemed(_) => Some(Self::Active),
            Fact::Expired(_) => Some(Self::Expired),
            Fact::Cancelled(_) => Some(Self::Cancelled),
            Fact::Used(_) => Some(Self::Used),
            Fact::Expiring(_) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Used => "used",
        }
    }
}

/// The write that brings a coupon's row up to what the event says; none where it changes nothing.
pub(crate) fn update(
    table: &str,
    event: &Event,
    forget_at: AttributeValue,
) -> anyhow::Result<Option<TransactWriteItem>> {
    let Some(state) = State::of(&event.fact) else {
        return Ok(None);
    };
    let mut row = Row::default();
    row.set("code", Some(event.fact.coupon_code()));
    let mut kept = Row::default();
    if let Fact::Redeemed(redemption) = &event.fact {
        describe(&mut row, redemption);
        row.set("redeemed_at", Some(event.occurred_at));
        row.set("event", Some(&event.key));
        row.0.insert("ttl".into(), forget_at);
        // Whatever became of the coupon before we heard of it stays.
        kept.set("state", Some(state.name()));
        kept.0.insert("rank".into(), rank(state));
    } else {
        row.set("state", Some(state.name()));
        row.0.insert("rank".into(), rank(state));
        kept.0.insert("ttl".into(), forget_at);
    }
    let set = |(name, _): (&String, _)| format!("#{name} = :{name}");
    let keep = |(name, _): (&String, _)| format!("#{name} = if_not_exists(#{name}, :{name})");
    let expressions: Vec<_> = row
        .0
        .iter()
        .map(set)
        .chain(kept.0.iter().map(keep))
        .collect();
    let mut values: HashMap<_, _> = row.0.into_iter().chain(kept.0).collect();
    let names = values.keys().map(|name| (format!("#{name}"), name.clone()));
    let names: HashMap<_, _> = names.collect();
    values = values
        .into_iter()
        .map(|(name, value)| (format!(":{name}"), value))
        .collect();

    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    let entry = format!("coupon#{}", escape(event.fact.coupon_code()));
    let mut update = Update::builder()
        .table_name(table)
        .key("member", AttributeValue::S(member))
        .key("entry", AttributeValue::S(entry))
        .update_expression(format!("SET {}", expressions.join(", ")))
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values));
    if state != State::Active {
        update = update.condition_expression("attribute_not_exists(#rank) OR #rank < :rank");
    }
    Ok(Some(
        TransactWriteItem::builder().update(update.build()?).build(),
    ))
}

fn describe(row: &mut Row, redemption: &Redemption) {
    row.set("reward_id", redemption.reward.id.as_ref());
    row.set("reward", redemption.reward.name.as_ref());
    row.set("description", redemption.reward.description.as_ref());
    row.set("terms", redemption.reward.terms.as_ref());
    row.set("expires_at", redemption.expires_at);
    row.json("discount", redemption.discount.as_ref());
}

fn rank(state: State) -> AttributeValue {
    AttributeValue::N((state as u8).to_string())
}
