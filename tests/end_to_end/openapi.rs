//! Checks every answer in the tests against `docs/openapi.yaml`.

use std::sync::LazyLock;

use regex_lite::Regex;
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value};

use crate::shop::root;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(root().join("docs/openapi.yaml")).unwrap();
    let documents = MarkedYaml::load_from_str(&text).unwrap();
    json_of(&documents[0])
});

fn json_of(yaml: &MarkedYaml<'_>) -> Value {
    match &yaml.data {
        YamlData::Value(Scalar::Null) => Value::Null,
        YamlData::Value(Scalar::Boolean(it)) => (*it).into(),
        YamlData::Value(Scalar::Integer(it)) => (*it).into(),
        YamlData::Value(Scalar::FloatingPoint(it)) => it.into_inner().into(),
        YamlData::Value(Scalar::String(it)) => it.as_ref().into(),
        YamlData::Sequence(items) => items.iter().map(json_of).collect(),
        YamlData::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let key = json_of(key);
                (key.as_str().unwrap().to_owned(), json_of(value))
            });
            Value::Object(entries.collect())
        }
        other => panic!("the description holds {other:?}"),
    }
}

/// The described routes, for instance `GET /reports/days`.
pub(crate) fn routes() -> Vec<String> {
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    routes.collect()
}

/// Panics if an answer does not match the description of its route. Other routes may answer
/// anything.
pub(crate) fn check(method: &str, path: &str, status: u16, content_type: &str, body: &[u8]) {
    let Some(operation) = operation(method, path) else {
        return;
    };
    let answers = &operation["responses"];
    let answer = match answers.get(status.to_string()) {
        Some(answer) => resolved(answer),
        None => resolved(&answers["default"]),
    };
    let what = format!("{method} {path}: {status}");
    assert!(!answer.is_null(), "{what} is not described");
    if body.is_empty() && (answer["content"].is_null() || (300..400).contains(&status)) {
        return;
    }
    let media_type = content_type.split(';').next().unwrap_or_default();
    let described = &answer["content"][media_type]["schema"];
    assert!(!described.is_null(), "{what}: no {media_type} is described");
    if media_type != "application/json" {
        return;
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    let mut problems = Vec::new();
    validate(described, &body, "", &mut problems);
    assert!(problems.is_empty(), "{what}: {problems:?} in {body:#}");
}

/// Of several matching paths, the one with the fewest parameters.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    let fits = |template: &str| {
        let (mut template, mut path) = (template.split('/'), path.split('/'));
        loop {
            match (template.next(), path.next()) {
                (None, None) => return true,
                // The last parameter takes everything that follows.
                (Some(piece), Some(_)) if piece.starts_with('{') => return true,
                (Some(piece), Some(own)) if piece == own => {}
                _ => return false,
            }
        }
    };
    let fitting = paths.filter(|(template, _)| fits(template));
    let (_, operations) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    operations.get(method.to_lowercase())
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            let found = DESCRIPTION.pointer(pointer);
            found.unwrap_or_else(|| panic!("there is no {reference}"))
        }
        None => value,
    }
}

/// Validates by the part of JSON Schema that the description uses.
fn validate(schema: &'static Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    let schema = resolved(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().filter(|choice| {
            let mut problems = Vec::new();
            validate(choice, value, at, &mut problems);
            problems.is_empty()
        });
        if fits.count() != 1 {
            problems.push(format!("{at} is not one of its kinds"));
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
        problems.push(format!("{at} is no {}", kinds.join(" or ")));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        problems.push(format!("{at} is {value}"));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !Regex::new(pattern).unwrap().is_match(text)
    {
        problems.push(format!("{at} does not match {pattern}"));
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            validate(&schema["items"], item, &format!("{at}/{index}"), problems);
        }
    }
    if let Some(fields) = value.as_object() {
        validate_fields(schema, fields, at, problems);
    }
}

fn validate_fields(
    schema: &'static Value,
    fields: &Map<String, Value>,
    at: &str,
    problems: &mut Vec<String>,
) {
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        if !fields.contains_key(name) {
            problems.push(format!("{at}/{name} is missing"));
        }
    }
    for (name, value) in fields {
        let below = format!("{at}/{name}");
        match (
            schema["properties"].get(name),
            &schema["additionalProperties"],
        ) {
            (Some(property), _) => validate(property, value, &below, problems),
            (None, Value::Bool(false)) => problems.push(format!("{below} is not described")),
            (None, others) => validate(others, value, &below, problems),
        }
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the description names the type {other}"),
    }
}

#[test]
fn every_route_of_the_template_is_described() {
    let described = routes();
    let template = crate::tidy::template();
    let functions = template.functions.iter();
    let served = functions.flat_map(|function| &function.routes);
    let served: Vec<_> = served
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let serves = |route: &str, described: &str| match route.split_once("{path+}") {
        Some((start, _)) => described.starts_with(start),
        None => route == described,
    };
    for route in &served {
        assert!(described.iter().any(|it| serves(route, it)), "{route}");
    }
    for route in &described {
        assert!(served.iter().any(|it| serves(it, route)), "{route}");
    }
}

#[test]
#[should_panic(expected = "/error/code is missing")]
fn an_answer_that_is_not_described_is_found() {
    let body = br#"{"error": {"message": "no"}}"#;
    check("GET", "/reports/days", 404, "application/json", body);
}
