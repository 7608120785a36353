//! Amounts of money as people pay them: in whole minor units, such as a real's cents.
//!
//! Tills compute with floats and percentages, and send amounts such as 24.999 or 5.235, which
//! nobody pays. So amounts are compared as people would pay them: rounded half away from zero, as
//! tills and banks do.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// An amount in the main unit of its currency, exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Normalised: 35.00 and 35 are the same amount.
    pub amount: Decimal,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// Currencies of ISO 4217 whose minor unit is not a hundredth, by their number of decimals.
const DECIMALS: [(u32, &[&str]); 3] = [
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI",
            "VND", "VUV", "XAF", "XOF", "XPF",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
    (4, &["CLF", "UYW"]),
];

/// How many decimals an amount of a currency is paid with.
pub fn decimals(currency: &str) -> u32 {
    let other = DECIMALS.iter().find(|(_, them)| them.contains(&currency));
    other.map_or(2, |(decimals, _)| *decimals)
}

impl Money {
    /// An amount in the main unit of its currency.
    pub fn new(amount: Decimal, currency: impl Into<String>) -> Self {
        Self {
            amount: amount.normalize(),
            currency: currency.into(),
        }
    }

    /// An amount from the smallest unit of its currency: 9499 cents are 94.99 dollars, 9499 yen are
    /// 9499 yen.
    pub fn of_minor(amount: i64, currency: impl Into<String>) -> Self {
        let currency = currency.into();
        Self::new(Decimal::new(amount, decimals(&currency)), currency)
    }

    /// The amount in whole minor units of its currency: 24.999 BRL is paid as 25.
    pub fn as_paid(&self) -> Decimal {
        let decimals = decimals(&self.currency);
        let rounding = RoundingStrategy::MidpointAwayFromZero;
        let rounded = self.amount.round_dp_with_strategy(decimals, rounding);
        rounded.normalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(amount: &str, currency: &str, expected: &str) {
        let money = Money::new(amount.parse().unwrap(), currency);
        let expected: Decimal = expected.parse().unwrap();
        assert_eq!(money.as_paid(), expected, "{amount} {currency}");
    }

    #[test]
    fn an_amount_is_paid_in_cents() {
        check("24.999", "BRL", "25");
        check("24.994999999999997", "BRL", "24.99");
        check("35", "USD", "35");
        check("35.10", "EUR", "35.1");
    }

    #[test]
    fn half_a_cent_is_rounded_away_from_zero() {
        check("5.235", "BRL", "5.24");
        check("5.245", "BRL", "5.25");
        check("-5.235", "BRL", "-5.24");
    }

    #[test]
    fn a_currency_may_have_no_cents_or_thousandths() {
        check("499.5", "JPY", "500");
        check("499.4", "CLP", "499");
        check("1.2345", "KWD", "1.235");
        check("1.00005", "CLF", "1.0001");
        // An unknown currency has cents.
        check("1.005", "XYZ", "1.01");
    }
}
