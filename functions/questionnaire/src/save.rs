//! Saves an answer: the record, the figures' difference and the member's pause, in one transaction.

use anyhow::bail;
use aws_sdk_dynamodb::types::AttributeValue;
use webhooks::event::Event;
use webhooks::figures::COUNTED_ON;
use webhooks::figures::survey::{self, SurveyGroup, Surveyed};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Attached, Change, Committed, Effects, Uncommitted};
use webhooks::survey::{ANSWER, Answer, Given, Refusal, listed, throttle};

use crate::store::{Survey, SurveyStore};

/// How often the function builds an answer again because another form changed it meanwhile.
const ATTEMPTS: usize = 5;

/// The result of a form.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives on the stack, for one request"
)]
pub enum Saved {
    /// The answer now has the form's contents.
    Kept,
    Refused(Survey, Refusal),
    /// The survey has closed meanwhile.
    Closed,
}

impl SurveyStore {
    /// Saves a form as the survey's answer, or as a part of it. Two forms at the same time take
    /// effect one after the other. The same form changes nothing the second time.
    ///
    /// # Errors
    ///
    /// DynamoDB refuses the transaction now, and saves no part of it.
    pub async fn save(
        &self,
        survey: &Survey,
        given: Given,
        invocation: Invocation,
    ) -> anyhow::Result<Saved> {
        let now = invocation.now();
        let mut survey = survey.clone();
        for _ in 0..ATTEMPTS {
            let before = survey.answer.as_ref();
            let answer = match Answer::give(before, given.clone(), &survey.asked.about, now) {
                Ok(answer) => answer,
                Err(refusal) => return Ok(Saved::Refused(survey, refusal)),
            };
            let Some((event, until)) = self.event(&survey.asked.event, now).await? else {
                return Ok(Saved::Closed);
            };
            let is_new = before.is_none_or(|before| !before.says(&answer));
            if !is_new {
                // The invocation that saved the answer may have died before raising its end.
                let kept = self.ledger.keep_with_event(&event.key, ANSWER, 0, now);
                kept.await?;
                return Ok(Saved::Kept);
            }
            let attached = self.attached(&event, &survey, &answer, invocation).await?;
            let effects = Effects::replacing(&event, ANSWER, survey.version.clone());
            let effects = effects.attach(attached).kept_until(until);
            match self.ledger.commit(effects, invocation).await {
                Ok(Committed::Now) => {
                    tracing::info!(event.key = %event.key, "An answer is saved");
                    return Ok(Saved::Kept);
                }
                // Another form changed the answer, or the survey has closed: read again.
                Ok(Committed::Before | Committed::Overtaken) => {}
                Err(Uncommitted::ForNow(error) | Uncommitted::Ever(error)) => return Err(error),
            }
            match self.survey(survey.asked.id(), now).await? {
                Some(again) => survey = again,
                None => return Ok(Saved::Closed),
            }
        }
        bail!("other forms keep changing the answer")
    }

    /// The record's fields, and all changes that belong to the answer.
    async fn attached(
        &self,
        event: &Event,
        survey: &Survey,
        answer: &Answer,
        invocation: Invocation,
    ) -> anyhow::Result<Attached> {
        let now = invocation.now();
        let surveyed = Surveyed {
            day: answer.about.day,
            group: SurveyGroup::of(event).unwrap_or_default(),
        };
        let counted = survey::Answer {
            rating: answer.rating,
            recommend: answer.recommend,
            has_comment: answer.comment.is_some(),
        };
        let tally = surveyed.answered(survey.counted.as_ref(), &counted);
        let tenant = (event.provider.as_str(), event.tenant.as_str());
        let mut attached = self.book.attach(tenant, &tally, &event.key, now).await?;
        attached.fields.0.extend(answer.row().0);
        // The answer counts even if a new comment changes no figure.
        attached.fields.set(COUNTED_ON, Some(answer.about.day));
        let forget_at = self.ledger.forget_at(event, now);
        let listed = listed::change(&self.figures, event, answer, forget_at);
        let pause = throttle::answered(&self.members, event, answer.answered_at);
        // Forgetting a member deletes this row first, and then no transaction saves an answer.
        let asked = Change::of(self.ledger.asked_key(survey.asked.id()));
        let answered_at = AttributeValue::S(answer.answered_at.to_string());
        let asked = asked
            .set("answered_at", answered_at)
            .only_if("attribute_exists(#entry)", &[]);
        attached.changes.extend([listed, pause, asked]);
        let was_bad = survey.answer.as_ref().is_some_and(Answer::is_bad);
        if self.are_alerts_on && answer.is_bad() && !was_bad {
            // `surveys` gets the use again, and publishes the alert.
            attached.changes.push(self.ledger.sent_again(&event.key));
        }
        Ok(attached)
    }
}
