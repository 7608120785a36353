//! Works on a batch of events. Fraud checks each event together with its whole coupon.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use futures_util::future::join_all;
use jiff::Timestamp;
use webhooks::fraud::RECORD;
use webhooks::invocation::Invocation;
use webhooks::ledger::{Change, Committed, Effects, Item, Uncommitted, version};
use webhooks::task::Message;
use webhooks::worker::{BatchWork, Failure};

use crate::case::{Case, State};
use crate::coupon::Coupon;
use crate::history::{MemberHistory, Redeemed, Span, count_at};
use crate::rapid::Rapid;
use crate::records::Update;
use crate::rush::Rushes;
use crate::setup::Fraud;
use crate::turns::{OTHERS_MAX, Turn, others_of};

/// How often fraud checks a coupon again because one of its rows changed meanwhile. After that, SQS
/// delivers the message again later.
const ROUNDS: usize = 16;

/// How many coupons fraud reads at the same time. A page of a coupon's rows is up to 1 MB.
const READS_MAX: usize = 8;

/// How many rows of the history fraud writes at the same time.
const WRITES_MAX: usize = 25;

impl BatchWork for Fraud {
    type Message = Message<'static>;

    async fn work(
        &self,
        messages: Vec<Message<'static>>,
        invocation: Invocation,
    ) -> Vec<Result<(), Failure>> {
        let mut cases = Case::of_all(&messages);
        for _ in 0..ROUNDS {
            let open = cases.values().any(|case| case.is_open());
            if !open {
                break;
            }
            self.read_coupons(&mut cases, invocation).await;
            self.write_history(&mut cases, invocation).await;
            self.read_history(&mut cases).await;
            self.commit(&mut cases, invocation).await;
        }
        self.notify(&mut cases, invocation).await;
        self.settle(&mut cases).await;
        let now = invocation.now();
        let outcomes = messages.iter().enumerate();
        outcomes
            .map(|(index, message)| self.outcome(&cases, index, message, now))
            .collect()
    }
}

impl Fraud {
    /// Reads each coupon's events and records. Fraud reads the version first, so any later write
    /// changes it.
    async fn read_coupons(&self, cases: &mut BTreeMap<String, Case<'_>>, invocation: Invocation) {
        let open: Vec<_> = cases
            .iter_mut()
            .filter(|(_, case)| case.is_open())
            .collect();
        let keys: Vec<_> = open
            .iter()
            .map(|(coupon, _)| self.ledger.row_key(coupon, RECORD))
            .collect();
        let versions = self
            .ledger
            .rows(&keys, &["coupon", "attempt"], invocation.now())
            .await;
        let mut open = open;
        let versions = match versions {
            Ok(versions) => versions,
            Err(error) => return open.iter_mut().for_each(|(_, case)| case.fail(&error)),
        };
        let now = invocation.now();
        for some in open.chunks_mut(READS_MAX) {
            let reads = some.iter().map(|(coupon, _)| self.read_coupon(coupon, now));
            let reads = join_all(reads).await;
            for ((key, case), coupon) in some.iter_mut().zip(reads) {
                match coupon {
                    Ok(coupon) => case.coupon = coupon,
                    Err(error) => {
                        case.fail(&error);
                        continue;
                    }
                }
                let row = versions.iter().find(|row| is_of(row, key));
                case.version = row.and_then(version).cloned();
                case.state = State::Read;
                for (_, message) in &case.own {
                    case.coupon.ensure(&message.event, message.received_at);
                }
            }
        }
    }

    async fn read_coupon(&self, key: &str, now: Timestamp) -> anyhow::Result<Coupon> {
        let mut coupon = Coupon::default();
        let take = |row: &Item| coupon.take(row, self.grace, now);
        self.ledger.each_row_of(key, take).await?;
        Ok(coupon)
    }

    /// Records new redemptions in the members' history, before any count.
    async fn write_history(&self, cases: &mut BTreeMap<String, Case<'_>>, invocation: Invocation) {
        let is_meant = |case: &&mut Case<'_>| case.is_read() && !case.is_in_history;
        let mut cases: Vec<_> = cases.values_mut().filter(is_meant).collect();
        for some in cases.chunks_mut(WRITES_MAX) {
            let writes = some.iter().map(|case| async move {
                match case.redeemed() {
                    Some((known, member, redeemed))
                        if known.record.is_none()
                            && case.is_own(known.event.key.entry())
                            && self.counts_for(&known.event) =>
                    {
                        let now = invocation.now();
                        self.history.write(&member, &redeemed, now).await
                    }
                    _ => Ok(()),
                }
            });
            let writes = join_all(writes).await;
            for (case, written) in some.iter_mut().zip(writes) {
                match written {
                    Ok(()) => case.is_in_history = true,
                    Err(error) => case.fail(&error),
                }
            }
        }
    }

    /// Reads each member's redemptions around the same time, and adds the coupons that these
    /// redemptions make too many.
    async fn read_history(&self, cases: &mut BTreeMap<String, Case<'_>>) {
        let mut spans: BTreeMap<String, (Rapid, Vec<Span>)> = BTreeMap::new();
        for case in cases.values().filter(|case| case.is_read()) {
            if let Some((known, member, redeemed)) = case.redeemed()
                && self.counts_for(&known.event)
            {
                let rapid = self.settings(&known.event).rapid;
                let span = (rapid.before(redeemed.at), rapid.after(redeemed.at));
                let of_member = spans.entry(member);
                let (_, spans) = of_member.or_insert_with(|| (rapid, Vec::new()));
                spans.push(span);
            }
        }
        let reads = spans
            .into_iter()
            .map(|(member, (rapid, spans))| async move {
                let read = self.read_member(&member, spans, rapid).await;
                (member, read.map(Arc::new))
            });
        let members: BTreeMap<_, _> = join_all(reads).await.into_iter().collect();
        let mut others: BTreeMap<Box<str>, Other> = BTreeMap::new();
        for case in cases.values_mut().filter(|case| case.is_read()) {
            let Some((known, member, _)) = case.redeemed() else {
                continue;
            };
            let is_own = case.is_own(known.event.key.entry());
            let rapid = self.settings(&known.event).rapid;
            match members.get(&member) {
                None => continue,
                Some(Ok(history)) => case.member = Some(Arc::clone(history)),
                Some(Err(error)) => {
                    case.fail(error);
                    continue;
                }
            }
            // Only a new redemption makes others too many.
            if is_own {
                let messages = case.own.iter().map(|(index, _)| *index);
                for redeemed in others_of(case, rapid) {
                    let other = others.entry(redeemed.coupon.clone());
                    let other = other.or_insert_with(|| Other {
                        listed_as: (member.clone(), redeemed),
                        messages: BTreeSet::new(),
                    });
                    other.messages.extend(messages.clone());
                }
            }
        }
        self.take_up(cases, others);
    }

    async fn read_member(
        &self,
        member: &str,
        spans: Vec<Span>,
        rapid: Rapid,
    ) -> anyhow::Result<MemberHistory> {
        let redemptions = self.history.read(member, spans).await?;
        let is_rush = |at| count_at(rapid, &redemptions, at) >= rapid.count;
        let rushes = match redemptions.iter().any(|it| is_rush(it.at)) {
            true => self.history.rushes(member).await?,
            false => Rushes::default(),
        };
        Ok(MemberHistory {
            redemptions,
            rushes,
        })
    }

    /// Adds other coupons to the batch, for the sake of these messages.
    fn take_up(&self, cases: &mut BTreeMap<String, Case<'_>>, others: BTreeMap<Box<str>, Other>) {
        let mut taken_up = cases.values().filter(|case| case.own.is_empty()).count();
        let mut left = BTreeSet::new();
        for (coupon, other) in others {
            let Other {
                listed_as,
                messages,
            } = other;
            if !cases.contains_key(&*coupon) {
                if taken_up >= OTHERS_MAX {
                    left.extend(messages);
                    continue;
                }
                taken_up += 1;
            }
            let other = cases.entry(coupon.into()).or_insert_with(Case::new);
            if other.is_redeemed_now() {
                continue;
            }
            other.listed_as = Some(listed_as);
            other.awaited_by.extend(messages);
            if !mem::replace(&mut other.counts, true) {
                other.state = State::New;
            }
        }
        for case in cases.values_mut() {
            let is_left = case.own.iter().any(|(index, _)| left.contains(index));
            case.has_more |= is_left;
        }
    }

    /// Checks all events of each coupon, and corrects their records.
    async fn commit(&self, cases: &mut BTreeMap<String, Case<'_>>, invocation: Invocation) {
        let now = invocation.now();
        let mut steps = self.steps(cases);
        let mut updated = Vec::new();
        let mut updates = Vec::new();
        for (coupon, case) in cases.iter_mut().filter(|(_, case)| case.is_read()) {
            let step = match steps.remove(coupon) {
                None => None,
                Some(Turn::Now(step)) => Some(step),
                // Another redemption of the member is first, and may be enough.
                Some(Turn::Later) => continue,
            };
            if !case.is_checked() {
                case.state = State::UpToDate;
                continue;
            }
            let Some(mut update) = self.update(case, step, now) else {
                case.state = State::UpToDate;
                continue;
            };
            match self.count(&update, now).await {
                Ok(counts) => {
                    update.changes.extend(counts);
                    updates.push(update);
                    updated.push(case);
                }
                Err(error) => case.fail(&error),
            }
        }
        let effects: Vec<_> = updates
            .iter()
            .map(|update| {
                let effects = Effects::since(&update.event, RECORD, update.version.clone());
                update
                    .changes
                    .iter()
                    .cloned()
                    .fold(effects, Effects::change)
            })
            .collect();
        let outcomes = self.ledger.commit_all(&effects, invocation).await;
        drop(effects);
        for ((case, update), outcome) in updated.into_iter().zip(updates).zip(outcomes) {
            match outcome {
                Ok(Committed::Now) => {
                    tracing::info!(event.key = %update.event.key, "Checked the coupon");
                    for (entry, record, counted_on) in update.records {
                        case.coupon.note(&entry, record, counted_on);
                    }
                    case.is_open_again |= update.is_open_again;
                    if !update.is_part {
                        case.state = State::UpToDate;
                    }
                }
                // A row of the coupon changed meanwhile, so the next round reads the coupon again.
                Ok(_) => {}
                Err(Uncommitted::ForNow(error)) => case.fail(&error),
                Err(Uncommitted::Ever(error)) => {
                    case.state = State::GivenUp(error);
                }
            }
        }
    }

    /// The changes that count the findings of an update.
    async fn count(&self, update: &Update, now: Timestamp) -> anyhow::Result<Vec<Change>> {
        if update.tally.is_empty() {
            return Ok(Vec::new());
        }
        let event = &update.event;
        let tenant = (event.provider.as_str(), event.tenant.as_str());
        let attached = self.book.attach(tenant, &update.tally, &event.key, now);
        Ok(attached.await?.changes)
    }

    fn outcome(
        &self,
        cases: &BTreeMap<String, Case<'_>>,
        index: usize,
        message: &Message<'_>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let event = &message.event;
        let case = &cases[event.key.coupon()];
        if case.has_more {
            let error = "more redemptions of the member must be checked than a batch adds; the next attempt checks the rest";
            return Err(anyhow!(error).into());
        }
        let others = cases.values().filter(|it| it.awaited_by.contains(&index));
        for concerned in others.chain([case]) {
            match &concerned.state {
                State::UpToDate => {}
                State::New | State::Read => {
                    let error = "other events of a coupon kept coming in between";
                    return Err(anyhow!(error).into());
                }
                State::AlertsBlocked(error, after) => {
                    return Err(Failure::Outside {
                        error: anyhow!("{error:#}"),
                        after: Some(*after),
                    });
                }
                State::Failed(error) => return Err(anyhow!("{error:#}").into()),
                State::GivenUp(error) if concerned.has_message(index) => {
                    return Err(Failure::Permanent(anyhow!("{error:#}")));
                }
                // The fault belongs to another coupon.
                State::GivenUp(_) => {}
            }
        }
        if !message.asks_for(RECORD) {
            // The event's own message waits for the redemption.
            return Ok(());
        }
        let known = case.coupon.known(event.key.entry());
        let record = known.and_then(|it| it.record.as_ref());
        match record.and_then(|it| it.awaits) {
            Some(wait) => {
                let left = wait.until.duration_since(now);
                let left = Duration::try_from(left).unwrap_or_default();
                Err(Failure::Early(left.max(Duration::from_secs(1))))
            }
            None => Ok(()),
        }
    }
}

/// A coupon that other coupons of its member cause fraud to check.
struct Other {
    /// The member, and the coupon's redemption in the member's history.
    listed_as: (String, Redeemed),
    /// The messages that need the check.
    messages: BTreeSet<usize>,
}

fn is_of(row: &Item, coupon: &str) -> bool {
    row.get("coupon")
        .and_then(|it| it.as_s().ok())
        .is_some_and(|it| it == coupon)
}
