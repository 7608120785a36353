//! A text for people in both languages, side by side: neither can be missing.

use std::borrow::Cow;

/// What is wrong, or allowed, in English and in Portuguese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub english: Cow<'static, str>,
    pub portuguese: Cow<'static, str>,
}

impl Said {
    pub const fn new(english: &'static str, portuguese: &'static str) -> Self {
        Self {
            english: Cow::Borrowed(english),
            portuguese: Cow::Borrowed(portuguese),
        }
    }

    /// A text that holds values.
    pub fn of(english: String, portuguese: String) -> Self {
        Self {
            english: Cow::Owned(english),
            portuguese: Cow::Owned(portuguese),
        }
    }
}
