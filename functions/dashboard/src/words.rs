//! The pages' texts in each language. Each text has both languages next to each other, so a missing
//! text does not compile.

pub(crate) mod answers;
pub(crate) mod common;
pub(crate) mod operations;
pub(crate) mod overview;
pub(crate) mod records;

/// Declares texts: `name: "in English", "em português";`. The type has a field for each of them,
/// and `of` gives those of a language.
macro_rules! words {
    ($(#[$meta:meta])* $type:ident { $($field:ident: $en:literal, $pt:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $type {
            $(pub(crate) $field: &'static str,)+
        }

        impl $type {
            pub(crate) fn of(language: crate::language::Language) -> &'static Self {
                const EN: $type = $type { $($field: $en,)+ };
                const PT_BR: $type = $type { $($field: $pt,)+ };
                match language {
                    crate::language::Language::En => &EN,
                    crate::language::Language::PtBr => &PT_BR,
                }
            }

            /// The name of each text, and the text in both languages.
            #[cfg(test)]
            pub(crate) const ALL: &[(&str, &str, &str)] = &[$((stringify!($field), $en, $pt),)+];
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that are the same in both languages.
    const SAME: [&str; 3] = ["csv", "sms", "token"];

    #[test]
    fn every_text_is_there_in_both_languages() {
        let all = [
            answers::Answers::ALL,
            common::Common::ALL,
            operations::Operations::ALL,
            overview::Overview::ALL,
            records::Records::ALL,
        ]
        .concat();
        for (name, en, pt) in all {
            assert!(!en.trim().is_empty() && !pt.trim().is_empty(), "{name}");
            assert_eq!(en == pt, SAME.contains(&name), "{name}: {en}");
            assert_eq!(en.matches("{}").count(), pt.matches("{}").count(), "{name}");
        }
    }
}
