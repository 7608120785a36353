//! The languages of messages to customers.

/// A language; each has a folder of templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    PtBr,
    En,
}

impl Language {
    pub const ALL: &[Self] = &[Self::PtBr, Self::En];

    /// The language of a tag such as `pt-BR`, in upper or lower case.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|language| language.tag().eq_ignore_ascii_case(tag))
    }

    /// The language's tag in BCP 47, which is also its folder's name.
    pub fn tag(self) -> &'static str {
        match self {
            Self::PtBr => "pt-BR",
            Self::En => "en",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_language_in_any_case() {
        for language in Language::ALL {
            assert_eq!(Language::of_tag(language.tag()), Some(*language));
            let lower = language.tag().to_lowercase();
            assert_eq!(Language::of_tag(&lower), Some(*language));
            let upper = language.tag().to_uppercase();
            assert_eq!(Language::of_tag(&upper), Some(*language));
        }
        assert_eq!(Language::of_tag("pt"), None);
        assert_eq!(Language::of_tag(""), None);
    }

    #[test]
    fn a_language_s_folder_is_named_for_its_tag() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        for language in Language::ALL {
            let path = std::path::Path::new(folder).join(language.tag());
            assert!(path.is_dir(), "{}", path.display());
        }
    }
}
