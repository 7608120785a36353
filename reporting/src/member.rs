//! The figures of one member, for holders of a token who may read the member's tenant.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use webhooks::figures::Profile;

use crate::access::Scope;
use crate::amount::average;
use crate::refused::{Problem, Refused};
use crate::said::Said;
use crate::sources::Sources;

/// How many tenants this module asks at the same time.
const CONCURRENCY: usize = 16;

/// The days that a frequency refers to.
const FREQUENCY_DAYS: i64 = 30;

/// A member, with the provider and the tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundMember {
    pub provider: String,
    pub tenant: String,
    pub profile: Profile,
}

/// The member with this id.
///
/// # Errors
/// The token may read no such member, or several; or reading the tables failed.
pub async fn find(
    sources: &Sources,
    id: &str,
    (tenant, provider): (Option<&str>, Option<&str>),
    scope: &Scope,
) -> Result<FoundMember, Refused> {
    let tenants = sources.tenants(scope, tenant, provider).await?;
    let profiles = stream::iter(tenants).map(|(provider, tenant)| async move {
        let profile = sources.figures.member(&provider, &tenant, id).await?;
        anyhow::Ok(profile.map(|it| (provider, tenant, it)))
    });
    let found: Vec<_> = profiles.buffered(CONCURRENCY).try_collect().await?;
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    let Some((provider, tenant, profile)) = found.pop() else {
        return Err(Refused::not_found(
            "such member",
            ", or this token may not read it",
        ));
    };
    if !found.is_empty() {
        let names = found
            .iter()
            .map(|(provider, tenant, _)| format!("{provider} {tenant}"));
        let names: Vec<_> = names.chain([format!("{provider} {tenant}")]).collect();
        let names = names.join(", ");
        let problem = Said::of(
            format!("must name one: these tenants know the member: {names}"),
            format!("deve indicar uma: o membro é conhecido de {names}"),
        );
        let given = Problem::new("tenant", "", problem);
        return Err(Refused::Invalid(vec![given]));
    }
    Ok(FoundMember {
        provider,
        tenant,
        profile,
    })
}

/// The category with most redemptions; of several, the first in the alphabet.
pub fn preferred(profile: &Profile) -> Option<&str> {
    let most = profile.categories.values().max()?;
    let mut categories = profile.categories.iter();
    let found = categories.find(|(_, count)| *count == most);
    found.map(|(name, _)| name.as_str())
}

/// Redemptions in 30 days, from the first one until now, with two decimals. The first 30 days count
/// as a whole.
pub fn frequency(profile: &Profile, now: Timestamp) -> Option<String> {
    let first = profile.first_redemption?;
    let days = now.duration_since(first).as_secs() / 86_400;
    let days = u64::try_from(days.max(FREQUENCY_DAYS)).ok()?;
    let total = profile.redemptions.saturating_mul(30);
    average(total.into(), days)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn profile(redemptions: u64, first: &str) -> Profile {
        Profile {
            first_redemption: Some(first.parse().unwrap()),
            redemptions,
            ..Profile::default()
        }
    }

    #[test]
    fn a_frequency_is_by_thirty_days() {
        let now: Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
        let check = |redemptions: u64, first: &str, expected: &str| {
            let frequency = frequency(&profile(redemptions, first), now);
            assert_eq!(frequency.as_deref(), Some(expected), "{first}");
        };
        check(3, "2026-11-24T00:00:00Z", "3.00");
        check(3, "2026-10-26T00:00:00Z", "3.00");
        check(3, "2026-09-26T00:00:00Z", "1.50");
        check(1, "2027-01-01T00:00:00Z", "1.00");
        assert_eq!(frequency(&Profile::default(), now), None);
    }

    #[test]
    fn of_equal_categories_the_first_in_the_alphabet_is_preferred() {
        let categories = [("pizza", 2), ("drinks", 2), ("dessert", 1)];
        let profile = Profile {
            categories: BTreeMap::from(categories.map(|(name, count)| (name.to_owned(), count))),
            ..Profile::default()
        };
        assert_eq!(preferred(&profile), Some("drinks"));
        assert_eq!(preferred(&Profile::default()), None);
    }
}
