//! The list of findings: one row for each event with findings, for reports. Fraud writes the row in
//! the transaction of the event's record, so both always agree.

use std::cmp::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;

use super::book::Book;
use super::lists::key;
use super::store::Figures;
use crate::event::{EventKey, part, tenant_key};
use crate::fraud::Finding;
use crate::ledger::{Change, Item, ItemKey, Row};

/// The findings of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The event that the findings are about.
    pub event: EventKey,
    /// The event's provider, `zupy` or `aghanim`.
    pub provider: String,
    /// The event's company or game.
    pub tenant: String,
    /// The tenant's day of the event, on which the findings are counted.
    pub day: Date,
    /// When the event occurred.
    pub occurred_at: Timestamp,
    /// When the latest finding was made.
    pub found_at: Timestamp,
    /// The event's current findings, at most one for each rule; empty if none remains.
    pub findings: Vec<Finding>,
}

/// An event's place in its tenant's list: a later event has a later place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPlace {
    /// The tenant's day of the event.
    pub day: Date,
    /// When the event occurred, which orders the events of a day by milliseconds.
    pub occurred_at: Timestamp,
    /// The event's key, which orders the events of a millisecond.
    pub event: EventKey,
}

impl Ord for FoundPlace {
    fn cmp(&self, other: &Self) -> Ordering {
        entry(self).cmp(&entry(other))
    }
}

impl PartialOrd for FoundPlace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Found {
    /// The event's place in the list.
    pub fn place(&self) -> FoundPlace {
        FoundPlace {
            day: self.day,
            occurred_at: self.occurred_at,
            event: self.event.clone(),
        }
    }

    /// The change that writes or corrects the row; `None` for a day at the calendar's end.
    pub fn change(&self, book: &Book) -> Option<Change> {
        let forget_at = book.kept_until(self.day)?;
        let tenant = (self.provider.as_str(), self.tenant.as_str());
        let mut row = Row::default();
        row.set("event", Some(&self.event));
        row.set("occurred_at", Some(self.occurred_at));
        row.set("found_at", Some(self.found_at));
        row.json("findings", Some(&self.findings));
        let forget_at = AttributeValue::N(forget_at.to_string());
        row.0.insert("ttl".into(), forget_at);
        Some(Change::of(row_key(book.table(), tenant, &self.place())).set_all(row))
    }

    fn read(row: &Item, (provider, tenant): (&str, &str)) -> Option<Self> {
        let text = |name: &str| row.get(name)?.as_s().ok();
        Some(Self {
            event: EventKey::parse(text("event")?)?,
            provider: provider.to_owned(),
            tenant: tenant.to_owned(),
            day: text("entry")?.split_once('#')?.0.parse().ok()?,
            occurred_at: text("occurred_at")?.parse().ok()?,
            found_at: text("found_at")?.parse().ok()?,
            findings: serde_json::from_str(text("findings")?).ok()?,
        })
    }
}

fn partition(provider: &str, tenant: &str) -> String {
    format!("{}#findings", tenant_key(provider, tenant))
}

fn row_key(table: &str, (provider, tenant): (&str, &str), place: &FoundPlace) -> ItemKey {
    key(table, partition(provider, tenant), entry(place))
}

fn entry(place: &FoundPlace) -> String {
    // The text has a fixed width, so that texts sort as times do.
    let at = place.occurred_at.as_millisecond().max(0);
    format!("{}#{at:015}#{}", place.day, part(&place.event.to_string()))
}

impl Figures {
    /// The findings of a tenant's events on these days, both included, the newest first: at most
    /// `limit` events, and with `after` only those that come after that place. If the answer has
    /// `limit` events, more may follow.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn findings(
        &self,
        (provider, tenant): (&str, &str),
        (from, to): (Date, Date),
        after: Option<&FoundPlace>,
        limit: usize,
    ) -> anyhow::Result<Vec<Found>> {
        let partition = partition(provider, tenant);
        // The range ends right before the place: an entry's last character is never the first one.
        let to = match after {
            Some(place) => entry(place),
            None => format!("{to}#\u{10FFFF}"),
        };
        let range = (format!("{from}#"), to.clone());
        // The range contains the place itself, which is left out below.
        let mut rows = self.newest(&partition, range, Some(limit.saturating_add(1)));
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next().await?
        {
            let entry = row.get("entry").and_then(|it| it.as_s().ok());
            if after.is_none() || entry != Some(&to) {
                found.extend(Found::read(&row, (provider, tenant)));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_an_event_occurred_the_later_it_stands() {
        let place = |day: &str, at: &str, order: &str| FoundPlace {
            day: day.parse().unwrap(),
            occurred_at: at.parse().unwrap(),
            event: EventKey::used("zupy", "comp", "CP-1", order),
        };
        let places = [
            place("2026-11-27", "2026-11-28T02:59:59.999Z", "1"),
            place("2026-11-28", "2026-11-28T03:00:00Z", "1"),
            place("2026-11-28", "2026-11-28T03:00:00.001Z", "1"),
            place("2026-11-28", "2026-11-28T12:00:00Z", "1"),
            place("2026-11-28", "2026-11-28T12:00:00Z", "2"),
        ];
        assert!(places.is_sorted());
    }
}
