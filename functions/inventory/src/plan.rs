//! The plan for an event: its effect on the stock, by its own body.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;
use webhooks::event::{AffectedItem, DiscountKind, Event, Fact, Redemption, Usage};
use webhooks::expiry::Expiry;
use webhooks::stock::{identity, is_product, readable};

/// The largest quantity of one item, and the most decimals, so that sums stay exact.
const QUANTITY_MAX: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);
const DECIMALS_MAX: u32 = 9;

/// The most by which rounding separates a price and its discount, and the price from which that is
/// little.
const CENT: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
const TEN_CENTS: Decimal = Decimal::from_parts(10, 0, 0, false, 2);

/// How many of the remaining items a record lists.
const LEFT_LISTED_MAX: usize = 20;

/// What an event does to the stock.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan<'a> {
    /// Nothing, for this reason.
    Nothing(&'static str),
    Reserve(Reserve<'a>),
    /// Takes the used products, and ends the reservation.
    Use(&'a Usage),
    /// Ends the reservation.
    Release,
    /// Moves the reservation's end.
    Move(Expiry),
}

/// Reserves one of a reward's product for the coupon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reserve<'a> {
    /// The reward's name, or why no product can have that name. The discount still says what a use
    /// takes.
    pub(crate) reward: Result<&'a str, &'static str>,
    pub(crate) kind: &'a DiscountKind,
    pub(crate) until: Timestamp,
}

impl<'a> Plan<'a> {
    pub(crate) fn of(event: &'a Event) -> Self {
        if event.sandbox {
            return Self::Nothing("a sandbox or test event: the stock stays as it is");
        }
        match &event.fact {
            Fact::Redeemed(redemption) => reserve(redemption),
            Fact::Used(usage) => Self::Use(usage),
            Fact::Cancelled(_) | Fact::Expired(_) => Self::Release,
            Fact::Expiring(_) => match Expiry::of(event) {
                Some(expiry) => Self::Move(expiry),
                None => Self::Nothing("it does not say when the coupon expires"),
            },
            Fact::Enrolled => Self::Nothing("it names no coupon"),
        }
    }
}

fn reserve(redemption: &Redemption) -> Plan<'_> {
    let discount = redemption.discount.as_ref().map(|it| &it.kind);
    let Some(kind @ (DiscountKind::ProductFree | DiscountKind::BuyOneGetOne)) = discount else {
        return Plan::Nothing("its discount is not about a product");
    };
    let reward = match redemption.reward.name.as_deref() {
        Some(reward) if is_product(reward) => Ok(reward),
        Some(reward) if !identity(reward).is_empty() => {
            Err("the reward's name is too long for a product's")
        }
        _ => Err("the reward has no name"),
    };
    Plan::Reserve(Reserve {
        reward,
        kind,
        until: redemption.expires_at.unwrap_or(Timestamp::MAX),
    })
}

/// The products that a use takes from the stock, and why the other items stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Takes {
    /// By the identity of the product's name.
    pub(crate) taken: BTreeMap<String, Sold>,
    pub(crate) left: Vec<Left>,
    /// How many items stay, including unlisted ones.
    pub(crate) left_count: usize,
}

/// A quantity of a product.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sold {
    /// The name as people read it.
    pub(crate) name: String,
    pub(crate) quantity: Decimal,
}

/// An item that stays in the stock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Left {
    /// Its number in the order, from 1.
    pub(crate) item: usize,
    pub(crate) why: &'static str,
}

impl Takes {
    /// What these items take; the caller gives the products of their names.
    pub(crate) fn of(
        items: &[AffectedItem],
        kind: &DiscountKind,
        product: impl Fn(&str) -> String,
    ) -> Self {
        let mut takes = Self::default();
        for (index, item) in items.iter().enumerate() {
            match taken(item, kind) {
                Ok((name, quantity)) => {
                    let name = product(name);
                    let sold = takes.taken.entry(identity(&name)).or_insert_with(|| Sold {
                        name: readable(&name),
                        quantity: Decimal::ZERO,
                    });
                    sold.quantity = (sold.quantity + quantity).normalize();
                }
                Err(why) => {
                    takes.left_count += 1;
                    let item = index + 1;
                    takes.left.push(Left { item, why });
                    takes.left.truncate(LEFT_LISTED_MAX);
                }
            }
        }
        takes
    }
}

/// The names of the items that a use takes.
pub(crate) fn names<'a>(usage: &'a Usage, kind: &DiscountKind) -> Vec<&'a str> {
    let taken = usage.items.iter().filter_map(|item| taken(item, kind).ok());
    taken.map(|(name, _)| name).collect()
}

/// The product and the quantity that an item takes.
fn taken<'a>(
    item: &'a AffectedItem,
    kind: &DiscountKind,
) -> Result<(&'a str, Decimal), &'static str> {
    match kind {
        DiscountKind::ProductFree if is_wholly_free(item) => {}
        DiscountKind::ProductFree => return Err("it was not wholly free"),
        DiscountKind::BuyOneGetOne => {}
        _ => return Err("the discount is not about a product"),
    }
    let name = item.name.as_deref().filter(|it| !identity(it).is_empty());
    let name = name.ok_or("it has no name")?;
    if !is_product(name) {
        return Err("its name is too long for a product's");
    }
    let quantity = item.quantity.unwrap_or(Decimal::ONE).normalize();
    if quantity <= Decimal::ZERO {
        return Err("its quantity is not above 0");
    }
    if quantity > QUANTITY_MAX || quantity.scale() > DECIMALS_MAX {
        return Err("its quantity is too large or has too many decimals");
    }
    Ok((name, quantity))
}

/// Whether the discount equals the price of one unit, or of the whole line. A till may round either
/// by a cent.
fn is_wholly_free(item: &AffectedItem) -> bool {
    let (Some(price), Some(discount)) = (&item.unit_price, &item.discount_applied) else {
        return false;
    };
    if price.currency != discount.currency {
        return false;
    }
    let quantity = item.quantity.unwrap_or(Decimal::ONE);
    let of_line = price.amount.checked_mul(quantity);
    let mut prices = [Some(price.amount), of_line].into_iter().flatten();
    prices.any(|price| is_same_amount(price, discount.amount))
}

/// Whether two amounts are equal in cents, or one cent apart if a cent is little.
fn is_same_amount(price: Decimal, discount: Decimal) -> bool {
    let cents =
        |amount: Decimal| amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    let (price, discount) = (cents(price), cents(discount));
    let apart = price.checked_sub(discount).map(|it| it.abs());
    apart.is_some_and(|apart| apart.is_zero() || (apart <= CENT && price >= TEN_CENTS))
}

#[cfg(test)]
mod tests {
    use webhooks::event::{KEY_PART_MAX_BYTES, Money};

    use super::*;

    fn item(name: &str, quantity: &str, price: &str, discount: &str) -> AffectedItem {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let number = |text: &str| some(text).map(|it| it.parse::<Decimal>().unwrap());
        let money = |text: &str| number(text).map(|amount| Money::new(amount, "BRL"));
        AffectedItem {
            name: some(name),
            quantity: number(quantity),
            unit_price: money(price),
            discount_applied: money(discount),
        }
    }

    fn takes(items: &[AffectedItem], kind: &DiscountKind) -> Takes {
        Takes::of(items, kind, str::to_owned)
    }

    #[track_caller]
    fn check(kind: &str, items: Vec<AffectedItem>, taken: &[(&str, &str)], left: &[(usize, &str)]) {
        let takes = takes(&items, &DiscountKind::from(kind.to_owned()));
        let found: Vec<_> = takes
            .taken
            .values()
            .map(|sold| (sold.name.as_str(), sold.quantity.to_string()))
            .collect();
        let taken: Vec<_> = taken
            .iter()
            .map(|(name, quantity)| (*name, (*quantity).to_owned()))
            .collect();
        assert_eq!(found, taken);
        let listed: Vec<_> = takes
            .left
            .iter()
            .map(|left| (left.item, left.why))
            .collect();
        assert_eq!(listed, left);
    }

    #[test]
    fn of_a_free_product_only_wholly_free_items_are_taken() {
        let items = vec![
            item("Pizza", "1", "35", "35.00"),
            item("Suco", "2", "8", "4"),
            item("Sorvete", "3", "9.5", "9.5"),
            item("Bala", "1", "", "1"),
            item("Água", "1", "3", ""),
        ];
        let free = "it was not wholly free";
        check(
            "product_free",
            items,
            &[("Pizza", "1"), ("Sorvete", "3")],
            &[(2, free), (4, free), (5, free)],
        );
    }

    /// Some tills state the discount of a unit and others that of the line, and both round.
    #[test]
    fn the_whole_price_may_be_off_a_unit_or_a_line() {
        let check = |quantity: &str, price: &str, discount: &str, is_free: bool| {
            let items = [item("Pizza", quantity, price, discount)];
            let takes = takes(&items, &DiscountKind::ProductFree);
            let line = format!("{quantity} x {price}, less {discount}");
            assert_eq!(takes.taken.len() == 1, is_free, "{line}");
        };
        check("2", "35.00", "70.00", true);
        check("2", "35.00", "35.00", true);
        check("2", "35.00", "52.50", false);
        check("2", "35.00", "105.00", false);
        check("0.5", "35", "17.5", true);
        check("", "35", "35", true);
        check("3", "11.67", "35.00", true);
        check("3", "11.67", "35.02", true);
        check("3", "11.67", "34.99", false);
        check("1", "35.00", "34.99", true);
        check("1", "35.00", "35.01", true);
        check("1", "35.00", "34.98", false);
        check("1", "24.999", "25", true);
        check("0.333", "30", "9.99", true);
        // A cent is half of the price.
        check("1", "0.02", "0.01", false);
        check("100", "0.02", "0.01", false);
        check("100", "0.02", "2.00", true);
        check("1", "0", "0", true);
        check("1", "0.01", "0", false);
        // Beyond numbers that allow multiplication.
        check("1000000000", "79228162514264337593543950335", "1", false);
    }

    #[test]
    fn amounts_of_two_currencies_are_not_the_same() {
        let mut item = item("Pizza", "1", "35", "35");
        item.unit_price = Some(Money::new(35.into(), "USD"));
        let takes = takes(&[item], &DiscountKind::ProductFree);
        assert_eq!(takes.left[0].why, "it was not wholly free");
    }

    #[test]
    fn two_for_one_takes_the_paid_and_the_free_one() {
        let items = vec![
            item("Pizza", "1", "35", "0"),
            item("Pizza", "1", "35", "35"),
            item("Suco", "0.5", "", ""),
        ];
        check(
            "buy_one_get_one",
            items,
            &[("Pizza", "2"), ("Suco", "0.5")],
            &[],
        );
    }

    #[test]
    fn other_discounts_take_nothing() {
        for kind in ["percentage", "fixed_amount", "mystery"] {
            let why = "the discount is not about a product";
            check(kind, vec![item("Pizza", "1", "35", "35")], &[], &[(1, why)]);
        }
    }

    #[test]
    fn an_item_without_a_valid_quantity_or_name_is_left() {
        let long = "x".repeat(KEY_PART_MAX_BYTES + 1);
        let items = vec![
            item("\u{A0}\u{200B}", "1", "", ""),
            item("Pizza", "", "", ""),
            item("Pizza", "0", "", ""),
            item("Pizza", "-1", "", ""),
            item("Pizza", "1000000001", "", ""),
            item("Pizza", "0.0000000001", "", ""),
            item("Pizza", "1.500000000000", "", ""),
            item(&long, "1", "", ""),
        ];
        let none = "its quantity is too large or has too many decimals";
        let not_above = "its quantity is not above 0";
        check(
            "buy_one_get_one",
            items,
            &[("Pizza", "2.5")],
            &[
                (1, "it has no name"),
                (3, not_above),
                (4, not_above),
                (5, none),
                (6, none),
                (8, "its name is too long for a product's"),
            ],
        );
    }

    #[test]
    fn a_product_that_is_typed_in_many_ways_is_one() {
        let items = vec![
            item("Pizza Média", "1", "", ""),
            item("PIZZA  ME\u{301}DIA", "2", "", ""),
            item("\u{FEFF}pizza\u{A0}média\n", "0.5", "", ""),
        ];
        check("buy_one_get_one", items, &[("Pizza Média", "3.5")], &[]);
    }

    #[test]
    fn of_many_left_items_some_are_listed() {
        let items = vec![item("Suco", "1", "8", "4"); 100];
        let takes = takes(&items, &DiscountKind::ProductFree);
        assert_eq!((takes.left.len(), takes.left_count), (LEFT_LISTED_MAX, 100));
    }
}
