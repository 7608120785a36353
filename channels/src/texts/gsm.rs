//! The alphabet of the phone networks, GSM 03.38: the length of a text in it, and spellings for
//! missing characters.

/// The length of a text in GSM-7: one septet for a character of the basic table, two for one of the
/// extension table. `None` if a character is in neither.
pub(super) fn septets(text: &str) -> Option<usize> {
    text.chars().map(septets_of).sum()
}

fn septets_of(character: char) -> Option<usize> {
    if BASIC.contains(character) {
        Some(1)
    } else if EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

/// The basic table in its order, without the escape at 0x1B.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§\
                     ¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The characters behind the escape.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// The text in GSM-7. Missing letters lose their accents; missing signs become similar ones, or
/// vanish. `None` if that would lose a letter or a digit.
pub(super) fn spell(text: &str) -> Option<String> {
    let mut spelled = String::with_capacity(text.len());
    for character in text.chars() {
        if septets_of(character).is_some() {
            spelled.push(character);
        } else if let Some(lookalike) = lookalike(character) {
            spelled.push_str(lookalike);
        } else if character.is_alphanumeric() {
            return None;
        }
    }
    Some(spelled)
}

fn lookalike(character: char) -> Option<&'static str> {
    let mut all = LOOKALIKES.iter();
    all.find(|(_, lacking)| lacking.contains(character))
        .map(|(lookalike, _)| *lookalike)
}

/// Characters of Latin-1, Latin Extended-A and common punctuation that GSM-7 lacks, behind a
/// similar one.
const LOOKALIKES: [(&str, &str); 61] = [
    ("a", "áâãāăąª"),
    ("A", "ÀÁÂÃĀĂĄ"),
    ("c", "çćĉċč¢"),
    ("C", "ĆĈĊČ"),
    ("d", "ðďđ"),
    ("D", "ÐĎĐ"),
    ("e", "êëēĕėęě"),
    ("E", "ÈÊËĒĔĖĘĚ"),
    ("g", "ĝğġģ"),
    ("G", "ĜĞĠĢ"),
    ("h", "ĥħ"),
    ("H", "ĤĦ"),
    ("i", "íîïĩīĭįı"),
    ("I", "ÌÍÎÏĨĪĬĮİ"),
    ("ij", "ĳ"),
    ("IJ", "Ĳ"),
    ("j", "ĵ"),
    ("J", "Ĵ"),
    ("k", "ķĸ"),
    ("K", "Ķ"),
    ("l", "ĺļľŀł"),
    ("L", "ĹĻĽĿŁ"),
    ("n", "ńņňŉŋ"),
    ("N", "ŃŅŇŊ"),
    ("o", "óôõōŏőº°"),
    ("O", "ÒÓÔÕŌŎŐ"),
    ("oe", "œ"),
    ("OE", "Œ"),
    ("r", "ŕŗř"),
    ("R", "ŔŖŘ"),
    ("s", "śŝşšſș"),
    ("S", "ŚŜŞŠȘ"),
    ("t", "ţťŧț"),
    ("T", "ŢŤŦȚ"),
    ("th", "þ"),
    ("Th", "Þ"),
    ("u", "úûũūŭůűųµ"),
    ("U", "ÙÚÛŨŪŬŮŰŲ"),
    ("w", "ŵ"),
    ("W", "Ŵ"),
    ("y", "ýÿŷ"),
    ("Y", "ÝŶŸ"),
    ("z", "źżž"),
    ("Z", "ŹŻŽ"),
    ("1", "¹"),
    ("2", "²"),
    ("3", "³"),
    ("1/4", "¼"),
    ("1/2", "½"),
    ("3/4", "¾"),
    ("x", "×"),
    (":", "÷"),
    ("+-", "±"),
    ("\"", "«»“”„‟"),
    ("'", "‘’‚‛`´′"),
    ("-", "‐‑‒–—―−·•"),
    ("...", "…"),
    ("|", "¦"),
    ("(c)", "©"),
    ("(R)", "®"),
    ("TM", "™"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_tables_have_all_of_gsm_03_38() {
        assert_eq!(BASIC.chars().count(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
        // Some positions of the standard's table.
        for (position, character) in [
            (0x00, '@'),
            (0x05, 'é'),
            (0x09, 'Ç'),
            (0x0e, 'Å'),
            (0x10, 'Δ'),
            (0x1a, 'Ξ'),
        ] {
            assert_eq!(BASIC.chars().nth(position), Some(character));
        }
        // Behind the escape.
        for (position, character) in [
            (0x1c, 'Æ'),
            (0x20, ' '),
            (0x24, '¤'),
            (0x30, '0'),
            (0x41, 'A'),
            (0x5f, '§'),
            (0x60, '¿'),
            (0x61, 'a'),
            (0x7f, 'à'),
        ] {
            assert_eq!(BASIC.chars().nth(position - 1), Some(character));
        }
    }

    #[test]
    fn counts_septets() {
        let check = |text: &str, expected| assert_eq!(septets(text), expected, "{text:?}");
        check("", Some(0));
        check("Pizza Margherita", Some(16));
        check("Válido", None);
        check("até", Some(3));
        check("À", None);
        check("à", Some(1));
        check("ç", None);
        check("Ç", Some(1));
        check("R$ 75,00", Some(8));
        check("€", Some(2));
        check("[CP-1]", Some(8));
        check("{}[]~^\\|", Some(16));
        check("a\nb\r\u{c}", Some(6));
        check("\t", None);
        check("\u{a0}", None);
        check("…", None);
        check("🍕", None);
        check("`", None);
        check("\u{1b}", None);
    }

    #[test]
    fn spells_missing_characters() {
        let check = |text: &str, expected| {
            assert_eq!(spell(text).as_deref(), expected, "{text:?}");
        };
        check(
            "Válido até amanhã, João Conceição",
            Some("Valido até amanha, Joao Conceicao"),
        );
        check("É só pão-de-ló à vista", Some("É so pao-de-lo à vista"));
        check("“Pizza” – n.º 1…", Some("\"Pizza\" - n.o 1..."));
        check(
            "Łódź, Gdańsk, İzmir, Œuvre",
            Some("Lodz, Gdansk, Izmir, OEuvre"),
        );
        check("½ pizza × 2 ★ 🍕", Some("1/2 pizza x 2  "));
        // Made of a letter and a mark.
        check("Joa\u{303}o", Some("Joao"));
        check("Привет", None);
        check("ピザ", None);
        check("phở", None);
    }

    #[test]
    fn every_letter_of_latin_extended_a_has_a_spelling() {
        for character in '\u{a0}'..='\u{17f}' {
            if character.is_alphanumeric() {
                let spelled = spell(&character.to_string());
                assert!(spelled.is_some_and(|text| !text.is_empty()), "{character}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_spelling_is_gsm_7(text in ".{0,80}") {
            if let Some(spelled) = spell(&text) {
                prop_assert!(septets(&spelled).is_some(), "{spelled}");
                prop_assert_eq!(spell(&spelled), Some(spelled));
            }
        }
    }
}
