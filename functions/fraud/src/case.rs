//! A coupon under check, with the batch's messages about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use webhooks::event::{Fact, member_key};
use webhooks::fraud::RECORD;
use webhooks::task::Message;

use crate::coupon::{Coupon, KnownEvent};
use crate::history::{MemberHistory, Redeemed};

/// A coupon under check.
pub(crate) struct Case<'a> {
    /// The coupon's events in the batch, with the numbers of their messages.
    pub(crate) own: Vec<(usize, &'a Message<'static>)>,
    /// Messages that ask for some alerts of the coupon's events alone, with their numbers. A case
    /// with nothing else needs no check.
    pub(crate) named: Vec<(usize, &'a Message<'static>)>,
    /// The messages of other coupons that wait for this coupon.
    pub(crate) awaited_by: BTreeSet<usize>,
    /// Whether its redemption may be one too many: it was just redeemed, or another coupon of the
    /// member was.
    pub(crate) counts: bool,
    /// The member, and the redemption in the member's history, if other coupons of the member cause
    /// the check.
    pub(crate) listed_as: Option<(String, Redeemed)>,
    /// Whether its redemption is in the member's history.
    pub(crate) is_in_history: bool,
    /// Whether it concerns more coupons of the member than a batch adds.
    pub(crate) has_more: bool,
    /// Whether the member's history has it as settled, and it needs a new alert.
    pub(crate) is_open_again: bool,
    /// Whether it needs an alert that another message publishes.
    pub(crate) owes_alerts: bool,
    pub(crate) version: Option<String>,
    pub(crate) coupon: Coupon,
    /// The member's redemptions around the time of this one, shared by all coupons of the member.
    pub(crate) member: Option<Arc<MemberHistory>>,
    pub(crate) state: State,
}

pub(crate) enum State {
    /// The next round reads it.
    New,
    /// Fraud has read its events and records.
    Read,
    /// All of its records are correct.
    UpToDate,
    Failed(anyhow::Error),
    /// SNS refuses alerts until an operator repairs something. SQS delivers the message again after
    /// this delay.
    AlertsBlocked(anyhow::Error, Duration),
    /// DynamoDB will never accept its changes.
    GivenUp(anyhow::Error),
}

impl<'a> Case<'a> {
    pub(crate) fn new() -> Self {
        Self {
            own: Vec::new(),
            named: Vec::new(),
            awaited_by: BTreeSet::new(),
            counts: false,
            listed_as: None,
            is_in_history: false,
            has_more: false,
            is_open_again: false,
            owes_alerts: false,
            version: None,
            coupon: Coupon::default(),
            member: None,
            state: State::New,
        }
    }

    pub(crate) fn of_all(messages: &'a [Message<'static>]) -> BTreeMap<String, Self> {
        let mut cases: BTreeMap<String, Self> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let key = message.event.key.coupon().to_owned();
            let case = cases.entry(key).or_insert_with(Self::new);
            match message.asks_for(RECORD) {
                true => case.own.push((index, message)),
                false => case.named.push((index, message)),
            }
            case.counts = case.is_redeemed_now();
        }
        cases
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::New | State::Read)
    }

    pub(crate) fn is_read(&self) -> bool {
        matches!(self.state, State::Read)
    }

    pub(crate) fn is_up_to_date(&self) -> bool {
        matches!(self.state, State::UpToDate)
    }

    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.state = State::Failed(anyhow!("{error:#}"));
    }

    /// Whether its redemption is one of the batch's events, which itself causes the check.
    pub(crate) fn is_redeemed_now(&self) -> bool {
        let mut own = self.own.iter();
        own.any(|(_, message)| matches!(message.event.fact, Fact::Redeemed(_)))
    }

    /// Whether fraud checks the coupon's records. Otherwise it only publishes the alerts that
    /// messages name.
    pub(crate) fn is_checked(&self) -> bool {
        !self.own.is_empty() || self.listed_as.is_some() || self.named.is_empty()
    }

    /// Whether a message of this event names this alert.
    pub(crate) fn names(&self, entry: &str, alert: &str) -> bool {
        let mut named = self.named.iter();
        named.any(|(_, it)| it.event.key.entry() == entry && it.asks_for(alert))
    }

    /// Whether the message with this number is about the coupon itself.
    pub(crate) fn has_message(&self, index: usize) -> bool {
        let mut messages = self.own.iter().chain(&self.named);
        messages.any(|(number, _)| *number == index)
    }

    pub(crate) fn is_own(&self, entry: &str) -> bool {
        self.own
            .iter()
            .any(|(_, message)| message.event.key.entry() == entry)
    }

    /// The member's key and the redemption, if the redemption needs a check.
    pub(crate) fn redeemed(&self) -> Option<(&KnownEvent, String, Redeemed)> {
        let redemption = self.coupon.redemption().filter(|_| self.counts)?;
        let known = self.coupon.known(redemption.key.entry())?;
        let member = member_key(
            &redemption.provider,
            &redemption.tenant,
            &redemption.member.id,
        );
        let redeemed = Redeemed {
            at: redemption.occurred_at,
            coupon: redemption.key.coupon().into(),
            is_settled: false,
        };
        Some((known, member, redeemed))
    }

    /// The member's redemptions around the time of this one, by time.
    pub(crate) fn history(&self) -> &[Redeemed] {
        let member = self.member.as_deref();
        member.map_or(&[], |member| &member.redemptions)
    }
}
