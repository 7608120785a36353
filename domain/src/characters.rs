//! The characters that AWS takes in a text: those of XML 1.0. SQS always refuses other characters,
//! in a body and in an attribute (SendMessage's API reference). A text from outside may hold every
//! character that JSON can name.

/// The character that replaces each one that AWS does not take.
const REPLACEMENT: char = '\u{FFFD}';

/// The text in which U+FFFD stands for each character that AWS does not take.
pub fn sendable(text: &str) -> String {
    let sendable = |character| match character {
        character if is_sendable(character) => character,
        _ => REPLACEMENT,
    };
    text.chars().map(sendable).collect()
}

/// The same text, cut to at most `max_bytes` bytes.
pub fn sendable_within(text: &str, max_bytes: usize) -> String {
    let mut text = sendable(text);
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

fn is_sendable(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(sendable("a\u{FFFF}\0\u{1B}b"), "a\u{FFFD}\u{FFFD}\u{FFFD}b");
        let taken = "\t\n\r \u{7F}\u{85}é\u{202E}\u{FFFD}\u{1FFFE}\u{10FFFF}";
        assert_eq!(sendable(taken), taken);
    }

    #[test]
    fn a_text_is_cut_between_characters_and_after_what_was_replaced() {
        assert_eq!(sendable_within("é\u{FFFF}é", 5), "é\u{FFFD}");
        assert_eq!(sendable_within("éé", 3), "é");
        assert_eq!(sendable_within("é", 0), "");
    }
}
