//! A coupon's reservation: one row beside its events. It counts while it has a field `reserves`, by which an index finds
//! it, and until the coupon expires; so whatever ends it, nobody has to know what was reserved.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::DiscountKind;
use webhooks::expiry::Expiry;
use webhooks::ledger::{Change, ItemKey};
use webhooks::stock::{readable, reserves, sortable};

/// Now, and when a row is forgotten.
pub(crate) struct Times {
    pub(crate) now: Timestamp,
    pub(crate) forget_at: AttributeValue,
}

/// Tells what the coupon is good for, unless it has come to its end already or a notice has moved that. `seen` is the
/// notice's statement, where that is known.
pub(crate) fn redeemed(
    row: ItemKey,
    kind: &DiscountKind,
    own: Option<Expiry>,
    seen: Option<AttributeValue>,
    times: Times,
) -> Change {
    let change = Change::of(row)
        .set("kind", text(kind.text()))
        .set("ttl", times.forget_at)
        .remove("awaiting");
    if let Some(seen) = seen {
        return change.only_if(
            "attribute_not_exists(#released) AND #moved = :seen",
            &[("seen", seen)],
        );
    }
    let change = match own {
        Some(own) => change.set("moved", text(own.statement())),
        None => change.remove("moved"),
    };
    change.remove("released").only_if(
        "(attribute_not_exists(#released) AND attribute_not_exists(#moved)) OR #ttl <= :now",
        &[("now", second(times.now))],
    )
}

/// With that, keeps one of a product.
pub(crate) fn reserve(redeemed: Change, tenant: &str, product: &str, until: Timestamp) -> Change {
    redeemed
        .set("reserves", text(reserves(tenant, product)))
        .set("product", text(readable(product)))
        .set("quantity", AttributeValue::N("1".into()))
        .set("reserved_until", text(sortable(until)))
}

/// Keeps what is reserved, or will be, until the time that a notice names, unless a later statement is known. What is
/// forgotten and not deleted yet is [put off anew](put_off_anew).
pub(crate) fn put_off(row: ItemKey, expiry: Expiry, times: Times) -> Change {
    let is_newer = format!("(attribute_not_exists(#moved) OR #moved < :moved) AND ({IS_KNOWN})");
    moved(row, expiry, times.forget_at).only_if(is_newer, &[("now", second(times.now))])
}

/// The same in place of a forgotten one, of which nothing stays.
pub(crate) fn put_off_anew(row: ItemKey, expiry: Expiry, times: Times) -> Change {
    let change = moved(row, expiry, times.forget_at)
        .remove("released")
        .remove("awaiting")
        .only_if(IS_FORGOTTEN, &[("now", second(times.now))]);
    let of_former = ["reserves", "kind", "product", "quantity"];
    of_former.into_iter().fold(change, Change::remove)
}

fn moved(row: ItemKey, expiry: Expiry, forget_at: AttributeValue) -> Change {
    Change::of(row)
        .set("moved", text(expiry.statement()))
        .set("reserved_until", text(sortable(expiry.expires_at)))
        .set("ttl", forget_at)
}

/// It is none that is forgotten and not deleted yet; and it is one, or there is none.
const IS_KNOWN: &str = "attribute_not_exists(#ttl) OR #ttl > :now";
const IS_FORGOTTEN: &str = "attribute_not_exists(#ttl) OR #ttl <= :now";

/// Ends it, whether or not there is one yet. One that is forgotten and not deleted yet is [renewed](release_anew).
pub(crate) fn release(row: ItemKey, times: Times) -> Change {
    Change::of(row)
        .keep("released", text(times.now.to_string()))
        .keep("ttl", times.forget_at)
        .remove("reserves")
        .only_if(IS_KNOWN, &[("now", second(times.now))])
}

/// Ends the coupon's reservation in place of a forgotten one, of which nothing stays. `waits` is a use of which only the
/// redemption can tell what it takes.
pub(crate) fn release_anew(row: ItemKey, times: Times, waits: bool) -> Change {
    let change = Change::of(row)
        .set("released", text(times.now.to_string()))
        .set("ttl", times.forget_at)
        .only_if(IS_FORGOTTEN, &[("now", second(times.now))]);
    let of_former = [
        "reserves",
        "kind",
        "product",
        "quantity",
        "reserved_until",
        "moved",
    ];
    let change = of_former.into_iter().fold(change, Change::remove);
    match waits {
        true => change.set("awaiting", AttributeValue::N("1".into())),
        false => change.remove("awaiting"),
    }
}

/// Ends it for a use of which only the redemption can tell what it takes: unless that has come, it is awaited.
pub(crate) fn release_and_wait(row: ItemKey, times: Times) -> Change {
    let is_awaited = format!("attribute_not_exists(#kind) AND ({IS_KNOWN})");
    let values = [("now", second(times.now))];
    release(row, times)
        .add("awaiting", 1.into())
        .only_if(is_awaited, &values)
}

/// Tells those who come later what the coupon is good for, though it has come to its end. `awaiting` is how many uses
/// wait for that: one more meanwhile is one too many.
pub(crate) fn reserve_too_late(
    row: ItemKey,
    kind: &DiscountKind,
    awaiting: Option<AttributeValue>,
    forget_at: AttributeValue,
) -> Change {
    let change = Change::of(row)
        .set("kind", text(kind.text()))
        .set("ttl", forget_at)
        .remove("awaiting");
    match awaiting {
        Some(awaiting) => change.only_if(
            "attribute_exists(#released) AND #awaiting = :seen",
            &[("seen", awaiting)],
        ),
        None => change.only_if(
            "attribute_exists(#released) AND attribute_not_exists(#awaiting)",
            &[],
        ),
    }
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn second(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_second().to_string())
}
