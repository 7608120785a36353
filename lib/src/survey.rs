//! Satisfaction surveys: the member's link, the questions, and the answer.
//!
//! A survey belongs to one use of a coupon. The survey's link reveals nothing about the member: its
//! token names the survey by a hash, and a row of the events table leads from the hash to the use.
//! ADR 29 gives the reasons.

mod answer;
mod asked;
pub mod listed;
pub mod throttle;

use crate::config::Environment;

pub use crate::record::{SURVEYS as RECORD, surveys::ASK};
pub use answer::{ALERT, ANSWER, Answer, Given, Refusal, is_changeable};
pub use asked::{About, Asked, LINK_DAYS, LOOKUP, lookup_partition};
pub use domain::survey::{
    COMMENT_MAX_CHARACTERS, Due, Id, SurveyMessage, TOKEN_LENGTH, clean_comment, id, open,
    questions, sign,
};
pub use throttle::{PAUSE_MAX_DAYS, Pauses};

/// Whether the settings ask for an alert of each bad answer. Another value than `on` and `off`
/// becomes a problem of the environment.
pub fn are_alerts_on(environment: &mut Environment) -> bool {
    match environment.text("SURVEY_ALERTS").as_str() {
        "on" => true,
        "off" | "" => false,
        other => {
            let problem = format!("SURVEY_ALERTS is {other:?}, it must be on or off");
            environment.problem(problem);
            false
        }
    }
}
