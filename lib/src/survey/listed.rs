//! The list of a tenant's answers: a small row of the figures table for each answer, so that the
//! newest can be read first. Comments are on the answers' records alone.

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::{Answer, id};
use crate::clock;
use crate::event::{Event, EventKey, tenant_key};
use crate::ledger::{Change, Item, ItemKey, is_forgotten};

/// An answer as its row in the list holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The use that the survey is about.
    pub event: EventKey,
    /// When the member answered first.
    pub answered_at: Timestamp,
    /// The rating of the use, 1 to 5.
    pub rating: u8,
    /// The recommendation, 0 to 10; `None` if the member did not answer this question.
    pub recommend: Option<u8>,
    /// Whether the member wrote a comment, also if it was erased since.
    pub has_comment: bool,
    /// The answer's place in the tenant's list, for `place` of [`newest`].
    pub place: String,
}

impl Listed {
    fn read(row: &Item) -> Option<Self> {
        let text = |name: &str| row.get(name)?.as_s().ok();
        let number = |name: &str| row.get(name)?.as_n().ok()?.parse().ok();
        let place = text("entry")?;
        let (answered_at, _) = place.split_once('#')?;
        Some(Self {
            event: EventKey::parse(text("event")?)?,
            answered_at: answered_at.parse().ok()?,
            rating: number("rating")?,
            recommend: number("recommend"),
            has_comment: row.get("has_comment")?.as_bool().is_ok_and(|it| *it),
            place: place.clone(),
        })
    }
}

fn partition(provider: &str, tenant: &str) -> String {
    format!("{}#answers", tenant_key(provider, tenant))
}

/// A time as places begin with it, with a fixed length.
fn sortable(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// The change that lists an answer, or updates its row. `forget_at` is the event's `ttl`, because
/// the row expires with the event.
pub fn change(
    figures_table: &str,
    event: &Event,
    answer: &Answer,
    forget_at: AttributeValue,
) -> Change {
    let place = format!(
        "{}#{}",
        sortable(answer.answered_at),
        hex::encode(id(&event.key))
    );
    let key = ItemKey::new(
        figures_table,
        ("part", partition(&event.provider, &event.tenant)),
        ("entry", place),
    );
    let number = |number: u8| AttributeValue::N(number.to_string());
    let change = Change::of(key)
        .set("event", AttributeValue::S(event.key.to_string()))
        .set("rating", number(answer.rating))
        .set(
            "has_comment",
            AttributeValue::Bool(answer.comment.is_some()),
        )
        .set("ttl", forget_at);
    match answer.recommend {
        Some(recommend) => change.set("recommend", number(recommend)),
        None => change,
    }
}

/// Some answers, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The answers, at most as many as the caller wanted.
    pub answers: Vec<Listed>,
    /// Whether there may be older answers.
    pub has_more: bool,
}

/// A tenant's answers whose first version is from `from` on and before `to`, the newest first: at
/// most `limit` answers, after the one at `place` if there is a place.
///
/// # Errors
///
/// DynamoDB does not answer or refuses, or a row is unreadable.
pub async fn newest(
    client: &Client,
    figures_table: &str,
    (provider, tenant): (&str, &str),
    (from, to): (Timestamp, Timestamp),
    place: Option<&str>,
    limit: usize,
) -> anyhow::Result<Page> {
    if place.is_some_and(|place| place < sortable(from).as_str()) {
        return Ok(Page::default());
    }
    let text = |text: &str| AttributeValue::S(text.to_owned());
    // One more row for the place itself, and one more to see whether more follow.
    let asked = i32::try_from(limit.saturating_add(2)).unwrap_or(i32::MAX);
    let mut last = place.map_or_else(|| sortable(to), str::to_owned);
    let mut page = Page::default();
    let now = clock::now();
    loop {
        let found = client
            .query()
            .table_name(figures_table)
            .consistent_read(true)
            .key_condition_expression("part = :part AND entry BETWEEN :from AND :last")
            .expression_attribute_values(":part", text(&partition(provider, tenant)))
            .expression_attribute_values(":from", text(&sortable(from)))
            .expression_attribute_values(":last", text(&last))
            .scan_index_forward(false)
            .limit(asked)
            .send()
            .await
            .context("reading the list of answers")?;
        let is_end = found.last_evaluated_key.is_none();
        let before = last.clone();
        for row in found.items.unwrap_or_default() {
            let listed = Listed::read(&row).context("a row of the answers cannot be read")?;
            if listed.place >= before {
                continue;
            }
            last.clone_from(&listed.place);
            if !is_forgotten(&row, now) {
                page.answers.push(listed);
            }
        }
        page.has_more = page.answers.len() > limit;
        if page.has_more || is_end || last == before {
            page.answers.truncate(limit);
            return Ok(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_time() {
        let times = [
            "2026-11-25T12:00:00Z",
            "2026-11-25T12:00:00.000000001Z",
            "2026-11-25T12:00:00.5Z",
            "2026-11-25T12:00:01Z",
            "2026-12-01T00:00:00Z",
        ];
        let places = times.map(|it| sortable(it.parse().unwrap()));
        assert!(places.is_sorted(), "{places:?}");
        assert!(places.iter().all(|it| it.len() == places[0].len()));
    }
}
