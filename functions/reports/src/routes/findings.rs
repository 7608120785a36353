//! `/reports/findings`: what does not look right, event by event.

use axum::http::HeaderValue;
use reporting::findings::{COLUMNS, FindingsQuestion, findings};
use reporting::tenant::{OfTenant, Tenant};
use reporting::{Desk, Head, Table};
use serde_json::json;

use super::{Answered, Asked};
use crate::response::{csv, json_response};

pub(super) async fn answer(desk: &Desk, asked: Asked) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        csv: is_csv,
    } = asked;
    let question = FindingsQuestion::read(desk, &mut parameters, &scope, now);
    parameters.finish()?;
    let asked = &question.asked;
    let (tenant, provider) = (asked.tenant.as_deref(), asked.provider.as_deref());
    let tenants = desk.tenants(&scope, tenant, provider).await?;
    let page = findings(desk, &tenants, &question).await?;
    if is_csv {
        let mut response = csv(&Table::of(COLUMNS, page.rows));
        if let Some(next) = page.next.and_then(|next| HeaderValue::try_from(next).ok()) {
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
    let mut answer = json!(Head::new(asked, &named, &desk.zone(asked), now));
    answer["findings"] = json!(page.rows);
    answer["next_cursor"] = json!(page.next);
    Ok(json_response(&answer))
}
