//! What one product is: however its name is typed, in capitals, with accents composed or not, with blanks that nobody
//! sees, it is one product. Its key is made of that; what people read is the name as it was told.

use unicode_normalization::UnicodeNormalization;

use crate::event::{KEY_PART_MAX_BYTES, escape};
use crate::identifier::is_blank;

/// The name as people read it: composed, one space for each run of blanks, nothing that is not seen. Empty where there
/// is nothing to read.
pub fn readable(name: &str) -> String {
    let seen: String = name
        .nfc()
        .filter(|it| it.is_whitespace() || !is_blank(*it))
        .collect();
    let words: Vec<_> = seen.split_whitespace().collect();
    // What stood apart only by something unseen is composed now.
    words.join(" ").nfc().collect()
}

/// What two names of one product have in common: the readable name without its case.
///
/// Canonical composition (NFC) and no compatibility mapping: `H₂O` and `m²` stay what they are.
pub fn identity(name: &str) -> String {
    // By way of capitals, so that `ß` and `SS` are one.
    let folded = readable(name).to_lowercase().to_uppercase().to_lowercase();
    folded.nfc().collect()
}

/// Whether a name can be a product's: there is something to read, and its key is not too long.
pub fn is_product(name: &str) -> bool {
    let identity = identity(name);
    !identity.is_empty() && escape(&identity).len() <= KEY_PART_MAX_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn however_it_is_typed_it_is_one_product() {
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
    fn what_reads_differently_is_another() {
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
    fn what_is_read_keeps_its_case() {
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
        fn an_identity_is_its_own(name in "\\PC{0,12}|[aÁ\u{301}\u{200B}\u{A0} ßΣİı\u{130}\u{345}]{0,8}") {
            let once = identity(&name);
            prop_assert_eq!(identity(&once), once.clone());
            prop_assert_eq!(identity(&readable(&name)), once);
        }

        #[test]
        fn decomposed_is_composed(name in "\\PC{0,12}|[aÁ\u{301}e\u{327}]{0,8}") {
            let decomposed: String = name.nfd().collect();
            prop_assert_eq!(identity(&decomposed), identity(&name));
        }
    }
}
