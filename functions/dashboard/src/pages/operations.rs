//! `/dashboard/operations`: queues, dead letters, safety nets and error rates, for the person on
//! call. Only a token for all tenants opens the page, because queues belong to no tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use reporting::progress::{State as Stage, progress};
use reporting::{Cursor, Filter, Period, Refused, Sources, list};
use webhooks::figures::Audited;

use super::problem;
use super::records::{coupon_link, task_name};
use crate::commands::quoted;
use crate::frame::{Frame, Place};
use crate::queues::Standing;
use crate::reader::Reader;
use crate::words::common::Common;
use crate::words::operations::Operations;
use crate::words::records::Records;
use crate::written::Written;
use crate::{Dashboard, answer};

/// The queue of the events that DynamoDB refused.
const RETRY: &str = "retry";

/// The largest number of events that the error rates cover.
const SAMPLE: usize = 200;

/// The greatest age of these events.
const SINCE: SignedDuration = SignedDuration::from_hours(24);

#[derive(Template)]
#[template(path = "operations.html")]
struct Page {
    frame: Frame,
    text: &'static Operations,
    queues: Vec<QueueRow>,
    dead: Vec<DeadQueue>,
    /// Names and values.
    nets: Vec<(&'static str, String)>,
    rates_note: String,
    rates: Vec<RateRow>,
}

struct QueueRow {
    name: String,
    visible: String,
    in_flight: String,
    delayed: String,
    dead: String,
    has_dead: bool,
}

struct DeadQueue {
    name: String,
    count: String,
    letters: Vec<LetterRow>,
    command: String,
}

struct LetterRow {
    event: String,
    href: Option<String>,
    sent: String,
    reason: String,
}

struct RateRow {
    name: String,
    total: String,
    failed: String,
    open: String,
    rate: String,
}

/// How a task ended for some events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    total: u64,
    failed: u64,
    /// How many have not ended: each has no record, or another try follows.
    open: u64,
}

/// The error rates, and their events.
struct Rates {
    tasks: BTreeMap<&'static str, Tally>,
    events: usize,
    /// The oldest of the events, if the page leaves out others of the last day.
    oldest: Option<Timestamp>,
}

/// The events in the outbox, read up to the end of one page.
struct Outbox {
    events: usize,
    has_more: bool,
    oldest: Option<Timestamp>,
}

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(reader): Extension<Reader>,
) -> Response<Body> {
    match find(&dashboard, &reader).await {
        Ok(page) => answer::page(StatusCode::OK, &page),
        Err(refused) => problem::of_reader(&reader, &refused),
    }
}

async fn find(dashboard: &Dashboard, reader: &Reader) -> Result<Page, Refused> {
    if !reader.scope.is_of_all() {
        return Err(Refused::not_found(
            "such page",
            ", or this token may not see it",
        ));
    }
    reader.parameters().finish()?;
    let sources = &dashboard.guarded.sources;
    let (standing, outbox, audited, rates) = futures_util::try_join!(
        dashboard.queues.standing(sources, reader.now),
        outbox(sources),
        sources.figures.audited(),
        rates(sources, reader),
    )?;
    Ok(Page::new(
        reader,
        &standing,
        &outbox,
        audited.as_ref(),
        &rates,
    ))
}

async fn outbox(sources: &Sources) -> anyhow::Result<Outbox> {
    let page = sources.ledger.undispatched(None).await?;
    Ok(Outbox {
        events: page.events.len(),
        has_more: page.next.is_some(),
        oldest: page.events.first().map(|it| it.received_at),
    })
}

/// How each task ended for the newest events of the last day.
async fn rates(sources: &Sources, reader: &Reader) -> anyhow::Result<Rates> {
    let tenants = sources.figures.tenants().await?;
    let since = reader.now.checked_sub(SINCE).unwrap_or(Timestamp::MIN);
    // A tenant's clock may show a day later, or a day earlier.
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let from = day(since).yesterday().unwrap_or(day(since));
    let to = day(reader.now).tomorrow().unwrap_or(day(reader.now));
    let period = Period::new(from, to);
    let start = Cursor::start(period);
    let filter = Filter::default();
    let listing = list(sources, &tenants, period, &filter, start, SAMPLE).await?;
    let all = listing.events.iter().map(|(tracked, _)| tracked);
    let events: Vec<_> = all.filter(|it| it.timestamp >= since).collect();
    let is_cut = listing.next.is_some() && events.len() == listing.events.len();
    let oldest = events.iter().map(|it| it.timestamp).min();
    let mut rates: BTreeMap<_, Tally> = BTreeMap::new();
    for tasks in progress(sources, &events, reader.now).await? {
        for task in tasks {
            rates.entry(task.task).or_default().add(task.state);
        }
    }
    Ok(Rates {
        tasks: rates,
        events: events.len(),
        oldest: oldest.filter(|_| is_cut),
    })
}

impl Tally {
    fn add(&mut self, state: Stage) {
        self.total += 1;
        match state {
            Stage::Failed => self.failed += 1,
            Stage::Missing | Stage::Underway => self.open += 1,
            Stage::Done | Stage::Skipped | Stage::Waiting => {}
        }
    }

    /// In percent.
    fn rate(self) -> f64 {
        match self.total {
            0 => 0.0,
            total => self.failed as f64 * 100.0 / total as f64,
        }
    }
}

impl Page {
    fn new(
        reader: &Reader,
        standing: &[Standing],
        outbox: &Outbox,
        audited: Option<&Audited>,
        rates: &Rates,
    ) -> Self {
        let (text, written) = (Operations::of(reader.language), reader.written());
        let records = Records::of(reader.language);
        let moment = |at: Timestamp| written.moment(at, &TimeZone::UTC);
        let queues = standing.iter().map(|queue| QueueRow {
            name: queue.queue.clone(),
            visible: written.count(queue.counts.visible),
            in_flight: written.count(queue.counts.in_flight),
            delayed: written.count(queue.counts.delayed),
            dead: written.count(queue.dead.total()),
            has_dead: queue.dead.total() > 0,
        });
        let dead = standing.iter().filter(|it| it.dead.total() > 0);
        let dead = dead.map(|queue| DeadQueue {
            name: queue.queue.clone(),
            count: written.count(queue.dead.total()),
            command: format!("coupons redrive {}", plain(&queue.queue)),
            letters: queue
                .letters
                .iter()
                .map(|letter| LetterRow {
                    href: letter.event.as_deref().map(coupon_link),
                    event: letter.event.clone().unwrap_or_default(),
                    sent: letter.sent_at.map(moment).unwrap_or_default(),
                    reason: letter.reason.clone(),
                })
                .collect(),
        });
        let more = if outbox.has_more { "+" } else { "" };
        let mut nets = vec![(
            text.outbox,
            format!("{}{more}", written.count(outbox.events as u64)),
        )];
        nets.extend(outbox.oldest.map(|at| (text.outbox_oldest, moment(at))));
        if let Some(retry) = standing.iter().find(|it| it.queue == RETRY) {
            nets.push((text.set_aside, written.count(retry.counts.total())));
        }
        nets.push((text.drift_check, drift(audited, text, written)));
        let count = written.count(u64::try_from(rates.events).unwrap_or(u64::MAX));
        let rates_note = match rates.oldest {
            None => text.rates_of_all.replace("{}", &count),
            Some(oldest) => {
                let filled = text.rates_of_newest.replacen("{}", &count, 1);
                filled.replacen("{}", &moment(oldest), 1)
            }
        };
        let rates = rates.tasks.iter().map(|(task, tally)| RateRow {
            name: task_name(task, records),
            total: written.count(tally.total),
            failed: written.count(tally.failed),
            open: written.count(tally.open),
            rate: written.percent(tally.rate()),
        });
        Self {
            frame: Frame::new(
                reader,
                Place::Operations,
                Common::of(reader.language).operations,
            ),
            text,
            queues: queues.collect(),
            dead: dead.collect(),
            nets,
            rates_note,
            rates: rates.collect(),
        }
    }
}

/// The result of the last audit of the figures.
fn drift(audited: Option<&Audited>, text: &Operations, written: Written) -> String {
    let Some(audited) = audited else {
        return text.drift_none.to_owned();
    };
    let finished = written.moment(audited.finished_at, &TimeZone::UTC);
    let [differ, counters] = [audited.differ, audited.counters].map(|it| written.count(it));
    let filled = text.drift_found.replacen("{}", &finished, 1);
    let filled = filled.replacen("{}", &differ, 1);
    filled.replacen("{}", &counters, 1)
}

/// A queue's name for a shell: the template's names need no quotes.
fn plain(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match name.bytes().all(is_plain) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_failed_of_all() {
        let mut tally = Tally::default();
        assert_eq!(tally.rate(), 0.0);
        for state in [Stage::Done, Stage::Failed, Stage::Missing, Stage::Skipped] {
            tally.add(state);
        }
        assert_eq!((tally.total, tally.failed, tally.open), (4, 1, 1));
        assert_eq!(tally.rate(), 25.0);
    }
}
