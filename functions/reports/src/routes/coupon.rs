//! `/reports/coupons/{code}`: a coupon's life.

use reporting::sources::whom;
use reporting::{Sources, life};

use super::{Answered, Asked};
use crate::response::json_response;

pub(super) async fn answer(sources: &Sources, asked: Asked, code: &str) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        ..
    } = asked;
    let (tenant, provider) = whom(&mut parameters, &scope);
    parameters.finish()?;
    let whose = (tenant.as_deref(), provider.as_deref());
    let life = life::find(sources, code, whose, &scope, now).await?;
    Ok(json_response(&life))
}
