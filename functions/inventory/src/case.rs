//! An event at work, and the facts that inventory has read for it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::{DiscountKind, Event, Fact, Usage, tenant_key};
use webhooks::ledger::{Committed, ItemKey};
use webhooks::stock::Catalogue;
use webhooks::worker::Failure;

use crate::parts::{PART_ITEMS, Parts};
use crate::plan::{Plan, names};

/// An event at work.
pub(crate) struct Case<'a> {
    pub(crate) event: &'a Event,
    pub(crate) tenant: String,
    pub(crate) plan: Plan<'a>,
    pub(crate) known: Facts,
    /// The products that the event takes from, by identity, and the use that takes them.
    pub(crate) taken: BTreeMap<String, Taken>,
    pub(crate) outcome: Option<Result<Committed, Failure>>,
}

/// A product that a use takes from.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) by: Origin,
}

/// The event that takes something: this one, or one of the same coupon that waited for it.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Own,
    Waited(Box<Event>),
}

/// The facts that inventory has read.
#[derive(Default)]
pub(crate) struct Facts {
    /// The catalogue's entries for the event's names.
    pub(crate) catalogue: Catalogue,
    /// The type of discount that the redemption names for a use.
    pub(crate) kind: Kind,
    /// For a redemption: the end of its coupon, if it ended before.
    pub(crate) end: Option<End>,
    /// The reservation's end and the statement that set it, if another event stated it.
    pub(crate) moved: Option<(Timestamp, AttributeValue)>,
    /// Whether the coupon's reservation has expired; its row may still exist.
    pub(crate) is_forgotten: bool,
    /// The parts of a use with many items.
    pub(crate) parts: Option<Parts>,
}

/// The type of discount of a use that does not name it.
#[derive(Debug, Default, Clone)]
pub(crate) enum Kind {
    Stated(DiscountKind),
    /// The redemption is there, but names no type either.
    Unstated,
    /// The redemption has not come.
    #[default]
    Awaited,
}

/// The end of a coupon by a use, a cancellation or an expiry that came before its redemption.
pub(crate) struct End {
    /// The counter of uses that wait for the redemption.
    pub(crate) awaiting: Option<AttributeValue>,
    pub(crate) uses: Vec<Waiting>,
    /// Whether a use of the coupon has parts.
    pub(crate) in_parts: bool,
}

/// A use that waits for its redemption to know what it takes.
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
            known: Facts::default(),
            taken: BTreeMap::new(),
            outcome: None,
        }
    }

    /// The names that the catalogue may know, as the event spells them.
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
                Kind::Stated(kind) => names(usage, &kind),
                Kind::Unstated | Kind::Awaited => Vec::new(),
            },
            Plan::Nothing(_) | Plan::Release | Plan::Move(_) => Vec::new(),
        };
        let names = names.into_iter();
        names
            .map(|name| (self.tenant.clone(), name.to_owned()))
            .collect()
    }

    /// The type of discount of a use, as far as the facts say.
    pub(crate) fn kind(&self) -> Kind {
        match &self.plan {
            Plan::Use(usage) => match &usage.discount_kind {
                Some(kind) => Kind::Stated(kind.clone()),
                None if usage.items.is_empty() => Kind::Unstated,
                None => self.known.kind.clone(),
            },
            _ => Kind::Unstated,
        }
    }

    /// Whether only the redemption can say what the event takes.
    pub(crate) fn needs_redemption(&self) -> bool {
        match &self.plan {
            Plan::Use(usage) => {
                self.is_open() && usage.discount_kind.is_none() && !usage.items.is_empty()
            }
            _ => false,
        }
    }

    /// Whether an earlier attempt may have begun the event in parts.
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
