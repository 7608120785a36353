//! A coupon's line: the summary of its counted events. The line decides what the coupon's next
//! event changes. A member's profile is made of lines.
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

/// The prefix of the sort keys of lines in the members table.
pub const LINE: &str = "figures#";

/// How many uses of one coupon may await its redemption, so that their durations are counted. One
/// transaction holds no more.
pub(super) const AWAITING_MAX: usize = 60;
/// How many records of uses one redemption completes.
pub(super) const COMPLETED_MAX: usize = 20;

/// What was counted of one coupon, for the events that come later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The coupon's redemption, once it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeemed: Option<Redeemed>,
    /// The entry of the cancellation, once it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    /// The entry of the expiry, once it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<String>,
    /// How many uses of the coupon are counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uses: u64,
    /// The first uses that were counted before their redemption, at most 60. They wait for the time
    /// from redemption to use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaiting: Vec<Awaiting>,
    /// What the owner's own events of the coupon add to the owner's profile.
    #[serde(default)]
    pub share: Share,
}

/// A counted redemption: the groups and sums that a reversal or a use changes later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redeemed {
    /// When the redemption occurred.
    pub at: Timestamp,
    /// The tenant's day on which the redemption was counted.
    pub(super) day: Date,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reward_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reward_name: String,
    /// The type of discount.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) currency: String,
    #[serde(default, skip_serializing_if = "is_none_or_zero")]
    pub(super) points: i64,
    /// The discount's value: an amount in `currency`, or percentage points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Decimal>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) method: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) tier: String,
}

/// A use whose redemption is not yet known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awaiting {
    /// The entry of the use; empty for a use that comes after 20 others, whose record the
    /// redemption does not complete.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entry: String,
    /// When the use occurred.
    pub at: Timestamp,
    /// The tenant's day on which the use was counted.
    pub(super) day: Date,
}

/// What a line adds to its member's profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// When the member redeemed the coupon; `None` without a redemption by this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeemed_at: Option<Timestamp>,
    /// The points that the redemption cost, reversed or not.
    #[serde(default, skip_serializing_if = "is_none_or_zero")]
    pub points: i64,
    /// The redemption's category, as in [`Profile::categories`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// How many times the member used the coupon.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uses: u64,
    /// The discounts of these uses, by currency in ISO 4217.
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
    /// The line's contents; empty if no line is stored.
    pub line: Line,
    /// The line's version, which each write raises by 1; `None` if no line is stored, or for a line
    /// that holds a share alone.
    pub version: Option<u64>,
    /// The Unix second from which the line is expired; 0 if no line is stored.
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

    /// The change that writes the next line. The change is refused if another writer has changed
    /// the stored line since. `forget_at` is the Unix second from which the line may expire; a
    /// stored later end stays.
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

/// The key of the line of an event's coupon, in the owner's partition of the members table.
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

/// The member in whose partition a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The provider that knows the member, `zupy` or `aghanim`.
    pub provider: &'a str,
    /// The member's company or game.
    pub tenant: &'a str,
    /// The member's id, as the provider's events state it.
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

    /// The category with the most redemptions; `None` without a redemption. Of several, the first
    /// by name counts, so that the order of events does not matter.
    pub fn preferred_category(&self) -> Option<&str> {
        let most = self.categories.values().max()?;
        let mut categories = self.categories.iter();
        let preferred = categories.find(|(_, count)| *count == most);
        preferred.map(|(name, _)| name.as_str())
    }
}
