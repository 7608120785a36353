//! What DynamoDB refuses in an expression, and dynoxide accepts.
//!
//! These checks read an expression only as far as they must. An expression that they cannot read is
//! dynoxide's to refuse.

use serde_json::{Map, Value};

/// The most operators and functions of one expression (developer guide, constraints).
const OPERATORS_MAX: usize = 300;

/// The most operands within the brackets of `IN` (developer guide, comparison operators).
const IN_MAX: usize = 100;

/// The functions whose operands must differ.
const OF_TWO_OPERANDS: [&str; 3] = ["attribute_type", "begins_with", "contains"];

/// The types of values (API reference, AttributeValue).
const TYPES: [&str; 10] = ["B", "BOOL", "BS", "L", "M", "N", "NS", "NULL", "S", "SS"];

/// Which expression of a request it is. Its name is that of the request's member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Condition,
    Filter,
    KeyCondition,
    Update,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [
        Kind::Condition,
        Kind::Filter,
        Kind::KeyCondition,
        Kind::Update,
    ];

    pub(super) fn member(self) -> &'static str {
        match self {
            Kind::Condition => "ConditionExpression",
            Kind::Filter => "FilterExpression",
            Kind::KeyCondition => "KeyConditionExpression",
            Kind::Update => "UpdateExpression",
        }
    }
}

/// Checks an expression together with the names and values that stand in for its placeholders.
///
/// # Errors
///
/// The reason why DynamoDB refuses the expression, in DynamoDB's words.
pub(super) fn check(
    kind: Kind,
    expression: &str,
    names: Option<&Map<String, Value>>,
    values: Option<&Map<String, Value>>,
) -> Result<(), String> {
    let Some(parts) = parts(expression, names) else {
        return Ok(());
    };
    let checked = check_operators(kind, &parts).and_then(|()| {
        // In an update, `SET a = a` compares nothing.
        if kind == Kind::Update {
            return Ok(());
        }
        check_distinct(&parts)?;
        check_types(&parts, values)?;
        check_lists(&parts)
    });
    checked.map_err(|reason| format!("Invalid {}: {reason}", kind.member()))
}

fn check_operators(kind: Kind, parts: &[Part]) -> Result<(), String> {
    let (mut count, mut open_ranges) = (0, 0);
    for part in parts {
        match part {
            Part::Operator("=") if kind == Kind::Update => {}
            // The AND between the bounds of a BETWEEN is no operator.
            Part::Operator("AND") if open_ranges > 0 => open_ranges -= 1,
            Part::Operator(operator) => {
                count += 1;
                open_ranges += usize::from(*operator == "BETWEEN");
            }
            Part::Function(_) => count += 1,
            _ => {}
        }
    }
    if count > OPERATORS_MAX {
        return Err(format!(
            "The expression contains too many operators; operator count: {count}"
        ));
    }
    Ok(())
}

fn check_distinct(parts: &[Part]) -> Result<(), String> {
    let same = |operator: &str, first: &[String]| {
        Err(format!(
            "The first operand must be distinct from the remaining operands for this operator or \
             function; operator: {operator}, first operand: [{}]",
            first.join(", ")
        ))
    };
    for window in parts.windows(3) {
        if let [
            Part::Path(first),
            Part::Operator(operator),
            Part::Path(second),
        ] = window
            && is_comparator(operator)
            && first == second
        {
            return same(operator, first);
        }
    }
    for window in parts.windows(5) {
        if let [
            Part::Function(function),
            Part::Open,
            Part::Path(first),
            Part::Comma,
            Part::Path(second),
        ] = window
            && OF_TWO_OPERANDS.contains(function)
            && first == second
        {
            return same(function, first);
        }
    }
    Ok(())
}

fn check_types(parts: &[Part], values: Option<&Map<String, Value>>) -> Result<(), String> {
    for window in parts.windows(5) {
        let [
            Part::Function("attribute_type"),
            Part::Open,
            Part::Path(_),
            Part::Comma,
            Part::Value(placeholder),
        ] = window
        else {
            continue;
        };
        let Some(value) = values.and_then(|values| values.get(*placeholder)?.as_object()) else {
            continue;
        };
        match (value.get("S"), value.keys().next()) {
            (Some(name), _) if TYPES.iter().any(|known| name == known) => {}
            (Some(name), _) => {
                return Err(format!(
                    "Invalid attribute type name found; type: {}, valid types: {{{}}}",
                    name.as_str().unwrap_or_default(),
                    TYPES.join(",")
                ));
            }
            (None, Some(kind)) => {
                return Err(format!(
                    "Incorrect operand type for operator or function; operator or function: \
                     attribute_type, operand type: {kind}"
                ));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

fn check_lists(parts: &[Part]) -> Result<(), String> {
    for (index, part) in parts.iter().enumerate() {
        if *part != Part::Operator("IN") {
            continue;
        }
        let operands = parts[index + 1..]
            .iter()
            .take_while(|part| **part != Part::Close)
            .filter(|part| matches!(part, Part::Path(_) | Part::Value(_)))
            .count();
        if operands > IN_MAX {
            return Err(format!(
                "The IN operator is provided with too many operands; number of operands: {operands}"
            ));
        }
    }
    Ok(())
}

/// A piece of an expression, as far as the checks tell pieces apart.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    /// The elements of a document path: names without placeholders, and indexes as `[1]`.
    Path(Vec<String>),
    /// A placeholder of a value, with its colon.
    Value(&'a str),
    Function(&'a str),
    /// A comparator, a word such as `AND`, or the sign of a sum.
    Operator(&'static str),
    Open,
    Close,
    Comma,
}

const OPERATORS: [&str; 13] = [
    "<>", "<=", ">=", "=", "<", ">", "+", "-", "AND", "OR", "NOT", "BETWEEN", "IN",
];

fn is_comparator(operator: &str) -> bool {
    matches!(operator, "<>" | "<=" | ">=" | "=" | "<" | ">")
}

/// The parts of an expression; `None` if a character has no place in expressions.
fn parts<'a>(expression: &'a str, names: Option<&Map<String, Value>>) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '(' => parts.push(Part::Open),
            ')' => parts.push(Part::Close),
            ',' => parts.push(Part::Comma),
            '.' | '[' => {
                let Some(Part::Path(path)) = parts.last_mut() else {
                    return None;
                };
                let (element, end) = match first {
                    '[' => {
                        let end = 1 + rest.find(']')?;
                        (rest[..end].to_owned(), end)
                    }
                    _ => {
                        let name = rest[1..].trim_start();
                        let start = rest.len() - name.len();
                        let end = start + word_length(name);
                        (resolved(&rest[start..end], names), end)
                    }
                };
                if element.is_empty() {
                    return None;
                }
                path.push(element);
                length = end;
            }
            _ => {
                length = word_length(rest);
                let after = &rest[length..];
                let operator = OPERATORS.into_iter().find(|operator| match length {
                    0 => rest.starts_with(operator),
                    _ => operator.eq_ignore_ascii_case(&rest[..length]),
                });
                parts.push(match (operator, &rest[..length]) {
                    (Some(operator), _) => {
                        length = operator.len();
                        Part::Operator(operator)
                    }
                    (None, "") => return None,
                    (None, value) if value.starts_with(':') => Part::Value(value),
                    (None, name) if after.trim_start().starts_with('(') => Part::Function(name),
                    (None, name) => Part::Path(vec![resolved(name, names)]),
                });
            }
        }
        rest = rest[length..].trim_start();
    }
    Some(parts)
}

/// How many bytes of the text's beginning are a name, a placeholder or a number.
fn word_length(text: &str) -> usize {
    let is_inside = |(index, c): (usize, char)| {
        c.is_ascii_alphanumeric() || c == '_' || (index == 0 && matches!(c, '#' | ':'))
    };
    let mut characters = text.char_indices();
    let end = characters.find(|at| !is_inside(*at));
    end.map_or(text.len(), |(index, _)| index)
}

/// The attribute's name that a placeholder stands for; any other name is its own.
fn resolved(name: &str, names: Option<&Map<String, Value>>) -> String {
    let real = names.and_then(|names| names.get(name)?.as_str());
    real.unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_as(kind: Kind, expression: &str, expected: Result<(), &str>) {
        let names = json!({"#a": "a", "#b": "b", "#c": "c", "#dotted": "b.c"});
        let values = json!({
            ":a": {"S": "x"}, ":type": {"S": "NULL"}, ":lower": {"S": "null"}, ":n": {"N": "1"},
        });
        let checked = check(kind, expression, names.as_object(), values.as_object());
        let expected = expected.map_err(|reason| format!("Invalid {}: {reason}", kind.member()));
        assert_eq!(checked, expected, "{expression}");
    }

    #[track_caller]
    fn condition(expression: &str, expected: Result<(), &str>) {
        check_as(Kind::Condition, expression, expected);
    }

    #[track_caller]
    fn same(expression: &str, operator: &str, first: &str) {
        let reason = format!(
            "The first operand must be distinct from the remaining operands for this operator or \
             function; operator: {operator}, first operand: {first}"
        );
        condition(expression, Err(&reason));
        check_as(Kind::Filter, expression, Err(&reason));
    }

    #[test]
    fn an_operand_is_not_compared_with_itself() {
        same("a = a", "=", "[a]");
        same("#a<>a", "<>", "[a]");
        same("NOT (x = :a OR #a >= a)", ">=", "[a]");
        same("begins_with(a, #a)", "begins_with", "[a]");
        same("contains( #b.c[1] , b . #c[1] )", "contains", "[b, c, [1]]");
        same("attribute_type(a,a)", "attribute_type", "[a]");
        // Tried on DynamoDB by dynalite's tests: a value may be compared with itself.
        condition(":a = :a", Ok(()));
        condition("a = #b", Ok(()));
        condition("a = a.b AND b[1] = b[2] AND #dotted = b.c", Ok(()));
        condition("size(a) = a AND a = :a", Ok(()));
        check_as(Kind::Update, "SET a = a, b = a", Ok(()));
    }

    #[test]
    fn a_type_is_one_that_values_have() {
        condition("attribute_type(a, :type)", Ok(()));
        condition(
            "attribute_exists(b) AND attribute_type(a, :lower)",
            Err(
                "Invalid attribute type name found; type: null, valid types: \
                 {B,BOOL,BS,L,M,N,NS,NULL,S,SS}",
            ),
        );
        condition(
            "attribute_type(a, :n)",
            Err(
                "Incorrect operand type for operator or function; operator or function: \
                 attribute_type, operand type: N",
            ),
        );
    }

    #[test]
    fn an_expression_has_300_operators_at_most() {
        let too_many = |count: usize| {
            format!("The expression contains too many operators; operator count: {count}")
        };
        let repeated = |word: &str, separator: &str, count: usize| {
            std::iter::repeat_n(word, count)
                .collect::<Vec<_>>()
                .join(separator)
        };
        // 150 comparators, and 149 times OR.
        condition(&repeated("a = :a", " OR ", 150), Ok(()));
        condition(&repeated("a = :a", " or ", 151), Err(&too_many(301)));
        // The AND of a range does not count.
        condition(&repeated("a BETWEEN :a AND :n", " AND ", 150), Ok(()));
        let ranges = repeated("a BETWEEN :a AND :n", " AND ", 151);
        condition(&ranges, Err(&too_many(301)));
        condition(
            &repeated("NOT attribute_exists(a)", " AND ", 101),
            Err(&too_many(302)),
        );
        // An assignment does not count, nor does what ADD adds.
        let sums = format!(
            "SET {} ADD {}",
            repeated("a = :a", ", ", 301),
            repeated("b :n", ", ", 301)
        );
        check_as(Kind::Update, &sums, Ok(()));
        let kept = repeated("a = if_not_exists(a, :n) + :n", ", ", 150);
        check_as(Kind::Update, &format!("SET {kept}"), Ok(()));
        check_as(
            Kind::Update,
            &format!("SET {kept}, b = b - :n"),
            Err(&too_many(301)),
        );
    }

    #[test]
    fn a_list_has_100_operands_at_most() {
        let list = |count: usize| {
            let operands = vec![":a"; count].join(", ");
            format!("a IN ({operands}) AND b IN (:a, :n)")
        };
        condition(&list(100), Ok(()));
        let reason = "The IN operator is provided with too many operands; number of operands: 101";
        condition(&list(101), Err(reason));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_dynoxide() {
        for unreadable in [
            "",
            "a = 'a' AND a = a",
            ".a = .a",
            "[1] = a",
            "a[",
            "é = é",
            "a.= a.",
        ] {
            condition(unreadable, Ok(()));
        }
    }
}
