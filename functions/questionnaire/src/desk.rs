//! What the page reads: the secrets of links, what was asked, and what was answered.

use anyhow::Context;
use jiff::Timestamp;
use tokio::time::Instant;
use webhooks::alerts::Topic;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::EventKey;
use webhooks::figures::{self, Book};
use webhooks::ledger::{Item, Ledger, version};
use webhooks::secrets::{SecretStore, Undecided};
use webhooks::survey::{ANSWER, Answer, Asked, Id, open};

/// The entry of a coupon that was taken back.
const CANCELLED: &str = "cancelled";

/// Where surveys are looked up and answers are kept.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    pub(crate) book: Book,
    pub(crate) members: String,
    pub(crate) figures: String,
    pub(crate) secrets: SecretStore,
    /// Where alerts go, if there are any.
    pub(crate) alerts: Option<Topic>,
}

/// A survey whose link is open, and its answer if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    pub(crate) asked: Asked,
    pub(crate) answer: Option<Answer>,
    /// What was counted of the answer.
    pub(crate) counted: Option<figures::survey::Answer>,
    /// The version of the answer's row.
    pub(crate) version: Option<String>,
}

impl Desk {
    /// # Errors
    /// Everything that is wrong with the environment, or with the secrets.
    pub(crate) async fn open(mut environment: Environment, aws: &Aws) -> anyhow::Result<Self> {
        let limits = CallLimits::WEBHOOK;
        let id = environment.text("SURVEY_SECRET_ID");
        let topic = Topic::read(&mut environment, aws);
        let alerts = match environment.text("SURVEY_ALERTS").as_str() {
            "on" => Some(topic),
            "off" | "" => None,
            other => {
                let problem = format!("SURVEY_ALERTS is {other:?}, it must be on or off");
                environment.problem(problem);
                None
            }
        };
        let desk = Self {
            ledger: Ledger::read(&mut environment, aws, limits),
            book: Book::read(&mut environment, aws, limits),
            members: environment.text("MEMBERS_TABLE"),
            figures: environment.text("FIGURES_TABLE"),
            // Links are signed with any text, so no scheme limits the secrets.
            secrets: SecretStore::new(&aws.sdk_config(limits), id, &[]),
            alerts,
        };
        environment.check()?;
        desk.secrets.start().await?;
        Ok(desk)
    }

    /// The survey that a token opens; nothing where the token is wrong.
    ///
    /// Every wrong token asks the secret store, as far as that may be asked: the link may be signed
    /// with a secret that is newer than those that are kept.
    ///
    /// # Errors
    /// Which secrets are valid is not known.
    pub(crate) async fn id(&self, token: &str, now: Timestamp) -> Result<Option<Id>, Undecided> {
        let arrived = Instant::now();
        let known = self.secrets.current().await?;
        let id = open(known.secrets(), token, now);
        if id.is_some() {
            return Ok(id);
        }
        match self.secrets.as_of(arrived).await {
            Ok(known) => Ok(open(known.secrets(), token, now)),
            Err(Undecided::TooMany) => Ok(None),
            Err(unanswered) => Err(unanswered),
        }
    }

    /// A survey; nothing where its link is closed, its member was forgotten or its coupon was
    /// cancelled.
    ///
    /// # Errors
    /// DynamoDB does not answer, or a row cannot be read.
    pub(crate) async fn survey(&self, id: Id, now: Timestamp) -> anyhow::Result<Option<Survey>> {
        let Some(asked) = self.ledger.asked(id, now).await? else {
            return Ok(None);
        };
        let event = &asked.event;
        let answer = event.beneath(ANSWER);
        let entries = [event.entry(), &answer, CANCELLED];
        let keys = entries.map(|entry| self.ledger.row_key(event.coupon(), entry));
        let rows = self.ledger.rows(&keys, &[], now).await?;
        let row = |entry: &str| {
            let is_it = |row: &&Item| {
                row.get("entry").and_then(|it| it.as_s().ok()) == Some(&entry.to_owned())
            };
            rows.iter().find(is_it)
        };
        // A use is forgotten earlier than its link closes, where the ledger remembers few days.
        if row(event.entry()).is_none() || row(CANCELLED).is_some() {
            return Ok(None);
        }
        let row = row(&answer);
        let answer = row.map(|row| {
            let answer = Answer::read(row);
            answer.with_context(|| format!("{event}/{ANSWER} cannot be read"))
        });
        let answer = answer.transpose()?;
        let counted = row.and_then(figures::survey::Answer::read);
        let version = row.and_then(version).cloned();
        Ok(Some(Survey {
            asked,
            answer,
            counted,
            version,
        }))
    }

    /// The use that a survey is about.
    pub(crate) async fn event(
        &self,
        key: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<Option<webhooks::event::Event>> {
        let standing = self.ledger.standing(key, now).await?;
        Ok(standing.and_then(|standing| standing.event()))
    }
}
