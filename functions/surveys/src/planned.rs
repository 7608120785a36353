//! A use gets one schedule, and a record that forbids a second one.
//!
//! The schedule comes before the record. If the function dies in between, SQS delivers the message
//! again. The schedule of the same name then exists, or has fired already, and the record follows.
//! Once the record exists, the function schedules no further survey for the use.

use jiff::Timestamp;
use serde::Serialize;
use webhooks::event::{Event, Fact, Money};
use webhooks::figures::survey::{Surveyed, Unsent};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Committed, Effects, Note, Row, Status};
use webhooks::survey::questions::{self, Questions};
use webhooks::survey::{self, Due, RECORD};
use webhooks::worker::Failure;

use crate::setup::Surveys;

/// The type of every survey, as the provider's page names it.
const TYPE: &str = "coupon_satisfaction";

/// The result of a record with a scheduled survey.
const SCHEDULED: &str = "scheduled";

/// A use with a survey to plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub(crate) surveys: &'a Surveys,
    /// The use.
    pub(crate) event: &'a Event,
    pub(crate) invocation: Invocation,
}

impl Planned<'_> {
    /// Schedules the survey. If the use's record says `scheduled`, the message may have come again
    /// because of the answer.
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

    /// Records the scheduled time of the survey, once, together with its figures.
    pub(crate) async fn record(&self, due_at: Timestamp) -> Result<(), Failure> {
        let Self {
            surveys,
            event,
            invocation,
        } = *self;
        let zone = surveys.settings.zones.of(&event.tenant);
        let language = surveys.channels.language(&event.tenant).tag();
        let mut fields = contents(event, questions::newest(language));
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

/// What the survey is about, in the fields of the provider's page: its type, its data and its
/// questions. If a text changes before the survey goes out, the survey has the new version.
fn contents(event: &Event, questions: &Questions) -> Row {
    #[derive(Serialize)]
    struct Data<'a> {
        coupon_code: &'a str,
        reward_name: Option<&'a str>,
        location: Option<&'a str>,
        staff_member: Option<&'a str>,
        discount_value: Option<&'a Money>,
    }
    let mut fields = Row::default();
    fields.set("type", Some(TYPE));
    if let Fact::Used(usage) = &event.fact {
        let data = Data {
            coupon_code: &usage.coupon_code,
            reward_name: usage.reward_name.as_deref(),
            location: usage.location.as_deref(),
            staff_member: usage.staff_member.as_deref(),
            discount_value: usage.discount_applied.as_ref(),
        };
        fields.json("data", Some(data));
    }
    fields.set("questions", Some(questions.version));
    fields.set("language", Some(questions.language));
    fields
}

/// The name of a use's schedule, which is the same for every attempt.
pub(crate) fn name(event: &Event) -> String {
    hex::encode(survey::id(&event.key))
}

#[cfg(test)]
mod tests {
    use webhooks::event::{Envelope, EventKey, Member, Usage};

    use super::*;

    #[test]
    fn a_schedule_s_record_says_what_the_survey_is_about() {
        let event = Event {
            key: EventKey::used("zupy", "comp", "CP-1", "ord_1"),
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            sandbox: false,
            member: Member {
                name: Some("Maria".into()),
                ..Member::default()
            },
            fact: Fact::Used(Usage {
                coupon_code: "CP-1".into(),
                reward_name: Some("Pizza".into()),
                staff_member: Some("Ana".into()),
                ..Usage::default()
            }),
            envelope: Envelope::default(),
            warnings: Vec::new(),
            received_at: None,
        };
        let fields = contents(&event, questions::newest("en"));
        let text = |name: &str| fields.0[name].as_s().unwrap().as_str();
        assert_eq!(text("type"), "coupon_satisfaction");
        let data = r#"{"coupon_code":"CP-1","reward_name":"Pizza","location":null,"#.to_owned()
            + r#""staff_member":"Ana","discount_value":null}"#;
        assert_eq!(text("data"), data);
        assert_eq!(text("language"), "en");
        assert_eq!(
            text("questions"),
            questions::newest("en").version.to_string()
        );
    }
}
