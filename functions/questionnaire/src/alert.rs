//! The alert of a bad answer: once for each answer, and without the comment.

use anyhow::anyhow;
use webhooks::alerts::{
    Alert, MEND_PAUSE, SUBJECT_MAX_CHARS, Topic, Unpublished, line, may_claim, quoted, shorten,
};
use webhooks::event::{Event, Fact};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Claim, Status};
use webhooks::survey::Answer;
use webhooks::telemetry::{Count, count};

use crate::desk::Desk;

/// The name of the alert's record beneath the use.
const RECORD: &str = "surveys/alert";

/// The worst ratings, each of which causes an alert.
const BAD_RATING_MAX: u8 = 2;

/// The highest number of a detractor, who causes an alert with a comment.
const DETRACTOR_MAX: u8 = 6;

/// Whether an operator should see the answer.
fn is_bad(answer: &Answer) -> bool {
    let is_detractor = answer.recommend.is_some_and(|it| it <= DETRACTOR_MAX);
    answer.rating <= BAD_RATING_MAX || (is_detractor && answer.comment.is_some())
}

impl Desk {
    /// Publishes the alert of a bad answer, unless an earlier attempt did. A failure is only
    /// logged: the answer stays saved, and its next form tries again.
    pub(crate) async fn alert(&self, event: &Event, answer: &Answer, invocation: Invocation) {
        let Some(topic) = &self.alerts else {
            return;
        };
        if !is_bad(answer) {
            return;
        }
        if let Err(error) = self.publish(topic, event, answer, invocation).await {
            count(Count::AlertFailed);
            tracing::error!(event.key = %event.key, "No alert of a bad answer: {error:#}");
        }
    }

    async fn publish(
        &self,
        topic: &Topic,
        event: &Event,
        answer: &Answer,
        invocation: Invocation,
    ) -> anyhow::Result<()> {
        if !may_claim(invocation) {
            return Err(anyhow!("no time is left"));
        }
        let lease = match self.ledger.claim(event, RECORD, invocation).await? {
            Claim::Granted(lease) => lease,
            Claim::Settled | Claim::Taken { .. } | Claim::Early { .. } => return Ok(()),
        };
        let unpublished = match topic.publish(alert(event, answer)).await {
            Ok(id) => return lease.settle(Status::Done, &id).await,
            Err(unpublished) => unpublished,
        };
        let reason = unpublished.to_string();
        match unpublished {
            Unpublished::Refused(_) => lease.settle(Status::Failed, &reason).await?,
            Unpublished::Misconfigured(_) => {
                let until = invocation.now().checked_add(MEND_PAUSE).ok();
                lease.release(&reason, until).await?;
            }
            Unpublished::ForNow(_) => lease.release(&reason, None).await?,
        }
        Err(anyhow!(reason))
    }
}

/// Names the use, and where to read more. The comment may contain anything, so the alert does not
/// repeat it.
fn alert(event: &Event, answer: &Answer) -> Alert {
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
         /dashboard/coupons/{}\n",
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
        in_path(event.key.coupon()),
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

/// A coupon's key as a part of a path.
fn in_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' => path.push(char::from(byte)),
            it if it.is_ascii_alphanumeric() => path.push(char::from(it)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
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
    fn a_low_rating_is_bad_and_so_is_a_detractor_who_says_why() {
        let check = |answer: Answer, expected: bool| {
            assert_eq!(is_bad(&answer), expected, "{answer:?}");
        };
        check(answer(1, None, None), true);
        check(answer(2, Some(10), None), true);
        check(answer(3, None, Some("Frio")), false);
        check(answer(5, Some(6), Some("Frio")), true);
        check(answer(5, Some(6), None), false);
        check(answer(5, Some(7), Some("Bom")), false);
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
        let alert = alert(&event, &answer(2, Some(3), Some("Sou a Maria")));
        assert_eq!(alert.subject, "Survey, rating 2 of 5, coupon CP/1");
        let expected = "\
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
/dashboard/coupons/zupy%23comp%23CP%252F1
";
        assert_eq!(alert.text, expected);
    }
}
