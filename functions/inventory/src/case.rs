//! An event that is being worked on, and what had to be looked up for it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::{DiscountKind, Event, Fact, Usage, tenant_key};
use webhooks::ledger::{Committed, Item, ItemKey};
use webhooks::stock::Catalogue;
use webhooks::worker::Failure;

use crate::parts::{PART_ITEMS, Parts};
use crate::plan::{Plan, names};

/// An event that is being worked on.
pub(crate) struct Case<'a> {
    pub(crate) event: &'a Event,
    pub(crate) tenant: String,
    pub(crate) plan: Plan<'a>,
    pub(crate) known: Known,
    /// The products that are taken from with it, by what makes each the same, and the use that takes them.
    pub(crate) taken: BTreeMap<String, Taken>,
    pub(crate) outcome: Option<Result<Committed, Failure>>,
}

/// A product that something was taken of.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) by: Origin,
}

/// The event that takes something: its own, or one of the same coupon that waited for it.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Own,
    Waited(Box<Event>),
}

/// What had to be looked up.
#[derive(Default)]
pub(crate) struct Known {
    /// The products that names are.
    pub(crate) catalogue: Catalogue,
    /// What a redemption says that a use is good for.
    pub(crate) kind: Kind,
    /// Of a redemption whose coupon has come to its end before.
    pub(crate) end: Option<End>,
    /// Until when the coupon's last statement keeps what is reserved, and that statement; where it is not the event's own.
    pub(crate) moved: Option<(Timestamp, AttributeValue)>,
    /// Its coupon's reservation is forgotten, and may stand there still.
    pub(crate) is_forgotten: bool,
    /// Of a use of many items.
    pub(crate) parts: Option<Parts>,
}

/// What a use is good for where it does not tell itself.
#[derive(Debug, Default, Clone)]
pub(crate) enum Kind {
    Told(DiscountKind),
    /// The redemption is known, and does not tell either.
    Untold,
    /// No redemption is known yet.
    #[default]
    Awaited,
}

/// A coupon that was used, cancelled or expired before its redemption came.
pub(crate) struct End {
    /// The counter of uses that wait to be told what they take.
    pub(crate) awaiting: Option<AttributeValue>,
    pub(crate) uses: Vec<Waiting>,
    /// Whether some use of the coupon was taken in parts.
    pub(crate) in_parts: bool,
}

/// A use that waits to be told what it takes.
pub(crate) struct Waiting {
    pub(crate) record: ItemKey,
    pub(crate) event: Event,
    pub(crate) parts: Parts,
}

impl Waiting {
    pub(crate) fn usage(&self) -> Option<&Usage> {
        match &self.event.fact {
            Fact::Used(usage) => Some(usage),
            _ => None,
        }
    }
}

impl<'a> Case<'a> {
    pub(crate) fn of(event: &'a Event) -> Self {
        Self {
            event,
            tenant: tenant_key(&event.provider, &event.tenant),
            plan: Plan::of(event),
            known: Known::default(),
            taken: BTreeMap::new(),
            outcome: None,
        }
    }

    /// The names that the catalogue may know, as they were told.
    pub(crate) fn names(&self) -> BTreeSet<(String, String)> {
        let names: Vec<&str> = match &self.plan {
            _ if !self.is_open() => Vec::new(),
            Plan::Reserve(reserve) => {
                let uses = self.known.end.iter().flat_map(|end| &end.uses);
                let uses = uses.filter_map(Waiting::usage);
                let items = uses.flat_map(|usage| names(usage, reserve.kind));
                reserve.reward.into_iter().chain(items).collect()
            }
            Plan::Use(usage) => match self.kind() {
                Kind::Told(kind) => names(usage, &kind),
                Kind::Untold | Kind::Awaited => Vec::new(),
            },
            Plan::Nothing(_) | Plan::Release | Plan::Move(_) => Vec::new(),
        };
        let names = names.into_iter();
        names
            .map(|name| (self.tenant.clone(), name.to_owned()))
            .collect()
    }

    /// What a use is good for, as far as that is known.
    pub(crate) fn kind(&self) -> Kind {
        match &self.plan {
            Plan::Use(usage) => match &usage.discount_kind {
                Some(kind) => Kind::Told(kind.clone()),
                None if usage.items.is_empty() => Kind::Untold,
                None => self.known.kind.clone(),
            },
            _ => Kind::Untold,
        }
    }

    /// Whether only the redemption can tell what it takes.
    pub(crate) fn needs_redemption(&self) -> bool {
        match &self.plan {
            Plan::Use(usage) => {
                self.is_open() && usage.discount_kind.is_none() && !usage.items.is_empty()
            }
            _ => false,
        }
    }

    /// Whether it may have been begun in parts.
    pub(crate) fn needs_parts(&self) -> bool {
        match &self.plan {
            Plan::Use(usage) => {
                self.is_open() && self.known.parts.is_none() && usage.items.len() > PART_ITEMS
            }
            _ => false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.outcome = Some(Err(anyhow!("{error:#}").into()));
    }
}

pub(crate) fn text<'a>(row: &'a Item, name: &str) -> Option<&'a String> {
    row.get(name)?.as_s().ok()
}
