//! The code's layout: lines end by column 100, and files are short.

use super::docs::files;
use super::read;
use super::source::{Part, parts};

const COLUMNS_MAX: usize = 100;

/// The most lines of code of a file, without blank lines, comments, and tests at its end.
const CODE_LINES_MAX: usize = 450;

/// Files with more lines of code. This list only shrinks: once a file is short, its name goes.
const LONG: [&str; 7] = [
    "bench/harness/src/backend.rs",
    "simulation/src/stock_keeping.rs",
    "tests/end_to_end/fraud.rs",
    "tests/end_to_end/inventory.rs",
    "tests/end_to_end/questionnaire.rs",
    "tests/end_to_end/reports.rs",
    "tests/end_to_end/shop.rs",
];

/// The numbers of lines that are too wide. A literal or a URL may be as long as it is.
fn wide_lines(source: &str) -> Vec<usize> {
    let mut shown = String::new();
    for part in parts(source) {
        match part {
            Part::Literal(text) => shown.extend(text.chars().filter(|it| *it == '\n')),
            Part::Comment(text) if text.contains("://") => {}
            Part::Blank(text) | Part::Comment(text) | Part::Word(text) | Part::Sign(text) => {
                shown.push_str(text);
            }
        }
    }
    let lines = shown.lines().zip(1..);
    let wide = lines.filter(|(line, _)| line.chars().count() > COLUMNS_MAX);
    wide.map(|(_, number)| number).collect()
}

fn code_lines(source: &str) -> usize {
    let (code, _) = source
        .split_once("\n#[cfg(test)]\nmod tests {\n")
        .unwrap_or((source, ""));
    let lines = code.lines().map(str::trim_start);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

#[test]
fn lines_end_by_column_100() {
    let mut wide = Vec::new();
    for path in files(&[".rs"]) {
        let lines = wide_lines(&read(&path)).into_iter();
        wide.extend(lines.map(|number| format!("{path}:{number}")));
    }
    assert_eq!(wide, Vec::<String>::new(), "wrap these lines");
}

#[test]
fn files_are_short_except_those_on_the_list() {
    let is_long = |path: &String| code_lines(&read(path)) > CODE_LINES_MAX;
    let long: Vec<_> = files(&[".rs"]).into_iter().filter(is_long).collect();
    let unlisted: Vec<_> = long
        .iter()
        .filter(|path| !LONG.contains(&path.as_str()))
        .collect();
    assert_eq!(unlisted, Vec::<&String>::new(), "split these files by idea");
    let short: Vec<_> = LONG
        .iter()
        .filter(|path| !long.iter().any(|long| long == *path))
        .collect();
    assert_eq!(
        short,
        Vec::<&&str>::new(),
        "take these names off the list LONG"
    );
}

#[test]
fn a_wide_line_and_a_long_file_are_noticed() {
    let word = "x".repeat(COLUMNS_MAX);
    assert_eq!(wide_lines(&format!("a\n    // {word}")), [2]);
    assert_eq!(wide_lines(&format!("let {word} = \"\n\";\nb")), [1]);
    let fit = [
        format!("// https://{word}"),
        format!("let text = \"{word}\";"),
        format!("let text = r#\"a\n{word}\"#;"),
    ];
    for line in fit {
        assert_eq!(wide_lines(&line), [0; 0], "{line}");
    }

    let code = "a\n\n// b\n    /// c\nd\n";
    let tests = "\n#[cfg(test)]\nmod tests {\n    e\n}\n";
    assert_eq!(code_lines(&format!("{code}{tests}")), 2);
}
