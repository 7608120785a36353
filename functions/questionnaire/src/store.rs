//! The reads of the page: the secrets of links, the survey, and its answer.

use anyhow::Context;
use jiff::Timestamp;
use tokio::time::Instant;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Event, EventKey};
use webhooks::figures::{self, Book};
use webhooks::ledger::{Item, Ledger, version};
use webhooks::secrets::{SecretStore, Undecided};
use webhooks::survey::{ANSWER, Answer, Asked, Id, are_alerts_on, open};

/// The entry of a cancelled coupon.
const CANCELLED: &str = "cancelled";

/// The tables of surveys and answers, and the secrets of links.
#[derive(Debug)]
pub struct SurveyStore {
    pub(crate) ledger: Ledger,
    pub(crate) book: Book,
    pub(crate) members: String,
    pub(crate) figures: String,
    pub(crate) secrets: SecretStore,
    /// Whether a bad answer causes an alert.
    pub(crate) are_alerts_on: bool,
}

/// A survey with an open link, and its answer if there is one.
#[derive(Debug, Clone)]
pub struct Survey {
    pub(crate) asked: Asked,
    pub(crate) answer: Option<Answer>,
    /// The answer as the figures counted it.
    pub(crate) counted: Option<figures::survey::Answer>,
    /// The version of the answer's row.
    pub(crate) version: Option<String>,
}

impl SurveyStore {
    /// Opens the store.
    ///
    /// # Errors
    ///
    /// All problems of the environment or of the secrets.
    pub async fn open(mut environment: Environment, aws: &Aws) -> anyhow::Result<Self> {
        let limits = CallLimits::WEBHOOK;
        let id = environment.text("SURVEY_SECRET_ID");
        let store = Self {
            ledger: Ledger::read(&mut environment, aws, limits),
            book: Book::read(&mut environment, aws, limits),
            members: environment.text("MEMBERS_TABLE"),
            figures: environment.text("FIGURES_TABLE"),
            // Any text can sign links, so no scheme limits the secrets.
            secrets: SecretStore::new(&aws.sdk_config(limits), id, &[]),
            are_alerts_on: are_alerts_on(&mut environment),
        };
        environment.check()?;
        store.secrets.start().await?;
        Ok(store)
    }

    /// The survey that a token opens; `None` if the token is wrong.
    ///
    /// A wrong token makes the secret store look for newer secrets, within the store's limits,
    /// because a newer secret may have signed the link.
    ///
    /// # Errors
    ///
    /// The function does not know the valid secrets.
    pub async fn id(&self, token: &str, now: Timestamp) -> Result<Option<Id>, Undecided> {
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

    /// A survey; `None` if its link is closed, its member's data are erased or its coupon is
    /// cancelled.
    ///
    /// # Errors
    ///
    /// DynamoDB does not answer, or a row is unreadable.
    pub async fn survey(&self, id: Id, now: Timestamp) -> anyhow::Result<Option<Survey>> {
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
        // If the ledger keeps events for few days, a use can expire before its link closes.
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

    /// The use of a survey, and the Unix second from which its row counts as forgotten.
    pub(crate) async fn event(
        &self,
        key: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<Option<(Event, Option<i64>)>> {
        let standing = self.ledger.standing(key, now).await?;
        let read =
            standing.and_then(|recorded| Some((recorded.event()?, recorded.forgotten_from())));
        Ok(read)
    }
}
