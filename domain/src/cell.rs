//! Texts in cells of CSV. A spreadsheet takes some texts for formulas, which may call programs or
//! send data away.

use rust_decimal::Decimal;

/// Whether a spreadsheet takes the text for a formula. Full-width signs count; a spreadsheet skips
/// a leading tab or carriage return.
fn begins_a_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
}

/// The text with an apostrophe before each place where a cell may begin with a formula.
/// Spreadsheets then show the rest as text. After the end of a line, semicolons and tabs may begin
/// cells too.
pub fn written(text: &str) -> String {
    changed(text, |piece| {
        let rest = piece.trim_start_matches('\'');
        match begins_a_formula(rest.trim_start_matches(' ')) {
            true => format!("'{piece}"),
            false => piece.to_owned(),
        }
    })
}

/// Like [`written`], but for a cell that may hold a number. A number stays a number, also below
/// zero.
pub fn written_unless_number(text: &str) -> String {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_number = is_plain && digits.starts_with(|it: char| it.is_ascii_digit());
    let is_number = is_number && Decimal::from_str_exact(text).is_ok();
    match is_number {
        true => text.to_owned(),
        false => written(text),
    }
}

/// The inverse of [`written`]. A text that `written` did not make stays as it is, such as a name
/// that somebody typed.
pub fn read(text: &str) -> String {
    changed(text, |piece| {
        let rest = piece.trim_start_matches('\'');
        match piece.strip_prefix('\'') {
            Some(without) if begins_a_formula(rest.trim_start_matches(' ')) => without.to_owned(),
            _ => piece.to_owned(),
        }
    })
}

fn changed(text: &str, change: impl Fn(&str) -> String) -> String {
    let pieces = text.split_inclusive([';', '\t', '\n', '\r']);
    pieces.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_with_a_formula() {
        let check = |text: &str, expected: &str| {
            assert_eq!(written(text), expected);
            assert_eq!(read(expected), text);
        };
        check("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")");
        check("+1", "'+1");
        check("-5", "'-5");
        check("@SUM(A1)", "'@SUM(A1)");
        check("  =1", "'  =1");
        check("＝1", "'＝1");
        check("'=1", "''=1");
        check("Pizza;=1", "Pizza;'=1");
        check("Pizza\n-5 Suco", "Pizza\n'-5 Suco");
        check("'n Roll", "'n Roll");
        check("Coca-Cola 2 + 1 = 3", "Coca-Cola 2 + 1 = 3");
        check("", "");
    }

    #[test]
    fn a_number_stays_a_number() {
        let check = |text: &str, expected: &str| assert_eq!(written_unless_number(text), expected);
        for number in [
            "-5",
            "0",
            "-0.50",
            "12.25",
            "-79228162514264337593543950335",
        ] {
            check(number, number);
        }
        for text in [
            "+5", "--5", "-5+1", "-", "-5 ", "=5", "-1e5", "-1_000", "-.5",
        ] {
            check(text, &format!("'{text}"));
        }
        check("Pizza", "Pizza");
    }

    /// Tries every short text of the characters that matter.
    #[test]
    fn what_is_written_is_read() {
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer = texts.iter().flat_map(|text| {
                let next = ['\'', '=', '-', '@', ';', '\t', '\n', ' ', 'a'];
                next.map(|it| format!("{text}{it}"))
            });
            texts = longer.collect();
            for text in &texts {
                let cell = written(text);
                assert_eq!(read(&cell), *text);
                let mut cells = cell.split([';', '\t', '\n']);
                let is_text = |it: &str| !it.trim_start().starts_with(['=', '-', '@']);
                assert!(cells.all(is_text), "{text:?}: {cell:?}");
            }
        }
    }
}
