//! The expected figures, counted in the simplest way: event by event, with all others at hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use webhooks::event::{Event, Fact, Redemption, Usage};
use webhooks::figures::{
    CodeGroup, Day, Profile, RedemptionGroup, RedemptionSums, Reward, SignalGroup, Sketch,
    StaffGroup, UseGroup, UseSums,
};

type Days = BTreeMap<Date, Day>;

pub(super) fn days(events: &[Event]) -> Days {
    let mut days = Days::new();
    for event in events {
        let zone = TimeZone::get("Europe/Lisbon").unwrap();
        let local = event.occurred_at.to_zoned(zone);
        let hour = u8::try_from(local.hour()).unwrap();
        match &event.fact {
            Fact::Redeemed(it) => {
                let day = days.entry(local.date()).or_default();
                redeemed(day, hour, event, it, &Others::of(event, events));
            }
            Fact::Used(it) => {
                let day = days.entry(local.date()).or_default();
                used(day, hour, it);
                let redemption = events.iter().find(|other| {
                    other.key.coupon() == event.key.coupon()
                        && matches!(other.fact, Fact::Redeemed(_))
                });
                if let Some(redemption) = redemption {
                    let took = event.occurred_at.duration_since(redemption.occurred_at);
                    day.time_to_use.add(Sketch::bucket(took.as_secs()), 1);
                }
            }
            _ => {}
        }
    }
    days
}

/// The days on which something happened, counted or not.
pub(super) fn local_days(events: &[Event]) -> BTreeSet<Date> {
    let zone = TimeZone::get("Europe/Lisbon").unwrap();
    let days = events.iter();
    days.map(|it| it.occurred_at.to_zoned(zone.clone()).date())
        .collect()
}

/// The other events of a coupon.
struct Others {
    used: bool,
    cancelled: bool,
    expired: bool,
}

impl Others {
    fn of(event: &Event, events: &[Event]) -> Self {
        let of_coupon = |is: fn(&Fact) -> bool| {
            let mut events = events.iter();
            events.any(|other| other.key.coupon() == event.key.coupon() && is(&other.fact))
        };
        Self {
            used: of_coupon(|it| matches!(it, Fact::Used(_))),
            cancelled: of_coupon(|it| matches!(it, Fact::Cancelled(_))),
            expired: of_coupon(|it| matches!(it, Fact::Expired(_))),
        }
    }
}

fn redeemed(day: &mut Day, hour: u8, event: &Event, it: &Redemption, others: &Others) {
    let points = it.points_spent.unwrap();
    let name = it.reward.name.clone().unwrap();
    let reward = Reward {
        id: it.reward.id.clone().unwrap_or(name.clone()),
        name,
    };
    let kind = it.discount.as_ref().map_or("", |it| it.kind.text());
    let value = it.discount.as_ref().and_then(|it| it.value);
    let currency = match (value, it.reward.items.is_empty()) {
        (Some(_), _) if kind == "percentage" => "",
        (Some(_), true) => "BRL",
        (Some(_), false) => "USD",
        (None, _) => "",
    };
    let group = RedemptionGroup {
        reward: reward.clone(),
        discount_kind: kind.into(),
        currency: currency.into(),
    };
    let is_reversed = others.cancelled || others.expired;
    let sums = day.redemptions.entry(group).or_default();
    if let Some(value) = value {
        sums.discount_value += value;
        sums.discount_count += 1;
        if is_reversed {
            sums.reversed_discount_value += value;
        }
    }
    choose(sums, points, is_reversed);
    let method = it.method.clone().unwrap_or_default();
    let tier = event.member.tier.clone().unwrap_or_default();
    choose(
        day.redemptions_by_method.entry(method.clone()).or_default(),
        points,
        is_reversed,
    );
    choose(
        day.redemptions_by_tier.entry(tier).or_default(),
        points,
        is_reversed,
    );
    let reward_type = match it.reward.items.first() {
        Some(item) => item.kind.clone(),
        None => kind.to_owned(),
    };
    let signal = SignalGroup {
        reward_type,
        method,
    };
    let signal = day.satisfaction.entry(signal).or_default();
    signal.count += 1;
    signal.points += points;
    let hour = day.hours.entry(hour).or_default();
    hour.redemptions += 1;
    hour.points += points;
    let cohort = day.cohorts.entry(reward).or_default();
    cohort.redeemed += 1;
    if others.used {
        cohort.used += 1;
    } else if others.cancelled {
        cohort.cancelled += 1;
    } else if others.expired {
        cohort.expired += 1;
    }
    for item in &it.reward.items {
        let group = CodeGroup {
            code: it.coupon_code.clone(),
            item_sku: item.sku.clone(),
            item_name: item.name.clone(),
            currency: "USD".into(),
        };
        let sums = day.codes.entry(group).or_default();
        sums.count += 1;
        sums.quantity += item.quantity;
        sums.value += item.price.as_ref().unwrap().amount * Decimal::from(item.quantity);
    }
}

fn choose(sums: &mut RedemptionSums, points: i64, is_reversed: bool) {
    sums.count += 1;
    sums.points += points;
    if is_reversed {
        sums.reversed += 1;
        sums.reversed_points += points;
    }
}

fn used(day: &mut Day, hour: u8, it: &Usage) {
    let amounts = [&it.discount_applied, &it.order_value, &it.final_value];
    let currency = match amounts.into_iter().any(Option::is_some) {
        true => "BRL",
        false => "",
    };
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let place = UseGroup {
        reward_name: text(&it.reward_name),
        location: text(&it.location),
        platform: text(&it.platform),
        currency: currency.into(),
    };
    let staff = StaffGroup {
        staff_member: text(&it.staff_member),
        currency: currency.into(),
    };
    let add = |sums: &mut UseSums| {
        let amount =
            |it: &Option<webhooks::event::Money>| it.as_ref().map_or(Decimal::ZERO, |it| it.amount);
        sums.count += 1;
        sums.discount_applied += amount(&it.discount_applied);
        sums.order_value += amount(&it.order_value);
        sums.order_count += u64::from(it.order_value.is_some());
        sums.final_value += amount(&it.final_value);
        sums.items += it.items.len() as u64;
    };
    add(day.uses.entry(place).or_default());
    add(day.uses_by_staff.entry(staff).or_default());
    let hour = day.hours.entry(hour).or_default();
    hour.uses += 1;
    if let Some(discount) = it
        .discount_applied
        .as_ref()
        .filter(|it| !it.amount.is_zero())
    {
        *hour.discount_applied.entry("BRL".into()).or_default() += discount.amount;
    }
}

pub(super) fn profiles(events: &[Event]) -> BTreeMap<String, Profile> {
    let mut profiles: BTreeMap<String, Profile> = BTreeMap::new();
    for event in events {
        let at = Some(event.occurred_at);
        let member = event.member.id.clone();
        match &event.fact {
            Fact::Redeemed(it) => {
                let profile = profiles.entry(member).or_default();
                profile.redemptions += 1;
                profile.points += it.points_spent.unwrap();
                let first = profile.first_redemption.or(at).min(at);
                profile.first_redemption = first;
                profile.last_redemption = profile.last_redemption.max(at);
                let category = match it.reward.items.first() {
                    Some(item) => item.kind.clone(),
                    None => it
                        .discount
                        .as_ref()
                        .map_or("", |it| it.kind.text())
                        .to_owned(),
                };
                *profile.categories.entry(category).or_default() += 1;
            }
            Fact::Used(it) => {
                let profile = profiles.entry(member).or_default();
                profile.uses += 1;
                if let Some(discount) = &it.discount_applied {
                    let saved = profile.money_saved.entry("BRL".into()).or_default();
                    *saved += discount.amount;
                }
            }
            _ => {}
        }
    }
    profiles
}
