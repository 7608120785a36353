//! What must hold of the members' accounts: coupons, expiry dates, rewards and grants.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{Judge, account_key};
use crate::story::{Event, Kind};

impl Judge<'_> {
    /// An account must show the coupon's last state, in any order of the events.
    pub(super) fn accounts(&mut self) {
        let of_coupons = self
            .story
            .events
            .iter()
            .filter(|it| rank(it.kind).is_some());
        let coupons: BTreeSet<_> = of_coupons.filter_map(account_key).collect();
        for key in coupons {
            let of_coupon = self.story.events.iter().enumerate();
            let of_coupon: Vec<_> = of_coupon
                .filter(|(_, event)| account_key(event).as_ref() == Some(&key) && !event.forged)
                .collect();
            let certain = of_coupon
                .iter()
                .filter(|(index, _)| self.is_accepted(*index));
            let certain = certain.filter_map(|(_, event)| rank(event.kind)).max();
            let possible: BTreeSet<_> = of_coupon
                .iter()
                .filter(|(index, _)| !self.is_accepted(*index))
                .filter_map(|(_, event)| rank(event.kind))
                .filter(|rank| Some(*rank) > certain)
                .chain(certain)
                .collect();
            let shown = self.accounts.get(&key).map(|row| row["state"].clone());
            let Some(shown) = shown else {
                self.expect(certain.is_none(), || format!("{key} is not in the account"));
                continue;
            };
            let states = ["active", "expired", "cancelled", "used"];
            // A notice alone leaves a row without a state.
            let is_possible = possible.iter().any(|rank| shown == states[*rank])
                || (certain.is_none() && shown.is_null());
            self.expect(is_possible, || {
                format!("{key} is {shown}; possible are {possible:?}")
            });
            self.described(&key, &of_coupon);
            self.expiry(&key, &of_coupon);
        }
    }

    /// The account must have the latest expiry date, by the provider's clock.
    pub(super) fn expiry(&mut self, key: &str, of_coupon: &[(usize, &Event)]) {
        let stated = of_coupon.iter().filter_map(|(_, event)| {
            let record = self.rows.get(&format!("{}/delivery/account", event.key))?;
            let is_notice = event.kind == Kind::Expiring;
            let variant = self.variant(event).filter(|_| record["status"] == "done")?;
            Some((variant.at, is_notice, variant.expires_at?))
        });
        let expected = stated.max().map(|(.., expires_at)| expires_at);
        let shown = self.accounts[key]["expires_at"].as_str();
        let shown: Option<Timestamp> = shown.and_then(|it| it.parse().ok());
        self.expect(shown == expected, || {
            format!("{key} expires at {shown:?}, it should be {expected:?}")
        });
    }

    pub(super) fn described(&mut self, key: &str, of_coupon: &[(usize, &Event)]) {
        let redeemed = of_coupon
            .iter()
            .find(|(_, event)| event.kind == Kind::Redeemed);
        let Some((index, event)) = redeemed else {
            return;
        };
        if !self.is_accepted(*index) {
            return;
        }
        let body = self.rows.get(&event.key).map(|row| row["body"].clone());
        let stated = |body: &Value| {
            let stated = event.variants.iter();
            let mut stated = stated
                .filter(|event| Some(event.body.as_slice()) == body.as_str().map(str::as_bytes));
            stated.next()?.reward.clone()
        };
        let expected = body.as_ref().and_then(stated);
        let shown = self.accounts[key]["reward"].as_str().map(str::to_owned);
        self.expect(shown == expected, || {
            format!("{key} shows the reward {shown:?}, it should be {expected:?}")
        });
    }

    /// Every accepted redemption of items must have a grant, but none of a sandbox.
    pub(super) fn grants(&mut self) {
        let mut known = 0;
        for (index, event) in self.story.events.iter().enumerate() {
            if event.kind != Kind::Items {
                continue;
            }
            let end = format!(
                "/grant#{}",
                webhooks::event::escape(event.key.trim_end_matches("/redeemed"))
            );
            let granted = self
                .accounts
                .keys()
                .filter(|key| key.ends_with(&end))
                .count();
            let (accepted, recorded) =
                (self.is_accepted(index), self.rows.contains_key(&event.key));
            let expected = usize::from(recorded && !event.sandbox);
            self.expect(
                granted <= expected && (!accepted || granted == expected),
                || format!("{} has {granted} grants", event.key),
            );
            known += granted;
        }
        let grants = self.accounts.keys().filter(|key| key.contains("/grant#"));
        let unknown = grants.count() - known;
        self.expect(unknown == 0, || format!("{unknown} grants have no cause"));
    }
}

/// The later of two states counts: active, expired, cancelled, used.
fn rank(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Redeemed => Some(0),
        Kind::Expired => Some(1),
        Kind::Cancelled => Some(2),
        Kind::Used => Some(3),
        Kind::Expiring | Kind::Items | Kind::Enrolled | Kind::Refused(_) => None,
    }
}
