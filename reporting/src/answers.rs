//! Lists the answers to surveys, the newest first: merges several tenants, one page at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use tokio::time::Instant;
use webhooks::event::EventKey;
use webhooks::ledger::{Item, read_all};
use webhooks::stock::identity;
use webhooks::survey::listed::{Listed, newest};
use webhooks::survey::{ANSWER, Answer};

use crate::access::Scope;
use crate::parameters::Parameters;
use crate::period::Period;
use crate::report::Asked;
use crate::said::Said;
use crate::sources::{Named, Sources};

/// How many tenants this module reads at the same time.
const CONCURRENCY: usize = 16;

/// How many answers this module examines for one page, if a filter leaves out most of them.
const LOOKED_THROUGH: usize = 5000;

/// How long one page looks for answers. After that, the page names the place to go on, even if it
/// found few.
const LOOKS_FOR: Duration = Duration::from_secs(8);

/// The default and the largest number of answers of a page.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 500;

const SEARCH: Said = Said::new(
    "must be a part of a comment",
    "deve ser parte de um comentário",
);

const CURSOR: Said = Said::new(
    "must be the next_cursor of an answer to the same question",
    "deve ser o next_cursor de uma resposta à mesma pergunta",
);

const COMMENTED: [(&str, bool); 2] = [("commented", true), ("all", false)];

/// A filter for answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    pub rating: Option<u8>,
    /// Only answers with a comment.
    pub commented: bool,
    /// A part of the comment, in any case.
    pub search: Option<String>,
}

/// A question for answers.
#[derive(Debug)]
pub struct Question {
    pub asked: Asked,
    pub filter: Filter,
    /// The place of the last answer of the page before.
    pub after: Option<String>,
    pub limit: usize,
}

/// An answer as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The use that the survey is about.
    pub event: String,
    pub provider: String,
    pub tenant: String,
    pub answered_at: Timestamp,
    /// The tenant's day of the use, on which the answer counts.
    pub day: Date,
    pub rating: u8,
    pub recommend: Option<u8>,
    pub comment: Option<String>,
    pub reward_name: Option<String>,
    pub location: Option<String>,
    pub staff_member: Option<String>,
    pub language: String,
    /// The version of the questions.
    pub questions: u32,
}

pub const COLUMNS: &[&str] = &[
    "event",
    "provider",
    "tenant",
    "answered_at",
    "day",
    "rating",
    "recommend",
    "comment",
    "reward_name",
    "location",
    "staff_member",
    "language",
    "questions",
];

/// Some answers, the newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    pub answers: Vec<Row>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

impl Question {
    /// What the parameters ask for.
    pub fn read(
        sources: &Sources,
        parameters: &mut Parameters,
        scope: &Scope,
        now: Timestamp,
    ) -> Self {
        let rating = parameters.number("rating", 5);
        let search = parameters.text("search", &SEARCH);
        let commented = parameters.choice("answers", &COMMENTED).unwrap_or(true);
        let limit = parameters.number("limit", LIMIT_MAX).unwrap_or(LIMIT);
        let cursor = parameters.text("cursor", &CURSOR);
        let (asked, _) = sources.ask(parameters, scope, now);
        let after = cursor.and_then(|text| {
            let place = place(&text);
            if place.is_none() {
                parameters.problem("cursor", &text, CURSOR);
            }
            place
        });
        Self {
            asked,
            filter: Filter {
                rating: rating.and_then(|it| u8::try_from(it).ok()),
                commented,
                search: search.map(|it| identity(&it)),
            },
            after,
            limit,
        }
    }
}

/// The place that a cursor names. For every tenant, places are in the order of time.
fn place(cursor: &str) -> Option<String> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (time, id) = text.split_once('#')?;
    time.parse::<Timestamp>().ok()?;
    let is_id = id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit());
    is_id.then_some(text)
}

impl Filter {
    fn takes_listed(&self, listed: &Listed) -> bool {
        let commented = self.commented || self.search.is_some();
        self.rating.is_none_or(|it| it == listed.rating) && (!commented || listed.has_comment)
    }

    fn takes(&self, row: &Row) -> bool {
        let commented = self.commented || self.search.is_some();
        let found = |wanted: &String| {
            let comment = row.comment.as_deref().map(identity);
            comment.is_some_and(|it| it.contains(wanted.as_str()))
        };
        (!commented || row.comment.is_some()) && self.search.as_ref().is_none_or(found)
    }
}

/// Answers of these tenants from the period, the newest first.
pub async fn answers(
    sources: &Sources,
    tenants: &[Named],
    question: &Question,
) -> anyhow::Result<Page> {
    let until = Instant::now() + LOOKS_FOR;
    let mut after = question.after.clone();
    let mut page = Page::default();
    let mut looked_through = 0;
    loop {
        let listed = merged(sources, tenants, question, after.as_deref()).await?;
        let Some(last) = listed.last().map(|(_, it)| it.place.clone()) else {
            return Ok(page);
        };
        let has_more = listed.len() == question.limit;
        looked_through += listed.len();
        let wanted = listed
            .into_iter()
            .filter(|(_, it)| question.filter.takes_listed(it));
        for (place, row) in rows(sources, wanted.collect()).await? {
            if !question.filter.takes(&row) {
                continue;
            }
            page.answers.push(row);
            if page.answers.len() == question.limit {
                page.next = (has_more || place != last).then(|| URL_SAFE_NO_PAD.encode(place));
                return Ok(page);
            }
        }
        if !has_more {
            return Ok(page);
        }
        if looked_through >= LOOKED_THROUGH || Instant::now() >= until {
            page.next = Some(URL_SAFE_NO_PAD.encode(last));
            return Ok(page);
        }
        after = Some(last);
    }
}

/// The newest answers of all tenants after a place: as many as the question wants, or all.
async fn merged(
    sources: &Sources,
    tenants: &[Named],
    question: &Question,
    after: Option<&str>,
) -> anyhow::Result<Vec<(Named, Listed)>> {
    // Owned, because the compiler cannot follow a reference into the stream.
    let tenants = stream::iter(tenants.to_vec());
    let (period, limit) = (question.asked.period, question.limit);
    let pages = tenants.map(|named| async move {
        let (provider, tenant) = &named;
        let times = times(sources, tenant, period)?;
        let table = &sources.figures_table;
        let of = (provider.as_str(), tenant.as_str());
        let page = newest(&sources.client, table, of, times, after, limit).await?;
        let answers = page.answers.into_iter().map(|it| (named.clone(), it));
        anyhow::Ok(answers.collect::<Vec<_>>())
    });
    let pages: Vec<_> = pages.buffered(CONCURRENCY).try_collect().await?;
    let mut all: Vec<_> = pages.into_iter().flatten().collect();
    all.sort_by(|(_, a), (_, b)| b.place.cmp(&a.place));
    all.truncate(limit);
    Ok(all)
}

/// When a period begins and ends on a tenant's clock.
fn times(
    sources: &Sources,
    tenant: &str,
    period: Period,
) -> anyhow::Result<(Timestamp, Timestamp)> {
    let begin = |day: Date| {
        let begin = day.to_zoned(sources.zones.of(tenant).clone());
        begin
            .map(|it| it.timestamp())
            .context("the beginning of a day")
    };
    let after = period
        .to
        .checked_add(1.day())
        .context("the day after the period")?;
    Ok((begin(period.from)?, begin(after)?))
}

/// The contents of these answers, in their order. The list leaves out an answer without a record.
async fn rows(
    sources: &Sources,
    listed: Vec<(Named, Listed)>,
) -> anyhow::Result<Vec<(String, Row)>> {
    let record = |listed: &Listed| {
        let event = &listed.event;
        sources
            .ledger
            .row_key(event.coupon(), event.beneath(ANSWER))
    };
    let keys: Vec<_> = listed.iter().map(|(_, it)| record(it)).collect();
    let found = read_all(&sources.client, &keys, &[]).await?;
    let key_of = |row: &Item| {
        let text = |name: &str| row.get(name)?.as_s().ok().cloned();
        Some((text("coupon")?, text("entry")?))
    };
    let found: BTreeMap<_, _> = found
        .iter()
        .filter_map(|row| Some((key_of(row)?, row)))
        .collect();
    let rows = listed
        .into_iter()
        .filter_map(|((provider, tenant), listed)| {
            let key = record(&listed);
            let row = found.get(&(key.partition.1, key.sort.1))?;
            let answer = Answer::read(row)?;
            let row = row_of(listed.event, provider, tenant, answer);
            Some((listed.place, row))
        });
    Ok(rows.collect())
}

fn row_of(event: EventKey, provider: String, tenant: String, answer: Answer) -> Row {
    Row {
        event: event.to_string(),
        provider,
        tenant,
        answered_at: answer.answered_at,
        day: answer.about.day,
        rating: answer.rating,
        recommend: answer.recommend,
        comment: answer.comment,
        reward_name: answer.about.reward_name,
        location: answer.about.location,
        staff_member: answer.about.staff_member,
        language: answer.about.language,
        questions: answer.about.questions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_place_and_nothing_else() {
        let check = |text: &str, expected: bool| {
            let cursor = URL_SAFE_NO_PAD.encode(text);
            let read = place(&cursor);
            assert_eq!(read.as_deref() == Some(text), expected, "{text}");
        };
        let id = "0123456789abcdef0123456789abcdef";
        check(&format!("2026-11-25T12:00:00.000000000Z#{id}"), true);
        check(&format!("yesterday#{id}"), false);
        check("2026-11-25T12:00:00.000000000Z#1", false);
        check("2026-11-25T12:00:00.000000000Z", false);
        assert_eq!(place("???"), None);
    }

    #[test]
    fn a_search_finds_a_part_of_the_comment_whatever_its_case() {
        let about = webhooks::survey::About {
            questions: 1,
            language: "pt-BR".into(),
            reward_name: None,
            location: None,
            staff_member: None,
            day: "2026-11-25".parse().unwrap(),
        };
        let at = "2026-11-25T12:00:00Z".parse().unwrap();
        let answer = |comment: Option<&str>| Answer {
            rating: 3,
            recommend: None,
            comment: comment.map(str::to_owned),
            about: about.clone(),
            answered_at: at,
            changed_at: at,
        };
        let row = |comment: Option<&str>| {
            let key = EventKey::used("zupy", "c", "CP-1", "1");
            row_of(key, "zupy".into(), "c".into(), answer(comment))
        };
        let check = |search: Option<&str>, comment: Option<&str>, expected: bool| {
            let filter = Filter {
                search: search.map(identity),
                ..Filter::default()
            };
            assert_eq!(
                filter.takes(&row(comment)),
                expected,
                "{search:?} {comment:?}"
            );
        };
        check(Some("FRIA"), Some("A pizza veio fria."), true);
        check(Some("pizza  veio"), Some("A Pizza\nveio fria."), true);
        check(Some("quente"), Some("A pizza veio fria."), false);
        check(Some("fria"), None, false);
        check(None, None, true);
    }
}
