//! A coupon's discount, in words.

use rust_decimal::Decimal;
use webhooks::event::{Discount, DiscountKind, Money};

use super::Language;
use super::clean::line;
use super::filled::filled;

/// The discount in words: `15% de desconto até R$ 75,00, pedidos acima de R$ 30,00`. `None` for an
/// unknown kind, and for a percentage or an amount of 0.
pub fn discount_in_words(language: Language, discount: &Discount) -> Option<String> {
    let saving = Saving::of(discount)?;
    Some(filled_in(language, &saving))
}

/// A discount in words, from the file `discount.txt`.
fn filled_in(language: Language, saving: &Saving) -> String {
    match language {
        Language::PtBr => filled!("pt-BR/discount.txt", saving: Saving),
        Language::En => filled!("en/discount.txt", saving: Saving),
    }
}

/// A discount as the templates show it: only the parts that help a customer.
pub(super) struct Saving {
    pub(super) kind: Kind,
    /// The maximum, if it is less than the discount itself.
    pub(super) maximum: Option<Amount>,
    pub(super) minimum_purchase: Option<Amount>,
}

pub(super) enum Kind {
    Percentage(Number),
    FixedAmount(Amount),
    ProductFree,
    BuyOneGetOne,
}

impl Saving {
    fn of(discount: &Discount) -> Option<Self> {
        let value = discount.value.filter(|value| *value > Decimal::ZERO);
        let limits = |maximum: &&Money| match discount.kind {
            DiscountKind::Percentage => true,
            _ => value.is_none_or(|value| maximum.amount < value),
        };
        let kind = match discount.kind {
            DiscountKind::Percentage => Kind::Percentage(Number(value?)),
            DiscountKind::FixedAmount => Kind::FixedAmount(Amount {
                amount: Number(value?),
                currency: currency(discount),
            }),
            DiscountKind::ProductFree => Kind::ProductFree,
            DiscountKind::BuyOneGetOne => Kind::BuyOneGetOne,
            DiscountKind::Other(_) => return None,
        };
        let maximum = discount.maximum.as_ref().filter(limits);
        Some(Self {
            kind,
            maximum: maximum.and_then(Amount::of),
            minimum_purchase: discount.minimum_purchase.as_ref().and_then(Amount::of),
        })
    }
}

/// The currency of a discount's value, because the value names none: the currency of its limits,
/// else Zupy's.
fn currency(discount: &Discount) -> String {
    let limit = discount.maximum.as_ref();
    let limit = limit.or(discount.minimum_purchase.as_ref());
    let currency = limit.and_then(|money| line(&money.currency));
    currency.unwrap_or_else(|| "BRL".into())
}

/// An amount of money above 0.
pub(super) struct Amount {
    amount: Number,
    pub(super) currency: String,
}

impl Amount {
    fn of(money: &Money) -> Option<Self> {
        (money.amount > Decimal::ZERO).then(|| Self {
            amount: Number(money.amount),
            currency: line(&money.currency).unwrap_or_default(),
        })
    }

    /// The amount as `1.234,50`, with the given separators: exact, with at least two decimals.
    pub(super) fn written(&self, thousands: &str, point: &str) -> String {
        self.amount.with_decimals(2, thousands, point)
    }
}

pub(super) struct Number(Decimal);

impl Number {
    /// The number as `15,5`, with the given separators: exact, with as many decimals as it has.
    pub(super) fn written(&self, thousands: &str, point: &str) -> String {
        self.with_decimals(0, thousands, point)
    }

    fn with_decimals(&self, at_least: usize, thousands: &str, point: &str) -> String {
        let number = self.0.normalize().to_string();
        let (whole, decimals) = number.split_once('.').unwrap_or((&number, ""));
        let mut written = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                written.push_str(thousands);
            }
            written.push(digit);
        }
        if at_least > 0 || !decimals.is_empty() {
            written.push_str(&format!("{point}{decimals:0<at_least$}"));
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn reais(text: &str) -> Option<Money> {
        Some(Money::new(decimal(text), "BRL"))
    }

    fn discount(kind: &str, value: &str) -> Discount {
        Discount {
            kind: DiscountKind::from(kind.to_owned()),
            value: Some(decimal(value)),
            maximum: None,
            minimum_purchase: None,
        }
    }

    fn check(discount: &Discount, portuguese: &str, english: &str) {
        let words = discount_in_words(Language::PtBr, discount);
        assert_eq!(words.as_deref(), Some(portuguese));
        let words = discount_in_words(Language::En, discount);
        assert_eq!(words.as_deref(), Some(english));
    }

    #[test]
    fn each_kind_has_its_words() {
        check(&discount("product_free", "35"), "Grátis", "Free");
        check(&discount("percentage", "15"), "15% de desconto", "15% off");
        check(
            &discount("fixed_amount", "20"),
            "R$ 20,00 de desconto",
            "R$20.00 off",
        );
        check(
            &discount("buy_one_get_one", "35"),
            "Pague 1, leve 2",
            "Buy one, get one free",
        );
    }

    #[test]
    fn limits_are_shown_with_every_kind() {
        let limited = |kind, value| Discount {
            maximum: reais("75"),
            minimum_purchase: reais("30"),
            ..discount(kind, value)
        };
        check(
            &limited("percentage", "15"),
            "15% de desconto até R$ 75,00, pedidos acima de R$ 30,00",
            "15% off up to R$75.00, orders above R$30.00",
        );
        check(
            &limited("fixed_amount", "80"),
            "R$ 80,00 de desconto até R$ 75,00, pedidos acima de R$ 30,00",
            "R$80.00 off up to R$75.00, orders above R$30.00",
        );
        check(
            &limited("product_free", "80"),
            "Grátis até R$ 75,00, pedidos acima de R$ 30,00",
            "Free up to R$75.00, orders above R$30.00",
        );
        check(
            &limited("buy_one_get_one", "80"),
            "Pague 1, leve 2 até R$ 75,00, pedidos acima de R$ 30,00",
            "Buy one, get one free up to R$75.00, orders above R$30.00",
        );
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        let zero = Discount {
            maximum: reais("0"),
            minimum_purchase: reais("0.00"),
            ..discount("percentage", "15")
        };
        check(&zero, "15% de desconto", "15% off");
        let negative = Discount {
            maximum: reais("-1"),
            minimum_purchase: reais("-1"),
            ..discount("product_free", "35")
        };
        check(&negative, "Grátis", "Free");
    }

    #[test]
    fn a_maximum_without_effect_is_not_shown() {
        let at_most = |maximum, kind| Discount {
            maximum: reais(maximum),
            ..discount(kind, "20")
        };
        check(
            &at_most("20", "fixed_amount"),
            "R$ 20,00 de desconto",
            "R$20.00 off",
        );
        check(&at_most("35", "product_free"), "Grátis", "Free");
        check(
            &at_most("19.99", "fixed_amount"),
            "R$ 20,00 de desconto até R$ 19,99",
            "R$20.00 off up to R$19.99",
        );
        // A percentage is no amount of money.
        check(
            &at_most("10", "percentage"),
            "20% de desconto até R$ 10,00",
            "20% off up to R$10.00",
        );
    }

    #[test]
    fn an_unknown_kind_and_a_value_of_nothing_have_no_words() {
        let check = |discount: Discount| {
            for language in Language::ALL {
                assert_eq!(discount_in_words(*language, &discount), None);
            }
        };
        check(discount("mystery", "35"));
        check(discount("percentage", "0"));
        check(discount("fixed_amount", "-1"));
        check(Discount {
            value: None,
            ..discount("percentage", "0")
        });
    }

    #[test]
    fn numbers_are_exact() {
        let check =
            |kind, value, portuguese, english| check(&discount(kind, value), portuguese, english);
        check("percentage", "15.5", "15,5% de desconto", "15.5% off");
        check("percentage", "15.00", "15% de desconto", "15% off");
        check("percentage", "33.333", "33,333% de desconto", "33.333% off");
        check("fixed_amount", "0.5", "R$ 0,50 de desconto", "R$0.50 off");
        check(
            "fixed_amount",
            "100",
            "R$ 100,00 de desconto",
            "R$100.00 off",
        );
        check(
            "fixed_amount",
            "1000",
            "R$ 1.000,00 de desconto",
            "R$1,000.00 off",
        );
        check(
            "fixed_amount",
            "1234567.8",
            "R$ 1.234.567,80 de desconto",
            "R$1,234,567.80 off",
        );
        check(
            "fixed_amount",
            "0.125",
            "R$ 0,125 de desconto",
            "R$0.125 off",
        );
        check(
            "fixed_amount",
            "79228162514264337593543950335",
            "R$ 79.228.162.514.264.337.593.543.950.335,00 de desconto",
            "R$79,228,162,514,264,337,593,543,950,335.00 off",
        );
    }

    #[test]
    fn money_keeps_its_currency() {
        let in_dollars = Discount {
            minimum_purchase: Some(Money::new(decimal("30"), "USD")),
            ..discount("fixed_amount", "1500")
        };
        check(
            &in_dollars,
            "USD 1.500,00 de desconto, pedidos acima de USD 30,00",
            "USD 1,500.00 off, orders above USD 30.00",
        );
    }
}
