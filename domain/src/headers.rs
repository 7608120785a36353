//! The headers of a request, as verification reads them.

use std::borrow::Cow;

use http::HeaderMap;

/// Headers by name, in any case, each with all its values.
#[derive(Debug, Default)]
pub struct Headers<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Headers<'a> {
    /// Every value of a header. The gateway joins a repeated header with commas, and this function
    /// takes the values apart again. So no value of the header may hold a comma.
    pub fn values<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.0
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }
}

impl<'a, N: Into<Cow<'a, str>>, V: Into<Cow<'a, str>>> FromIterator<(N, V)> for Headers<'a> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        Self(
            headers
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl From<&HeaderMap> for Headers<'static> {
    /// Leaves out a value that is not UTF-8, because no signature and no secret is one.
    fn from(headers: &HeaderMap) -> Self {
        let readable = headers.iter().filter_map(|(name, value)| {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        readable.collect()
    }
}
