//! Figures of surveys: how content members are, by their answers.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use webhooks::figures::SurveySums;

use crate::order::most_first;
use crate::table::Table;
use crate::tenant::{OfTenant, days};

/// How many standard errors the margin has, for a confidence of 95 %.
const Z_95: f64 = 1.96;

/// The lowest number of a promoter, and the highest of a detractor, from 0 to 10.
const PROMOTER_MIN: usize = 9;
const DETRACTOR_MAX: usize = 6;

/// The surveys of a period, counted on the day of the use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Surveys {
    #[serde(flatten)]
    pub total: Answers,
    /// Scheduled surveys that are due later.
    pub pending: u64,
    /// Surveys that did not go out, by reason.
    pub unsent: Vec<Unsent>,
    pub days: Vec<ByDay>,
    pub rewards: Vec<ByName>,
    pub locations: Vec<ByName>,
    pub staff: Vec<ByName>,
}

/// The figures of a group of surveys.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Answers {
    pub scheduled: u64,
    pub sent: u64,
    pub answered: u64,
    /// The share of sent surveys that got an answer, in percent; `None` if none went out.
    pub response_rate: Option<f64>,
    pub average_rating: Option<f64>,
    pub rating_1: u64,
    pub rating_2: u64,
    pub rating_3: u64,
    pub rating_4: u64,
    pub rating_5: u64,
    /// The net promoter score, from -100 to 100; `None` if nobody answered that question.
    pub nps: Option<f64>,
    /// Half the width of the score's 95 % confidence interval.
    pub nps_margin: Option<f64>,
    /// How many members answered that question.
    pub nps_n: u64,
    pub promoters: u64,
    pub passives: u64,
    pub detractors: u64,
    pub comments: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unsent {
    pub reason: String,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByDay {
    pub date: Date,
    #[serde(flatten)]
    pub answers: Answers,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByName {
    /// Empty if the use names none.
    pub name: String,
    #[serde(flatten)]
    pub answers: Answers,
}

/// A row of the CSV.
#[derive(Debug, Serialize)]
struct Row<'a> {
    by: &'static str,
    name: String,
    #[serde(flatten)]
    answers: Option<&'a Answers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsent: Option<u64>,
}

pub(crate) const COLUMNS: &[&str] = &[
    "by",
    "name",
    "scheduled",
    "sent",
    "answered",
    "response_rate",
    "average_rating",
    "rating_1",
    "rating_2",
    "rating_3",
    "rating_4",
    "rating_5",
    "nps",
    "nps_margin",
    "nps_n",
    "promoters",
    "passives",
    "detractors",
    "comments",
    "pending",
    "unsent",
];

impl Surveys {
    pub fn of(tenants: &[OfTenant]) -> Self {
        let mut total = SurveySums::default();
        let mut by_day: BTreeMap<Date, SurveySums> = BTreeMap::new();
        let mut by_reward: BTreeMap<&str, SurveySums> = BTreeMap::new();
        let mut by_location: BTreeMap<&str, SurveySums> = BTreeMap::new();
        let mut by_staff: BTreeMap<&str, SurveySums> = BTreeMap::new();
        let mut unsent: BTreeMap<&str, u64> = BTreeMap::new();
        for (date, day) in days(tenants) {
            for (group, sums) in &day.surveys {
                for groups in [
                    &mut total,
                    by_day.entry(date).or_default(),
                    by_reward.entry(&group.reward_name).or_default(),
                    by_location.entry(&group.location).or_default(),
                    by_staff.entry(&group.staff_member).or_default(),
                ] {
                    groups.add(sums);
                }
            }
            for (reason, count) in &day.surveys_unsent {
                let sum = unsent.entry(reason).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        let given_up = total_of(unsent.values().copied());
        let pending = total.scheduled.saturating_sub(total.sent);
        let unsent = unsent.into_iter().map(|(reason, count)| Unsent {
            reason: reason.to_owned(),
            count,
        });
        let days = by_day.into_iter().map(|(date, sums)| ByDay {
            date,
            answers: Answers::of(&sums),
        });
        Self {
            total: Answers::of(&total),
            pending: pending.saturating_sub(given_up),
            unsent: most_first(unsent, |it| it.count),
            days: days.collect(),
            rewards: named(by_reward),
            locations: named(by_location),
            staff: named(by_staff),
        }
    }

    /// One row for the whole, and one for each day, reward, location, member of staff and reason.
    pub(crate) fn table(&self) -> Table {
        let row = |by, name: String, answers| Row {
            by,
            name,
            answers: Some(answers),
            pending: None,
            unsent: None,
        };
        let mut total = row("total", String::new(), &self.total);
        total.pending = Some(self.pending);
        let mut rows = vec![total];
        let days = self.days.iter();
        rows.extend(days.map(|day| row("day", day.date.to_string(), &day.answers)));
        for (by, names) in [
            ("reward", &self.rewards),
            ("location", &self.locations),
            ("staff_member", &self.staff),
        ] {
            let names = names.iter();
            rows.extend(names.map(|named| row(by, named.name.clone(), &named.answers)));
        }
        rows.extend(self.unsent.iter().map(|unsent| Row {
            by: "unsent",
            name: unsent.reason.clone(),
            answers: None,
            pending: None,
            unsent: Some(unsent.count),
        }));
        if rows.len() == 1 {
            // The period has no scheduled survey.
            rows.clear();
        }
        Table::of(COLUMNS, rows)
    }
}

fn named(groups: BTreeMap<&str, SurveySums>) -> Vec<ByName> {
    let rows = groups.into_iter().map(|(name, sums)| ByName {
        name: name.to_owned(),
        answers: Answers::of(&sums),
    });
    most_first(rows, |row| row.answers.sent)
}

fn total_of(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

impl Answers {
    pub fn of(sums: &SurveySums) -> Self {
        let [rating_1, rating_2, rating_3, rating_4, rating_5] = sums.ratings;
        let count = |of: &[u64]| total_of(of.iter().copied());
        let recommend = &sums.recommend;
        let detractors = count(&recommend[..=DETRACTOR_MAX]);
        let passives = count(&recommend[DETRACTOR_MAX + 1..PROMOTER_MIN]);
        let promoters = count(&recommend[PROMOTER_MIN..]);
        let nps = Score::of(promoters, passives, detractors);
        let weighted = [1.0, 2.0, 3.0, 4.0, 5.0].iter().zip(sums.ratings);
        let weighted: f64 = weighted.map(|(rating, count)| rating * real(count)).sum();
        let rated = count(&sums.ratings);
        let average = (rated > 0).then(|| weighted / real(rated));
        let rate = (sums.sent > 0).then(|| real(sums.answered) / real(sums.sent) * 100.0);
        Self {
            scheduled: sums.scheduled,
            sent: sums.sent,
            answered: sums.answered,
            response_rate: rate.map(|it| rounded(it, 2)),
            average_rating: average.map(|it| rounded(it, 2)),
            rating_1,
            rating_2,
            rating_3,
            rating_4,
            rating_5,
            nps: nps.map(|it| rounded(it.score, 1)),
            nps_margin: nps.map(|it| rounded(it.margin, 1)),
            nps_n: total_of([promoters, passives, detractors]),
            promoters,
            passives,
            detractors,
            comments: sums.comments,
        }
    }
}

/// A net promoter score, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Score {
    score: f64,
    margin: f64,
}

impl Score {
    /// Each answer counts 1, 0 or -1. The score is their mean `p - d`, and their variance is `p + d
    /// - (p - d)²`. Without answers, there is no score.
    fn of(promoters: u64, passives: u64, detractors: u64) -> Option<Self> {
        let n = real(promoters) + real(passives) + real(detractors);
        Self::of_shares(real(promoters) / n, real(detractors) / n, n)
    }

    fn of_shares(p: f64, d: f64, n: f64) -> Option<Self> {
        let variance = (p + d - (p - d) * (p - d)).max(0.0);
        (n > 0.0).then(|| Self {
            score: (p - d) * 100.0,
            margin: Z_95 * (variance / n).sqrt() * 100.0,
        })
    }
}

/// A count as a divisor. Counts are far below 2⁵³, so this is exact.
fn real(count: u64) -> f64 {
    count as f64
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10_f64.powi(decimals);
    // Removes the sign of a negative zero.
    (value * unit).round() / unit + 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use webhooks::figures::{Day, SurveyGroup};

    use super::*;
    use crate::tenant::Tenant;

    #[test]
    fn the_margin_is_that_of_a_known_case() {
        let score = Score::of_shares(1.0 / 2.0, 1.0 / 6.0, 100.0).unwrap();
        assert_eq!(rounded(score.score, 1), 33.3);
        assert_eq!(rounded(score.margin, 1), 14.6);
    }

    #[test]
    fn of_no_answer_there_is_no_figure() {
        let answers = Answers::of(&SurveySums::default());
        assert_eq!(answers, Answers::default());
        let json = serde_json::to_string(&answers).unwrap();
        assert!(json.contains(r#""average_rating":null"#), "{json}");
        let nps = r#""nps":null,"nps_margin":null,"nps_n":0"#;
        assert!(json.contains(nps), "{json}");
    }

    #[test]
    fn promoters_are_9_and_10_and_detractors_0_to_6() {
        let sums = SurveySums {
            recommend: [1; 11],
            ..SurveySums::default()
        };
        let answers = Answers::of(&sums);
        let shares = (answers.promoters, answers.passives, answers.detractors);
        assert_eq!(shares, (2, 2, 7));
        assert_eq!((answers.nps, answers.nps_n), (Some(-45.5), 11));
    }

    #[test]
    fn ratings_and_responses_are_rounded_to_two_decimals() {
        let sums = SurveySums {
            sent: 3,
            answered: 2,
            ratings: [0, 0, 1, 0, 1],
            ..SurveySums::default()
        };
        let answers = Answers::of(&sums);
        assert_eq!(answers.response_rate, Some(66.67));
        assert_eq!(answers.average_rating, Some(4.0));
    }

    #[test]
    fn what_was_scheduled_is_sent_given_up_or_pending() {
        let mut day = Day::default();
        let group = |location: &str| SurveyGroup {
            reward_name: "Pizza".into(),
            location: location.into(),
            staff_member: String::new(),
        };
        let sums = |scheduled, sent| SurveySums {
            scheduled,
            sent,
            answered: 1,
            ratings: [0, 0, 0, 0, 1],
            ..SurveySums::default()
        };
        day.surveys.insert(group("Centro"), sums(7, 3));
        day.surveys.insert(group("Sul"), sums(4, 4));
        day.surveys_unsent.insert("no_address".into(), 1);
        day.surveys_unsent.insert("asked_recently".into(), 2);
        let date: Date = "2026-11-25".parse().unwrap();
        let tenant = OfTenant {
            tenant: Tenant {
                provider: "zupy".into(),
                tenant: "c".into(),
                time_zone: "UTC".into(),
            },
            now: date.at(12, 0, 0, 0),
            days: [(date, day)].into(),
            compared: BTreeMap::new(),
        };
        let surveys = Surveys::of(&[tenant]);
        assert_eq!((surveys.total.scheduled, surveys.total.sent), (11, 7));
        assert_eq!(surveys.pending, 1);
        let reasons = surveys
            .unsent
            .iter()
            .map(|unsent| (unsent.reason.as_str(), unsent.count));
        let expected = [("asked_recently", 2), ("no_address", 1)];
        assert_eq!(reasons.collect::<Vec<_>>(), expected);
        let names = surveys.locations.iter().map(|it| it.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["Sul", "Centro"]);
        assert_eq!(surveys.rewards[0].answers.response_rate, Some(28.57));
        let csv = surveys.table().csv();
        let lines: Vec<_> = csv.lines().collect();
        assert!(lines[1].starts_with("total,,11,7,2,28.57,5.0,"), "{csv}");
        assert!(lines[1].ends_with(",0,1,"), "{csv}");
        assert!(
            lines.contains(&format!("unsent,no_address{}1", ",".repeat(19)).as_str()),
            "{csv}"
        );
        assert!(Surveys::of(&[]).table().rows.is_empty());
    }

    proptest! {
        #[test]
        fn every_figure_is_within_its_bounds(
            recommend in any::<[u32; 11]>(),
            ratings in any::<[u32; 5]>(),
        ) {
            let sums = SurveySums {
                recommend: recommend.map(u64::from),
                ratings: ratings.map(u64::from),
                ..SurveySums::default()
            };
            let answers = Answers::of(&sums);
            if let Some(nps) = answers.nps {
                prop_assert!((-100.0..=100.0).contains(&nps));
                let margin = answers.nps_margin.unwrap();
                prop_assert!((0.0..=196.0).contains(&margin));
            }
            if let Some(average) = answers.average_rating {
                prop_assert!((1.0..=5.0).contains(&average));
            }
        }
    }
}
