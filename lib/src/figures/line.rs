//! A coupon's line: the summary of its counted events. From the line follows what the next event of
//! the coupon changes. A member's profile is made of lines.
//!
//! A line is in the members table, in the partition of the coupon's owner: the member whom the
//! first counted event names. An event that names another member leaves a line with its share alone
//! in that member's partition.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Profile;
use crate::event::{EventKey, member_key, part};
use crate::ledger::{Change, Item, ItemKey};

/// The prefix of the sort keys of lines.
pub const LINE: &str = "figures#";

/// How many uses of one coupon may await its redemption, for their durations and for the completion
/// of their records. One transaction holds no more.
pub const AWAITING_MAX: usize = 60;
/// How many records of uses one redemption completes.
pub const COMPLETED_MAX: usize = 20;

/// What was counted of one coupon, for the events that come later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeemed: Option<Redeemed>,
    /// The entry of the cancellation, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uses: u64,
    /// The uses that were counted before their redemption.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaiting: Vec<Awaiting>,
    #[serde(default)]
    pub share: Share,
}

/// What a reversal takes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redeemed {
    pub at: Timestamp,
    pub day: Date,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reward_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reward_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub currency: String,
    #[serde(default, skip_serializing_if = "is_none_or_zero")]
    pub points: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tier: String,
}

/// A use whose redemption is not yet known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awaiting {
    /// Empty if the record needs no completion.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entry: String,
    pub at: Timestamp,
    pub day: Date,
}

/// What a line adds to its member's profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeemed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_none_or_zero")]
    pub points: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uses: u64,
    /// By currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub saved: BTreeMap<String, Decimal>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_none_or_zero(number: &i64) -> bool {
    *number == 0
}

/// A line as it is stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    pub line: Line,
    /// The line's version, which each write raises; `None` if there is no line.
    pub version: Option<u64>,
    /// The second from which the line is expired.
    pub forgotten_from: i64,
}

impl Standing {
    /// Reads a line from its row.
    ///
    /// # Errors
    ///
    /// The row holds no line that this code can read.
    pub fn read(row: &Item) -> anyhow::Result<Self> {
        let number = |name: &str| row.get(name)?.as_n().ok();
        let line = row.get("line").and_then(|it| it.as_s().ok());
        Ok(Self {
            line: line
                .map(|it| serde_json::from_str(it))
                .transpose()?
                .unwrap_or_default(),
            version: number("version").and_then(|it| it.parse().ok()),
            forgotten_from: number("ttl")
                .and_then(|it| it.parse().ok())
                .unwrap_or_default(),
        })
    }

    /// Writes the next line, unless another writer has changed the stored one.
    ///
    /// # Errors
    /// The line cannot be written as JSON.
    pub fn followed_by(
        &self,
        key: ItemKey,
        line: &Line,
        forget_at: i64,
        now: Timestamp,
    ) -> anyhow::Result<Change> {
        let number = |number: String| AttributeValue::N(number);
        let version = self.version.map_or(1, |it| it + 1);
        let change = Change::of(key)
            .set("line", AttributeValue::S(serde_json::to_string(line)?))
            .set("version", number(version.to_string()))
            .set(
                "ttl",
                number(forget_at.max(self.forgotten_from).to_string()),
            );
        Ok(match self.version {
            Some(seen) => change.only_if("#version = :seen", &[("seen", number(seen.to_string()))]),
            None => change.only_if(
                "attribute_not_exists(#version) OR #ttl <= :now",
                &[("now", number(now.as_second().to_string()))],
            ),
        })
    }
}

/// The key of a coupon's line in the partition of its owner.
pub fn line_key(table: &str, event: &EventKey, owner: &Owner<'_>) -> ItemKey {
    let entry = format!("{LINE}{}", part(event.coupon()));
    owner.key(table, entry)
}

/// The key of an event's own line, which exists because the event's member is not the coupon's
/// owner.
pub fn own_line_key(table: &str, event: &EventKey, member: &Owner<'_>) -> ItemKey {
    let entry = format!("{LINE}{}", part(&event.to_string()));
    member.key(table, entry)
}

/// A member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    pub provider: &'a str,
    pub tenant: &'a str,
    pub id: &'a str,
}

impl Owner<'_> {
    fn key(&self, table: &str, entry: String) -> ItemKey {
        let member = member_key(self.provider, self.tenant, self.id);
        ItemKey::new(table, ("member", member), ("entry", entry))
    }
}

impl Profile {
    /// Adds one coupon's share.
    pub fn add(&mut self, share: &Share) {
        if let Some(at) = share.redeemed_at {
            self.redemptions += 1;
            self.points = self.points.saturating_add(share.points);
            self.first_redemption = Some(self.first_redemption.map_or(at, |it| it.min(at)));
            self.last_redemption = Some(self.last_redemption.map_or(at, |it| it.max(at)));
            *self.categories.entry(share.category.clone()).or_default() += 1;
        }
        self.uses += share.uses;
        for (currency, saved) in &share.saved {
            let sum = self.money_saved.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*saved).normalize();
        }
    }

    /// The average number of days between two redemptions; `None` for fewer than two.
    pub fn days_between_redemptions(&self) -> Option<f64> {
        let gaps = self.redemptions.checked_sub(1).filter(|it| *it > 0)?;
        let span = self.last_redemption?.duration_since(self.first_redemption?);
        Some(span.as_secs_f64() / 86_400.0 / gaps as f64)
    }

    /// The category that was redeemed most. Of several, the first by name counts, so that the order
    /// of events does not matter.
    pub fn preferred_category(&self) -> Option<&str> {
        let most = self.categories.values().max()?;
        let mut categories = self.categories.iter();
        let preferred = categories.find(|(_, count)| *count == most);
        preferred.map(|(name, _)| name.as_str())
    }
}
