//! A section of an answer as rows with fixed columns, for CSV, for a terminal, and for JSON.

use serde::Serialize;
use serde_json::{Map, Value};
use webhooks::cell;
use webhooks::steering::steers;

/// Rows with the fields of these columns. A missing field is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: &'static [&'static str],
    pub rows: Vec<Map<String, Value>>,
}

impl Table {
    pub fn of<T: Serialize>(
        columns: &'static [&'static str],
        rows: impl IntoIterator<Item = T>,
    ) -> Self {
        let rows = rows
            .into_iter()
            .filter_map(|row| match serde_json::to_value(row) {
                Ok(Value::Object(fields)) => Some(fields),
                _ => None,
            });
        Self {
            columns,
            rows: rows.collect(),
        }
    }

    /// A field as text.
    pub fn text(row: &Map<String, Value>, column: &str) -> String {
        match row.get(column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// The rows as texts, in the order of the columns.
    pub fn records(&self) -> impl Iterator<Item = Vec<String>> {
        let fields = |row| {
            self.columns
                .iter()
                .map(move |column| Self::text(row, column))
        };
        self.rows.iter().map(move |row| fields(row).collect())
    }

    /// CSV with a line of column names. No cell can look like a formula.
    pub fn csv(&self) -> String {
        let mut text = csv_line(self.columns.iter().map(|&column| column.to_owned()));
        for record in self.records() {
            text.push_str(&csv_line(record));
        }
        text
    }
}

/// One line of CSV with its line end. U+FFFD replaces each character that could steer a terminal or
/// turn the reading direction, because people also read CSV as plain text.
pub fn csv_line(cells: impl IntoIterator<Item = String>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let is_harmful =
        |character: char| steers(character) && !matches!(character, '\n' | '\r' | '\t');
    let cells = cells.into_iter().map(|cell| {
        let harmless = cell.replace(is_harmful, "\u{FFFD}");
        cell::written_unless_number(&harmless)
    });
    // Writing to memory cannot fail.
    let _ = writer.write_record(cells);
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn csv_has_its_columns_and_no_formulas() {
        let rows = [
            json!({"reward_name": "=cmd()", "count": 2, "discount": "-5.00", "currency": null}),
            json!({"reward_name": "Pizza, \"grande\"", "count": 1, "rate": 58.33}),
        ];
        let columns = &["reward_name", "count", "discount", "rate", "currency"];
        assert_eq!(
            Table::of(columns, rows).csv(),
            "reward_name,count,discount,rate,currency\n'=cmd(),2,-5.00,,\n\
             \"Pizza, \"\"grande\"\"\",1,,58.33,\n"
        );
        let none: [Value; 0] = [];
        assert_eq!(Table::of(&["a", "b"], none).csv(), "a,b\n");
    }

    #[test]
    fn no_cell_steers_a_terminal_or_turns_its_neighbours() {
        let cells = [
            "a\u{202E}b",
            "\u{9B}31mc",
            "\u{1B}[2J",
            "\u{2066}=1",
            "a\tb",
            "Pão 🍕",
        ];
        assert_eq!(
            csv_line(cells.map(str::to_owned)),
            "a\u{FFFD}b,\u{FFFD}31mc,\u{FFFD}[2J,\u{FFFD}=1,a\tb,Pão 🍕\n"
        );
    }
}
