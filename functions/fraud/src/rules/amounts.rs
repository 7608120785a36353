//! Rules about amounts of an order.
//!
//! Rules compare amounts as people pay them, to the cent. A smaller difference comes from the
//! till's floats.

use webhooks::event::Money;

use super::{Sight, redemption, usage};

/// The discount is greater than the order's value.
pub(super) fn excessive_discount(sight: &Sight<'_>) -> Option<String> {
    let usage = usage(sight.event)?;
    let (discount, value) = (
        usage.discount_applied.as_ref()?,
        usage.order_value.as_ref()?,
    );
    exceeds(discount, value).then(|| {
        format!(
            "a discount of {} on an order of {}",
            shown(discount),
            shown(value)
        )
    })
}

/// The discount is greater than the coupon's maximum.
pub(super) fn maximum_discount(sight: &Sight<'_>) -> Option<String> {
    let discount = usage(sight.event)?.discount_applied.as_ref()?;
    let maximum = redemption(sight)?.discount.as_ref()?.maximum.as_ref()?;
    exceeds(discount, maximum).then(|| {
        format!(
            "a discount of {}, where {} is the coupon's maximum",
            shown(discount),
            shown(maximum)
        )
    })
}

/// The order's value is below the coupon's minimum.
pub(super) fn minimum_purchase(sight: &Sight<'_>) -> Option<String> {
    let value = usage(sight.event)?.order_value.as_ref()?;
    let discount = redemption(sight)?.discount.as_ref()?;
    let minimum = discount.minimum_purchase.as_ref()?;
    exceeds(minimum, value).then(|| {
        format!(
            "an order of {}, where {} is the coupon's minimum",
            shown(value),
            shown(minimum)
        )
    })
}

/// The customer did not pay the order's value less the discount. Nobody gets money back: if the
/// discount exceeds the order's value, 0 is left to pay.
pub(super) fn final_value(sight: &Sight<'_>) -> Option<String> {
    let usage = usage(sight.event)?;
    let discount = usage.discount_applied.as_ref()?;
    let (value, paid) = (usage.order_value.as_ref()?, usage.final_value.as_ref()?);
    if discount.currency != value.currency || paid.currency != value.currency {
        return None;
    }
    // A till rounds either the rest or the discount.
    let left = Money::new(value.amount.checked_sub(discount.amount)?, &value.currency).as_paid();
    let other = value.as_paid().checked_sub(discount.as_paid())?;
    let [left, other] = [left, other].map(|it| it.max(0.into()));
    let is_right = [left, other].contains(&paid.as_paid());
    (!is_right).then(|| {
        format!(
            "{} was paid, where an order of {} with a discount of {} leaves {}",
            shown(paid),
            shown(value),
            shown(discount),
            shown(&Money::new(left, &value.currency))
        )
    })
}

/// Rules cannot compare amounts of two currencies.
fn exceeds(more: &Money, less: &Money) -> bool {
    more.currency == less.currency && more.as_paid() > less.as_paid()
}

fn shown(money: &Money) -> String {
    format!("{} {}", money.amount, money.currency)
}

#[cfg(test)]
mod tests {
    use webhooks::event::{Discount, DiscountKind, Event, Fact};
    use webhooks::fraud::Severity;

    use super::*;
    use crate::rules::EXCESSIVE_DISCOUNT;
    use crate::rules::tests::{check, redeemed, used};

    /// Amounts are `discount, order, paid`; an empty one is absent.
    fn paid(amounts: [&str; 3]) -> Event {
        let mut event = used("1", "2026-11-22T10:00:00Z");
        let [discount, order, paid] = amounts.map(money);
        if let Fact::Used(usage) = &mut event.fact {
            usage.discount_applied = discount;
            usage.order_value = order;
            usage.final_value = paid;
        }
        event
    }

    fn money(amount: &str) -> Option<Money> {
        let (amount, currency) = match amount.split_once(' ') {
            Some(both) => both,
            None => (amount, "BRL"),
        };
        (!amount.is_empty()).then(|| Money::new(amount.parse().unwrap(), currency))
    }

    fn good_for(maximum: &str, minimum: &str) -> Event {
        let mut event = redeemed("CP-1", "2026-11-01T10:00:00Z");
        if let Fact::Redeemed(redemption) = &mut event.fact {
            redemption.discount = Some(Discount {
                kind: DiscountKind::Percentage,
                value: None,
                maximum: money(maximum),
                minimum_purchase: money(minimum),
            });
        }
        event
    }

    #[test]
    fn a_discount_is_at_most_the_whole_order() {
        check(&[paid(["34.99", "35", ""])], &[]);
        check(&[paid(["35.00", "35", "0"])], &[]);
        let details = "a discount of 35.01 BRL on an order of 35 BRL";
        let expected = [(EXCESSIVE_DISCOUNT, Severity::Critical, details)];
        check(&[paid(["35.01", "35", ""])], &expected);
        // And nothing is left to pay.
        check(&[paid(["35.01", "35", "0"])], &expected);
        check(&[paid(["35.01 USD", "35", ""])], &[]);
        check(&[paid(["35.01", "", "1"])], &[]);
    }

    #[test]
    fn a_discount_is_at_most_what_the_coupon_is_good_for() {
        check(&[paid(["20", "100", "80"]), good_for("20.00", "")], &[]);
        check(
            &[paid(["20.01", "100", ""]), good_for("20.00", "")],
            &[(
                EXCESSIVE_DISCOUNT,
                Severity::Medium,
                "a discount of 20.01 BRL, where 20 BRL is the coupon's maximum",
            )],
        );
        check(&[paid(["20.01", "100", ""]), good_for("20 USD", "")], &[]);
    }

    #[test]
    fn an_order_is_at_least_what_the_coupon_asks_for() {
        check(&[paid(["1", "50", ""]), good_for("", "50.00")], &[]);
        check(
            &[paid(["1", "49.99", ""]), good_for("", "50.00")],
            &[(
                EXCESSIVE_DISCOUNT,
                Severity::Medium,
                "an order of 49.99 BRL, where 50 BRL is the coupon's minimum",
            )],
        );
    }

    #[test]
    fn what_is_paid_is_what_is_left_to_the_cent() {
        check(&[paid(["17.50", "50", "32.5"])], &[]);
        for amount in ["32.51", "32.49"] {
            let details = format!(
                "{amount} BRL was paid, where an order of 50 BRL with a discount of 17.5 BRL leaves 32.5 BRL"
            );
            let expected = [(EXCESSIVE_DISCOUNT, Severity::Medium, details.as_str())];
            check(&[paid(["17.50", "50", amount])], &expected);
        }
        check(&[paid(["17.50", "50", "1 USD"])], &[]);
    }
    #[test]
    fn what_is_below_a_cent_is_no_finding() {
        for amounts in [
            ["25.00", "24.999", ""],
            ["25.00", "24.999", "0"],
            ["25.00", "24.995", "0.00"],
            ["35.0000000001", "35", "0"],
            ["5.235", "29.67", "24.43"],
            ["5.235", "29.67", "24.44"],
            ["5.235", "29.67", "24.435"],
            ["5.235", "29.67", "24.434999999999999"],
            ["17.1", "85.5", "68.39999999999999"],
        ] {
            check(&[paid(amounts), good_for("", "")], &[]);
        }
        check(&[paid(["20.004", "100", ""]), good_for("20", "")], &[]);
        check(&[paid(["1", "49.999", ""]), good_for("", "50")], &[]);
        check(&[paid(["1", "50", ""]), good_for("", "50.0000001")], &[]);
    }

    #[test]
    fn a_cent_is_a_finding() {
        let found = |amounts, [maximum, minimum]: [&str; 2], severity, details| {
            let events = [paid(amounts), good_for(maximum, minimum)];
            check(&events, &[(EXCESSIVE_DISCOUNT, severity, details)]);
        };
        found(
            ["25.00", "24.994", ""],
            ["", ""],
            Severity::Critical,
            "a discount of 25 BRL on an order of 24.994 BRL",
        );
        found(
            ["20.005", "100", ""],
            ["20", ""],
            Severity::Medium,
            "a discount of 20.005 BRL, where 20 BRL is the coupon's maximum",
        );
        found(
            ["1", "49.994", ""],
            ["", "50"],
            Severity::Medium,
            "an order of 49.994 BRL, where 50 BRL is the coupon's minimum",
        );
        found(
            ["5.235", "29.67", "24.45"],
            ["", ""],
            Severity::Medium,
            "24.45 BRL was paid, where an order of 29.67 BRL with a discount of 5.235 BRL leaves 24.44 BRL",
        );
    }

    #[test]
    fn a_currency_has_a_minor_unit_of_its_own() {
        check(&[paid(["500 JPY", "499.6 JPY", "0 JPY"])], &[]);
        check(&[paid(["1.2345 KWD", "1.2349 KWD", ""])], &[]);
        let details = "a discount of 1.236 KWD on an order of 1.235 KWD";
        let expected = [(EXCESSIVE_DISCOUNT, Severity::Critical, details)];
        check(&[paid(["1.236 KWD", "1.235 KWD", ""])], &expected);
    }
}
