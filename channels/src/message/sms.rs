//! The coupon in one SMS.

use jiff::tz::TimeZone;

use super::clean::{line, shorten};
use super::shown::Shown;
use super::templates::File;
use super::{Coupon, Language, Occasion, gsm};

/// Writes the coupon in one message of at most 160 septets of GSM-7 or 70 units of UCS-2. If the
/// whole text does not fit, it is spelled in GSM-7 with a shorter reward. Neither code nor date is
/// ever cut. A code that is too long is an error, in words for an operator.
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
    // A name in another script is left out before the reward is, and a reward in another script
    // before the code.
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

/// The message with as much of the reward's name as fits. If that is too little, the member's name
/// is left out, and at last the reward's.
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
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{Sample, bare, pizza, sao_paulo};
    use super::*;

    fn written(sample: &Sample) -> Result<String, &'static str> {
        written_in(Language::PtBr, Occasion::Redeemed, sample)
    }

    fn written_in(
        language: Language,
        occasion: Occasion,
        sample: &Sample,
    ) -> Result<String, &'static str> {
        sms(language, occasion, &sample.coupon(), &sao_paulo())
    }

    fn check(sample: &Sample, expected: &str) {
        assert_eq!(written(sample).as_deref(), Ok(expected));
    }

    fn with_reward(name: &str) -> Sample {
        pizza().reward(Some(name))
    }

    #[test]
    fn each_language_and_occasion_has_its_words() {
        let check = |language, occasion, expected| {
            assert_eq!(
                written_in(language, occasion, &pizza()).as_deref(),
                Ok(expected)
            );
        };
        check(
            Language::PtBr,
            Occasion::Redeemed,
            "Maria, seu cupom CP-A1B2C3D4 esta pronto! Pizza Margherita Gratis. Valido até 26/09/2025.",
        );
        check(
            Language::PtBr,
            Occasion::Expiring,
            "Maria, seu cupom CP-A1B2C3D4 expira em breve! Pizza Margherita Gratis. Valido até 26/09/2025.",
        );
        check(
            Language::En,
            Occasion::Redeemed,
            "Maria, your coupon CP-A1B2C3D4 is ready! Pizza Margherita Gratis. Valid until 26 Sep 2025.",
        );
        check(
            Language::En,
            Occasion::Expiring,
            "Maria, your coupon CP-A1B2C3D4 expires soon! Pizza Margherita Gratis. Valid until 26 Sep 2025.",
        );
    }

    #[test]
    fn accents_stay_where_there_is_room_for_them() {
        check(
            &pizza().reward(None),
            "Maria, seu cupom CP-A1B2C3D4 está pronto! Válido até 26/09/2025.",
        );
        check(&bare("CP-1"), "Seu cupom CP-1 está pronto!");
    }

    #[test]
    fn a_long_reward_is_cut_between_words() {
        check(
            &with_reward(
                "Pizza Margherita grande, com borda recheada de catupiry e refrigerante de dois litros, e sobremesa",
            ),
            "Maria, seu cupom CP-A1B2C3D4 esta pronto! Pizza Margherita grande, com borda recheada de catupiry e \
             refrigerante de dois litros, e... Valido até 26/09/2025.",
        );
    }

    #[test]
    fn a_reward_ends_like_a_sentence_once() {
        check(
            &with_reward("Grátis!"),
            "Maria, seu cupom CP-A1B2C3D4 esta pronto! Gratis! Valido até 26/09/2025.",
        );
        check(
            &with_reward("Uma esfiha."),
            "Maria, seu cupom CP-A1B2C3D4 esta pronto! Uma esfiha. Valido até 26/09/2025.",
        );
    }

    #[test]
    fn characters_that_gsm_7_lacks_are_left_out_or_replaced() {
        check(
            &with_reward("🍕 Pizza – “da casa” 🍕🎉 e café"),
            "Maria, seu cupom CP-A1B2C3D4 esta pronto! Pizza - \"da casa\" e café. Valido até 26/09/2025.",
        );
        check(
            &with_reward("🍕🍕🍕🍕🍕🍕🍕🍕"),
            "Maria, seu cupom CP-A1B2C3D4 esta pronto! Valido até 26/09/2025.",
        );
    }

    #[test]
    fn a_name_in_another_script_goes_before_the_reward() {
        check(
            &pizza().name(Some("Иван")),
            "Seu cupom CP-A1B2C3D4 esta pronto! Pizza Margherita Gratis. Valido até 26/09/2025.",
        );
    }

    #[test]
    fn a_reward_in_another_script_keeps_its_script() {
        check(
            &with_reward("ピザ・マルゲリータ"),
            "Seu cupom CP-A1B2C3D4 está pronto! ピザ・マルゲリータ. Válido até 26/09/2025.",
        );
        check(
            &bare("CP-1").reward(Some(&"ピザ".repeat(40))),
            &format!(
                "Seu cupom CP-1 está pronto! {}...",
                "ピザ".repeat(19) + "ピ"
            ),
        );
    }

    #[test]
    fn a_code_is_never_cut_nor_spelled_otherwise() {
        // Forty characters and more take the room of the reward, and then that of the name.
        let forty = "CP-".to_owned() + &"A1B2C3D4".repeat(5);
        check(
            &pizza().code(&forty),
            &format!(
                "Maria, seu cupom {forty} esta pronto! Pizza Margherita Gratis. Valido até 26/09/2025."
            ),
        );
        let hundred = "X".repeat(100);
        check(
            &pizza().code(&hundred),
            &format!("Seu cupom {hundred} esta pronto! Pizza... Valido até 26/09/2025."),
        );
        let longest = "X".repeat(114);
        check(
            &pizza().code(&longest),
            &format!("Seu cupom {longest} esta pronto! Valido até 26/09/2025."),
        );
        assert!(written(&pizza().code(&"X".repeat(115))).is_err());

        // GSM-7 cannot write this code, so the message has only the room of UCS-2.
        check(
            &pizza().code("AÇÃO-DE-GRAÇAS"),
            "Seu cupom AÇÃO-DE-GRAÇAS está pronto! Pizza... Válido até 26/09/2025.",
        );
        assert!(written(&pizza().code(&"Ã".repeat(25))).is_err());
        // Each character of the extension table takes two septets.
        assert!(written(&pizza().code(&"[".repeat(57))).is_ok());
        assert!(written(&pizza().code(&"[".repeat(58))).is_err());
    }

    #[test]
    fn a_long_code_in_gsm_7_goes_before_a_reward_in_another_script() {
        let code = "X".repeat(60);
        check(
            &pizza().code(&code).reward(Some("ピザ")),
            &format!("Maria, seu cupom {code} esta pronto! Valido até 26/09/2025."),
        );
    }

    #[test]
    fn no_value_brings_a_line_or_a_control_character() {
        let sample = pizza()
            .name(Some("Maria\r\nBcc: x"))
            .code("CP-1\0\n2")
            .reward(Some("Pizza\r\n\tgrande\u{7}\u{202e}"));
        check(
            &sample,
            "Maria, seu cupom CP-1 2 esta pronto! Pizza grande. Valido até 26/09/2025.",
        );
    }

    proptest! {
        #[test]
        fn is_one_message_with_its_code_and_date(
            name in proptest::option::of("(\\PC{0,12}|[A-Za-zÀ-ÿ]{1,40})( \\PC{0,8})?"),
            code in "[A-Za-z0-9_/.-]{1,60}",
            reward in proptest::option::of("(\\PC{0,200}|([a-zà-ÿ]{1,12} ){0,40})"),
            english in any::<bool>(),
            expiring in any::<bool>(),
        ) {
            let language = if english { Language::En } else { Language::PtBr };
            let occasion = if expiring { Occasion::Expiring } else { Occasion::Redeemed };
            let sample = pizza().name(name.as_deref()).code(&code).reward(reward.as_deref());
            let text = written_in(language, occasion, &sample).unwrap();
            let is_one = match gsm::septets(&text) {
                Some(septets) => septets <= 160,
                None => text.encode_utf16().count() <= 70,
            };
            prop_assert!(is_one, "{text:?}");
            prop_assert!(text.contains(&code), "{text:?}");
            let date = if english { "26 Sep 2025." } else { "26/09/2025." };
            prop_assert!(text.ends_with(date), "{text:?}");
            prop_assert!(!text.contains(char::is_control), "{text:?}");
        }

        #[test]
        fn any_code_is_whole_or_refused(code in "\\PC{1,9}|[A-Z0-9À-ÿ★’ -]{1,130}", reward in "\\PC{0,100}") {
            let sample = pizza().code(&code).reward(Some(&reward));
            if let Ok(text) = written(&sample) {
                prop_assert!(text.contains(&line(&code).unwrap_or("-".into())), "{text:?}");
                prop_assert!(Alphabet::Gsm7.holds(&text) || Alphabet::Ucs2.holds(&text), "{text:?}");
            }
        }
    }
}
