//! A coupon as the templates show it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::clean::{first_name, line, lines, shorten};
use super::{Coupon, Language, Occasion, discount_in_words};

/// Values that any template may show: clean, of a limited length, and `None` rather than blank.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) language: Language,
    pub(super) occasion: Occasion,
    /// The name for addressing the member.
    pub(super) name: Option<String>,
    pub(super) code: String,
    pub(super) reward: Option<String>,
    /// The discount in words.
    pub(super) discount: Option<String>,
    pub(super) description: Option<String>,
    pub(super) terms: Option<String>,
    /// The end of the coupon on its reader's calendar and clock, by [`last_moment`].
    pub(super) expires: Option<Zoned>,
}

/// Limits that no honest text reaches. The limits keep the mail below 102 KB, where Gmail cuts it
/// off, although escaping makes five bytes of one.
const REWARD_MAX_CHARS: usize = 200;
const DESCRIPTION_MAX_CHARS: usize = 2_000;
const TERMS_MAX_CHARS: usize = 10_000;

impl Shown {
    pub(super) fn of(
        language: Language,
        occasion: Occasion,
        coupon: &Coupon<'_>,
        time_zone: &TimeZone,
    ) -> Self {
        let reward = coupon.reward;
        let reward_name = reward.name.as_deref().and_then(line);
        let description = reward.description.as_deref().and_then(lines);
        let terms = reward.terms.as_deref().and_then(lines);
        Self {
            language,
            occasion,
            name: coupon.name.and_then(first_name),
            code: line(coupon.code).unwrap_or_else(|| NO_CODE.into()),
            reward: reward_name.map(|name| shorten(&name, REWARD_MAX_CHARS, "…")),
            discount: coupon
                .discount
                .and_then(|discount| discount_in_words(language, discount)),
            description: description.map(|text| shorten(&text, DESCRIPTION_MAX_CHARS, "…")),
            terms: terms.map(|text| shorten(&text, TERMS_MAX_CHARS, "…")),
            expires: coupon.expires_at.map(|at| last_moment(at, time_zone)),
        }
    }

    /// Whether the code fits one line of the mail's large type on a phone 360 pixels wide.
    pub(super) fn code_fits_a_line(&self) -> bool {
        self.code.chars().count() <= 13
    }
}

/// When a coupon ends, as its reader understands it. If it ends at the first moment of a day, the
/// reader can use it until `23:59` of the day before. All channels show the end by this function.
fn last_moment(expires_at: Timestamp, time_zone: &TimeZone) -> Zoned {
    let end = expires_at.to_zoned(time_zone.clone());
    match end.start_of_day() {
        Ok(midnight) if midnight == end => &end - SignedDuration::from_secs(1),
        _ => end,
    }
}

/// Replaces a code without any visible character, because no channel takes an empty text.
const NO_CODE: &str = "-";

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, pizza, zone};
    use super::super::{email, sms, whatsapp_parameters};
    use super::*;

    /// The coupon's end on every channel, in both languages.
    #[track_caller]
    fn check(zone_name: &str, expires_at: &str, time: &str, portuguese: &str, english: &str) {
        let sample: Sample = pizza().expires_at(expires_at);
        let zone = zone(zone_name);
        for (language, date) in [(Language::PtBr, portuguese), (Language::En, english)] {
            for occasion in [Occasion::Redeemed, Occasion::Expiring] {
                let mail = email(language, occasion, &sample.coupon(), &zone);
                let text = mail.text;
                assert!(text.contains(time), "{text}");
                let clock = match language {
                    Language::PtBr => time.replace(':', "h"),
                    Language::En => time.to_owned(),
                };
                let clock = clock.strip_prefix('0').unwrap_or(&clock);
                assert!(mail.html.contains(clock), "{}", mail.html);
                let sms = sms(language, occasion, &sample.coupon(), &zone).unwrap();
                assert!(sms.contains(date), "{sms}");
            }
            let [.., short] = whatsapp_parameters(language, &sample.coupon(), &zone);
            assert_eq!(short, date);
        }
        let text = email(Language::PtBr, Occasion::Redeemed, &sample.coupon(), &zone);
        assert!(text.text.contains(portuguese), "{}", text.text);
    }

    #[test]
    fn a_coupon_that_ends_at_midnight_ends_the_day_before_on_every_channel() {
        let check = |at, time, portuguese, english| {
            check("America/Sao_Paulo", at, time, portuguese, english);
        };
        check(
            "2026-12-01T00:00:00-03:00",
            "23:59",
            "30/11/2026",
            "30 Nov 2026",
        );
        check(
            "2026-11-30T23:59:59-03:00",
            "23:59",
            "30/11/2026",
            "30 Nov 2026",
        );
        check(
            "2026-12-01T00:00:01-03:00",
            "00:00",
            "01/12/2026",
            "1 Dec 2026",
        );
        check(
            "2026-12-01T00:00:00.5-03:00",
            "00:00",
            "01/12/2026",
            "1 Dec 2026",
        );
        check("2027-01-01T03:00:00Z", "23:59", "31/12/2026", "31 Dec 2026");
        // Midnight elsewhere is an evening here.
        check("2026-12-01T00:00:00Z", "21:00", "30/11/2026", "30 Nov 2026");
    }

    #[test]
    fn midnight_is_the_readers_own() {
        check(
            "Europe/London",
            "2026-12-01T00:00:00Z",
            "23:59",
            "30/11/2026",
            "30 Nov 2026",
        );
        check(
            "America/Noronha",
            "2026-12-01T03:00:00Z",
            "01:00",
            "01/12/2026",
            "1 Dec 2026",
        );
        // The clocks went forward at midnight, so the day began at one.
        check(
            "America/Sao_Paulo",
            "2018-11-04T03:00:00Z",
            "23:59",
            "03/11/2018",
            "3 Nov 2018",
        );
    }
}
