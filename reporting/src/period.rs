//! The days of a report, and the other days in a comparison.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use crate::parameters::Parameters;
use crate::said::Said;

/// The most days of a report, because the table keeps days that long.
pub const DAYS_MAX: i32 = 400;

/// The days of a report without parameters.
const DAYS: i32 = 30;

const TIMEFRAME: Said = Said::new(
    "must be a number of days from 1d to 400d, such as 30d",
    "deve ser um número de dias de 1d a 400d, como 30d",
);
const DAY: Said = Said::new(
    "must be a date from 2000-01-01 to 2999-12-31, such as 2026-11-25",
    "deve ser uma data de 2000-01-01 a 2999-12-31, como 2026-11-25",
);
const ALONE: Said = Said::new(
    "must not stand beside from or to, which name the days",
    "não pode vir junto com from ou to, que já dizem os dias",
);

/// A first and a last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    pub from: Date,
    pub to: Date,
}

/// Today on the clocks of all tenants that a question covers. The two dates differ while a day has
/// begun for only some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Today {
    pub earliest: Date,
    pub latest: Date,
}

impl Today {
    /// Today in these zones; in UTC if there are none.
    pub fn of<'a>(zones: impl IntoIterator<Item = &'a TimeZone>, now: Timestamp) -> Self {
        let dates = zones
            .into_iter()
            .map(|zone| now.to_zoned(zone.clone()).date());
        let all = dates.map(Self::from);
        let merged = all.reduce(|a, b| Self {
            earliest: a.earliest.min(b.earliest),
            latest: a.latest.max(b.latest),
        });
        merged.unwrap_or_else(|| now.to_zoned(TimeZone::UTC).date().into())
    }
}

impl From<Date> for Today {
    /// The same date on every clock.
    fn from(date: Date) -> Self {
        Self {
            earliest: date,
            latest: date,
        }
    }
}

/// The other period in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// With the same number of days just before it.
    Previous,
    /// With the same dates a year before.
    Year,
    None,
}

impl Period {
    pub fn new(from: Date, to: Date) -> Self {
        Self { from, to }
    }

    /// The last days, today included: as many for every tenant, and one more for tenants with a day
    /// that has not begun for others.
    pub fn last(days: i32, today: Today) -> Self {
        let from = before(today.earliest, days - 1);
        let longest = before(today.latest, DAYS_MAX - 1);
        Self::new(from.max(longest), today.latest)
    }

    /// Reads `timeframe`, or `from` and `to`, of which one may be absent. The default is the last
    /// 30 days.
    pub fn read(parameters: &mut Parameters, today: Today) -> Self {
        let timeframe = parameters.text("timeframe", &TIMEFRAME);
        let given = [parameters.has("from"), parameters.has("to")];
        let from = day(parameters, "from");
        let to = day(parameters, "to");
        if let Some(text) = &timeframe
            && given.contains(&true)
        {
            parameters.problem("timeframe", text, ALONE);
        }
        let days = match timeframe {
            None => DAYS,
            Some(text) => number_of_days(&text).unwrap_or_else(|| {
                parameters.problem("timeframe", &text, TIMEFRAME);
                DAYS
            }),
        };
        let period = match (from, to) {
            (None, None) => Self::last(days, today),
            (None, Some(to)) => Self::last(days, to.into()),
            (Some(from), to) => Self::new(from, to.unwrap_or(today.latest)),
        };
        if period.from > period.to {
            let problem = Said::of(
                format!("must not be after to, which is {}", period.to),
                format!("não pode ser depois de to, que é {}", period.to),
            );
            parameters.problem("from", &period.from.to_string(), problem);
            return Self::last(1, today);
        }
        if period.days() > DAYS_MAX {
            let (days, to) = (period.days(), period.to);
            let problem = Said::of(
                format!(
                    "must be at most {DAYS_MAX} days before to, which is {to}: {days} days are \
                     asked for"
                ),
                format!(
                    "pode ser no máximo {DAYS_MAX} dias antes de to, que é {to}: o pedido é de \
                     {days} dias"
                ),
            );
            parameters.problem("from", &period.from.to_string(), problem);
            return Self::last(1, today);
        }
        period
    }

    /// How many days the period has.
    pub fn days(self) -> i32 {
        (self.to - self.from).get_days() + 1
    }

    pub fn contains(self, day: Date) -> bool {
        (self.from..=self.to).contains(&day)
    }

    pub fn iter(self) -> impl Iterator<Item = Date> {
        let days = std::iter::successors(Some(self.from), |day| day.tomorrow().ok());
        days.take_while(move |day| *day <= self.to)
    }

    /// The other period in a comparison with this one.
    pub fn compared(self, compare: Compare) -> Option<Self> {
        match compare {
            Compare::None => None,
            _ => Some(Self::new(
                self.counterpart(self.from, compare)?,
                self.counterpart(self.to, compare)?,
            )),
        }
    }

    /// The other day in a comparison with a day. In other years, the 28th of February corresponds
    /// to the 29th.
    pub fn counterpart(self, day: Date, compare: Compare) -> Option<Date> {
        match compare {
            Compare::Previous => Some(before(day, self.days())),
            Compare::Year => day.checked_sub(1.year()).ok(),
            Compare::None => None,
        }
    }
}

impl Compare {
    pub const CHOICES: [(&str, Self); 3] = [
        ("previous", Self::Previous),
        ("year", Self::Year),
        ("none", Self::None),
    ];

    /// The default is the days before.
    pub fn read(parameters: &mut Parameters) -> Self {
        let chosen = parameters.choice("compare", &Self::CHOICES);
        chosen.unwrap_or(Self::Previous)
    }
}

fn before(day: Date, days: i32) -> Date {
    day.checked_sub(days.days()).unwrap_or(Date::MIN)
}

/// A number of days such as `30d`.
fn number_of_days(text: &str) -> Option<i32> {
    let digits = text.strip_suffix('d')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    let days = digits.parse().ok()?;
    (is_number && (1..=DAYS_MAX).contains(&days)).then_some(days)
}

/// A date; jiff alone would accept other forms too.
fn day(parameters: &mut Parameters, name: &'static str) -> Option<Date> {
    let text = parameters.text(name, &DAY)?;
    let date = parse_day(&text);
    if date.is_none() {
        parameters.problem(name, &text, DAY);
    }
    date
}

/// A date such as `2026-11-25`.
pub fn parse_day(text: &str) -> Option<Date> {
    let shape = text.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !shape || text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    (2000..3000).contains(&date.year()).then_some(date)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::refused::Refused;

    const TODAY: Date = date(2026, 11, 25);

    fn read(query: &str) -> (Period, Option<String>) {
        let mut parameters = Parameters::read(query);
        let period = Period::read(&mut parameters, TODAY.into());
        let problem = match parameters.finish() {
            Err(Refused::Invalid(problems)) => Some(problems),
            _ => None,
        };
        let problem = problem.map(|problems| {
            let problems = problems.iter();
            let lines = problems
                .map(|problem| format!("{}={} {}", problem.field, problem.value, problem.problem));
            lines.collect::<Vec<_>>().join("; ")
        });
        (period, problem)
    }

    #[test]
    fn days_are_named_by_their_number_or_by_their_ends() {
        let check = |query: &str, from: Date, to: Date| {
            assert_eq!(read(query), (Period::new(from, to), None), "{query}");
        };
        check("", date(2026, 10, 27), TODAY);
        check("timeframe=30d", date(2026, 10, 27), TODAY);
        check("timeframe=1d", TODAY, TODAY);
        check("timeframe=400d", date(2025, 10, 22), TODAY);
        check("from=2026-11-01", date(2026, 11, 1), TODAY);
        check("to=2026-11-30", date(2026, 11, 1), date(2026, 11, 30));
        check(
            "from=2024-02-29&to=2024-02-29",
            date(2024, 2, 29),
            date(2024, 2, 29),
        );
        check("from=2025-10-22&to=2026-11-25", date(2025, 10, 22), TODAY);
    }

    #[test]
    fn the_last_days_hold_the_today_of_every_tenant() {
        let zone = |name: &str| TimeZone::get(name).unwrap();
        let zones = ["America/Sao_Paulo", "Europe/London", "Asia/Tokyo"].map(zone);
        let at = |text: &str| Today::of(&zones, text.parse().unwrap());
        let check = |at: Today, query: &str, from: Date, to: Date| {
            let period = Period::read(&mut Parameters::read(query), at);
            assert_eq!(period, Period::new(from, to), "{query}");
        };
        // The 29th has begun in London and in Tokyo, and not in Sao Paulo.
        let night = at("2026-11-29T00:40:00Z");
        let (before, latest) = (date(2026, 11, 28), date(2026, 11, 29));
        check(night, "timeframe=1d", before, latest);
        check(night, "", date(2026, 10, 30), latest);
        check(night, "timeframe=400d", date(2025, 10, 26), latest);
        check(night, "from=2026-11-29", latest, latest);
        check(night, "to=2026-11-28", date(2026, 10, 30), before);
        let noon = at("2026-11-29T12:00:00Z");
        assert_eq!(noon, Today::from(latest));
        check(noon, "timeframe=1d", latest, latest);
    }

    #[test]
    fn the_problem_of_a_wrong_period_names_what_is_allowed() {
        let check = |query: &str, expected: &str| {
            assert_eq!(read(query).1.as_deref(), Some(expected), "{query}");
        };
        for text in [
            "0d",
            "401d",
            "30",
            "d",
            "-1d",
            "+1d",
            "1.5d",
            "30D",
            "30 d",
            "9999999999d",
        ] {
            let encoded = text.replace('+', "%2B");
            check(
                &format!("timeframe={encoded}"),
                &format!("timeframe={text} {}", TIMEFRAME.english),
            );
        }
        for text in [
            "2026-02-29",
            "2026-13-01",
            "20261101",
            "2026-11-1",
            "1999-12-31",
            "today",
            "9999-12-31",
        ] {
            check(
                &format!("from={text}"),
                &format!("from={text} {}", DAY.english),
            );
        }
        check(
            "from=2026-11-02&to=2026-11-01",
            "from=2026-11-02 must not be after to, which is 2026-11-01",
        );
        check(
            "from=2025-10-21&to=2026-11-25",
            "from=2025-10-21 must be at most 400 days before to, which is 2026-11-25: 401 days are \
             asked for",
        );
        check(
            "timeframe=30d&from=2026-11-01",
            "timeframe=30d must not stand beside from or to, which name the days",
        );
    }

    #[test]
    fn a_period_is_compared_with_the_days_before_or_a_year_before() {
        let month = Period::new(date(2026, 11, 1), date(2026, 11, 30));
        let previous = Period::new(date(2026, 10, 2), date(2026, 10, 31));
        assert_eq!(month.compared(Compare::Previous), Some(previous));
        let year = Period::new(date(2025, 11, 1), date(2025, 11, 30));
        assert_eq!(month.compared(Compare::Year), Some(year));
        assert_eq!(month.compared(Compare::None), None);
        let leap = Period::new(date(2024, 2, 29), date(2024, 2, 29));
        let without = Period::new(date(2023, 2, 28), date(2023, 2, 28));
        assert_eq!(leap.compared(Compare::Year), Some(without));
        assert_eq!(month.iter().count(), 30);
        assert_eq!(month.days(), 30);
    }
}
