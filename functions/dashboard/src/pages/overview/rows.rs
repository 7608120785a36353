//! The rows of the overview's tables, written in the reader's language.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use reporting::amount::Changed;
use reporting::conversion;
use reporting::operations;
use reporting::patterns::TimeToUsage;
use reporting::surveys::Answers;
use reporting::totals::Totals;
use reporting::usage::{self, Usage};
use webhooks::event::unescape;
use webhooks::figures;
use webhooks::fraud::{self, Severity};
use webhooks::stock::{Level, Product};

use crate::address::{Address, part};
use crate::chart::share;
use crate::words::overview::Overview;
use crate::written::Written;

/// The most rows of a table. The CSV has the others.
pub(super) const MOST: usize = 10;

/// The most events in the list of findings.
pub(super) const LATEST: usize = 5;

const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

/// A total, and its change.
pub(super) struct Card {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) change: Option<String>,
    pub(super) before: Option<String>,
    /// The text below the name: the currency, if there are several.
    pub(super) unit: Option<String>,
}

pub(super) struct Conversion {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) redeemed: String,
    pub(super) used: String,
    pub(super) cancelled: String,
    pub(super) expired: String,
    pub(super) rate: String,
    pub(super) share: String,
}

/// A name, and its count.
pub(super) struct Counted {
    pub(super) name: String,
    pub(super) count: String,
    pub(super) share: String,
}

pub(super) struct Location {
    pub(super) name: String,
    pub(super) href: Option<String>,
    pub(super) count: String,
    pub(super) discount: String,
    pub(super) average: String,
    pub(super) share: String,
}

pub(super) struct Delivery {
    pub(super) channel: String,
    pub(super) result: String,
    pub(super) count: String,
}

pub(super) struct Low {
    pub(super) name: String,
    pub(super) on_hand: String,
    pub(super) threshold: String,
    pub(super) level: &'static str,
    pub(super) is_below_zero: bool,
}

/// How long coupons waited for their use.
pub(super) struct Times {
    pub(super) summary: String,
    pub(super) rows: Vec<Counted>,
}

pub(super) fn cards(words: &'static Overview, written: Written, totals: &Totals) -> Vec<Card> {
    fn card<T>(
        words: &'static Overview,
        written: Written,
        name: &'static str,
        changed: &Changed<T>,
        write: impl Fn(&T) -> String,
    ) -> Card {
        let change = written.change(changed.change_percent, words.new, words.unchanged);
        let before = changed.previous.as_ref().map(&write);
        Card {
            name,
            value: write(&changed.value),
            change,
            before: before.map(|before| words.before.replace("{}", &before)),
            unit: None,
        }
    }
    let count = |it: &u64| written.count(*it);
    let mut cards = vec![
        card(
            words,
            written,
            words.redemptions,
            &totals.redemptions,
            count,
        ),
        card(words, written, words.uses, &totals.uses, count),
        card(
            words,
            written,
            words.points,
            &totals.points_spent,
            |points| written.count(*points),
        ),
    ];
    let given = &totals.discount_applied;
    if given.by_currency.len() < 2 {
        let money = |it: &String| written.money(it, given.currency.as_deref());
        cards.push(card(words, written, words.discount, &given.changed, money));
        return cards;
    }
    for of in &given.by_currency {
        let money = |it: &String| written.money(it, Some(&of.currency));
        let mut card = card(words, written, words.discount, &of.changed, money);
        card.unit = Some(words.in_currency.replace("{}", &of.currency));
        cards.push(card);
    }
    cards
}

pub(super) fn conversion(
    written: Written,
    rows: &[conversion::Conversion],
    events: &Address,
) -> Vec<Conversion> {
    let rows = rows.iter().take(MOST).map(|row| {
        let name = match row.reward_name.is_empty() {
            true => &row.reward_id,
            false => &row.reward_name,
        };
        let key = match row.reward_id.is_empty() {
            true => name,
            false => &row.reward_id,
        };
        Conversion {
            name: name.clone(),
            href: events.with("reward", key).to_string(),
            redeemed: written.count(row.redeemed),
            used: written.count(row.used),
            cancelled: written.count(row.cancelled),
            expired: written.count(row.expired),
            rate: written.percent(row.conversion_rate),
            share: share(row.used, row.redeemed),
        }
    });
    rows.collect()
}

impl Times {
    /// `None` if no use has a known redemption.
    pub(super) fn new(
        words: &'static Overview,
        written: Written,
        times: &TimeToUsage,
    ) -> Option<Self> {
        let (median, p90) = (times.median_hours?, times.p90_hours?);
        let bounds = [
            (HOUR_S, words.up_to_hour),
            (6 * HOUR_S, words.hours_1_6),
            (DAY_S, words.hours_6_24),
            (3 * DAY_S, words.days_1_3),
            (7 * DAY_S, words.days_3_7),
            (30 * DAY_S, words.days_7_30),
            (u64::MAX, words.over_30_days),
        ];
        let mut counts = [0_u64; 7];
        for bucket in &times.histogram {
            let middle = bucket.from_s.midpoint(bucket.to_s);
            let index = bounds.iter().position(|(until, _)| middle <= *until);
            let count = &mut counts[index.unwrap_or(0)];
            *count = count.saturating_add(bucket.count);
        }
        let rows = bounds.iter().zip(counts);
        let rows = rows.map(|((_, name), count)| Counted {
            name: (*name).to_owned(),
            count: written.count(count),
            share: share(count, times.count),
        });
        let within = |text: &str, hours| text.replace("{}", &written.hours(hours));
        let summary = format!(
            "{}, {}.",
            within(words.median, median),
            within(words.p90, p90)
        );
        Some(Self {
            summary,
            rows: rows.collect(),
        })
    }
}

pub(super) fn locations(
    written: Written,
    rows: &[usage::Location],
    events: &Address,
) -> Vec<Location> {
    let all = rows.iter().map(|it| it.coupons_processed);
    let all = all.fold(0, u64::saturating_add);
    let rows = rows.iter().take(MOST).map(|row| {
        let currency = row.currency.as_deref();
        let is_named = !row.location.is_empty();
        Location {
            name: row.location.clone(),
            href: is_named.then(|| events.with("location", &row.location).to_string()),
            count: written.count(row.coupons_processed),
            discount: written.money(&row.discount_given, currency),
            average: row.average_order_value.as_deref().map_or_else(
                || "–".to_owned(),
                |average| written.money(average, currency),
            ),
            share: share(row.coupons_processed, all),
        }
    });
    rows.collect()
}

pub(super) fn platforms(written: Written, rows: &[Usage]) -> Vec<Counted> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        let count = counts.entry(&row.platform).or_default();
        *count = count.saturating_add(row.figures.count);
    }
    counted(written, counts.into_iter())
}

pub(super) fn findings(written: Written, rows: &[operations::Finding]) -> Vec<Counted> {
    counted(
        written,
        rows.iter()
            .map(|finding| (finding.rule.as_str(), finding.count)),
    )
}

/// The most frequent comes first.
fn counted<'a>(written: Written, counts: impl Iterator<Item = (&'a str, u64)>) -> Vec<Counted> {
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let all = counts.iter().fold(0_u64, |a, (_, b)| a.saturating_add(*b));
    let rows = counts.into_iter().take(MOST).map(|(name, count)| Counted {
        name: name.to_owned(),
        count: written.count(count),
        share: share(count, all),
    });
    rows.collect()
}

/// The findings of one event.
pub(super) struct Found {
    pub(super) at: String,
    pub(super) coupon: String,
    pub(super) href: String,
    pub(super) findings: Vec<Finding>,
}

pub(super) struct Finding {
    pub(super) rule: String,
    pub(super) severity: &'static str,
    pub(super) is_critical: bool,
    /// The text is in English, because the rule wrote it.
    pub(super) details: String,
}

pub(super) fn latest(
    words: &'static Overview,
    written: Written,
    found: &[figures::Found],
    zone: &str,
) -> Vec<Found> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let finding = |finding: &fraud::Finding| Finding {
        rule: finding.rule.clone(),
        severity: match finding.severity {
            Severity::Critical => words.critical,
            Severity::High => words.high,
            Severity::Medium => words.medium,
        },
        is_critical: finding.severity == Severity::Critical,
        details: finding.details.clone(),
    };
    let rows = found.iter().map(|found| {
        let coupon = found.event.coupon();
        Found {
            at: written.moment(found.occurred_at, &zone),
            coupon: unescape(coupon.rsplit('#').next().unwrap_or(coupon)),
            href: format!("/dashboard/coupons/{}", part(coupon)),
            findings: found.findings.iter().map(finding).collect(),
        }
    });
    rows.collect()
}

/// The members' answers to surveys.
pub(super) struct Surveys {
    pub(super) cards: Vec<Card>,
    /// By rating, the best one first.
    pub(super) ratings: Vec<Counted>,
}

impl Surveys {
    /// `None` without a scheduled survey.
    pub(super) fn new(
        words: &'static Overview,
        written: Written,
        answers: &Answers,
    ) -> Option<Self> {
        if answers.scheduled == 0 && answers.answered == 0 {
            return None;
        }
        let none = || "–".to_owned();
        let decimal = |it: f64| written.number(&format!("{it:.1}"));
        let card = |name, value: Option<String>, before| Card {
            name,
            value: value.unwrap_or_else(none),
            change: None,
            before,
            unit: None,
        };
        let margin = answers.nps_margin.map(|margin| {
            let text = words.margin.replacen("{}", &decimal(margin), 1);
            text.replacen("{}", &written.count(answers.nps_n), 1)
        });
        let answered = words
            .answered_of
            .replacen("{}", &written.count(answers.answered), 1);
        let answered = answered.replacen("{}", &written.count(answers.sent), 1);
        let average = answers.average_rating.map(decimal);
        let rate = answers.response_rate.map(|it| written.percent(it));
        let ratings = [
            (5, answers.rating_5),
            (4, answers.rating_4),
            (3, answers.rating_3),
            (2, answers.rating_2),
            (1, answers.rating_1),
        ];
        let ratings = ratings.map(|(rating, count)| Counted {
            name: rating.to_string(),
            count: written.count(count),
            share: share(count, answers.answered),
        });
        Some(Self {
            cards: vec![
                card(
                    words.average_rating,
                    average,
                    Some(words.of_five.to_owned()),
                ),
                card(words.nps, answers.nps.map(decimal), margin),
                card(words.response_rate, rate, Some(answered)),
            ],
            ratings: ratings.into(),
        })
    }
}

pub(super) fn deliveries(
    words: &'static Overview,
    written: Written,
    rows: &[operations::Delivery],
) -> Vec<Delivery> {
    let rows = rows.iter().map(|row| Delivery {
        channel: match row.channel.as_str() {
            "account" => words.account.to_owned(),
            "email" => words.email.to_owned(),
            "whatsapp" => words.whatsapp.to_owned(),
            "sms" => words.sms.to_owned(),
            "forward" => words.forward.to_owned(),
            other => other.to_owned(),
        },
        result: match row.result.as_str() {
            "sent" | "done" => words.sent.to_owned(),
            "skipped" => words.skipped.to_owned(),
            "failed" => words.failed.to_owned(),
            other => other.to_owned(),
        },
        count: written.count(row.count),
    });
    rows.collect()
}

pub(super) fn low(words: &'static Overview, written: Written, products: &[Product]) -> Vec<Low> {
    let rows = products.iter().take(MOST).map(|product| {
        let is_below_zero = product.level() == Some(Level::BelowZero);
        Low {
            name: product.name.clone(),
            on_hand: written.number(&product.on_hand.normalize().to_string()),
            threshold: written.number(&product.threshold.normalize().to_string()),
            level: match is_below_zero {
                true => words.below_zero,
                false => words.is_low,
            },
            is_below_zero,
        }
    });
    rows.collect()
}
