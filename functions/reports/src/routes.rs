//! The routes, all behind a token.

mod coupon;
mod coupons;
mod days;
mod events;
mod findings;
mod member;
mod surveys;

use std::cmp::Ordering;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Response};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;
use jiff::Timestamp;
use reporting::access;
use reporting::{Guarded, Parameters, Refused, Scope, Section};

use crate::bearer::{self, bearer};
use crate::response::refuse;

const ROUTES: &str = "; there are GET /reports/coupons, /reports/coupons/{code}, \
                      /reports/members/{id}, /reports/locations, /reports/days, /reports/events, \
                      /reports/findings and /reports/surveys";

/// All routes. A request without a valid token does not even learn which routes there are.
pub(crate) fn router(guarded: Guarded) -> Router {
    let guarded = Arc::new(guarded);
    Router::new()
        .route("/reports/coupons", get(coupons))
        .route("/reports/coupons.csv", get(coupons_csv))
        .route("/reports/coupons/{*code}", get(coupon))
        .route("/reports/members/{*id}", get(member))
        .route("/reports/locations", get(locations))
        .route("/reports/locations.csv", get(locations_csv))
        .route("/reports/days", get(days))
        .route("/reports/days.csv", get(days_csv))
        .route("/reports/events", get(events))
        .route("/reports/events.csv", get(events_csv))
        .route("/reports/surveys", get(surveys))
        .route("/reports/surveys.csv", get(surveys_csv))
        .route("/reports/findings", get(findings))
        .route("/reports/findings.csv", get(findings_csv))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(from_fn_with_state(Arc::clone(&guarded), guard))
        .with_state(guarded)
}

/// One request, as every route gets it.
pub(crate) struct Asked {
    pub(crate) parameters: Parameters,
    pub(crate) scope: Scope,
    pub(crate) now: Timestamp,
    /// Whether the answer must be CSV.
    pub(crate) csv: bool,
}

impl Asked {
    pub(crate) fn new(query: Option<&str>, scope: Scope, csv: bool) -> Self {
        Self {
            parameters: Parameters::read(query.unwrap_or_default()),
            scope,
            now: webhooks::clock::now(),
            csv,
        }
    }
}

type Answered = Result<Response<Body>, Refused>;
type Shared = State<Arc<Guarded>>;

async fn guard(State(guarded): Shared, mut request: Request, next: Next) -> Response<Body> {
    let scope = match bearer(request.headers()) {
        Some(token) => access::scope(&guarded.tokens, token).await,
        None => Err(Refused::Unauthorised(bearer::NONE)),
    };
    match scope {
        Ok(scope) => {
            request.extensions_mut().insert(scope);
            next.run(request).await
        }
        Err(refused) => answer(Err(refused)),
    }
}

fn answer(answered: Answered) -> Response<Body> {
    answered.unwrap_or_else(|refused| refuse(&refused))
}

async fn unknown() -> Response<Body> {
    answer(Err(Refused::not_found("such route", ROUTES)))
}

/// A route with a table, as JSON or as CSV.
macro_rules! table_route {
    ($json:ident, $csv:ident, $answer:path) => {
        async fn $json(
            State(guarded): Shared,
            Extension(scope): Extension<Scope>,
            headers: HeaderMap,
            RawQuery(query): RawQuery,
        ) -> Response<Body> {
            let asked = Asked::new(query.as_deref(), scope, prefers_csv(&headers));
            answer($answer(&guarded.sources, asked).await)
        }

        async fn $csv(
            State(guarded): Shared,
            Extension(scope): Extension<Scope>,
            RawQuery(query): RawQuery,
        ) -> Response<Body> {
            let asked = Asked::new(query.as_deref(), scope, true);
            answer($answer(&guarded.sources, asked).await)
        }
    };
}

table_route!(coupons, coupons_csv, coupons::answer);
table_route!(locations, locations_csv, coupons::locations);
table_route!(days, days_csv, days::answer);
table_route!(events, events_csv, events::answer);
table_route!(surveys, surveys_csv, surveys::answer);
table_route!(findings, findings_csv, findings::answer);

/// A coupon's life, or a section of the report: `/reports/coupons/usage.csv`.
async fn coupon(
    State(guarded): Shared,
    Extension(scope): Extension<Scope>,
    code: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let Ok(Path(code)) = code else {
        return answer(Err(Refused::Unreadable));
    };
    let asked = Asked::new(query.as_deref(), scope, true);
    let sources = &guarded.sources;
    let section = code.strip_suffix(".csv").and_then(Section::named);
    answer(match section {
        Some(section) => coupons::section(sources, asked, section).await,
        None => coupon::answer(sources, asked, &code).await,
    })
}

async fn member(
    State(guarded): Shared,
    Extension(scope): Extension<Scope>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let Ok(Path(id)) = id else {
        return answer(Err(Refused::Unreadable));
    };
    let asked = Asked::new(query.as_deref(), scope, false);
    answer(member::answer(&guarded.sources, asked, &id).await)
}

/// Whether `Accept` prefers CSV to JSON by its weights (RFC 9110, section 12.5.1). If both weigh
/// the same, the first one in the header wins; without either, JSON wins.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let values = values.filter_map(|it| it.to_str().ok());
    let ranges = values.flat_map(|it| it.split(',')).filter_map(range);
    let ranges: Vec<_> = ranges.collect();
    let (csv, csv_place) = accepted(&ranges, ["text/csv", "text/*", "*/*"]);
    let (json, json_place) = accepted(&ranges, ["application/json", "application/*", "*/*"]);
    match csv.total_cmp(&json) {
        Ordering::Greater => true,
        Ordering::Equal => csv > 0.0 && csv_place < json_place,
        Ordering::Less => false,
    }
}

/// A range of media types in lower case, and its weight. A weight that is none makes no range.
fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(|it| it.trim().to_ascii_lowercase());
    let media_type = parts.next()?;
    let weight = parts.find_map(|it| it.strip_prefix("q=").map(str::to_owned));
    let weight = weight.map_or(Some(1.0), |it| it.parse().ok())?;
    (0.0..=1.0)
        .contains(&weight)
        .then_some((media_type, weight))
}

/// The weight and the place of the most specific range; 0 and the end without one.
fn accepted(ranges: &[(String, f32)], specific_first: [&str; 3]) -> (f32, usize) {
    let place = |name: &str| ranges.iter().position(|(own, _)| own == name);
    let found = specific_first.into_iter().find_map(place);
    found.map_or((0.0, ranges.len()), |at| (ranges[at].1, at))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn csv_is_for_those_who_prefer_it() {
        let check = |accept: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_csv(&headers), expected, "{accept}");
        };
        check("text/csv", true);
        check("Text/CSV; header=present, application/json", true);
        check("text/csv;q=0.9, application/json", false);
        check("application/json;q=0.5, text/csv; Q=0.8", true);
        check("application/json, text/csv;q=1.0", false);
        check("text/csv;q=0", false);
        check("text/csv;q=0, */*", false);
        check("text/csv, */*", true);
        check("*/*, text/csv;q=0.9", false);
        check("text/*", true);
        check("text/csv;q=x", false);
        check("text/csv;q=nan", false);
        check(";;;,,", false);
        check("application/json, text/csv", false);
        check("*/*", false);
        check("text/html, */*", false);
        assert!(!prefers_csv(&HeaderMap::new()));
    }
}
