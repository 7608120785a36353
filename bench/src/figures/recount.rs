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
            Fact::Redeemed(redemption) => {
                let day = days.entry(local.date()).or_default();
                redeemed(day, hour, event, redemption, &Others::of(event, events));
            }
            Fact::Used(usage) => {
                let day = days.entry(local.date()).or_default();
                used(day, hour, usage);
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

fn redeemed(day: &mut Day, hour: u8, event: &Event, redemption: &Redemption, others: &Others) {
    let points = redemption.points_spent.unwrap();
    let name = redemption.reward.name.clone().unwrap();
    let reward = Reward {
        id: redemption.reward.id.clone().unwrap_or(name.clone()),
        name,
    };
    let kind = redemption.discount.as_ref().map_or("", |it| it.kind.text());
    let value = redemption.discount.as_ref().and_then(|it| it.value);
    let currency = match (value, redemption.reward.items.is_empty()) {
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
    let method = redemption.method.clone().unwrap_or_default();
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
    let reward_type = match redemption.reward.items.first() {
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
    for item in &redemption.reward.items {
        let group = CodeGroup {
            code: redemption.coupon_code.clone(),
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

fn used(day: &mut Day, hour: u8, usage: &Usage) {
    let amounts = [
        &usage.discount_applied,
        &usage.order_value,
        &usage.final_value,
    ];
    let currency = match amounts.into_iter().any(Option::is_some) {
        true => "BRL",
        false => "",
    };
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let place = UseGroup {
        reward_name: text(&usage.reward_name),
        location: text(&usage.location),
        platform: text(&usage.platform),
        currency: currency.into(),
    };
    let staff = StaffGroup {
        staff_member: text(&usage.staff_member),
        currency: currency.into(),
    };
    let add = |sums: &mut UseSums| {
        let amount = |money: &Option<webhooks::event::Money>| {
            money.as_ref().map_or(Decimal::ZERO, |it| it.amount)
        };
        sums.count += 1;
        sums.discount_applied += amount(&usage.discount_applied);
        sums.order_value += amount(&usage.order_value);
        sums.order_count += u64::from(usage.order_value.is_some());
        sums.final_value += amount(&usage.final_value);
        sums.items += usage.items.len() as u64;
    };
    add(day.uses.entry(place).or_default());
    add(day.uses_by_staff.entry(staff).or_default());
    let hour = day.hours.entry(hour).or_default();
    hour.uses += 1;
    if let Some(discount) = usage
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
            Fact::Redeemed(redemption) => {
                let profile = profiles.entry(member).or_default();
                profile.redemptions += 1;
                profile.points += redemption.points_spent.unwrap();
                let first = profile.first_redemption.or(at).min(at);
                profile.first_redemption = first;
                profile.last_redemption = profile.last_redemption.max(at);
                let category = match redemption.reward.items.first() {
                    Some(item) => item.kind.clone(),
                    None => redemption
                        .discount
                        .as_ref()
                        .map_or("", |it| it.kind.text())
                        .to_owned(),
                };
                *profile.categories.entry(category).or_default() += 1;
            }
            Fact::Used(usage) => {
                let profile = profiles.entry(member).or_default();
                profile.uses += 1;
                if let Some(discount) = &usage.discount_applied {
                    let saved = profile.money_saved.entry("BRL".into()).or_default();
                    *saved += discount.amount;
                }
            }
            _ => {}
        }
    }
    profiles
}
