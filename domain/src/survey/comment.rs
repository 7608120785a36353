//! What is kept of a member's comment.

use crate::identifier::is_invisible;
use crate::steering::steers;

/// The most characters of a comment. A longer comment is cut.
pub const COMMENT_MAX_CHARACTERS: usize = 2000;

/// Cleans a comment: removes control and invisible characters, keeps at most one blank line between
/// two others, and cuts at [`COMMENT_MAX_CHARACTERS`]. Returns `None` if nothing is left.
pub fn clean_comment(comment: &str) -> Option<String> {
    let unified = comment.replace("\r\n", "\n").replace('\r', "\n");
    let shown = unified.chars().filter_map(|character| match character {
        '\n' => Some('\n'),
        '\t' => Some(' '),
        character if steers(character) || is_invisible(character) => None,
        character => Some(character),
    });
    let shown: String = shown.collect();
    let mut lines: Vec<_> = shown.lines().map(str::trim).collect();
    lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
    let cleaned = lines.join("\n");
    let kept: String = cleaned
        .trim()
        .chars()
        .take(COMMENT_MAX_CHARACTERS)
        .collect();
    let kept = kept.trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_comment_is_kept_without_what_steers_its_readers() {
        let check = |given: &str, expected: Option<&str>| {
            assert_eq!(clean_comment(given).as_deref(), expected, "{given:?}");
        };
        check("", None);
        check(" \t\r\n\u{200B}", None);
        check("a\r\nb\rc\n\n\n\nd ", Some("a\nb\nc\n\nd"));
        check("a\0\u{1B}[1mb\u{202E}c\u{85}\u{2028}", Some("a[1mbc"));
        check("<b>não</b> & \"bom\" 🍕", Some("<b>não</b> & \"bom\" 🍕"));
    }

    #[test]
    fn a_longer_comment_is_cut_between_characters() {
        let long = "é".repeat(COMMENT_MAX_CHARACTERS + 7);
        let kept = clean_comment(&long).unwrap();
        assert_eq!(kept.chars().count(), COMMENT_MAX_CHARACTERS);
        assert!(long.starts_with(&kept));
    }

    proptest! {
        #[test]
        fn a_kept_comment_is_kept_as_it_is(comment in "\\PC*|[a \\n\\r\\t\u{202E}]*") {
            let kept = clean_comment(&comment);
            let again = kept.as_deref().and_then(clean_comment);
            prop_assert_eq!(again, kept);
        }
    }
}
