//! The overview: a period's redemptions, uses, deliveries and findings, on one page.

mod curves;
mod picker;
mod rows;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use reporting::sources::{Named, pick};
use reporting::tenant::OfTenant;
use reporting::{Asked, Compare, Period, Refused, Report, Today};
use webhooks::event::tenant_key;
use webhooks::figures;
use webhooks::stock::Product;

use super::{answers, choose, problem};
use crate::Dashboard;
use crate::address::Address;
use crate::answer::page;
use crate::frame::{Frame, Place};
use crate::reader::Reader;
use crate::words::overview::Overview;

use curves::Curve;
use picker::Picker;
use rows::{Card, Conversion, Counted, Delivery, Found, Location, Low, Surveys, Times};

/// The values of `overview.html`.
#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    words: &'static Overview,
    picker: Picker,
    /// No event was ever received from the tenants that the reader may see.
    is_new: bool,
    /// Nothing happened in the period.
    is_quiet: bool,
    compared: Option<String>,
    zone: String,
    as_of: String,
    cards: Vec<Card>,
    curve: Curve,
    conversion: Vec<Conversion>,
    more_conversion: Option<String>,
    times: Option<Times>,
    locations: Vec<Location>,
    more_locations: Option<String>,
    platforms: Vec<Counted>,
    hours: Curve,
    weekdays: Curve,
    deliveries: Vec<Delivery>,
    findings: Vec<Counted>,
    latest: Vec<Found>,
    more_latest: Option<&'static str>,
    surveys: Option<Surveys>,
    low: Vec<Low>,
    /// Why the page lists no products.
    low_unread: Option<&'static str>,
    alerts: Option<String>,
    /// Links to the events and the CSV of the same days and tenants.
    links: Links,
}

/// Links to the rows of each section.
struct Links {
    redeemed: String,
    used: String,
    totals_csv: String,
    days_csv: String,
    conversion_csv: String,
    patterns_csv: String,
    locations_csv: String,
    usage_csv: String,
    deliveries_csv: String,
    findings_csv: String,
    surveys_csv: String,
    answers: String,
}

impl Links {
    fn new(address: &Address) -> Self {
        let events = events(address);
        let csv = |name: &str| {
            address
                .on(&format!("/dashboard/csv/{name}.csv"))
                .to_string()
        };
        Self {
            redeemed: events.with("type", "redeemed").to_string(),
            used: events.with("type", "used").to_string(),
            totals_csv: csv("totals"),
            days_csv: csv("days"),
            conversion_csv: csv("conversion"),
            patterns_csv: csv("patterns"),
            locations_csv: csv("locations"),
            usage_csv: csv("usage"),
            deliveries_csv: csv("deliveries"),
            findings_csv: csv("findings"),
            surveys_csv: csv("surveys"),
            answers: address.without(&["compare"]).on(answers::PATH).to_string(),
        }
    }
}

/// The events of the same days and tenants.
fn events(address: &Address) -> Address {
    address.without(&["compare"]).on("/dashboard/events")
}

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(reader): Extension<Reader>,
) -> Response<Body> {
    match read(&dashboard, &reader).await {
        Ok(Read::Seen(seen)) => page(StatusCode::OK, &Page::new(&reader, &seen)),
        Ok(Read::TooMany(tenants)) => choose::answer(&reader, Place::Overview, &tenants),
        Err(refused) => problem::of_reader(&reader, &refused),
    }
}

/// The most queries for the counters of a period. With the tenants, their names, their stock and
/// their findings, the page then needs at most 20 requests.
const QUERIES_MAX: usize = 12;

/// The most tenants whose findings the page reads.
const FOUND_MAX: usize = 3;

enum Read {
    Seen(Box<Seen>),
    /// One page cannot be about all of these tenants.
    TooMany(Vec<Named>),
}

/// Everything that the page shows.
struct Seen {
    asked: Asked,
    today: Today,
    /// All tenants that the reader may see.
    all: Vec<Named>,
    tenants: Vec<OfTenant>,
    zone: String,
    /// The products that are low; `None` if the page would have to read too many.
    products: Option<Vec<Product>>,
    /// The latest findings, the newest first.
    found: Vec<figures::Found>,
    /// Whether the page leaves out tenants with findings.
    found_elsewhere: bool,
}

async fn read(dashboard: &Dashboard, reader: &Reader) -> Result<Read, Refused> {
    let sources = &dashboard.guarded.sources;
    let mut parameters = reader.parameters();
    let (mut asked, today) = sources.ask(&mut parameters, &reader.scope, reader.now);
    asked.compare = Compare::read(&mut parameters);
    parameters.finish()?;
    let directory = sources.figures.directory().await?;
    let mut all = directory.tenants();
    all.retain(|(_, tenant)| reader.scope.may_read(tenant));
    all.sort_unstable();
    let (tenant, provider) = (asked.tenant.as_deref(), asked.provider.as_deref());
    let chosen = pick(all.clone(), &reader.scope, tenant, provider)?;
    if chosen.len() > 1 && directory.queries(&chosen) > QUERIES_MAX {
        return Ok(Read::TooMany(chosen));
    }
    let (tenants, products) = futures_util::try_join!(
        sources.figures_of_each(&directory, chosen.clone(), &asked, reader.now),
        low(dashboard, &chosen),
    )?;
    let (found, found_elsewhere) = latest(dashboard, &tenants, asked.period).await?;
    Ok(Read::Seen(Box::new(Seen {
        zone: sources.zone(&asked),
        asked,
        today,
        all,
        tenants,
        products,
        found,
        found_elsewhere,
    })))
}

/// The latest findings of the period, and whether the page leaves out tenants with findings. The
/// counters say which tenants have findings, and on which days; the page reads those with the
/// newest.
async fn latest(
    dashboard: &Dashboard,
    tenants: &[OfTenant],
    period: Period,
) -> anyhow::Result<(Vec<figures::Found>, bool)> {
    let mut newest: Vec<_> = tenants
        .iter()
        .filter_map(|tenant| Some((newest_finding(tenant)?, &tenant.tenant)))
        .collect();
    newest.sort_by_key(|(newest, _)| std::cmp::Reverse(*newest));
    let is_shortened = newest.len() > FOUND_MAX;
    let figures = &dashboard.guarded.sources.figures;
    let mut found = Vec::new();
    let newest = newest.into_iter().take(FOUND_MAX);
    let reads = newest.map(|((day, _), named)| async move {
        let tenant = (named.provider.as_str(), named.tenant.as_str());
        let days = (period.from, day);
        figures.findings(tenant, days, None, rows::LATEST).await
    });
    for some in futures_util::future::try_join_all(reads).await? {
        found.extend(some);
    }
    found.sort_by_key(|it| std::cmp::Reverse(it.place()));
    found.truncate(rows::LATEST);
    Ok((found, is_shortened))
}

/// The newest day with findings, and how many there are on it.
fn newest_finding(tenant: &OfTenant) -> Option<(Date, u64)> {
    let counts = tenant.days.iter().rev();
    let mut counts = counts.map(|(date, day)| (*date, day.findings.values().sum()));
    counts.find(|(_, count)| *count > 0)
}

/// The products with little stock left; `None` if the products were too many to read.
async fn low(dashboard: &Dashboard, tenants: &[Named]) -> anyhow::Result<Option<Vec<Product>>> {
    let tenants = tenants.iter();
    let keys: Vec<_> = tenants
        .map(|(provider, tenant)| tenant_key(provider, tenant))
        .collect();
    let Some(contents) = dashboard.stock.contents_of(&keys).await? else {
        return Ok(None);
    };
    let products = contents.products.into_iter();
    let mut low: Vec<_> = products.filter(|it| it.level().is_some()).collect();
    low.sort_by_key(|it| it.on_hand);
    Ok(Some(low))
}

/// The time of reading the figures, on the clock of the days.
fn as_of(words: &Overview, reader: &Reader, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let moment = reader.written().moment(reader.now, &zone);
    words.as_of.replace("{}", &moment)
}

impl Page {
    fn new(reader: &Reader, seen: &Seen) -> Self {
        let words = Overview::of(reader.language);
        let written = reader.written();
        let (asked, tenants) = (&seen.asked, &seen.tenants[..]);
        let report = Report::new(asked, tenants, &seen.zone, seen.today, reader.now);
        let totals = &report.totals;
        let compared = report.compared.as_ref().map(|compared| {
            let days = picker::days(written, compared.from, compared.to);
            let mut text = words.compared_with.replace("{}", &days) + ".";
            if !compared.complete {
                text = format!("{text} {}", words.incomplete);
            }
            text
        });
        let more = |count: usize| {
            let rest = count.checked_sub(rows::MOST).filter(|it| *it > 0)?;
            let rest = u64::try_from(rest).unwrap_or(u64::MAX);
            Some(words.more.replace("{}", &written.count(rest)))
        };
        let locations = reporting::usage::locations(tenants);
        let events = events(&reader.address);
        let alerts = report.operations.low_stock_alerts;
        Self {
            frame: Frame::new(reader, Place::Overview, Frame::words_of(reader).overview),
            words,
            picker: Picker::new(reader, asked, seen.today, &seen.all),
            is_new: seen.all.is_empty(),
            is_quiet: totals.redemptions.value == 0 && totals.uses.value == 0,
            compared,
            zone: words.in_zone.replace("{}", &report.head.time_zone),
            as_of: as_of(words, reader, &seen.zone),
            cards: rows::cards(words, written, totals),
            curve: Curve::of_days(words, written, tenants, asked.period),
            conversion: rows::conversion(written, &report.conversion, &events),
            more_conversion: more(report.conversion.len()),
            times: Times::new(words, written, &report.patterns.time_to_usage),
            locations: rows::locations(written, &locations, &events),
            more_locations: more(locations.len()),
            platforms: rows::platforms(written, &report.usage),
            hours: Curve::of_hours(words, written, &report.patterns),
            weekdays: Curve::of_weekdays(words, written, &report.patterns),
            deliveries: rows::deliveries(words, written, &report.operations.deliveries),
            findings: rows::findings(written, &report.operations.findings),
            latest: rows::latest(words, written, &seen.found, &seen.zone),
            surveys: Surveys::new(words, written, &report.satisfaction.surveys.total),
            more_latest: seen.found_elsewhere.then_some(words.more_latest),
            low: rows::low(words, written, seen.products.as_deref().unwrap_or_default()),
            low_unread: seen.products.is_none().then_some(words.low_unread),
            alerts: (alerts > 0).then(|| words.alerts.replace("{}", &written.count(alerts))),
            links: Links::new(&reader.address),
        }
    }
}
