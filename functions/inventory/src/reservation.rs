//! A coupon's reservation: one row among its events. The reservation counts until the coupon
//! expires, while it has the field `reserves`, by which an index finds it. So an event can end the
//! reservation without knowing its product.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::DiscountKind;
use webhooks::expiry::Expiry;
use webhooks::ledger::{Change, ItemKey};
use webhooks::row::text;
use webhooks::stock::{readable, reserves, sortable};

/// The current time, and the time at which a row expires.
pub(crate) struct Times {
    pub(crate) now: Timestamp,
    pub(crate) forget_at: AttributeValue,
}

/// Records the coupon's type of discount, unless the coupon has ended or a notice has moved its
/// expiry. `seen` is the notice's statement, if the row has one.
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

/// Adds to such a change that one of a product is reserved.
pub(crate) fn reserve(redeemed: Change, tenant: &str, product: &str, until: Timestamp) -> Change {
    redeemed
        .set("reserves", text(reserves(tenant, product)))
        .set("product", text(readable(product)))
        .set("quantity", AttributeValue::N("1".into()))
        .set("reserved_until", text(sortable(until)))
}

/// Moves the end of the reservation to a notice's date, unless the row has a later statement. A
/// forgotten row that still exists needs [`put_off_anew`].
pub(crate) fn put_off(row: ItemKey, expiry: Expiry, times: Times) -> Change {
    let is_newer = format!("(attribute_not_exists(#moved) OR #moved < :moved) AND ({IS_KNOWN})");
    moved(row, expiry, times.forget_at).only_if(is_newer, &[("now", second(times.now))])
}

/// Like [`put_off`], but replaces a forgotten row and removes its old fields.
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

/// The row is alive, or absent.
const IS_KNOWN: &str = "attribute_not_exists(#ttl) OR #ttl > :now";
const IS_FORGOTTEN: &str = "attribute_not_exists(#ttl) OR #ttl <= :now";

/// Ends the reservation, even if the row does not exist. A forgotten row that still exists needs
/// [`release_anew`].
pub(crate) fn release(row: ItemKey, times: Times) -> Change {
    Change::of(row)
        .keep("released", text(times.now.to_string()))
        .keep("ttl", times.forget_at)
        .remove("reserves")
        .only_if(IS_KNOWN, &[("now", second(times.now))])
}

/// Ends the reservation in place of a forgotten row, and removes the old fields. `waits` says
/// whether the use needs the redemption to know what it takes.
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

/// Ends the reservation for a use that needs the redemption to know what it takes. The use waits
/// unless the redemption has come.
pub(crate) fn release_and_wait(row: ItemKey, times: Times) -> Change {
    let is_awaited = format!("attribute_not_exists(#kind) AND ({IS_KNOWN})");
    let values = [("now", second(times.now))];
    release(row, times)
        .add("awaiting", 1.into())
        .only_if(is_awaited, &values)
}

/// Records the coupon's type of discount for later events, although the coupon has ended.
/// `awaiting` is the number of uses that wait for it; if another one comes meanwhile, DynamoDB
/// refuses the change.
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

fn second(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_second().to_string())
}
