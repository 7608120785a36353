//! The customer's account: the rows of the members table, one for each coupon.

use jiff::Timestamp;
use webhooks::event::{Discount, Event, Fact, Redemption, escape, member_key};
use webhooks::expiry::Expiry;
use webhooks::ledger::{Change, ItemKey, Row};
use webhooks::row::{number, text};

/// The state of a coupon in its row. Events come in any order, so the later state in this list
/// wins.
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

/// The most bytes of a reward's description, and of its terms, in the account: more than a mail
/// shows. The row stays far below DynamoDB's 400 KB.
const TEXT_MAX_BYTES: usize = 40_000;

/// The longest name of a kind of discount.
const KIND_MAX_BYTES: usize = 4096;

/// The current time, and the end of a row's life.
pub(crate) struct Times {
    pub(crate) now: Timestamp,
    /// The values for a row of the event's coupon.
    pub(crate) forget_at: i64,
}

/// The changes that bring a coupon's row up to date with an event. The first change with a true
/// condition counts. Empty if the event changes nothing.
pub(crate) fn changes(table: &str, event: &Event, times: &Times) -> Vec<Change> {
    let Some(row) = row(table, event) else {
        return Vec::new();
    };
    match &event.fact {
        Fact::Redeemed(redemption) => redeemed(&row, event, redemption, times),
        Fact::Expiring(_) => moved(&row, event, times),
        fact => State::of(fact).map_or_else(Vec::new, |state| vec![ended(&row, state, times)]),
    }
}

/// Whether a later event may already have updated the row. `false` for a redemption, because no
/// other event holds its fields.
pub(crate) fn may_be_overtaken(fact: &Fact) -> bool {
    !matches!(fact, Fact::Redeemed(_))
}

/// The row is alive, or absent.
const IS_KNOWN: &str = "(attribute_not_exists(#ttl) OR #ttl > :now)";
const IS_FORGOTTEN: &str = "(attribute_not_exists(#ttl) OR #ttl <= :now)";

/// The row must live longer than it does now.
const LIVES_SHORTER: &str = "(attribute_not_exists(#ttl) OR (#ttl > :now AND #ttl < :ttl))";

fn row(table: &str, event: &Event) -> Option<Change> {
    let code = event.fact.coupon_code()?;
    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    let entry = format!("coupon#{}", escape(code));
    let row = Change::of(ItemKey::new(table, ("member", member), ("entry", entry)));
    Some(row.set("code", text(code)))
}

/// A state that came before the redemption stays, and so does a later statement of the expiry.
fn redeemed(row: &Change, event: &Event, redemption: &Redemption, times: &Times) -> Vec<Change> {
    let active = State::Active;
    let described = row.clone().set_all(described(event, redemption));
    let described = described
        .keep("state", text(active.name()))
        .keep("rank", number(active as i64));
    let own = Expiry::of(event).map(|it| it.statement());
    let expiry = expiry_of(redemption, own.as_deref());
    let (is_first, is_moved) = match &own {
        Some(_) => (
            "(attribute_not_exists(#moved) OR #moved <= :moved)",
            "#moved > :own",
        ),
        None => ("attribute_not_exists(#moved)", "attribute_exists(#moved)"),
    };
    let now = [("now", number(times.now.as_second()))];
    let beneath_a_notice = |lives: &str| {
        let mut values = now.to_vec();
        values.extend(own.as_deref().map(|own| ("own", text(own))));
        let condition = format!("{is_moved} AND {lives}");
        described.clone().only_if(condition, &values)
    };
    vec![
        described
            .clone()
            .set_all(expiry)
            .set("ttl", number(times.forget_at))
            .only_if(format!("{is_first} AND {IS_KNOWN}"), &now),
        beneath_a_notice(LIVES_SHORTER).set("ttl", number(times.forget_at)),
        beneath_a_notice(IS_KNOWN),
    ]
}

fn ended(row: &Change, state: State, times: &Times) -> Change {
    let later = format!("(attribute_not_exists(#rank) OR #rank < :rank) AND {IS_KNOWN}");
    row.clone()
        .set("state", text(state.name()))
        .set("rank", number(state as i64))
        .keep("ttl", number(times.forget_at))
        .only_if(later, &[("now", number(times.now.as_second()))])
}

/// A notice moves the expiry, unless the row has a later statement. A row of older code names no
/// statement, so it follows the redemption's.
fn moved(row: &Change, event: &Event, times: &Times) -> Vec<Change> {
    let Some(expiry) = Expiry::of(event) else {
        return Vec::new();
    };
    let is_newer = "(#moved < :moved OR (attribute_not_exists(#moved) AND \
                    (attribute_not_exists(#redeemed_at) OR #redeemed_at <= :reported_at)))";
    let moved = row.clone().set_all(moved_to(expiry));
    let values = [
        ("now", number(times.now.as_second())),
        ("reported_at", text(event.occurred_at.to_string())),
    ];
    vec![
        moved
            .clone()
            .set("ttl", number(times.forget_at))
            .only_if(format!("{is_newer} AND {LIVES_SHORTER}"), &values),
        moved.only_if(format!("{is_newer} AND {IS_KNOWN}"), &values),
    ]
}

fn moved_to(expiry: Expiry) -> Row {
    let mut row = Row::default();
    row.set("expires_at", Some(expiry.expires_at));
    row.set("moved", Some(expiry.statement()));
    row
}

/// The change that replaces a forgotten row by a new one; `None` if the event creates no row.
pub(crate) fn renewal(table: &str, event: &Event, times: &Times) -> Option<Change> {
    let change = row(table, event)?;
    let mut row = Row::default();
    if let Some(state) = State::of(&event.fact) {
        row.set("state", Some(state.name()));
        row.0.insert("rank".into(), number(state as i64));
    }
    let own = Expiry::of(event);
    match (&event.fact, own) {
        (Fact::Redeemed(redemption), _) => {
            row.0.extend(described(event, redemption).0);
            let own = own.map(|it| it.statement());
            row.0.extend(expiry_of(redemption, own.as_deref()).0);
        }
        (Fact::Expiring(_), Some(expiry)) => row.0.extend(moved_to(expiry).0),
        (Fact::Expiring(_) | Fact::Enrolled, _) => return None,
        _ => {}
    }
    row.0.insert("ttl".into(), number(times.forget_at));
    let absent = FIELDS.iter().filter(|name| !row.0.contains_key(**name));
    let absent: Vec<_> = absent.copied().collect();
    let change = change
        .set_all(row)
        .only_if(IS_FORGOTTEN, &[("now", number(times.now.as_second()))]);
    Some(absent.into_iter().fold(change, Change::remove))
}

/// All fields of a row, apart from the coupon's code.
const FIELDS: [&str; 15] = [
    "state",
    "rank",
    "moved",
    "reward_id",
    "reward",
    "description",
    "terms",
    "expires_at",
    "discount",
    "points_spent",
    "new_balance",
    "method",
    "redeemed_at",
    "event",
    "erased_at",
];

/// The fields that only a redemption holds, apart from the expiry.
fn described(event: &Event, redemption: &Redemption) -> Row {
    let reward = &redemption.reward;
    let mut row = Row::default();
    row.copy("reward_id", reward.id.as_ref());
    row.copy("reward", reward.name.as_ref());
    row.copy_within("description", reward.description.as_ref(), TEXT_MAX_BYTES);
    row.copy_within("terms", reward.terms.as_ref(), TEXT_MAX_BYTES);
    let discount = redemption.discount.as_ref();
    let is_short = |it: &&Discount| it.kind.text().len() <= KIND_MAX_BYTES;
    row.json("discount", discount.filter(is_short));
    let points = [
        ("points_spent", redemption.points_spent),
        ("new_balance", redemption.new_balance),
    ];
    for (name, points) in points {
        row.0.extend(points.map(|it| (name.to_owned(), number(it))));
    }
    row.copy("method", redemption.method.as_ref());
    row.set("redeemed_at", Some(event.occurred_at));
    row.set("event", Some(&event.key));
    row
}

/// The expiry that the redemption states, and the name of that statement.
fn expiry_of(redemption: &Redemption, own: Option<&str>) -> Row {
    let mut row = Row::default();
    row.set("expires_at", redemption.expires_at);
    row.set("moved", own);
    row
}
