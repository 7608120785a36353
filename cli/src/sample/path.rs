//! Places in a JSON body, and the edits of a sample: `--set path=value` and `--unset path`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

/// A place in a JSON body: `usage.items_affected[0].quantity`; `.0.` is the same as `[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A field of an object; or an index of a list, if the name is a number.
    Name(String),
    Index(usize),
}

impl Path {
    /// Whether the path leads to these names, or to a part that contains them.
    pub(crate) fn leads_to(&self, names: &[&str]) -> bool {
        let is = |(step, name): (&Step, &&str)| matches!(step, Step::Name(it) if it == name);
        self.0.len() <= names.len() && self.0.iter().zip(names).all(is)
    }
}

impl FromStr for Path {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, indices) = match part.find('[') {
                Some(at) => part.split_at(at),
                None => (part, ""),
            };
            if !name.is_empty() {
                steps.push(Step::Name(name.to_owned()));
            } else if indices.is_empty() || steps.is_empty() {
                bail!(
                    "{text:?} is not a path: a name is missing; write it like \
                     `coupon.points_spent` or `items[0].name`"
                );
            }
            let mut rest = indices;
            while !rest.is_empty() {
                let index = rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .and_then(|(index, rest)| Some((index.parse().ok()?, rest)));
                let Some((index, after)) = index else {
                    bail!("{text:?} is not a path: {indices:?} must be an index such as [0]");
                };
                steps.push(Step::Index(index));
                rest = after;
            }
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.0))
    }
}

fn describe(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.push_str(&format!(".{name}")),
        }
    }
    if text.is_empty() {
        text.push_str("the body");
    }
    text
}

impl Path {
    /// Puts a value in this place. A missing or null part of the path becomes an object, or a list
    /// for `[0]`.
    pub(crate) fn set(&self, body: &mut Value, value: Value) -> anyhow::Result<()> {
        let mut place = body;
        for (depth, step) in self.0.iter().enumerate() {
            place = enter_or_create(place, step, &self.0[..depth])
                .with_context(|| format!("cannot set `{self}`"))?;
        }
        *place = value;
        Ok(())
    }

    /// Removes this place from the body.
    pub(crate) fn unset(&self, body: &mut Value) -> anyhow::Result<()> {
        let Some((last, parents)) = self.0.split_last() else {
            bail!("cannot unset the whole body");
        };
        let mut place = Some(body);
        for step in parents {
            place = place.and_then(|place| match (place, step) {
                (Value::Object(fields), Step::Name(name)) => fields.get_mut(name),
                (Value::Array(items), step) => items.get_mut(step.index()?),
                _ => None,
            });
        }
        let removed = match (place, last) {
            // `remove` would change the order of the other fields.
            (Some(Value::Object(fields)), Step::Name(name)) => fields.shift_remove(name),
            (Some(Value::Array(items)), step) => step
                .index()
                .filter(|index| *index < items.len())
                .map(|index| items.remove(index)),
            _ => None,
        };
        removed
            .map(drop)
            .with_context(|| format!("cannot unset `{self}`: the body has nothing there"))
    }
}

impl Step {
    fn index(&self) -> Option<usize> {
        match self {
            Self::Index(index) => Some(*index),
            Self::Name(name) => name.parse().ok(),
        }
    }
}

fn enter_or_create<'a>(
    place: &'a mut Value,
    step: &Step,
    parents: &[Step],
) -> anyhow::Result<&'a mut Value> {
    if place.is_null() {
        *place = match step {
            Step::Name(_) => Value::Object(Map::new()),
            Step::Index(_) => Value::Array(Vec::new()),
        };
    }
    let parent = describe(parents);
    match (place, step) {
        (Value::Object(fields), Step::Name(name)) => {
            Ok(fields.entry(name.as_str()).or_insert(Value::Null))
        }
        (Value::Array(items), step) => {
            let count = items.len();
            let index = step
                .index()
                .with_context(|| format!("{parent} is a list: an index such as [0] must follow"))?;
            if index > count {
                bail!("{parent} has {count} items: the highest index is [{count}], a new item");
            }
            if index == count {
                items.push(Value::Null);
            }
            Ok(&mut items[index])
        }
        (Value::Object(_), Step::Index(_)) => {
            bail!("{parent} is an object: a name must follow, not an index")
        }
        (other, _) => bail!("{parent} is {other}, which has nothing inside"),
    }
}

/// `path=value` as given on the command line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) path: Path,
    /// The value as JSON, or as text if it is not JSON.
    pub(crate) value: Value,
}

impl FromStr for Assignment {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (path, value) = text
            .split_once('=')
            .with_context(|| format!("{text:?} has no `=`: write path=value"))?;
        Ok(Self {
            path: path.parse()?,
            value: serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SAMPLES;

    fn body(name: &str) -> Value {
        let sample = SAMPLES.iter().find(|sample| sample.name == name).unwrap();
        serde_json::from_str(sample.body).unwrap()
    }

    #[track_caller]
    fn check_set(before: Value, assignment: &str, after: Value) {
        let mut body = before;
        let Assignment { path, value } = assignment.parse().unwrap();
        path.set(&mut body, value).unwrap();
        assert_eq!(body, after);
    }

    #[test]
    fn sets_a_field_to_json_or_to_text() {
        check_set(json!({"a": 1}), "a=10", json!({"a": 10}));
        check_set(json!({"a": 1}), "a=null", json!({"a": null}));
        check_set(json!({"a": 1}), "a=[1,2]", json!({"a": [1, 2]}));
        check_set(json!({"a": 1}), "a=ten", json!({"a": "ten"}));
        check_set(json!({"a": 1}), "a=\"10\"", json!({"a": "10"}));
        check_set(json!({"a": 1}), "a=", json!({"a": ""}));
        check_set(json!({"a": 1}), "a=x=y", json!({"a": "x=y"}));
    }

    #[test]
    fn sets_inside_lists_by_either_spelling() {
        let before = json!({"items": [{"q": 1}, {"q": 1}]});
        let after = json!({"items": [{"q": 1}, {"q": 2}]});
        check_set(before.clone(), "items[1].q=2", after.clone());
        check_set(before, "items.1.q=2", after);
        check_set(json!({"a": [[1]]}), "a[0][0]=2", json!({"a": [[2]]}));
        check_set(json!({"a": [1]}), "a[1]=2", json!({"a": [1, 2]}));
    }

    #[test]
    fn creates_missing_and_null_parts_of_the_path() {
        check_set(json!({}), "a.b.c=1", json!({"a": {"b": {"c": 1}}}));
        check_set(json!({"a": null}), "a.b=1", json!({"a": {"b": 1}}));
        check_set(json!({}), "a[0].b=1", json!({"a": [{"b": 1}]}));
        check_set(json!({}), "a.0=1", json!({"a": {"0": 1}}));
    }

    #[track_caller]
    fn check_refused(assignment: &str, expected: &str) {
        let mut body = body("zupy-coupon-used");
        let error = assignment
            .parse()
            .and_then(|Assignment { path, value }| path.set(&mut body, value))
            .unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
    }

    #[test]
    fn an_impossible_path_says_what_is_there() {
        check_refused(
            "usage.order_value.cents=1",
            "cannot set `usage.order_value.cents`: usage.order_value is 67.5, which has nothing \
             inside",
        );
        check_refused(
            "usage.items_affected[2].quantity=1",
            "cannot set `usage.items_affected[2].quantity`: usage.items_affected has 1 items: the \
             highest index is [1], a new item",
        );
        check_refused(
            "usage.items_affected.name=1",
            "cannot set `usage.items_affected.name`: usage.items_affected is a list: an index \
             such as [0] must follow",
        );
        check_refused(
            "usage[0]=1",
            "cannot set `usage[0]`: usage is an object: a name must follow, not an index",
        );
        check_refused("usage", r#""usage" has no `=`: write path=value"#);
        check_refused(
            "usage..x=1",
            r#""usage..x" is not a path: a name is missing; write it like `coupon.points_spent` or `items[0].name`"#,
        );
        check_refused(
            "usage[x]=1",
            r#""usage[x]" is not a path: "[x]" must be an index such as [0]"#,
        );
    }

    #[test]
    fn takes_a_field_out_and_leaves_the_others_in_their_order() {
        let mut body = json!({"a": 1, "b": [1, 2], "c": 3, "d": 4});
        for path in ["a", "b[0]"] {
            path.parse::<Path>().unwrap().unset(&mut body).unwrap();
        }
        assert_eq!(body.to_string(), r#"{"b":[2],"c":3,"d":4}"#);
        for path in ["a", "b[1]", "b.x", "c.x"] {
            let error = path.parse::<Path>().unwrap().unset(&mut body).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot unset `{path}`: the body has nothing there")
            );
        }
    }
}
