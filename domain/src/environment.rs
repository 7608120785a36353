//! The variables that a function reads at start. One error lists every problem.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use anyhow::bail;

/// How far a process's clock is ahead, in milliseconds. After time was moved, the local system sets
/// this variable for the processes that it starts. On AWS nothing sets it.
pub const AHEAD_MS: &str = "LOCAL_CLOCK_AHEAD_MS";

/// The environment's variables, and the problems of those that were read.
#[derive(Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    problems: Vec<String>,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    /// An environment of these variables.
    pub fn of<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        Self {
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            problems: Vec::new(),
        }
    }

    /// A text that must be set, without the blanks around it. If the variable is not set, the text
    /// is empty and [`Environment::check`] fails.
    pub fn text(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// A text that may be missing, without the blanks around it. An empty text counts as missing,
    /// because CloudFormation cannot leave a variable out.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        let Some(text) = self.variables.get(OsStr::new(name))?.to_str() else {
            self.problems.push(format!("{name} is not UTF-8"));
            return None;
        };
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A whole number that is at least `min`. If the variable is missing or wrong, the number is
    /// `min` and [`Environment::check`] fails.
    pub fn number(&mut self, name: &str, min: i64) -> i64 {
        let text = self.text(name);
        match text.parse() {
            Ok(number) if number >= min => number,
            _ if text.is_empty() => min,
            _ => {
                self.problems.push(format!(
                    "{name} is {text:?}, it must be a whole number of at least {min}"
                ));
                min
            }
        }
    }

    /// Adds a problem with the value of a variable, for [`Environment::check`].
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Checks that no variable had a problem.
    ///
    /// # Errors
    /// A variable is missing or not valid. The error lists every problem.
    pub fn check(&self) -> anyhow::Result<()> {
        if !self.problems.is_empty() {
            bail!("the function's environment: {}", self.problems.join("; "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_lists_every_problem() {
        let variables = [
            ("TABLE", " events\n"),
            ("BLANK", " "),
            ("DAYS", "0"),
            ("AGE", "x"),
        ];
        let mut environment = Environment::of(variables);
        assert_eq!(environment.text("TABLE"), "events");
        assert_eq!(environment.optional("BLANK"), None);
        assert_eq!(environment.optional("ABSENT"), None);
        assert!(environment.check().is_ok());
        environment.text("BLANK");
        environment.number("DAYS", 1);
        environment.number("AGE", 1);
        environment.number("ABSENT", 1);
        let error = environment.check().unwrap_err().to_string();
        let expected = "the function's environment: BLANK is not set; DAYS is \"0\", it must be a whole number of at \
                        least 1; AGE is \"x\", it must be a whole number of at least 1; ABSENT is not set";
        assert_eq!(error, expected);
    }
}
