//! Decodes the counters into the days that reports read.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::cell::{Cell, Group, Section, Tally};
use super::survey::SurveyGroup;
use super::{
    CodeGroup, Day, DeliveryGroup, RedemptionGroup, RedemptionSums, Reward, SignalGroup,
    StaffGroup, UseGroup, UseSums,
};

/// The days with any counts, from their counters.
pub(crate) fn days(tally: &Tally) -> BTreeMap<Date, Day> {
    let mut days: BTreeMap<Date, Day> = BTreeMap::new();
    for (cell, sum) in tally.cells() {
        take(days.entry(cell.day).or_default(), cell, sum);
    }
    for day in days.values_mut() {
        count_cohorts(day);
        day.uses.values_mut().for_each(complete);
        day.uses_by_staff.values_mut().for_each(complete);
    }
    days
}

/// A reward's cohort consists of all its redeemed coupons.
fn count_cohorts(day: &mut Day) {
    for (group, sums) in &day.redemptions {
        let cohort = day.cohorts.entry(group.reward.clone()).or_default();
        cohort.redeemed += sums.count;
    }
}

/// Turns what the counters hold into sums. The counters hold how many uses lack an order's value,
/// and how far final values differ from what is left of the orders' values. Both are mostly 0,
/// which takes no space.
fn complete(sums: &mut UseSums) {
    sums.order_count = sums.count.saturating_sub(sums.order_count);
    sums.final_value = (sums.order_value - sums.discount_applied + sums.final_value).normalize();
}

fn take(day: &mut Day, cell: &Cell, sum: Decimal) {
    let Cell { group, field, .. } = cell;
    let count = sum.to_u64().unwrap_or_default();
    let whole = sum.to_i64().unwrap_or_default();
    match group.section {
        Section::Redemption => {
            let sums = day.redemptions.entry(redemption(group)).or_default();
            take_redemption(sums, *field, sum);
        }
        Section::Method => {
            let sums = day.redemptions_by_method.entry(group.name(0));
            take_redemption(sums.or_default(), *field, sum);
        }
        Section::Tier => {
            let sums = day.redemptions_by_tier.entry(group.name(0));
            take_redemption(sums.or_default(), *field, sum);
        }
        Section::Signal => {
            let signal = SignalGroup {
                reward_type: group.name(0),
                method: group.name(1),
            };
            let sums = day.satisfaction.entry(signal).or_default();
            match field {
                'c' => sums.count = count,
                'p' => sums.points = whole,
                _ => {}
            }
        }
        Section::Use => {
            let group = UseGroup {
                reward_name: group.name(0),
                location: group.name(1),
                platform: group.name(2),
                currency: group.name(3),
            };
            take_use(day.uses.entry(group).or_default(), *field, sum);
        }
        Section::Staff => {
            let group = StaffGroup {
                staff_member: group.name(1),
                currency: group.name(2),
            };
            // One person may work at several locations, whose counters are separate.
            take_use(day.uses_by_staff.entry(group).or_default(), *field, sum);
        }
        Section::Cohort => {
            let cohort = day.cohorts.entry(reward(group)).or_default();
            match field {
                'u' => cohort.used = count,
                'x' => cohort.cancelled = count,
                'e' => cohort.expired = count,
                _ => {}
            }
        }
        Section::TimeToUse => {
            if let Ok(bucket) = group.name(0).parse() {
                day.time_to_use.add(bucket, count);
            }
        }
        Section::Hour | Section::HourDiscount => {
            let Ok(hour) = group.name(0).parse() else {
                return;
            };
            let sums = day.hours.entry(hour).or_default();
            match field {
                'r' => sums.redemptions = count,
                'u' => sums.uses = count,
                'p' => sums.points = whole,
                'd' => _ = sums.discount_applied.insert(group.name(1), sum),
                _ => {}
            }
        }
        Section::Code => {
            let group = CodeGroup {
                code: group.name(0),
                item_sku: group.name(1),
                item_name: group.name(2),
                currency: group.name(3),
            };
            let sums = day.codes.entry(group).or_default();
            match field {
                'c' => sums.count = count,
                'q' => sums.quantity = whole,
                'v' => sums.value = sum,
                _ => {}
            }
        }
        Section::Finding => _ = day.findings.insert(group.name(0), count),
        Section::LowStock => day.low_stock_alerts = count,
        Section::Delivery => {
            let group = DeliveryGroup {
                channel: group.name(0),
                result: group.name(1),
            };
            day.deliveries.insert(group, count);
        }
        Section::Survey => {
            let sums = day.surveys.entry(SurveyGroup::read(group)).or_default();
            sums.take(*field, count);
        }
        Section::SurveyUnsent => _ = day.surveys_unsent.insert(group.name(0), count),
    }
}

fn reward(group: &Group) -> Reward {
    Reward {
        id: group.name(0),
        name: group.name(1),
    }
}

fn redemption(group: &Group) -> RedemptionGroup {
    RedemptionGroup {
        reward: reward(group),
        discount_kind: group.name(2),
        currency: group.name(3),
    }
}

fn take_redemption(sums: &mut RedemptionSums, field: char, sum: Decimal) {
    let count = sum.to_u64().unwrap_or_default();
    let points = sum.to_i64().unwrap_or_default();
    match field {
        'c' => sums.count = count,
        'p' => sums.points = points,
        'v' => sums.discount_value = sum,
        'n' => sums.discount_count = count,
        'r' => sums.reversed = count,
        'q' => sums.reversed_points = points,
        'w' => sums.reversed_discount_value = sum,
        _ => {}
    }
}

/// Adds one of the sums, before they are [complete].
fn take_use(sums: &mut UseSums, field: char, sum: Decimal) {
    let count = sum.to_u64().unwrap_or_default();
    match field {
        'c' => sums.count += count,
        'd' => sums.discount_applied += sum,
        'o' => sums.order_value += sum,
        'x' => sums.final_value += sum,
        'm' => sums.order_count += count,
        'i' => sums.items += count,
        _ => {}
    }
}
