//! Cleans text from outside, so that a message can show it.

use webhooks::identifier::is_invisible;

/// The text on one line and without control characters; `None` if nothing is left. Such a text
/// cannot end an e-mail's header or reverse the reading direction.
pub(super) fn line(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let words: Vec<&str> = text
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Words that systems and people write instead of a value: `null`, `N/A`, `não informado`. The
/// comparison ignores case, blanks and punctuation.
const PLACEHOLDERS: [&str; 22] = [
    "null",
    "nil",
    "nan",
    "none",
    "undefined",
    "empty",
    "blank",
    "na",
    "nd",
    "unknown",
    "unnamed",
    "noname",
    "anonymous",
    "notavailable",
    "notprovided",
    "desconhecido",
    "vazio",
    "semnome",
    "semtelefone",
    "naoinformado",
    "nãoinformado",
    "nãodisponível",
];

/// A name, an address or a number on one line, without invisible characters. `None` if it is only a
/// placeholder, or has no letter and no digit.
pub(crate) fn meant(text: &str) -> Option<String> {
    let line = line(text)?;
    let word: String = line
        .chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let is_placeholder = word.is_empty() || PLACEHOLDERS.contains(&word.as_str());
    (!is_placeholder).then_some(line)
}

/// The text with its own line breaks and at most one blank line between two; `None` if nothing is
/// left.
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

/// The first name, if there is one. People also type a number, an address or a link into the field
/// of the name.
pub(super) fn first_name(name: &str) -> Option<String> {
    names(&meant(name)?).next().map(str::to_owned)
}

/// The whole name, up to the first word that does not belong to a name.
pub(super) fn full_name(name: &str) -> Option<String> {
    let name = meant(name)?;
    let names: Vec<_> = names(&name).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

fn names(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(' ');
    words
        .map(|word| word.trim_matches(|character: char| character.is_ascii_punctuation()))
        .take_while(|word| is_name(word))
}

/// Words that can come with a name by mistake: `null null`, `Maria undefined`.
const NO_NAMES: [&str; 2] = ["null", "undefined"];

fn is_name(word: &str) -> bool {
    word.contains(char::is_alphabetic)
        && !NO_NAMES.iter().any(|it| it.eq_ignore_ascii_case(word))
        && word.chars().count() <= 30
        && !word.contains(|character: char| "@/:.".contains(character) || character.is_numeric())
}

/// At most `max_chars` characters of the text. A cut text ends with `end`. The cut is between two
/// words, if that leaves at least half of the text.
pub(super) fn shorten(text: &str, max_chars: usize, end: &str) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let room = max_chars.saturating_sub(end.chars().count());
    let kept: String = text.chars().take(room).collect();
    // One more character, because a word may end exactly at the limit.
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
    fn a_placeholder_means_nothing() {
        for nothing in [
            "",
            " ",
            "null",
            "NULL",
            " Null\n",
            "(null)",
            "[none]",
            "None",
            "undefined",
            "N/A",
            "n.a.",
            "NaN",
            "-",
            "--",
            "—",
            "...",
            "?",
            "***",
            "@",
            "+",
            "Não informado",
            "NAO INFORMADO",
            "sem nome",
            "\u{200b}\u{feff}",
            "\u{3164}",
            "\u{2800}\u{2800}",
            "\u{200d}",
            "\u{fe0f}",
            "n\u{200b}ull",
        ] {
            assert_eq!(meant(nothing), None, "{nothing:?}");
            assert_eq!(first_name(nothing), None, "{nothing:?}");
            assert_eq!(full_name(nothing), None, "{nothing:?}");
        }
        let check = |text: &str, expected: &str| {
            assert_eq!(meant(text).as_deref(), Some(expected));
        };
        check(" Ana\u{a0}Nunes\u{200b} ", "Ana Nunes");
        check("null@example.com", "null@example.com");
        check("+55 11 96595-8122", "+55 11 96595-8122");
        check("Nonô", "Nonô");
        check("Nadia", "Nadia");
    }

    #[test]
    fn a_name_ends_before_a_word_that_is_no_name() {
        assert_eq!(full_name("Maria null").as_deref(), Some("Maria"));
        assert_eq!(full_name("null null"), None);
        assert_eq!(first_name("undefined Silva"), None);
        assert_eq!(first_name("José").as_deref(), Some("José"));
    }

    #[test]
    fn shortens_between_words_where_that_leaves_half() {
        let check = |text: &str, max_chars, expected| {
            assert_eq!(shorten(text, max_chars, "..."), expected);
        };
        check("Pizza grande", 12, "Pizza grande");
        check("Pizza grande", 11, "Pizza...");
        // A word that ends at the limit stays.
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
