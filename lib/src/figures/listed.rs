//! Reads the tracked events of a day, the newest first, from the lists of the day's hours.

use std::collections::HashMap;

use anyhow::Context;
use jiff::civil::Date;

use super::Tracked;
use super::lists::{self, Listed};
use super::store::{Figures, RECORD};
use crate::event::EventKey;
use crate::ledger::{Item, ItemKey, is_forgotten, read_all};

/// Some events of a day, the newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The tracked fields of each event.
    pub events: Vec<Tracked>,
    /// Where the next page continues, for `after` of [`Figures::events`]; `None` after the last
    /// page.
    pub next: Option<String>,
}

impl Figures {
    /// Events of a tenant's day, the newest first: at most `limit`. `after` is the `next` of the
    /// page before. Only the necessary lists are read, from the end of the day.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. Or `after` comes from no page.
    pub async fn events(
        &self,
        provider: &str,
        tenant: &str,
        day: Date,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Page> {
        let after = after.map(Cursor::parse).transpose()?;
        let last_hour = after.as_ref().map_or(23, |it| it.hour);
        let range = (
            lists::beginning(day, 0),
            format!("{}\u{10FFFF}", lists::beginning(day, last_hour)),
        );
        let mut lists = self.newest(&lists::partition(provider, tenant), range, None);
        let mut page = Page::default();
        let (mut of_hour, mut hour): (Vec<Item>, Option<u8>) = (Vec::new(), None);
        loop {
            let list = lists.next().await?;
            let next_hour = list.as_ref().and_then(lists::hour);
            if let Some(hour) = hour.filter(|it| Some(*it) != next_hour) {
                // All lists of an hour are read together, because each can name events of any
                // second.
                let listed = lists::read(&of_hour, (provider, tenant));
                of_hour.clear();
                let shown = after.as_ref().filter(|it| it.hour == hour);
                let listed = listed.into_iter().rev();
                let listed: Vec<_> = listed
                    .filter(|it| shown.is_none_or(|shown| *it < shown.listed))
                    .collect();
                self.take(&mut page, hour, &listed, limit).await?;
                if page.next.is_some() {
                    return Ok(page);
                }
            }
            let Some(list) = list else { return Ok(page) };
            hour = next_hour.or(hour);
            of_hour.push(list);
        }
    }

    /// Adds an hour's events to a page, until it is full.
    async fn take(
        &self,
        page: &mut Page,
        hour: u8,
        mut listed: &[Listed],
        limit: usize,
    ) -> anyhow::Result<()> {
        while !listed.is_empty() {
            let room = limit.saturating_sub(page.events.len());
            let (some, rest) = listed.split_at(room.min(listed.len()));
            page.events.extend(self.records(some).await?);
            listed = rest;
            if page.events.len() >= limit {
                page.next = some.last().map(|listed| {
                    let listed = listed.clone();
                    Cursor { hour, listed }.text()
                });
                return Ok(());
            }
        }
        Ok(())
    }

    /// The tracked fields of these events, from their records, in the same order. An event without
    /// a record was not counted.
    async fn records(&self, listed: &[Listed]) -> anyhow::Result<Vec<Tracked>> {
        let keys: Vec<_> = listed.iter().map(|it| self.record_key(&it.key)).collect();
        let rows = read_all(&self.client, &keys, &[]).await;
        let rows = rows.context("reading tracked events")?;
        let now = self.now();
        let mut tracked: HashMap<_, _> = rows
            .iter()
            .filter(|row| !is_forgotten(row, now))
            .filter_map(|row| Some(Tracked::read(row)?.0))
            .map(|tracked| (tracked.key.clone(), tracked))
            .collect();
        Ok(listed
            .iter()
            .filter_map(|it| tracked.remove(&it.key))
            .collect())
    }

    fn record_key(&self, event: &EventKey) -> ItemKey {
        ItemKey::new(
            &self.tables.events,
            ("coupon", event.coupon()),
            ("entry", event.beneath(RECORD)),
        )
    }
}

/// The last event of a page.
struct Cursor {
    hour: u8,
    listed: Listed,
}

impl Cursor {
    fn text(&self) -> String {
        format!("{}~{}~{}", self.hour, self.listed.second, self.listed.key)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let read = || {
            let (hour, rest) = text.split_once('~')?;
            let (second, key) = rest.split_once('~')?;
            Some(Self {
                hour: hour.parse().ok().filter(|it| *it < 24)?,
                listed: Listed {
                    second: second.parse().ok()?,
                    key: EventKey::parse(key)?,
                },
            })
        };
        read().context("the text is no cursor")
    }
}
