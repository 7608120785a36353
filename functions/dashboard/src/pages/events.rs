//! `/dashboard/events`: the newest events, each with the state of its tasks.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use reporting::events::Question;
use reporting::progress::{Progress, State as Stage, progress};
use reporting::sources::{Named, PROVIDERS, TENANTS_MAX, pick};
use reporting::{Parameters, Refused, Sources, list};
use webhooks::figures::{Tracked, TrackedKind};

use super::records::{Mark, coupon_link, coupon_state, member_link, task_name};
use super::{choose, problem};
use crate::address::Address;
use crate::frame::{Frame, Place};
use crate::reader::Reader;
use crate::words::common::Common;
use crate::words::overview::Overview;
use crate::words::records::Records;
use crate::{Dashboard, answer};

/// The most events of a page. The page reads each event with the records of its tasks.
const LIMIT: usize = 50;

#[derive(Template)]
#[template(path = "events.html")]
struct Page {
    frame: Frame,
    text: &'static Records,
    query: String,
    /// The parameters that the form keeps, unless it names days.
    timeframe: String,
    timeframes: Vec<Timeframe>,
    choices: Vec<Choice>,
    fields: Vec<Field>,
    csv: String,
    shows_tenants: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

/// A link to the same events of other days.
struct Timeframe {
    text: &'static str,
    href: String,
    is_current: bool,
}

/// A field of the filter with some values.
struct Choice {
    name: &'static str,
    label: &'static str,
    values: Vec<Value>,
}

struct Value {
    value: String,
    label: String,
    is_chosen: bool,
}

/// A field of the filter that takes any text.
struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    value: String,
}

struct Row {
    at: String,
    time: String,
    kind: &'static str,
    coupon: String,
    coupon_href: String,
    member: String,
    member_href: String,
    reward: String,
    place: String,
    state: String,
    tasks: Vec<TaskMark>,
    tenant: String,
}

struct TaskMark {
    name: String,
    mark: Mark,
    /// Whether only screen readers get the state in words, because its sign is enough for other
    /// readers.
    is_quiet: bool,
    records: String,
}

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(mut reader): Extension<Reader>,
) -> Response<Body> {
    reader.address = tidy(&reader.address);
    match find(&dashboard.guarded.sources, &reader).await {
        Ok(Found::Page(page)) => answer::page(StatusCode::OK, &*page),
        Ok(Found::TooMany(tenants)) => choose::answer(&reader, Place::Events, &tenants),
        Err(refused) => problem::of_reader(&reader, &refused),
    }
}

/// Removes the empty fields that a form sends. One day counts before the first and the last day,
/// and these count before a timeframe; the filter removes the others.
pub(crate) fn tidy(address: &Address) -> Address {
    let parameters = address.parameters().iter();
    let empty = parameters.filter(|(_, value)| value.trim().is_empty());
    let empty: Vec<_> = empty.map(|(name, _)| name.as_str()).collect();
    let tidy = address.without(&empty);
    let has = |name: &str| tidy.parameters().iter().any(|(own, _)| own == name);
    if has("date") {
        return tidy.without(&["timeframe", "from", "to"]);
    }
    match has("from") || has("to") {
        true => tidy.without(&["timeframe"]),
        false => tidy,
    }
}

/// The question that the address asks, apart from the length of the page.
pub(crate) fn read(sources: &Sources, reader: &Reader) -> Result<Question, Refused> {
    let mut parameters: Parameters = reader.parameters();
    let question = Question::read(sources, &mut parameters, &reader.scope, reader.now);
    parameters.finish()?;
    Ok(question)
}

enum Found {
    Page(Box<Page>),
    /// One page cannot be about all of these tenants.
    TooMany(Vec<Named>),
}

async fn find(sources: &Sources, reader: &Reader) -> Result<Found, Refused> {
    let question = read(sources, reader)?;
    let (tenant, provider) = (
        question.asked.tenant.as_deref(),
        question.asked.provider.as_deref(),
    );
    let mut all = sources.figures.tenants().await?;
    all.retain(|(_, own)| reader.scope.may_read(own));
    let tenants = pick(all.clone(), &reader.scope, tenant, provider)?;
    if tenants.len() > TENANTS_MAX {
        return Ok(Found::TooMany(tenants));
    }
    let period = question.asked.period;
    let limit = question.limit.min(LIMIT);
    let start = question.start.clone();
    let listing = list(sources, &tenants, period, &question.filter, start, limit).await?;
    let events: Vec<_> = listing.events.iter().map(|(tracked, _)| tracked).collect();
    let tasks = progress(sources, &events, reader.now).await?;
    let text = Records::of(reader.language);
    let events = listing.events.iter().zip(tasks);
    let rows = events.map(|((tracked, state), tasks)| {
        let state = state.as_deref().unwrap_or_default();
        Row::new(sources, reader, text, tracked, state, &tasks)
    });
    let shows_tenants = tenants.len() > 1;
    let next = listing.next.map(|cursor| {
        let next = reader.address.with("cursor", &cursor.text());
        next.to_string()
    });
    let here = reader.address.without(&["cursor"]);
    Ok(Found::Page(Box::new(Page {
        frame: Frame::new(reader, Place::Events, Common::of(reader.language).events),
        text,
        query: String::new(),
        timeframe: value_of(&here, "timeframe"),
        timeframes: timeframes(&here, reader),
        choices: choices(&here, reader, &all, text),
        fields: fields(&here, reader, text, all.len()),
        csv: here.on("/dashboard/csv/events.csv").to_string(),
        shows_tenants,
        rows: rows.collect(),
        next,
    })))
}

fn value_of(address: &Address, name: &str) -> String {
    let mut parameters = address.parameters().iter();
    let found = parameters.find(|(own, _)| own == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

fn timeframes(here: &Address, reader: &Reader) -> Vec<Timeframe> {
    let words = Overview::of(reader.language);
    let others = here.without(&["from", "to", "date"]);
    let has_days = others != *here;
    let current = match value_of(here, "timeframe") {
        text if text.is_empty() => "30d".to_owned(),
        text => text,
    };
    let all = [
        (words.today, "1d"),
        (words.days_7, "7d"),
        (words.days_30, "30d"),
        (words.months_12, "365d"),
    ];
    let all = all.into_iter().map(|(text, value)| Timeframe {
        text,
        href: others.with("timeframe", value).to_string(),
        is_current: !has_days && current == value,
    });
    all.collect()
}

fn choices(
    here: &Address,
    reader: &Reader,
    tenants: &[Named],
    text: &'static Records,
) -> Vec<Choice> {
    let choice = |name: &'static str, label, values: Vec<(String, String)>| {
        let chosen = value_of(here, name);
        let every = (String::new(), text.any.to_owned());
        let values = std::iter::once(every)
            .chain(values)
            .map(|(value, label)| Value {
                is_chosen: value == chosen,
                value,
                label,
            });
        Choice {
            name,
            label,
            values: values.collect(),
        }
    };
    let named = |all: &[(&str, &str)]| {
        let all = all.iter();
        all.map(|(value, label)| ((*value).to_owned(), (*label).to_owned()))
            .collect()
    };
    let kinds = [
        ("redeemed", text.is_redeemed),
        ("used", text.is_used),
        ("cancelled", text.is_cancelled),
        ("expired", text.is_expired),
    ];
    let states = [
        ("active", text.active),
        ("used", text.used),
        ("cancelled", text.cancelled),
        ("expired", text.expired),
    ];
    let mut all = vec![
        choice("type", text.kind, named(&kinds)),
        choice("status", text.coupon_now, named(&states)),
    ];
    let providers = PROVIDERS.map(|(name, _)| name);
    let has = |name: &str| tenants.iter().any(|(provider, _)| provider == name);
    if providers.iter().all(|name| has(name)) {
        let providers = providers.map(|name| (name.to_owned(), name.to_owned()));
        let label = Overview::of(reader.language).provider;
        all.push(choice("provider", label, providers.into()));
    }
    if reader.scope.only().is_none() && tenants.len() <= TENANTS_MAX {
        let mut names: Vec<_> = tenants.iter().map(|(_, tenant)| tenant.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let names = names.into_iter().map(|name| (name.clone(), name));
        all.push(choice("tenant", text.tenant, names.collect()));
    }
    all
}

fn fields(
    here: &Address,
    reader: &Reader,
    text: &'static Records,
    number_of_tenants: usize,
) -> Vec<Field> {
    let words = Overview::of(reader.language);
    let field = |name, label, kind| Field {
        name,
        label,
        kind,
        value: value_of(here, name),
    };
    // If the list would be too long, the reader types the name.
    let tenant = (number_of_tenants > TENANTS_MAX).then(|| field("tenant", text.tenant, "text"));
    let others = [
        field("reward", text.reward, "text"),
        field("location", text.location, "text"),
        field("code", text.code, "text"),
        field("date", words.on_day, "date"),
        field("from", words.from, "date"),
        field("to", words.to, "date"),
    ];
    tenant.into_iter().chain(others).collect()
}

impl Row {
    fn new(
        sources: &Sources,
        reader: &Reader,
        text: &'static Records,
        tracked: &Tracked,
        state: &str,
        tasks: &[Progress],
    ) -> Self {
        let zone = sources.zones.of(&tracked.tenant);
        let places = [&tracked.location, &tracked.platform];
        let places: Vec<_> = places.into_iter().flatten().map(String::as_str).collect();
        let coupon = tracked.coupon_code.clone();
        let tasks = tasks.iter().map(|progress| TaskMark {
            name: task_name(progress.task, text),
            mark: Mark::of(progress.state, text),
            is_quiet: matches!(progress.state, Stage::Done | Stage::Skipped),
            records: progress.records.join(", "),
        });
        Self {
            at: tracked.timestamp.to_string(),
            time: reader.written().moment(tracked.timestamp, zone),
            kind: match tracked.kind {
                TrackedKind::Redeemed => text.is_redeemed,
                TrackedKind::Used => text.is_used,
                TrackedKind::Cancelled => text.is_cancelled,
                TrackedKind::Expired => text.is_expired,
            },
            coupon: coupon.unwrap_or_else(|| tracked.key.to_string()),
            coupon_href: coupon_link(tracked.key.coupon()),
            member: tracked.customer_id.clone(),
            member_href: member_link(&tracked.provider, &tracked.tenant, &tracked.customer_id),
            reward: tracked.reward_name.clone().unwrap_or_default(),
            place: places.join(", "),
            state: coupon_state(state, text).to_owned(),
            tasks: tasks.collect(),
            tenant: tracked.tenant.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_leaves_empty_is_left_out() {
        let check = |query: &str, expected: &str| {
            let tidy = tidy(&Address::read("/dashboard/events", query)).to_string();
            assert_eq!(tidy, expected, "{query}");
        };
        check(
            "type=&reward=Pizza&from=&to=",
            "/dashboard/events?reward=Pizza",
        );
        check(
            "timeframe=7d&from=2026-11-01&to=&date=2026-11-25",
            "/dashboard/events?date=2026-11-25",
        );
        check("timeframe=7d&from=&to=+", "/dashboard/events?timeframe=7d");
        check(
            "timeframe=7d&from=2026-11-01&to=",
            "/dashboard/events?from=2026-11-01",
        );
    }
}
