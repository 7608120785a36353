//! Satisfaction surveys without their rows: the link's token, the messages, the questions, and what
//! is kept of a comment.
//!
//! A survey belongs to one use of a coupon. Its link says nothing about the member. The token names
//! the survey by a hash. ADR 29 explains why.

mod comment;
mod due;
pub mod questions;
mod token;

use sha2::{Digest, Sha256};

use crate::event::EventKey;

pub use comment::{COMMENT_MAX_CHARACTERS, clean_comment};
pub use due::{Due, SurveyMessage};
pub use token::{Id, TOKEN_LENGTH, open, sign};

/// The id of a use's survey, in tokens and in the events table. Nobody can guess the id without the
/// key of the use.
pub fn id(event: &EventKey) -> Id {
    let digest = Sha256::new()
        .chain_update(b"coupon_satisfaction\0")
        .chain_update(event.to_string())
        .finalize();
    let mut id = Id::default();
    id.copy_from_slice(&digest[..size_of::<Id>()]);
    id
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
