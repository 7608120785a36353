//! Lists tracked events, the newest first: merges several tenants, one page at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;
use webhooks::event::{EventKey, escape, member_key};
use webhooks::figures::{Page, Tracked, TrackedKind};
use webhooks::ledger::{ItemKey, read_all};

use crate::period::{Period, parse_day};
use crate::sources::{Named, Sources};

/// How many tenants this module reads at the same time.
const CONCURRENCY: usize = 16;

/// How many events of a tenant one request reads.
const PAGE: usize = 200;

/// How many events this module examines for one answer, if a filter leaves out most of them.
const LOOKED_THROUGH: usize = 5000;

/// How long one answer looks for events. After that, the answer names the place to go on, even if
/// it found few.
const LOOKS_FOR: Duration = Duration::from_secs(8);

/// A filter for events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// The current state of the coupon.
    pub status: Option<String>,
    pub kind: Option<TrackedKind>,
    /// A reward's id or its name.
    pub reward: Option<String>,
    pub location: Option<String>,
    /// A coupon's code, as the record tracks it.
    pub code: Option<String>,
}

/// An event's position in the order: its second, then its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    second: i64,
    key: EventKey,
}

/// Where a page ended: a day, and the day's last examined event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    day: Date,
    after: Option<Position>,
}

/// A page of events, each with the current state of its coupon.
#[derive(Debug, Default)]
pub struct Listing {
    pub events: Vec<(Tracked, Option<String>)>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<Cursor>,
}

impl Position {
    fn of(tracked: &Tracked) -> Self {
        Self {
            second: tracked.timestamp.as_second(),
            key: tracked.key.clone(),
        }
    }

    fn order(&self) -> (i64, &str, &str) {
        (self.second, self.key.coupon(), self.key.entry())
    }
}

impl Cursor {
    /// The beginning of the list, which is the end of the period.
    pub fn start(period: Period) -> Self {
        Self {
            day: period.to,
            after: None,
        }
    }

    /// The day that the list has reached.
    pub fn day(&self) -> Date {
        self.day
    }

    pub fn text(&self) -> String {
        let mut text = self.day.to_string();
        if let Some(Position { second, key }) = &self.after {
            text.push_str(&format!("~{second}~{key}"));
        }
        URL_SAFE_NO_PAD.encode(text)
    }

    /// `None` if the text is no cursor, or not one within the period.
    pub fn parse(text: &str, period: Period) -> Option<Self> {
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        let text = std::str::from_utf8(&text).ok()?;
        let mut parts = text.splitn(3, '~');
        let day = parse_day(parts.next()?).filter(|day| period.contains(*day))?;
        let after = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(second), Some(key)) => {
                let second = second.parse().ok()?;
                Timestamp::from_second(second).ok()?;
                let key = EventKey::parse(key)?;
                Some(Position { second, key })
            }
            (Some(_), None) => return None,
        };
        Some(Self { day, after })
    }
}

impl Filter {
    fn takes(&self, tracked: &Tracked) -> bool {
        let reward = |wanted: &String| {
            let names = [&tracked.reward_id, &tracked.reward_name];
            names.iter().any(|name| name.as_ref() == Some(wanted))
        };
        self.kind.is_none_or(|kind| kind == tracked.kind)
            && self.reward.as_ref().is_none_or(reward)
            && self
                .location
                .as_ref()
                .is_none_or(|it| tracked.location.as_ref() == Some(it))
            && self
                .code
                .as_ref()
                .is_none_or(|it| tracked.coupon_code.as_ref() == Some(it))
    }
}

/// At most `limit` events from a cursor on, back to the beginning of the period.
pub async fn list(
    sources: &Sources,
    tenants: &[Named],
    period: Period,
    filter: &Filter,
    cursor: Cursor,
    limit: usize,
) -> anyhow::Result<Listing> {
    let until = Instant::now() + LOOKS_FOR;
    let Cursor { mut day, mut after } = cursor;
    let mut listing = Listing::default();
    let mut looked_through = 0;
    while day >= period.from && period.contains(day) {
        let (events, is_end) =
            merged(sources, tenants, day, after.as_ref(), limit.min(PAGE)).await?;
        looked_through += events.len();
        let wanted: Vec<_> = events.iter().filter(|it| filter.takes(it)).collect();
        let states = states(sources, &wanted).await?;
        for (tracked, state) in wanted.into_iter().zip(states) {
            if filter.status.is_some() && filter.status != state {
                continue;
            }
            listing.events.push((tracked.clone(), state));
            if listing.events.len() == limit {
                let after = Some(Position::of(tracked));
                listing.next = Some(Cursor { day, after });
                return Ok(listing);
            }
        }
        match events.last() {
            Some(last) if !is_end => after = Some(Position::of(last)),
            _ => {
                let Ok(yesterday) = day.yesterday() else {
                    break;
                };
                (day, after) = (yesterday, None);
            }
        }
        let is_enough = looked_through >= LOOKED_THROUGH || Instant::now() >= until;
        if is_enough && day >= period.from {
            listing.next = Some(Cursor { day, after });
            return Ok(listing);
        }
    }
    Ok(listing)
}

/// Events of one day of all tenants after a position, the newest first; and whether these are the
/// last ones.
async fn merged(
    sources: &Sources,
    tenants: &[Named],
    day: Date,
    after: Option<&Position>,
    limit: usize,
) -> anyhow::Result<(Vec<Tracked>, bool)> {
    // Owned, because the compiler cannot follow a reference into the stream.
    let tenants = stream::iter(tenants.to_vec());
    let pages =
        tenants.map(|tenant| async move { page(sources, &tenant, day, after, limit).await });
    let pages: Vec<Page> = pages.buffered(CONCURRENCY).try_collect().await?;
    let mut positions: Vec<_> = pages
        .iter()
        .filter(|page| page.next.is_some())
        .filter_map(|page| page.events.last().map(Position::of))
        .collect();
    positions.sort_by(|a, b| a.order().cmp(&b.order()));
    // If a tenant has more events, this module knows only those newer than its last read one.
    let horizon = positions.pop();
    let mut events: Vec<_> = pages.into_iter().flat_map(|page| page.events).collect();
    if let Some(horizon) = &horizon {
        events.retain(|it| Position::of(it).order() >= horizon.order());
    }
    events.sort_by(|a, b| Position::of(b).order().cmp(&Position::of(a).order()));
    Ok((events, horizon.is_none()))
}

async fn page(
    sources: &Sources,
    (provider, tenant): &Named,
    day: Date,
    after: Option<&Position>,
    limit: usize,
) -> anyhow::Result<Page> {
    let after = match after {
        None => None,
        Some(Position { second, key }) => {
            let at = Timestamp::from_second(*second)?;
            let local = at.to_zoned(sources.zones.of(tenant).clone());
            // A time can fall on another day by this tenant's clock.
            if local.date() < day {
                return Ok(Page::default());
            }
            let hour = local.hour();
            (local.date() == day).then(|| format!("{hour}~{second}~{key}"))
        }
    };
    let events = &sources.figures;
    events
        .events(provider, tenant, day, after.as_deref(), limit)
        .await
}

/// The state of each event's coupon, from its member's account.
async fn states(sources: &Sources, events: &[&Tracked]) -> anyhow::Result<Vec<Option<String>>> {
    let key_of = |tracked: &Tracked| {
        let code = tracked.coupon_code.as_deref()?;
        let member = member_key(&tracked.provider, &tracked.tenant, &tracked.customer_id);
        Some((member, format!("coupon#{}", escape(code))))
    };
    let mut keys: Vec<_> = events.iter().filter_map(|it| key_of(it)).collect();
    keys.sort_unstable();
    keys.dedup();
    let keys: Vec<_> = keys
        .iter()
        .map(|(member, entry)| {
            let entry = ("entry", entry.as_str());
            ItemKey::new(&sources.members_table, ("member", member.as_str()), entry)
        })
        .collect();
    let rows = read_all(&sources.client, &keys, &["member", "entry", "state"]).await?;
    let states: BTreeMap<_, _> = rows
        .iter()
        .filter_map(|row| {
            let text = |name: &str| row.get(name)?.as_s().ok().cloned();
            Some(((text("member")?, text("entry")?), text("state")?))
        })
        .collect();
    let state_of = |it: &&Tracked| states.get(&key_of(it)?).cloned();
    Ok(events.iter().map(state_of).collect())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const PERIOD: Period = Period {
        from: date(2026, 11, 1),
        to: date(2026, 11, 25),
    };

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let key = EventKey::used("zupy", "a~b", "CP-1", "ord~1/2");
        let position = Position {
            second: 1_764_072_000,
            key,
        };
        for after in [None, Some(position)] {
            let day = date(2026, 11, 20);
            let cursor = Cursor { day, after };
            assert_eq!(Cursor::parse(&cursor.text(), PERIOD), Some(cursor));
        }
        assert_eq!(Cursor::start(PERIOD).day, PERIOD.to);
    }

    #[test]
    fn a_text_that_is_no_cursor_of_the_period_is_refused() {
        let coded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for text in [
            String::new(),
            "x".into(),
            "====".into(),
            coded("2026-11-26"),
            coded("2026-10-31"),
            coded("2026-11-20~1"),
            coded("2026-11-20~x~zupy#a#b/c"),
            coded("2026-11-20~99999999999999~zupy#a#b/c"),
            coded("2026-11-20~1~no-key"),
        ] {
            assert_eq!(Cursor::parse(&text, PERIOD), None, "{text}");
        }
    }
}
