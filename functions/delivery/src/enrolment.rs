//! A member enrols: writes the contact, and sends the coupons that waited for it.
//!
//! A walk over the waiting coupons may take more than one invocation. A coupon that no longer waits
//! gets a mark, and no further visit. The enrolment's record stores how far the walk has come.

use std::time::Duration;

use anyhow::anyhow;
use channels::time::{CLAIM, SEND, has_time};
use channels::{AccountCoupon, Channel, Contact, all_of, from_until, recorded_event};
use webhooks::config::CallLimits;
use webhooks::event::{EventKey, Fact};
use webhooks::ledger::{Attached, Committed, Effects, Item, Ledger, Progress, Status};
use webhooks::record::delivery::CONTACT;
use webhooks::worker::Failure;

use crate::attempt::{ACCOUNT, Attempt};
use crate::redemption::Redeemed;

/// The time for one visit: to read a coupon's event and its row in the account, to claim, and to
/// send. An attempt tries the channels at the same time.
const VISIT: Duration = CallLimits::TASK
    .call
    .saturating_add(CallLimits::TASK.call)
    .saturating_add(CLAIM)
    .saturating_add(SEND);

/// The delay before a walk that made progress goes on.
const GOES_ON_AFTER: Duration = Duration::from_secs(1);

/// How many attempts in a row may reach no coupon. These attempts take hours, because the delay
/// between two of them grows.
const FRUITLESS_MAX: u32 = 30;

/// An enrolment, or an update of a member's contact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Enrolment<'a> {
    pub(crate) attempt: Attempt<'a>,
}

impl Enrolment<'_> {
    /// Keeps a member's contact, and sends the coupons that waited for it.
    pub(crate) async fn enrol(&self) -> Result<(), Failure> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        let keep = Effects::new(event, CONTACT).change(delivery.members.keep_contact(event));
        if delivery.ledger.commit(keep, invocation).await? == Committed::Overtaken {
            // If the member has a later contact, this note leaves that contact's record alone.
            delivery
                .ledger
                .commit(Effects::new(event, CONTACT), invocation)
                .await?;
        }
        let (contact, before) = tokio::try_join!(
            delivery.members.contact(event),
            delivery.ledger.progress(event, CONTACT, invocation.now())
        )?;
        let mut walk = Walk {
            at: before.clone(),
            visited: 0,
            failure: None,
        };
        match self.walk(&contact, &mut walk).await? {
            Walked::ToTheEnd => {
                if before != Progress::default() {
                    let done = Progress::default();
                    delivery
                        .ledger
                        .advance(event, CONTACT, &before, &done)
                        .await?;
                }
                match (walk.failure, walk.at.failed) {
                    (Some(failure), _) => Err(failure),
                    (None, true) => Err(anyhow!("coupons before these could not be sent").into()),
                    (None, false) => Ok(()),
                }
            }
            Walked::UntilTheTimeWasUp => {
                let is_further = walk.at.after != before.after;
                walk.at.fruitless = if is_further { 0 } else { before.fruitless + 1 };
                delivery
                    .ledger
                    .advance(event, CONTACT, &before, &walk.at)
                    .await?;
                Err(match walk.failure {
                    _ if is_further => Failure::Early(GOES_ON_AFTER),
                    _ if walk.at.fruitless >= FRUITLESS_MAX => Failure::Permanent(anyhow!(
                        "{FRUITLESS_MAX} attempts in a row reached no coupon before their time was up"
                    )),
                    Some(failure) => failure,
                    None => anyhow!("the time was up before a coupon was reached").into(),
                })
            }
        }
    }

    /// Visits the waiting coupons one after another, from the place that the walk has reached. The
    /// walk always visits the first one, so that a slow walk makes progress too. Each step checks
    /// the time that it has.
    async fn walk(&self, contact: &Contact, walk: &mut Walk) -> Result<Walked, Failure> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        loop {
            let page = delivery
                .members
                .waiting(event, walk.at.after.as_deref(), invocation.now())
                .await?;
            for coupon in page.coupons {
                if walk.visited > 0 && !has_time(invocation, VISIT) {
                    return Ok(Walked::UntilTheTimeWasUp);
                }
                if let Err(failure) = self.visit(&coupon, contact).await {
                    walk.fail(failure);
                    if !has_time(invocation, CLAIM + SEND) {
                        return Ok(Walked::UntilTheTimeWasUp);
                    }
                    walk.at.failed = true;
                }
                walk.visited += 1;
                walk.at.after = Some(coupon.entry);
            }
            let Some(next) = page.next else {
                return Ok(Walked::ToTheEnd);
            };
            walk.at.after = Some(next);
            if !has_time(invocation, VISIT) {
                return Ok(Walked::UntilTheTimeWasUp);
            }
        }
    }

    async fn visit(&self, coupon: &AccountCoupon, contact: &Contact) -> Result<(), Failure> {
        let Attempt {
            delivery,
            event,
            invocation,
        } = self.attempt;
        let waits = match (&coupon.event, coupon.is_usable(invocation.now())) {
            (Some(key), Ok(())) => self.send_late(key, contact).await?,
            (Some(key), Err(reason)) => {
                self.abandon(key, &reason).await?;
                false
            }
            (None, _) => false,
        };
        if !waits {
            delivery.members.stop_waiting(event, &coupon.entry).await?;
        }
        Ok(())
    }

    /// Sends a coupon that waited for its member's contact. Sent messages stay, and a channel that
    /// the redemption closed stays closed. Returns whether the coupon still waits for an address.
    async fn send_late(&self, key: &EventKey, contact: &Contact) -> Result<bool, Failure> {
        let Attempt {
            delivery,
            invocation,
            ..
        } = self.attempt;
        let record = key.beneath(ACCOUNT);
        let now = invocation.now();
        let (stored, redeemed) = tokio::try_join!(
            delivery.ledger.row(key.coupon(), &record, now),
            recorded_event(&delivery.ledger, key, now)
        )?;
        let then = stored.as_ref().and_then(|row| row.get("then")?.as_s().ok());
        let meant = |channel: &Channel| {
            let mut names = then.into_iter().flat_map(|names| names.split(' '));
            names.any(|name| name == channel.record())
        };
        let channels: Vec<_> = Channel::ALL.into_iter().filter(meant).collect();
        let Some(event) = redeemed else {
            return Ok(false);
        };
        let Fact::Redeemed(redemption) = &event.fact else {
            return Ok(false);
        };
        let attempt = Attempt {
            event: &event,
            ..self.attempt
        };
        let redeemed = Redeemed {
            attempt,
            redemption,
        };
        redeemed.send(&channels, contact).await?;
        let member = contact.complete(&event.member.id, [(&event.member, event.occurred_at)]);
        let mut channels = channels.iter();
        Ok(!contact.do_not_contact && channels.any(|channel| channel.address(&member).is_none()))
    }

    /// Ends effects that an earlier attempt began for a coupon that has ended since.
    async fn abandon(&self, key: &EventKey, reason: &str) -> Result<(), Failure> {
        let Attempt {
            delivery,
            invocation,
            ..
        } = self.attempt;
        let (ledger, now) = (&delivery.ledger, invocation.now());
        let keys: Vec<_> = Channel::ALL
            .iter()
            .map(|it| ledger.row_key(key.coupon(), key.beneath(it.record())))
            .collect();
        let fields = ["entry", "status", "waited_for"];
        let mut rows = ledger.rows(&keys, &fields, now).await?;
        rows.retain(Ledger::has_begun_after_waiting);
        if rows.is_empty() {
            return Ok(());
        }
        // If the event is no longer readable, the effects end without a count.
        let event = recorded_event(ledger, key, now).await?;
        let attempt = event.as_ref().map(|event| Attempt {
            event,
            ..self.attempt
        });
        let mut outcomes = Vec::new();
        for channel in Channel::ALL {
            let (record, entry) = (channel.record(), key.beneath(channel.record()));
            let is_its =
                |row: &Item| row.get("entry").and_then(|it| it.as_s().ok()) == Some(&entry);
            if !rows.iter().any(is_its) {
                continue;
            }
            let counts = match &attempt {
                Some(attempt) => attempt.counts(record, Status::Skipped).await?,
                None => Attached::default(),
            };
            let abandoned = ledger.abandon(key, record, reason, counts, invocation);
            let early = |until| Failure::Early(from_until(now, until));
            let at_it = abandoned.await?;
            outcomes.push(at_it.map_or(Ok(()), |until| Err(early(until))));
        }
        all_of(outcomes)
    }
}

/// A walk over the waiting coupons.
struct Walk {
    at: Progress,
    /// How many coupons this invocation has visited.
    visited: u32,
    /// All failures of this invocation, united.
    failure: Option<Failure>,
}

enum Walked {
    ToTheEnd,
    UntilTheTimeWasUp,
}

impl Walk {
    fn fail(&mut self, failure: Failure) {
        self.failure = Some(match self.failure.take() {
            Some(before) => before.and(failure),
            None => failure,
        });
    }
}
