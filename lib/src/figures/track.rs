//! Reads the tracked fields out of an event, as the providers' documentation defines them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Tracked, TrackedKind};
use crate::event::{Event, Fact, Item, Notice, Redemption, Usage};
use crate::provider::zupy;

/// The longest tracked text of a field, in bytes. A longer text is cut.
const TEXT_MAX_BYTES: usize = 300;

/// The tracked fields of an event; `None` for an event without a coupon, and for a notice that a
/// coupon will expire.
pub fn track(event: &Event) -> Option<Tracked> {
    let kind = match &event.fact {
        Fact::Redeemed(_) => TrackedKind::Redeemed,
        Fact::Used(_) => TrackedKind::Used,
        Fact::Cancelled(_) => TrackedKind::Cancelled,
        Fact::Expired(_) => TrackedKind::Expired,
        Fact::Expiring(_) | Fact::Enrolled => return None,
    };
    let mut tracked = Tracked::new(kind, event);
    tracked.customer_tier = event.member.tier.as_deref().map(cut);
    match &event.fact {
        Fact::Redeemed(redemption) => redeemed(&mut tracked, event, redemption),
        Fact::Used(usage) => used(&mut tracked, usage),
        Fact::Cancelled(notice) | Fact::Expired(notice) => noticed(&mut tracked, notice),
        Fact::Expiring(_) | Fact::Enrolled => {}
    }
    Some(tracked)
}

impl Tracked {
    fn new(kind: TrackedKind, event: &Event) -> Self {
        Self {
            key: event.key.clone(),
            kind,
            provider: event.provider.clone(),
            tenant: event.tenant.clone(),
            timestamp: event.occurred_at,
            customer_id: event.member.id.clone(),
            customer_tier: None,
            coupon_code: None,
            reward_id: None,
            reward_name: None,
            points_spent: None,
            discount_type: None,
            discount_value: None,
            redemption_method: None,
            expires_days: None,
            currency: None,
            discount_applied: None,
            order_value: None,
            final_value: None,
            location: None,
            platform: None,
            staff_member: None,
            items_count: None,
            time_to_usage_s: None,
            time_to_usage_hours: None,
            reverses: None,
            other: BTreeMap::new(),
        }
    }

    /// Completes a use with the time of its redemption.
    pub fn complete(&mut self, redeemed_at: Timestamp) {
        let seconds = time_to_usage_s(redeemed_at, self.timestamp);
        self.time_to_usage_s = Some(seconds);
        self.time_to_usage_hours = Some(hours(seconds));
    }
}

/// The day and the hour, 0 to 23, that clocks in this zone show at this time.
pub fn day_and_hour(zone: &TimeZone, at: Timestamp) -> (Date, u8) {
    let local = at.to_zoned(zone.clone());
    (local.date(), local.hour().unsigned_abs())
}

/// The seconds from redemption to use; negative if the two clocks differ that much.
pub fn time_to_usage_s(redeemed_at: Timestamp, used_at: Timestamp) -> i64 {
    used_at.duration_since(redeemed_at).as_secs()
}

/// Seconds as whole hours, rounded half up.
pub fn hours(seconds: i64) -> i64 {
    (seconds + 1800).div_euclid(3600)
}

fn redeemed(tracked: &mut Tracked, event: &Event, redemption: &Redemption) {
    let reward = &redemption.reward;
    tracked.coupon_code = Some(cut(&redemption.coupon_code));
    tracked.reward_id = reward.id.as_deref().map(cut);
    tracked.reward_name = reward.name.as_deref().map(cut);
    tracked.points_spent = redemption.points_spent;
    tracked.redemption_method = redemption.method.as_deref().map(cut);
    tracked.expires_days = redemption
        .expires_at
        .map(|at| days_until(at, event.occurred_at));
    if let Some(discount) = &redemption.discount {
        tracked.discount_type = Some(cut(discount.kind.text()));
        tracked.discount_value = discount.value;
        let amounts = [&discount.maximum, &discount.minimum_purchase];
        let stated = amounts.into_iter().flatten().next();
        let stated = stated.map(|amount| amount.currency.clone());
        let own = (event.provider == zupy::NAME).then(|| zupy::CURRENCY.to_owned());
        tracked.currency = stated.or(own);
    }
    if let Some(item) = reward.items.first() {
        tracked.currency = item.price.as_ref().map(|it| it.currency.clone());
        tracked.other = other(event, item, redemption);
    }
}

/// Aghanim's other fields of a redeemed code.
fn other(event: &Event, item: &Item, redemption: &Redemption) -> BTreeMap<String, String> {
    let envelope = &event.envelope;
    let price = item.price.as_ref().map(|it| it.amount.to_string());
    let more = redemption.reward.items.len().saturating_sub(1);
    let fields = [
        ("coupon_sku", redemption.reward.id.clone()),
        ("item_id", Some(item.id.clone())),
        ("item_sku", Some(item.sku.clone())),
        ("item_name", Some(item.name.clone())),
        ("item_type", Some(item.kind.clone())),
        ("item_quantity", Some(item.quantity.to_string())),
        ("item_price", price),
        ("more_items", (more > 0).then(|| more.to_string())),
        ("trigger", envelope.trigger.clone()),
        ("transaction_id", envelope.transaction_id.clone()),
        ("request_id", envelope.request_id.clone()),
        ("event_id", envelope.event_id.clone()),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), cut(&value?))))
        .collect()
}

fn used(tracked: &mut Tracked, usage: &Usage) {
    tracked.coupon_code = Some(cut(&usage.coupon_code));
    tracked.reward_name = usage.reward_name.as_deref().map(cut);
    let kind = usage.discount_kind.as_ref();
    tracked.discount_type = kind.map(|it| cut(it.text()));
    let amounts = [
        &usage.discount_applied,
        &usage.order_value,
        &usage.final_value,
    ];
    let stated = amounts.into_iter().flatten().next();
    tracked.currency = stated.map(|amount| amount.currency.clone());
    let currency = tracked.currency.clone();
    let [discount, order, rest] = amounts.map(|amount| {
        // No provider sends amounts in two currencies. If one did, the other currency's amounts
        // would not be added.
        let amount = amount
            .as_ref()
            .filter(|it| Some(&it.currency) == currency.as_ref());
        amount.map(|it| it.amount)
    });
    tracked.discount_applied = discount;
    tracked.order_value = order;
    tracked.final_value = rest;
    tracked.location = usage.location.as_deref().map(cut);
    tracked.platform = usage.platform.as_deref().map(cut);
    tracked.staff_member = usage.staff_member.as_deref().map(cut);
    tracked.items_count = u64::try_from(usage.items.len()).ok();
}

fn noticed(tracked: &mut Tracked, notice: &Notice) {
    tracked.coupon_code = Some(cut(&notice.coupon_code));
    tracked.reward_name = notice.reward_name.as_deref().map(cut);
}

/// Whole days until the expiry, rounded up, because the provider's page uses `Math.ceil`.
fn days_until(expires_at: Timestamp, at: Timestamp) -> i64 {
    let left = expires_at.duration_since(at);
    let day_s = SignedDuration::from_hours(24).as_secs();
    let begun = i64::from(left.subsec_nanos() > 0);
    (left.as_secs() + begun + day_s - 1).div_euclid(day_s)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_rounded_half_up() {
        for (seconds, expected) in [
            (0, 0),
            (1799, 0),
            (1800, 1),
            (5399, 1),
            (5400, 2),
            (-1800, 0),
            (-1801, -1),
        ] {
            assert_eq!(hours(seconds), expected, "{seconds}");
        }
    }

    #[track_caller]
    fn check_day(zone: &str, at: &str, day: &str, hour: u8) {
        let zone = TimeZone::get(zone).unwrap();
        let (found, found_hour) = day_and_hour(&zone, at.parse().unwrap());
        assert_eq!((found.to_string().as_str(), found_hour), (day, hour));
    }

    #[test]
    fn a_day_ends_at_the_tenants_midnight() {
        let zone = "America/Sao_Paulo";
        check_day(zone, "2026-11-26T02:59:59.999Z", "2026-11-25", 23);
        check_day(zone, "2026-11-26T03:00:00Z", "2026-11-26", 0);
    }

    #[test]
    fn an_hour_that_a_clock_repeats_is_one_of_the_same_day() {
        check_day("Europe/Lisbon", "2026-10-25T00:30:00Z", "2026-10-25", 1);
        check_day("Europe/Lisbon", "2026-10-25T01:30:00Z", "2026-10-25", 1);
        check_day("Europe/Lisbon", "2026-03-29T01:00:00Z", "2026-03-29", 2);
    }

    #[test]
    fn days_are_rounded_up() {
        let at: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        for (until, expected) in [
            ("2026-11-25T12:00:00Z", 0),
            ("2026-11-25T12:00:00.001Z", 1),
            ("2026-11-26T12:00:00Z", 1),
            ("2026-11-26T12:00:01Z", 2),
            ("2026-11-25T11:00:00Z", 0),
            ("2026-11-23T12:00:00Z", -2),
        ] {
            assert_eq!(days_until(until.parse().unwrap(), at), expected, "{until}");
        }
    }
}
