//! Sums, averages and changes, as reports show them. None overflows, and none is infinite or not a
//! number.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Serialize, Serializer};

/// An exact amount with at least two decimals: `35.00`, `0.125`.
pub fn amount(value: Decimal) -> String {
    let mut value = value.normalize();
    if value.scale() < 2 {
        value.rescale(2);
    }
    value.to_string()
}

/// A sum that stops at the greatest number and never panics.
pub fn sum(a: Decimal, b: Decimal) -> Decimal {
    a.checked_add(b).unwrap_or(match a.is_sign_negative() {
        true => Decimal::MIN,
        false => Decimal::MAX,
    })
}

/// The average, rounded to two decimals, half away from zero; `None` for a count of 0.
pub fn average(total: Decimal, count: u64) -> Option<String> {
    let average = total.checked_div(Decimal::from(count))?;
    Some(amount(rounded(average)))
}

/// The part's share of the whole, in percent with two decimals; 0 if the whole is 0.
pub fn percent(part: Decimal, whole: Decimal) -> f64 {
    if whole.is_zero() {
        return 0.0;
    }
    let exact = part
        .checked_div(whole)
        .and_then(|it| it.checked_mul(Decimal::ONE_HUNDRED));
    match exact {
        Some(exact) => rounded(exact).to_f64().unwrap_or(0.0),
        // Both are finite, and the smallest whole is 1e-28.
        None => part.to_f64().unwrap_or(0.0) / whole.to_f64().unwrap_or(1.0) * 100.0,
    }
}

/// A number with one decimal, for hours that people read.
pub fn hours(seconds: f64) -> f64 {
    (seconds / 360.0).round() / 10.0
}

fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// A figure, and its change against the other period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed<T> {
    pub value: T,
    /// `null` if the report compares nothing.
    pub previous: Option<T>,
    pub change_percent: Change,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// The report compares nothing.
    Unknown,
    /// The other period has no value.
    New,
    Percent(f64),
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown => serializer.serialize_none(),
            Self::New => serializer.serialize_str("new"),
            Self::Percent(percent) => serializer.serialize_f64(*percent),
        }
    }
}

impl Change {
    pub fn of(value: Decimal, previous: Option<Decimal>) -> Self {
        match previous {
            None => Self::Unknown,
            Some(previous) if previous.is_zero() => match value.is_zero() {
                true => Self::Percent(0.0),
                false => Self::New,
            },
            Some(previous) => {
                let difference = value.checked_sub(previous).unwrap_or(Decimal::MAX);
                Self::Percent(percent(difference, previous.abs()))
            }
        }
    }
}

impl<T: Copy + Into<Decimal>> Changed<T> {
    pub fn of(value: T, previous: Option<T>) -> Self {
        Self {
            value,
            previous,
            change_percent: Change::of(value.into(), previous.map(Into::into)),
        }
    }
}

impl Changed<String> {
    pub fn of_amount(value: Decimal, previous: Option<Decimal>) -> Self {
        Self {
            value: amount(value),
            previous: previous.map(amount),
            change_percent: Change::of(value, previous),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::from_str_exact(text).unwrap()
    }

    #[test]
    fn amounts_have_two_decimals_or_as_many_as_are_exact() {
        let check = |text: &str, expected: &str| assert_eq!(amount(decimal(text)), expected);
        check("35", "35.00");
        check("35.5", "35.50");
        check("35.000", "35.00");
        check("0.125", "0.125");
        check("0", "0.00");
        check("-1", "-1.00");
        check(
            "79228162514264337593543950335",
            "79228162514264337593543950335",
        );
    }

    #[test]
    fn averages_are_rounded_and_absent_for_nothing() {
        assert_eq!(average(decimal("100"), 3).as_deref(), Some("33.33"));
        assert_eq!(average(decimal("0.01"), 2).as_deref(), Some("0.01"));
        assert_eq!(average(decimal("5"), 0), None);
    }

    #[test]
    fn a_change_is_a_number_or_new() {
        let check = |value: &str, previous: Option<&str>, expected: Change| {
            let change = Change::of(decimal(value), previous.map(decimal));
            assert_eq!(change, expected, "{value} {previous:?}");
        };
        check("12", Some("10"), Change::Percent(20.0));
        check("0", Some("10"), Change::Percent(-100.0));
        check("1", Some("3"), Change::Percent(-66.67));
        check("10", Some("-10"), Change::Percent(200.0));
        check("5", Some("0"), Change::New);
        check("0", Some("0"), Change::Percent(0.0));
        check("5", None, Change::Unknown);
        let json = serde_json::to_string(&Changed::<u64>::of(5, Some(0))).unwrap();
        assert_eq!(json, r#"{"value":5,"previous":0,"change_percent":"new"}"#);
        let json = serde_json::to_string(&Changed::of_amount(decimal("5"), None)).unwrap();
        assert_eq!(
            json,
            r#"{"value":"5.00","previous":null,"change_percent":null}"#
        );
    }

    fn any_decimal() -> impl Strategy<Value = Decimal> {
        let parts = any::<(u32, u32, u32, bool, u32)>();
        parts.prop_map(|(low, middle, high, negative, scale)| {
            Decimal::from_parts(low, middle, high, negative, scale % 29)
        })
    }

    proptest! {
        #[test]
        fn nothing_overflows_nor_is_infinite(
            a in any_decimal(),
            b in any_decimal(),
            count in any::<u64>(),
        ) {
            for whole in [a, b, sum(a, b)] {
                prop_assert!(percent(a, whole).is_finite());
                if let Change::Percent(change) = Change::of(a, Some(whole)) {
                    prop_assert!(change.is_finite());
                }
            }
            amount(a);
            average(b, count);
        }
    }
}
