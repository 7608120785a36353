//! The questions of a survey: a file for each language, which holds every version.
//!
//! To change a text, add a version at the top of the file, and build again. An old version stays in
//! the file, so that every answer can be shown with its question.

use std::sync::LazyLock;

use serde::Deserialize;

/// One version of the questions in one language.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    /// The version's number, which counts up from 1 for each language by itself.
    pub version: u32,
    /// The question about the use, which the form asks first.
    pub rating: Rating,
    /// The question about the programme.
    pub recommend: Recommend,
    /// The question for a comment.
    pub comment: Comment,
    /// The language's tag in BCP 47; the file's name.
    #[serde(skip)]
    pub language: &'static str,
}

/// The question that a member answers with a number from 1 to 5.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// The question's text for the member.
    pub question: String,
    /// The meaning of each number, from 1 on.
    pub labels: [String; 5],
}

/// The question that a member answers with a number from 0 to 10.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommend {
    /// The question's text for the member.
    pub question: String,
    /// The meaning of 0.
    pub least: String,
    /// The meaning of 10.
    pub most: String,
}

/// The question that a member answers in the member's own words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// The question's text for the member.
    pub question: String,
}

/// Each language's file. The first file serves every other language.
const FILES: [(&str, &str); 2] = [
    ("pt-BR", include_str!("questions/pt-BR.json")),
    ("en", include_str!("questions/en.json")),
];

/// All versions of each language, the newest first.
static ALL: LazyLock<Vec<Vec<Questions>>> = LazyLock::new(|| {
    let read = |(language, text): (&'static str, &str)| {
        let versions = serde_json::from_str(text);
        let mut versions: Vec<Questions> = versions.expect("the tests read every file");
        for questions in &mut versions {
            questions.language = language;
        }
        versions
    };
    FILES.into_iter().map(read).collect()
});

/// The newest questions in a language, by its tag in upper or lower case. A language without a file
/// gets the questions of the first file, in Portuguese.
pub fn newest(language: &str) -> &'static Questions {
    &of_language(language)[0]
}

/// The questions of a version in a language. If the language's file has no such version, the
/// newest.
pub fn of_version(language: &str, version: u32) -> &'static Questions {
    let versions = of_language(language);
    let found = versions.iter().find(|it| it.version == version);
    found.unwrap_or(&versions[0])
}

fn of_language(language: &str) -> &'static [Questions] {
    let tags = FILES.iter();
    let mut tags = tags.map(|(tag, _)| tag.eq_ignore_ascii_case(language));
    &ALL[tags.position(|found| found).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_versions_newest_first_and_no_text_is_empty() {
        for (language, versions) in FILES.iter().zip(ALL.iter()) {
            let numbers = versions.iter().map(|it| it.version);
            let numbers: Vec<_> = numbers.collect();
            let last = u32::try_from(versions.len()).unwrap();
            let expected: Vec<_> = (1..=last).rev().collect();
            assert_eq!(numbers, expected, "{}", language.0);
            for questions in versions {
                assert_eq!(questions.language, language.0);
                let scale = [
                    &questions.recommend.question,
                    &questions.recommend.least,
                    &questions.recommend.most,
                ];
                let texts = questions.rating.labels.iter().chain(scale);
                let mut texts =
                    texts.chain([&questions.rating.question, &questions.comment.question]);
                assert!(texts.all(|text| !text.trim().is_empty()), "{}", language.0);
            }
        }
    }

    #[test]
    fn the_questions_are_those_of_the_provider_s_page() {
        let questions = newest("pt-br");
        assert_eq!(
            questions.rating.question,
            "Como foi sua experiência ao usar o cupom?"
        );
        assert_eq!(
            questions.recommend.question,
            "Qual a probabilidade de você recomendar nosso programa de fidelidade?"
        );
        assert_eq!(
            questions.comment.question,
            "Comentários adicionais (opcional)"
        );
    }

    #[test]
    fn an_unknown_language_or_version_gets_known_questions() {
        assert_eq!(newest("fr").language, "pt-BR");
        assert_eq!(of_version("EN", 1).language, "en");
        assert_eq!(of_version("en", 99), newest("en"));
    }
}
