//! The e-mail that brings a coupon to a restaurant's customer, or reminds of it.

use jiff::tz::TimeZone;

use super::clean::shorten;
use super::shown::Shown;
use super::templates::File;
use super::{Coupon, Language, Occasion};

/// An e-mail, ready to send.
pub struct Email {
    pub subject: String,
    pub html: String,
    pub text: String,
}

/// Writes the e-mail for a coupon. `time_zone` is the reader's.
pub fn email(
    language: Language,
    occasion: Occasion,
    coupon: &Coupon<'_>,
    time_zone: &TimeZone,
) -> Email {
    let coupon = Shown::of(language, occasion, coupon, time_zone);
    Email {
        html: File::EmailHtml.fill(&coupon),
        text: File::EmailText.fill(&coupon),
        subject: subject(coupon),
    }
}

/// How many characters of a reward's name an inbox shows on a computer, after "Seu cupom: ".
const SUBJECT_REWARD_MAX_CHARS: usize = 50;

fn subject(mut coupon: Shown) -> String {
    let reward = coupon.reward.as_deref();
    coupon.reward = reward.map(|name| shorten(name, SUBJECT_REWARD_MAX_CHARS, "…"));
    File::Subject.fill(&coupon)
}

#[cfg(test)]
mod tests;
