//! Identifiers without the blanks that a spreadsheet, a form or a file leaves at their ends.

/// The identifier without the invisible characters at its ends. These are white space, control
/// characters such as line breaks, zero-width characters, marks of direction and byte order marks.
/// Characters inside stay, because they may be intended.
///
/// Every identifier from outside passes through this function before it names anything. Otherwise
/// `CP-1` and `CP-1` with a no-break space would be two coupons.
pub fn clean(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Whether a character is invisible at the end of an identifier.
pub fn is_blank(character: char) -> bool {
    character.is_whitespace() || character.is_control() || is_zero_width(character)
}

/// Inside a text, joiners and variation selectors change how their neighbours look. Some scripts
/// and emoji need them.
fn is_zero_width(character: char) -> bool {
    is_invisible(character)
        || matches!(
            character,
            '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}'
        )
}

/// Whether a character is invisible anywhere. These are the characters that Unicode calls ignorable
/// by default, as far as copied text holds them. They are also marks of direction, and letters and
/// symbols that are drawn as nothing.
pub fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_invisible_character_is_left_at_the_ends() {
        for blank in [
            " ",
            "\t",
            "\n",
            "\r\n",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{ad}",
            "\u{1680}",
            "\u{180e}",
            "\u{2003}",
            "\u{200b}",
            "\u{200c}",
            "\u{200d}",
            "\u{200e}",
            "\u{2028}",
            "\u{202e}",
            "\u{202f}",
            "\u{2060}",
            "\u{2066}",
            "\u{2800}",
            "\u{3000}",
            "\u{3164}",
            "\u{feff}",
            " \u{feff}\u{a0}\n\u{200b} ",
        ] {
            for text in [
                format!("CP-1{blank}"),
                format!("{blank}CP-1"),
                format!("{blank}CP-1{blank}"),
            ] {
                assert_eq!(clean(&text), "CP-1", "{text:?}");
            }
            assert_eq!(clean(blank), "", "{blank:?}");
        }
    }

    #[test]
    fn characters_inside_are_kept() {
        for text in ["CP 1", "CP\u{a0}1", "CP\u{200b}1", "Café-1", "优惠", "🍕"] {
            assert_eq!(clean(text), text);
        }
    }

    proptest! {
        #[test]
        fn a_clean_identifier_stays_as_it_is(text in any::<String>(), end in "[ \u{a0}\u{feff}\u{200b}\na]{0,4}") {
            let text = text + &end;
            let cleaned = clean(&text);
            prop_assert_eq!(clean(cleaned), cleaned);
        }
    }
}
