//! `/reports/days`: a row for each day.

use std::collections::BTreeSet;

use reporting::days::{COLUMNS, days};
use reporting::totals::main_currency;
use reporting::{Head, Said, Sources, Table, tenant};
use serde_json::json;

use super::{Answered, Asked};
use crate::response::{csv, json_response};

const CURRENCY: Said = Said::new(
    "must be a currency of ISO 4217, such as BRL",
    "deve ser uma moeda da ISO 4217, como BRL",
);

pub(super) async fn answer(sources: &Sources, asked: Asked) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        csv: is_csv,
    } = asked;
    let currency = parameters.text("currency", &CURRENCY);
    if let Some(text) = &currency
        && !(text.len() == 3 && text.bytes().all(|it| it.is_ascii_uppercase()))
    {
        parameters.problem("currency", text, CURRENCY);
    }
    let (question, _) = sources.ask(&mut parameters, &scope, now);
    parameters.finish()?;
    let tenants = sources.figures_of(&scope, &question, now).await?;
    let currency = currency.or_else(|| main_currency(&tenants));
    let rows = days(&tenants, question.period, currency.as_deref());
    if is_csv {
        return Ok(csv(&Table::of(COLUMNS, &rows)));
    }
    let groups = tenant::days(&tenants).flat_map(|(_, day)| day.uses.keys());
    let currencies: BTreeSet<_> = groups
        .map(|group| group.currency.as_str())
        .filter(|it| !it.is_empty())
        .collect();
    let mut answer = json!(Head::new(
        &question,
        &tenants,
        &sources.zone(&question),
        now
    ));
    answer["currencies"] = json!(currencies);
    answer["days"] = json!(rows);
    Ok(json_response(&answer))
}
