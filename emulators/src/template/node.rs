//! YAML as a tree of nodes that know their position. Both spellings of CloudFormation's functions
//! become the same node.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

/// A node of the template. `path` has dots, as in
/// `Resources.DeliveryQueue.Properties.VisibilityTimeout`.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    /// Also numbers and booleans, because CloudFormation converts them to the type of the property.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// `!Sub x` or `{"Fn::Sub": x}` has the function `Sub`.
    Call {
        function: String,
        argument: Box<Node>,
    },
}

/// A problem of the template, and its position.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) message: String,
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// Reads a template's only document.
pub(super) fn parse(source: &str) -> Result<Node> {
    let top = |line, message| Problem {
        line,
        path: "the template".into(),
        message,
    };
    let documents = MarkedYaml::load_from_str(source)
        .map_err(|error| top(error.marker().line(), format!("not YAML: {}", error.info())))?;
    match documents.as_slice() {
        [document] => convert(document, String::new()),
        _ => Err(top(
            1,
            format!("must be one YAML document, has {}", documents.len()),
        )),
    }
}

fn convert(yaml: &MarkedYaml<'_>, path: String) -> Result<Node> {
    let line = yaml.span.start.line();
    let kind = match &yaml.data {
        YamlData::Value(Scalar::Null) => Kind::Null,
        YamlData::Value(Scalar::Boolean(value)) => Kind::Text(value.to_string()),
        YamlData::Value(Scalar::Integer(value)) => Kind::Text(value.to_string()),
        YamlData::Value(Scalar::FloatingPoint(value)) => Kind::Text(value.to_string()),
        YamlData::Value(Scalar::String(value)) => Kind::Text(value.to_string()),
        YamlData::Sequence(items) => Kind::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| convert(item, format!("{path}[{index}]")))
                .collect::<Result<_>>()?,
        ),
        YamlData::Mapping(entries) => {
            let mut converted = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let Kind::Text(key) = convert(key, path.clone())?.kind else {
                    return Err(problem(line, path, "a key must be a text"));
                };
                let below = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                converted.push((key, convert(value, below)?));
            }
            long_form(converted)
        }
        YamlData::Tagged(tag, inner) if tag.handle == "!" => Kind::Call {
            function: tag.suffix.clone(),
            argument: Box::new(Node {
                line,
                ..convert(inner, path.clone())?
            }),
        },
        YamlData::Tagged(tag, _) => {
            return Err(problem(line, path, &format!("unknown YAML tag {tag}")));
        }
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            return Err(problem(line, path, "a value that is not valid YAML"));
        }
    };
    Ok(Node { line, path, kind })
}

/// `{"Fn::Sub": x}` and `{"Ref": x}` are calls; any other map stays a map.
fn long_form(mut entries: Vec<(String, Node)>) -> Kind {
    if let [(key, _)] = entries.as_slice()
        && let Some(function) = key
            .strip_prefix("Fn::")
            .or_else(|| (key == "Ref").then_some("Ref"))
            .map(str::to_owned)
        && let Some((_, argument)) = entries.pop()
    {
        return Kind::Call {
            function,
            argument: Box::new(argument),
        };
    }
    Kind::Map(entries)
}

fn problem(line: usize, path: String, message: &str) -> Problem {
    Problem {
        line,
        path,
        message: message.to_owned(),
    }
}

impl Node {
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            path: self.path.clone(),
            message: message.into(),
        }
    }

    /// The same position with another value, for a function's result.
    pub(super) fn with(&self, kind: Kind) -> Node {
        Node {
            line: self.line,
            path: self.path.clone(),
            kind,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    pub(super) fn need(&self, key: &str) -> Result<&Node> {
        self.get(key)
            .ok_or_else(|| self.problem(format!("{key} is missing")))
    }

    pub(super) fn entries(&self) -> Result<&[(String, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Ok(entries),
            _ => Err(self.problem("must be a map")),
        }
    }

    pub(super) fn list(&self) -> Result<&[Node]> {
        match &self.kind {
            Kind::List(items) => Ok(items),
            _ => Err(self.problem("must be a list")),
        }
    }

    /// A list, or a single value that counts as a list of one.
    pub(super) fn one_or_more(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    pub(super) fn text(&self) -> Result<&str> {
        match &self.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(self.problem("must be a text or a number")),
        }
    }

    pub(super) fn flag(&self) -> Result<bool> {
        match self.text()? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(self.problem(format!("must be true or false, is {other:?}"))),
        }
    }

    /// A whole number within AWS's limits for the property.
    pub(super) fn number(&self, range: std::ops::RangeInclusive<u32>) -> Result<u32> {
        let text = self.text()?;
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.problem(format!(
                    "must be a whole number from {} to {}, is {text:?}",
                    range.start(),
                    range.end()
                ))
            })
    }

    /// Fails on a key that the code does not read or deliberately ignore.
    pub(super) fn only(&self, read: &[&str], passed_over: &[&str]) -> Result<()> {
        for (key, node) in self.entries()? {
            if !read.contains(&key.as_str()) && !passed_over.contains(&key.as_str()) {
                return Err(node.problem(format!(
                    "{key} is not supported by the local system, which reads {}{}{}",
                    read.join(", "),
                    if passed_over.is_empty() {
                        ""
                    } else {
                        " and passes over "
                    },
                    passed_over.join(", "),
                )));
            }
        }
        Ok(())
    }
}
