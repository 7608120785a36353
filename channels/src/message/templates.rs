//! The templates, bound to their languages at compile time. If a file is missing, or uses an
//! unknown field, the build fails.

use askama::Template;

use super::discount::{Kind, Saving};
use super::shown::Shown;
use super::survey::Survey;
use super::{Language, Occasion};

/// A file that each language's folder has.
#[derive(Debug, Clone, Copy)]
pub(super) enum File {
    Subject,
    EmailHtml,
    EmailText,
    /// The reward in it is a sentence.
    Sms,
    /// Each line holds one parameter.
    WhatsApp,
}

/// Fills a template. The path must be a literal, so the tables below repeat it.
macro_rules! filled {
    ($path:literal, $name:ident: $type:ty) => {{
        #[derive(Template)]
        #[template(path = $path)]
        struct Page<'a> {
            $name: &'a $type,
        }
        Page { $name }.render().expect(RENDERS)
    }};
}

const RENDERS: &str = "the templates hold only text, and a string takes any amount of it";

impl File {
    pub(super) fn fill(self, coupon: &Shown) -> String {
        match (coupon.language, self) {
            (Language::PtBr, Self::Subject) => filled!("pt-BR/subject.txt", coupon: Shown),
            (Language::PtBr, Self::EmailHtml) => filled!("pt-BR/email.html", coupon: Shown),
            (Language::PtBr, Self::EmailText) => filled!("pt-BR/email.txt", coupon: Shown),
            (Language::PtBr, Self::Sms) => filled!("pt-BR/sms.txt", coupon: Shown),
            (Language::PtBr, Self::WhatsApp) => filled!("pt-BR/whatsapp.txt", coupon: Shown),

            (Language::En, Self::Subject) => filled!("en/subject.txt", coupon: Shown),
            (Language::En, Self::EmailHtml) => filled!("en/email.html", coupon: Shown),
            (Language::En, Self::EmailText) => filled!("en/email.txt", coupon: Shown),
            (Language::En, Self::Sms) => filled!("en/sms.txt", coupon: Shown),
            (Language::En, Self::WhatsApp) => filled!("en/whatsapp.txt", coupon: Shown),
        }
    }
}

/// A file of a survey that each language's folder has.
#[derive(Debug, Clone, Copy)]
pub(super) enum SurveyFile {
    Subject,
    EmailHtml,
    EmailText,
    /// Each line holds one parameter.
    WhatsApp,
}

impl SurveyFile {
    pub(super) fn fill(self, survey: &Survey) -> String {
        match (survey.language, self) {
            (Language::PtBr, Self::Subject) => {
                filled!("pt-BR/survey_subject.txt", survey: Survey)
            }
            (Language::PtBr, Self::EmailHtml) => filled!("pt-BR/survey.html", survey: Survey),
            (Language::PtBr, Self::EmailText) => filled!("pt-BR/survey.txt", survey: Survey),
            (Language::PtBr, Self::WhatsApp) => {
                filled!("pt-BR/survey_whatsapp.txt", survey: Survey)
            }

            (Language::En, Self::Subject) => filled!("en/survey_subject.txt", survey: Survey),
            (Language::En, Self::EmailHtml) => filled!("en/survey.html", survey: Survey),
            (Language::En, Self::EmailText) => filled!("en/survey.txt", survey: Survey),
            (Language::En, Self::WhatsApp) => filled!("en/survey_whatsapp.txt", survey: Survey),
        }
    }
}

/// A discount in words, from the file `discount.txt`.
pub(super) fn fill_discount(language: Language, saving: &Saving) -> String {
    match language {
        Language::PtBr => filled!("pt-BR/discount.txt", saving: Saving),
        Language::En => filled!("en/discount.txt", saving: Saving),
    }
}
