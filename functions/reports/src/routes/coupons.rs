//! `/reports/coupons` and `/reports/locations`: the report, and the figures of each location.

use reporting::usage::{LOCATION_COLUMNS, locations as locations_of};
use reporting::{Head, Refused, Report, Said, Section, Sources, Table};
use serde_json::json;

use super::{Answered, Asked};
use crate::response::{csv, json_response};

const SECTION_IN_JSON: Said = Said::new(
    "is for CSV alone: add .csv to the path, or send Accept: text/csv",
    "é só para CSV: acrescente .csv ao caminho, ou envie Accept: text/csv",
);

pub(super) async fn answer(sources: &Sources, mut asked: Asked) -> Answered {
    let section = asked.parameters.choice("section", &Section::CHOICES);
    if !asked.csv && section.is_some() {
        let parameters = &mut asked.parameters;
        parameters.problem("section", "", SECTION_IN_JSON);
    }
    let csv_section = asked.csv.then_some(section.unwrap_or(Section::Redemptions));
    let report = report(sources, asked).await?;
    Ok(match csv_section {
        Some(section) => csv(&report.section(section)),
        None => json_response(&report),
    })
}

/// One section, which the path names.
pub(super) async fn section(sources: &Sources, asked: Asked, section: Section) -> Answered {
    Ok(csv(&report(sources, asked).await?.section(section)))
}

async fn report(sources: &Sources, asked: Asked) -> Result<Report, Refused> {
    sources
        .report(asked.parameters, &asked.scope, asked.now)
        .await
}

pub(super) async fn locations(sources: &Sources, asked: Asked) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        csv: is_csv,
    } = asked;
    let (question, _) = sources.ask(&mut parameters, &scope, now);
    parameters.finish()?;
    let tenants = sources.figures_of(&scope, &question, now).await?;
    let rows = locations_of(&tenants);
    if is_csv {
        return Ok(csv(&Table::of(LOCATION_COLUMNS, &rows)));
    }
    let head = Head::new(&question, &tenants, &sources.zone(&question), now);
    let mut answer = json!(head);
    answer["locations"] = json!(rows);
    Ok(json_response(&answer))
}
