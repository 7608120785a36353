//! Reads the parameters of a question for tracked events: days, filters and the page.

use jiff::Timestamp;

use crate::access::Scope;
use crate::listing::{Cursor, Filter};
use crate::parameters::Parameters;
use crate::period::{Period, parse_day};
use crate::report::Asked;
use crate::said::Said;
use crate::sources::Sources;
use crate::tracked::TYPES;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

const STATUSES: [(&str, &str); 4] = [
    ("active", "active"),
    ("used", "used"),
    ("cancelled", "cancelled"),
    ("expired", "expired"),
];

const REWARD: Said = Said::new(
    "must be a reward's id or its name",
    "deve ser o id ou o nome de uma recompensa",
);
const LOCATION: Said = Said::new("must be a location's name", "deve ser o nome de um local");
const CODE: Said = Said::new("must be a coupon's code", "deve ser o código de um cupom");
const DATE: Said = Said::new(
    "must be a date such as 2026-11-25, and stand without timeframe, from and to",
    "deve ser uma data como 2026-11-25, sem timeframe, from e to",
);
const CURSOR: Said = Said::new(
    "must be the next_cursor of an answer to the same question",
    "deve ser o next_cursor de uma resposta à mesma pergunta",
);

/// A question for tracked events.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub asked: Asked,
    pub filter: Filter,
    /// Where the page begins.
    pub start: Cursor,
    /// The largest number of events on the page.
    pub limit: usize,
}

impl Question {
    /// Reads a question. `parameters` collects the problems.
    pub fn read(
        sources: &Sources,
        parameters: &mut Parameters,
        scope: &Scope,
        now: Timestamp,
    ) -> Self {
        let date = parameters.text("date", &DATE);
        let filter = Filter {
            status: parameters.choice("status", &STATUSES).map(str::to_owned),
            kind: parameters.choice("type", &TYPES),
            reward: parameters.text("reward", &REWARD),
            location: parameters.text("location", &LOCATION),
            code: parameters.text("code", &CODE),
        };
        let limit = parameters.number("limit", LIMIT_MAX).unwrap_or(LIMIT);
        let cursor = parameters.text("cursor", &CURSOR);
        let has_others = ["timeframe", "from", "to"]
            .iter()
            .any(|it| parameters.has(it));
        let (mut asked, _) = sources.ask(parameters, scope, now);
        if let Some(text) = date {
            match parse_day(&text).filter(|_| !has_others) {
                Some(day) => asked.period = Period::new(day, day),
                None => parameters.problem("date", &text, DATE),
            }
        }
        let period = asked.period;
        let start = match cursor {
            None => Cursor::start(period),
            Some(text) => Cursor::parse(&text, period).unwrap_or_else(|| {
                parameters.problem("cursor", &text, CURSOR);
                Cursor::start(period)
            }),
        };
        Self {
            asked,
            filter,
            start,
            limit,
        }
    }
}
