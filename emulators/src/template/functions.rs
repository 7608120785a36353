//! CloudFormation's functions (`!Ref`, `!Sub`, ...), resolved to their values on this machine.

use std::collections::BTreeMap;

use super::node::{Kind, Node, Result};
use super::{ACCOUNT, REGION};

const SUPPORTED: &str = "Ref, GetAtt, Sub, Join, Select, Split, If (and in Conditions: Equals, \
                         Not, And, Or, Condition)";

/// The values of the names in the template.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) parameters: BTreeMap<String, Kind>,
    pub(super) conditions: BTreeMap<&'a str, &'a Node>,
    pub(super) resources: BTreeMap<&'a str, Attributes>,
}

/// The values of `Ref` and `GetAtt` for a resource.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    pub(super) reference: String,
    pub(super) attributes: BTreeMap<&'static str, String>,
}

impl Scope<'_> {
    /// The node with all functions resolved; `None` for `AWS::NoValue`.
    pub(super) fn resolve(&self, node: &Node) -> Result<Option<Node>> {
        let kind = match &node.kind {
            Kind::Null | Kind::Text(_) => node.kind.clone(),
            Kind::List(items) => {
                let mut resolved = Vec::with_capacity(items.len());
                for item in items {
                    resolved.extend(self.resolve(item)?);
                }
                Kind::List(resolved)
            }
            Kind::Map(entries) => {
                let mut resolved = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    resolved.extend(self.resolve(value)?.map(|value| (key.clone(), value)));
                }
                Kind::Map(resolved)
            }
            Kind::Call { function, argument } => return self.call(node, function, argument),
        };
        Ok(Some(node.with(kind)))
    }

    fn need(&self, node: &Node) -> Result<Node> {
        self.resolve(node)?
            .ok_or_else(|| node.problem("AWS::NoValue cannot stand here"))
    }

    fn call(&self, node: &Node, function: &str, argument: &Node) -> Result<Option<Node>> {
        let kind = match function {
            "Ref" => match argument.text()? {
                "AWS::NoValue" => return Ok(None),
                name => self.reference(argument, name)?,
            },
            "GetAtt" => {
                let argument = self.need(argument)?;
                let (resource, attribute) = match &argument.kind {
                    Kind::List(parts) if parts.len() == 2 => {
                        (parts[0].text()?.to_owned(), parts[1].text()?.to_owned())
                    }
                    _ => argument
                        .text()?
                        .split_once('.')
                        .map(|(resource, attribute)| (resource.to_owned(), attribute.to_owned()))
                        .ok_or_else(|| argument.problem("!GetAtt needs Resource.Attribute"))?,
                };
                Kind::Text(self.attribute(&argument, &resource, &attribute)?)
            }
            "Sub" => Kind::Text(self.substitute(argument)?),
            "Join" => {
                let argument = self.need(argument)?;
                let [separator, parts] = self.arguments(&argument, "a separator and a list")?;
                let parts: Vec<&str> = parts
                    .list()?
                    .iter()
                    .map(Node::text)
                    .collect::<Result<_>>()?;
                Kind::Text(parts.join(separator.text()?))
            }
            "Split" => {
                let argument = self.need(argument)?;
                let [separator, text] = self.arguments(&argument, "a separator and a text")?;
                let separator = separator.text()?;
                Kind::List(
                    text.text()?
                        .split(separator)
                        .map(|part| node.with(Kind::Text(part.to_owned())))
                        .collect(),
                )
            }
            "Select" => {
                let argument = self.need(argument)?;
                let [index, items] = self.arguments(&argument, "an index and a list")?;
                let index = index.number(0..=u32::MAX)? as usize;
                let items = items.list()?;
                let chosen = items.get(index).ok_or_else(|| {
                    argument.problem(format!("!Select {index} of a list of {}", items.len()))
                })?;
                chosen.kind.clone()
            }
            "If" => {
                let [condition, then, otherwise] =
                    self.arguments(argument, "a condition and two values")?;
                let holds = self.condition(condition, condition.text()?, 0)?;
                let chosen = if holds { then } else { otherwise };
                return Ok(self.resolve(chosen)?.map(|chosen| node.with(chosen.kind)));
            }
            other => {
                return Err(node.problem(format!(
                    "the function {other} is not supported by the local system, which reads \
                     {SUPPORTED}"
                )));
            }
        };
        Ok(Some(node.with(kind)))
    }

    fn arguments<'n, const N: usize>(&self, node: &'n Node, what: &str) -> Result<&'n [Node; N]> {
        node.list()?
            .try_into()
            .map_err(|_| node.problem(format!("the function needs {what}")))
    }

    fn reference(&self, node: &Node, name: &str) -> Result<Kind> {
        if let Some(value) = pseudo_parameter(name) {
            return Ok(Kind::Text(value.to_owned()));
        }
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        match self.resources.get(name) {
            Some(resource) => Ok(Kind::Text(resource.reference.clone())),
            None => Err(node.problem(format!(
                "{name} is neither a parameter nor a resource that can be referred to here"
            ))),
        }
    }

    fn attribute(&self, node: &Node, resource: &str, attribute: &str) -> Result<String> {
        let Some(known) = self.resources.get(resource) else {
            return Err(node.problem(format!(
                "{resource} is not a resource that can be referred to here"
            )));
        };
        known.attributes.get(attribute).cloned().ok_or_else(|| {
            let supported: Vec<&str> = known.attributes.keys().copied().collect();
            node.problem(format!(
                "the attribute {attribute} of {resource} is not supported by the local system; \
                 supported: {}",
                if supported.is_empty() {
                    "none".into()
                } else {
                    supported.join(", ")
                }
            ))
        })
    }

    /// `!Sub text` or `!Sub [text, {Name: value}]`.
    fn substitute(&self, argument: &Node) -> Result<String> {
        let (text, values) = match &argument.kind {
            Kind::List(parts) if parts.len() == 2 => (parts[0].text()?, self.resolve(&parts[1])?),
            _ => (argument.text()?, None),
        };
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else {
                return Err(argument.problem("a ${ without its }"));
            };
            result.push_str(&rest[..start]);
            let name = rest[start + 2..start + length].trim();
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
            } else if let Some(value) = values.as_ref().and_then(|values| values.get(name)) {
                result.push_str(value.text()?);
            } else if let Some((resource, attribute)) = name.split_once('.') {
                result.push_str(&self.attribute(argument, resource, attribute)?);
            } else {
                let value = argument.with(self.reference(argument, name)?);
                result.push_str(value.text()?);
            }
            rest = &rest[start + length + 1..];
        }
        result.push_str(rest);
        Ok(result)
    }

    /// Whether the named condition holds. `depth` stops conditions that refer to each other in a
    /// circle.
    pub(super) fn condition(&self, node: &Node, name: &str, depth: usize) -> Result<bool> {
        match self.conditions.get(name) {
            Some(_) if depth > self.conditions.len() => {
                Err(node.problem(format!("the condition {name} refers to itself")))
            }
            Some(condition) => self.holds(condition, depth + 1),
            None => Err(node.problem(format!("there is no condition {name}"))),
        }
    }

    fn holds(&self, node: &Node, depth: usize) -> Result<bool> {
        let (function, argument) = match &node.kind {
            Kind::Call { function, argument } => (function.as_str(), argument.as_ref()),
            Kind::Map(entries) => match entries.as_slice() {
                [(key, name)] if key == "Condition" => ("Condition", name),
                _ => return Err(node.problem("a condition must be a function")),
            },
            _ => return Err(node.problem("a condition must be a function")),
        };
        match function {
            "Condition" => self.condition(argument, argument.text()?, depth),
            "Equals" => {
                let argument = self.need(argument)?;
                let [left, right] = self.arguments(&argument, "two values")?;
                Ok(left.text()? == right.text()?)
            }
            "Not" => {
                let [condition] = self.arguments(argument, "one condition")?;
                Ok(!self.holds(condition, depth)?)
            }
            "And" => {
                for condition in argument.list()? {
                    if !self.holds(condition, depth)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            "Or" => {
                for condition in argument.list()? {
                    if self.holds(condition, depth)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            other => Err(node.problem(format!(
                "the function {other} is not supported in a condition; supported: Equals, Not, \
                 And, Or, Condition"
            ))),
        }
    }
}

fn pseudo_parameter(name: &str) -> Option<&'static str> {
    Some(match name {
        "AWS::Region" => REGION,
        "AWS::AccountId" => ACCOUNT,
        "AWS::Partition" => "aws",
        "AWS::StackName" => "local",
        "AWS::URLSuffix" => "amazonaws.com",
        _ => return None,
    })
}
