//! The effects of an event on the stock, by the facts known now.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rust_decimal::Decimal;
use webhooks::event::{DiscountKind, Event, Usage};
use webhooks::expiry::Expiry;
use webhooks::ledger::{Change, Effects, ItemKey, Row, Status};
use webhooks::stock::RESERVATION;

use crate::case::{Case, End, Kind, Origin, Taken, Waiting};
use crate::parts::{self, PART_ITEMS, Parts};
use crate::plan::{Plan, Reserve, Takes};
use crate::reservation::{self, Times};
use crate::setup::{Inventory, RECORD};

/// The record of a use in many parts; it says that its redemption has taken all of its items.
const LAST_PART: &str = "inventory/told";

/// How many products a record's summary names.
const NAMED_MAX: usize = 3;

/// The next effects of a case.
#[derive(Default)]
pub(crate) struct Step<'a> {
    pub(crate) effects: Vec<(What, Effects<'a>)>,
    pub(crate) taken: BTreeMap<String, Taken>,
}

/// The role of effects in their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The rest of the case.
    Last,
    /// A part of a use: the event's own, or the nth waiting use's.
    Part { waiting: Option<usize>, part: usize },
    /// The last effects of the nth waiting use.
    LastPart { waiting: usize },
}

impl Inventory {
    /// The next effects of an event.
    pub(crate) fn step<'b>(&self, case: &'b Case<'_>, now: Timestamp) -> Step<'b> {
        match &case.plan {
            Plan::Nothing(why) => {
                let effects = record(case.event, words(why)).status(Status::Skipped);
                Step::last(effects)
            }
            Plan::Reserve(reserve) => self.reserve(case, reserve, now),
            Plan::Use(usage) => self.take(case, usage, now),
            Plan::Release => {
                let change = self.release(case, now);
                let why = "nothing is reserved for it any more";
                Step::last(record(case.event, words(why)).change(change))
            }
            Plan::Move(expiry) => Step::last(self.put_off(case, *expiry, now)),
        }
    }

    fn reserve<'b>(&self, case: &'b Case<'_>, reserve: &Reserve<'_>, now: Timestamp) -> Step<'b> {
        if let Some(end) = &case.known.end {
            return self.reserve_too_late(case, reserve, end, now);
        }
        let product = reserve
            .reward
            .map(|it| case.known.catalogue.product(&case.tenant, it));
        let own = Expiry::of(case.event);
        let (until, seen) = match &case.known.moved {
            Some((until, seen)) => (*until, Some(seen.clone())),
            None => (reserve.until, None),
        };
        let times = Times {
            now,
            forget_at: self.forget_at(case.event, until, now),
        };
        let change = reservation::redeemed(self.reservation(case), reserve.kind, own, seen, times);
        let product = match product {
            Ok(product) => product,
            Err(why) => {
                let fields = words(format!("reserved nothing: {why}"));
                return Step::last(record(case.event, fields).change(change));
            }
        };
        let change = reservation::reserve(change, &case.tenant, &product, until);
        let mut fields = words(format!("reserved 1 {product} until {until}"));
        fields.set("product", Some(&product));
        let known = self.stock.add(&case.tenant, &product, Decimal::ZERO);
        Step::last(record(case.event, fields).change(change).change(known))
    }

    /// The effects of a redemption after its coupon's end: it takes the items of the waiting uses.
    fn reserve_too_late<'b>(
        &self,
        case: &'b Case<'_>,
        reserve: &Reserve<'_>,
        end: &'b End,
        now: Timestamp,
    ) -> Step<'b> {
        let all: Vec<_> = end
            .uses
            .iter()
            .map(|use_| self.takes(case, use_, reserve.kind))
            .collect();
        let products: BTreeSet<_> = all.iter().flat_map(|takes| takes.taken.keys()).collect();
        let is_begun = end.uses.iter().any(|it| it.parts.are_begun());
        if is_begun || products.len() + end.uses.len() > PART_ITEMS {
            return self.give_in_parts(case, reserve.kind, end, &all);
        }
        let (row, forget_at) = (self.reservation(case), self.times(case, now).forget_at);
        let change =
            reservation::reserve_too_late(row, reserve.kind, end.awaiting.clone(), forget_at);
        let mut step = Step::default();
        let mut changes = vec![change];
        let mut summary = "reserved nothing: the coupon had ended before".to_owned();
        let mut taken: BTreeMap<String, Decimal> = BTreeMap::new();
        for (waiting, takes) in end.uses.iter().zip(&all) {
            changes.push(give(waiting, fields_of(takes)));
            changes.extend(self.sales(case, takes));
            for sold in takes.taken.values() {
                *taken.entry(sold.name.clone()).or_default() += sold.quantity;
            }
            step.take(takes, || Origin::Waited(Box::new(waiting.event.clone())));
            let entry = waiting.event.key.entry();
            summary.push_str(&format!("; {entry} {}", summary_of(takes)));
        }
        let mut fields = words(summary);
        fields.json("taken", (!taken.is_empty()).then_some(taken));
        fields.set(
            "parts",
            end.in_parts.then_some("of the uses that waited for it"),
        );
        let effects = record(case.event, fields);
        let effects = changes.into_iter().fold(effects, Effects::change);
        step.effects.push((What::Last, effects));
        step
    }

    /// Takes the items of waiting uses, each use in its own parts.
    fn give_in_parts<'b>(
        &self,
        case: &'b Case<'_>,
        kind: &DiscountKind,
        end: &'b End,
        all: &[Takes],
    ) -> Step<'b> {
        let mut step = Step::default();
        for (index, (waiting, takes)) in end.uses.iter().zip(all).enumerate() {
            let Some(usage) = waiting.usage() else {
                continue;
            };
            step.take(takes, || Origin::Waited(Box::new(waiting.event.clone())));
            let next = waiting.parts.next(usage.items.len());
            for part in &next {
                let effects = self.part(case, &waiting.event, usage, kind, &waiting.parts, *part);
                let what = What::Part {
                    waiting: Some(index),
                    part: *part,
                };
                step.effects.push((what, effects));
            }
            if next.is_empty() {
                let fields = fields_in_parts(takes, &waiting.parts, usage);
                let effects = Effects::new(&waiting.event, LAST_PART).change(give(waiting, fields));
                step.effects
                    .push((What::LastPart { waiting: index }, effects));
            }
        }
        step
    }

    fn take<'b>(&self, case: &'b Case<'_>, usage: &Usage, now: Timestamp) -> Step<'b> {
        let kind = match case.kind() {
            Kind::Stated(kind) => kind,
            Kind::Unstated => {
                let why = match usage.items.is_empty() {
                    true => "took nothing: it names no items",
                    false => "took nothing: neither it nor the redemption names a type of discount",
                };
                let change = self.release(case, now);
                return Step::last(record(case.event, words(why)).change(change));
            }
            Kind::Awaited => {
                let why = "took nothing yet: it names no type of discount, and the redemption is not known";
                let mut fields = words(why);
                fields.set("awaits", Some("redeemed"));
                let (row, times) = (self.reservation(case), self.times(case, now));
                let change = match case.known.is_forgotten {
                    true => reservation::release_anew(row, times, true),
                    false => reservation::release_and_wait(row, times),
                };
                return Step::last(record(case.event, fields).change(change));
            }
        };
        let takes = Takes::of(&usage.items, &kind, |name| {
            case.known.catalogue.product(&case.tenant, name)
        });
        let mut step = Step::default();
        step.take(&takes, || Origin::Own);
        let begun = case.known.parts.as_ref().filter(|it| it.are_begun());
        let change = self.release(case, now);
        if begun.is_none() && takes.taken.len() <= PART_ITEMS {
            let effects = record(case.event, fields_of(&takes)).change(change);
            let effects = self.sales(case, &takes).fold(effects, Effects::change);
            step.effects.push((What::Last, effects));
            return step;
        }
        let parts = match begun {
            Some(parts) => parts.clone(),
            None => Parts::read(&[], &case.event.key),
        };
        for part in parts.next(usage.items.len()) {
            let what = What::Part {
                waiting: None,
                part,
            };
            let effects = self.part(case, case.event, usage, &kind, &parts, part);
            step.effects.push((what, effects));
        }
        if step.effects.is_empty() {
            // The reservation ends only with the last items, because until then it still counts.
            let fields = fields_in_parts(&takes, &parts, usage);
            let effects = record(case.event, fields).change(change);
            step.effects.push((What::Last, effects));
        }
        step
    }

    /// One part of a use: its items' changes of the stock, and its record.
    fn part<'b>(
        &self,
        case: &Case<'_>,
        event: &'b Event,
        usage: &Usage,
        kind: &DiscountKind,
        parts: &Parts,
        part: usize,
    ) -> Effects<'b> {
        let items = parts.items(part, usage.items.len());
        let first = items.start;
        let mut takes = Takes::of(&usage.items[items], kind, |name| {
            case.known.catalogue.product(&case.tenant, name)
        });
        for left in &mut takes.left {
            left.item += first;
        }
        let mut fields = fields_of(&takes);
        let size = AttributeValue::N(parts.size.to_string());
        fields.0.insert("size".to_owned(), size);
        let effects = Effects::new(event, parts::name(part)).fields(fields);
        self.sales(case, &takes).fold(effects, Effects::change)
    }

    fn takes(&self, case: &Case<'_>, waiting: &Waiting, kind: &DiscountKind) -> Takes {
        let items = waiting.usage().map_or(&[][..], |usage| &usage.items);
        Takes::of(items, kind, |name| {
            case.known.catalogue.product(&case.tenant, name)
        })
    }

    fn sales(&self, case: &Case<'_>, takes: &Takes) -> impl Iterator<Item = Change> {
        let sales = takes.taken.values();
        let sales = sales.map(|sold| self.stock.add(&case.tenant, &sold.name, -sold.quantity));
        sales.collect::<Vec<_>>().into_iter()
    }

    /// Moves the coupon's expiry from the redemption's date, unless the row has a later statement.
    fn put_off<'b>(&self, case: &'b Case<'_>, expiry: Expiry, now: Timestamp) -> Effects<'b> {
        let until = expiry.expires_at;
        if case.known.moved.is_some() {
            let why = "moves nothing: a later statement of the expiry is known";
            return record(case.event, words(why));
        }
        let forget_at = self.forget_at(case.event, until, now);
        let (row, times) = (self.reservation(case), Times { now, forget_at });
        let change = match case.known.is_forgotten {
            true => reservation::put_off_anew(row, expiry, times),
            false => reservation::put_off(row, expiry, times),
        };
        let summary = format!("what is reserved for the coupon is kept until {until}");
        record(case.event, words(summary)).change(change)
    }

    fn release(&self, case: &Case<'_>, now: Timestamp) -> Change {
        let (row, times) = (self.reservation(case), self.times(case, now));
        match case.known.is_forgotten {
            true => reservation::release_anew(row, times, false),
            false => reservation::release(row, times),
        }
    }

    fn reservation(&self, case: &Case<'_>) -> ItemKey {
        self.ledger.row_key(case.event.key.coupon(), RESERVATION)
    }

    /// The current time, and the time at which a row of the event expires.
    fn times(&self, case: &Case<'_>, now: Timestamp) -> Times {
        Times {
            now,
            forget_at: self.ledger.forget_at(case.event, now),
        }
    }

    /// When a row expires that must outlive its event and its coupon.
    fn forget_at(&self, event: &Event, until: Timestamp, now: Timestamp) -> AttributeValue {
        let of_event = self.ledger.forget_at(event, now);
        let longest = now.checked_add(REMEMBERED_MAX).unwrap_or(Timestamp::MAX);
        let last_needed = until.clamp(now, longest);
        let own = last_needed.checked_add(self.ledger.retention());
        let own = own.unwrap_or(Timestamp::MAX).as_second();
        let event_s = of_event.as_n().ok().and_then(|it| it.parse::<i64>().ok());
        AttributeValue::N(event_s.map_or(own, |it| it.max(own)).to_string())
    }
}

/// The longest life of a coupon without a real end, as the ledger has it.
const REMEMBERED_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 365 * 5);

impl<'a> Step<'a> {
    fn last(effects: Effects<'a>) -> Self {
        Self {
            effects: vec![(What::Last, effects)],
            taken: BTreeMap::new(),
        }
    }

    fn take(&mut self, takes: &Takes, by: impl Fn() -> Origin) {
        for (identity, sold) in &takes.taken {
            let taken = Taken {
                name: sold.name.clone(),
                by: by(),
            };
            self.taken.insert(identity.clone(), taken);
        }
    }
}

/// The event's own record.
fn record(event: &Event, fields: Row) -> Effects<'_> {
    Effects::new(event, RECORD).fields(fields)
}

fn words(result: impl std::fmt::Display) -> Row {
    let mut row = Row::default();
    row.set("result", Some(result));
    row
}

/// Writes onto a waiting use's record what the use took.
fn give(waiting: &Waiting, fields: Row) -> Change {
    Change::of(waiting.record.clone())
        .set_all(fields)
        .remove("awaits")
        .only_if("attribute_exists(#awaits)", &[])
}

/// The fields of a record that list the taken quantities.
fn fields_of(takes: &Takes) -> Row {
    let mut row = words(summary_of(takes));
    let taken = takes.taken.values();
    let taken: BTreeMap<_, _> = taken.map(|sold| (&sold.name, sold.quantity)).collect();
    row.json("taken", (!taken.is_empty()).then_some(taken));
    row.json("left", (!takes.left.is_empty()).then_some(&takes.left));
    row
}

/// The fields of a record if its parts' records say the rest.
fn fields_in_parts(takes: &Takes, parts: &Parts, usage: &Usage) -> Row {
    let count = parts.count(usage.items.len());
    let mut row = words(format!("{} (in {count} parts)", summary_of(takes)));
    row.0
        .insert("parts".to_owned(), AttributeValue::N(count.to_string()));
    row
}

/// The summary of a record: `took 1 Pizza Margherita; left 2 items: it was not wholly free`.
fn summary_of(takes: &Takes) -> String {
    let products = takes.taken.values().take(NAMED_MAX);
    let mut names: Vec<_> = products
        .map(|sold| format!("{} {}", sold.quantity, sold.name))
        .collect();
    if takes.taken.len() > NAMED_MAX {
        names.push(format!("{} more", takes.taken.len() - NAMED_MAX));
    }
    let mut summary = match names.as_slice() {
        [] => "took nothing".to_owned(),
        _ => format!("took {}", names.join(", ")),
    };
    if let Some(first) = takes.left.first() {
        let items = match takes.left_count {
            1 => "1 item",
            count => &format!("{count} items"),
        };
        summary.push_str(&format!("; left {items}: {}", first.why));
    }
    summary
}
