//! `/reports/members/{id}`: the figures of one member.

use jiff::Timestamp;
use reporting::Sources;
use reporting::amount::amount;
use reporting::member::{self, FoundMember};
use reporting::sources::whom;
use serde_json::{Value, json};
use webhooks::figures::Profile;

use super::{Answered, Asked};
use crate::response::json_response;

pub(super) async fn answer(sources: &Sources, asked: Asked, id: &str) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        ..
    } = asked;
    let (tenant, provider) = whom(&mut parameters, &scope);
    parameters.finish()?;
    let whose = (tenant.as_deref(), provider.as_deref());
    let FoundMember {
        provider,
        tenant,
        profile,
    } = member::find(sources, id, whose, &scope).await?;
    let zone = sources.zone_of(&tenant);
    let mut answer = json!({
        "member_id": id,
        "provider": provider,
        "tenant": tenant,
        "time_zone": zone,
        "generated_at": now,
    });
    if let (Value::Object(answer), Value::Object(profile)) = (&mut answer, shown(&profile, now)) {
        answer.extend(profile);
    }
    Ok(json_response(&answer))
}

/// The profile with the names of the provider's page.
fn shown(profile: &Profile, now: Timestamp) -> Value {
    let amounts = profile.money_saved.iter();
    let saved =
        amounts.map(|(currency, saved)| json!({"currency": currency, "amount": amount(*saved)}));
    let categories = profile.categories.iter();
    let categories =
        categories.map(|(name, count)| json!({"category": name, "redemptions": count}));
    json!({
        "first_redemption_date": profile.first_redemption,
        "last_redemption_date": profile.last_redemption,
        "total_redemptions": profile.redemptions,
        "total_points_spent": profile.points,
        "preferred_reward_category": member::preferred(profile),
        "redemption_frequency": member::frequency(profile, now),
        "uses": profile.uses,
        "money_saved": saved.collect::<Vec<_>>(),
        "categories": categories.collect::<Vec<_>>(),
    })
}
