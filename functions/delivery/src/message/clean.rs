//! Text that others have written, made fit to stand in a message.

/// The text on one line and without control characters, if anything is left: it can end no header of an e-mail, nor
/// turn the direction in which the rest is read.
pub(super) fn line(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let words: Vec<&str> = text
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Marks of direction, and what takes no room: soft hyphen, zero-width space, byte order mark. Joiners stay, since
/// some scripts and emoji need them.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
    )
}

/// The text with its own line breaks, at most one blank line between two, if anything is left.
pub(super) fn lines(text: &str) -> Option<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|text| line(text).unwrap_or_default())
        .collect();
    lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
    let text = lines.join("\n");
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first name, if there is one: people also leave a number, an address or a link where they are asked for it.
pub(super) fn first_name(name: &str) -> Option<String> {
    names(&line(name)?).next().map(str::to_owned)
}

/// The whole name, up to a word that is none.
pub(super) fn full_name(name: &str) -> Option<String> {
    let name = line(name)?;
    let names: Vec<_> = names(&name).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

fn names(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(' ');
    words
        .map(|word| word.trim_matches(|character: char| character.is_ascii_punctuation()))
        .take_while(|word| is_name(word))
}

fn is_name(word: &str) -> bool {
    word.contains(char::is_alphabetic)
        && word.chars().count() <= 30
        && !word.contains(|character: char| "@/:.".contains(character) || character.is_numeric())
}

/// At most `max_chars` characters of the text, the end marked where it is cut: between two words, where that leaves at
/// least half of them.
pub(super) fn shorten(text: &str, max_chars: usize, end: &str) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let room = max_chars.saturating_sub(end.chars().count());
    let kept: String = text.chars().take(room).collect();
    // One more: a word may end just here.
    let words: String = text.chars().take(room + 1).collect();
    let kept = match words.rfind(char::is_whitespace) {
        Some(at) if at >= kept.len() / 2 => &words[..at],
        _ => &kept,
    };
    let kept = kept.trim_end_matches(|character: char| {
        character.is_whitespace() || ",;:.-–(".contains(character)
    });
    format!("{kept}{end}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shortens_between_words_where_that_leaves_half() {
        let check = |text: &str, max_chars, expected| {
            assert_eq!(shorten(text, max_chars, "..."), expected);
        };
        check("Pizza grande", 12, "Pizza grande");
        check("Pizza grande", 11, "Pizza...");
        // A word that ends where the room does stays.
        check("Pizza grande", 8, "Pizza...");
        check("Pizza grande", 7, "Pizz...");
        check("Pizza, grande e boa", 13, "Pizza...");
        check("A margherita", 10, "A margh...");
        check("Pizza", 3, "...");
    }

    proptest! {
        #[test]
        fn is_never_longer_than_asked(text in "\\PC{0,40}", max_chars in 3_usize..50) {
            let short = shorten(&text, max_chars, "...");
            prop_assert!(short.chars().count() <= max_chars, "{short:?}");
        }

        #[test]
        fn a_line_is_one(text in "(.|\\s|\\PC){0,60}") {
            if let Some(line) = line(&text) {
                prop_assert!(!line.contains(|c: char| c.is_control() || is_invisible(c)));
                prop_assert!(!line.contains("  ") && line.trim() == line && !line.is_empty());
            }
        }
    }
}
