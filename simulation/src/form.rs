//! A form of the questionnaire, as the simulation's members send it.

use questionnaire::{Saved, SurveyStore};
use serde_json::Value;
use webhooks::invocation::Invocation;
use webhooks::survey::Given;

/// Saves a form as the questionnaire's route does.
pub(crate) async fn save(
    store: &SurveyStore,
    form: &str,
    invocation: Invocation,
) -> anyhow::Result<String> {
    let form: Value = serde_json::from_str(form)?;
    let token = form["token"].as_str().unwrap_or_default();
    let Some(id) = store.id(token, invocation.now()).await? else {
        return Ok("closed".into());
    };
    let Some(survey) = store.survey(id, invocation.now()).await? else {
        return Ok("closed".into());
    };
    let number = |name: &str| form[name].as_u64().and_then(|it| u8::try_from(it).ok());
    let given = Given {
        rating: number("rating"),
        recommend: number("recommend"),
        comment: form["comment"].as_str().map(str::to_owned),
    };
    Ok(match store.save(&survey, given, invocation).await? {
        Saved::Kept => "kept".into(),
        Saved::Refused(_, refusal) => refusal.to_string(),
        Saved::Closed => "closed".into(),
    })
}
