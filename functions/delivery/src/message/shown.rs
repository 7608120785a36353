//! A coupon as the templates show it.

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::clean::{first_name, line, lines, shorten};
use super::{Coupon, Language, Occasion, discount_in_words};

/// Values that may stand in any template: clean, of a bounded length, and `None` rather than blank.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) language: Language,
    pub(super) occasion: Occasion,
    /// How to address the member.
    pub(super) name: Option<String>,
    pub(super) code: String,
    pub(super) reward: Option<String>,
    /// In words.
    pub(super) discount: Option<String>,
    pub(super) description: Option<String>,
    pub(super) terms: Option<String>,
    /// The end of the coupon on its reader's calendar and clock.
    pub(super) expires: Option<Zoned>,
}

/// Limits that no honest text reaches. With them the mail stays below 102 KB, where Gmail cuts it off, though
/// escaping makes five bytes of one.
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
            expires: coupon.expires_at.map(|at| at.to_zoned(time_zone.clone())),
        }
    }

    /// Whether the code fits the mail's large type on one line of a phone 360 pixels wide.
    pub(super) fn code_fits_a_line(&self) -> bool {
        self.code.chars().count() <= 13
    }
}

/// Stands where a code is made of nothing that can be shown: no channel takes an empty text.
const NO_CODE: &str = "-";
