//! Names of products. All spellings of a name are one product: in capitals, with composed accents
//! or not, with invisible blanks. The key is made from what they share; people read the name as it
//! was sent.

use unicode_normalization::UnicodeNormalization;

use crate::event::{KEY_PART_MAX_BYTES, escape};
use crate::identifier::is_blank;

/// The name as people read it: composed, with one space for each run of blanks, and without
/// invisible characters. Empty if nothing is readable.
pub fn readable(name: &str) -> String {
    let seen: String = name
        .nfc()
        .filter(|character| character.is_whitespace() || !is_blank(*character))
        .collect();
    let words: Vec<_> = seen.split_whitespace().collect();
    // Compose again, because an invisible character may have separated a letter from its accent.
    words.join(" ").nfc().collect()
}

/// The text that all spellings of one product's name share: the readable name without its case.
///
/// It uses canonical composition (NFC) and no compatibility mapping, so `H₂O` and `m²` stay as they
/// are.
pub fn identity(name: &str) -> String {
    // Through capitals, so that `ß` and `SS` are equal.
    let folded = readable(name).to_lowercase().to_uppercase().to_lowercase();
    folded.nfc().collect()
}

/// Whether a name can be a product's: something is readable, and its key is not too long.
pub fn is_product(name: &str) -> bool {
    let identity = identity(name);
    !identity.is_empty() && escape(&identity).len() <= KEY_PART_MAX_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_spellings_are_one_product() {
        for name in [
            "Pizza Calabresa Média",
            "Pizza Calabresa Me\u{301}dia",
            "PIZZA CALABRESA MÉDIA",
            "pizza  calabresa\u{A0}média",
            "\u{FEFF}Pizza\tCalabresa \u{200B}Média\n",
            "Pizza\u{3000}Calabresa\u{2003} Mé\u{AD}dia ",
        ] {
            assert_eq!(identity(name), "pizza calabresa média", "{name:?}");
        }
        assert_eq!(identity("Weißbier"), identity("WEISSBIER"));
        assert_eq!(identity("ΟΔΟΣ"), identity("οδοσ"));
    }

    #[test]
    fn a_name_that_reads_differently_is_another_product() {
        for (one, other) in [
            ("Pizza", "Pizzá"),
            ("Suco 2", "Suco ²"),
            ("Coca Cola", "CocaCola"),
            ("Água", "Agua"),
        ] {
            assert_ne!(identity(one), identity(other));
        }
    }

    #[test]
    fn the_readable_name_keeps_its_case() {
        assert_eq!(
            readable(" Pizza\u{A0}\u{A0}d'Oro\u{200B}\r\n"),
            "Pizza d'Oro"
        );
        assert_eq!(readable("\u{200B} \u{FEFF}"), "");
        assert!(!is_product("\u{200B} \u{FEFF}"));
        assert!(!is_product(&"x".repeat(KEY_PART_MAX_BYTES + 1)));
        assert!(is_product(&format!("Pizza{}", " ".repeat(5000))));
    }

    proptest! {
        #[test]
        fn an_identity_is_its_own_identity(name in "\\PC{0,12}|[aÁ\u{301}\u{200B}\u{A0} ßΣİı\u{130}\u{345}]{0,8}") {
            let once = identity(&name);
            prop_assert_eq!(identity(&once), once.clone());
            prop_assert_eq!(identity(&readable(&name)), once);
        }

        #[test]
        fn a_decomposed_name_has_the_same_identity(name in "\\PC{0,12}|[aÁ\u{301}e\u{327}]{0,8}") {
            let decomposed: String = name.nfd().collect();
            prop_assert_eq!(identity(&decomposed), identity(&name));
        }
    }
}
