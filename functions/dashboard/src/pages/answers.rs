//! `/dashboard/answers`: the answers to surveys with their comments, the newest first.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use reporting::answers::{COLUMNS, Question, Row as Answer, answers};
use reporting::sources::{Named, TENANTS_MAX, pick};
use reporting::{Refused, Sources, Table};
use webhooks::event::{EventKey, unescape};

use super::events::tidy;
use super::records::coupon_link;
use super::{choose, problem};
use crate::address::Address;
use crate::frame::{Frame, Place};
use crate::reader::Reader;
use crate::words::answers::Answers;
use crate::words::overview::Overview;
use crate::words::records::Records;
use crate::{Dashboard, answer};

/// The page's path.
pub(crate) const PATH: &str = "/dashboard/answers";

/// The most answers of a page.
const LIMIT: usize = 50;

/// The most answers of one CSV file.
const CSV_LIMIT: usize = 500;

#[derive(Template)]
#[template(path = "answers.html")]
struct Page {
    frame: Frame,
    words: &'static Answers,
    records: &'static Records,
    overview: &'static Overview,
    path: &'static str,
    search: String,
    ratings: Vec<Choice>,
    which: Vec<Choice>,
    /// Empty if there is nothing to choose.
    tenants: Vec<Choice>,
    timeframe: String,
    from: String,
    to: String,
    csv: String,
    shows_tenants: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

/// One value of a field of the filter.
struct Choice {
    value: String,
    label: String,
    is_chosen: bool,
}

struct Row {
    at: String,
    time: String,
    rating: u8,
    recommend: String,
    comment: String,
    coupon: String,
    coupon_href: String,
    reward: String,
    location: String,
    staff: String,
    tenant: String,
}

enum Found {
    Page(Box<Page>),
    /// One page cannot be about all of these tenants.
    TooMany(Vec<Named>),
}

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(mut reader): Extension<Reader>,
) -> Response<Body> {
    reader.address = tidy(&reader.address);
    match find(&dashboard.guarded.sources, &reader).await {
        Ok(Found::Page(page)) => answer::page(StatusCode::OK, &*page),
        Ok(Found::TooMany(tenants)) => choose::answer(&reader, Place::Elsewhere, &tenants),
        Err(refused) => problem::of_reader(&reader, &refused),
    }
}

/// The answers that the address asks for as CSV, at most [`CSV_LIMIT`].
pub(crate) async fn csv(sources: &Sources, reader: &Reader) -> Result<Table, Refused> {
    let mut question = read(sources, reader)?;
    question.limit = CSV_LIMIT;
    let asked = &question.asked;
    let (tenant, provider) = (asked.tenant.as_deref(), asked.provider.as_deref());
    let tenants = sources.tenants(&reader.scope, tenant, provider).await?;
    let listed = answers(sources, &tenants, &question).await?;
    Ok(Table::of(COLUMNS, &listed.answers))
}

/// The question that the address asks, apart from the length of the page.
fn read(sources: &Sources, reader: &Reader) -> Result<Question, Refused> {
    let mut parameters = reader.parameters();
    let question = Question::read(sources, &mut parameters, &reader.scope, reader.now);
    parameters.finish()?;
    Ok(question)
}

async fn find(sources: &Sources, reader: &Reader) -> Result<Found, Refused> {
    let mut question = read(sources, reader)?;
    question.limit = question.limit.min(LIMIT);
    let asked = &question.asked;
    let (tenant, provider) = (asked.tenant.as_deref(), asked.provider.as_deref());
    let mut all = sources.figures.tenants().await?;
    all.retain(|(_, own)| reader.scope.may_read(own));
    let tenants = pick(all.clone(), &reader.scope, tenant, provider)?;
    if tenants.len() > TENANTS_MAX {
        return Ok(Found::TooMany(tenants));
    }
    let listed = answers(sources, &tenants, &question).await?;
    let words = Answers::of(reader.language);
    let here = reader.address.without(&["cursor"]);
    let next = listed.next.map(|cursor| {
        let next = reader.address.with("cursor", &cursor);
        next.to_string()
    });
    let rows = listed.answers.into_iter();
    let rows = rows.map(|it| Row::new(sources, reader, it));
    Ok(Found::Page(Box::new(Page {
        frame: Frame::new(reader, Place::Elsewhere, words.title),
        words,
        records: Records::of(reader.language),
        overview: Overview::of(reader.language),
        path: PATH,
        search: value_of(&here, "search"),
        ratings: ratings(&here, words),
        which: which(&here, words),
        tenants: of_tenants(&here, all, Records::of(reader.language)),
        timeframe: value_of(&here, "timeframe"),
        from: value_of(&here, "from"),
        to: value_of(&here, "to"),
        csv: here.on("/dashboard/csv/answers.csv").to_string(),
        shows_tenants: tenants.len() > 1,
        rows: rows.collect(),
        next,
    })))
}

fn value_of(address: &Address, name: &str) -> String {
    let mut parameters = address.parameters().iter();
    let found = parameters.find(|(own, _)| own == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

fn choices(chosen: &str, all: impl IntoIterator<Item = (String, String)>) -> Vec<Choice> {
    let all = all.into_iter().map(|(value, label)| Choice {
        is_chosen: value == chosen,
        value,
        label,
    });
    all.collect()
}

fn ratings(here: &Address, words: &Answers) -> Vec<Choice> {
    let any = (String::new(), words.any_rating.to_owned());
    let numbers = (1..=5).map(|number: u8| (number.to_string(), number.to_string()));
    choices(
        &value_of(here, "rating"),
        std::iter::once(any).chain(numbers),
    )
}

fn which(here: &Address, words: &Answers) -> Vec<Choice> {
    let all = [("commented", words.with_comment), ("all", words.every)];
    let all = all.map(|(value, label)| (value.to_owned(), label.to_owned()));
    choices(&value_of(here, "answers"), all)
}

fn of_tenants(here: &Address, tenants: Vec<Named>, records: &Records) -> Vec<Choice> {
    let mut names: Vec<_> = tenants.into_iter().map(|(_, tenant)| tenant).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return Vec::new();
    }
    let any = (String::new(), records.any.to_owned());
    let names = names.into_iter().map(|name| (name.clone(), name));
    choices(&value_of(here, "tenant"), std::iter::once(any).chain(names))
}

impl Row {
    fn new(sources: &Sources, reader: &Reader, answer: Answer) -> Self {
        let zone = sources.zones.of(&answer.tenant);
        let key = EventKey::parse(&answer.event);
        let coupon = key.as_ref().map_or("", EventKey::coupon);
        Self {
            at: answer.answered_at.to_string(),
            time: reader.written().moment(answer.answered_at, zone),
            rating: answer.rating,
            recommend: answer
                .recommend
                .map(|it| it.to_string())
                .unwrap_or_default(),
            comment: answer.comment.unwrap_or_default(),
            coupon: unescape(coupon.rsplit('#').next().unwrap_or(coupon)),
            coupon_href: coupon_link(coupon),
            reward: answer.reward_name.unwrap_or_default(),
            location: answer.location.unwrap_or_default(),
            staff: answer.staff_member.unwrap_or_default(),
            tenant: answer.tenant,
        }
    }
}
