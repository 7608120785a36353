//! Who is told of an event, and how: each channel is recorded by itself, so that one that fails or repeats never touches
//! another.

use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Event, EventKey, Fact, Member, Notice, Redemption, Reward};
use webhooks::invocation::Invocation;
use webhooks::ledger::{
    Claim, Committed, Effects, Lease, Ledger, Note, Row, Status, Uncommitted, read_event,
};
use webhooks::per_tenant::{PerTenant, Zones};
use webhooks::task::Message;
use webhooks::worker::{Failure, Work};

use crate::account;
use crate::channel::{Channel, NotNow, Outcome};
use crate::contact::Contact;
use crate::email_address;
use crate::forwarded::{self, Untellable};
use crate::game_server::GameServer;
use crate::items::{Brought, Detail};
use crate::members::{AccountCoupon, Granted, Members, WAITS};
use crate::message::{self, Coupon, Language, Occasion};
use crate::phone::{Country, Phone};
use crate::ses::Ses;
use crate::sms::Sms;
use crate::time::{CLAIM, SEND, has_time};
use crate::whatsapp::WhatsApp;

/// Names of records beneath the event; a channel's is [`Channel::record`].
pub(crate) const ACCOUNT: &str = "delivery/account";
const REMINDER: &str = "delivery/reminder";
const GRANT: &str = "delivery/grant";
const FORWARD: &str = "delivery/forward";

const SANDBOX: &str = "a sandbox or test event: not sent";
const DO_NOT_CONTACT: &str = "do not contact";
const NO_TIME: &str = "the time was up before it could be tried";
const TOO_MANY: &str = "the quantity of an item does not fit 64 bits";

/// The pauses after an attempt that had no answer: it may have been taken, and another would double it. Each is four
/// times the one before; a day has room for eleven.
const IN_DOUBT_FIRST: Duration = Duration::from_secs(5);
const IN_DOUBT_MAX: Duration = Duration::from_secs(4 * 3600);

/// Delivers what a message tells.
#[derive(Debug)]
pub struct Delivery {
    pub(crate) ledger: Ledger,
    pub(crate) members: Members,
    ses: Ses,
    whatsapp: Option<WhatsApp>,
    sms: Option<Sms>,
    game_server: Option<GameServer>,
    /// Whether a redemption's items are recorded for its player.
    grants: bool,
    languages: PerTenant<Language>,
    zones: Zones,
    /// Of the numbers that name no country.
    countries: PerTenant<Country>,
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
            ses: Ses::read(environment, aws),
            whatsapp: WhatsApp::read(environment, aws),
            sms: Sms::read(environment, aws),
            game_server: GameServer::read(environment, aws),
            grants,
            languages: PerTenant::read(
                environment,
                "LANGUAGES",
                Language::PtBr,
                "a language: pt-BR or en",
                Language::of_tag,
            ),
            zones: Zones::read_zones(environment),
            countries: PerTenant::read(
                environment,
                "DEFAULT_COUNTRY",
                Country::BRAZIL,
                "a country's two letters such as BR",
                Country::of_code,
            ),
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
        open.retain(|channel| self.is_open(*channel, Occasion::Redeemed, &coupon));
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
        if !self.is_open(channel, Occasion::Redeemed, &coupon) {
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
            sandbox.would_send = Some(self.written(channel, event, &coupon, address));
            return Ok(note(sandbox).await?);
        }
        if let Err(reason) = in_account.is_usable(invocation.now()) {
            return self
                .skip(event, channel.record(), &reason, invocation)
                .await;
        }
        self.make(event, channel.record(), invocation, async || {
            self.try_on(channel, Occasion::Redeemed, event, &coupon, address)
                .await
        })
        .await
    }

    /// Whether a channel is set up, and meant for this coupon.
    fn is_open(&self, channel: Channel, occasion: Occasion, coupon: &Coupon<'_>) -> bool {
        match channel {
            Channel::Email => true,
            Channel::WhatsApp => {
                let whatsapp = self.whatsapp.as_ref();
                whatsapp.is_some_and(|it| it.template(occasion).is_some())
            }
            Channel::Sms => self
                .sms
                .as_ref()
                .is_some_and(|it| it.is_worth(coupon.discount)),
        }
    }

    async fn try_on(
        &self,
        channel: Channel,
        occasion: Occasion,
        event: &Event,
        coupon: &Coupon<'_>,
        address: &str,
    ) -> anyhow::Result<Outcome> {
        let language = *self.languages.of(&event.tenant);
        let zone = self.zones.of(&event.tenant);
        let closed = || Outcome::Refused("the channel is not set up".into());
        let address = match self.in_network(channel, &event.tenant, address) {
            Ok(address) => address,
            Err(reason) => return Ok(Outcome::Refused(reason.into())),
        };
        let address = address.as_str();
        match channel {
            Channel::Email => {
                let email = message::email(language, occasion, coupon, zone);
                self.ses.send(event, address, email).await
            }
            Channel::WhatsApp => {
                let open = self.whatsapp.as_ref();
                let Some((whatsapp, template)) =
                    open.and_then(|it| Some((it, it.template(occasion)?)))
                else {
                    return Ok(closed());
                };
                let parameters = message::whatsapp_parameters(language, coupon, zone);
                whatsapp.send(event, address, template, parameters).await
            }
            Channel::Sms => {
                let Some(sms) = &self.sms else {
                    return Ok(closed());
                };
                match message::sms(language, occasion, coupon, zone) {
                    Ok(text) => sms.send(event, address, text).await,
                    Err(reason) => Ok(Outcome::Refused(reason.into())),
                }
            }
        }
    }

    /// An address as its network takes it, or why it cannot.
    fn in_network(
        &self,
        channel: Channel,
        tenant: &str,
        address: &str,
    ) -> Result<String, &'static str> {
        let phone = || Phone::read(address, *self.countries.of(tenant));
        match channel {
            Channel::Email => email_address::in_ascii(address),
            Channel::WhatsApp => phone()?.for_whatsapp().map(str::to_owned),
            Channel::Sms => phone()?.for_sms().map(str::to_owned),
        }
    }

    /// What would be sent on a channel.
    fn written(
        &self,
        channel: Channel,
        event: &Event,
        coupon: &Coupon<'_>,
        address: &str,
    ) -> Value {
        let language = *self.languages.of(&event.tenant);
        let zone = self.zones.of(&event.tenant);
        let occasion = Occasion::Redeemed;
        let mut written = match channel {
            Channel::Email => {
                let email = message::email(language, occasion, coupon, zone);
                json!({"subject": email.subject, "text": email.text, "html": email.html})
            }
            Channel::WhatsApp => json!({
                "template": self.whatsapp.as_ref().and_then(|it| it.template(occasion)),
                "language": self.whatsapp.as_ref().map(WhatsApp::language),
                "parameters": message::whatsapp_parameters(language, coupon, zone),
            }),
            Channel::Sms => json!({"text": message::sms(language, occasion, coupon, zone).ok()}),
        };
        match self.in_network(channel, &event.tenant, address) {
            Ok(address) => written["to"] = address.into(),
            Err(reason) => {
                written["to"] = address.into();
                written["refused"] = reason.into();
            }
        }
        written
    }

    /// Makes an effect outside, once: claimed before it is made, settled after.
    async fn make(
        &self,
        event: &Event,
        record: &str,
        invocation: Invocation,
        attempt: impl AsyncFnOnce() -> anyhow::Result<Outcome>,
    ) -> Result<(), Failure> {
        let Some(lease) = self.claim(event, record, invocation).await? else {
            return Ok(());
        };
        if !has_time(invocation, SEND) {
            lease.release(NO_TIME, None).await?;
            return Err(anyhow!("{NO_TIME}: {record}").into());
        }
        match attempt().await {
            Ok(outcome) => settle(event, record, lease, outcome, invocation).await,
            // Nothing was sent: something of ours failed before.
            Err(error) => {
                lease.release("not tried", None).await?;
                Err(error.into())
            }
        }
    }

    /// Ends an effect that need not be made any more, unless it was made.
    async fn skip(
        &self,
        event: &Event,
        record: &str,
        reason: &str,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        match self.claim(event, record, invocation).await? {
            Some(lease) => Ok(settle_skipped(lease, reason).await?),
            None => Ok(()),
        }
    }

    /// The right to make an effect; nothing where it was made. None is begun that could be cut off by the invocation's end:
    /// nobody would know whether it was made.
    async fn claim(
        &self,
        event: &Event,
        record: &str,
        invocation: Invocation,
    ) -> Result<Option<Lease>, Failure> {
        if !has_time(invocation, CLAIM + SEND) {
            return Err(anyhow!("{NO_TIME}: {record}").into());
        }
        match self.ledger.claim(event, record, invocation).await? {
            Claim::Granted(lease) => Ok(Some(lease)),
            Claim::Settled => Ok(None),
            Claim::Taken { until } => {
                let taken = anyhow!("another worker is at {record}, until {until} at most");
                Err(taken.into())
            }
            Claim::Early { until } => Err(Failure::Early(from_until(invocation.now(), until))),
        }
    }

    /// Reminds a member of a coupon that expires soon, on the best channel that reaches them.
    async fn remind(
        &self,
        event: &Event,
        notice: &Notice,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        let Some(lease) = self.claim(event, REMINDER, invocation).await? else {
            return Ok(());
        };
        match self.try_to_remind(event, notice, invocation).await {
            Ok(Reminded::Sent(outcome)) => {
                settle(event, REMINDER, lease, outcome, invocation).await
            }
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
            if !self.is_open(channel, Occasion::Expiring, &coupon) {
                continue;
            }
            anyhow::ensure!(has_time(invocation, SEND), NO_TIME);
            match self
                .try_on(channel, Occasion::Expiring, event, &coupon, address)
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
        let grant = self.members.grant(event, &redemption.coupon_code, granted);
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
        self.make(event, FORWARD, invocation, async || {
            server.tell(event, body, invocation).await
        })
        .await
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

/// Records that an effect was not made, and whether it may have been made by an attempt before.
async fn settle_skipped(lease: Lease, reason: &str) -> anyhow::Result<()> {
    match lease.in_doubt() {
        0 => lease.settle(Status::Skipped, reason).await,
        _ => {
            let reason =
                format!("{reason}; an attempt before had no answer, and may have been sent");
            lease.settle(Status::Skipped, &reason).await
        }
    }
}

/// Records what came of an effect.
async fn settle(
    event: &Event,
    record: &str,
    lease: Lease,
    outcome: Outcome,
    invocation: Invocation,
) -> Result<(), Failure> {
    match outcome {
        Outcome::Taken(id) => {
            lease.settle(Status::Done, &id).await?;
            tracing::info!(event.key = %event.key, record, message.id = id, "Sent");
            Ok(())
        }
        Outcome::Refused(reason) => {
            tracing::error!(event.key = %event.key, record, reason, "Never to be delivered");
            Ok(lease.settle(Status::Failed, &reason).await?)
        }
        Outcome::NotNow(NotNow {
            reason,
            hint,
            in_doubt,
            after,
        }) => {
            let pause = match in_doubt {
                true => Some(in_doubt_pause(lease.in_doubt())),
                false => after,
            };
            let not_before = pause.map(|pause| invocation.now() + pause);
            match (in_doubt, not_before) {
                (true, Some(at)) => lease.release_in_doubt(&reason, at).await?,
                _ => lease.release(&reason, not_before).await?,
            }
            Err(Failure::Outside {
                error: anyhow::anyhow!("{record}: {reason}{hint}"),
                after: pause,
            })
        }
    }
}

fn in_doubt_pause(before: u32) -> Duration {
    let times = 4_u32.saturating_pow(before);
    IN_DOUBT_FIRST.saturating_mul(times).min(IN_DOUBT_MAX)
}

pub(crate) fn from_until(now: Timestamp, until: Timestamp) -> Duration {
    let left = until.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(left).unwrap_or_default()
}

/// One word for several outcomes: the message comes again where any of them asks for it, at the earliest time that one
/// of them names.
pub(crate) fn all_of(
    outcomes: impl IntoIterator<Item = Result<(), Failure>>,
) -> Result<(), Failure> {
    let failures = outcomes.into_iter().filter_map(Result::err);
    match failures.reduce(Failure::and) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}
