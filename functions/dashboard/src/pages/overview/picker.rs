//! The choice of days, tenants and providers, as links and as a form: each choice has an address of
//! its own.

use jiff::civil::Date;
use reporting::sources::PROVIDERS;
use reporting::{Asked, Compare, Named, Period, Today};

use crate::reader::Reader;
use crate::words::overview::Overview;
use crate::written::Written;

/// The most tenants in the list. If there are more, the reader types the name.
const LISTED_MAX: usize = 100;

/// One of several values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) is_chosen: bool,
}

/// A period as a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timeframe {
    pub(super) text: &'static str,
    pub(super) href: String,
    pub(super) is_current: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Picker {
    pub(super) timeframes: Vec<Timeframe>,
    /// The days in words.
    pub(super) days: String,
    /// The day in the form of a date field: `2026-11-25`.
    pub(super) from: String,
    pub(super) to: String,
    /// Empty if there is nothing to choose.
    pub(super) tenants: Vec<Choice>,
    /// The field to type a tenant in, if there are too many to list.
    pub(super) typed_tenant: Option<String>,
    pub(super) providers: Vec<Choice>,
    pub(super) comparisons: Vec<Choice>,
}

impl Picker {
    pub(super) fn new(reader: &Reader, asked: &Asked, today: Today, all: &[Named]) -> Self {
        let words = Overview::of(reader.language);
        let written = reader.written();
        let (from, to) = (asked.period.from, asked.period.to);
        let address = reader.address.without(&["from", "to"]);
        let frames = [
            (1, words.today),
            (7, words.days_7),
            (30, words.days_30),
            (365, words.months_12),
        ];
        let timeframes = frames.map(|(number, text)| Timeframe {
            text,
            href: address.with("timeframe", &format!("{number}d")).to_string(),
            is_current: asked.period == Period::last(number, today),
        });
        let mut names: Vec<_> = all.iter().map(|(_, tenant)| tenant.as_str()).collect();
        names.dedup();
        let tenant = asked.tenant.as_deref();
        let is_long = names.len() > LISTED_MAX;
        let typed_tenant = is_long.then(|| tenant.unwrap_or_default().to_owned());
        let providers = PROVIDERS.map(|(name, _)| name);
        let providers = providers.into_iter();
        let providers = providers.filter(|name| all.iter().any(|(own, _)| own == name));
        let provider = asked.provider.as_deref();
        let comparisons = [
            (Compare::Previous, words.with_previous),
            (Compare::Year, words.with_year),
            (Compare::None, words.with_none),
        ];
        let comparisons = comparisons.map(|(compare, text)| {
            let named = Compare::CHOICES.iter().find(|(_, own)| *own == compare);
            Choice {
                value: named.map_or("", |(name, _)| name).to_owned(),
                text: text.to_owned(),
                is_chosen: asked.compare == compare,
            }
        });
        Self {
            timeframes: timeframes.into(),
            days: days(written, from, to),
            from: from.to_string(),
            to: to.to_string(),
            tenants: match is_long {
                true => Vec::new(),
                false => choices(words.every, names.into_iter(), tenant),
            },
            typed_tenant,
            providers: choices(words.every, providers, provider),
            comparisons: comparisons.into(),
        }
    }
}

/// All values, or one of several; `None` if there is only one.
fn choices<'a>(
    every: &str,
    names: impl Iterator<Item = &'a str>,
    chosen: Option<&str>,
) -> Vec<Choice> {
    let names: Vec<_> = names.collect();
    if names.len() < 2 {
        return Vec::new();
    }
    let named = names.into_iter().map(|name| Choice {
        value: name.to_owned(),
        text: name.to_owned(),
        is_chosen: chosen == Some(name),
    });
    let all = Choice {
        value: String::new(),
        text: every.to_owned(),
        is_chosen: chosen.is_none(),
    };
    std::iter::once(all).chain(named).collect()
}

/// Days in words: one date, or two.
pub(super) fn days(written: Written, from: Date, to: Date) -> String {
    match from == to {
        true => written.date(from),
        false => format!("{} – {}", written.date(from), written.date(to)),
    }
}
