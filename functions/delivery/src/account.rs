//! The customer's account: the rows of the members table, one per coupon.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::{Discount, Event, Fact, Redemption, escape, member_key};
use webhooks::ledger::{Change, ItemKey, Row};

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
            Fact::Expiring(_) | Fact::Enrolled => None,
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

/// The most that the account shows of a reward's description, and of its terms: more than a mail does. The row stays far
/// below DynamoDB's 400 KB.
const TEXT_MAX_BYTES: usize = 40_000;

/// The longest name of a kind of discount.
const KIND_MAX_BYTES: usize = 4096;

/// The change that brings a coupon's row up to what the event says; none where it changes nothing.
pub(crate) fn update(
    table: &str,
    event: &Event,
    forget_at: AttributeValue,
    now: Timestamp,
) -> Option<Change> {
    let (state, code) = (State::of(&event.fact)?, event.fact.coupon_code()?);
    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    let entry = format!("coupon#{}", escape(code));
    let change = Change::of(ItemKey::new(table, ("member", member), ("entry", entry)));
    let name = AttributeValue::S(state.name().to_owned());
    let rank = AttributeValue::N((state as u8).to_string());
    let mut row = Row::default();
    row.set("code", Some(code));
    if let Fact::Redeemed(redemption) = &event.fact {
        describe(&mut row, redemption);
        row.set("redeemed_at", Some(event.occurred_at));
        row.set("event", Some(&event.key));
        let change = change.set_all(row).set("ttl", forget_at);
        // Whatever became of the coupon before we heard of it stays.
        let change = change.keep("state", name).keep("rank", rank);
        return Some(change.only_if(IS_KNOWN, &[("now", second(now))]));
    }
    let change = change.set_all(row).set("state", name).set("rank", rank);
    let later = format!("(attribute_not_exists(#rank) OR #rank < :rank) AND ({IS_KNOWN})");
    let change = change.keep("ttl", forget_at);
    Some(change.only_if(later, &[("now", second(now))]))
}

/// It is none that is forgotten and not deleted yet.
const IS_KNOWN: &str = "attribute_not_exists(#ttl) OR #ttl > :now";

/// The change that shows a coupon in place of a forgotten one, of which nothing stays; none where the event shows none.
pub(crate) fn renewal(
    table: &str,
    event: &Event,
    forget_at: AttributeValue,
    now: Timestamp,
) -> Option<Change> {
    let (state, code) = (State::of(&event.fact)?, event.fact.coupon_code()?);
    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    let entry = format!("coupon#{}", escape(code));
    let change = Change::of(ItemKey::new(table, ("member", member), ("entry", entry)));
    let mut row = Row::default();
    row.set("code", Some(code));
    row.set("state", Some(state.name()));
    if let Fact::Redeemed(redemption) = &event.fact {
        describe(&mut row, redemption);
        row.set("redeemed_at", Some(event.occurred_at));
        row.set("event", Some(&event.key));
    }
    let rank = AttributeValue::N((state as u8).to_string());
    row.0
        .extend([("rank".to_owned(), rank), ("ttl".to_owned(), forget_at)]);
    let absent = DESCRIBED.iter().filter(|name| !row.0.contains_key(**name));
    let absent: Vec<_> = absent.copied().collect();
    let change = change
        .set_all(row)
        .only_if("#ttl <= :now", &[("now", second(now))]);
    Some(absent.into_iter().fold(change, Change::remove))
}

/// What only a redemption says of its coupon.
const DESCRIBED: [&str; 8] = [
    "reward_id",
    "reward",
    "description",
    "terms",
    "expires_at",
    "discount",
    "redeemed_at",
    "event",
];

fn second(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_second().to_string())
}

fn describe(row: &mut Row, redemption: &Redemption) {
    let reward = &redemption.reward;
    row.copy("reward_id", reward.id.as_ref());
    row.copy("reward", reward.name.as_ref());
    row.copy_within("description", reward.description.as_ref(), TEXT_MAX_BYTES);
    row.copy_within("terms", reward.terms.as_ref(), TEXT_MAX_BYTES);
    row.set("expires_at", redemption.expires_at);
    let discount = redemption.discount.as_ref();
    let is_short = |it: &&Discount| it.kind.text().len() <= KIND_MAX_BYTES;
    row.json("discount", discount.filter(is_short));
}
