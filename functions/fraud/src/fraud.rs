//! A batch of events, each looked at together with its whole coupon.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use webhooks::alerts::{MEND_PAUSE, Topic, Unpublished, may_claim, may_publish};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Event, Fact, member_key};
use webhooks::fraud::{Finding, RECORD, Severity, flag};
use webhooks::invocation::Invocation;
use webhooks::ledger::{
    Change, Claim, Committed, Effects, Item, ItemKey, Ledger, Row, Status, Uncommitted, version,
};
use webhooks::task::Message;
use webhooks::telemetry::{Count, count};
use webhooks::worker::{BatchWork, Failure};

use crate::alert::alert;
use crate::coupon::{Coupon, Known, Record, alert_name};
use crate::history::{History, Redeemed, Span};
use crate::parameters::{Parameters, Settings};
use crate::rules::{RAPID_REDEMPTION, Sight, UNKNOWN_COUPON, look, place};

/// How often a coupon is looked at anew because something of it changed meanwhile. What is left then is tried again later.
const ROUNDS: usize = 16;

/// How many records of a coupon one commit brings up to date, each with its flag. The rest follows in the next.
const RECORDS_MAX: usize = 20;

/// How many coupons are read at a time.
const READS_MAX: usize = 25;

/// Looks for what does not look right.
#[derive(Debug)]
pub struct Fraud {
    ledger: Ledger,
    history: History,
    topic: Topic,
    parameters: Parameters,
    /// How long a use's redemption is waited for.
    grace: SignedDuration,
}

impl Fraud {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let rules = environment.optional("FRAUD_RULES").unwrap_or_default();
        let parameters = Parameters::parse(&rules).unwrap_or_else(|problems| {
            for problem in problems {
                environment.problem(format!("FRAUD_RULES: {problem}"));
            }
            Parameters::default()
        });
        let client = Client::new(&aws.sdk_config(CallLimits::TASK));
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            history: History::new(client, environment.text("MEMBERS_TABLE")),
            topic: Topic::read(environment, aws),
            parameters,
            grace: SignedDuration::from_secs(environment.number("UNKNOWN_COUPON_GRACE_S", 0)),
        }
    }
}

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
        self.tell(&mut cases, invocation).await;
        self.settle(&mut cases).await;
        let now = invocation.now();
        let outcomes = messages.iter().enumerate();
        outcomes
            .map(|(index, message)| self.outcome(&cases, index, &message.event, now))
            .collect()
    }
}

/// A coupon that is being looked at.
struct Case<'a> {
    /// The events of the batch that are about it, with the numbers of their messages.
    own: Vec<(usize, &'a Message<'static>)>,
    /// The messages of other coupons that are done only when this is.
    awaited_by: BTreeSet<usize>,
    /// Whether its redemption may be one too many: it was just redeemed, or another of the member was.
    counts: bool,
    version: Option<String>,
    coupon: Coupon,
    /// The member's redemptions about the time of this one.
    history: Vec<Redeemed>,
    state: State,
}

enum State {
    /// It is read in the next round.
    New,
    /// What is known of it is there.
    Read,
    /// All of its records say what there is to say.
    UpToDate,
    Failed(anyhow::Error),
    /// SNS takes no alert until an operator mends something: the message comes again then.
    Unheard(anyhow::Error, Duration),
    /// DynamoDB takes it never.
    GivenUp(anyhow::Error),
}

impl<'a> Case<'a> {
    fn new() -> Self {
        Self {
            own: Vec::new(),
            awaited_by: BTreeSet::new(),
            counts: false,
            version: None,
            coupon: Coupon::default(),
            history: Vec::new(),
            state: State::New,
        }
    }

    fn of_all(messages: &'a [Message<'static>]) -> BTreeMap<String, Self> {
        let mut cases: BTreeMap<String, Self> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let key = message.event.key.coupon().to_owned();
            let case = cases.entry(key).or_insert_with(Self::new);
            case.own.push((index, message));
            case.counts = case.is_redeemed_now();
        }
        cases
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::New | State::Read)
    }

    fn is_read(&self) -> bool {
        matches!(self.state, State::Read)
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.state = State::Failed(anyhow!("{error:#}"));
    }

    /// Whether its redemption is one of the batch's events, and so looked at for its own sake.
    fn is_redeemed_now(&self) -> bool {
        let mut own = self.own.iter();
        own.any(|(_, message)| matches!(message.event.fact, Fact::Redeemed(_)))
    }

    fn is_own(&self, entry: &str) -> bool {
        self.own
            .iter()
            .any(|(_, message)| message.event.key.entry() == entry)
    }

    /// The coupon's redemption as one of its member's, where that is to be looked at.
    fn redeemed(&self) -> Option<(&Known, String, Redeemed)> {
        let redemption = self.coupon.redemption().filter(|_| self.counts)?;
        let known = self.coupon.known(redemption.key.entry())?;
        let member = member_key(
            &redemption.provider,
            &redemption.tenant,
            &redemption.member.id,
        );
        let redeemed = Redeemed {
            at: redemption.occurred_at,
            coupon: redemption.key.coupon().to_owned(),
            is_told: false,
        };
        Some((known, member, redeemed))
    }
}

/// What a coupon's records are to say, as far as they do not.
struct Update {
    version: Option<String>,
    /// An event of it, by which it is named.
    event: Event,
    /// The names of the events whose records change, with what they say then.
    records: Vec<(String, Record)>,
    changes: Vec<Change>,
    /// There is more than one commit takes.
    is_part: bool,
}

impl Fraud {
    /// Reads what is known of each coupon. Its version comes first, so that whatever is written while the rest is read makes
    /// it another.
    async fn read_coupons(&self, cases: &mut BTreeMap<String, Case<'_>>, invocation: Invocation) {
        let open: Vec<_> = cases
            .iter_mut()
            .filter(|(_, case)| case.is_open())
            .collect();
        let keys: Vec<_> = open
            .iter()
            .map(|(coupon, _)| self.ledger.row_key(coupon, RECORD))
            .collect();
        let versions = self.ledger.rows(&keys, &["coupon", "attempt"]).await;
        let mut open = open;
        let versions = match versions {
            Ok(versions) => versions,
            Err(error) => return open.iter_mut().for_each(|(_, case)| case.fail(&error)),
        };
        for some in open.chunks_mut(READS_MAX) {
            let reads = some
                .iter()
                .map(|(coupon, _)| self.ledger.rows_of(coupon, ""));
            let reads = join_all(reads).await;
            for ((coupon, case), rows) in some.iter_mut().zip(reads) {
                let rows = match rows {
                    Ok(rows) => rows,
                    Err(error) => {
                        case.fail(&error);
                        continue;
                    }
                };
                let row = versions.iter().find(|row| is_of(row, coupon));
                case.version = row.and_then(version).cloned();
                case.coupon = Coupon::read(&rows, invocation.now());
                case.state = State::Read;
                for (_, message) in &case.own {
                    case.coupon.ensure(&message.event, message.received_at);
                }
            }
        }
    }

    /// Writes down of those that were just redeemed that they were, before anything is counted.
    async fn write_history(&self, cases: &mut BTreeMap<String, Case<'_>>, invocation: Invocation) {
        let mut cases: Vec<_> = cases.values_mut().filter(|case| case.is_read()).collect();
        for some in cases.chunks_mut(READS_MAX) {
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
                if let Err(error) = written {
                    case.fail(&error);
                }
            }
        }
    }

    fn counts_for(&self, event: &Event) -> bool {
        self.settings(event).runs(RAPID_REDEMPTION)
    }

    fn settings(&self, event: &Event) -> &Settings {
        self.parameters.of(&event.tenant)
    }

    /// Reads what each member redeemed about the same time, and takes up those coupons that one of these makes too many.
    async fn read_history(&self, cases: &mut BTreeMap<String, Case<'_>>) {
        let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for case in cases.values().filter(|case| case.is_read()) {
            if let Some((known, member, redeemed)) = case.redeemed()
                && self.counts_for(&known.event)
            {
                let span = self.span(&known.event, redeemed.at);
                spans.entry(member).or_default().push(span);
            }
        }
        let reads = spans.into_iter().map(|(member, spans)| async move {
            let read = self.history.read(&member, spans).await;
            (member, read)
        });
        let histories: BTreeMap<_, _> = join_all(reads).await.into_iter().collect();
        let mut concerned = Vec::new();
        for case in cases.values_mut().filter(|case| case.is_read()) {
            let Some((known, member, redeemed)) = case.redeemed() else {
                continue;
            };
            let Some(history) = histories.get(&member) else {
                continue;
            };
            let history = match history {
                Ok(history) => history,
                Err(error) => {
                    case.fail(error);
                    continue;
                }
            };
            let rapid = self.settings(&known.event).rapid;
            let (from, to) = self.span(&known.event, redeemed.at);
            let about: Vec<_> = history
                .iter()
                .filter(|it| from <= it.at && it.at <= to)
                .cloned()
                .collect();
            // Only what was just redeemed makes others too many.
            if case.is_own(known.event.key.entry()) {
                let others = about.iter().filter(|it| {
                    it.coupon != redeemed.coupon
                        && !it.is_told
                        && it.at >= redeemed.at
                        && rapid.is_reached(history, it.at)
                });
                let messages: Vec<_> = case.own.iter().map(|(index, _)| *index).collect();
                concerned.extend(others.map(|it| (it.coupon.clone(), messages.clone())));
            }
            case.history = about;
        }
        for (coupon, messages) in concerned {
            let other = cases.entry(coupon).or_insert_with(Case::new);
            if other.is_redeemed_now() {
                continue;
            }
            other.awaited_by.extend(messages);
            if !mem::replace(&mut other.counts, true) {
                other.state = State::New;
            }
        }
    }

    /// The times of those redemptions that may make one at this time too many, or be made so by it.
    fn span(&self, event: &Event, at: Timestamp) -> Span {
        let window = self.settings(event).rapid.window();
        (
            at.checked_sub(window).unwrap_or(Timestamp::MIN),
            at.checked_add(window).unwrap_or(Timestamp::MAX),
        )
    }

    /// Looks at all events of each coupon, and brings their records up to date.
    async fn commit(&self, cases: &mut BTreeMap<String, Case<'_>>, invocation: Invocation) {
        let now = invocation.now();
        let mut updated = Vec::new();
        let mut updates = Vec::new();
        for case in cases.values_mut().filter(|case| case.is_read()) {
            match self.update(case, now) {
                Some(update) => {
                    updates.push(update);
                    updated.push(case);
                }
                None => case.state = State::UpToDate,
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
                    tracing::info!(event.key = %update.event.key, "The coupon was looked at");
                    for (entry, record) in update.records {
                        case.coupon.note(&entry, record);
                    }
                    if !update.is_part {
                        case.state = State::UpToDate;
                    }
                }
                // Something of the coupon changed meanwhile: it is read again.
                Ok(_) => {}
                Err(Uncommitted::ForNow(error)) => case.fail(&error),
                Err(Uncommitted::Ever(error)) => {
                    case.state = State::GivenUp(error);
                }
            }
        }
    }

    /// What the records of a coupon are to say, as far as they do not.
    fn update(&self, case: &Case<'_>, now: Timestamp) -> Option<Update> {
        let mut stale = Vec::new();
        let mut is_awaited = false;
        for known in &case.coupon.events {
            let entry = known.event.key.entry();
            let is_own = case.is_own(entry);
            let is_redemption = matches!(known.event.fact, Fact::Redeemed(_));
            if is_redemption && case.counts && known.record.is_none() && !is_own {
                // Its own message is being worked on, or will be: it has to see what was written down meanwhile.
                is_awaited = true;
            }
            let is_looked_at = is_own || known.record.is_some();
            if !is_looked_at || (is_redemption && !case.counts) {
                continue;
            }
            let record = self.record(case, known, now);
            let is_outlived = case.coupon.outlives(known).is_some();
            if is_outlived || known.record.as_ref() != Some(&record) {
                stale.push((!is_own, known, record));
            }
        }
        if stale.is_empty() && !is_awaited {
            return None;
        }
        // Those that somebody waits for come first.
        stale.sort_by_key(|(is_another, ..)| *is_another);
        let is_part = stale.len() > RECORDS_MAX;
        stale.truncate(RECORDS_MAX);
        let event = match stale.first() {
            Some((_, known, _)) => &known.event,
            None => case.coupon.redemption()?,
        };
        let mut changes = Vec::new();
        for (_, known, record) in &stale {
            let until = case.coupon.outlives(known);
            changes.push(self.write(known, record, until, now));
            changes.extend(until.map(|until| self.remember(known, until)));
            changes.extend(self.flags(known, record, now));
        }
        let records = stale.into_iter();
        let records =
            records.map(|(_, known, record)| (known.event.key.entry().to_owned(), record));
        Some(Update {
            version: case.version.clone(),
            event: event.clone(),
            records: records.collect(),
            changes,
            is_part,
        })
    }

    /// What the record beneath an event is to say.
    fn record(&self, case: &Case<'_>, known: &Known, now: Timestamp) -> Record {
        let before = known.record.clone().unwrap_or_default();
        if known.event.sandbox {
            return before;
        }
        let settings = self.settings(&known.event);
        let is_over = now >= self.grace_ends(known) || before.has(UNKNOWN_COUPON);
        let mut findings = look(&Sight {
            event: &known.event,
            coupon: &case.coupon,
            history: &case.history,
            overdue: is_over,
            settings,
        });
        // No event is taken back: what is not found any more was found of something that is forgotten since. But a coupon
        // can become known.
        for finding in &before.findings {
            let is_kept = finding.rule != UNKNOWN_COUPON && settings.runs(&finding.rule);
            if is_kept && !findings.iter().any(|it| it.rule == finding.rule) {
                findings.push(finding.clone());
            }
        }
        findings.sort_by_key(|it| place(&it.rule));
        let is_use = matches!(known.event.fact, Fact::Used(_));
        let is_known = case.coupon.redemption().is_some();
        let awaits = is_use && !is_known && !is_over && settings.runs(UNKNOWN_COUPON);
        let mut alerts = before.alerts;
        let is_new = |rule: &&str| !alerts.iter().flatten().any(|it| it == rule);
        let new = findings.iter().map(|it| it.rule.as_str()).filter(is_new);
        let new: Vec<_> = new.map(str::to_owned).collect();
        if !new.is_empty() {
            alerts.push(new);
        }
        Record {
            findings,
            alerts,
            awaits,
        }
    }

    fn grace_ends(&self, known: &Known) -> Timestamp {
        let ends = known.received_at.checked_add(self.grace);
        ends.unwrap_or(Timestamp::MAX)
    }

    fn write(&self, known: &Known, record: &Record, until: Option<i64>, now: Timestamp) -> Change {
        let event = &known.event;
        let key = self
            .ledger
            .row_key(event.key.coupon(), event.key.beneath(RECORD));
        let mut row = Row::default();
        row.set(
            "status",
            Some(if event.sandbox { "skipped" } else { "done" }),
        );
        row.set("result", Some(summary(event, record)));
        row.json("findings", Some(&record.findings));
        row.json(
            "alerts",
            (!record.alerts.is_empty()).then_some(&record.alerts),
        );
        row.set("awaits", record.awaits.then_some("redeemed"));
        row.set("finished_at", Some(now));
        match until {
            Some(until) => _ = row.0.insert("ttl".into(), second(until)),
            None if known.record.is_none() => {
                let forget_at = self.ledger.forget_at(event, now);
                row.0.insert("ttl".into(), forget_at);
            }
            None => {}
        }
        let change = Change::of(key).set_all(row);
        match record.awaits {
            true => change,
            false => change.remove("awaits"),
        }
    }

    /// Keeps an event's row until then.
    fn remember(&self, known: &Known, until: i64) -> Change {
        let key = &known.event.key;
        Change::of(self.ledger.row_key(key.coupon(), key.entry()))
            .set("ttl", second(until))
            .only_if("attribute_exists(#entry)", &[])
    }

    /// Flags the member for what is critical and was not found before. A flag that was cleared stays so.
    fn flags(&self, known: &Known, record: &Record, now: Timestamp) -> Vec<Change> {
        let event = &known.event;
        let before = known.record.as_ref();
        let is_new = |finding: &&Finding| before.is_none_or(|it| !it.has(&finding.rule));
        let critical = record.findings.iter().filter(is_new);
        let critical = critical.filter(|it| it.severity == Severity::Critical);
        let member = member_key(&event.provider, &event.tenant, &event.member.id);
        let flags = critical.map(|finding| {
            let entry = flag(&event.key, &finding.rule);
            let key = ItemKey::new(
                self.history.table(),
                ("member", member.clone()),
                ("entry", entry),
            );
            Change::of(key)
                .keep("event", text(event.key.to_string()))
                .keep("type", text(&finding.kind))
                .keep("why", text(&finding.details))
                .keep("flagged_at", text(now.to_string()))
        });
        flags.collect()
    }

    /// Tells of what was found and nobody was told of.
    async fn tell(&self, cases: &mut BTreeMap<String, Case<'_>>, invocation: Invocation) {
        let tells = cases.values_mut().map(|case| async move {
            if !matches!(case.state, State::UpToDate) {
                return;
            }
            // One that fails keeps none of the others back.
            let mut failed: Option<Failure> = None;
            for known in &case.coupon.events {
                let is_own = case.is_own(known.event.key.entry());
                for failure in self.tell_of(known, is_own, invocation).await {
                    failed = Some(match failed {
                        Some(before) => before.and(failure),
                        None => failure,
                    });
                }
            }
            match failed {
                None => {}
                Some(Failure::Outside { error, after }) => {
                    case.state = State::Unheard(error, after.unwrap_or(MEND_PAUSE));
                }
                Some(Failure::Early(after)) => {
                    let error = anyhow!("SNS took no alert, which is tried again later");
                    case.state = State::Unheard(error, after);
                }
                Some(Failure::Transient(error) | Failure::Permanent(error)) => case.fail(&error),
            }
        });
        join_all(tells).await;
    }

    /// Tells of each alert of an event that nobody was told of. Returns what failed.
    async fn tell_of(&self, known: &Known, is_own: bool, invocation: Invocation) -> Vec<Failure> {
        let Some(record) = &known.record else {
            return Vec::new();
        };
        let mut failed = Vec::new();
        for (index, rules) in record.alerts.iter().enumerate() {
            let number = index + 1;
            if known.told.contains(&number) {
                continue;
            }
            let findings = record.findings.iter();
            let findings: Vec<_> = findings
                .filter(|it| rules.contains(&it.rule))
                .cloned()
                .collect();
            let name = alert_name(number);
            let told = self.publish(&known.event, &name, &findings, is_own, invocation);
            failed.extend(told.await.err());
        }
        failed
    }

    /// Publishes one alert of an event, unless somebody did.
    async fn publish(
        &self,
        event: &Event,
        name: &str,
        findings: &[Finding],
        is_own: bool,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        if !may_claim(invocation) {
            return Err(anyhow!("no time is left to alert of {}", event.key).into());
        }
        let lease = match self.ledger.claim(event, name, invocation).await? {
            Claim::Granted(lease) => lease,
            Claim::Settled => return Ok(()),
            Claim::Taken { until } => {
                let key = &event.key;
                let why = anyhow!("another worker is telling of {key}, until {until} at most");
                return Err(why.into());
            }
            // SNS took it not: the event's own message, or the one that found that out, tries again then.
            Claim::Early { until } if is_own => {
                let left = until.duration_since(invocation.now());
                return Err(Failure::Early(Duration::try_from(left).unwrap_or_default()));
            }
            Claim::Early { .. } => return Ok(()),
        };
        if findings.is_empty() {
            let why = "what was found does not stand any more";
            return Ok(lease.settle(Status::Skipped, why).await?);
        }
        if !may_publish(invocation) {
            let why = "no time was left to publish it";
            lease.release(why, None).await?;
            return Err(anyhow!("{why}, an alert of {}", event.key).into());
        }
        let unpublished = match self.topic.publish(alert(event, findings)).await {
            Ok(id) => {
                tracing::warn!(event.key = %event.key, alert.id = id, "Told of what does not look right");
                return Ok(lease.settle(Status::Done, &id).await?);
            }
            Err(unpublished) => unpublished,
        };
        let reason = unpublished.to_string();
        match unpublished {
            Unpublished::Refused(_) => {
                count(Count::AlertFailed);
                tracing::error!(event.key = %event.key, "{reason}");
                Ok(lease.settle(Status::Failed, &reason).await?)
            }
            Unpublished::Misconfigured(_) => {
                count(Count::AlertFailed);
                let until = invocation.now().checked_add(MEND_PAUSE);
                let until = until.context("holding an alert")?;
                lease.release(&reason, Some(until)).await?;
                Err(Failure::Outside {
                    error: anyhow!(reason),
                    after: Some(MEND_PAUSE),
                })
            }
            Unpublished::ForNow(_) => {
                lease.release(&reason, None).await?;
                Err(anyhow!(reason).into())
            }
        }
    }

    /// Writes down of redemptions that were one too many that nothing is owed of them, so that those that follow leave them
    /// alone.
    async fn settle(&self, cases: &mut BTreeMap<String, Case<'_>>) {
        let settles = cases.values_mut().map(|case| async move {
            if !matches!(case.state, State::UpToDate) {
                return;
            }
            let Some((known, member, redeemed)) = case.redeemed() else {
                return;
            };
            let is_found = known
                .record
                .as_ref()
                .is_some_and(|it| it.has(RAPID_REDEMPTION));
            let mut rows = case.history.iter();
            let is_open = rows.any(|it| it.coupon == redeemed.coupon && !it.is_told);
            if is_found
                && is_open
                && let Err(error) = self.history.settle(&member, &redeemed).await
            {
                case.fail(&error);
            }
        });
        join_all(settles).await;
    }

    fn outcome(
        &self,
        cases: &BTreeMap<String, Case<'_>>,
        index: usize,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let case = &cases[event.key.coupon()];
        let others = cases.values().filter(|it| it.awaited_by.contains(&index));
        for concerned in others.chain([case]) {
            match &concerned.state {
                State::UpToDate => {}
                State::New | State::Read => {
                    let error = "other events of a coupon came in between, again and again";
                    return Err(anyhow!(error).into());
                }
                State::Unheard(error, after) => {
                    return Err(Failure::Outside {
                        error: anyhow!("{error:#}"),
                        after: Some(*after),
                    });
                }
                State::Failed(error) => return Err(anyhow!("{error:#}").into()),
                State::GivenUp(error) if concerned.own.iter().any(|(own, _)| *own == index) => {
                    return Err(Failure::Permanent(anyhow!("{error:#}")));
                }
                // That is another's fault.
                State::GivenUp(_) => {}
            }
        }
        match case.coupon.known(event.key.entry()) {
            Some(known) if known.record.as_ref().is_some_and(|it| it.awaits) => {
                let left = self.grace_ends(known).duration_since(now);
                let left = Duration::try_from(left).unwrap_or_default();
                Err(Failure::Early(left))
            }
            _ => Ok(()),
        }
    }
}

/// `2 findings: duplicate_usage, expired_usage`
fn summary(event: &Event, record: &Record) -> String {
    if event.sandbox {
        return "a sandbox or test event: not looked at".to_owned();
    }
    let mut kinds: Vec<_> = record.findings.iter().map(|it| it.kind.as_str()).collect();
    kinds.dedup();
    let mut summary = match kinds.as_slice() {
        [] => "nothing found".to_owned(),
        kinds => format!("found {}", kinds.join(", ")),
    };
    if record.awaits {
        summary.push_str("; its redemption is not known yet");
    }
    summary
}

fn is_of(row: &Item, coupon: &str) -> bool {
    row.get("coupon")
        .and_then(|it| it.as_s().ok())
        .is_some_and(|it| it == coupon)
}

fn second(second: i64) -> AttributeValue {
    AttributeValue::N(second.to_string())
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}
