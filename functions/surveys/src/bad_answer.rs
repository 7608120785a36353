//! The alert of a bad answer: once for each use, and without the comment.
//!
//! The transaction that saves a bad answer puts the use into the outbox. So the use's message comes
//! again, even if the questionnaire dies right after that transaction.

use std::time::Duration;

use anyhow::{Context, anyhow};
use webhooks::alerts::{
    Alert, MEND_PAUSE, SUBJECT_MAX_CHARS, Unpublished, line, may_claim, quoted, shorten,
};
use webhooks::event::{Event, Fact};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Claim, Lease, Status};
use webhooks::survey::{ALERT, ANSWER, Answer};
use webhooks::telemetry::{Count, count};
use webhooks::worker::Failure;

use crate::setup::Surveys;

impl Surveys {
    /// Publishes the alert of a use's answer, if the answer is bad, unless an earlier attempt
    /// settled that.
    pub(crate) async fn alert(&self, event: &Event, invocation: Invocation) -> Result<(), Failure> {
        let Some(topic) = &self.alerts else {
            return Ok(());
        };
        let record = event.key.beneath(ANSWER);
        let row = self
            .ledger
            .row(event.key.coupon(), &record, invocation.now());
        let Some(row) = row.await? else {
            return Ok(());
        };
        let answer = Answer::read(&row);
        let answer = answer.with_context(|| format!("{}/{ANSWER} cannot be read", event.key))?;
        if !answer.is_bad() {
            return Ok(());
        }
        let Some(lease) = self.claim_alert(event, invocation).await? else {
            return Ok(());
        };
        match topic.publish(self.alert_of(event, &answer)).await {
            Ok(id) => {
                tracing::warn!(event.key = %event.key, alert.id = id, "Published an alert of a bad answer");
                Ok(lease.settle(Status::Done, &id).await?)
            }
            Err(unpublished) => settle_unpublished(event, lease, unpublished, invocation).await,
        }
    }

    /// The right to publish the alert; `None` if an earlier attempt settled it.
    async fn claim_alert(
        &self,
        event: &Event,
        invocation: Invocation,
    ) -> Result<Option<Lease>, Failure> {
        if !may_claim(invocation) {
            return Err(anyhow!("no time is left to alert of {}", event.key).into());
        }
        match self.ledger.claim(event, ALERT, invocation).await? {
            Claim::Granted(lease) => Ok(Some(lease)),
            Claim::Settled => Ok(None),
            Claim::Taken { until } => {
                let key = &event.key;
                Err(anyhow!("another worker is publishing {key}, until {until} at most").into())
            }
            Claim::Early { until } => {
                let left = until.duration_since(invocation.now());
                Err(Failure::Early(Duration::try_from(left).unwrap_or_default()))
            }
        }
    }

    /// The alert names the use, and where to read more. The comment may contain anything, so the
    /// alert does not repeat it.
    fn alert_of(&self, event: &Event, answer: &Answer) -> Alert {
        let link = self.settings.coupon_page(event.key.coupon());
        alert(event, answer, &link)
    }
}

/// Records why SNS did not publish the alert, and returns the time of the retry, if there is one.
async fn settle_unpublished(
    event: &Event,
    lease: Lease,
    unpublished: Unpublished,
    invocation: Invocation,
) -> Result<(), Failure> {
    let reason = unpublished.to_string();
    match unpublished {
        Unpublished::Refused(_) => {
            count(Count::AlertFailed);
            tracing::error!(event.key = %event.key, "No alert of a bad answer: {reason}");
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

fn alert(event: &Event, answer: &Answer, link: &str) -> Alert {
    let coupon = line(event.fact.coupon_code().unwrap_or_default());
    let order = match &event.fact {
        Fact::Used(usage) => usage.order_id.as_deref().map(line),
        _ => None,
    };
    let subject = format!("Survey, rating {} of 5, coupon {coupon}", answer.rating);
    let named = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), line);
    let number = |number: Option<u8>| number.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let text = format!(
        "A member is not content.\n\n\
         Company:   {}\n\
         Coupon:    {coupon}\n\
         Order:     {}\n\
         Reward:    {}\n\
         Location:  {}\n\
         Rating:    {} of 5\n\
         Recommend: {} of 10\n\
         Comment:   {}\n\
         Event:     {}\n\n\
         To look further:\n\
         coupons show {}\n\
         {link}\n",
        line(&event.tenant),
        order.as_deref().unwrap_or("-"),
        named(answer.about.reward_name.as_deref()),
        named(answer.about.location.as_deref()),
        answer.rating,
        number(answer.recommend),
        if answer.comment.is_some() {
            "yes"
        } else {
            "no"
        },
        event.key,
        quoted(event.key.coupon()),
    );
    Alert {
        subject: shorten(&subject, SUBJECT_MAX_CHARS - 1),
        text,
        attributes: vec![
            ("type", "survey".to_owned()),
            ("tenant", line(&event.tenant)),
            ("rating", answer.rating.to_string()),
            ("event", event.key.to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use webhooks::event::{Envelope, EventKey, Member, Usage};
    use webhooks::survey::About;

    use super::*;

    fn answer(rating: u8, recommend: Option<u8>, comment: Option<&str>) -> Answer {
        let at = "2026-11-25T12:00:00Z".parse().unwrap();
        Answer {
            rating,
            recommend,
            comment: comment.map(str::to_owned),
            about: About {
                questions: 1,
                language: "pt-BR".into(),
                reward_name: Some("Pizza\nGrátis".into()),
                location: Some("Centro".into()),
                staff_member: None,
                day: "2026-11-25".parse().unwrap(),
            },
            answered_at: at,
            changed_at: at,
        }
    }

    #[test]
    fn an_alert_says_where_to_look_and_not_what_the_member_wrote() {
        let event = Event {
            key: EventKey::used("zupy", "comp", "CP/1", "ord 1"),
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: "2026-11-25T10:00:00Z".parse().unwrap(),
            sandbox: false,
            member: Member {
                id: "ZP-1".into(),
                name: Some("Maria".into()),
                ..Member::default()
            },
            fact: Fact::Used(Usage {
                coupon_code: "CP/1".into(),
                order_id: Some("ord 1".into()),
                ..Usage::default()
            }),
            envelope: Envelope::default(),
            warnings: Vec::new(),
            received_at: None,
        };
        let answer = answer(2, Some(3), Some("Sou a Maria"));
        let alert = alert(&event, &answer, "https://cupons.example.com/page");
        assert_eq!(alert.subject, "Survey, rating 2 of 5, coupon CP/1");
        assert_snapshot!(alert.text, @"
        A member is not content.

        Company:   comp
        Coupon:    CP/1
        Order:     ord 1
        Reward:    Pizza Grátis
        Location:  Centro
        Rating:    2 of 5
        Recommend: 3 of 10
        Comment:   yes
        Event:     zupy#comp#CP%2F1/used#ord 1

        To look further:
        coupons show 'zupy#comp#CP%2F1'
        https://cupons.example.com/page
        ");
    }
}
