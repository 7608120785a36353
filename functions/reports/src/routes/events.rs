//! `/reports/events`: the tracked events themselves.

use axum::http::HeaderValue;
use serde_json::json;

use super::{Answered, Asked, csv};
use crate::desk::Desk;
use crate::listing::{Cursor, Filter, list};
use crate::period::{Period, parse_day};
use crate::refused::json_response;
use crate::report::Head;
use crate::table::Table;
use crate::tenant::{OfTenant, Tenant};
use crate::tracked::{COLUMNS, TYPES, row};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

const STATUSES: [(&str, &str); 4] = [
    ("active", "active"),
    ("used", "used"),
    ("cancelled", "cancelled"),
    ("expired", "expired"),
];

const DATE: &str = "must be a date such as 2026-11-25, and stand without timeframe, from and to";
const CURSOR: &str = "must be the next_cursor of an answer to the same question";

pub(super) async fn answer(desk: &Desk, asked: Asked) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        csv: is_csv,
    } = asked;
    let date = parameters.text("date", DATE);
    let filter = Filter {
        status: parameters.choice("status", &STATUSES).map(str::to_owned),
        kind: parameters.choice("type", &TYPES),
        reward: parameters.text("reward", "must be a reward's id or its name"),
        location: parameters.text("location", "must be a location's name"),
    };
    let limit = parameters.number("limit", LIMIT_MAX).unwrap_or(LIMIT);
    let cursor = parameters.text("cursor", CURSOR);
    let has_others = ["timeframe", "from", "to"]
        .iter()
        .any(|it| parameters.has(it));
    let (mut question, _) = desk.ask(&mut parameters, &scope, now);
    if let Some(text) = date {
        match parse_day(&text).filter(|_| !has_others) {
            Some(day) => question.period = Period::new(day, day),
            None => parameters.problem("date", &text, DATE),
        }
    }
    let period = question.period;
    let start = match cursor {
        None => Cursor::start(period),
        Some(text) => Cursor::parse(&text, period).unwrap_or_else(|| {
            parameters.problem("cursor", &text, CURSOR);
            Cursor::start(period)
        }),
    };
    parameters.finish()?;
    let (tenant, provider) = (question.tenant.as_deref(), question.provider.as_deref());
    let tenants = desk.tenants(&scope, tenant, provider).await?;
    let listing = list(desk, &tenants, period, &filter, start, limit).await?;
    let next = listing.next.map(|cursor| cursor.text());
    let rows = listing
        .events
        .iter()
        .map(|(tracked, state)| row(tracked, state.as_deref()));
    let rows: Vec<_> = rows.collect();
    if is_csv {
        let mut response = csv(&Table::of(COLUMNS, rows));
        if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
            response.headers_mut().insert("x-next-cursor", next);
        }
        return Ok(response);
    }
    let named = tenants.into_iter().map(|(provider, tenant)| OfTenant {
        now: now.to_zoned(desk.zones.of(&tenant).clone()).datetime(),
        tenant: Tenant {
            time_zone: desk.zone_of(&tenant),
            provider,
            tenant,
        },
        days: Default::default(),
        compared: Default::default(),
    });
    let named: Vec<_> = named.collect();
    let mut answer = json!(Head::new(&question, &named, &desk.zone(&question), now));
    answer["events"] = json!(rows);
    answer["next_cursor"] = json!(next);
    Ok(json_response(&answer))
}
