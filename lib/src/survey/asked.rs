//! The row that leads from a survey's id to the use, and holds the questions that the member got.

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Id, sign};

use crate::event::EventKey;
use crate::ledger::{Item, ItemKey, Ledger, Row};
use crate::verify::Secrets;

/// The sort key of the row.
pub const LOOKUP: &str = "survey";

/// How long a link opens its survey, from the time of sending.
pub const LINK_DAYS: i64 = 14;

/// The partition key of a survey's row.
pub fn lookup_partition(id: Id) -> String {
    format!("survey#{}", hex::encode(id))
}

/// A survey that was sent, or is about to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The use that the survey is about.
    pub event: EventKey,
    /// The company or the game, not escaped.
    pub tenant: String,
    /// The questions that the member got, and their subject.
    pub about: About,
    /// When the first attempt to send the survey began.
    pub sent_at: Timestamp,
}

/// The subject of the questions, and their version and language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The version of the questions, in the language's own file.
    pub questions: u32,
    /// The language's tag in BCP 47: `pt-BR`.
    pub language: String,
    /// The reward's name; `None` if the use states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_name: Option<String>,
    /// The store's name; `None` if the use states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The name of the person at the till; `None` if the use states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff_member: Option<String>,
    /// The tenant's day of the use, on which the survey counts.
    pub day: Date,
}

impl Asked {
    /// The survey's id.
    pub fn id(&self) -> Id {
        super::id(&self.event)
    }

    /// When the link closes, and the row expires.
    pub fn expires_at(&self) -> Timestamp {
        let open = SignedDuration::from_hours(24 * LINK_DAYS);
        self.sent_at.checked_add(open).unwrap_or(Timestamp::MAX)
    }

    /// The token of the link. A survey's token stays the same as long as the first secret stays.
    pub fn token(&self, secrets: &Secrets) -> String {
        sign(secrets, self.id(), self.expires_at())
    }

    /// The survey's row, with its keys and its `ttl`.
    pub fn row(&self) -> Item {
        let mut row = Row::default();
        row.set("coupon", Some(lookup_partition(self.id())));
        row.set("entry", Some(LOOKUP));
        row.set("event", Some(&self.event));
        row.set("tenant", Some(&self.tenant));
        row.json("asked", Some(&self.about));
        row.set("sent_at", Some(self.sent_at));
        let ttl = AttributeValue::N(self.expires_at().as_second().to_string());
        row.0.insert("ttl".into(), ttl);
        row.0
    }

    /// Reads a survey's row; `None` for another row, or if a field is missing or unreadable.
    pub fn read(row: &Item) -> Option<Self> {
        let text = |name: &str| row.get(name)?.as_s().ok();
        Some(Self {
            event: EventKey::parse(text("event")?)?,
            tenant: text("tenant")?.clone(),
            about: serde_json::from_str(text("asked")?).ok()?,
            sent_at: text("sent_at")?.parse().ok()?,
        })
    }
}

impl Ledger {
    /// The key of a survey's row.
    pub fn asked_key(&self, id: Id) -> ItemKey {
        self.row_key(&lookup_partition(id), LOOKUP)
    }

    /// Keeps the survey's row before the message is sent. If an earlier attempt kept a row, that
    /// row stays and is returned. So every message of a survey has the same link.
    ///
    /// # Errors
    ///
    /// DynamoDB does not answer or refuses, or the earlier row is unreadable.
    pub async fn keep_asked(&self, asked: &Asked, now: Timestamp) -> anyhow::Result<Asked> {
        let now = AttributeValue::N(now.as_second().to_string());
        let kept = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(asked.row()))
            .condition_expression("attribute_not_exists(entry) OR #ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", now)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = kept else {
            return Ok(asked.clone());
        };
        let standing = match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                refusal.item().and_then(Asked::read)
            }
            _ => {
                let context = format!("keeping the survey of {}", asked.event);
                return Err(anyhow!(error).context(context));
            }
        };
        standing.with_context(|| {
            format!(
                "the survey of {} has a row that cannot be read",
                asked.event
            )
        })
    }

    /// The survey with this id; `None` if its link has closed, or if somebody erased the member's
    /// data.
    ///
    /// # Errors
    ///
    /// DynamoDB does not answer, or the row is unreadable.
    pub async fn asked(&self, id: Id, now: Timestamp) -> anyhow::Result<Option<Asked>> {
        let partition = lookup_partition(id);
        let Some(row) = self.row(&partition, LOOKUP, now).await? else {
            return Ok(None);
        };
        let asked = Asked::read(&row);
        let asked = asked.with_context(|| format!("{partition}/{LOOKUP} cannot be read"))?;
        Ok(Some(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            event: EventKey::used("zupy", "comp#1", "CP/1", "ord 1"),
            tenant: "comp#1".into(),
            about: About {
                questions: 1,
                language: "pt-BR".into(),
                reward_name: Some("Pizza".into()),
                location: None,
                staff_member: Some("Ana".into()),
                day: "2026-11-25".parse().unwrap(),
            },
            sent_at: "2026-11-25T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let row = asked().row();
        assert_eq!(Asked::read(&row), Some(asked()));
        let closes = "2026-12-09T12:00:00Z".parse::<Timestamp>().unwrap();
        assert_eq!(row["ttl"].as_n().unwrap(), &closes.as_second().to_string());
    }

    #[test]
    fn the_link_s_row_names_no_member() {
        let row = asked().row();
        let mut fields: Vec<_> = row.keys().map(String::as_str).collect();
        fields.sort_unstable();
        let expected = [
            "asked", "coupon", "entry", "event", "sent_at", "tenant", "ttl",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_row_that_says_too_little_is_none() {
        for field in ["event", "tenant", "asked", "sent_at"] {
            let mut row = asked().row();
            row.remove(field);
            assert_eq!(Asked::read(&row), None, "{field}");
        }
    }
}
