//! Characters that steer the display of a text: in a terminal, a viewer of logs, an editor.

use std::borrow::Cow;

/// Whether a character steers the display: control characters (C0, DEL, C1), marks of direction,
/// and separators of lines.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{206F}'
        )
}

/// The text with steering characters beyond ASCII written as `\u202e`. In JSON, whose writers
/// escape the others, it is the same text. Elsewhere only ASCII control characters remain, which
/// colour a log.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_wild = |character: char| !character.is_ascii() && steers(character);
    if !text.contains(is_wild) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_wild(character) {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_characters_are_escaped_and_ordinary_text_is_not() {
        for text in [
            "",
            "Pão de açúcar 🍕👨\u{200D}👩",
            "שלום می\u{200C}خواهم",
            "a\u{1b}[1m\n\t",
        ] {
            assert!(matches!(escaped(text), Cow::Borrowed(_)), "{text:?}");
        }
        assert_eq!(
            escaped("a\u{202E}b\u{9B}c\u{2066}\u{200F}\u{2028}\u{85}"),
            "a\\u202eb\\u009bc\\u2066\\u200f\\u2028\\u0085"
        );
        let json = serde_json::to_string("a\u{202E}\"\u{9B}\n").unwrap();
        let read: String = serde_json::from_str(&escaped(&json)).unwrap();
        assert_eq!(read, "a\u{202E}\"\u{9B}\n");
    }
}
