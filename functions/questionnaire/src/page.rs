//! The rendered pages, which work without a script.

use askama::Template;
use webhooks::survey::questions::{Questions, of_version};
use webhooks::survey::{About, Answer, COMMENT_MAX_CHARACTERS};

use crate::style::{ICON, STYLE};
use crate::words::{ALL, Words, words};

const RENDERS: &str = "the templates hold only text, and a string takes any amount of it";

/// A number that a member can choose.
struct Choice<'a> {
    number: u8,
    label: &'a str,
    is_chosen: bool,
}

/// The first question. `chosen` is preselected; `is_wrong` asks for a choice.
pub(crate) fn rating(about: &About, chosen: Option<u8>, is_wrong: bool) -> String {
    #[derive(Template)]
    #[template(path = "rating.html")]
    struct Page<'a> {
        style: &'a str,
        icon: &'a str,
        words: &'a Words,
        questions: &'a Questions,
        about: &'a About,
        choices: Vec<Choice<'a>>,
        is_wrong: bool,
    }
    let questions = of_version(&about.language, about.questions);
    let choices = (1..).zip(&questions.rating.labels);
    let choices = choices.map(|(number, label)| Choice {
        number,
        label,
        is_chosen: chosen == Some(number),
    });
    let page = Page {
        style: &STYLE.name,
        icon: &ICON.name,
        words: words(questions.language),
        questions,
        about,
        choices: choices.collect(),
        is_wrong,
    };
    page.render().expect(RENDERS)
}

/// The further questions, with the answers so far.
pub(crate) fn rest(answer: &Answer, is_wrong: bool) -> String {
    #[derive(Template)]
    #[template(path = "rest.html")]
    struct Page<'a> {
        style: &'a str,
        icon: &'a str,
        words: &'a Words,
        questions: &'a Questions,
        choices: Vec<Choice<'a>>,
        comment: &'a str,
        comment_max: usize,
        is_wrong: bool,
    }
    let questions = of_version(&answer.about.language, answer.about.questions);
    let choices = (0..=10).map(|number| Choice {
        number,
        label: "",
        is_chosen: answer.recommend == Some(number),
    });
    let page = Page {
        style: &STYLE.name,
        icon: &ICON.name,
        words: words(questions.language),
        questions,
        choices: choices.collect(),
        comment: answer.comment.as_deref().unwrap_or_default(),
        comment_max: COMMENT_MAX_CHARACTERS,
        is_wrong,
    };
    page.render().expect(RENDERS)
}

/// The last page. The member can change the answer for a while.
pub(crate) fn thanks(about: &About, is_changeable: bool) -> String {
    #[derive(Template)]
    #[template(path = "thanks.html")]
    struct Page<'a> {
        style: &'a str,
        icon: &'a str,
        words: &'a Words,
        is_changeable: bool,
    }
    let page = Page {
        style: &STYLE.name,
        icon: &ICON.name,
        words: words(language(about)),
        is_changeable,
    };
    page.render().expect(RENDERS)
}

/// The page for an answer that the member can no longer change.
pub(crate) fn settled(about: &About) -> String {
    #[derive(Template)]
    #[template(path = "settled.html")]
    struct Page<'a> {
        style: &'a str,
        icon: &'a str,
        words: &'a Words,
    }
    let page = Page {
        style: &STYLE.name,
        icon: &ICON.name,
        words: words(language(about)),
    };
    page.render().expect(RENDERS)
}

fn language(about: &About) -> &'static str {
    of_version(&about.language, about.questions).language
}

/// A page without a survey, and so without a known language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The token opens no survey, or no longer opens one.
    Closed,
    Unavailable,
    Unreadable,
}

/// A notice, in every language.
pub(crate) fn notice(notice: Notice) -> String {
    struct Said {
        language: &'static str,
        title: &'static str,
        text: &'static str,
    }
    #[derive(Template)]
    #[template(path = "notice.html")]
    struct Page<'a> {
        style: &'a str,
        icon: &'a str,
        words: &'a Words,
        first: &'a Said,
        others: &'a [Said],
    }
    let said = ALL.each_ref().map(|words| {
        let (title, text) = match notice {
            Notice::Closed => (words.closed_title, words.closed),
            Notice::Unavailable => (words.unavailable_title, words.unavailable),
            Notice::Unreadable => (words.unreadable_title, words.unreadable),
        };
        Said {
            language: words.language,
            title,
            text,
        }
    });
    let [first, others @ ..] = &said;
    let page = Page {
        style: &STYLE.name,
        icon: &ICON.name,
        words: &ALL[0],
        first,
        others,
    };
    page.render().expect(RENDERS)
}

#[cfg(test)]
mod tests;
