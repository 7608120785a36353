//! A survey that is due: one message on one channel, or the reason why there is none.
//!
//! The function claims the record `surveys/ask` before it sends the message. After sending, it
//! settles the record in one transaction with its figures. If the function dies after sending, and
//! before settling, the message may go out once more, with the same link; it counts once.

use std::collections::BTreeMap;

use anyhow::Context;
use channels::texts::Invitation;
use channels::time::{SEND, has_time};
use channels::{
    Channel, Contact, NO_TIME, NotNow, Outcome, OutsideEffect, RecordedRedemption, is_erased,
    recorded_redemption,
};
use jiff::{SignedDuration, Timestamp};
use webhooks::event::{Event, Fact, Member, Usage};
use webhooks::figures::survey::{Surveyed, Unsent};
use webhooks::figures::{Opened, Tally};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Attached, Item, Lease, Status, read_event};
use webhooks::survey::questions::{self, Questions};
use webhooks::survey::{ANSWER, ASK, About, Asked, Due, LINK_DAYS, RECORD, throttle};
use webhooks::worker::Failure;

use crate::decision::{Circumstances, decide};
use crate::planned::{Planned, name};
use crate::setup::Surveys;
use crate::timing::{is_too_late, with_lead};

/// How long the function retries a channel that refuses the message. The worker gives a message up
/// after a day; before that, the survey gets its reason.
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(18);

/// The channels for surveys, the best first.
const BEST_FIRST: [Channel; 2] = [Channel::WhatsApp, Channel::Email];

/// A survey that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) surveys: &'a Surveys,
    pub(crate) due: &'a Due,
    pub(crate) invocation: Invocation,
}

/// The ledger's rows of a use with a due survey.
struct Use {
    event: Event,
    /// Whether an operator erased the member's personal data from it.
    erased: bool,
    /// By name: the use's records, and the coupon's rows.
    rows: BTreeMap<&'static str, Item>,
}

/// The outcome of trying to ask.
enum Tried {
    /// Asking ended for good. These figures count with it.
    Ended(Ended, Attached),
    NotNow(NotNow),
}

enum Ended {
    /// The other side accepted the message, under this id.
    Sent(String),
    Unsent(Unsent),
}

/// The member who gets the survey, and its subject.
struct Addressee {
    member: Member,
    reward: Option<String>,
}

/// The figures of a survey, prepared before the sending. After that, only the transaction can fail.
struct Figures<'a> {
    surveyed: Surveyed,
    opened: Opened<'a>,
    now: Timestamp,
}

impl Figures<'_> {
    fn sent(&self) -> anyhow::Result<Attached> {
        self.attach(&self.surveyed.sent())
    }

    fn unsent(&self, reason: Unsent) -> anyhow::Result<Attached> {
        self.attach(&self.surveyed.unsent(reason))
    }

    fn attach(&self, tally: &Tally) -> anyhow::Result<Attached> {
        self.opened.attach(tally, self.now)
    }
}

/// The name of a coupon's cancellation in [`Use::rows`].
const CANCELLED: &str = "cancelled";

impl Asking<'_> {
    /// Sends the survey, unless an earlier attempt settled it.
    pub(crate) async fn work(&self) -> Result<(), Failure> {
        let Self {
            surveys,
            due,
            invocation,
        } = *self;
        let Some(used) = self.read().await? else {
            // The ledger has forgotten the use, and with it the schedule.
            tracing::warn!(event.key = %due.event, "A survey is due, but its use is gone");
            return Ok(());
        };
        let event = &used.event;
        let planned = Planned {
            surveys,
            event,
            invocation,
        };
        if !used.rows.contains_key(RECORD) {
            // The attempt that scheduled it died before it recorded so.
            planned.record(due.due_at).await?;
        }
        let is_settled = used.rows.get(ASK).is_some_and(is_settled);
        if is_settled {
            return Ok(());
        }
        let timing = surveys.settings.timing(event);
        if let Some(at) = timing.allowed_from(&event.key, invocation.now()) {
            // The message came late, in the quiet hours. Every copy of the message names the same
            // morning.
            let name = format!("{}-{}", name(event), at.as_second());
            let due = Due::new(&event.key, with_lead(at, invocation.now()));
            return Ok(surveys.scheduler.create(&name, &due).await?);
        }
        let effect = OutsideEffect {
            ledger: &surveys.ledger,
            event,
            record: ASK,
            invocation,
        };
        let Some(lease) = effect.claim().await? else {
            return Ok(());
        };
        match self.try_to_ask(&used).await {
            Ok(Tried::NotNow(not_now)) => effect.release(lease, not_now).await,
            Ok(Tried::Ended(ended, attached)) => Ok(settle(event, lease, ended, attached).await?),
            // No message went out, because one of our own steps failed before.
            Err(error) => {
                lease.release("not tried", None).await?;
                Err(error.into())
            }
        }
    }

    /// The ledger's rows of the use; `None` if the ledger has forgotten the use.
    async fn read(&self) -> Result<Option<Use>, Failure> {
        let (ledger, key) = (&self.surveys.ledger, &self.due.event);
        let now = self.invocation.now();
        let names = [RECORD, ASK, ANSWER].map(|name| (name, key.beneath(name)));
        let cancelled = (CANCELLED, CANCELLED.to_owned());
        let names: Vec<_> = names.into_iter().chain([cancelled]).collect();
        let keys: Vec<_> = names
            .iter()
            .map(|(_, entry)| ledger.row_key(key.coupon(), entry))
            .collect();
        let (row, beneath) = tokio::try_join!(
            ledger.row(key.coupon(), key.entry(), now),
            ledger.rows(&keys, &["entry", "status"], now)
        )?;
        let Some(row) = row else {
            return Ok(None);
        };
        let erased = is_erased(&row);
        let row = ledger.whole(row).await?;
        // The row held an event at its recording, so newer code wrote it.
        let event = read_event(&row).with_context(|| {
            format!("this version of the code reads no event in the body of {key}")
        })?;
        let mut rows = BTreeMap::new();
        for row in beneath {
            let entry = row.get("entry").and_then(|it| it.as_s().ok());
            let named = names.iter().find(|(_, name)| Some(name) == entry);
            if let Some((name, _)) = named {
                rows.insert(*name, row);
            }
        }
        Ok(Some(Use {
            event,
            erased,
            rows,
        }))
    }

    /// Decides, claims the member and sends.
    async fn try_to_ask(&self, used: &Use) -> anyhow::Result<Tried> {
        let surveys = self.surveys;
        let event = &used.event;
        let now = self.invocation.now();
        let figures = self.figures(event).await?;
        let unsent = |reason| {
            let attached = figures.unsent(reason)?;
            Ok(Tried::Ended(Ended::Unsent(reason), attached))
        };
        if used.rows.contains_key(ANSWER) {
            // The survey went out, because it has an answer. The attempt that sent it died before
            // it recorded so.
            let sent = Ended::Sent("answered".into());
            return Ok(Tried::Ended(sent, figures.sent()?));
        }
        let redemption = event.key.redemption();
        let (contact, redemption) = tokio::try_join!(
            surveys.members.contact(event),
            recorded_redemption(&surveys.ledger, &redemption, now)
        )?;
        let erased = redemption.as_ref().is_some_and(|it| it.erased);
        let known = Circumstances {
            too_late: is_too_late(event.occurred_at, now),
            forgotten: used.erased || erased || contact.forgotten,
            cancelled: used.rows.contains_key(CANCELLED),
            do_not_contact: contact.do_not_contact,
            has_address: true,
        };
        let to = addressee(event, &contact, redemption);
        let has_address = self.open(&to.member).next().is_some();
        let decided = decide(Circumstances {
            has_address,
            ..known
        });
        if let Err(reason) = decided {
            return unsent(reason);
        }
        let sent = figures.sent()?;
        let pauses = surveys.settings.pauses;
        let (client, members) = (&surveys.client, surveys.members.table.as_str());
        let claimed = throttle::claim_asking(client, members, event, pauses, now);
        if let Err(reason) = claimed.await? {
            return unsent(reason);
        }
        let outcome = self.send(event, &to).await?;
        let (refused, in_doubt) = match outcome {
            Outcome::Taken(id) => return Ok(Tried::Ended(Ended::Sent(id), sent)),
            Outcome::NotNow(not_now) if !self.is_tried_enough() => {
                return Ok(Tried::NotNow(not_now));
            }
            Outcome::NotNow(not_now) => (not_now.reason, not_now.in_doubt),
            Outcome::Refused(reason) => (reason, false),
        };
        tracing::error!(event.key = %event.key, record = ASK, reason = refused, "Cannot be sent");
        if !in_doubt {
            // The member got no survey, so another use may ask.
            throttle::give_back(client, members, event).await?;
        }
        unsent(Unsent::NotDelivered)
    }

    /// The channels that have an address of the member, the best first.
    fn open<'m>(&self, member: &'m Member) -> impl Iterator<Item = (Channel, &'m str)> {
        let channels = BEST_FIRST.into_iter();
        let channels = channels.filter(|channel| self.surveys.channels.asks_on(*channel));
        channels.filter_map(|channel| Some((channel, channel.address(member)?)))
    }

    /// Sends the message on the best channel that accepts it.
    async fn send(&self, event: &Event, to: &Addressee) -> anyhow::Result<Outcome> {
        let surveys = self.surveys;
        let language = surveys.channels.language(&event.tenant).tag();
        let questions = questions::newest(language);
        let link = self.link(event, questions).await?;
        let location = usage(event).and_then(|it| it.location.as_deref());
        let invitation = Invitation {
            name: to.member.name.as_deref(),
            reward: to.reward.as_deref(),
            location,
            question: &questions.rating.question,
            ratings: &questions.rating.labels,
            link: &link,
            link_days: LINK_DAYS,
        };
        let mut refused = "no channel is open".to_owned();
        for (channel, address) in self.open(&to.member) {
            anyhow::ensure!(has_time(self.invocation, SEND), NO_TIME);
            let sent = surveys.channels.ask(channel, event, &invitation, address);
            match sent.await? {
                // The next channel may accept it.
                Outcome::Refused(reason) => refused = reason,
                outcome => return Ok(outcome),
            }
        }
        Ok(Outcome::Refused(refused))
    }

    /// Keeps the questions for the member, and returns the link to them, which is the same for
    /// every attempt.
    async fn link(&self, event: &Event, questions: &Questions) -> anyhow::Result<String> {
        let surveys = self.surveys;
        let now = self.invocation.now();
        let usage = usage(event);
        let text = |field: fn(&Usage) -> &Option<String>| usage.and_then(|it| field(it).clone());
        let zone = surveys.settings.zones.of(&event.tenant);
        let asked = Asked {
            event: event.key.clone(),
            tenant: event.tenant.clone(),
            about: About {
                questions: questions.version,
                language: questions.language.to_owned(),
                reward_name: text(|it| &it.reward_name),
                location: text(|it| &it.location),
                staff_member: text(|it| &it.staff_member),
                day: event.occurred_at.to_zoned(zone.clone()).date(),
            },
            sent_at: now,
        };
        let asked = surveys.ledger.keep_asked(&asked, now).await?;
        let known = surveys.secrets.current().await?;
        Ok(surveys.settings.link(&asked.token(known.secrets())))
    }

    fn is_tried_enough(&self) -> bool {
        self.invocation.now().duration_since(self.due.due_at) > TRIED_FOR
    }

    async fn figures(&self, event: &Event) -> anyhow::Result<Figures<'_>> {
        let surveys = self.surveys;
        let zone = surveys.settings.zones.of(&event.tenant);
        let surveyed =
            Surveyed::of(event, zone).context("a due survey names an event that is no use")?;
        let tenant = (event.provider.as_str(), event.tenant.as_str());
        let now = self.invocation.now();
        let mut any = surveyed.sent();
        for reason in Unsent::ALL {
            any.merge(&surveyed.unsent(reason));
        }
        let opened = surveys.book.open(tenant, any.groups(), &event.key, now);
        Ok(Figures {
            opened: opened.await?,
            surveyed,
            now,
        })
    }
}

/// Whether asking has ended for good.
fn is_settled(record: &Item) -> bool {
    let status = record.get("status").and_then(|it| it.as_s().ok());
    let ends = [Status::Done, Status::Skipped, Status::Failed];
    status.is_some_and(|status| ends.iter().any(|end| end.name() == status))
}

fn usage(event: &Event) -> Option<&Usage> {
    match &event.fact {
        Fact::Used(usage) => Some(usage),
        _ => None,
    }
}

/// The member, from the contact, the use and the redemption, which holds more in Zupy's v1.
fn addressee(
    event: &Event,
    contact: &Contact,
    redemption: Option<RecordedRedemption>,
) -> Addressee {
    let mut statements = vec![(event.member.clone(), event.occurred_at)];
    let mut reward = usage(event).and_then(|it| it.reward_name.clone());
    if let Some(recorded) = redemption {
        statements.push((recorded.member, recorded.redeemed_at));
        reward = reward.or(recorded.redemption.reward.name);
    }
    let statements = statements.iter().map(|(member, at)| (member, *at));
    Addressee {
        member: contact.complete(&event.member.id, statements),
        reward,
    }
}

/// Records how asking ended, together with its figures.
async fn settle(
    event: &Event,
    lease: Lease,
    ended: Ended,
    attached: Attached,
) -> anyhow::Result<()> {
    match ended {
        Ended::Sent(id) => {
            lease.settle_with(Status::Done, &id, attached).await?;
            tracing::info!(event.key = %event.key, record = ASK, message.id = id, "Asked");
        }
        Ended::Unsent(reason) => {
            let status = match reason {
                Unsent::NotDelivered => Status::Failed,
                _ => Status::Skipped,
            };
            let reason = reason.word();
            lease.settle_with(status, reason, attached).await?;
            tracing::info!(event.key = %event.key, record = ASK, reason, "Not asked");
        }
    }
    Ok(())
}
