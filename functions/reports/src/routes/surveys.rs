//! `/reports/surveys`: the answers to surveys themselves.

use reporting::answers::{COLUMNS, Question, answers};
use reporting::{Sources, Table};
use serde_json::json;

use super::events::head;
use super::{Answered, Asked};
use crate::response::{csv_page, json_response};

pub(super) async fn answer(sources: &Sources, asked: Asked) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        csv: is_csv,
    } = asked;
    let question = Question::read(sources, &mut parameters, &scope, now);
    parameters.finish()?;
    let asked = &question.asked;
    let (tenant, provider) = (asked.tenant.as_deref(), asked.provider.as_deref());
    let tenants = sources.tenants(&scope, tenant, provider).await?;
    let page = answers(sources, &tenants, &question).await?;
    if is_csv {
        return Ok(csv_page(&Table::of(COLUMNS, &page.answers), page.next));
    }
    let mut answer = json!(head(sources, asked, tenants, now));
    answer["answers"] = json!(page.answers);
    answer["next_cursor"] = json!(page.next);
    Ok(json_response(&answer))
}
