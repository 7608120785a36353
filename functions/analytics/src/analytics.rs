//! Counts a batch of events in one commit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use webhooks::event::tenant_key;
use webhooks::figures::line::{Standing, line_key};
use webhooks::figures::{Group, Lists, RECORD};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Committed, Item, ItemKey, Uncommitted, is_forgotten, read_all};
use webhooks::task::Message;
use webhooks::worker::{BatchWork, Failure};

use crate::case::{Case, Place};
use crate::effects::Plan;
use crate::setup::Analytics;

/// The maximum number of rounds. Each round counts one event of each coupon. A coupon needs more
/// rounds if it has several events in the batch, or if another worker counts one at the same time.
const ROUNDS: usize = 24;

impl BatchWork for Analytics {
    type Message = Message<'static>;

    async fn work(
        &self,
        messages: Vec<Message<'static>>,
        invocation: Invocation,
    ) -> Vec<Result<(), Failure>> {
        let mut cases: Vec<_> = messages
            .iter()
            .map(|message| Case::of(&message.event, self.zones.of(&message.event.tenant)))
            .collect();
        let shard = self.shard(&cases);
        if let Err(error) = self.announce(&cases, shard, invocation.now()).await {
            cases.iter_mut().for_each(|case| fail(case, &error));
        }
        for _ in 0..ROUNDS {
            let turn = turn(&cases);
            if turn.is_empty() {
                break;
            }
            if let Err(error) = self.look_up(&mut cases, &turn, invocation.now()).await {
                turn.iter()
                    .for_each(|&index| fail(&mut cases[index], &error));
                continue;
            }
            self.commit(&mut cases, &turn, shard, invocation).await;
        }
        let outcomes = cases.into_iter().map(|case| {
            let left = || Err(anyhow!("other events of its coupon came in between").into());
            case.outcome.unwrap_or_else(left)
        });
        outcomes.collect()
    }
}

fn fail(case: &mut Case<'_>, error: &anyhow::Error) {
    case.outcome = Some(Err(anyhow!("{error:#}").into()));
}

/// One uncounted event of each coupon.
fn turn(cases: &[Case<'_>]) -> Vec<usize> {
    let mut coupons = BTreeSet::new();
    let open = cases.iter().enumerate().filter(|(_, case)| case.is_open());
    open.filter(|(_, case)| coupons.insert(case.event.key.coupon()))
        .map(|(index, _)| index)
        .collect()
}

impl Analytics {
    /// The shard for the whole batch, in each tenant; another batch gets another one.
    fn shard(&self, cases: &[Case<'_>]) -> u64 {
        let first = cases.first().map(|case| case.event.key.to_string());
        let hash = Sha256::digest(first.unwrap_or_default());
        u64::from(u16::from_be_bytes([hash[0], hash[1]])) % self.book.shards()
    }

    async fn announce(&self, cases: &[Case<'_>], shard: u64, now: Timestamp) -> anyhow::Result<()> {
        let mut lists = Lists::new();
        let mut forget_at = 0;
        for case in cases.iter().filter(|case| case.counts()) {
            let (list, listed) = case.listed();
            lists.entry(list).or_default().insert(listed);
            forget_at = forget_at.max(self.forget_at(case, now));
        }
        self.book.announce(&lists, shard, forget_at).await
    }

    /// Reads the lines of the coupons: all their counted events.
    async fn look_up(
        &self,
        cases: &mut [Case<'_>],
        turn: &[usize],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let counted: Vec<_> = turn
            .iter()
            .copied()
            .filter(|it| cases[*it].counts())
            .collect();
        let mut keys = Vec::new();
        for &index in &counted {
            let case = &mut cases[index];
            case.known = Default::default();
            keys.push(self.place_key(case));
            // The line is the member's own, unless the coupon's owner is another member.
            keys.push(line_key(&self.members, &case.event.key, &case.owner()));
        }
        let mut rows = self.rows(&keys, now).await?;
        let mut others = Vec::new();
        for &index in &counted {
            let place = rows.get(&self.place_key(&cases[index]));
            let place = place.map(Place::read);
            let case = &mut cases[index];
            case.known.place = place;
            if case.owner() != case.member() {
                others.push(line_key(&self.members, &case.event.key, &case.owner()));
            }
        }
        rows.extend(self.rows(&others, now).await?);
        for &index in &counted {
            let case = &mut cases[index];
            let line = line_key(&self.members, &case.event.key, &case.owner());
            if let Some(row) = rows.get(&line) {
                case.known.line = Standing::read(row)?;
            }
        }
        Ok(())
    }

    fn place_key(&self, case: &Case<'_>) -> ItemKey {
        let redemption = case.event.key.redemption();
        self.ledger
            .row_key(redemption.coupon(), redemption.beneath(RECORD))
    }

    async fn rows(
        &self,
        keys: &[ItemKey],
        now: Timestamp,
    ) -> anyhow::Result<BTreeMap<ItemKey, Item>> {
        let found = read_all(&self.client, keys, &[]).await?;
        let text = |row: &Item, name: &str| row.get(name)?.as_s().ok().cloned();
        let mut rows = BTreeMap::new();
        let mut by_names = BTreeMap::new();
        for key in keys {
            let names = (key.partition.1.clone(), key.sort.1.clone());
            by_names.insert(names, key.clone());
        }
        for row in found.into_iter().filter(|row| !is_forgotten(row, now)) {
            let partition = text(&row, "coupon").or_else(|| text(&row, "member"));
            let names = partition.zip(text(&row, "entry"));
            if let Some(key) = names.and_then(|names| by_names.get(&names)) {
                rows.insert(key.clone(), row);
            }
        }
        Ok(rows)
    }

    /// Counts events. An event stays open if another batch counted an event of its coupon
    /// meanwhile.
    async fn commit(
        &self,
        cases: &mut [Case<'_>],
        turn: &[usize],
        shard: u64,
        invocation: Invocation,
    ) {
        let now = invocation.now();
        let mut plans: Vec<_> = turn
            .iter()
            .map(|&index| (index, Plan::of(&cases[index])))
            .collect();
        plans.sort_by(|(_, a), (_, b)| {
            let order = |plan: &Option<Plan>| plan.as_ref().map(|it| it.order.clone());
            order(a).cmp(&order(b))
        });
        let ids = match self.ids(cases, &plans, now).await {
            Ok(ids) => ids,
            Err(error) => {
                turn.iter()
                    .for_each(|&index| fail(&mut cases[index], &error));
                return;
            }
        };
        let (mut committed, mut effects, mut unfit) = (Vec::new(), Vec::new(), Vec::new());
        for (index, plan) in &plans {
            let case = &cases[*index];
            let of_case = plan.as_ref().map_or_else(
                || Ok(self.skip(case)),
                |plan| {
                    let tenant = tenant_key(&case.event.provider, &case.event.tenant);
                    let effects = self.effects(case, plan, now)?;
                    let ids = ids.get(&tenant);
                    let none = BTreeMap::new();
                    let tally = &plan.counted.tally;
                    let changes =
                        self.book
                            .changes(&tenant, tally, ids.unwrap_or(&none), shard, now)?;
                    Ok::<_, anyhow::Error>(
                        changes
                            .into_iter()
                            .fold(effects, |it, change| it.change(change)),
                    )
                },
            );
            match of_case {
                Ok(of_case) => {
                    committed.push(*index);
                    effects.push(of_case);
                }
                Err(error) => unfit.push((*index, error)),
            }
        }
        let outcomes = self.ledger.commit_all(&effects, invocation).await;
        drop(effects);
        for (index, error) in unfit {
            fail(&mut cases[index], &error);
        }
        for (index, outcome) in committed.into_iter().zip(outcomes) {
            let case = &mut cases[index];
            case.outcome = match outcome {
                Ok(Committed::Now) => {
                    tracing::info!(event.key = %case.event.key, "Counted");
                    Some(Ok(()))
                }
                Ok(Committed::Before) => Some(Ok(())),
                Ok(Committed::Overtaken) => None,
                Err(uncommitted @ (Uncommitted::ForNow(_) | Uncommitted::Ever(_))) => {
                    Some(Err(uncommitted.into()))
                }
            };
        }
    }

    /// The short names of all counted groups, by tenant.
    async fn ids(
        &self,
        cases: &[Case<'_>],
        plans: &[(usize, Option<Plan>)],
        now: Timestamp,
    ) -> anyhow::Result<BTreeMap<String, BTreeMap<Group, String>>> {
        let mut groups: BTreeMap<String, BTreeSet<Group>> = BTreeMap::new();
        for (index, plan) in plans {
            let Some(plan) = plan else { continue };
            let event = cases[*index].event;
            let of_tenant = groups.entry(tenant_key(&event.provider, &event.tenant));
            let cells = plan.counted.tally.cells();
            of_tenant
                .or_default()
                .extend(cells.map(|(cell, _)| cell.group.clone()));
        }
        let mut ids = BTreeMap::new();
        for (tenant, groups) in groups {
            let of_tenant = self.book.ids(&tenant, groups, now).await?;
            ids.insert(tenant, of_tenant);
        }
        Ok(ids)
    }
}
