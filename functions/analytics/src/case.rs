//! An event to count, with the rows that counting needs.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use webhooks::event::Event;
use webhooks::figures::line::{Owner, Standing};
use webhooks::figures::{List, Listed, Tracked, day_and_hour, track};
use webhooks::ledger::{Item, PLACEHOLDER, version};
use webhooks::worker::Failure;

pub(crate) struct Case<'a> {
    pub(crate) event: &'a Event,
    /// The tracked fields; `None` if the event counts nowhere.
    pub(crate) tracked: Option<Tracked>,
    /// The tenant's day and hour.
    pub(crate) at: (Date, u8),
    pub(crate) known: LineBefore,
    pub(crate) outcome: Option<Result<(), Failure>>,
}

/// The coupon's line before this event.
#[derive(Default)]
pub(crate) struct LineBefore {
    /// The row in place of the redemption's record.
    pub(crate) place: Option<Place>,
    pub(crate) line: Standing,
}

/// The record of a redemption, or a row that names the owner of the coupon's line until the
/// redemption arrives.
pub(crate) struct Place {
    pub(crate) version: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) is_record: bool,
}

impl Place {
    pub(crate) fn read(row: &Item) -> Self {
        let text = |name: &str| row.get(name)?.as_s().ok().cloned();
        Self {
            version: version(row).cloned(),
            owner: text("owner").or_else(|| text("customer_id")),
            is_record: !row.contains_key(PLACEHOLDER),
        }
    }
}

impl<'a> Case<'a> {
    pub(crate) fn of(event: &'a Event, zone: &TimeZone) -> Self {
        Self {
            event,
            tracked: track(event),
            at: day_and_hour(zone, event.occurred_at),
            known: LineBefore::default(),
            outcome: None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    /// Whether analytics counts the event. A sandbox's event and an event without a coupon only
    /// leave a record.
    pub(crate) fn counts(&self) -> bool {
        self.tracked.is_some() && !self.event.sandbox
    }

    pub(crate) fn member(&self) -> Owner<'_> {
        self.owner_named(&self.event.member.id)
    }

    /// The member whose partition has the coupon's line.
    pub(crate) fn owner(&self) -> Owner<'_> {
        let owner = self.known.place.as_ref().and_then(|it| it.owner.as_deref());
        self.owner_named(owner.unwrap_or(&self.event.member.id))
    }

    fn owner_named<'b>(&'b self, id: &'b str) -> Owner<'b> {
        Owner {
            provider: &self.event.provider,
            tenant: &self.event.tenant,
            id,
        }
    }

    /// The event's place in the lists.
    pub(crate) fn listed(&self) -> (List, Listed) {
        let list = List {
            provider: self.event.provider.clone(),
            tenant: self.event.tenant.clone(),
            day: self.at.0,
            hour: self.at.1,
        };
        let listed = Listed {
            second: self.event.occurred_at.as_second(),
            key: self.event.key.clone(),
        };
        (list, listed)
    }
}
