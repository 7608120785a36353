//! Bodies that contradict a recorded use: the same order with other contents.

use jiff::Timestamp;
use webhooks::event::{Event, Fact, Money, Usage};
use webhooks::ledger::{Item, read_conflict};

/// How many conflicts a finding names.
const NAMED_MAX: usize = 3;

/// A body about a use that got a 409.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conflict {
    received_at: Timestamp,
    amounts: Amounts,
}

/// The discount of a use, the order's value, and the amount paid.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Amounts {
    discount: Option<Money>,
    order: Option<Money>,
    paid: Option<Money>,
}

impl Conflict {
    pub(crate) fn read(row: &Item, recorded: &Event) -> Option<Self> {
        let event = read_conflict(row, recorded)?;
        let received_at = row.get("received_at")?.as_s().ok()?.parse().ok()?;
        Self::new(&event, received_at)
    }

    pub(crate) fn new(event: &Event, received_at: Timestamp) -> Option<Self> {
        let Fact::Used(usage) = &event.fact else {
            return None;
        };
        Some(Self {
            received_at,
            amounts: Amounts::of(usage),
        })
    }
}

impl Amounts {
    fn of(usage: &Usage) -> Self {
        Self {
            discount: usage.discount_applied.clone(),
            order: usage.order_value.clone(),
            paid: usage.final_value.clone(),
        }
    }

    fn text(&self) -> String {
        let amount = |money: &Money| format!("{} {}", money.amount, money.currency);
        let parts = [
            self.discount
                .as_ref()
                .map(|it| format!("a discount of {}", amount(it))),
            self.order
                .as_ref()
                .map(|it| format!("an order of {}", amount(it))),
            self.paid.as_ref().map(|it| format!("{} paid", amount(it))),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => "no amounts".to_owned(),
            false => parts.join(", "),
        }
    }
}

/// The details of a finding about a use's conflicts, with the amounts of both.
pub(crate) fn details(usage: &Usage, conflicts: &[Conflict]) -> Option<String> {
    let recorded = Amounts::of(usage);
    let mut conflicts: Vec<_> = conflicts.iter().collect();
    conflicts.sort_by_key(|conflict| (conflict.received_at, conflict.amounts.text()));
    let mut others = Vec::new();
    for conflict in &conflicts {
        let other = match conflict.amounts == recorded {
            true => "the same amounts and other contents".to_owned(),
            false => conflict.amounts.text(),
        };
        if !others.contains(&other) {
            others.push(other);
        }
    }
    let more = others.len().saturating_sub(NAMED_MAX);
    others.truncate(NAMED_MAX);
    if others.is_empty() {
        return None;
    }
    let more = match more {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let others = others.join("; with ");
    Some(format!(
        "recorded with {}; sent again with {others}{more}",
        recorded.text()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::used;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    fn money(amount: &str) -> Option<Money> {
        (!amount.is_empty()).then(|| Money::new(amount.parse().unwrap(), "BRL"))
    }

    fn usage([discount, order, paid]: [&str; 3]) -> Usage {
        Usage {
            discount_applied: money(discount),
            order_value: money(order),
            final_value: money(paid),
            ..Usage::default()
        }
    }

    #[track_caller]
    fn check(recorded: [&str; 3], others: &[[&str; 3]], expected: Option<&str>) {
        let conflicts = (0..).zip(others).map(|(second, amounts)| {
            let mut event = used("1", "2026-11-22T10:00:00Z");
            event.fact = Fact::Used(usage(*amounts));
            Conflict::new(&event, at(second)).unwrap()
        });
        let mut conflicts: Vec<_> = conflicts.collect();
        assert_eq!(details(&usage(recorded), &conflicts).as_deref(), expected);
        conflicts.reverse();
        assert_eq!(details(&usage(recorded), &conflicts).as_deref(), expected);
    }

    #[test]
    fn a_contradiction_names_the_amounts_of_both() {
        check(["35", "85.50", "50.50"], &[], None);
        check(
            ["35", "85.50", "50.50"],
            &[["60", "85.50", "25.50"]],
            Some(
                "recorded with a discount of 35 BRL, an order of 85.5 BRL, 50.5 BRL paid; sent again with \
                 a discount of 60 BRL, an order of 85.5 BRL, 25.5 BRL paid",
            ),
        );
        check(
            ["35", "85.50", ""],
            &[["", "", ""]],
            Some(
                "recorded with a discount of 35 BRL, an order of 85.5 BRL; sent again with no amounts",
            ),
        );
    }

    #[test]
    fn a_contradiction_may_be_about_something_else() {
        check(
            ["35", "85.50", ""],
            &[["35.00", "85.5", ""]],
            Some(
                "recorded with a discount of 35 BRL, an order of 85.5 BRL; sent again with \
                 the same amounts and other contents",
            ),
        );
    }

    #[test]
    fn of_many_contradictions_some_are_named() {
        let others = ["1", "2", "2", "3", "4", "5"].map(|discount| [discount, "", ""]);
        check(
            ["35", "", ""],
            &others,
            Some(
                "recorded with a discount of 35 BRL; sent again with a discount of 1 BRL; with \
                 a discount of 2 BRL; with a discount of 3 BRL; and 2 more",
            ),
        );
    }
}
