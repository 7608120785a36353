//! Satisfaction surveys: the member's link, the questions, and the answer.
//!
//! A survey belongs to one use of a coupon. Its link says nothing about the member. The token names
//! the survey by a hash, and a row of the events table leads from the hash to the use. ADR 29
//! explains why.

mod answer;
mod asked;
mod due;
pub mod listed;
pub mod questions;
pub mod throttle;
mod token;

use sha2::{Digest, Sha256};

use crate::config::Environment;
use crate::event::EventKey;

pub use crate::record::{SURVEYS as RECORD, surveys::ASK};
pub use answer::{
    ALERT, ANSWER, Answer, COMMENT_MAX_CHARACTERS, Given, Refusal, clean_comment, is_changeable,
    open_until,
};
pub use asked::{About, Asked, LINK_DAYS, LOOKUP, lookup_partition};
pub use due::{DUE_VERSION, Due, Kind, SurveyMessage};
pub use throttle::{PAUSE_MAX_DAYS, Pauses};
pub use token::{Id, TOKEN_LENGTH, open, sign};

/// A survey's id in a token and in the events table. Nobody can guess it without the key of the
/// use.
pub fn id(event: &EventKey) -> Id {
    let digest = Sha256::new()
        .chain_update(b"coupon_satisfaction\0")
        .chain_update(event.to_string())
        .finalize();
    let mut id = Id::default();
    id.copy_from_slice(&digest[..size_of::<Id>()]);
    id
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_a_survey_of_its_own_for_good() {
        let key = EventKey::used("zupy", "comp_bella_vista", "CP-A1B2C3D4", "ord_POS_789");
        // Links in sent mails depend on this value.
        assert_eq!(hex::encode(id(&key)), "347748ea4f686d78850ce63de7c3d723");
        let other = EventKey::used("zupy", "comp_bella_vista", "CP-A1B2C3D4", "ord_POS_790");
        assert_ne!(id(&key), id(&other));
    }
}
