//! Sections of the report as CSV, for readers with a session: `/dashboard/csv/usage.csv`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use reporting::days::{self, days};
use reporting::totals::main_currency;
use reporting::usage::{LOCATION_COLUMNS, locations};
use reporting::{
    Compare, EVENT_COLUMNS, Refused, Report, Section, Sources, Table, event_row, list,
};

use super::problem;
use crate::Dashboard;
use crate::reader::Reader;

/// The most events of one file.
const EVENTS: usize = 1000;

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(reader): Extension<Reader>,
    Path(name): Path<String>,
) -> Response<Body> {
    match table(&dashboard, &reader, &name).await {
        Ok(table) => csv(&name, &table),
        Err(refused) => problem::of_reader(&reader, &refused),
    }
}

async fn table(dashboard: &Dashboard, reader: &Reader, name: &str) -> Result<Table, Refused> {
    let sources = &dashboard.guarded.sources;
    let unknown = || Refused::not_found("such page", "");
    let name = name.strip_suffix(".csv").ok_or_else(unknown)?;
    if name == "events" {
        return events(sources, reader).await;
    }
    if name == "answers" {
        return super::answers::csv(sources, reader).await;
    }
    let section = Section::named(name);
    if section.is_none() && !["days", "locations"].contains(&name) {
        return Err(unknown());
    }
    let mut parameters = reader.parameters();
    let (mut asked, today) = sources.ask(&mut parameters, &reader.scope, reader.now);
    asked.compare = Compare::read(&mut parameters);
    parameters.finish()?;
    let tenants = sources
        .figures_of(&reader.scope, &asked, reader.now)
        .await?;
    if let Some(section) = section {
        let zone = sources.zone(&asked);
        let report = Report::new(&asked, &tenants, &zone, today, reader.now);
        return Ok(report.section(section));
    }
    Ok(match name {
        "days" => {
            let currency = main_currency(&tenants);
            Table::of(
                days::COLUMNS,
                days(&tenants, asked.period, currency.as_deref()),
            )
        }
        _ => Table::of(LOCATION_COLUMNS, locations(&tenants)),
    })
}

/// The requested events, as one page of at most [`EVENTS`] rows.
async fn events(sources: &Sources, reader: &Reader) -> Result<Table, Refused> {
    let question = super::events::read(sources, reader)?;
    let (tenant, provider) = (
        question.asked.tenant.as_deref(),
        question.asked.provider.as_deref(),
    );
    let tenants = sources.tenants(&reader.scope, tenant, provider).await?;
    let (period, limit) = (question.asked.period, question.limit.max(EVENTS));
    let listing = list(
        sources,
        &tenants,
        period,
        &question.filter,
        question.start,
        limit,
    )
    .await?;
    let rows = listing.events.iter();
    let rows: Vec<_> = rows
        .map(|(tracked, state)| event_row(tracked, state.as_deref()))
        .collect();
    Ok(Table::of(EVENT_COLUMNS, rows))
}

/// `name` is the name of an existing file, so it needs no escape.
fn csv(name: &str, table: &Table) -> Response<Body> {
    let mut response = Response::new(Body::from(table.csv()));
    let headers = response.headers_mut();
    let csv = HeaderValue::from_static("text/csv; charset=utf-8");
    headers.insert(CONTENT_TYPE, csv);
    let file = format!("attachment; filename=\"{name}\"");
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    response
}
