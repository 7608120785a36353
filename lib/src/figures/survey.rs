//! The figures of surveys: scheduled surveys, sent surveys, and answers.
//!
//! All of these figures count on the tenant's day of the use, so that answers are next to their
//! uses.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::cell::{Group, Section, Tally};
use super::counted_on::counted_on;
use super::track::day_and_hour;
use crate::event::{Event, Fact};
use crate::ledger::Item;
use crate::record;

/// The record of the schedule, beneath the use.
const SCHEDULED: &str = record::SURVEYS;
/// The record of the message to the member.
const ASKED: &str = record::surveys::ASK;
/// The record of the answer.
const ANSWERED: &str = record::surveys::ANSWER;
pub(super) const RECORDS: [&str; 3] = [SCHEDULED, ASKED, ANSWERED];

/// Why a scheduled survey is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unsent {
    /// The member wants no messages.
    DoNotContact,
    /// The use is an event of a sandbox or a test. Its survey is never scheduled, and counts
    /// nowhere.
    Sandbox,
    /// Somebody erased the member's data.
    Forgotten,
    /// The coupon was cancelled.
    Cancelled,
    /// The member answered another survey a short time ago (`SurveyAnsweredPauseDays`).
    AnsweredRecently,
    /// The member was asked about another use a short time ago (`SurveyIgnoredPauseDays`).
    AskedRecently,
    /// No channel that is set up has an address of the member.
    NoAddress,
    /// Every channel refused the message, or none accepted it in time.
    NotDelivered,
    /// The use was more than seven days ago.
    TooLate,
}

impl Unsent {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::DoNotContact,
        Self::Sandbox,
        Self::Forgotten,
        Self::Cancelled,
        Self::AnsweredRecently,
        Self::AskedRecently,
        Self::NoAddress,
        Self::NotDelivered,
        Self::TooLate,
    ];

    /// The reason's word in records and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::DoNotContact => "do_not_contact",
            Self::Sandbox => "sandbox",
            Self::Forgotten => "forgotten",
            Self::Cancelled => "cancelled",
            Self::AnsweredRecently => "answered_recently",
            Self::AskedRecently => "asked_recently",
            Self::NoAddress => "no_address",
            Self::NotDelivered => "not_delivered",
            Self::TooLate => "too_late",
        }
    }

    /// The reason with this word; `None` for another word.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.word() == word)
    }
}

/// The group in which a use's survey counts; a field is empty if the use has no such value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SurveyGroup {
    /// The reward's name, because a use states no id.
    pub reward_name: String,
    /// The store's name.
    pub location: String,
    /// The name of the person at the till.
    pub staff_member: String,
}

impl SurveyGroup {
    /// The group of a use; `None` for another event.
    pub fn of(event: &Event) -> Option<Self> {
        let Fact::Used(usage) = &event.fact else {
            return None;
        };
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Some(Self {
            reward_name: text(&usage.reward_name),
            location: text(&usage.location),
            staff_member: text(&usage.staff_member),
        })
    }

    fn group(&self) -> Group {
        let names = [&self.reward_name, &self.location, &self.staff_member];
        Group::new(Section::Survey, names.map(String::as_str))
    }

    pub(super) fn read(group: &Group) -> Self {
        Self {
            reward_name: group.name(0),
            location: group.name(1),
            staff_member: group.name(2),
        }
    }
}

/// The use of a survey, with the fields by which the survey is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surveyed {
    /// The tenant's day of the use.
    pub day: Date,
    /// The group of the use, which the survey and its answer share.
    pub group: SurveyGroup,
}

impl Surveyed {
    /// The use, in its tenant's time zone; `None` for another event.
    pub fn of(event: &Event, zone: &TimeZone) -> Option<Self> {
        let (day, _) = day_and_hour(zone, event.occurred_at);
        let group = SurveyGroup::of(event)?;
        Some(Self { day, group })
    }

    /// The groups that these tallies can add to, for [`Book::open`](super::Book::open).
    pub fn groups(&self) -> std::collections::BTreeSet<Group> {
        [self.group.group()].into()
    }

    /// What a survey adds when it is scheduled.
    pub fn scheduled(&self) -> Tally {
        self.one('s')
    }

    /// What a survey adds when it is sent.
    pub fn sent(&self) -> Tally {
        self.one('e')
    }

    /// What a survey adds when it is not sent, for this reason.
    pub fn unsent(&self, reason: Unsent) -> Tally {
        let group = Group::new(Section::SurveyUnsent, [reason.word()]);
        let mut tally = Tally::default();
        tally.add(self.day, &group, 'c', 1);
        tally
    }

    /// What an answer adds. If the answer replaces an old one, this also takes back what the old
    /// one added.
    pub fn answered(&self, old: Option<&Answer>, new: &Answer) -> Tally {
        let of = |answer: Option<&Answer>| {
            let fields = answer.into_iter().flat_map(Answer::fields);
            fields.fold(Tally::default(), |mut tally, field| {
                tally.add(self.day, &self.group.group(), field, 1);
                tally
            })
        };
        of(old).difference(&of(Some(new)))
    }

    fn one(&self, field: char) -> Tally {
        let mut tally = Tally::default();
        tally.add(self.day, &self.group.group(), field, 1);
        tally
    }

    /// What a record with this name beneath the use adds, if it was counted.
    pub(super) fn recounted(group: SurveyGroup, name: &str, row: &Item) -> Option<Tally> {
        let day = counted_on(row)?;
        let surveyed = Self { day, group };
        let text = |name: &str| row.get(name)?.as_s().ok().map(String::as_str);
        match name {
            SCHEDULED => Some(surveyed.scheduled()),
            ANSWERED => Some(surveyed.answered(None, &Answer::read(row)?)),
            ASKED => match (text("status")?, text("result").and_then(Unsent::of_word)) {
                ("done", _) => Some(surveyed.sent()),
                (_, Some(reason)) => Some(surveyed.unsent(reason)),
                ("failed", None) => Some(surveyed.unsent(Unsent::NotDelivered)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The countable part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The rating of the use, 1 to 5.
    pub rating: u8,
    /// How likely the member is to recommend the programme, 0 to 10; `None` if the member did not
    /// answer this question.
    pub recommend: Option<u8>,
    /// Whether the member wrote a comment, also if it was erased since.
    pub has_comment: bool,
}

impl Answer {
    /// Reads the row of an answer: the numbers `rating` and `recommend`, and `has_comment`, which
    /// stays true when the comment is erased. Returns `None` without a valid rating.
    pub fn read(row: &Item) -> Option<Self> {
        let number = |name: &str| row.get(name)?.as_n().ok()?.parse::<u8>().ok();
        let has_comment = match row.get("has_comment") {
            Some(AttributeValue::Bool(has_comment)) => *has_comment,
            _ => row.contains_key("comment"),
        };
        Some(Self {
            rating: number("rating").filter(|it| (1..=5).contains(it))?,
            recommend: number("recommend").filter(|it| *it <= 10),
            has_comment,
        })
    }

    /// The counters that the answer raises by one.
    fn fields(&self) -> impl Iterator<Item = char> {
        let rating = char::from_digit(self.rating.into(), 10).filter(|it| ('1'..='5').contains(it));
        let recommend = self.recommend.filter(|it| *it <= 10);
        let recommend = recommend.map(|it| char::from(b'A' + it));
        let comment = self.has_comment.then_some('c');
        [Some('a'), rating, recommend, comment]
            .into_iter()
            .flatten()
    }
}

/// The results of a group's surveys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SurveySums {
    /// All scheduled surveys, due or not, sent or not.
    pub scheduled: u64,
    /// Surveys whose message a channel accepted.
    pub sent: u64,
    /// Surveys with an answer. A changed answer counts once.
    pub answered: u64,
    /// The numbers of answers with the rating 1, 2, 3, 4 and 5.
    pub ratings: [u64; 5],
    /// The numbers of answers with the recommendation 0, 1, and so on up to 10. An answer may have
    /// none.
    pub recommend: [u64; 11],
    /// Answers with a comment.
    pub comments: u64,
}

impl SurveySums {
    /// The sum of all ratings.
    pub fn rating_sum(&self) -> u64 {
        let ratings = (1..).zip(self.ratings);
        ratings.map(|(rating, count)| rating * count).sum()
    }

    /// Answers with the recommendation 9 or 10.
    pub fn promoters(&self) -> u64 {
        self.recommend[9..].iter().sum()
    }

    /// Answers with the recommendation 7 or 8.
    pub fn passives(&self) -> u64 {
        self.recommend[7..9].iter().sum()
    }

    /// Answers with the recommendation 6 or less.
    pub fn detractors(&self) -> u64 {
        self.recommend[..7].iter().sum()
    }

    /// Adds another group's results.
    pub fn add(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.answered += other.answered;
        for (sum, count) in self.ratings.iter_mut().zip(other.ratings) {
            *sum += count;
        }
        for (sum, count) in self.recommend.iter_mut().zip(other.recommend) {
            *sum += count;
        }
        self.comments += other.comments;
    }

    /// Sets the sum that a counter's letter names.
    pub(super) fn take(&mut self, field: char, count: u64) {
        match field {
            's' => self.scheduled = count,
            'e' => self.sent = count,
            'a' => self.answered = count,
            'c' => self.comments = count,
            '1'..='5' => self.ratings[field as usize - '1' as usize] = count,
            'A'..='K' => self.recommend[field as usize - 'A' as usize] = count,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::days;

    fn surveyed() -> Surveyed {
        Surveyed {
            day: "2026-11-28".parse().unwrap(),
            group: SurveyGroup {
                reward_name: "Pizza".into(),
                location: "Centro".into(),
                staff_member: "Ana".into(),
            },
        }
    }

    fn answer(rating: u8, recommend: Option<u8>, has_comment: bool) -> Answer {
        Answer {
            rating,
            recommend,
            has_comment,
        }
    }

    #[test]
    fn a_day_holds_the_figures_of_its_surveys() {
        let surveyed = surveyed();
        let mut tally = surveyed.scheduled();
        tally.merge(&surveyed.scheduled());
        tally.merge(&surveyed.scheduled());
        tally.merge(&surveyed.sent());
        tally.merge(&surveyed.sent());
        tally.merge(&surveyed.unsent(Unsent::NoAddress));
        tally.merge(&surveyed.answered(None, &answer(5, Some(10), true)));
        tally.merge(&surveyed.answered(None, &answer(2, None, false)));
        let days = days(&tally);
        let day = &days[&surveyed.day];
        let sums = day.surveys[&surveyed.group];
        assert_eq!((sums.scheduled, sums.sent, sums.answered), (3, 2, 2));
        assert_eq!(sums.ratings, [0, 1, 0, 0, 1]);
        assert_eq!(sums.rating_sum(), 7);
        assert_eq!((sums.promoters(), sums.passives()), (1, 0));
        assert_eq!((sums.detractors(), sums.comments), (0, 1));
        assert_eq!(day.surveys_unsent["no_address"], 1);
    }

    #[test]
    fn a_changed_answer_takes_the_place_of_the_old_one() {
        let (surveyed, old) = (surveyed(), answer(2, Some(6), true));
        for new in [
            answer(2, Some(6), true),
            answer(5, None, false),
            answer(1, Some(0), true),
        ] {
            let mut tally = surveyed.answered(None, &old);
            tally.merge(&surveyed.answered(Some(&old), &new));
            assert_eq!(tally, surveyed.answered(None, &new), "{new:?}");
        }
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        for reason in Unsent::ALL {
            assert_eq!(Unsent::of_word(reason.word()), Some(reason));
        }
    }
}
