//! The languages of the pages, and the choice of one for each request.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

use crate::session;

/// The parameter that switches the language, and the cookie that remembers it.
pub(crate) const NAME: &str = "language";

/// A year, in seconds.
pub(crate) const LASTS_S: i64 = 365 * 24 * 60 * 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    En,
    PtBr,
}

impl Language {
    /// The language's tag in BCP 47.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::PtBr => "pt-BR",
        }
    }

    /// The language's name in its own words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::PtBr => "Português",
        }
    }

    /// The language that the page offers in place of this one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::En => Self::PtBr,
            Self::PtBr => Self::En,
        }
    }

    /// `pt`, `pt-BR` and `pt-PT` are all Portuguese.
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split('-').next()?.to_ascii_lowercase();
        match primary.as_str() {
            "en" => Some(Self::En),
            "pt" => Some(Self::PtBr),
            _ => None,
        }
    }

    /// The language that the reader chose before; else the one that the browser prefers; else
    /// English.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let chosen = session::cookie(headers, NAME).and_then(Self::of_tag);
        chosen.or_else(|| preferred(headers)).unwrap_or(Self::En)
    }
}

/// The first known language among those that `Accept-Language` weighs most.
fn preferred(headers: &HeaderMap) -> Option<Language> {
    let values = headers.get_all(ACCEPT_LANGUAGE).iter();
    let values = values.filter_map(|it| it.to_str().ok());
    let mut known: Vec<_> = values
        .flat_map(|it| it.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';');
            let language = Language::of_tag(parts.next()?)?;
            let weight = parts.find_map(|it| it.trim().strip_prefix("q="));
            let weight: f32 = weight.map_or(Some(1.0), |it| it.trim().parse().ok())?;
            (weight > 0.0).then_some((weight, language))
        })
        .collect();
    // The sort is stable, so the first of several equals stays first.
    known.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    known.first().map(|(_, language)| *language)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::COOKIE;

    use super::*;

    fn check(accepted: &'static str, chosen: Option<&'static str>, expected: Language) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accepted));
        if let Some(chosen) = chosen {
            headers.insert(COOKIE, HeaderValue::from_static(chosen));
        }
        assert_eq!(Language::of(&headers), expected, "{accepted}");
    }

    #[test]
    fn the_browser_s_preference_decides_until_a_language_is_chosen() {
        check("pt-BR,pt;q=0.9,en;q=0.8", None, Language::PtBr);
        check("pt;q=0.4, en-GB;q=0.5", None, Language::En);
        check("fr, de;q=0.9, PT-pt;q=0.1", None, Language::PtBr);
        check("en;q=0, pt;q=0.1", None, Language::PtBr);
        check("fr", None, Language::En);
        check("", None, Language::En);
        check("en", Some("session=x; language=pt-BR"), Language::PtBr);
        check("pt", Some("language=fr"), Language::PtBr);
    }
}
