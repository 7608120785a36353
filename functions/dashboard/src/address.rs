//! Addresses of pages: makes links from a path and its parameters.

use std::fmt::{self, Write};

/// A path with its parameters, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    path: String,
    parameters: Vec<(String, String)>,
}

impl Address {
    pub(crate) fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            parameters: Vec::new(),
        }
    }

    /// Reads the address of a request.
    pub(crate) fn read(path: &str, query: &str) -> Self {
        let parameters = form_urlencoded::parse(query.as_bytes());
        Self {
            path: path.to_owned(),
            parameters: parameters.into_owned().collect(),
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// Removes a parameter, and returns its last value.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let taken = self.parameters.extract_if(.., |(own, _)| own == name);
        taken.last().map(|(_, value)| value)
    }

    /// The same parameters on another path.
    pub(crate) fn on(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            parameters: self.parameters.clone(),
        }
    }

    /// The same address with this value of a parameter, and no other value of it.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.without(&[name]);
        other.parameters.push((name.to_owned(), value.to_owned()));
        other
    }

    /// The same address without some parameters.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let mut other = self.clone();
        let is_kept = |(own, _): &(String, String)| !names.contains(&own.as_str());
        other.parameters.retain(is_kept);
        other
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.parameters.is_empty() {
            return Ok(());
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.parameters);
        write!(f, "?{}", query.finish())
    }
}

/// A text as one part of a path.
pub(crate) fn part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => part.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => part.push(char::from(byte)),
            // Writing to a string cannot fail.
            byte => _ = write!(part, "%{byte:02X}"),
        }
    }
    part
}

/// The page that follows a sign-in: accepts only an address of the dashboard; every other text
/// becomes the overview.
pub(crate) fn next(text: &str) -> &str {
    const OVERVIEW: &str = "/dashboard";
    let beneath = text.strip_prefix(OVERVIEW);
    let is_own = beneath.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    // Both addresses lead back to the sign-in.
    let is_page = !text.starts_with("/dashboard/sign-");
    match is_own && is_plain && is_page {
        true => text,
        false => OVERVIEW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_changes_one_parameter_and_keeps_the_others() {
        let address = Address::read("/dashboard", "tenant=a%26b&timeframe=7d&from=x");
        let link = address.without(&["from"]).with("timeframe", "30d");
        assert_eq!(link.to_string(), "/dashboard?tenant=a%26b&timeframe=30d");
        let events = link.on("/dashboard/events").with("reward", "Pão \"<1>\"");
        assert_eq!(
            events.to_string(),
            "/dashboard/events?tenant=a%26b&timeframe=30d&reward=P%C3%A3o+%22%3C1%3E%22"
        );
        assert_eq!(Address::new("/dashboard").to_string(), "/dashboard");
    }

    #[test]
    fn a_parameter_is_taken_out() {
        let mut address = Address::read("/dashboard", "language=en&a=1&language=pt");
        assert_eq!(address.take("language").as_deref(), Some("pt"));
        assert_eq!(address.take("language"), None);
        assert_eq!(address.to_string(), "/dashboard?a=1");
    }

    #[test]
    fn a_part_of_a_path_holds_any_text() {
        assert_eq!(part("zupy#comp#CP-1"), "zupy%23comp%23CP-1");
        assert_eq!(part("a/b ç%"), "a%2Fb%20%C3%A7%25");
    }

    #[test]
    fn a_sign_in_leads_to_the_dashboard_alone() {
        let check = |text: &str, is_taken: bool| {
            assert_eq!(next(text) == text, is_taken, "{text}");
        };
        check("/dashboard", true);
        check("/dashboard?timeframe=7d", true);
        check("/dashboard/coupons/a%23b", true);
        check("//evil.example/dashboard", false);
        check("https://evil.example/", false);
        check("/dashboard.evil.example", false);
        check("/dashboard/\\evil.example", false);
        check("/dashboard/\r\nSet-Cookie: a=b", false);
        check("/dashboard/sign-in?next=/dashboard/sign-in", false);
        check("", false);
    }
}
