//! A coupon's life, as the command `show` prints it, for tokens that may read its tenant.

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use webhooks::event::{escape, tenant_key, unescape};
use webhooks::life::{Account, Life, Lookup};

use crate::access::Scope;
use crate::codes;
use crate::period::Period;
use crate::refused::{Problem, Refused};
use crate::said::Said;
use crate::sources::Sources;

/// How many keys this module looks up at the same time.
const CONCURRENCY: usize = 16;

/// The prefixes of keys, including those of trials.
pub(crate) const SPACES: [&str; 3] = ["", "sandbox#", "test#"];

/// How many days back this module searches a game's code, because it reads the figures of each of
/// these days.
const LATELY_DAYS: i32 = 30;

/// The most redemptions that an answer names if a game's code has several.
const REDEMPTIONS_MAX: usize = 10;

/// The life of the coupon with this code or key. A game's code names a coupon if it has one
/// redemption within [`lately`].
///
/// # Errors
/// The token may read no such coupon, or several; or reading the tables failed.
pub async fn find(
    sources: &Sources,
    code: &str,
    (tenant, provider): (Option<&str>, Option<&str>),
    scope: &Scope,
    now: Timestamp,
) -> Result<Life, Refused> {
    let lookup = Lookup::parse(code.trim());
    let coupons = match &lookup {
        Lookup::Key { coupon, .. } => {
            let own = tenant_of(coupon);
            let is_meant = tenant.is_none_or(|tenant| Some(tenant) == own.as_deref());
            let may_read = own.is_some_and(|own| scope.may_read(&own));
            match is_meant && may_read {
                true => vec![coupon.clone()],
                false => Vec::new(),
            }
        }
        Lookup::Code(code) => {
            let tenants = sources.tenants(scope, tenant, provider).await?;
            let keys = tenants.iter().flat_map(|(provider, tenant)| {
                let tenant = tenant_key(provider, tenant);
                SPACES.map(|space| format!("{tenant}#{space}{}", escape(code)))
            });
            let mut keys: Vec<_> = keys.collect();
            let redeemed = codes::redeemed(sources, &tenants, code, lately(now)).await?;
            for redeemed in &redeemed {
                let events = codes::redemptions(sources, redeemed, REDEMPTIONS_MAX).await?;
                keys.extend(events.iter().map(|event| event.coupon().to_owned()));
            }
            keys
        }
    };
    let lives = stream::iter(coupons).map(|coupon| life(sources, coupon, &lookup, scope, now));
    let lives: Vec<_> = lives.buffered(CONCURRENCY).try_collect().await?;
    let mut lives: Vec<_> = lives.into_iter().flatten().collect();
    let Some(life) = lives.pop() else {
        return Err(Refused::not_found(
            "such coupon",
            ", or this token may not read it",
        ));
    };
    if !lives.is_empty() {
        let keys = lives.iter().chain([&life]).map(|it| it.coupon.clone());
        let keys: Vec<_> = keys.collect();
        let keys = keys.join(", ");
        let problem = Said::of(
            format!("must name one: several coupons have the code: {keys}"),
            format!("deve indicar um: vários cupons têm o código: {keys}"),
        );
        return Err(Refused::Invalid(vec![Problem::new("tenant", "", problem)]));
    }
    Ok(life)
}

/// The days of the search for games' codes: the last 30, in every time zone.
pub fn lately(now: Timestamp) -> Period {
    let today = now.to_zoned(TimeZone::UTC).date();
    let first = today.checked_sub(LATELY_DAYS.days()).unwrap_or(today);
    Period::new(first, today.tomorrow().unwrap_or(today))
}

/// The tenant that a coupon's key names.
pub(crate) fn tenant_of(coupon: &str) -> Option<String> {
    coupon.split('#').nth(1).map(unescape)
}

/// A coupon's life without bodies, which hold personal data.
async fn life(
    sources: &Sources,
    coupon: String,
    lookup: &Lookup,
    scope: &Scope,
    now: Timestamp,
) -> anyhow::Result<Option<Life>> {
    // A longer key cannot exist in DynamoDB.
    if coupon.len() > 2048 {
        return Ok(None);
    }
    let rows = sources.ledger.rows_of(&coupon, "", now).await?;
    let mut life = Life::read(coupon, &rows).without_bodies();
    life.tasks.iter_mut().for_each(|it| it.would_send = None);
    if let Lookup::Key {
        entry: Some(entry), ..
    } = lookup
    {
        life.keep_only(entry);
    }
    // The key names the tenant. A row could contradict it only if a person wrote the row by hand.
    let is_foreign = life.received.iter().any(|it| !scope.may_read(&it.tenant));
    if !life.is_known() || is_foreign {
        return Ok(None);
    }
    let Some(first) = life.received.first() else {
        return Ok(Some(life));
    };
    let (member, entry) = first.account_key();
    let found = sources
        .client
        .get_item()
        .table_name(&sources.members_table)
        .key("member", AttributeValue::S(member))
        .key("entry", AttributeValue::S(entry))
        .send()
        .await
        .context("reading the member's account")?;
    life.account = found.item.as_ref().map(Account::read);
    Ok(Some(life))
}
