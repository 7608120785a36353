//! How a text travels to a phone: its alphabet, and the number of messages that carry it.

use crate::sent::Encoding;

/// The basic alphabet of 3GPP TS 23.038, in which a character takes one septet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
                     ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The alphabet's extension, in which a character and its escape take two septets.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// The encoding of the whole text: one character outside the alphabet changes it for all.
pub(super) fn encoding_of(text: &str) -> Encoding {
    let is_gsm = |c| BASIC.contains(c) || EXTENSION.contains(c);
    if text.chars().all(is_gsm) {
        Encoding::Gsm7
    } else {
        Encoding::Ucs2
    }
}

/// How many messages carry the text. If there are several, each carries less, because it also
/// says which part it is.
pub(super) fn parts(encoding: Encoding, text: &str) -> usize {
    let (alone, of_several) = match encoding {
        Encoding::Gsm7 => (160, 153),
        Encoding::Ucs2 => (70, 67),
    };
    let lengths = || text.chars().map(|c| length(encoding, c));
    if lengths().sum::<usize>() <= alone {
        return 1;
    }
    // The cut never splits a character.
    let (mut parts, mut used) = (1, 0);
    for length in lengths() {
        if used + length > of_several {
            parts += 1;
            used = 0;
        }
        used += length;
    }
    parts
}

/// In septets, or in units of 16 bits.
fn length(encoding: Encoding, c: char) -> usize {
    match encoding {
        Encoding::Gsm7 => 1 + usize::from(EXTENSION.contains(c)),
        Encoding::Ucs2 => c.len_utf16(),
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, encoding: Encoding, parts: usize) {
        assert_eq!(encoding_of(text), encoding, "{text:?}");
        assert_eq!(super::parts(encoding, text), parts, "{text:?}");
    }

    #[test]
    fn one_odd_letter_makes_all_of_them_wide() {
        check("Cupom CP-1: 10% à vista [R$ 5]", Encoding::Gsm7, 1);
        check("Cupom CP-1: promoção", Encoding::Ucs2, 1);
        check("", Encoding::Gsm7, 1);
    }

    #[test]
    fn several_parts_carry_less_each() {
        check(&"a".repeat(160), Encoding::Gsm7, 1);
        check(&"a".repeat(161), Encoding::Gsm7, 2);
        check(&"a".repeat(306), Encoding::Gsm7, 2);
        check(&"a".repeat(307), Encoding::Gsm7, 3);
        check(&"ã".repeat(70), Encoding::Ucs2, 1);
        check(&"ã".repeat(71), Encoding::Ucs2, 2);
        check(&"ã".repeat(135), Encoding::Ucs2, 3);
    }

    #[test]
    fn a_character_of_two_units_is_not_cut() {
        check(&"€".repeat(80), Encoding::Gsm7, 1);
        check(&"€".repeat(81), Encoding::Gsm7, 2);
        // 76 characters fit into the space of 153 septets, not 76 and a half.
        check(&"€".repeat(153), Encoding::Gsm7, 3);
        check(&"🎁".repeat(35), Encoding::Ucs2, 1);
        check(&"🎁".repeat(67), Encoding::Ucs2, 3);
    }
}
