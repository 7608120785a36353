//! The stock as CSV. An import reads an exported file, and reports every problem of a file at once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use csv::{ReaderBuilder, StringRecord, Trim, Writer};
use rust_decimal::Decimal;
use webhooks::cell;

use super::shown::Shown;
use super::{at_least_zero, name, quantity};

const COLUMNS: [&str; 8] = [
    "tenant",
    "product",
    "on_hand",
    "reserved",
    "available",
    "threshold",
    "rewards",
    "counted",
];

/// What the column `counted` says.
const YES: &str = "yes";
const NO: &str = "no";

/// The columns that every file needs.
const NEEDED: [&str; 2] = ["product", "on_hand"];

/// A product, from a line of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// The number of the line, counted from 1.
    pub(super) number: u64,
    pub(super) tenant: Option<String>,
    pub(super) product: String,
    /// `None` if the line only names rewards.
    pub(super) on_hand: Option<Decimal>,
    pub(super) threshold: Option<Decimal>,
    pub(super) rewards: Vec<String>,
}

/// Writes products, each with its rewards. The column for the threshold is empty unless the product
/// has its own.
pub(super) fn write(
    products: &[Shown],
    mut rewards: BTreeMap<(String, String), Vec<String>>,
) -> anyhow::Result<String> {
    let mut sheet = Writer::from_writer(Vec::new());
    sheet.write_record(COLUMNS)?;
    for product in products {
        let rewards = rewards.remove(&(product.tenant.clone(), product.product.clone()));
        let number = |number: Decimal| number.normalize().to_string();
        let threshold = match product.has_threshold {
            true => number(product.threshold.0),
            false => String::new(),
        };
        // An uncounted product's negative quantity must not return as a count.
        let known = |exact: Decimal| match product.counted {
            true => number(exact),
            false => String::new(),
        };
        sheet.write_record([
            cell::written(&product.tenant).as_str(),
            &cell::written(&product.product),
            &known(product.on_hand.0),
            &number(product.reserved.0),
            &known(product.available.0),
            &threshold,
            &cell::written(&rewards.unwrap_or_default().join("\n")),
            if product.counted { YES } else { NO },
        ])?;
    }
    // Rewards of products without a stock.
    for ((tenant, product), rewards) in rewards {
        let [tenant, product, rewards] =
            [tenant, product, rewards.join("\n")].map(|text| cell::written(&text));
        sheet.write_record([&tenant, &product, "", "", "", "", &rewards, NO])?;
    }
    let bytes = sheet.into_inner().context("writing CSV")?;
    String::from_utf8(bytes).context("CSV of texts is text")
}

pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Line>> {
    let place = file.display();
    let mut text = Vec::new();
    let length = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut text),
        false => File::open(file).and_then(|mut file| file.read_to_end(&mut text)),
    };
    length.with_context(|| format!("reading {place}"))?;
    match parse(&text) {
        Ok(lines) => Ok(lines),
        Err(problems) => bail!("{place}: {}", problems.join("\n")),
    }
}

/// Reads all lines, or returns everything that is wrong with them.
fn parse(text: &[u8]) -> Result<Vec<Line>, Vec<String>> {
    // Spreadsheets write a byte order mark.
    let text = text.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(text);
    let head = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let semicolons = head.contains(&b';') && !head.contains(&b',');
    let mut reader = ReaderBuilder::new()
        .delimiter(if semicolons { b';' } else { b',' })
        .trim(Trim::All)
        .flexible(true)
        .from_reader(text);
    let head = reader.headers().map_err(|error| vec![explain(&error)])?;
    let columns = columns(&head.clone())?;
    let mut sheet = Sheet {
        columns,
        decimal_commas: semicolons,
        problems: Vec::new(),
    };
    let mut lines: Vec<Line> = Vec::new();
    let mut seen: HashMap<(Option<String>, String), u64> = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                sheet.problems.push(explain(&error));
                continue;
            }
        };
        let Some(line) = sheet.line(&record, line_of(&record, text)) else {
            continue;
        };
        let product = (line.tenant.clone(), line.product.clone());
        if let Some(first) = seen.insert(product, line.number) {
            let problem = format!("{:?} is in line {first} too", line.product);
            sheet.problem(line.number, "product", &problem);
        }
        lines.push(line);
    }
    if sheet.problems.is_empty() {
        return Ok(lines);
    }
    Err(sheet.problems)
}

/// The position of each column.
fn columns(head: &StringRecord) -> Result<HashMap<&'static str, usize>, Vec<String>> {
    let mut columns = HashMap::new();
    let mut problems = Vec::new();
    for (index, title) in head.iter().enumerate() {
        let known = COLUMNS
            .into_iter()
            .find(|it| title.eq_ignore_ascii_case(it));
        let column = index + 1;
        match known {
            Some(known) if columns.insert(known, index).is_some() => {
                problems.push(format!("line 1, column {column}: {known} is there twice"));
            }
            Some(_) => {}
            None => problems.push(format!(
                "line 1, column {column}: {title:?} is none of {}",
                COLUMNS.join(", ")
            )),
        }
    }
    for needed in NEEDED {
        if !columns.contains_key(needed) {
            problems.push(format!("line 1: the column {needed} is missing"));
        }
    }
    if problems.is_empty() {
        return Ok(columns);
    }
    Err(problems)
}

/// The line in which a record begins. The reader's own count starts before the line ends that it
/// skips.
fn line_of(record: &StringRecord, text: &[u8]) -> u64 {
    let begins = record.position().map_or(0, csv::Position::byte);
    let begins = usize::try_from(begins).unwrap_or_default().min(text.len());
    let line_ends = text[begins..].iter();
    let line_ends = line_ends.take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let begins = begins + line_ends.count();
    let before = text[..begins].iter().filter(|byte| **byte == b'\n');
    1 + before.count() as u64
}

struct Sheet {
    columns: HashMap<&'static str, usize>,
    decimal_commas: bool,
    problems: Vec<String>,
}

impl Sheet {
    fn line(&mut self, record: &StringRecord, number: u64) -> Option<Line> {
        if record.iter().all(str::is_empty) {
            return None;
        }
        if record.len() > self.columns.len() {
            let problem = format!("line {number}: it has more columns than the first line");
            self.problems.push(problem);
            return None;
        }
        let cell = |column: &str| {
            let index = self.columns.get(column)?;
            record.get(*index).filter(|text| !text.is_empty())
        };
        let text = |column: &str| cell(column).map(cell::read);
        let (tenant, product) = (text("tenant"), text("product"));
        let rewards = text("rewards").unwrap_or_default();
        let rewards: Vec<_> = rewards.lines().map(str::to_owned).collect();
        let on_hand = cell("on_hand");
        let threshold = cell("threshold");
        let is_counted = cell("counted").is_none_or(|it| it != NO);
        let (product, on_hand, threshold) = (
            self.read(
                number,
                "product",
                &product.unwrap_or_default(),
                super::product,
            ),
            on_hand.map(|text| self.number(number, "on_hand", text, quantity)),
            threshold.map(|text| self.number(number, "threshold", text, at_least_zero)),
        );
        let tenant = match tenant {
            Some(tenant) => Some(self.read(number, "tenant", &tenant, name)?),
            None => None,
        };
        let rewards: Option<Vec<_>> = rewards
            .iter()
            .map(|reward| self.read(number, "rewards", reward, super::product))
            .collect();
        let rewards = rewards?;
        if on_hand.is_none() && rewards.is_empty() && is_counted {
            self.problem(number, "on_hand", "it is empty");
            return None;
        }
        Some(Line {
            number,
            tenant,
            product: product?,
            on_hand: on_hand.map_or(Some(None), |it| it.map(Some))?,
            threshold: threshold.map_or(Some(None), |it| it.map(Some))?,
            rewards,
        })
    }

    fn number(
        &mut self,
        line: u64,
        column: &str,
        text: &str,
        read: impl Fn(&str) -> Result<Decimal, String>,
    ) -> Option<Decimal> {
        match self.decimal_commas {
            true => self.read(line, column, &text.replace(',', "."), read),
            false => self.read(line, column, text, read),
        }
    }

    fn read<T>(
        &mut self,
        line: u64,
        column: &str,
        text: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problem(line, column, &format!("{text:?}: {problem}"));
                None
            }
        }
    }

    fn problem(&mut self, line: u64, column: &str, problem: &str) {
        let index = self.columns.get(column).map_or(0, |index| index + 1);
        self.problems
            .push(format!("line {line}, column {index} ({column}): {problem}"));
    }
}

fn explain(error: &csv::Error) -> String {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => format!("line {line}: it is not UTF-8; save it as such"),
        _ => format!("line {line}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use webhooks::stock::Product;

    use super::*;

    fn line(number: u64, tenant: &str, product: &str, on_hand: &str) -> Line {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Line {
            number,
            tenant: some(tenant),
            product: product.into(),
            on_hand: some(on_hand).map(|it| it.parse().unwrap()),
            threshold: None,
            rewards: Vec::new(),
        }
    }

    #[track_caller]
    fn check_wrong(text: &str, expected: &[&str]) {
        let problems = parse(text.as_bytes()).unwrap_err();
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn columns_may_be_few_and_in_any_order() {
        let lines = parse("On_Hand,product\n12, Pizza \n\n0.5,\"Suco, de uva\"\n".as_bytes());
        let expected = [
            line(2, "", "Pizza", "12"),
            line(4, "", "Suco, de uva", "0.5"),
        ];
        assert_eq!(lines.unwrap(), expected);
    }

    #[test]
    fn a_spreadsheets_semicolons_and_commas_are_read() {
        let text = "\u{FEFF}product;on_hand;threshold\r\nPizza;0,5;2\r\n";
        let mut expected = line(2, "", "Pizza", "0.5");
        expected.threshold = Some(2.into());
        assert_eq!(parse(text.as_bytes()).unwrap(), [expected]);
    }

    #[test]
    fn every_problem_names_its_line_and_column() {
        check_wrong(
            "product,on_hand,threshold\nPizza,x,-1\n,3,\nSuco,,\nÁgua,1,2,3\nPizza,1\n\"Bolo\",1\nBolo,2\n",
            &[
                "line 2, column 2 (on_hand): \"x\": it must be a number",
                "line 2, column 3 (threshold): \"-1\": it must be at least 0",
                "line 3, column 1 (product): \"\": it is empty",
                "line 4, column 2 (on_hand): it is empty",
                "line 5: it has more columns",
                "line 8, column 1 (product): \"Bolo\" is in line 7 too",
            ],
        );
        check_wrong(
            "product,stock,product\n",
            &[
                "line 1, column 2: \"stock\" is none of",
                "line 1, column 3: product is there twice",
                "line 1: the column on_hand is missing",
            ],
        );
        check_wrong(
            "",
            &[
                "line 1: the column product is missing",
                "line 1: the column on_hand",
            ],
        );
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_refused() {
        let problems = parse(b"product,on_hand\nPizza,1\nCaf\xe9,2\n").unwrap_err();
        assert_eq!(problems, ["line 3: it is not UTF-8; save it as such"]);
    }

    #[test]
    fn an_exported_file_can_be_imported_again() {
        let product = |name: &str, on_hand: &str, has_threshold| {
            let product = Product {
                tenant: "zupy#comp".into(),
                name: name.into(),
                on_hand: on_hand.parse().unwrap(),
                threshold: 7.into(),
                has_threshold,
                is_counted: true,
                alerted: None,
                alert_failed: None,
                spellings: std::collections::BTreeSet::new(),
            };
            Shown::new(&product, 1.into())
        };
        let products = [
            product("=Pizza \"grande\", 4;-5", "-1.5", true),
            product("Suco", "3", false),
            Shown {
                counted: false,
                ..product("Vinho", "-7", false)
            },
        ];
        let key = |name: &str| ("comp".to_owned(), name.to_owned());
        let rewards = BTreeMap::from([
            (key("Suco"), vec!["-5% de suco".to_owned(), "@suco".into()]),
            (key("Bolo"), vec!["Bolo grátis".to_owned()]),
        ]);
        let sheet = write(&products, rewards).unwrap();
        assert!(
            sheet.starts_with(
                "tenant,product,on_hand,reserved,available,threshold,rewards,counted\n"
            )
        );
        assert!(
            sheet.contains("\"'=Pizza \"\"grande\"\", 4;'-5\",-1.5,"),
            "{sheet}"
        );
        assert!(sheet.contains("\"'-5% de suco\n'@suco\""), "{sheet}");
        let mut pizza = line(2, "comp", "=Pizza \"grande\", 4;-5", "-1.5");
        pizza.threshold = Some(7.into());
        let mut suco = line(3, "comp", "Suco", "3");
        suco.rewards = vec!["-5% de suco".into(), "@suco".into()];
        let vinho = line(5, "comp", "Vinho", "");
        let mut bolo = line(6, "comp", "Bolo", "");
        bolo.rewards = vec!["Bolo grátis".into()];
        assert_eq!(parse(sheet.as_bytes()).unwrap(), [pizza, suco, vinho, bolo]);
    }
}
