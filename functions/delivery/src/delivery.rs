//! Who is told of an event, and how: each channel is recorded by itself, so that one that fails or repeats never touches
//! another.

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use channels::message::{Coupon, Occasion};
use channels::time::{SEND, has_time};
use channels::{
    AccountCoupon, Channel, Channels, Contact, Members, NO_TIME, Outcome, OutsideEffect, WAITS,
    all_of, settle_skipped,
};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Event, EventKey, Fact, Member, Notice, Redemption, Reward};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Committed, Effects, Ledger, Note, Row, Status, Uncommitted, read_event};
use webhooks::task::Message;
use webhooks::worker::{Failure, Work};

use crate::account;
use crate::forwarded::{self, Untellable};
use crate::game_server::GameServer;
use crate::granted::Granted;
use crate::items::{Brought, Detail};

/// Names of records beneath the event; a channel's is [`Channel::record`].
pub(crate) const ACCOUNT: &str = "delivery/account";
const REMINDER: &str = "delivery/reminder";
const GRANT: &str = "delivery/grant";
const FORWARD: &str = "delivery/forward";

const SANDBOX: &str = "a sandbox or test event: not sent";
const DO_NOT_CONTACT: &str = "do not contact";
const TOO_MANY: &str = "the quantity of an item does not fit 64 bits";

/// Delivers what a message tells.
#[derive(Debug)]
pub struct Delivery {
    pub(crate) ledger: Ledger,
    pub(crate) members: Members,
    channels: Channels,
    game_server: Option<GameServer>,
    /// Whether a redemption's items are recorded for its player.
    grants: bool,
}

impl Delivery {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let grants = match environment.text("GRANT").as_str() {
            "on" => true,
            "off" | "" => false,
            other => {
                environment.problem(format!("GRANT is {other:?}, it must be on or off"));
                false
            }
        };
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            members: Members::read(environment, aws),
            channels: Channels::read(environment, aws),
            game_server: GameServer::read(environment, aws),
            grants,
        }
    }
}

impl Work for Delivery {
    type Message = Message<'static>;

    async fn start(&self) -> anyhow::Result<()> {
        match &self.game_server {
            Some(server) => server.start().await,
            None => Ok(()),
        }
    }

    async fn work(&self, message: Message<'static>, invocation: Invocation) -> Result<(), Failure> {
        let event = message.event.as_ref();
        match &event.fact {
            Fact::Redeemed(redemption) if redemption.reward.items.is_empty() => {
                self.deliver(&message, redemption, invocation).await
            }
            Fact::Redeemed(redemption) => self.bring_items(&message, redemption, invocation).await,
            Fact::Expiring(notice) => {
                self.store(event, &[REMINDER], false, invocation).await?;
                self.remind(event, notice, invocation).await
            }
            Fact::Enrolled => self.enrol(event, invocation).await,
            Fact::Used(_) | Fact::Cancelled(_) | Fact::Expired(_) => {
                Ok(self.store(event, &[], false, invocation).await?)
            }
        }
    }
}

impl Delivery {
    /// Brings a new coupon into the account, and to its member on every channel that reaches them.
    async fn deliver(
        &self,
        message: &Message<'_>,
        redemption: &Redemption,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        let event = message.event.as_ref();
        // The coupon is in the account before the contact is looked for: whichever of a redemption and an enrolment comes
        // second sees the other.
        let coupon = coupon(&event.member, redemption);
        let mut open = Channel::ALL.to_vec();
        open.retain(|channel| self.channels.is_open(*channel, Occasion::Redeemed, &coupon));
        let then: Vec<_> = open.iter().map(|channel| channel.record()).collect();
        // Where the event itself has no address for a channel, the coupon is marked, so that an enrolment finds it.
        let mut channels = open.iter();
        let waits = channels.any(|channel| channel.address(&event.member).is_none());
        self.store(event, &then, waits, invocation).await?;
        let contact = self.members.contact(event).await?;
        open.retain(|channel| message.asks_for(channel.record()));
        self.send(event, redemption, &open, &contact, invocation)
            .await
    }

    /// Shows in the account what became of the coupon or of its expiry, and whether it may wait for its member's contact; `then` are the
    /// records that follow.
    async fn store(
        &self,
        event: &Event,
        then: &[&str],
        waits_for_contact: bool,
        invocation: Invocation,
    ) -> Result<(), Uncommitted> {
        let times = self.times(event, invocation);
        let record = || Effects::new(event, ACCOUNT).fields(following(then));
        for change in account::changes(&self.members.table, event, &times) {
            let change = match waits_for_contact {
                true => change.set(WAITS, AttributeValue::Bool(true)),
                false => change,
            };
            match self
                .ledger
                .commit(record().change(change), invocation)
                .await?
            {
                Committed::Now => {
                    tracing::info!(event.key = %event.key, "Stored in the account");
                    return Ok(());
                }
                Committed::Before => return Ok(()),
                Committed::Overtaken => {}
            }
        }
        // The account shows something later already, or what is forgotten.
        if self
            .renew(event, then, waits_for_contact, invocation)
            .await?
        {
            return Ok(());
        }
        if !account::may_be_overtaken(&event.fact) {
            let changed = anyhow!("the coupon's row in the account changed at the same time");
            return Err(Uncommitted::ForNow(changed));
        }
        // This leaves its record alone.
        self.ledger.commit(record(), invocation).await?;
        Ok(())
    }

    fn times(&self, event: &Event, invocation: Invocation) -> account::Times {
        let now = invocation.now();
        let forget_at = self.ledger.coupon_forgotten_from(event, now);
        account::Times { now, forget_at }
    }

    /// Shows the coupon in place of one whose row is forgotten and not deleted yet. Returns whether there was one.
    async fn renew(
        &self,
        event: &Event,
        then: &[&str],
        waits_for_contact: bool,
        invocation: Invocation,
    ) -> Result<bool, Uncommitted> {
        let times = self.times(event, invocation);
        let Some(renewal) = account::renewal(&self.members.table, event, &times) else {
            return Ok(false);
        };
        let renewal = match waits_for_contact {
            true => renewal.set(WAITS, AttributeValue::Bool(true)),
            false => renewal.remove(WAITS),
        };
        let effects = Effects::new(event, ACCOUNT).fields(following(then));
        let committed = self.ledger.commit(effects.change(renewal), invocation);
        Ok(committed.await? != Committed::Overtaken)
    }

    /// Sends a coupon on these channels, all at once.
    pub(crate) async fn send(
        &self,
        event: &Event,
        redemption: &Redemption,
        channels: &[Channel],
        contact: &Contact,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        if channels.is_empty() {
            return Ok(());
        }
        let to = Recipient {
            member: contact.complete(&event.member.id, [(&event.member, event.occurred_at)]),
            do_not_contact: contact.do_not_contact,
        };
        // What has become of the coupon since it was redeemed, at the last moment before the first channel is tried.
        let mut in_account = self
            .members
            .coupon(event, &redemption.coupon_code, invocation.now())
            .await?;
        in_account.expires_at = in_account.expires_at.or(redemption.expires_at);
        let sends = channels
            .iter()
            .map(|channel| self.send_on(*channel, event, redemption, &to, &in_account, invocation));
        all_of(join_all(sends).await)
    }

    async fn send_on(
        &self,
        channel: Channel,
        event: &Event,
        redemption: &Redemption,
        to: &Recipient,
        in_account: &AccountCoupon,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        let member = &to.member;
        let mut coupon = coupon(member, redemption);
        coupon.expires_at = in_account.expires_at;
        if !self.channels.is_open(channel, Occasion::Redeemed, &coupon) {
            return Ok(());
        }
        let note = |note| self.ledger.note(event, channel.record(), note, invocation);
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
            sandbox.would_send = Some(self.channels.written(channel, event, &coupon, address));
            return Ok(note(sandbox).await?);
        }
        if let Err(reason) = in_account.is_usable(invocation.now()) {
            let effect = self.effect(event, channel.record(), invocation);
            return effect.skip(&reason).await;
        }
        self.effect(event, channel.record(), invocation)
            .make(async || {
                self.channels
                    .send(channel, Occasion::Redeemed, event, &coupon, address)
                    .await
            })
            .await
    }

    /// Reminds a member of a coupon that expires soon, on the best channel that reaches them.
    async fn remind(
        &self,
        event: &Event,
        notice: &Notice,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        let effect = self.effect(event, REMINDER, invocation);
        let Some(lease) = effect.claim().await? else {
            return Ok(());
        };
        match self.try_to_remind(event, notice, invocation).await {
            Ok(Reminded::Sent(outcome)) => effect.settle(lease, outcome).await,
            Ok(Reminded::NotAtAll(reason)) => Ok(settle_skipped(lease, &reason).await?),
            Err(error) => {
                lease.release("not tried", None).await?;
                Err(error.into())
            }
        }
    }

    async fn try_to_remind(
        &self,
        event: &Event,
        notice: &Notice,
        invocation: Invocation,
    ) -> anyhow::Result<Reminded> {
        let mut in_account = self
            .members
            .coupon(event, &notice.coupon_code, invocation.now())
            .await?;
        // The account follows the latest notice, which may be another one.
        in_account.expires_at = in_account.expires_at.or(notice.expires_at);
        if let Err(reason) = in_account.is_usable(invocation.now()) {
            return Ok(Reminded::NotAtAll(reason));
        }
        let contact = self.members.contact(event).await?;
        if contact.do_not_contact {
            return Ok(Reminded::NotAtAll(DO_NOT_CONTACT.into()));
        }
        // What was redeemed tells more of the reward, and in v1 of the member.
        let key = EventKey::redeemed(&event.provider, &event.tenant, &notice.coupon_code);
        let mut told = vec![(event.member.clone(), event.occurred_at)];
        let redemption = match self.redemption(&key, invocation.now()).await? {
            Some((redemption, member, redeemed_at)) => {
                told.push((member, redeemed_at));
                redemption
            }
            None => of_notice(notice),
        };
        let told = told.iter().map(|(member, at)| (member, *at));
        let member = contact.complete(&event.member.id, told);
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
            if !self.channels.is_open(channel, Occasion::Expiring, &coupon) {
                continue;
            }
            anyhow::ensure!(has_time(invocation, SEND), NO_TIME);
            match self
                .channels
                .send(channel, Occasion::Expiring, event, &coupon, address)
                .await?
            {
                // The next best may take it.
                Outcome::Refused(reason) => refused = Some(Outcome::Refused(reason)),
                outcome => return Ok(Reminded::Sent(outcome)),
            }
        }
        Ok(match refused {
            Some(refused) => Reminded::Sent(refused),
            None => Reminded::NotAtAll("no contact".into()),
        })
    }

    /// A redemption of in-game items: recorded for the player, and told to the game's server, where that is asked for.
    async fn bring_items(
        &self,
        message: &Message<'_>,
        redemption: &Redemption,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        let event = message.event.as_ref();
        let grant = async {
            match message.asks_for(GRANT) {
                true => self.grant(event, redemption, invocation).await,
                false => Ok(()),
            }
        };
        let forward = async {
            match message.asks_for(FORWARD) {
                true => self.forward(event, redemption, invocation).await,
                false => Ok(()),
            }
        };
        let (granted, told) = tokio::join!(grant, forward);
        all_of([granted, told])
    }

    async fn grant(
        &self,
        event: &Event,
        redemption: &Redemption,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        let then: &[&str] = match &self.game_server {
            Some(_) => &[FORWARD],
            None => &[],
        };
        let end = |status, reason, would_send| Note {
            would_send,
            then: then.join(" "),
            ..Note::new(status, reason)
        };
        let skip = |reason, would_send| end(Status::Skipped, reason, would_send);
        let note = |note| self.ledger.note(event, GRANT, note, invocation);
        if !self.grants {
            return Ok(note(skip("off: Aghanim's item.add credits the items", None)).await?);
        }
        let fail = |reason| {
            tracing::error!(event.key = %event.key, record = GRANT, reason, "Never to be delivered");
            note(end(Status::Failed, reason, None))
        };
        let Ok(brought) = Brought::of(&redemption.reward.items, Detail::Named) else {
            return Ok(fail(TOO_MANY).await?);
        };
        let Some(granted) = Granted::of(&brought) else {
            return Ok(fail("more items than a row of the player's account holds").await?);
        };
        if event.sandbox {
            let Brought { items, bundles } = brought;
            let would_send = json!({"items": items, "bundles": bundles});
            return Ok(note(skip(SANDBOX, Some(would_send))).await?);
        }
        let grant = granted.change(&self.members, event, &redemption.coupon_code);
        let forget_at = self.ledger.forget_at(event, invocation.now());
        let effects = Effects::new(event, GRANT).fields(following(then));
        let effects = effects.change(grant.set("ttl", forget_at));
        self.ledger.commit(effects, invocation).await?;
        Ok(())
    }

    async fn forward(
        &self,
        event: &Event,
        redemption: &Redemption,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        let Some(server) = &self.game_server else {
            return Ok(());
        };
        let note = |note| self.ledger.note(event, FORWARD, note, invocation);
        let fail = |reason| {
            tracing::error!(event.key = %event.key, record = FORWARD, reason, "Never to be delivered");
            note(Note::new(Status::Failed, reason))
        };
        let body = match forwarded::body(event, redemption) {
            Ok(body) => body,
            Err(Untellable::TooMany) => return Ok(fail(TOO_MANY).await?),
            Err(Untellable::TooLong) => {
                return Ok(fail("more items than a request to the game's server holds").await?);
            }
        };
        if event.sandbox {
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let mut sandbox = Note::new(Status::Skipped, SANDBOX);
            sandbox.would_send = Some(json!({"url": server.url(), "body": body}));
            return Ok(note(sandbox).await?);
        }
        self.effect(event, FORWARD, invocation)
            .make(async || server.tell(event, body, invocation).await)
            .await
    }

    fn effect<'a>(
        &'a self,
        event: &'a Event,
        record: &'a str,
        invocation: Invocation,
    ) -> OutsideEffect<'a> {
        OutsideEffect {
            ledger: &self.ledger,
            event,
            record,
            invocation,
        }
    }

    /// A recorded event, as today's code reads it.
    pub(crate) async fn event(
        &self,
        key: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<Option<Event>> {
        let recorded = self.ledger.row(key.coupon(), key.entry(), now).await?;
        let Some(recorded) = recorded else {
            return Ok(None);
        };
        let recorded = self.ledger.whole(recorded).await?;
        Ok(read_event(&recorded))
    }

    /// What was redeemed, by whom, and when.
    async fn redemption(
        &self,
        key: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<Option<(Redemption, Member, Timestamp)>> {
        Ok(match self.event(key, now).await? {
            Some(Event {
                member,
                occurred_at,
                fact: Fact::Redeemed(redemption),
                ..
            }) => Some((redemption, member, occurred_at)),
            _ => None,
        })
    }
}

/// Whom a coupon goes to.
struct Recipient {
    member: Member,
    do_not_contact: bool,
}

/// What came of a reminder.
enum Reminded {
    Sent(Outcome),
    NotAtAll(String),
}

/// The field of a record that names those that follow it, so that it can be seen whether all is done.
fn following(then: &[&str]) -> Row {
    let mut row = Row::default();
    row.set("then", (!then.is_empty()).then(|| then.join(" ")));
    row
}

/// What a message tells of a coupon.
fn coupon<'a>(member: &'a Member, redemption: &'a Redemption) -> Coupon<'a> {
    Coupon {
        name: member.name.as_deref(),
        code: &redemption.coupon_code,
        reward: &redemption.reward,
        discount: redemption.discount.as_ref(),
        expires_at: redemption.expires_at,
    }
}

/// As much of a redemption as a notice tells.
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
