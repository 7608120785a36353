//! A new coupon: into the account, and to its member on every channel that reaches them.

use channels::texts::{Coupon, Occasion};
use channels::{AccountCoupon, Channel, Contact, all_of};
use futures_util::future::join_all;
use webhooks::event::{Member, Redemption};
use webhooks::ledger::{Note, Status};
use webhooks::task::Message;
use webhooks::worker::Failure;

use crate::attempt::{Attempt, DO_NOT_CONTACT, SANDBOX};
use crate::stored::Stored;

/// A redemption with a coupon to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Redeemed<'a> {
    pub(crate) attempt: Attempt<'a>,
    pub(crate) redemption: &'a Redemption,
}

/// The member who gets a coupon, and the coupon's row in the account.
struct Recipient {
    member: Member,
    do_not_contact: bool,
    in_account: AccountCoupon,
}

impl Redeemed<'_> {
    /// Brings a new coupon into the account, and to its member on every channel that reaches them.
    pub(crate) async fn deliver(&self, message: &Message<'_>) -> Result<(), Failure> {
        let Attempt {
            delivery, event, ..
        } = self.attempt;
        // Writes the coupon to the account before reading the contact. So if a redemption and an
        // enrolment come together, the later one sees the earlier one.
        let mut open = Channel::ALL.to_vec();
        let coupon = coupon(&event.member, self.redemption);
        open.retain(|channel| {
            delivery
                .channels
                .is_open(*channel, Occasion::Redeemed, &coupon)
        });
        let then: Vec<_> = open.iter().map(|channel| channel.record()).collect();
        // If the event has no address for a channel, marks the coupon, so that an enrolment finds
        // it. A placeholder such as `n/a` is no address.
        let stated =
            Contact::default().complete(&event.member.id, [(&event.member, event.occurred_at)]);
        let mut channels = open.iter();
        let stored = Stored {
            attempt: self.attempt,
            then: &then,
            waits_for_contact: channels.any(|channel| channel.address(&stated).is_none()),
        };
        stored.store().await?;
        let contact = delivery.members.contact(event).await?;
        open.retain(|channel| message.asks_for(channel.record()));
        self.send(&open, &contact).await
    }

    /// Sends a coupon on these channels, all at the same time.
    pub(crate) async fn send(
        &self,
        channels: &[Channel],
        contact: &Contact,
    ) -> Result<(), Failure> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        if channels.is_empty() {
            return Ok(());
        }
        // Reads the coupon's state at the last moment before the first channel.
        let code = &self.redemption.coupon_code;
        let in_account = delivery.members.coupon(event, code, invocation.now());
        let mut in_account = in_account.await?;
        in_account.expires_at = in_account.expires_at.or(self.redemption.expires_at);
        let to = Recipient {
            member: contact.complete(&event.member.id, [(&event.member, event.occurred_at)]),
            do_not_contact: contact.do_not_contact,
            in_account,
        };
        let sends = channels.iter().map(|channel| self.send_on(*channel, &to));
        all_of(join_all(sends).await)
    }

    async fn send_on(&self, channel: Channel, to: &Recipient) -> Result<(), Failure> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        let member = &to.member;
        let mut coupon = coupon(member, self.redemption);
        coupon.expires_at = to.in_account.expires_at;
        let open = &delivery.channels;
        if !open.is_open(channel, Occasion::Redeemed, &coupon) {
            return Ok(());
        }
        let note = |note| self.attempt.note(channel.record(), note);
        if to.do_not_contact {
            return Ok(note(Note::new(Status::Skipped, DO_NOT_CONTACT)).await?);
        }
        if member.email.is_none() && member.phone.is_none() {
            return Ok(note(Note::new(Status::Waiting, "no contact")).await?);
        }
        let Some(address) = channel.address(member) else {
            return Ok(note(Note::new(Status::Waiting, channel.without_address())).await?);
        };
        if event.sandbox {
            let mut sandbox = Note::new(Status::Skipped, SANDBOX);
            sandbox.would_send = Some(open.written(channel, event, &coupon, address));
            return Ok(note(sandbox).await?);
        }
        let effect = self.attempt.effect(channel.record());
        if let Err(reason) = to.in_account.is_usable(invocation.now()) {
            return effect.skip(&reason).await;
        }
        effect
            .make(async || {
                open.send(channel, Occasion::Redeemed, event, &coupon, address)
                    .await
            })
            .await
    }
}

/// A coupon as messages show it.
pub(crate) fn coupon<'a>(member: &'a Member, redemption: &'a Redemption) -> Coupon<'a> {
    Coupon {
        name: member.name.as_deref(),
        code: &redemption.coupon_code,
        reward: &redemption.reward,
        discount: redemption.discount.as_ref(),
        expires_at: redemption.expires_at,
    }
}
