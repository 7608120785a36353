//! Numbers, amounts, dates and times, as a language writes them.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use reporting::amount::Change;

use crate::language::Language;

/// A space at which no line breaks, between a number and its unit.
const NO_BREAK: char = '\u{A0}';
const MINUS: char = '\u{2212}';

const MONTHS: [(&str, &str); 12] = [
    ("Jan", "jan."),
    ("Feb", "fev."),
    ("Mar", "mar."),
    ("Apr", "abr."),
    ("May", "mai."),
    ("Jun", "jun."),
    ("Jul", "jul."),
    ("Aug", "ago."),
    ("Sep", "set."),
    ("Oct", "out."),
    ("Nov", "nov."),
    ("Dec", "dez."),
];

/// The names of Monday to Sunday.
const WEEKDAYS: [(&str, &str); 7] = [
    ("Mon", "seg."),
    ("Tue", "ter."),
    ("Wed", "qua."),
    ("Thu", "qui."),
    ("Fri", "sex."),
    ("Sat", "sáb."),
    ("Sun", "dom."),
];

/// How one language writes numbers, amounts, dates and times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) language: Language,
}

impl Written {
    pub(crate) fn new(language: Language) -> Self {
        Self { language }
    }

    fn is_english(self) -> bool {
        self.language == Language::En
    }

    /// `1,234`
    pub(crate) fn count(self, count: impl TryInto<i128>) -> String {
        let count = count.try_into().unwrap_or(i128::MAX);
        self.number(&count.to_string())
    }

    /// An exact number with all of its decimals: `1,234.50` from `1234.50`. A text that is no
    /// number stays as it is.
    pub(crate) fn number(self, text: &str) -> String {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (Some(MINUS), digits),
            None => (None, text),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(decimals) {
            return text.to_owned();
        }
        let (thousands, point) = match self.language {
            Language::En => (',', '.'),
            Language::PtBr => ('.', ','),
        };
        let mut written: String = sign.into_iter().collect();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                written.push(thousands);
            }
            written.push(digit);
        }
        if !decimals.is_empty() {
            written.push(point);
            written.push_str(decimals);
        }
        written
    }

    /// `R$1,234.50`, `R$ 1.234,50`. If a currency has no sign here, its code replaces the sign.
    pub(crate) fn money(self, amount: &str, currency: Option<&str>) -> String {
        let number = self.number(amount);
        let (sign, number) = match number.strip_prefix(MINUS) {
            Some(number) => (MINUS.to_string(), number.to_owned()),
            None => (String::new(), number),
        };
        let symbol = match (currency, self.language) {
            (None | Some(""), _) => return format!("{sign}{number}"),
            (Some("BRL"), _) => "R$",
            (Some("EUR"), _) => "€",
            (Some("GBP"), _) => "£",
            (Some("USD"), Language::En) => "$",
            (Some("USD"), Language::PtBr) => "US$",
            (Some(code), _) => return format!("{sign}{code}{NO_BREAK}{number}"),
        };
        match self.language {
            Language::En => format!("{sign}{symbol}{number}"),
            Language::PtBr => format!("{sign}{symbol}{NO_BREAK}{number}"),
        }
    }

    /// A percentage with at most one decimal: `58.3%`, `58,3%`.
    pub(crate) fn percent(self, percent: f64) -> String {
        let rounded = (percent * 10.0).round() / 10.0;
        // Adding zero turns -0 into 0.
        let text = format!("{}", rounded + 0.0);
        format!("{}%", self.number(&text))
    }

    /// `+20%`; an empty text without a comparison.
    pub(crate) fn change(self, change: Change, new: &str, unchanged: &str) -> Option<String> {
        match change {
            Change::Unknown => None,
            Change::New => Some(new.to_owned()),
            Change::Percent(percent) => {
                let text = self.percent(percent);
                Some(match text.as_str() {
                    "0%" => unchanged.to_owned(),
                    _ if percent > 0.0 => format!("+{text}"),
                    _ => text,
                })
            }
        }
    }

    /// `Nov 25, 2026`, `25/11/2026`
    pub(crate) fn date(self, date: Date) -> String {
        let (day, month, year) = (date.day(), date.month(), date.year());
        match self.language {
            Language::En => format!("{} {day}, {year}", self.month_name(date)),
            Language::PtBr => format!("{day:02}/{month:02}/{year}"),
        }
    }

    /// A date without its year: `Nov 25`, `25/11`.
    pub(crate) fn day(self, date: Date) -> String {
        match self.language {
            Language::En => format!("{} {}", self.month_name(date), date.day()),
            Language::PtBr => format!("{:02}/{:02}", date.day(), date.month()),
        }
    }

    /// `Nov 2026`, `nov. 2026`
    pub(crate) fn month(self, date: Date) -> String {
        format!("{} {}", self.month_name(date), date.year())
    }

    fn month_name(self, date: Date) -> &'static str {
        let index = usize::from(date.month().unsigned_abs()).saturating_sub(1);
        let (en, pt) = MONTHS.get(index).copied().unwrap_or_default();
        match self.is_english() {
            true => en,
            false => pt,
        }
    }

    /// `Mon`, `seg.`
    pub(crate) fn weekday(self, weekday: Weekday) -> &'static str {
        let index = usize::from(weekday.to_monday_zero_offset().unsigned_abs());
        let (en, pt) = WEEKDAYS.get(index).copied().unwrap_or_default();
        match self.is_english() {
            true => en,
            false => pt,
        }
    }

    /// `2 PM`, `14h`
    pub(crate) fn hour(self, hour: u8) -> String {
        match self.language {
            Language::En => format!("{}{NO_BREAK}{}", twelve(hour), half(hour)),
            Language::PtBr => format!("{hour}h"),
        }
    }

    /// `Nov 25, 2026, 2:05 PM`, `25/11/2026 14:05`
    pub(crate) fn moment(self, at: Timestamp, zone: &TimeZone) -> String {
        let local = at.to_zoned(zone.clone());
        let date = self.date(local.date());
        let hour = u8::try_from(local.hour()).unwrap_or_default();
        let minute = local.minute();
        match self.language {
            Language::En => {
                format!(
                    "{date}, {}:{minute:02}{NO_BREAK}{}",
                    twelve(hour),
                    half(hour)
                )
            }
            Language::PtBr => format!("{date} {hour:02}:{minute:02}"),
        }
    }

    /// Hours in words: minutes below one hour, and days from two days on.
    pub(crate) fn hours(self, hours: f64) -> String {
        let one_decimal = |value: f64| {
            let rounded = (value * 10.0).round() / 10.0;
            self.number(&format!("{rounded}"))
        };
        match hours {
            hours if hours < 1.0 => {
                format!(
                    "{}{NO_BREAK}min",
                    self.number(&format!("{}", (hours * 60.0).round()))
                )
            }
            hours if hours < 48.0 => format!("{}{NO_BREAK}h", one_decimal(hours)),
            hours => {
                let days = match self.is_english() {
                    true => "days",
                    false => "dias",
                };
                format!("{}{NO_BREAK}{days}", one_decimal(hours / 24.0))
            }
        }
    }
}

fn twelve(hour: u8) -> u8 {
    match hour % 12 {
        0 => 12,
        hour => hour,
    }
}

fn half(hour: u8) -> &'static str {
    match hour < 12 {
        true => "AM",
        false => "PM",
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const EN: Written = Written {
        language: Language::En,
    };
    const PT: Written = Written {
        language: Language::PtBr,
    };

    #[track_caller]
    fn check(write: impl Fn(Written) -> String, en: &str, pt: &str) {
        let plain = |text: String| text.replace(NO_BREAK, " ").replace(MINUS, "-");
        assert_eq!(plain(write(EN)), en);
        assert_eq!(plain(write(PT)), pt);
    }

    #[test]
    fn numbers_have_their_separators() {
        check(|it| it.count(0), "0", "0");
        check(|it| it.count(999), "999", "999");
        check(|it| it.count(1_234_567_u64), "1,234,567", "1.234.567");
        check(|it| it.count(-1234_i64), "-1,234", "-1.234");
        check(|it| it.number("1234.125"), "1,234.125", "1.234,125");
        check(|it| it.number("-0.50"), "-0.50", "-0,50");
        check(|it| it.number("none"), "none", "none");
    }

    #[test]
    fn amounts_have_their_currency() {
        check(
            |it| it.money("1234.50", Some("BRL")),
            "R$1,234.50",
            "R$ 1.234,50",
        );
        check(
            |it| it.money("-35.00", Some("BRL")),
            "-R$35.00",
            "-R$ 35,00",
        );
        check(|it| it.money("9.99", Some("USD")), "$9.99", "US$ 9,99");
        check(|it| it.money("9.99", Some("CHF")), "CHF 9.99", "CHF 9,99");
        check(|it| it.money("9.99", None), "9.99", "9,99");
    }

    #[test]
    fn percentages_have_one_decimal_at_most() {
        check(|it| it.percent(58.333), "58.3%", "58,3%");
        check(|it| it.percent(100.0), "100%", "100%");
        check(|it| it.percent(-0.01), "0%", "0%");
        let change = |change| move |it: Written| it.change(change, "new", "same").unwrap();
        check(change(Change::Percent(20.0)), "+20%", "+20%");
        check(change(Change::Percent(-66.67)), "-66.7%", "-66,7%");
        check(change(Change::Percent(0.0)), "same", "same");
        check(change(Change::New), "new", "new");
        assert_eq!(EN.change(Change::Unknown, "new", "same"), None);
    }

    #[test]
    fn dates_and_times_are_those_of_the_language() {
        let day = date(2026, 11, 5);
        check(|it| it.date(day), "Nov 5, 2026", "05/11/2026");
        check(|it| it.day(day), "Nov 5", "05/11");
        check(|it| it.month(day), "Nov 2026", "nov. 2026");
        check(|it| it.weekday(day.weekday()).into(), "Thu", "qui.");
        check(|it| it.hour(0), "12 AM", "0h");
        check(|it| it.hour(14), "2 PM", "14h");
        let zone = TimeZone::get("America/Sao_Paulo").unwrap();
        let at: Timestamp = "2026-11-05T17:05:00Z".parse().unwrap();
        check(
            |it| it.moment(at, &zone),
            "Nov 5, 2026, 2:05 PM",
            "05/11/2026 14:05",
        );
    }

    #[test]
    fn hours_become_minutes_or_days() {
        check(|it| it.hours(0.2), "12 min", "12 min");
        check(|it| it.hours(3.52), "3.5 h", "3,5 h");
        check(|it| it.hours(51.0), "2.1 days", "2,1 dias");
    }
}
