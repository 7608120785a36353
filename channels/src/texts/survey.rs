//! The invitation to a survey: a mail, or the parameters of a WhatsApp message.

use super::clean::{first_name, full_name, line, shorten};
use super::filled::filled;
use super::{Email, Language};

/// The values of an invitation. Providers may leave out everything that is optional.
#[derive(Clone, Copy)]
pub struct Invitation<'a> {
    /// The member's name.
    pub name: Option<&'a str>,
    /// The reward's name.
    pub reward: Option<&'a str>,
    /// The place of the use.
    pub location: Option<&'a str>,
    /// The first question, and the meaning of each rating, from 1 on.
    pub question: &'a str,
    pub ratings: &'a [String; 5],
    /// The survey's page. A `?rating=4` at its end preselects a rating.
    pub link: &'a str,
    /// For how many days the link opens the page.
    pub link_days: i64,
}

/// The values of an invitation as the templates show them: clean and of a limited length.
pub(super) struct Survey {
    pub(super) language: Language,
    pub(super) name: Option<String>,
    pub(super) reward: Option<String>,
    pub(super) location: Option<String>,
    pub(super) question: String,
    pub(super) ratings: Vec<Rating>,
    pub(super) link: String,
    pub(super) link_days: i64,
}

/// A file of a survey that each language's folder has.
#[derive(Debug, Clone, Copy)]
enum SurveyFile {
    Subject,
    EmailHtml,
    EmailText,
    /// Each line holds one parameter.
    WhatsApp,
}

impl SurveyFile {
    fn fill(self, survey: &Survey) -> String {
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

/// A rating that a tap preselects.
pub(super) struct Rating {
    pub(super) number: usize,
    pub(super) label: String,
}

const REWARD_MAX_CHARS: usize = 200;
const LOCATION_MAX_CHARS: usize = 100;

/// WhatsApp takes 1,024 characters in all. A reward and a link have at most 200 characters each. So
/// the template's own words keep 500.
const NAME_MAX_CHARS: usize = 60;

/// How many characters of a reward's name an inbox shows on a computer, after "Como foi: ".
const SUBJECT_REWARD_MAX_CHARS: usize = 50;

impl Survey {
    fn of(language: Language, invitation: &Invitation<'_>) -> Self {
        let shown = |text: Option<&str>, max_chars: usize| {
            let text = text.and_then(line);
            text.map(|text| shorten(&text, max_chars, "…"))
        };
        let ratings = invitation.ratings.iter().enumerate();
        let ratings = ratings.map(|(index, label)| Rating {
            number: index + 1,
            label: label.clone(),
        });
        Self {
            language,
            name: invitation.name.and_then(first_name),
            reward: shown(invitation.reward, REWARD_MAX_CHARS),
            location: shown(invitation.location, LOCATION_MAX_CHARS),
            question: invitation.question.to_owned(),
            ratings: ratings.collect(),
            link: invitation.link.to_owned(),
            link_days: invitation.link_days,
        }
    }
}

/// Writes the mail that invites a member.
pub fn survey_email(language: Language, invitation: &Invitation<'_>) -> Email {
    let mut survey = Survey::of(language, invitation);
    let html = SurveyFile::EmailHtml.fill(&survey);
    let text = SurveyFile::EmailText.fill(&survey);
    let reward = survey.reward.as_deref();
    survey.reward = reward.map(|name| shorten(name, SUBJECT_REWARD_MAX_CHARS, "…"));
    Email {
        subject: SurveyFile::Subject.fill(&survey),
        html,
        text,
    }
}

/// Name, reward and link, in the order of the approved template's `{{1}}` to `{{3}}`. None is empty
/// or breaks a line, because WhatsApp refuses such a message.
pub fn survey_whatsapp_parameters(language: Language, invitation: &Invitation<'_>) -> [String; 3] {
    let mut survey = Survey::of(language, invitation);
    let name = invitation.name.and_then(full_name);
    survey.name = name.map(|name| shorten(&name, NAME_MAX_CHARS, "…"));
    let parameters = SurveyFile::WhatsApp.fill(&survey);
    let mut parameters = parameters.lines().map(str::to_owned);
    std::array::from_fn(|_| parameters.next().expect(A_LINE_EACH))
}

const A_LINE_EACH: &str = "the template has a line for each, and no value breaks one";

#[cfg(test)]
mod tests;
