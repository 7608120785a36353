//! A small reader of Rust code, which separates comments and literals from the rest.

/// A part of code. All parts of a file together are the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Blank(&'a str),
    Comment(&'a str),
    /// A string or a character.
    Literal(&'a str),
    /// A name, a number, or a lifetime without its apostrophe.
    Word(&'a str),
    /// One character, or `::`.
    Sign(&'a str),
}

/// The parts of Rust code, in order.
pub(super) fn parts<'a>(code: &'a str) -> Vec<Part<'a>> {
    let mut rest = code;
    let mut parts = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (length, part): (usize, fn(&'a str) -> Part<'a>) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), Part::Comment)
        } else if rest.starts_with("/*") {
            (after(rest, 0, "*/"), Part::Comment)
        } else if let Some(length) = literal(rest) {
            (length, Part::Literal)
        } else if is_of_a_word(first) {
            let end = rest.find(|it| !is_of_a_word(it));
            (end.unwrap_or(rest.len()), Part::Word)
        } else if first.is_whitespace() {
            (first.len_utf8(), Part::Blank)
        } else {
            let length = if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            (length, Part::Sign)
        };
        let (text, others) = rest.split_at(length);
        parts.push(part(text));
        rest = others;
    }
    parts
}

fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where a text ends that follows `from`, or the end of all.
fn after(code: &str, from: usize, end: &str) -> usize {
    let found = code[from..].find(end);
    found.map_or(code.len(), |at| from + at + end.len())
}

/// The length of the string or the character at the beginning, if there is one.
fn literal(code: &str) -> Option<usize> {
    let marks = code.len() - code.trim_start_matches(['b', 'c']).len();
    let text = &code[marks.min(1)..];
    let length = if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let begins = raw[hashes..].starts_with('"');
        let end = format!("\"{}", "#".repeat(hashes));
        begins.then(|| after(text, 2 + hashes, &end))?
    } else if text.starts_with('"') {
        let mut is_escaped = false;
        let end = text.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        });
        end.map_or(text.len(), |at| at + 2)
    } else {
        let inside = text.strip_prefix('\'')?;
        let first = inside.chars().next()?;
        match first {
            '\\' => after(text, 3, "'"),
            // A lifetime has no second apostrophe.
            _ if inside[first.len_utf8()..].starts_with('\'') => first.len_utf8() + 2,
            _ => return None,
        }
    };
    Some(marks.min(1) + length)
}

#[test]
fn comments_and_literals_are_distinguished_from_code() {
    let code = "fn a<'b>(c: &'b str) { // \"\n\"\\\"d\" r#\"\"e\"# b'\\'' '\"' /* f */ g::h }";
    let all = parts(code);
    let literals = all.iter().filter_map(|part| match part {
        Part::Literal(text) => Some(*text),
        _ => None,
    });
    let literals: Vec<_> = literals.collect();
    let expected = ["\"\\\"d\"", "r#\"\"e\"#", "b'\\''", "'\"'"];
    assert_eq!(literals, expected);
    let words = all.iter().filter_map(|part| match part {
        Part::Word(text) => Some(*text),
        _ => None,
    });
    assert_eq!(words.collect::<String>(), "fnabcbstrgh");
    let whole: String = all
        .iter()
        .map(|part| match part {
            Part::Blank(text) | Part::Comment(text) | Part::Literal(text) => *text,
            Part::Word(text) | Part::Sign(text) => *text,
        })
        .collect();
    assert_eq!(whole, code);
}
