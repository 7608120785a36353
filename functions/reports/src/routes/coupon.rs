//! `/reports/coupons/{code}`: a coupon's life.

use reporting::desk::whom;
use reporting::{Desk, life};

use super::{Answered, Asked};
use crate::response::json_response;

pub(super) async fn answer(desk: &Desk, asked: Asked, code: &str) -> Answered {
    let Asked {
        mut parameters,
        scope,
        now,
        ..
    } = asked;
    let (tenant, provider) = whom(&mut parameters, &scope);
    parameters.finish()?;
    let whose = (tenant.as_deref(), provider.as_deref());
    let life = life::find(desk, code, whose, &scope, now).await?;
    Ok(json_response(&life))
}
