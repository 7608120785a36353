//! A use gets one schedule, and a record that forbids a second one.
//!
//! The schedule comes before the record. If the function dies in between, the message is retried.
//! The schedule of the same name then exists, or has fired already, and the record follows. Once
//! the record exists, nothing is scheduled for the use again.

use jiff::Timestamp;
use webhooks::event::{Event, Fact};
use webhooks::figures::survey::{Surveyed, Unsent};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Committed, Effects, Note, Row, Status};
use webhooks::survey::{self, Due, RECORD};
use webhooks::worker::Failure;

use crate::setup::Surveys;

/// The result of a record whose survey was scheduled.
const SCHEDULED: &str = "scheduled";

/// A use whose survey is planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub(crate) surveys: &'a Surveys,
    /// The use.
    pub(crate) event: &'a Event,
    pub(crate) invocation: Invocation,
}

impl Planned<'_> {
    /// Schedules the survey. If the use's record says that it was scheduled, the message may have
    /// come again because of the answer.
    pub(crate) async fn plan(&self) -> Result<(), Failure> {
        let Self {
            surveys,
            event,
            invocation,
        } = *self;
        let now = invocation.now();
        let record = event.key.beneath(RECORD);
        let recorded = surveys.ledger.row(event.key.coupon(), &record, now);
        if recorded.await?.is_some() {
            return surveys.alert(event, invocation).await;
        }
        let skipped = match &event.fact {
            Fact::Used(_) if event.sandbox => Some(Unsent::Sandbox.word()),
            Fact::Used(_) => None,
            _ => Some("no use"),
        };
        if let Some(reason) = skipped {
            let note = Note::new(Status::Skipped, reason);
            return Ok(surveys.ledger.note(event, RECORD, note, invocation).await?);
        }
        let timing = surveys.settings.timing(event);
        let due_at = timing.due_at(&event.key, event.occurred_at, now);
        let due = Due::new(&event.key, due_at);
        surveys.scheduler.create(&name(event), &due).await?;
        self.record(due_at).await
    }

    /// Records that the survey is scheduled for this time, once, together with its figures.
    pub(crate) async fn record(&self, due_at: Timestamp) -> Result<(), Failure> {
        let Self {
            surveys,
            event,
            invocation,
        } = *self;
        let zone = surveys.settings.zones.of(&event.tenant);
        let mut fields = Row::default();
        fields.set("result", Some(SCHEDULED));
        fields.set("due_at", Some(due_at));
        let mut effects = Effects::new(event, RECORD).fields(fields);
        if let Some(surveyed) = Surveyed::of(event, zone) {
            let tenant = (event.provider.as_str(), event.tenant.as_str());
            let (tally, now) = (surveyed.scheduled(), invocation.now());
            let attached = surveys.book.attach(tenant, &tally, &event.key, now);
            effects = effects.attach(attached.await?);
        }
        if surveys.ledger.commit(effects, invocation).await? == Committed::Now {
            tracing::info!(event.key = %event.key, due_at = %due_at, "Scheduled");
        }
        Ok(())
    }
}

/// The name of a use's schedule, which is the same for every attempt.
pub(crate) fn name(event: &Event) -> String {
    hex::encode(survey::id(&event.key))
}
