//! A query's parameters. One answer lists all their problems, including unknown and repeated
//! parameters.

use std::collections::BTreeMap;

use crate::refused::{Problem, Refused};
use crate::said::Said;

const ONCE: Said = Said::new("must be given once", "deve ser informado uma vez só");

/// The parameters of one request, taken out one by one.
#[derive(Debug, Default)]
pub struct Parameters {
    given: BTreeMap<String, Vec<String>>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Parameters {
    pub fn read(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self::of(pairs.into_owned())
    }

    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in pairs {
            given.entry(name).or_default().push(value);
        }
        Self {
            given,
            ..Self::default()
        }
    }

    /// Whether the request has the parameter, once or more often.
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// A parameter's text, which is not empty. `allowed` names the possible texts.
    pub fn text(&mut self, name: &'static str, allowed: &Said) -> Option<String> {
        self.known.push(name);
        let values = self.given.get(name)?;
        let value = values[0].trim().to_owned();
        if values.len() > 1 {
            let all = values.join(", ");
            self.problem(name, &all, ONCE);
            return None;
        }
        if value.is_empty() {
            self.problem(name, "", allowed.clone());
            return None;
        }
        Some(value)
    }

    /// One of several values.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let allowed = Said::of(
            format!("must be one of {names}"),
            format!("deve ser um destes: {names}"),
        );
        let text = self.text(name, &allowed)?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        if chosen.is_none() {
            self.problem(name, &text, allowed);
        }
        chosen.map(|(_, it)| *it)
    }

    /// A whole number from 1 to `max`.
    pub fn number(&mut self, name: &'static str, max: usize) -> Option<usize> {
        let allowed = Said::of(
            format!("must be a whole number from 1 to {max}"),
            format!("deve ser um número inteiro de 1 a {max}"),
        );
        let text = self.text(name, &allowed)?;
        let digits = text.bytes().all(|it| it.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|it| digits && (1..=max).contains(it));
        if number.is_none() {
            self.problem(name, &text, allowed);
        }
        number
    }

    pub fn problem(&mut self, name: &str, value: &str, problem: Said) {
        self.problems.push(Problem::new(name, value, problem));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All problems of the parameters.
    pub fn finish(mut self) -> Result<(), Refused> {
        self.known.sort_unstable();
        let given = std::mem::take(&mut self.given);
        for (name, values) in given {
            if !self.known.contains(&name.as_str()) {
                let known = self.known.join(", ");
                let problem = Said::of(
                    format!("is not a parameter here; the parameters are {known}"),
                    format!("não é um parâmetro daqui; os parâmetros são {known}"),
                );
                self.problem(&name, &values.join(", "), problem);
            }
        }
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(Refused::Invalid(self.problems)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Said = Said::new("must be a text", "deve ser um texto");

    fn problems(parameters: Parameters) -> Vec<String> {
        match parameters.finish() {
            Err(Refused::Invalid(problems)) => problems
                .into_iter()
                .map(|problem| format!("{}={} {}", problem.field, problem.value, problem.problem))
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn one_answer_lists_every_problem() {
        let named = Said::new("must be a name", "deve ser um nome");
        let mut parameters = Parameters::read("tenant=a&tenant=b&limit=0&kind=x&when=1&name=");
        assert_eq!(parameters.text("tenant", &named), None);
        assert_eq!(parameters.number("limit", 10), None);
        assert_eq!(parameters.choice("kind", &[("a", 1), ("b", 2)]), None);
        assert_eq!(parameters.text("name", &named), None);
        assert_eq!(
            problems(parameters),
            [
                "tenant=a, b must be given once",
                "limit=0 must be a whole number from 1 to 10",
                "kind=x must be one of a, b",
                "name= must be a name",
                "when=1 is not a parameter here; the parameters are kind, limit, name, tenant",
            ]
        );
    }

    #[test]
    fn texts_are_decoded_and_trimmed() {
        let mut parameters = Parameters::read("a=Loja+Centro%20&b=P%C3%A3o&c=%FF&n=10");
        assert_eq!(parameters.text("a", &ANY).as_deref(), Some("Loja Centro"));
        assert_eq!(parameters.text("b", &ANY).as_deref(), Some("Pão"));
        assert_eq!(parameters.text("c", &ANY).as_deref(), Some("\u{FFFD}"));
        assert_eq!(parameters.number("n", 10), Some(10));
        assert_eq!(parameters.text("absent", &ANY), None);
        assert_eq!(problems(parameters), [""; 0]);
    }

    #[test]
    fn no_number_but_a_whole_one_is_taken() {
        for text in ["-1", "%2B1", "1.0", "x", "11", "99999999999999999999999"] {
            let mut parameters = Parameters::read(&format!("n={text}"));
            assert_eq!(parameters.number("n", 10), None, "{text}");
        }
    }

    #[test]
    fn a_long_value_is_cut_in_the_answer() {
        let mut parameters = Parameters::read(&format!("n={}", "é".repeat(100)));
        parameters.number("n", 10);
        let problem = problems(parameters).remove(0);
        assert!(
            problem.starts_with(&format!("n={}... must", "é".repeat(64))),
            "{problem}"
        );
    }
}
