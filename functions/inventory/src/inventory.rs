//! Works on a batch of events, as one commit to the stock.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rust_decimal::Decimal;
use webhooks::event::{Discount, DiscountKind, Event};
use webhooks::expiry::Expiry;
use webhooks::figures::day_and_hour;
use webhooks::invocation::Invocation;
use webhooks::ledger::{Committed, Item, Uncommitted, read_event};
use webhooks::row::read_text;
use webhooks::stock::{RESERVATION, identity};
use webhooks::task::Message;
use webhooks::worker::{BatchWork, Failure};

use crate::case::{Case, End, Kind, Origin, Taken, Waiting};
use crate::effects::What;
use crate::low_stock::Cause;
use crate::parts::{self, Parts};
use crate::plan::Plan;
use crate::setup::{Inventory, RECORD};

/// How often inventory plans an event again, because another event of its coupon came in between or
/// one transaction did not take all of it. Each round settles something for good, so only further
/// events need further rounds.
const ROUNDS: usize = 12;

impl BatchWork for Inventory {
    type Message = Message<'static>;

    async fn work(
        &self,
        messages: Vec<Message<'static>>,
        invocation: Invocation,
    ) -> Vec<Result<(), Failure>> {
        let mut cases: Vec<_> = messages.iter().map(|it| Case::of(&it.event)).collect();
        for _ in 0..ROUNDS {
            self.look_up(&mut cases, invocation.now()).await;
            self.commit(&mut cases, invocation).await;
            if cases.iter().all(|case| case.outcome.is_some()) {
                break;
            }
        }
        self.recall(&mut cases, invocation.now()).await;
        self.alert(&mut cases, invocation).await;
        let outcomes = cases.into_iter().map(|case| match case.outcome {
            Some(outcome) => outcome.map(|_| ()),
            None => Err(anyhow!("other events of its coupon kept coming in between").into()),
        });
        outcomes.collect()
    }
}

impl Inventory {
    /// Looks up what the events do not say. If that fails for an event, SQS delivers its message
    /// again later.
    async fn look_up(&self, cases: &mut [Case<'_>], now: Timestamp) {
        let waiting = cases.iter().filter(|case| case.needs_redemption());
        let coupons: BTreeSet<_> = waiting.map(|case| case.event.key.coupon()).collect();
        if !coupons.is_empty() {
            let kinds = self.kinds(&coupons, now).await;
            for case in cases.iter_mut().filter(|case| case.needs_redemption()) {
                match &kinds {
                    Ok(kinds) => {
                        let kind = kinds.get(case.event.key.coupon()).cloned();
                        case.known.kind = kind.unwrap_or_default();
                    }
                    Err(error) => case.fail(error),
                }
            }
        }
        for case in cases.iter_mut().filter(|case| case.needs_parts()) {
            let key = &case.event.key;
            let beneath = parts::beneath(key);
            match self.ledger.rows_of(key.coupon(), &beneath, now).await {
                Ok(rows) => case.known.parts = Some(Parts::read(&rows, key)),
                Err(error) => case.fail(&error),
            }
        }
        let names: BTreeSet<_> = cases.iter().flat_map(Case::names).collect();
        if names.is_empty() {
            return;
        }
        let catalogue = self.stock.catalogue(&names).await;
        for case in cases.iter_mut() {
            let names = case.names();
            match &catalogue {
                _ if names.is_empty() => {}
                Ok(catalogue) => case.known.catalogue = catalogue.only(&names),
                Err(error) => case.fail(error),
            }
        }
    }

    /// The types of discount of coupons, from their recorded redemptions.
    async fn kinds(
        &self,
        coupons: &BTreeSet<&str>,
        now: Timestamp,
    ) -> anyhow::Result<BTreeMap<String, Kind>> {
        let keys = coupons.iter().flat_map(|coupon| {
            ["redeemed", RESERVATION].map(|entry| self.ledger.row_key(coupon, entry))
        });
        let keys: Vec<_> = keys.collect();
        let rows = self
            .ledger
            .rows(&keys, &["coupon", "entry", "discount", "kind"], now)
            .await?;
        let mut kinds = BTreeMap::new();
        for row in &rows {
            let Some(coupon) = read_text(row, "coupon") else {
                continue;
            };
            let of_redemption = read_text(row, "discount")
                .and_then(|it| serde_json::from_str::<Discount>(it).ok())
                .map(|it| it.kind);
            let of_reservation = read_text(row, "kind").map(|it| DiscountKind::from(it.clone()));
            let is_redemption = read_text(row, "entry").is_some_and(|it| it == "redeemed");
            match of_redemption.or(of_reservation) {
                Some(kind) => _ = kinds.insert(coupon.clone(), Kind::Stated(kind)),
                None if is_redemption => _ = kinds.entry(coupon.clone()).or_insert(Kind::Unstated),
                None => {}
            }
        }
        Ok(kinds)
    }

    /// Commits the next step of each case. The next round commits the rest.
    async fn commit(&self, cases: &mut [Case<'_>], invocation: Invocation) {
        let now = invocation.now();
        let (mut whats, mut effects, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for (index, case) in cases.iter().enumerate().filter(|(_, case)| case.is_open()) {
            let step = self.step(case, now);
            taken.push((index, step.taken));
            for (what, of_case) in step.effects {
                whats.push((index, what));
                effects.push(of_case);
            }
        }
        let outcomes = self.ledger.commit_all(&effects, invocation).await;
        drop(effects);
        for (index, taken) in taken {
            cases[index].taken.extend(taken);
        }
        let mut stale = BTreeSet::new();
        for ((index, what), outcome) in whats.into_iter().zip(outcomes) {
            if cases[index].settle(what, outcome) {
                stale.insert(index);
            }
        }
        for index in stale {
            let case = &mut cases[index];
            if case.is_open()
                && let Err(error) = self.look_again(case, now).await
            {
                case.fail(&error);
            }
        }
    }

    /// Looks up a case again after another event of the coupon, or another worker, came in between.
    /// A redemption checks whether the coupon has ended or expires at another time. Every round
    /// looks up a use that waits for its redemption anyway.
    async fn look_again(&self, case: &mut Case<'_>, now: Timestamp) -> anyhow::Result<()> {
        // The next round reads the parts.
        case.known.parts = None;
        let coupon = case.event.key.coupon();
        if !matches!(case.plan, Plan::Reserve(_)) {
            // The next round looks up a use that waits for its redemption, and renews an expired
            // reservation.
            let found = self.ledger.row(coupon, RESERVATION, now).await?;
            case.known.is_forgotten = found.is_none();
            case.known.moved = found.and_then(|row| moved(&row, case));
            return Ok(());
        }
        let rows = self.ledger.rows_of(coupon, "", now).await?;
        let entry = |row: &Item, name: &str| read_text(row, "entry").is_some_and(|it| it == name);
        let reservation = rows.iter().find(|row| entry(row, RESERVATION));
        case.known.moved = reservation.and_then(|row| moved(row, case));
        let ended = reservation.filter(|row| row.contains_key("released"));
        case.known.end = ended.map(|row| {
            let uses = rows.iter().filter(|row| row.contains_key("awaits"));
            let uses = uses.filter_map(|record| {
                let name = read_text(record, "entry")?;
                let of_event = name.strip_suffix(&format!("/{RECORD}"))?;
                let event = read_event(rows.iter().find(|row| entry(row, of_event))?)?;
                Some(Waiting {
                    record: self.ledger.row_key(coupon, name.clone()),
                    parts: Parts::read(&rows, &event.key),
                    event,
                })
            });
            End {
                awaiting: row.get("awaiting").cloned(),
                uses: uses.collect(),
                in_parts: rows.iter().any(parts::is_part),
            }
        });
        Ok(())
    }

    /// An earlier commit may have known other facts, so the record lists the taken quantities.
    async fn recall(&self, cases: &mut [Case<'_>], now: Timestamp) {
        let before = |case: &&mut Case<'_>| matches!(case.outcome, Some(Ok(Committed::Before)));
        let mut cases: Vec<_> = cases.iter_mut().filter(before).collect();
        if cases.is_empty() {
            return;
        }
        let key = |case: &Case<'_>| {
            let event = &case.event.key;
            self.ledger.row_key(event.coupon(), event.beneath(RECORD))
        };
        let keys: BTreeSet<_> = cases.iter().map(|case| key(case)).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let fields = ["coupon", "entry", "taken", "parts"];
        let rows = self.ledger.rows(&keys, &fields, now).await;
        for case in &mut cases {
            let rows = match &rows {
                Ok(rows) => rows,
                Err(error) => {
                    case.fail(error);
                    continue;
                }
            };
            let key = key(case).attributes();
            let is_its = |row: &&Item| key.iter().all(|(name, value)| row.get(name) == Some(value));
            let Some(row) = rows.iter().find(is_its) else {
                continue;
            };
            case.taken = taken_by([row]);
            if row.contains_key("parts") {
                // The records of the waiting uses hold what a redemption takes for them.
                let beneath = match &case.plan {
                    Plan::Reserve(_) => String::new(),
                    _ => parts::beneath(&case.event.key),
                };
                let rows = self
                    .ledger
                    .rows_of(case.event.key.coupon(), &beneath, now)
                    .await;
                match rows {
                    Ok(rows) => {
                        let parts = rows.iter().filter(|row| parts::is_part(row));
                        case.taken.extend(taken_by(parts));
                    }
                    Err(error) => case.fail(&error),
                }
            }
        }
    }

    fn cause(&self, event: &Event, name: &str, now: Timestamp) -> Cause {
        let (day, _) = day_and_hour(self.zones.of(&event.tenant), event.occurred_at);
        let forget_at = self.ledger.forget_at(event, now);
        let forgotten_from = forget_at.as_n().ok().and_then(|it| it.parse().ok());
        Cause::of(event, name, day, forgotten_from.unwrap_or_default())
    }

    /// Alerts low products. A message ends only after its alerts.
    async fn alert(&self, cases: &mut [Case<'_>], invocation: Invocation) {
        let mut causes: BTreeMap<(String, String), Cause> = BTreeMap::new();
        let done = cases
            .iter()
            .filter(|case| matches!(case.outcome, Some(Ok(_))));
        for case in done {
            for (product, taken) in &case.taken {
                let event = match &taken.by {
                    Origin::Own => case.event,
                    Origin::Waited(event) => event,
                };
                let cause = self.cause(event, &taken.name, invocation.now());
                let of_product = causes
                    .entry((case.tenant.clone(), product.clone()))
                    .or_insert_with(|| cause.clone());
                // The last use is the most likely cause of the low stock.
                if cause > *of_product {
                    *of_product = cause;
                }
            }
        }
        let failed = self.alerts.publish_all(causes, invocation).await;
        if failed.is_empty() {
            return;
        }
        // If an operator must repair something, one message is enough to try again.
        let mut owed = BTreeSet::new();
        for case in cases.iter_mut() {
            if !matches!(case.outcome, Some(Ok(_))) {
                continue;
            }
            for product in case.taken.keys() {
                let product = (case.tenant.clone(), product.clone());
                match failed.get(&product) {
                    None => {}
                    Some(Failure::Outside { error, after }) if !owed.contains(&product) => {
                        case.outcome = Some(Err(Failure::Outside {
                            error: anyhow!("{error:#}"),
                            after: *after,
                        }));
                        owed.insert(product);
                    }
                    Some(Failure::Outside { .. }) => {}
                    Some(Failure::Transient(error) | Failure::Permanent(error)) => {
                        case.outcome = Some(Err(anyhow!("{error:#}").into()));
                        break;
                    }
                    Some(Failure::Early(_)) => {}
                }
            }
        }
    }
}

impl Case<'_> {
    /// Takes the outcome of a step. Returns whether the case needs another look.
    fn settle(&mut self, what: What, outcome: Result<Committed, Uncommitted>) -> bool {
        match (what, outcome) {
            (_, Err(uncommitted)) => {
                self.outcome = Some(Err(uncommitted.into()));
                false
            }
            (_, Ok(Committed::Overtaken)) => true,
            (What::Last, Ok(committed)) => {
                if committed == Committed::Now {
                    tracing::info!(event.key = %self.event.key, "Updated the stock");
                }
                // A success does not hide an earlier failure.
                self.outcome.get_or_insert(Ok(committed));
                false
            }
            // Another worker takes it in parts too, perhaps in other parts.
            (What::Part { .. } | What::LastPart { .. }, Ok(Committed::Before)) => true,
            (
                What::Part {
                    waiting: None,
                    part,
                },
                Ok(Committed::Now),
            ) => {
                let key = &self.event.key;
                let parts = self
                    .known
                    .parts
                    .get_or_insert_with(|| Parts::read(&[], key));
                parts.note(part);
                false
            }
            (
                What::Part {
                    waiting: Some(nth),
                    part,
                },
                Ok(Committed::Now),
            ) => {
                if let Some(end) = &mut self.known.end {
                    end.in_parts = true;
                    if let Some(waiting) = end.uses.get_mut(nth) {
                        waiting.parts.note(part);
                    }
                }
                false
            }
            // The use waits no longer.
            (What::LastPart { .. }, Ok(Committed::Now)) => true,
        }
    }
}

/// The end of the reservation and the statement behind it, if another event stated another expiry
/// than this one.
fn moved(row: &Item, case: &Case<'_>) -> Option<(Timestamp, AttributeValue)> {
    let seen = row.get("moved")?;
    let until = read_text(row, "reserved_until")?.parse().ok()?;
    let own = Expiry::of(case.event).map(|it| it.statement());
    let is_later = own
        .as_ref()
        .is_none_or(|own| seen.as_s().is_ok_and(|seen| seen >= own));
    match (&case.plan, is_later) {
        (_, true) => Some((until, seen.clone())),
        // The redemption's statement is the later one, so its own expiry counts.
        (Plan::Reserve(reserve), false) => Some((reserve.until, seen.clone())),
        (_, false) => None,
    }
}

/// The products that these records have as taken.
fn taken_by<'a>(rows: impl IntoIterator<Item = &'a Item>) -> BTreeMap<String, Taken> {
    let rows = rows.into_iter().filter_map(|row| read_text(row, "taken"));
    let taken = rows.filter_map(|it| serde_json::from_str::<BTreeMap<String, Decimal>>(it).ok());
    let taken = taken.flatten().map(|(name, _)| {
        let by = Origin::Own;
        (identity(&name), Taken { name, by })
    });
    taken.collect()
}
