//! The template's parameters: given values and defaults, checked against the template's
//! constraints.

use std::collections::BTreeMap;

use super::node::{Kind, Node, Problem, Result};

/// Every parameter's value, or the first problem.
pub(super) fn values(
    declared: Option<&Node>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Kind>> {
    let none: &[(String, Node)] = &[];
    let entries = declared.map_or(Ok(none), Node::entries)?;
    if let Some(unknown) = given
        .keys()
        .find(|name| !entries.iter().any(|(declared, _)| declared == *name))
    {
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Problem {
            line: declared.map_or(1, |node| node.line),
            path: "Parameters".into(),
            message: format!(
                "a value was given for {unknown}, which is not a parameter; there are {}",
                names.join(", ")
            ),
        });
    }
    let mut values = BTreeMap::new();
    for (name, parameter) in entries {
        let text = match given.get(name) {
            Some(text) => text.clone(),
            None => match parameter.get("Default") {
                Some(default) => default.text()?.to_owned(),
                None => {
                    return Err(parameter.problem(format!(
                        "the parameter {name} has no default, and was given no value"
                    )));
                }
            },
        };
        values.insert(name.clone(), value(parameter, &text)?);
    }
    Ok(values)
}

fn value(parameter: &Node, text: &str) -> Result<Kind> {
    let kind = parameter.need("Type")?;
    match kind.text()? {
        "String" => {
            check(parameter, text)?;
            Ok(Kind::Text(text.to_owned()))
        }
        "Number" => {
            if !text.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(refused(parameter, text, "must be a number"));
            }
            check(parameter, text)?;
            Ok(Kind::Text(text.to_owned()))
        }
        "CommaDelimitedList" => {
            let mut items = Vec::new();
            for item in text.split(',').map(str::trim) {
                check(parameter, item)?;
                items.push(parameter.with(Kind::Text(item.to_owned())));
            }
            Ok(Kind::List(items))
        }
        other => Err(kind.problem(format!(
            "the parameter type {other} is not supported by the local system, which reads String, \
             Number and CommaDelimitedList"
        ))),
    }
}

fn check(parameter: &Node, text: &str) -> Result<()> {
    if let Some(allowed) = parameter.get("AllowedValues") {
        let allowed: Vec<&str> = allowed
            .list()?
            .iter()
            .map(Node::text)
            .collect::<Result<_>>()?;
        if !allowed.contains(&text) {
            let problem = format!("must be one of {}", allowed.join(", "));
            return Err(refused(parameter, text, &problem));
        }
    }
    if let Some(node) = parameter.get("AllowedPattern") {
        let pattern = node.text()?;
        // CloudFormation matches the whole value.
        let regex = regex_lite::Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| node.problem(format!("not a pattern that can be read: {error}")))?;
        if !regex.is_match(text) {
            let problem = format!("must match {pattern}");
            return Err(refused(parameter, text, &problem));
        }
    }
    let length = text.chars().count() as f64;
    let number = text.parse::<f64>().unwrap_or(f64::NAN);
    for (constraint, actual, is_minimum, what) in [
        ("MinLength", length, true, "characters"),
        ("MaxLength", length, false, "characters"),
        ("MinValue", number, true, ""),
        ("MaxValue", number, false, ""),
    ] {
        let Some(node) = parameter.get(constraint) else {
            continue;
        };
        let limit: f64 = node
            .text()?
            .parse()
            .map_err(|_| node.problem("must be a number"))?;
        let kept = if is_minimum {
            actual >= limit
        } else {
            actual <= limit
        };
        if !kept {
            let side = if is_minimum { "at least" } else { "at most" };
            let problem = format!("must be {side} {limit} {what}");
            return Err(refused(parameter, text, problem.trim_end()));
        }
    }
    Ok(())
}

/// The problem names the value, unless the template hides the value (`NoEcho`).
fn refused(parameter: &Node, text: &str, problem: &str) -> Problem {
    let hidden = parameter
        .get("NoEcho")
        .is_some_and(|node| node.flag().unwrap_or(true));
    let value = if hidden {
        String::new()
    } else {
        format!(", is {text:?}")
    };
    let hint = match parameter.get("ConstraintDescription").map(Node::text) {
        Some(Ok(hint)) => format!(" ({hint})"),
        _ => String::new(),
    };
    parameter.problem(format!("{problem}{value}{hint}"))
}
