//! Computes what an event adds to the counters, after its coupon's earlier events. The sums are the
//! same for any order of events.

use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};

use super::cell::{Group, Section, Tally};
use super::line::{AWAITING_MAX, Awaiting, COMPLETED_MAX, Line, Redeemed};
use super::track::time_to_usage_s;
use super::{Sketch, Tracked, TrackedKind};
use crate::event::{Event, Fact};

/// How many items of one redemption are counted by name; further items are counted as one.
const ITEMS_MAX: usize = 20;

/// The result of counting an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// What the event adds to counters: of its own day, and of other days of its coupon.
    pub tally: Tally,
    /// The coupon's new line.
    pub line: Line,
    /// What the event adds to its member's profile, if the line belongs to another member; else
    /// empty, because the line has the share.
    pub share: super::Share,
    /// Uses whose records get the time from redemption to use, because the redemption is now known.
    pub completes: Vec<Awaiting>,
    /// The entries of a cancellation and an expiry whose records get the redemption's key, because
    /// the redemption is now known.
    pub names: Vec<String>,
}

/// Counts an event on a tenant's day and hour. `before` is the coupon's line so far, and
/// `is_owners` says whether the line's owner is the event's member. If the line already knows the
/// redemption, the tracked fields get what only the redemption can say.
pub fn count(
    event: &Event,
    tracked: &mut Tracked,
    (day, hour): (Date, u8),
    before: &Line,
    is_owners: bool,
) -> Counted {
    let mut counted = Counted {
        tally: Tally::default(),
        line: before.clone(),
        share: super::Share::default(),
        completes: Vec::new(),
        names: Vec::new(),
    };
    let hours = Group::new(Section::Hour, [format!("{hour:02}").as_str()]);
    let fields = &countable(tracked);
    match tracked.kind {
        TrackedKind::Redeemed => {
            let redeemed = Redeemed::of(fields, day);
            counted.tally.add(day, &hours, 'r', 1);
            counted.tally.add(day, &hours, 'p', redeemed.points);
            count_redemption(&mut counted.tally, event, fields, &redeemed);
            counted.share.redeemed_at = Some(redeemed.at);
            counted.share.points = redeemed.points;
            counted.share.category = category(event, tracked);
            if before.is_reversed() {
                reverse(&mut counted.tally, &redeemed);
            }
            for awaiting in std::mem::take(&mut counted.line.awaiting) {
                time_to_use(&mut counted.tally, &redeemed, &awaiting);
                if !awaiting.entry.is_empty() {
                    counted.completes.push(awaiting);
                }
            }
            let reversals = [&before.cancelled, &before.expired];
            counted.names = reversals.into_iter().flatten().cloned().collect();
            counted.line.redeemed = Some(redeemed);
        }
        TrackedKind::Used => {
            counted.tally.add(day, &hours, 'u', 1);
            count_use(&mut counted.tally, fields, (day, hour));
            counted.share.uses = 1;
            if let (Some(currency), Some(saved)) = (&fields.currency, fields.discount_applied) {
                counted.share.saved.insert(currency.clone(), saved);
            }
            counted.line.uses += 1;
            let awaiting = Awaiting {
                entry: tracked.key.entry().to_owned(),
                at: tracked.timestamp,
                day,
            };
            match &before.redeemed {
                Some(redeemed) => {
                    time_to_use(&mut counted.tally, redeemed, &awaiting);
                    tracked.complete(redeemed.at);
                }
                None => counted.line.await_redemption(awaiting),
            }
        }
        TrackedKind::Cancelled | TrackedKind::Expired => {
            let entry = Some(tracked.key.entry().to_owned());
            match tracked.kind {
                TrackedKind::Cancelled => counted.line.cancelled = entry,
                _ => counted.line.expired = entry,
            }
            if let Some(redeemed) = &before.redeemed {
                tracked.reverses = Some(tracked.key.redemption());
                if !before.is_reversed() {
                    reverse(&mut counted.tally, redeemed);
                }
            }
        }
    }
    let cohort = cohort(before).difference(&cohort(&counted.line));
    counted.tally.merge(&cohort);
    if is_owners {
        let own = std::mem::take(&mut counted.share);
        counted.line.share.merge(own);
    }
    counted
}

/// The tracked fields that can be counted. An impossible number is left out, because the sums of a
/// day must stay exact.
fn countable(tracked: &Tracked) -> Tracked {
    Tracked {
        points_spent: tracked
            .points_spent
            .filter(|it| it.unsigned_abs() <= POINTS_MAX),
        discount_value: tracked.discount_value.and_then(countable_amount),
        discount_applied: tracked.discount_applied.and_then(countable_amount),
        order_value: tracked.order_value.and_then(countable_amount),
        final_value: tracked.final_value.and_then(countable_amount),
        ..tracked.clone()
    }
}

/// The greatest amount, and the largest quantity of an item, that count for one event: 10^12.
const AMOUNT_MAX: Decimal = Decimal::from_parts(0xD4A5_1000, 0xE8, 0, false, 0);
/// The most decimals with which an amount counts.
const DECIMALS_MAX: u32 = 6;
/// The most points that count for one event.
const POINTS_MAX: u64 = 1_000_000_000_000;

/// The amount as it counts; `None` if the amount is too great. Amounts are rounded, because tills
/// compute with floats, in which 0.1 and 0.2 make 0.30000000000000004.
fn countable_amount(amount: Decimal) -> Option<Decimal> {
    let is_countable = amount.abs() <= AMOUNT_MAX;
    let rounding = RoundingStrategy::MidpointAwayFromZero;
    is_countable.then(|| amount.round_dp_with_strategy(DECIMALS_MAX, rounding))
}

impl Line {
    fn is_reversed(&self) -> bool {
        self.cancelled.is_some() || self.expired.is_some()
    }

    fn await_redemption(&mut self, mut use_: Awaiting) {
        if self.awaiting.len() >= COMPLETED_MAX {
            use_.entry.clear();
        }
        if self.awaiting.len() < AWAITING_MAX {
            self.awaiting.push(use_);
        }
    }
}

impl super::Share {
    fn merge(&mut self, other: Self) {
        if other.redeemed_at.is_some() {
            self.redeemed_at = other.redeemed_at;
            self.points = other.points;
            self.category = other.category;
        }
        self.uses += other.uses;
        for (currency, saved) in other.saved {
            let sum = self.saved.entry(currency).or_default();
            *sum = sum.saturating_add(saved).normalize();
        }
    }
}

impl Redeemed {
    fn of(tracked: &Tracked, day: Date) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let reward_name = text(&tracked.reward_name);
        let is_amount = tracked.discount_value.is_some()
            && tracked.discount_type.as_deref() != Some("percentage");
        Self {
            at: tracked.timestamp,
            day,
            reward_id: tracked
                .reward_id
                .clone()
                .unwrap_or_else(|| reward_name.clone()),
            reward_name,
            kind: text(&tracked.discount_type),
            currency: tracked
                .currency
                .clone()
                .filter(|_| is_amount)
                .unwrap_or_default(),
            points: tracked.points_spent.unwrap_or_default(),
            value: tracked.discount_value,
            method: text(&tracked.redemption_method),
            tier: text(&tracked.customer_tier),
        }
    }

    fn group(&self) -> Group {
        let names = [
            &self.reward_id,
            &self.reward_name,
            &self.kind,
            &self.currency,
        ];
        Group::new(Section::Redemption, names.map(String::as_str))
    }

    /// The other groups that count the redemption.
    fn choices(&self) -> [Group; 2] {
        [
            Group::new(Section::Method, [self.method.as_str()]),
            Group::new(Section::Tier, [self.tier.as_str()]),
        ]
    }
}

fn count_redemption(tally: &mut Tally, event: &Event, tracked: &Tracked, redeemed: &Redeemed) {
    let day = redeemed.day;
    let group = redeemed.group();
    tally.add(day, &group, 'c', 1);
    tally.add(day, &group, 'p', redeemed.points);
    if let Some(value) = redeemed.value {
        tally.add(day, &group, 'v', value);
        tally.add(day, &group, 'n', 1);
    }
    for group in redeemed.choices() {
        tally.add(day, &group, 'c', 1);
        tally.add(day, &group, 'p', redeemed.points);
    }
    let signal = [category(event, tracked), redeemed.method.clone()];
    let signal = Group::new(Section::Signal, signal.iter().map(String::as_str));
    tally.add(day, &signal, 'c', 1);
    tally.add(day, &signal, 'p', redeemed.points);
    let Fact::Redeemed(redemption) = &event.fact else {
        return;
    };
    let items = &redemption.reward.items;
    for (index, item) in items.iter().enumerate() {
        let currency = item.price.as_ref().map_or("", |it| it.currency.as_str());
        let (sku, name) = match index < ITEMS_MAX {
            true => (item.sku.as_str(), item.name.as_str()),
            false => ("", "(more items)"),
        };
        let names = [redemption.coupon_code.as_str(), sku, name, currency];
        let group = Group::new(Section::Code, names);
        let quantity = Some(Decimal::from(item.quantity)).and_then(countable_amount);
        let price = item.price.as_ref().map(|it| it.amount);
        let value = quantity
            .zip(price)
            .and_then(|(quantity, price)| price.checked_mul(quantity));
        tally.add(day, &group, 'c', 1);
        tally.add(day, &group, 'q', quantity.unwrap_or_default());
        tally.add(
            day,
            &group,
            'v',
            value.and_then(countable_amount).unwrap_or_default(),
        );
    }
}

/// The category of a redemption: the type of discount, or the type of Aghanim's first item.
fn category(event: &Event, tracked: &Tracked) -> String {
    let of_item = match &event.fact {
        Fact::Redeemed(redemption) => redemption.reward.items.first().map(|it| it.kind.clone()),
        _ => None,
    };
    of_item
        .or(tracked.discount_type.clone())
        .unwrap_or_default()
}

fn reverse(tally: &mut Tally, redeemed: &Redeemed) {
    let day = redeemed.day;
    let group = redeemed.group();
    tally.add(day, &group, 'r', 1);
    tally.add(day, &group, 'q', redeemed.points);
    tally.add(day, &group, 'w', redeemed.value.unwrap_or_default());
    for group in redeemed.choices() {
        tally.add(day, &group, 'r', 1);
        tally.add(day, &group, 'q', redeemed.points);
    }
}

fn count_use(tally: &mut Tally, tracked: &Tracked, (day, hour): (Date, u8)) {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let currency = text(&tracked.currency);
    let (reward, location) = (text(&tracked.reward_name), text(&tracked.location));
    let names = [&reward, &location, &text(&tracked.platform), &currency];
    let of_place = Group::new(Section::Use, names.map(String::as_str));
    let names = [&location, &text(&tracked.staff_member), &currency];
    let of_staff = Group::new(Section::Staff, names.map(String::as_str));
    let discount = tracked.discount_applied.unwrap_or_default();
    let order = tracked.order_value.unwrap_or_default();
    let left = order.saturating_sub(discount);
    let beyond = tracked.final_value.unwrap_or_default().saturating_sub(left);
    for group in [of_place, of_staff] {
        tally.add(day, &group, 'c', 1);
        tally.add(day, &group, 'd', discount);
        tally.add(day, &group, 'o', order);
        tally.add(day, &group, 'x', beyond);
        tally.add(day, &group, 'm', u64::from(tracked.order_value.is_none()));
        tally.add(day, &group, 'i', tracked.items_count.unwrap_or_default());
    }
    let hour = [format!("{hour:02}"), currency];
    let hour = Group::new(Section::HourDiscount, hour.iter().map(String::as_str));
    tally.add(day, &hour, 'd', discount);
}

fn time_to_use(tally: &mut Tally, redeemed: &Redeemed, use_: &Awaiting) {
    let bucket = Sketch::bucket(time_to_usage_s(redeemed.at, use_.at));
    let group = Group::new(Section::TimeToUse, [bucket.to_string().as_str()]);
    tally.add(use_.day, &group, 'c', 1);
}

/// The state of a coupon, counted on the day of its redemption. A used coupon counts as used,
/// whatever else happened to it.
fn cohort(line: &Line) -> Tally {
    let mut tally = Tally::default();
    let Some(redeemed) = &line.redeemed else {
        return tally;
    };
    let became = match line {
        Line { uses: 1.., .. } => 'u',
        Line {
            cancelled: Some(_), ..
        } => 'x',
        Line {
            expired: Some(_), ..
        } => 'e',
        _ => return tally,
    };
    let names = [redeemed.reward_id.as_str(), redeemed.reward_name.as_str()];
    let group = Group::new(Section::Cohort, names);
    tally.add(redeemed.day, &group, became, 1);
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_counts_with_six_decimals_unless_it_is_too_great() {
        let check = |amount: &str, expected: Option<&str>| {
            let expected = expected.map(|it| it.parse().unwrap());
            let counted = countable_amount(amount.parse().unwrap());
            assert_eq!(counted, expected, "{amount}");
        };
        check("0", Some("0"));
        check("-35.10", Some("-35.1"));
        check("1000000000000", Some("1000000000000"));
        check("1000000000000.01", None);
        check("0.000001", Some("0.000001"));
        check("0.0000010", Some("0.000001"));
        check("0.0000001", Some("0"));
        check("0.0000005", Some("0.000001"));
        check("0.30000000000000004", Some("0.3"));
        check("32.199999999999996", Some("32.2"));
        check("-0.30000000000000004", Some("-0.3"));
        check("79228162514264337593543950335", None);
    }
}
