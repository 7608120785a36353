//! Aghanim's codes: the days and the events of a code's redemptions. A redemption of a code has a
//! key of its own, so the figures lead from the code to its days.

use std::collections::BTreeMap;

use jiff::civil::Date;
use webhooks::event::EventKey;
use webhooks::provider::aghanim;

use crate::listing::{Cursor, Filter, list};
use crate::period::Period;
use crate::sources::{Named, Sources};

/// The longest tracked beginning of a code, in bytes.
const TRACKED_BYTES: usize = 300;

/// The redemptions of a tenant's code on each day of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    pub tenant: Named,
    pub code: String,
    /// Never empty.
    pub days: BTreeMap<Date, u64>,
}

impl Redeemed {
    pub fn count(&self) -> u64 {
        self.days.values().sum()
    }

    /// From the first to the last of its days.
    pub fn period(&self) -> Option<Period> {
        let (first, _) = self.days.first_key_value()?;
        let (last, _) = self.days.last_key_value()?;
        Some(Period::new(*first, *last))
    }
}

/// A code as the figures hold it: the beginning of a long code.
fn tracked(code: &str) -> &str {
    &code[..code.floor_char_boundary(TRACKED_BYTES)]
}

/// The redemptions of this code within a period, for tenants that do not name redemptions for their
/// code.
///
/// # Errors
/// Reading the figures failed.
pub async fn redeemed(
    sources: &Sources,
    tenants: &[Named],
    code: &str,
    period: Period,
) -> anyhow::Result<Vec<Redeemed>> {
    let code = tracked(code);
    let mut all = Vec::new();
    for (provider, tenant) in tenants {
        if provider != aghanim::NAME {
            continue;
        }
        let days = sources
            .figures
            .days(provider, tenant, period.from, period.to);
        let mut counts = BTreeMap::new();
        for (day, figures) in days.await? {
            let of_code = figures.codes.iter().filter(|(group, _)| group.code == code);
            let count: u64 = of_code.map(|(_, sums)| sums.count).sum();
            if count > 0 {
                counts.insert(day, count);
            }
        }
        if !counts.is_empty() {
            all.push(Redeemed {
                tenant: (provider.clone(), tenant.clone()),
                code: code.to_owned(),
                days: counts,
            });
        }
    }
    Ok(all)
}

/// The redemptions themselves, the newest first, up to a limit.
pub async fn redemptions(
    sources: &Sources,
    redeemed: &Redeemed,
    limit: usize,
) -> anyhow::Result<Vec<EventKey>> {
    let tenants = [redeemed.tenant.clone()];
    let filter = Filter {
        code: Some(redeemed.code.clone()),
        ..Filter::default()
    };
    let mut found = Vec::new();
    for day in redeemed.days.keys().rev() {
        let period = Period::new(*day, *day);
        let left = limit - found.len();
        let start = Cursor::start(period);
        let listing = list(sources, &tenants, period, &filter, start, left).await?;
        found.extend(listing.events.into_iter().map(|(tracked, _)| tracked.key));
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}
