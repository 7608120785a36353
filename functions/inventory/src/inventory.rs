//! A batch of events, as one commit to the stock.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rust_decimal::Decimal;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Discount, DiscountKind, Event, Fact, tenant_key};
use webhooks::invocation::Invocation;
use webhooks::ledger::{
    Change, Committed, Effects, Item, ItemKey, Ledger, Row, Status, read_event,
};
use webhooks::stock::{RESERVATION, Stock};
use webhooks::task::Message;
use webhooks::worker::{BatchWork, Failure};

use crate::alert::{Alerts, Cause};
use crate::plan::{Plan, Reserve, Takes};
use crate::reservation;

/// The record's name beneath an event.
const RECORD: &str = "inventory";

/// How often an event is planned anew because another of its coupon came in between. Each of those ends in one way for
/// good, so that more come only from more events.
const ROUNDS: usize = 8;

/// How many products a record's summary names.
const TOLD_MAX: usize = 3;

/// Keeps the stock.
#[derive(Debug)]
pub struct Inventory {
    ledger: Ledger,
    stock: Stock,
    alerts: Alerts,
}

impl Inventory {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config(CallLimits::TASK));
        let threshold = environment.text("STOCK_THRESHOLD");
        let threshold = Decimal::from_str_exact(&threshold).unwrap_or_else(|_| {
            environment.problem(format!(
                "STOCK_THRESHOLD is {threshold:?}, it must be a number such as 5 or 2.5"
            ));
            Decimal::ZERO
        });
        let stock = Stock::new(
            client,
            environment.text("STOCK_TABLE"),
            environment.text("EVENTS_TABLE"),
            threshold,
        );
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            alerts: Alerts::read(environment, aws, stock.clone()),
            stock,
        }
    }
}

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
            None => {
                Err(anyhow!("other events of its coupon came in between, again and again").into())
            }
        });
        outcomes.collect()
    }
}

/// An event that is being worked on.
struct Case<'a> {
    event: &'a Event,
    tenant: String,
    plan: Plan<'a>,
    known: Known,
    /// The products that are taken from with it, and the use that takes them.
    taken: BTreeMap<String, Origin>,
    outcome: Option<Result<Committed, Failure>>,
}

/// The event that takes something: its own, or one of the same coupon that waited for it.
#[derive(Clone)]
enum Origin {
    Own,
    Waited(Box<Event>),
}

/// What had to be looked up.
#[derive(Default)]
struct Known {
    /// The product that a reward is.
    product: Option<String>,
    /// What a redemption says that a use is good for.
    kind: Kind,
    /// Of a redemption whose coupon has come to its end before.
    end: Option<End>,
    /// Its coupon's reservation is forgotten, and may stand there still.
    is_forgotten: bool,
}

/// What a use is good for where it does not tell itself.
#[derive(Default, Clone)]
enum Kind {
    Told(DiscountKind),
    /// The redemption is known, and does not tell either.
    Untold,
    /// No redemption is known yet.
    #[default]
    Awaited,
}

/// A coupon that was used, cancelled or expired before its redemption came.
struct End {
    /// The counter of uses that wait to be told what they take.
    awaiting: Option<AttributeValue>,
    /// Those uses, with the keys of their records.
    uses: Vec<(ItemKey, Event)>,
}

impl<'a> Case<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            event,
            tenant: tenant_key(&event.provider, &event.tenant),
            plan: Plan::of(event),
            known: Known::default(),
            taken: BTreeMap::new(),
            outcome: None,
        }
    }

    /// The reward whose product must be looked up.
    fn reward(&self) -> Option<(String, String)> {
        match &self.plan {
            Plan::Reserve(reserve) if self.is_open() && self.known.product.is_none() => {
                Some((self.tenant.clone(), reserve.reward.ok()?.to_owned()))
            }
            _ => None,
        }
    }

    /// Whether only the redemption can tell what it takes.
    fn needs_redemption(&self) -> bool {
        match &self.plan {
            Plan::Use(usage) => {
                self.is_open() && usage.discount_kind.is_none() && !usage.items.is_empty()
            }
            _ => false,
        }
    }

    fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.outcome = Some(Err(anyhow!("{error:#}").into()));
    }
}

impl Inventory {
    /// Looks up what the events do not tell. One for which that fails is tried again later.
    async fn look_up(&self, cases: &mut [Case<'_>], now: Timestamp) {
        let rewards: BTreeSet<_> = cases.iter().filter_map(Case::reward).collect();
        if !rewards.is_empty() {
            let catalogue = self.stock.catalogue(&rewards).await;
            for case in cases.iter_mut() {
                let Some(reward) = case.reward() else {
                    continue;
                };
                match &catalogue {
                    Ok(catalogue) => {
                        let product = catalogue.get(&reward).unwrap_or(&reward.1);
                        case.known.product = Some(product.clone());
                    }
                    Err(error) => case.fail(error),
                }
            }
        }
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
    }

    /// What coupons are good for, by their redemptions, as far as those are known.
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
            let Some(coupon) = text(row, "coupon") else {
                continue;
            };
            let of_redemption = text(row, "discount")
                .and_then(|it| serde_json::from_str::<Discount>(it).ok())
                .map(|it| it.kind);
            let of_reservation = text(row, "kind").map(|it| DiscountKind::from(it.clone()));
            let is_redemption = text(row, "entry").is_some_and(|it| it == "redeemed");
            match of_redemption.or(of_reservation) {
                Some(kind) => _ = kinds.insert(coupon.clone(), Kind::Told(kind)),
                None if is_redemption => _ = kinds.entry(coupon.clone()).or_insert(Kind::Untold),
                None => {}
            }
        }
        Ok(kinds)
    }

    async fn commit(&self, cases: &mut [Case<'_>], invocation: Invocation) {
        let now = invocation.now();
        let mut open: Vec<_> = cases.iter_mut().filter(|case| case.is_open()).collect();
        let effects: Vec<_> = open
            .iter_mut()
            .map(|case| self.effects(case, now))
            .collect();
        let outcomes = self.ledger.commit_all(&effects, invocation).await;
        drop(effects);
        for (case, outcome) in open.into_iter().zip(outcomes) {
            match outcome {
                Ok(Committed::Overtaken) => {
                    if let Err(error) = self.look_again(case, now).await {
                        case.fail(&error);
                    }
                }
                Ok(committed) => {
                    if committed == Committed::Now {
                        tracing::info!(event.key = %case.event.key, "The stock is kept");
                    }
                    case.outcome = Some(Ok(committed));
                }
                Err(uncommitted) => case.outcome = Some(Err(uncommitted.into())),
            }
        }
    }

    /// Another event of the coupon came in between. A redemption looks whether the coupon has come to its end; a use that
    /// waits for its redemption is looked up anew anyway.
    async fn look_again(&self, case: &mut Case<'_>, now: Timestamp) -> anyhow::Result<()> {
        let coupon = case.event.key.coupon();
        if !matches!(case.plan, Plan::Reserve(_)) {
            // A use that waits for its redemption is looked up anew; a reservation that is forgotten is renewed.
            let found = self.ledger.row(coupon, RESERVATION, now).await?;
            case.known.is_forgotten = found.is_none();
            return Ok(());
        }
        let rows = self.ledger.rows_of(coupon, "", now).await?;
        let entry = |row: &Item, name: &str| text(row, "entry").is_some_and(|it| it == name);
        let reservation = rows.iter().find(|row| entry(row, RESERVATION));
        let ended = reservation.filter(|row| row.contains_key("released"));
        case.known.end = ended.map(|row| {
            let uses = rows.iter().filter(|row| row.contains_key("awaits"));
            let uses = uses.filter_map(|record| {
                let name = text(record, "entry")?;
                let of_event = name.strip_suffix(&format!("/{RECORD}"))?;
                let event = read_event(rows.iter().find(|row| entry(row, of_event))?)?;
                Some((self.ledger.row_key(coupon, name.clone()), event))
            });
            End {
                awaiting: row.get("awaiting").cloned(),
                uses: uses.collect(),
            }
        });
        Ok(())
    }

    /// What an event brings about, by what is known of it now.
    fn effects<'a>(&self, case: &mut Case<'a>, now: Timestamp) -> Effects<'a> {
        case.taken.clear();
        match case.plan.clone() {
            Plan::Nothing(why) => {
                let mut row = Row::default();
                row.set("result", Some(why));
                Effects::new(case.event, RECORD)
                    .fields(row)
                    .status(Status::Skipped)
            }
            Plan::Reserve(reserve) => self.reserve(case, reserve, now),
            Plan::Use(usage) => {
                let kind = match &usage.discount_kind {
                    Some(kind) => Kind::Told(kind.clone()),
                    None if usage.items.is_empty() => Kind::Untold,
                    None => case.known.kind.clone(),
                };
                self.take(case, kind, now)
            }
            Plan::Release => {
                let mut row = Row::default();
                row.set("result", Some("nothing is reserved for it any more"));
                let change = self.release(case, now);
                Effects::new(case.event, RECORD).fields(row).change(change)
            }
        }
    }

    fn reserve<'a>(
        &self,
        case: &mut Case<'a>,
        reserve: Reserve<'_>,
        now: Timestamp,
    ) -> Effects<'a> {
        let product = case.known.product.clone();
        let row = self.reservation(case);
        let (_, forget_at) = self.times(case, now);
        let mut record = Row::default();
        record.set("product", product.as_ref());
        let effects = Effects::new(case.event, RECORD);
        let Some(end) = case.known.end.take() else {
            let change = reservation::redeemed(row, reserve.kind, (now, forget_at));
            let (Ok(_), Some(product)) = (reserve.reward, product) else {
                let why = reserve.reward.err().unwrap_or_default();
                record.set("result", Some(format!("reserved nothing: {why}")));
                return effects.fields(record).change(change);
            };
            let until = reserve.until;
            let change = reservation::reserve(change, &case.tenant, &product, until);
            let summary = format!("reserved 1 {product} until {until}");
            record.set("result", Some(summary));
            return effects.fields(record).change(change).change(self.stock.add(
                &case.tenant,
                &product,
                Decimal::ZERO,
            ));
        };
        let change = reservation::reserve_too_late(row, reserve.kind, end.awaiting, forget_at);
        let mut effects = effects.change(change);
        let mut summary = "reserved nothing: the coupon had come to its end before".to_owned();
        let mut taken: BTreeMap<String, Decimal> = BTreeMap::new();
        for (of_record, event) in end.uses {
            let Fact::Used(usage) = &event.fact else {
                continue;
            };
            let takes = Takes::of(usage, reserve.kind);
            let change = Change::of(of_record)
                .set_all(told(&takes))
                .remove("awaits")
                .only_if("attribute_exists(#awaits)", &[]);
            effects = effects.change(change);
            for (product, quantity) in &takes.taken {
                effects = effects.change(self.stock.add(&case.tenant, product, -quantity));
                *taken.entry(product.clone()).or_default() += quantity;
                let origin = Origin::Waited(Box::new(event.clone()));
                case.taken.insert(product.clone(), origin);
            }
            summary.push_str(&format!("; {} {}", event.key.entry(), summary_of(&takes)));
        }
        record.set("result", Some(summary));
        record.json("taken", (!taken.is_empty()).then_some(taken));
        effects.fields(record)
    }

    fn take<'a>(&self, case: &mut Case<'a>, kind: Kind, now: Timestamp) -> Effects<'a> {
        let Fact::Used(usage) = &case.event.fact else {
            unreachable!("only a use is planned as one");
        };
        let effects = Effects::new(case.event, RECORD);
        let kind = match kind {
            Kind::Told(kind) => kind,
            Kind::Untold => {
                let mut record = Row::default();
                let why = match usage.items.is_empty() {
                    true => "took nothing: it names no items",
                    false => "took nothing: neither it nor the redemption names a type of discount",
                };
                record.set("result", Some(why));
                return effects.fields(record).change(self.release(case, now));
            }
            Kind::Awaited => {
                let mut record = Row::default();
                let why = "took nothing yet: it names no type of discount, and the redemption is not known";
                record.set("result", Some(why));
                record.set("awaits", Some("redeemed"));
                let (row, times) = (self.reservation(case), self.times(case, now));
                let change = match case.known.is_forgotten {
                    true => reservation::release_anew(row, times, true),
                    false => reservation::release_and_wait(row, times),
                };
                return effects.fields(record).change(change);
            }
        };
        let takes = Takes::of(usage, &kind);
        let mut effects = effects.fields(told(&takes)).change(self.release(case, now));
        for (product, quantity) in &takes.taken {
            effects = effects.change(self.stock.add(&case.tenant, product, -quantity));
            case.taken.insert(product.clone(), Origin::Own);
        }
        effects
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

    /// Now, and when a row of the event is forgotten.
    fn times(&self, case: &Case<'_>, now: Timestamp) -> (Timestamp, AttributeValue) {
        (now, self.ledger.forget_at(case.event, now))
    }

    /// What was committed before may have been taken by other knowledge: its record tells.
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
        let rows = self
            .ledger
            .rows(&keys, &["coupon", "entry", "taken"], now)
            .await;
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
            let taken = rows.iter().find(is_its).and_then(|row| text(row, "taken"));
            let taken: Option<BTreeMap<String, Decimal>> =
                taken.and_then(|it| serde_json::from_str(it).ok());
            let products = taken.into_iter().flatten();
            case.taken = products
                .map(|(product, _)| (product, Origin::Own))
                .collect();
        }
    }

    /// Tells of products of which little is left. A message is done when that is said too.
    async fn alert(&self, cases: &mut [Case<'_>], invocation: Invocation) {
        let mut causes: BTreeMap<(String, String), Cause> = BTreeMap::new();
        let done = cases
            .iter()
            .filter(|case| matches!(case.outcome, Some(Ok(_))));
        for case in done {
            for (product, origin) in &case.taken {
                let event = match origin {
                    Origin::Own => case.event,
                    Origin::Waited(event) => event,
                };
                let cause = Cause::of(event);
                let of_product = causes
                    .entry((case.tenant.clone(), product.clone()))
                    .or_insert_with(|| cause.clone());
                // The last one is what brought it so far, as far as anybody can tell.
                if cause > *of_product {
                    *of_product = cause;
                }
            }
        }
        let failed = self.alerts.tell(causes, invocation).await;
        if failed.is_empty() {
            return;
        }
        // Where an operator has to mend something, one message is enough to try again.
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

/// What a record tells of what was taken.
fn told(takes: &Takes) -> Row {
    let mut row = Row::default();
    row.set("result", Some(summary_of(takes)));
    row.json("taken", (!takes.taken.is_empty()).then_some(&takes.taken));
    row.json("left", (!takes.left.is_empty()).then_some(&takes.left));
    row
}

/// `took 1 Pizza Margherita; left 2 items: it was not wholly free`
fn summary_of(takes: &Takes) -> String {
    let products = takes.taken.iter().take(TOLD_MAX);
    let mut told: Vec<_> = products
        .map(|(name, quantity)| format!("{quantity} {name}"))
        .collect();
    if takes.taken.len() > TOLD_MAX {
        told.push(format!("{} more", takes.taken.len() - TOLD_MAX));
    }
    let mut summary = match told.as_slice() {
        [] => "took nothing".to_owned(),
        _ => format!("took {}", told.join(", ")),
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

fn text<'a>(row: &'a Item, name: &str) -> Option<&'a String> {
    row.get(name)?.as_s().ok()
}
