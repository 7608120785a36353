//! The coupon in one SMS.

use jiff::tz::TimeZone;

use super::clean::{line, shorten};
use super::shown::Shown;
use super::templates::File;
use super::{Coupon, Language, Occasion, gsm};

/// Writes the coupon in one message of at most 160 septets of GSM-7 or 70 units of UCS-2. If the
/// whole text does not fit, spells it in GSM-7 with a shorter reward. The code and the date always
/// stay whole. A code that is too long is an error, in words for an operator.
pub fn sms(
    language: Language,
    occasion: Occasion,
    coupon: &Coupon<'_>,
    time_zone: &TimeZone,
) -> Result<String, &'static str> {
    let mut coupon = Shown::of(language, occasion, coupon, time_zone);
    let (name, reward) = (coupon.name.take(), coupon.reward.take());
    let (name, reward) = (name.as_deref(), reward.as_deref());
    let code = coupon.code.clone();
    let mut write = |name: Option<&str>, reward: Option<&str>| {
        coupon.name = name.map(str::to_owned);
        coupon.reward = reward.map(sentence);
        File::Sms.fill(&coupon)
    };

    let whole = write(name, reward);
    if Alphabet::Gsm7.holds(&whole) || Alphabet::Ucs2.holds(&whole) {
        return Ok(whole);
    }
    // A name in another script goes before the reward, and a reward in another script before the
    // code.
    let attempts = [
        (Alphabet::Gsm7, reward),
        (Alphabet::Ucs2, reward),
        (Alphabet::Gsm7, None),
    ];
    let mut attempts = attempts.into_iter();
    attempts
        .find_map(|(alphabet, reward)| fit(alphabet, name, &code, reward, &mut write))
        .ok_or("the coupon's code is too long for one SMS")
}

/// The alphabets in which networks write a message.
#[derive(Clone, Copy)]
enum Alphabet {
    Gsm7,
    Ucs2,
}

impl Alphabet {
    /// Whether the text fits one message.
    fn holds(self, text: &str) -> bool {
        match self {
            Self::Gsm7 => gsm::septets(text).is_some_and(|septets| septets <= 160),
            Self::Ucs2 => text.encode_utf16().count() <= 70,
        }
    }

    /// The text in this alphabet, if the alphabet has its letters.
    fn spell(self, text: &str) -> Option<String> {
        match self {
            Self::Gsm7 => gsm::spell(text),
            Self::Ucs2 => Some(text.to_owned()),
        }
    }
}

/// A shorter piece of a reward's name says nothing.
const REWARD_MIN_CHARS: usize = 10;

/// No message holds a longer name.
const REWARD_MAX_CHARS: usize = 160;

/// The message with as much of the reward's name as fits. If that is too little, leaves out the
/// member's name, and at last the reward's.
fn fit(
    alphabet: Alphabet,
    name: Option<&str>,
    code: &str,
    reward: Option<&str>,
    write: &mut impl FnMut(Option<&str>, Option<&str>) -> String,
) -> Option<String> {
    // Another spelling would be another code.
    if alphabet.spell(code)? != code {
        return None;
    }
    let name = name.and_then(|name| alphabet.spell(name));
    let reward = match reward {
        Some(reward) => line(&alphabet.spell(reward)?),
        None => None,
    };
    let rewards: Vec<_> = reward.iter().flat_map(|reward| shorter(reward)).collect();
    let names = [name.as_deref(), None];
    let with_reward = names.into_iter().flat_map(|name| {
        rewards
            .iter()
            .map(move |reward| (name, Some(reward.as_str())))
    });
    let without = names.into_iter().map(|name| (name, None));
    with_reward.chain(without).find_map(|(name, reward)| {
        let text = alphabet.spell(&write(name, reward))?;
        alphabet.holds(&text).then_some(text)
    })
}

/// The text, and each shorter form of it, the longest first.
fn shorter(text: &str) -> impl Iterator<Item = String> {
    let length = text.chars().count().min(REWARD_MAX_CHARS);
    let shortest = length.min(REWARD_MIN_CHARS);
    let lengths = (shortest..=length).rev();
    lengths.map(|length| shorten(text, length, "..."))
}

/// The text with a full stop, unless it ends like a sentence.
fn sentence(text: &str) -> String {
    match text.chars().last() {
        Some('.' | '!' | '?' | '…') => text.to_owned(),
        _ => format!("{text}."),
    }
}

#[cfg(test)]
mod tests;
