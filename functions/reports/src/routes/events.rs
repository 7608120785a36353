//! `/reports/events`: the tracked events themselves.

use jiff::Timestamp;
use reporting::events::Question;
use reporting::tenant::{OfTenant, Tenant};
use reporting::tracked::{COLUMNS, row};
use reporting::{Head, Named, Sources, Table, list};
use serde_json::json;

use super::{Answered, Asked};
use crate::response::{csv_page, json_response};

pub(super) async fn answer(sources: &Sources, asked: Asked) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        csv: is_csv,
    } = asked;
    let Question {
        asked,
        filter,
        start,
        limit,
    } = Question::read(sources, &mut parameters, &scope, now);
    parameters.finish()?;
    let (tenant, provider) = (asked.tenant.as_deref(), asked.provider.as_deref());
    let tenants = sources.tenants(&scope, tenant, provider).await?;
    let listing = list(sources, &tenants, asked.period, &filter, start, limit).await?;
    let next = listing.next.map(|cursor| cursor.text());
    let rows = listing
        .events
        .iter()
        .map(|(tracked, state)| row(tracked, state.as_deref()));
    let rows: Vec<_> = rows.collect();
    if is_csv {
        return Ok(csv_page(&Table::of(COLUMNS, rows), next));
    }
    let mut answer = json!(head(sources, &asked, tenants, now));
    answer["events"] = json!(rows);
    answer["next_cursor"] = json!(next);
    Ok(json_response(&answer))
}

/// The head of an answer that lists data of these tenants.
pub(super) fn head(
    sources: &Sources,
    asked: &reporting::Asked,
    tenants: Vec<Named>,
    now: Timestamp,
) -> Head {
    let named = tenants.into_iter().map(|(provider, tenant)| OfTenant {
        now: now.to_zoned(sources.zones.of(&tenant).clone()).datetime(),
        tenant: Tenant {
            time_zone: sources.zone_of(&tenant),
            provider,
            tenant,
        },
        days: Default::default(),
        compared: Default::default(),
    });
    let named: Vec<_> = named.collect();
    Head::new(asked, &named, &sources.zone(asked), now)
}
