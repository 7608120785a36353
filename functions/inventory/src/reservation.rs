//! A coupon's reservation: one row beside its events. It counts while it has a field `reserves`, by which an index finds
//! it, and until the coupon expires; so whatever ends it, nobody has to know what was reserved.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::DiscountKind;
use webhooks::ledger::{Change, ItemKey};
use webhooks::stock::{reserves, sortable};

/// Tells what the coupon is good for, unless it has come to its end already.
pub(crate) fn redeemed(
    row: ItemKey,
    kind: &DiscountKind,
    (now, forget_at): (Timestamp, AttributeValue),
) -> Change {
    Change::of(row)
        .set("kind", text(kind.text()))
        .set("ttl", forget_at)
        .remove("released")
        .remove("awaiting")
        .only_if(
            "attribute_not_exists(#released) OR #ttl <= :now",
            &[("now", second(now))],
        )
}

/// With that, keeps one of a product.
pub(crate) fn reserve(redeemed: Change, tenant: &str, product: &str, until: Timestamp) -> Change {
    redeemed
        .set("reserves", text(reserves(tenant, product)))
        .set("product", text(product))
        .set("quantity", AttributeValue::N("1".into()))
        .set("reserved_until", text(sortable(until)))
}

/// Ends it, whether or not there is one yet. One that is forgotten and not deleted yet is [renewed](release_anew).
pub(crate) fn release(row: ItemKey, (now, forget_at): (Timestamp, AttributeValue)) -> Change {
    Change::of(row)
        .keep("released", text(now.to_string()))
        .keep("ttl", forget_at)
        .remove("reserves")
        .only_if(IS_KNOWN, &[("now", second(now))])
}

/// It is none that is forgotten and not deleted yet.
const IS_KNOWN: &str = "attribute_not_exists(#ttl) OR #ttl > :now";

/// Ends the coupon's reservation in place of a forgotten one, of which nothing stays. `waits` is a use of which only the
/// redemption can tell what it takes.
pub(crate) fn release_anew(
    row: ItemKey,
    (now, forget_at): (Timestamp, AttributeValue),
    waits: bool,
) -> Change {
    let change = Change::of(row)
        .set("released", text(now.to_string()))
        .set("ttl", forget_at)
        .only_if(
            "attribute_not_exists(#ttl) OR #ttl <= :now",
            &[("now", second(now))],
        );
    let of_former = ["reserves", "kind", "product", "quantity", "reserved_until"];
    let change = of_former.into_iter().fold(change, Change::remove);
    match waits {
        true => change.set("awaiting", AttributeValue::N("1".into())),
        false => change.remove("awaiting"),
    }
}

/// Ends it for a use of which only the redemption can tell what it takes: unless that has come, it is awaited.
pub(crate) fn release_and_wait(row: ItemKey, now: (Timestamp, AttributeValue)) -> Change {
    let is_awaited = format!("attribute_not_exists(#kind) AND ({IS_KNOWN})");
    let values = [("now", second(now.0))];
    release(row, now)
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
