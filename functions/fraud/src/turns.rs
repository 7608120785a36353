//! The order of a member's redemptions beyond the limit: at any time, one of them changes the
//! member's rushes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::case::Case;
use crate::history::{Redeemed, count_at};
use crate::rapid::{RAPID_REDEMPTION, Rapid};
use crate::rush::{Rush, Step};
use crate::setup::Fraud;

/// How many coupons a batch adds that are not its own. The next attempt adds more.
pub(crate) const OTHERS_MAX: usize = 50;

impl Fraud {
    /// The changes that redemptions beyond the limit make to their members' rushes. At any time,
    /// one redemption of a member changes the rushes. The first is the one with the greatest count,
    /// so that one alert covers the others.
    pub(crate) fn steps(&self, cases: &BTreeMap<String, Case<'_>>) -> BTreeMap<String, Turn> {
        let mut of_members: BTreeMap<String, Vec<(&String, Rank, RushChange)>> = BTreeMap::new();
        for (coupon, case) in cases.iter().filter(|(_, case)| case.is_read()) {
            let Some((known, member, redeemed)) = case.redeemed() else {
                continue;
            };
            let Some(of_member) = case.member.as_deref() else {
                continue;
            };
            let is_looked_at = known.record.is_some() || case.is_own(known.event.key.entry());
            let rapid = self.settings(&known.event).rapid;
            let count = count_at(rapid, &of_member.redemptions, redeemed.at);
            if count < rapid.count || !is_looked_at || !self.counts_for(&known.event) {
                continue;
            }
            let record = known.record.as_ref();
            let (raises, rushes) = match of_member.rushes.step(redeemed.at, count, rapid) {
                Step::Raises(count, rushes)
                    if !record.is_some_and(|it| it.is_alerted(RAPID_REDEMPTION, count)) =>
                {
                    (Some(count), rushes)
                }
                Step::Extends(rushes) if !record.is_some_and(|it| it.has(RAPID_REDEMPTION)) => {
                    (None, rushes)
                }
                _ => continue,
            };
            let rank = (raises.map(|_| count), redeemed.at);
            let change = RushChange { raises, rushes };
            let candidates = of_members.entry(member).or_default();
            candidates.push((coupon, rank, change));
        }
        let mut turns = BTreeMap::new();
        for mut candidates in of_members.into_values() {
            candidates.sort_by_key(|(_, (raises, at), _)| match raises {
                // Of two redemptions with the same count, the earlier one comes first.
                Some(_) => Reverse((*raises, Reverse(*at), Timestamp::MIN)),
                // The last redemption decides how long the rush goes on.
                None => Reverse((None, Reverse(Timestamp::MIN), *at)),
            });
            let mut candidates = candidates.into_iter();
            let first = candidates.next();
            turns.extend(first.map(|(coupon, _, change)| (coupon.clone(), Turn::Now(change))));
            turns.extend(candidates.map(|(coupon, ..)| (coupon.clone(), Turn::Later)));
        }
        turns
    }
}

/// When a redemption changes the rushes of its member.
pub(crate) enum Turn {
    Now(RushChange),
    Later,
}

/// A change of a member's rushes.
pub(crate) struct RushChange {
    /// The count of the alert that the redemption raises, if it raises one.
    pub(crate) raises: Option<usize>,
    pub(crate) rushes: Vec<Rush>,
}

/// The count of a due alert, if there is one, and the redemption's time.
type Rank = (Option<usize>, Timestamp);

/// The member's coupons that this redemption concerns: unsettled ones that it makes too many, or
/// all in a rush that it doubles.
pub(crate) fn others_of(case: &Case<'_>, rapid: Rapid) -> Vec<Redeemed> {
    let (Some((_, _, redeemed)), Some(member)) = (case.redeemed(), case.member.as_deref()) else {
        return Vec::new();
    };
    let history = &member.redemptions;
    let own = count_at(rapid, history, redeemed.at);
    let mut others = Vec::new();
    let mut peak = None;
    let from = history.partition_point(|it| it.at < redeemed.at);
    let to = history.partition_point(|it| it.at <= rapid.after(redeemed.at));
    for other in &history[from..to] {
        let count = count_at(rapid, history, other.at);
        if other.coupon == redeemed.coupon || count < rapid.count {
            continue;
        }
        // One more than can be added shows that there are more.
        if !other.is_settled && others.len() <= OTHERS_MAX {
            others.push(other.clone());
        }
        if count > own && peak.is_none_or(|(most, _)| count > most) {
            peak = Some((count, other));
        }
    }
    if let Some((count, other)) = peak
        && other.is_settled
        && let Step::Raises(..) = member.rushes.step(other.at, count, rapid)
    {
        others.push(other.clone());
    }
    others
}
