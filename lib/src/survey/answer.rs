//! A member's answer: one for each survey, which can be changed for an hour.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::{About, clean_comment};
use crate::ledger::{Item, Row};
use crate::record::surveys;

/// The name of the answer's record beneath the use.
pub const ANSWER: &str = surveys::ANSWER;

/// The name of the record of the alert that a bad answer causes, beneath the use.
pub const ALERT: &str = "surveys/alert";

/// The worst ratings, each of which causes an alert.
const BAD_RATING_MAX: u8 = 2;

/// The highest recommendation of a detractor. A detractor's comment causes an alert.
const DETRACTOR_MAX: u8 = 6;

/// How long an answer can be changed, from its first version on.
const CHANGEABLE: SignedDuration = SignedDuration::from_hours(1);

/// A member's answer, and the values that it is counted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The rating of the use, 1 to 5.
    pub rating: u8,
    /// How likely the member is to recommend the programme, 0 to 10; `None` if the member did not
    /// answer this question.
    pub recommend: Option<u8>,
    /// The member's own words, cleaned; `None` without a comment. Personal data: a member may write
    /// anything.
    pub comment: Option<String>,
    /// The questions and their subject.
    pub about: About,
    /// When the member answered first. The answer can be changed for an hour from then on.
    pub answered_at: Timestamp,
    /// When the member changed the answer last; at first the same as `answered_at`.
    pub changed_at: Timestamp,
}

/// The contents of one form. A question that is not in the form keeps its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The rating as the form states it, also outside its scale.
    pub rating: Option<u8>,
    /// The recommendation as the form states it, also outside its scale.
    pub recommend: Option<u8>,
    /// The comment as the form states it. An empty text erases an earlier comment.
    pub comment: Option<String>,
}

/// Why a form does not become an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The rating is outside its scale, or neither the form nor an earlier answer has one.
    #[error("the rating must be a whole number from 1 to 5")]
    NoRating,
    /// The recommendation is outside its scale.
    #[error("the recommendation must be a whole number from 0 to 10")]
    NoRecommendation,
    /// The earlier answer is too old to be changed.
    #[error("the answer is an hour old and stays as it is")]
    Settled,
}

impl Answer {
    /// The answer after a form. `before` is the earlier answer, if there is one; its subject stays.
    ///
    /// # Errors
    ///
    /// A number is outside its scale, there is no rating yet, or the answer can no longer be
    /// changed.
    pub fn give(
        before: Option<&Self>,
        given: Given,
        about: &About,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        if let Some(before) = before
            && !is_changeable(before, now)
        {
            return Err(Refusal::Settled);
        }
        let rating = given.rating.or(before.map(|it| it.rating));
        let rating = rating.filter(|it| (1..=5).contains(it));
        let recommend = given.recommend.or(before.and_then(|it| it.recommend));
        if recommend.is_some_and(|it| it > 10) {
            return Err(Refusal::NoRecommendation);
        }
        let comment = match given.comment {
            Some(comment) => clean_comment(&comment),
            None => before.and_then(|it| it.comment.clone()),
        };
        Ok(Self {
            rating: rating.ok_or(Refusal::NoRating)?,
            recommend,
            comment,
            about: before.map_or(about, |it| &it.about).clone(),
            answered_at: before.map_or(now, |it| it.answered_at),
            changed_at: now,
        })
    }

    /// Whether both answers have the same contents.
    pub fn says(&self, other: &Self) -> bool {
        self.rating == other.rating
            && self.recommend == other.recommend
            && self.comment == other.comment
    }

    /// Whether an operator should see the answer: a low rating, or a detractor's comment.
    pub fn is_bad(&self) -> bool {
        let is_detractor = self.recommend.is_some_and(|it| it <= DETRACTOR_MAX);
        self.rating <= BAD_RATING_MAX || (is_detractor && self.comment.is_some())
    }

    /// A summary of the answer, without the member's comment.
    pub fn summary(&self) -> String {
        let mut summary = format!("rating {} of 5", self.rating);
        if let Some(recommend) = self.recommend {
            summary.push_str(&format!(", recommends {recommend} of 10"));
        }
        if self.comment.is_some() {
            summary.push_str(", with a comment");
        }
        summary
    }

    /// The fields of the answer's record.
    pub fn row(&self) -> Row {
        let mut row = Row::default();
        let number = |number: u8| AttributeValue::N(number.to_string());
        row.0.insert("rating".into(), number(self.rating));
        if let Some(recommend) = self.recommend {
            row.0.insert("recommend".into(), number(recommend));
        }
        row.set("comment", self.comment.as_ref());
        // This field stays when the comment is erased, so that the figures can be counted again.
        let has_comment = AttributeValue::Bool(self.comment.is_some());
        row.0.insert("has_comment".into(), has_comment);
        row.set("result", Some(self.summary()));
        row.set("questions", Some(self.about.questions));
        row.set("language", Some(&self.about.language));
        row.set("reward_name", self.about.reward_name.as_ref());
        row.set("location", self.about.location.as_ref());
        row.set("staff_member", self.about.staff_member.as_ref());
        row.set("day", Some(self.about.day));
        row.set("answered_at", Some(self.answered_at));
        row.set("changed_at", Some(self.changed_at));
        row
    }

    /// Reads a record; `None` if it is no answer.
    pub fn read(row: &Item) -> Option<Self> {
        let text = |name: &str| row.get(name)?.as_s().ok();
        let number = |name: &str| row.get(name)?.as_n().ok()?.parse().ok();
        let day: Date = text("day")?.parse().ok()?;
        Some(Self {
            rating: number("rating")?,
            recommend: number("recommend"),
            comment: text("comment").cloned(),
            about: About {
                questions: text("questions")?.parse().ok()?,
                language: text("language")?.clone(),
                reward_name: text("reward_name").cloned(),
                location: text("location").cloned(),
                staff_member: text("staff_member").cloned(),
                day,
            },
            answered_at: text("answered_at")?.parse().ok()?,
            changed_at: text("changed_at")?.parse().ok()?,
        })
    }
}

/// The time until which an answer can be changed: an hour after its first version.
fn open_until(answer: &Answer) -> Timestamp {
    let until = answer.answered_at.checked_add(CHANGEABLE);
    until.unwrap_or(Timestamp::MAX)
}

/// Whether an answer can still be changed.
pub fn is_changeable(answer: &Answer, now: Timestamp) -> bool {
    now < open_until(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn about() -> About {
        About {
            questions: 1,
            language: "pt-BR".into(),
            reward_name: Some("Pizza".into()),
            location: Some("Centro".into()),
            staff_member: None,
            day: "2026-11-25".parse().unwrap(),
        }
    }

    fn rating(rating: u8) -> Given {
        Given {
            rating: Some(rating),
            ..Given::default()
        }
    }

    fn first(at_text: &str) -> Answer {
        Answer::give(None, rating(4), &about(), at(at_text)).unwrap()
    }

    #[test]
    fn a_low_rating_is_bad_and_so_is_a_detractor_who_says_why() {
        let check = |rating, recommend, comment: Option<&str>, expected: bool| {
            let answer = Answer {
                rating,
                recommend,
                comment: comment.map(str::to_owned),
                ..first("2026-11-25T12:00:00Z")
            };
            assert_eq!(answer.is_bad(), expected, "{answer:?}");
        };
        check(1, None, None, true);
        check(2, Some(10), None, true);
        check(3, None, Some("Frio"), false);
        check(5, Some(6), Some("Frio"), true);
        check(5, Some(6), None, false);
        check(5, Some(7), Some("Bom"), false);
    }

    #[test]
    fn a_rating_alone_is_an_answer_that_the_rest_completes() {
        let before = first("2026-11-25T12:00:00Z");
        assert_eq!((before.rating, before.recommend), (4, None));
        let rest = Given {
            recommend: Some(9),
            comment: Some(" Muito bom! ".into()),
            ..Given::default()
        };
        let now = at("2026-11-25T12:05:00Z");
        let after = Answer::give(Some(&before), rest, &about(), now).unwrap();
        assert_eq!((after.rating, after.recommend), (4, Some(9)));
        assert_eq!(after.comment.as_deref(), Some("Muito bom!"));
        assert_eq!(after.answered_at, before.answered_at);
        assert_eq!(after.changed_at, now);
    }

    #[test]
    fn an_answer_is_changed_for_an_hour_from_the_first() {
        let before = first("2026-11-25T12:00:00Z");
        let last = at("2026-11-25T12:59:59Z");
        let changed = Answer::give(Some(&before), rating(1), &about(), last).unwrap();
        assert_eq!(changed.rating, 1);
        let late = at("2026-11-25T13:00:00Z");
        let refused = Answer::give(Some(&changed), rating(5), &about(), late);
        assert_eq!(refused, Err(Refusal::Settled));
    }

    #[test]
    fn a_number_out_of_its_scale_is_no_answer() {
        let now = at("2026-11-25T12:00:00Z");
        let check = |given: Given, expected: Refusal| {
            assert_eq!(Answer::give(None, given, &about(), now), Err(expected));
        };
        check(Given::default(), Refusal::NoRating);
        check(rating(0), Refusal::NoRating);
        check(rating(6), Refusal::NoRating);
        let recommend = Given {
            recommend: Some(11),
            ..rating(5)
        };
        check(recommend, Refusal::NoRecommendation);
    }

    #[test]
    fn a_comment_that_is_emptied_is_gone() {
        let mut before = first("2026-11-25T12:00:00Z");
        before.comment = Some("Frio".into());
        let given = Given {
            comment: Some(" \r\n ".into()),
            ..Given::default()
        };
        let now = at("2026-11-25T12:01:00Z");
        let after = Answer::give(Some(&before), given, &about(), now).unwrap();
        assert_eq!(after.comment, None);
    }

    #[test]
    fn an_answer_is_read_back_as_it_was_written() {
        let mut answer = first("2026-11-25T12:00:00Z");
        assert_eq!(Answer::read(&answer.row().0), Some(answer.clone()));
        answer.recommend = Some(0);
        answer.comment = Some("linha 1\nlinha 2".into());
        assert_eq!(Answer::read(&answer.row().0), Some(answer.clone()));
        let mut row = answer.row().0;
        let summary = "rating 4 of 5, recommends 0 of 10, with a comment";
        assert_eq!(row["result"].as_s().unwrap(), summary);
        row.remove("rating");
        assert_eq!(Answer::read(&row), None);
    }
}
