//! Reminds a member of a coupon that expires soon, on the best channel that reaches them.

use channels::texts::Occasion;
use channels::time::{SEND, has_time};
use channels::{Channel, NO_TIME, Outcome, recorded_redemption, settle_skipped};
use webhooks::event::{EventKey, Notice, Redemption, Reward};
use webhooks::worker::Failure;

use crate::attempt::{Attempt, DO_NOT_CONTACT, REMINDER, SANDBOX};
use crate::redemption::coupon;

/// A notice of a coupon that expires soon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reminder<'a> {
    pub(crate) attempt: Attempt<'a>,
    pub(crate) notice: &'a Notice,
}

/// The outcome of a reminder.
enum Reminded {
    Sent(Outcome),
    NotAtAll(String),
}

impl Reminder<'_> {
    /// Reminds the member, unless an earlier attempt did.
    pub(crate) async fn remind(&self) -> Result<(), Failure> {
        let effect = self.attempt.effect(REMINDER);
        let Some(lease) = effect.claim().await? else {
            return Ok(());
        };
        match self.try_to_remind().await {
            Ok(Reminded::Sent(outcome)) => effect.settle(lease, outcome).await,
            Ok(Reminded::NotAtAll(reason)) => Ok(settle_skipped(lease, &reason).await?),
            Err(error) => {
                lease.release("not tried", None).await?;
                Err(error.into())
            }
        }
    }

    async fn try_to_remind(&self) -> anyhow::Result<Reminded> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        let (notice, now) = (self.notice, invocation.now());
        let in_account = delivery.members.coupon(event, &notice.coupon_code, now);
        let mut in_account = in_account.await?;
        // The account follows the latest notice, which may not be this one.
        in_account.expires_at = in_account.expires_at.or(notice.expires_at);
        if let Err(reason) = in_account.is_usable(now) {
            return Ok(Reminded::NotAtAll(reason));
        }
        let contact = delivery.members.contact(event).await?;
        if contact.do_not_contact {
            return Ok(Reminded::NotAtAll(DO_NOT_CONTACT.into()));
        }
        // The redemption holds more fields of the reward, and in v1 more of the member.
        let key = EventKey::redeemed(&event.provider, &event.tenant, &notice.coupon_code);
        let mut statements = vec![(event.member.clone(), event.occurred_at)];
        let redemption = match recorded_redemption(&delivery.ledger, &key, now).await? {
            Some(recorded) => {
                statements.push((recorded.member, recorded.redeemed_at));
                recorded.redemption
            }
            None => of_notice(notice),
        };
        let statements = statements.iter().map(|(member, at)| (member, *at));
        let member = contact.complete(&event.member.id, statements);
        let mut coupon = coupon(&member, &redemption);
        coupon.expires_at = in_account.expires_at.or(coupon.expires_at);
        if event.sandbox {
            return Ok(Reminded::NotAtAll(SANDBOX.into()));
        }
        let mut refused = None;
        for channel in Channel::BEST_FIRST {
            let Some(address) = channel.address(&member) else {
                continue;
            };
            let open = &delivery.channels;
            if !open.is_open(channel, Occasion::Expiring, &coupon) {
                continue;
            }
            anyhow::ensure!(has_time(invocation, SEND), NO_TIME);
            let sent = open.send(channel, Occasion::Expiring, event, &coupon, address);
            match sent.await? {
                // The next best channel may accept it.
                Outcome::Refused(reason) => refused = Some(Outcome::Refused(reason)),
                outcome => return Ok(Reminded::Sent(outcome)),
            }
        }
        Ok(match refused {
            Some(refused) => Reminded::Sent(refused),
            None => Reminded::NotAtAll("no contact".into()),
        })
    }
}

/// The fields of a redemption that a notice holds.
fn of_notice(notice: &Notice) -> Redemption {
    Redemption {
        coupon_code: notice.coupon_code.clone(),
        reward: Reward {
            name: notice.reward_name.clone(),
            ..Reward::default()
        },
        expires_at: notice.expires_at,
        ..Redemption::default()
    }
}
